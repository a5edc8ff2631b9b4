//! Packets of silence where the source sends nothing, so that NATs keep their bindings and the
//! receiver's RTP timeout does not end the call (RFC 6263).
//!
//! Of the methods of RFC 6263 section 4, PBXs count audio of the negotiated codec as life and
//! nothing else for certain: packets without payload, of other payload types and RTCP are ignored
//! by some. So it is silence, one packet each time; the receiver's jitter buffer takes it as
//! speech with gaps.

use super::egress::Egress;
use std::time::{Duration, Instant};

/// When a packet is due.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    due: Instant,
    /// Packets that had been sent at the last check.
    sent: u64,
}

impl KeepAlive {
    pub(super) fn new(interval: Duration, egress: &Egress, now: Instant) -> Self {
        KeepAlive {
            interval,
            due: now + interval,
            sent: egress.sender().sent().packets,
        }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// Sends a packet of silence where it is due and nothing was sent since the last check;
    /// `allowed`: no digits are being sent.
    pub(super) fn handle_timeout(&mut self, allowed: bool, egress: &mut Egress, now: Instant) {
        if self.due > now {
            return;
        }
        self.due = now + self.interval;
        let idle = egress.sender().sent().packets == self.sent;
        if idle && allowed && egress.sender().refusal().is_none() {
            egress.send_silence(now);
        }
        self.sent = egress.sender().sent().packets;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::media::pipeline::Config;
    use crate::media::pipeline::tests::support::{identity, ms, side, start};

    #[test]
    fn silence_is_sent_after_an_interval_without_packets() {
        let now = start();
        let pcmu = side(Codec::Pcmu);
        let mut egress =
            Egress::new(&Config::default(), &pcmu, &pcmu, 8_000, identity()).expect("libopus");
        let mut keep_alive = KeepAlive::new(ms(1_000), &egress, now);
        let mut sent_at = |milliseconds, allowed, plays| {
            let now = now + ms(milliseconds);
            if plays {
                egress.play(&[0; 160], now);
            }
            let before = egress.sender().sent().packets;
            keep_alive.handle_timeout(allowed, &mut egress, now);
            egress.sender().sent().packets - before
        };
        assert_eq!(sent_at(999, true, false), 0);
        assert_eq!(sent_at(1_000, true, false), 1);
        assert_eq!(sent_at(2_000, true, true), 0, "audio was sent");
        assert_eq!(sent_at(3_000, false, false), 0, "digits are being sent");
        assert_eq!(sent_at(4_000, true, false), 1);
    }
}
