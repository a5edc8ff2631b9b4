//! Requests of which the network says that they reached nobody (RFC 3261 sections 18.4 and
//! 8.1.3.1): they fail as by 503, and go on elsewhere where there is an elsewhere.
//!
//! Anybody can write such an error, so it is believed only as far as it proves itself. One that
//! quotes the branch of a request that waits there has seen that request: all that wait for a first
//! answer from there fail. One whose quote is too short for a branch (some hosts send back 8 bytes)
//! ends nothing: it moves on what has another destination to go to. Whoever has answered once is
//! there, and the requests of a call that stands are left to their timers.

use std::net::SocketAddr;
use std::time::Instant;

use super::agent::UserAgent;
use super::client_context::Client;
use super::owner::Owner;
use crate::sip::stack::flow::FlowKey;
use crate::sip::stack::method::Method;
use crate::sip::stack::transaction::key::ClientKey;
use crate::stun::{Header, begins_like_stun};

/// What a quote tells of the datagram that it begins.
#[derive(Debug, PartialEq, Eq)]
enum Quoted<'a> {
    /// A request of ours, and its branch.
    Request(Method, &'a str),
    /// Too little to know.
    Cut,
    /// A STUN keep-alive, by its transaction.
    Probe([u8; 12]),
    /// A response or a keep-alive: nobody waits for what becomes of it.
    Other,
}

impl<'a> Quoted<'a> {
    fn read(quote: &'a [u8]) -> Self {
        if quote.starts_with(b"SIP/") || quote.starts_with(b"\r\n") {
            return Quoted::Other;
        }
        if begins_like_stun(quote) {
            // Without a whole transaction it proves nothing, and none but us can go on elsewhere.
            let header = Header::read(quote);
            return header.map_or(Quoted::Other, |header| Quoted::Probe(header.transaction));
        }
        // The Via of ours is the first header of all that we send.
        let mut lines = Lines(quote);
        let (Some(start), Some(via)) = (lines.next(), lines.next()) else {
            return Quoted::Cut;
        };
        let method = start.split(' ').next().and_then(Method::read);
        let branch = via
            .split(';')
            .find_map(|parameter| parameter.strip_prefix("branch="));
        match (method, branch) {
            (Some(method), Some(branch)) => Quoted::Request(method, branch),
            _ => Quoted::Other,
        }
    }
}

/// The lines of a text that is cut off somewhere: those that are whole.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let end = self.0.windows(2).position(|two| two == b"\r\n")?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 2..];
        std::str::from_utf8(line).ok()
    }
}

impl UserAgent {
    /// A datagram to `remote` by this listener was not delivered; `quote` is as
    /// much of it as came back. Gives the number of requests that this ends or moves.
    pub fn handle_unreachable(
        &mut self,
        listener: usize,
        remote: SocketAddr,
        quote: &[u8],
        now: Instant,
    ) -> u64 {
        let waits_there = |entry: &Client| {
            !entry.flow.transport.is_reliable()
                && entry.flow.listener == listener
                && entry.flow.remote.ip() == remote.ip()
                && entry.flow.remote.port() == remote.port()
                && entry.transaction.is_unanswered()
        };
        let proven = match Quoted::read(quote) {
            Quoted::Request(method, branch) => {
                let key = self.transactions.client_key(branch, &method);
                if !self.transactions.client(&key).is_some_and(waits_there) {
                    self.reject("icmp_unmatched", remote);
                    return 0;
                }
                true
            }
            Quoted::Probe(transaction) => {
                let key = FlowKey { listener, remote };
                if self.take_unreachable_probe(key, transaction, now) {
                    return 1;
                }
                self.reject("icmp_unmatched", remote);
                return 0;
            }
            Quoted::Cut => {
                if !self.admission.hears_unproven(now) {
                    self.reject("icmp_unproven", remote);
                    return 0;
                }
                false
            }
            Quoted::Other => {
                self.reject("icmp_unmatched", remote);
                return 0;
            }
        };
        let mut lost: Vec<ClientKey> = self
            .transactions
            .clients()
            .filter(|(_, entry)| {
                let ends = proven && !is_in_call(entry.user.outbound.owner);
                waits_there(entry) && (ends || entry.user.outbound.way.may_fail_over())
            })
            .map(|(key, _)| *key)
            .collect();
        if lost.is_empty() {
            self.reject("icmp_unmatched", remote);
        }
        lost.sort_unstable();
        for key in &lost {
            // A repetition may be what was lost, after the first had arrived.
            self.fail_over_begun(key, 503, true, now);
        }
        lost.len() as u64
    }
}

/// Whether a request belongs to a call that has been answered or rings: what fails it may not fail
/// the call.
const fn is_in_call(owner: Owner) -> bool {
    match owner {
        Owner::Reinvite(_)
        | Owner::Acknowledge(_)
        | Owner::Info(_)
        | Owner::DialogMessage(_)
        | Owner::Prack(..)
        | Owner::Refer(_)
        | Owner::Notify(_)
        | Owner::Refresh(_)
        | Owner::Offer(_) => true,
        Owner::Invite(_)
        | Owner::Bye(_)
        | Owner::Message(_)
        | Owner::Register(_)
        | Owner::None
        | Owner::Probe(_)
        | Owner::Abandoned => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:600@192.0.2.2 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKabc\r\nFrom: <sip:a@b>\r\n\r\n";

    #[test]
    fn a_branch_counts_only_when_its_line_is_whole() {
        let whole = INVITE.find("From").expect("there");
        for length in 0..INVITE.len() {
            let expected = if length >= whole {
                Quoted::Request(Method::Invite, "z9hG4bKabc")
            } else {
                Quoted::Cut
            };
            assert_eq!(Quoted::read(&INVITE.as_bytes()[..length]), expected);
        }
    }

    #[test]
    fn responses_keep_alives_and_noise_are_nobodys() {
        for other in [
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=b\r\n",
            "\r\n\r\n",
            "INVITE sip:a SIP/2.0\r\nFrom: a\r\n",
            "?\r\n?\r\n",
        ] {
            assert_eq!(Quoted::read(other.as_bytes()), Quoted::Other, "{other:?}");
        }
        assert_eq!(Quoted::read(b"\xff\xfe\r\n\xff\r\n"), Quoted::Cut);
    }
}
