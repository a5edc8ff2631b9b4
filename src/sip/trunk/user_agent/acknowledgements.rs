//! The ACKs of 2xx that are held: the last one of a leg, and those that went by TCP for their size.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::intervals::LIFETIME;
use super::outbound::Outbound;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::transaction::key::ClientKey;

/// Most ACKs held.
const LIMIT: usize = 1_000;

/// The last ACK of a leg, for a 2xx that comes again.
#[derive(Debug, Clone)]
pub struct Acknowledgement {
    /// Number of the INVITE.
    pub sequence: u32,
    pub(super) bytes: Bytes,
    pub(super) flow: Flow,
}

/// An ACK that went by TCP for its size.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) key: ClientKey,
    pub(super) until: Instant,
    pub(super) outbound: Outbound,
}

/// The ACKs that went by TCP for their size, the oldest first.
#[derive(Debug, Default)]
pub struct LargeAcknowledgements(VecDeque<Large>);

impl LargeAcknowledgements {
    pub(super) fn hold(&mut self, key: ClientKey, outbound: Outbound, now: Instant) {
        while self.0.len() >= LIMIT || self.0.front().is_some_and(|first| first.until <= now) {
            self.0.pop_front();
        }
        let until = now + LIFETIME;
        self.0.push_back(Large {
            key,
            until,
            outbound,
        });
    }

    pub(super) fn take_if(&mut self, wanted: impl Fn(&Large) -> bool) -> Option<Outbound> {
        let at = self.0.iter().rposition(wanted)?;
        self.0.remove(at).map(|large| large.outbound)
    }
}
