//! Which call a datagram on the shared WebRTC port belongs to.
//!
//! In this order: a STUN request by the user name fragment in it; a STUN response by the
//! transaction that it answers; everything else by the address that it came from, once an
//! authenticated connectivity check has come from there; RTP and RTCP from an address that is
//! new by the SSRC, for a NAT may have given a browser another port. What fits nowhere is
//! dropped.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::rtp::is_rtcp;
use crate::stun::{Class, Header, TransactionId};

/// How many addresses one call may have mapped: a browser has a few interfaces and, behind a
/// NAT, a new port now and then. The oldest gives way.
const ADDRESSES_PER_CALL: usize = 16;

/// How many streams of one call are remembered: a browser has one for its audio and may replace
/// it. The oldest gives way.
const STREAMS_PER_CALL: usize = 4;

/// How many outstanding STUN transactions are remembered for the whole worker.
const TRANSACTIONS: usize = 4096;

/// How long an address must have brought nothing authentic to its call before a check of
/// another call may take it over:
/// a browser that calls again from the same port has left the old call, while somebody with a
/// call of his own cannot take a living call's address by forging it.
const TAKE_OVER: Duration = Duration::from_secs(1);

/// How often an address that brings media need be refreshed.
pub const REFRESH: Duration = Duration::from_millis(250);

/// Why a datagram found no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// A STUN request for a user name fragment that no call has.
    Ufrag,
    /// No call is known at the address.
    Address,
}

impl Unknown {
    /// The name of the counter.
    pub const fn reason(self) -> &'static str {
        match self {
            Unknown::Ufrag => "unknown_ufrag",
            Unknown::Address => "unknown_address",
        }
    }
}

#[derive(Debug)]
struct Owner {
    slot: usize,
    seen: Instant,
}

/// What finds one call, kept to be forgotten with it.
#[derive(Debug, Default)]
struct Traces {
    ufrags: Vec<String>,
    addresses: VecDeque<SocketAddr>,
    streams: VecDeque<u32>,
}

/// The tables of one worker.
#[derive(Debug, Default)]
pub struct Demultiplexer {
    ufrags: HashMap<String, usize>,
    addresses: HashMap<SocketAddr, Owner>,
    /// By SSRC.
    streams: HashMap<u32, usize>,
    transactions: HashMap<TransactionId, usize>,
    /// The same transactions, the oldest at the front.
    transaction_order: VecDeque<TransactionId>,
    traces: HashMap<usize, Traces>,
}

/// The id of a STUN request.
fn request_transaction(datagram: &[u8]) -> Option<TransactionId> {
    let header = Header::read(datagram)?;
    matches!(header.binding, Some(Class::Request)).then_some(header.transaction)
}

/// The id of a STUN success or error response.
fn response_transaction(datagram: &[u8]) -> Option<TransactionId> {
    let header = Header::read(datagram)?;
    let is_response = matches!(header.binding, Some(Class::Success | Class::Error));
    is_response.then_some(header.transaction)
}

/// The SSRC of the sender of RTP or RTCP (RFC 7983 section 7; RFC 3550 sections 5.1 and 6.4.1).
fn stream_of(datagram: &[u8]) -> Option<u32> {
    let at = match datagram.first()? {
        128..=191 if is_rtcp(datagram) => 4,
        128..=191 => 8,
        _ => return None,
    };
    let ssrc = datagram.get(at..at + 4)?;
    Some(u32::from_be_bytes(
        ssrc.try_into().expect("a slice of 4 octets"),
    ))
}

