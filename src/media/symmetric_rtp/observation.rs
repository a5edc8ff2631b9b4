//! Whether one source with an address of neither SDP nor SIP is consistent enough to be heard.
//!
//! Within [`Latching::heard_after`](crate::media::Latching::heard_after) there must be one such
//! source alone, with one SSRC and a continuous sequence. Every packet of another source, and every
//! packet from an address of SDP or SIP, begins the time anew.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::media::SETTLE_PACKETS;

/// How far the sequence may jump ahead by loss, and back by reordering.
const GAP: u16 = 32;

/// The longest pause in a stream; DTX pauses for 400 ms (RFC 7587 section 3.1.3).
const PAUSE: Duration = Duration::from_secs(1);

/// A stream under observation.
#[derive(Clone, Copy, Debug)]
struct Stream {
    source: SocketAddr,
    ssrc: u32,
    newest: u16,
    packets: u32,
    first: Instant,
    last: Instant,
}

/// What a packet has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The observation begins anew with it: another source or stream was there before.
    Begun,
    /// The source is under observation.
    Goes,
    /// The source is consistent and may be heard.
    Proved,
}

/// The observation of one source at most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Observation(Option<Stream>);

impl Observation {
    pub(super) const fn new() -> Self {
        Observation(None)
    }

    /// Forgets the source.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Counts a packet of a negotiated payload type. After [`Outcome::Proved`] it begins anew.
    pub(super) fn count(
        &mut self,
        source: SocketAddr,
        ssrc: u32,
        sequence: u16,
        after: Duration,
        now: Instant,
    ) -> Outcome {
        let fresh = Stream {
            source,
            ssrc,
            newest: sequence,
            packets: 1,
            first: now,
            last: now,
        };
        let paused = |stream: &Stream| now.saturating_duration_since(stream.last) > PAUSE;
        let Some(stream) = self.0.as_mut().filter(|stream| !paused(stream)) else {
            self.0 = Some(fresh);
            return Outcome::Goes;
        };
        let ahead = sequence.wrapping_sub(stream.newest);
        let behind = stream.newest.wrapping_sub(sequence);
        if stream.source != source || stream.ssrc != ssrc || ahead.min(behind) > GAP {
            *stream = fresh;
            return Outcome::Begun;
        }
        // A packet that comes twice or late proves nothing.
        if (1..=GAP).contains(&ahead) {
            stream.newest = sequence;
            stream.packets = stream.packets.saturating_add(1);
            stream.last = now;
        }
        let lasted = now.saturating_duration_since(stream.first) >= after;
        if stream.packets < SETTLE_PACKETS || !lasted {
            return Outcome::Goes;
        }
        self.0 = None;
        Outcome::Proved
    }
}
