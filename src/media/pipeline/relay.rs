//! The arrangement receiver -> sender: payloads of the other side's codec go on as they are.

use super::receiver::{Payload, Received};
use super::sender::RtpSender;
use crate::rtp::RtpTimestampExt;
use std::time::Instant;

/// How packets that were relayed are numbered on both sides, so that one that was overtaken gets
/// the number left free for it.
#[derive(Clone, Copy, Debug)]
struct Numbering {
    /// The first packet numbered so.
    first: u64,
    /// The last one, its timestamp, and the two that it was sent with.
    number: u64,
    timestamp: u32,
    sent_sequence: u16,
    sent_timestamp: u32,
}

/// The relay.
#[derive(Debug, Default)]
pub(super) struct Relay {
    numbering: Option<Numbering>,
}

impl Relay {
    /// What comes next is numbered in another way.
    pub(super) fn reset(&mut self) {
        self.numbering = None;
    }

    /// Relays a packet of `ticks`, after a gap of so many ticks with `missing` packets in it.
    pub(super) fn forward(
        &mut self,
        received: &Received<'_>,
        ticks: u32,
        (missing, gap): (u64, i64),
        sender: &mut RtpSender,
        now: Instant,
    ) {
        let Received { number, packet, .. } = received;
        sender.relay(packet, missing, gap, ticks, now);
        let mapping = sender.mapping();
        self.numbering = Some(Numbering {
            first: self.numbering.map_or(*number, |numbering| numbering.first),
            number: *number,
            timestamp: packet.timestamp,
            sent_sequence: mapping.next_sequence().wrapping_sub(1),
            sent_timestamp: mapping.position().wrapping_sub(ticks),
        });
    }

    /// Relays a packet whose turn was given up, for the far end may still have the time; false
    /// where it has no number left.
    pub(super) fn forward_late(&self, received: &Received<'_>, sender: &mut RtpSender) -> bool {
        let Received {
            number,
            packet,
            payload,
        } = received;
        let Some(last) = self.numbering else {
            return false;
        };
        let is_between = (last.first..last.number).contains(number);
        if !is_between || *payload != Payload::Audio(sender.codec()) {
            return false;
        }
        let back = (last.number - number) as u16;
        let earlier = last.timestamp.since(packet.timestamp);
        sender.relay_late(
            packet,
            last.sent_sequence.wrapping_sub(back),
            last.sent_timestamp.wrapping_sub(earlier as u32),
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::media::pipeline::tests::support::{FIRST_SEQUENCE, PCMU, identity, side, start};
    use crate::rtp::Packet;

    fn received(number: u64) -> Received<'static> {
        Received {
            number,
            packet: Packet {
                marker: false,
                payload_type: PCMU,
                sequence: number as u16,
                timestamp: 160 * number as u32,
                ssrc: 7,
                payload: &[0xff; 160],
                bytes: &[],
            },
            payload: Payload::Audio(Codec::Pcmu),
        }
    }

    #[test]
    fn late_packet_is_relayed_between_those_numbered_alike() {
        let now = start();
        let mut sender = RtpSender::new(&side(Codec::Pcmu), identity());
        let mut relay = Relay::default();
        assert!(!relay.forward_late(&received(1), &mut sender));
        relay.forward(&received(5), 160, (0, 0), &mut sender, now);
        relay.forward(&received(7), 160, (1, 160), &mut sender, now);
        assert!(!relay.forward_late(&received(4), &mut sender));
        assert!(relay.forward_late(&received(6), &mut sender));
        relay.reset();
        assert!(!relay.forward_late(&received(6), &mut sender));
        let mut out = Vec::new();
        let mut sequences = Vec::new();
        while sender.pop(&mut out) {
            let packet = Packet::parse(&out).expect("the sender writes RTP");
            sequences.push(packet.sequence.wrapping_sub(FIRST_SEQUENCE));
        }
        assert_eq!(sequences, [0, 2, 1]);
    }
}