impl Demultiplexer {
    /// Makes these user name fragments stand for `slot`, in place of those it had: one, or two while
    /// ICE restarts. False, and nothing changes, if another call has one of them.
    pub fn set_ufrags<'a>(
        &mut self,
        slot: usize,
        ufrags: impl Iterator<Item = &'a str> + Clone,
    ) -> bool {
        let of_another = |ufrag| self.ufrags.get(ufrag).is_some_and(|owner| *owner != slot);
        if ufrags.clone().any(of_another) {
            return false;
        }
        let traces = self.traces.entry(slot).or_default();
        for before in traces.ufrags.drain(..) {
            self.ufrags.remove(&before);
        }
        for ufrag in ufrags {
            self.ufrags.insert(ufrag.to_owned(), slot);
            traces.ufrags.push(ufrag.to_owned());
        }
        true
    }

    /// The call of a datagram from `remote`; `ufrag` is what the STUN request names, if it is
    /// one.
    pub fn find(
        &mut self,
        remote: SocketAddr,
        ufrag: Option<&str>,
        datagram: &[u8],
    ) -> Result<usize, Unknown> {
        if let Some(ufrag) = ufrag {
            return self.ufrags.get(ufrag).copied().ok_or(Unknown::Ufrag);
        }
        if let Some(owner) = self.addresses.get(&remote) {
            return Ok(owner.slot);
        }
        if let Some(id) = response_transaction(datagram) {
            return self.transactions.remove(&id).ok_or(Unknown::Address);
        }
        stream_of(datagram)
            .and_then(|ssrc| self.streams.get(&ssrc).copied())
            .ok_or(Unknown::Address)
    }

    /// Makes the stream `ssrc`, of which authentic RTP came, stand for `slot`. False if another
    /// call has it and is not silent: nobody with a call of his own can take a living call's.
    pub fn learn_stream(&mut self, slot: usize, ssrc: u32, now: Instant) -> bool {
        match self.streams.get(&ssrc) {
            Some(owner) if *owner == slot => return true,
            Some(owner) if self.is_living(*owner, now) => return false,
            Some(owner) => {
                if let Some(traces) = self.traces.get_mut(owner) {
                    traces.streams.retain(|stream| *stream != ssrc);
                }
            }
            None => {}
        }
        self.streams.insert(ssrc, slot);
        let traces = self.traces.entry(slot).or_default();
        traces.streams.push_back(ssrc);
        if traces.streams.len() > STREAMS_PER_CALL
            && let Some(oldest) = traces.streams.pop_front()
        {
            self.streams.remove(&oldest);
        }
        true
    }

    /// Whether anything authentic of a call came lately from an address that is mapped.
    fn is_living(&self, slot: usize, now: Instant) -> bool {
        self.traces.get(&slot).is_some_and(|traces| {
            traces.addresses.iter().any(|address| {
                self.addresses.get(address).is_some_and(|owner| {
                    owner.slot == slot && now.saturating_duration_since(owner.seen) < TAKE_OVER
                })
            })
        })
    }

    /// Notes that authentic media of its call came from `remote`.
    pub fn refresh(&mut self, remote: SocketAddr, now: Instant) {
        if let Some(owner) = self.addresses.get_mut(&remote) {
            owner.seen = now;
        }
    }

    /// Makes `remote`, from which an authenticated check came, stand for `slot`.
    pub fn map(&mut self, slot: usize, remote: SocketAddr, now: Instant) {
        if let Some(owner) = self.addresses.get_mut(&remote) {
            if owner.slot == slot {
                owner.seen = now;
                return;
            }
            if now.saturating_duration_since(owner.seen) < TAKE_OVER {
                return;
            }
            if let Some(traces) = self.traces.get_mut(&owner.slot) {
                traces.addresses.retain(|address| *address != remote);
            }
        }
        self.addresses.insert(remote, Owner { slot, seen: now });
        let traces = self.traces.entry(slot).or_default();
        traces.addresses.push_back(remote);
        if traces.addresses.len() > ADDRESSES_PER_CALL
            && let Some(oldest) = traces.addresses.pop_front()
        {
            self.addresses.remove(&oldest);
        }
    }

    /// Remembers a datagram of `slot` that goes to `remote`: if it is a STUN request to an
    /// address that is not mapped yet, its response will come from where nothing else finds
    /// the call.
    pub fn note_request(&mut self, slot: usize, remote: SocketAddr, datagram: &[u8]) {
        let Some(id) = request_transaction(datagram) else {
            return;
        };
        if self
            .addresses
            .get(&remote)
            .is_some_and(|owner| owner.slot == slot)
        {
            return;
        }
        if self.transactions.insert(id, slot).is_some() {
            return;
        }
        self.transaction_order.push_back(id);
        if self.transaction_order.len() > TRANSACTIONS
            && let Some(oldest) = self.transaction_order.pop_front()
        {
            self.transactions.remove(&oldest);
        }
    }

    /// Forgets a call.
    pub fn remove(&mut self, slot: usize) {
        let Some(traces) = self.traces.remove(&slot) else {
            return;
        };
        for ufrag in &traces.ufrags {
            self.ufrags.remove(ufrag);
        }
        for address in &traces.addresses {
            self.addresses.remove(address);
        }
        for ssrc in &traces.streams {
            self.streams.remove(ssrc);
        }
        self.transactions.retain(|_, owner| *owner != slot);
        let transactions = &self.transactions;
        self.transaction_order
            .retain(|id| transactions.contains_key(id));
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn stun(kind: u16, id: u8) -> Vec<u8> {
        let mut datagram = kind.to_be_bytes().to_vec();
        datagram.extend_from_slice(&[0, 0, 0x21, 0x12, 0xa4, 0x42]);
        datagram.extend_from_slice(&[id; 12]);
        datagram
    }

    const RTP: &[u8] = &[0x80, 0, 0, 1];

    #[test]
    fn a_request_finds_its_call_by_ufrag_and_the_rest_by_address() {
        let now = Instant::now();
        let mut calls = Demultiplexer::default();
        assert!(calls.set_ufrags(3, ["abcd"].into_iter()));
        assert!(!calls.set_ufrags(4, ["abcd"].into_iter()));
        assert_eq!(calls.find(at(1), Some("abcd"), &stun(1, 9)), Ok(3));
        assert_eq!(
            calls.find(at(1), Some("efgh"), &stun(1, 9)),
            Err(Unknown::Ufrag)
        );
        assert_eq!(calls.find(at(1), None, RTP), Err(Unknown::Address));
        calls.map(3, at(1), now);
        assert_eq!(calls.find(at(1), None, RTP), Ok(3));
        calls.remove(3);
        assert_eq!(calls.find(at(1), None, RTP), Err(Unknown::Address));
        assert_eq!(
            calls.find(at(1), Some("abcd"), &stun(1, 9)),
            Err(Unknown::Ufrag)
        );
    }

    #[test]
    fn ice_restart_adds_a_ufrag_and_its_end_removes_the_old() {
        let mut calls = Demultiplexer::default();
        let mut find = |ufrags: &[&'static str], ufrag| {
            assert!(calls.set_ufrags(0, ufrags.iter().copied()));
            calls.find(at(1), Some(ufrag), &stun(1, 9))
        };
        assert_eq!(find(&["old"], "old"), Ok(0));
        assert_eq!(find(&["old", "new"], "old"), Ok(0));
        assert_eq!(find(&["old", "new"], "new"), Ok(0));
        assert_eq!(find(&["new"], "old"), Err(Unknown::Ufrag));
        assert_eq!(find(&["new"], "new"), Ok(0));
    }

    #[test]
    fn a_response_finds_the_call_that_asked_once() {
        let mut calls = Demultiplexer::default();
        assert!(calls.set_ufrags(5, ["abcd"].into_iter()));
        calls.note_request(5, at(1), &stun(0x0001, 7));
        assert_eq!(
            calls.find(at(1), None, &stun(0x0101, 8)),
            Err(Unknown::Address)
        );
        assert_eq!(calls.find(at(1), None, &stun(0x0101, 7)), Ok(5));
        assert_eq!(
            calls.find(at(1), None, &stun(0x0101, 7)),
            Err(Unknown::Address)
        );
    }

    #[test]
    fn the_memory_of_requests_and_of_addresses_is_bounded() {
        let now = Instant::now();
        let mut calls = Demultiplexer::default();
        assert!(calls.set_ufrags(0, ["abcd"].into_iter()));
        for n in 0..2 * TRANSACTIONS as u32 {
            let mut request = stun(0x0001, 0);
            request[8..12].copy_from_slice(&n.to_be_bytes());
            calls.note_request(0, at(1), &request);
        }
        assert_eq!(calls.transactions.len(), TRANSACTIONS);
        assert_eq!(calls.transaction_order.len(), TRANSACTIONS);
        for port in 1..1000 {
            calls.map(0, at(port), now);
        }
        assert_eq!(calls.addresses.len(), ADDRESSES_PER_CALL);
        assert_eq!(calls.find(at(999), None, RTP), Ok(0));
        calls.remove(0);
        assert!(calls.addresses.is_empty() && calls.transactions.is_empty());
        assert!(calls.transaction_order.is_empty() && calls.ufrags.is_empty());
    }

    fn rtp(ssrc: u32) -> Vec<u8> {
        let mut datagram = vec![0x80, 111, 0, 1, 0, 0, 0, 0];
        datagram.extend_from_slice(&ssrc.to_be_bytes());
        datagram
    }

    #[test]
    fn media_from_a_new_address_finds_its_call_by_a_stream_that_is_known() {
        let now = Instant::now();
        let mut calls = Demultiplexer::default();
        calls.map(3, at(1), now);
        assert_eq!(calls.find(at(2), None, &rtp(7)), Err(Unknown::Address));
        assert!(calls.learn_stream(3, 7, now));
        assert_eq!(calls.find(at(2), None, &rtp(7)), Ok(3));
        let mut report = vec![0x80, 201, 0, 1];
        report.extend_from_slice(&7_u32.to_be_bytes());
        assert_eq!(calls.find(at(2), None, &report), Ok(3));
        for unexpected in [&rtp(8)[..], &rtp(7)[..11], &[0x80, 201, 0], &[]] {
            assert_eq!(calls.find(at(2), None, unexpected), Err(Unknown::Address));
        }
        // DTLS that happens to hold the number is no media.
        let mut hello = rtp(7);
        hello[0] = 22;
        assert_eq!(calls.find(at(2), None, &hello), Err(Unknown::Address));
        // The address speaks before the stream.
        calls.map(4, at(2), now);
        assert_eq!(calls.find(at(2), None, &rtp(7)), Ok(4));
        calls.remove(3);
        assert_eq!(calls.find(at(3), None, &rtp(7)), Err(Unknown::Address));
    }

    #[test]
    fn a_living_calls_stream_cannot_be_taken_over_but_a_silent_ones_can() {
        let now = Instant::now();
        let mut calls = Demultiplexer::default();
        calls.map(1, at(1), now);
        assert!(calls.learn_stream(1, 7, now));
        assert!(!calls.learn_stream(2, 7, now + TAKE_OVER / 2));
        calls.refresh(at(1), now + TAKE_OVER);
        assert!(!calls.learn_stream(2, 7, now + TAKE_OVER + TAKE_OVER / 2));
        assert_eq!(calls.find(at(9), None, &rtp(7)), Ok(1));
        assert!(calls.learn_stream(2, 7, now + TAKE_OVER * 3));
        assert_eq!(calls.find(at(9), None, &rtp(7)), Ok(2));
        calls.remove(1);
        assert_eq!(calls.find(at(9), None, &rtp(7)), Ok(2));
    }

    #[test]
    fn the_memory_of_streams_is_bounded() {
        let now = Instant::now();
        let mut calls = Demultiplexer::default();
        for ssrc in 0..1000 {
            assert!(calls.learn_stream(0, ssrc, now));
        }
        assert_eq!(calls.streams.len(), STREAMS_PER_CALL);
        assert_eq!(calls.find(at(1), None, &rtp(999)), Ok(0));
        assert_eq!(calls.find(at(1), None, &rtp(0)), Err(Unknown::Address));
        calls.remove(0);
        assert!(calls.streams.is_empty());
    }

    #[test]
    fn a_living_calls_address_cannot_be_taken_over_but_a_silent_ones_can() {
        let now = Instant::now();
        let mut calls = Demultiplexer::default();
        calls.map(1, at(1), now);
        calls.map(2, at(1), now + TAKE_OVER / 2);
        assert_eq!(calls.find(at(1), None, RTP), Ok(1));
        calls.refresh(at(1), now + TAKE_OVER);
        calls.map(2, at(1), now + TAKE_OVER + TAKE_OVER / 2);
        assert_eq!(calls.find(at(1), None, RTP), Ok(1));
        let later = now + TAKE_OVER * 3;
        calls.map(2, at(1), later);
        assert_eq!(calls.find(at(1), None, RTP), Ok(2));
        calls.remove(1);
        assert_eq!(calls.find(at(1), None, RTP), Ok(2));
    }
}
