//! Packets of silence where the source sends nothing, so that NATs keep the way open and the
//! receiver's RTP timeout does not end the call (RFC 6263).
//!
//! Of the ways of RFC 6263 section 4, PBXs count audio of the negotiated codec as life and
//! nothing else for certain: packets without payload, of other payload types and RTCP are
//! passed over by some. So it is silence, one packet each time; the receiver's jitter buffer
//! takes it as speech with gaps.

use super::Pipeline;
use std::time::{Duration, Instant};

/// When a packet is due.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    due: Instant,
    /// Packets that had been sent when this was looked at last.
    sent: u64,
}

impl KeepAlive {
    pub(super) fn poll_timeout(&self) -> Instant {
        self.due
    }
}

impl Pipeline {
    /// Sends a packet of silence from now on after each `interval` in which nothing was sent.
    pub fn keep_alive(&mut self, interval: Duration, now: Instant) {
        if self.keep_alive.is_none() && !interval.is_zero() {
            self.keep_alive = Some(KeepAlive {
                interval,
                due: now + interval,
                sent: self.output.sent().packets,
            });
        }
    }

    pub(super) fn run_keep_alive(&mut self, now: Instant) {
        let Some(keep_alive) = self
            .keep_alive
            .as_mut()
            .filter(|keep_alive| keep_alive.due <= now)
        else {
            return;
        };
        keep_alive.due = now + keep_alive.interval;
        let idle = self.output.sent().packets == keep_alive.sent;
        if idle && self.to_sends.is_none() && !self.sender.is_busy() {
            self.output.send_silence(now);
        }
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.sent = self.output.sent().packets;
        }
    }
}
