//! The calls of a worker, and what finds them: key, user name fragments, addresses, timers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::UdpSocket;
use tokio::sync::mpsc;

use super::bridge::{Bridge, Evidence};
use super::demultiplexer::{Demultiplexer, REFRESH};
use super::pbx_end::Channel;
use crate::media::{CallKey, CloseReason, Lease, MediaEvent, StreamId};
use crate::timer_queue::{TimerQueue, TimerSlot};

/// The sockets of a stream's PBX side. The lease comes last: it gives the ports back when the
/// sockets are closed.
pub(super) struct PbxSockets {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    pub(super) _lease: Lease,
}

/// One call.
pub(super) struct Slot {
    pub(super) key: CallKey,
    pub(super) bridge: Bridge,
    /// Of each stream that has any.
    pub(super) pbx: Vec<(StreamId, PbxSockets)>,
    pub(super) events: mpsc::Sender<MediaEvent>,
    pub(super) close_permit: mpsc::OwnedPermit<MediaEvent>,
    /// The browser's address that was refreshed last, and when.
    pub(super) refreshed: Option<(SocketAddr, Instant)>,
    pub(super) timer: TimerSlot,
}

impl Slot {
    /// A socket of a stream.
    pub(super) fn socket(&self, stream: StreamId, channel: Channel) -> Option<&UdpSocket> {
        let (_, pbx) = self.pbx.iter().find(|(id, _)| *id == stream)?;
        Some(match channel {
            Channel::Rtp => &pbx.rtp,
            Channel::Rtcp => &pbx.rtcp,
        })
    }

    /// Whether the table of addresses is to hear of media from `remote`. Not with each packet:
    /// it need not be exact.
    fn needs_refresh(&mut self, remote: SocketAddr, now: Instant) -> bool {
        let fresh = self.refreshed.is_some_and(|(address, at)| {
            address == remote && now.saturating_duration_since(at) < REFRESH
        });
        if !fresh {
            self.refreshed = Some((remote, now));
        }
        !fresh
    }
}

/// The calls of a worker.
#[derive(Default)]
pub(super) struct CallTable {
    pub(super) slots: Vec<Option<Slot>>,
    pub(super) demultiplexer: Demultiplexer,
    /// When each call is to be told the time.
    pub(super) timers: TimerQueue<usize>,
    free: Vec<usize>,
    keys: HashMap<CallKey, usize>,
}

impl CallTable {
    /// A free slot for a call with this key and these user name fragments. `None` if another call
    /// has one of them.
    pub(super) fn reserve<'a>(
        &mut self,
        key: CallKey,
        ufrags: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<usize> {
        let slot = self.free.last().copied().unwrap_or(self.slots.len());
        if self.keys.contains_key(&key) || !self.demultiplexer.set_ufrags(slot, ufrags) {
            return None;
        }
        if self.free.pop().is_none() {
            self.slots.push(None);
        }
        self.keys.insert(key, slot);
        Some(slot)
    }

    /// The slot of a call.
    pub(super) fn find(&self, key: CallKey) -> Option<usize> {
        self.keys.get(&key).copied()
    }

    /// The call of a slot.
    pub(super) fn get(&mut self, slot: usize) -> Option<&mut Slot> {
        self.slots.get_mut(slot).and_then(Option::as_mut)
    }

    /// Takes what a datagram from the browser proved about the address that it came from.
    pub(super) fn learn(
        &mut self,
        slot: usize,
        remote: SocketAddr,
        evidence: Evidence,
        now: Instant,
    ) {
        let Some(call) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        match evidence {
            Evidence::Check => self.demultiplexer.map(slot, remote, now),
            Evidence::Media if call.needs_refresh(remote, now) => {
                self.demultiplexer.refresh(remote, now);
            }
            Evidence::Stream(ssrc) => {
                self.demultiplexer.refresh(remote, now);
                if !self.demultiplexer.learn_stream(slot, ssrc, now) {
                    call.bridge.forget_browser_ssrcs();
                }
            }
            Evidence::Media | Evidence::None => {}
        }
    }

    /// Takes the user name fragments that a call has now, with a restart of ICE or after it.
    pub(super) fn learn_ufrags(&mut self, slot: usize) -> Result<(), CloseReason> {
        let Some(call) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(());
        };
        let ufrags = call.bridge.local_ufrags();
        match self.demultiplexer.set_ufrags(slot, ufrags) {
            true => Ok(()),
            false => Err(CloseReason::Conflict),
        }
    }

    /// Takes a call out and forgets all that finds it.
    pub(super) fn remove(&mut self, slot: usize) -> Option<Slot> {
        let mut call = self.slots.get_mut(slot)?.take()?;
        self.timers.set(&mut call.timer, &slot, None);
        self.demultiplexer.remove(slot);
        self.keys.remove(&call.key);
        self.free.push(slot);
        Some(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_call_with_a_known_key_or_ufrag_has_no_slot() {
        let mut calls = CallTable::default();
        assert_eq!(calls.reserve(CallKey(1), ["one"].into_iter()), Some(0));
        assert_eq!(calls.reserve(CallKey(1), ["other"].into_iter()), None);
        assert_eq!(calls.reserve(CallKey(2), ["one"].into_iter()), None);
        let both = ["two", "one"].into_iter();
        assert_eq!(calls.reserve(CallKey(2), both), None);
        assert_eq!(calls.reserve(CallKey(2), ["two"].into_iter()), Some(1));
        assert_eq!(calls.find(CallKey(1)), Some(0));
        assert_eq!(calls.find(CallKey(2)), Some(1));
        assert_eq!(calls.find(CallKey(3)), None);
    }
}
