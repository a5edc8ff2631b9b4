//! The RTP sender: packets of one stream, with its numbers and timestamps, queued to be fetched.

use super::StreamIdentity;
use super::event_receiver::LONGEST_SEGMENT;
use super::send_queue::SendQueue;
use super::timestamp_mapping::TimestampMapping;
use crate::codec::{AudioFormat, Codec, EventFormat};
use crate::rtp::{HEADER_LENGTH, Header, Packet, TelephoneEvent, scale};
use std::time::Instant;

/// A telephone event that is being sent: one key from press to release.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventStream {
    format: EventFormat,
    event: u8,
    volume: u8,
    /// Timestamp of the present segment.
    timestamp: u32,
    /// Ticks of the segments before it.
    earlier: u32,
    begun: bool,
}

impl EventStream {
    /// An event that begins at `timestamp` of our stream.
    pub(super) fn new(format: EventFormat, event: u8, volume: u8, timestamp: u32) -> Self {
        EventStream {
            format,
            event,
            volume,
            timestamp,
            earlier: 0,
            begun: false,
        }
    }

    /// Clock of its durations.
    pub(super) fn clock_rate(&self) -> u32 {
        self.format.clock_rate
    }
}

/// Counts of what was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) packets: u64,
    pub(super) octets: u64,
    pub(super) overflow: u64,
    pub(super) unencodable: u64,
}

/// One stream that is sent.
#[derive(Debug)]
pub(super) struct RtpSender {
    mapping: TimestampMapping,
    codec: Codec,
    payload_type: u8,
    /// The direction in SDP, where nothing may be sent.
    refusal: Option<&'static str>,
    /// Ticks of silence that filled the last packet: a gap after it is that much shorter.
    filled: i64,
    queue: SendQueue,
    sent: Sent,
    /// The packet sent last was of a telephone event.
    after_event: bool,
}

impl RtpSender {
    pub(super) fn new(to: &AudioFormat, identity: StreamIdentity) -> Self {
        RtpSender {
            mapping: TimestampMapping::new(identity, to.send.codec.clock_rate()),
            codec: to.send.codec,
            payload_type: to.send.payload_type,
            refusal: refusal(to),
            filled: 0,
            queue: SendQueue::new(),
            sent: Sent::default(),
            after_event: false,
        }
    }

    /// Takes new formats; the stream goes on.
    pub(super) fn reconfigure(&mut self, to: &AudioFormat) {
        if self.codec != to.send.codec {
            self.mapping.begin_talkspurt();
        }
        self.mapping.set_clock_rate(to.send.codec.clock_rate());
        self.codec = to.send.codec;
        self.payload_type = to.send.payload_type;
        self.refusal = refusal(to);
    }

    pub(super) fn mapping(&self) -> &TimestampMapping {
        &self.mapping
    }

    pub(super) fn mapping_mut(&mut self) -> &mut TimestampMapping {
        &mut self.mapping
    }

    /// The clock of the timestamps.
    pub(super) fn clock_rate(&self) -> u32 {
        self.mapping.clock_rate()
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// The negotiated direction, where it does not allow to send.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        self.refusal
    }

    pub(super) fn sent(&self) -> Sent {
        self.sent
    }

    /// The next packet, into `out`, which is cleared first.
    pub(super) fn pop(&mut self, out: &mut Vec<u8>) -> bool {
        self.queue.pop(out)
    }

    /// Whether the packet sent last was of a telephone event.
    pub(super) fn is_after_event(&self) -> bool {
        self.after_event
    }

    /// Relays a packet after `gap` ticks, with `lost` sequence numbers missing before it.
    pub(super) fn relay(
        &mut self,
        packet: &Packet<'_>,
        lost: u64,
        gap: i64,
        ticks: u32,
        now: Instant,
    ) {
        self.mapping.skip_sequence(lost);
        self.advance_over_gap(gap);
        self.mapping.end_digits();
        let header = self
            .mapping
            .audio_header(self.payload_type, packet.marker, now);
        self.mapping.advance(i64::from(ticks));
        self.send(header, packet.payload);
    }

    /// Relays a packet that was overtaken, with the numbers that were left free for it.
    pub(super) fn relay_late(&mut self, packet: &Packet<'_>, sequence: u16, timestamp: u32) {
        let header = Header {
            marker: packet.marker,
            payload_type: self.payload_type,
            sequence,
            timestamp,
            ssrc: self.mapping.ssrc(),
        };
        self.send(header, packet.payload);
    }

    /// Audio comes next: after digits it goes on where they ended.
    pub(super) fn begin_audio(&mut self) {
        self.filled = 0;
        self.mapping.end_digits();
    }

    /// A packet of `ticks` of audio at the position of the stream: its header, to which the payload
    /// is to be appended. Then [`Self::queue`] or [`Self::give_up`].
    pub(super) fn audio_packet(&mut self, ticks: i64, now: Instant) -> Vec<u8> {
        let header = self.mapping.audio_header(self.payload_type, false, now);
        self.mapping.advance(ticks);
        self.buffer(header)
    }

    /// A packet of `ticks` at `timestamp`, in place of audio: likewise. Audio goes on after it.
    pub(super) fn packet_at(&mut self, timestamp: u32, ticks: u32, now: Instant) -> Vec<u8> {
        let payload_type = self.payload_type;
        let header = self.mapping.header(payload_type, false, timestamp, now);
        self.mapping.raise_floor(timestamp.wrapping_add(ticks));
        self.buffer(header)
    }

    /// The last packet was filled with so many ticks of silence.
    pub(super) fn set_filled(&mut self, ticks: i64) {
        self.filled = ticks;
    }

    /// Time that is not sent.
    pub(super) fn advance_over_gap(&mut self, ticks: i64) {
        let filled = std::mem::take(&mut self.filled);
        self.mapping.advance((ticks - filled).max(0));
    }

    /// Sends an update: the key has been down for `ticks` of the event's clock. A press longer
    /// than a segment can tell goes on in another (RFC 4733 section 2.5.1.3).
    pub(super) fn send_event(
        &mut self,
        stream: &mut EventStream,
        ticks: u32,
        end: bool,
        now: Instant,
    ) {
        while ticks.saturating_sub(stream.earlier) > LONGEST_SEGMENT {
            self.send_event_packet(stream, LONGEST_SEGMENT as u16, false, now);
            stream.earlier += LONGEST_SEGMENT;
            stream.timestamp = self.after(stream, LONGEST_SEGMENT);
        }
        let duration = ticks.saturating_sub(stream.earlier);
        self.send_event_packet(stream, duration as u16, end, now);
        let reached = self.after(stream, duration);
        self.mapping.raise_floor(reached);
    }

    /// Queues a packet that was begun by [`Self::audio_packet`] or [`Self::packet_at`].
    pub(super) fn queue(&mut self, packet: Vec<u8>) {
        self.after_event = false;
        self.sent.packets += 1;
        self.sent.octets += packet.len().saturating_sub(HEADER_LENGTH) as u64;
        self.sent.overflow += u64::from(self.queue.push(packet));
    }

    /// Does not send a packet whose samples could not be encoded.
    pub(super) fn give_up(&mut self, packet: Vec<u8>) {
        self.sent.unencodable += 1;
        self.queue.give_back(packet);
    }

    fn after(&self, stream: &EventStream, ticks: u32) -> u32 {
        let rate = self.mapping.clock_rate();
        let ticks = scale(i64::from(ticks), stream.format.clock_rate, rate);
        stream.timestamp.wrapping_add(ticks as u32)
    }

    fn send_event_packet(
        &mut self,
        stream: &mut EventStream,
        duration: u16,
        end: bool,
        now: Instant,
    ) {
        let marker = !std::mem::replace(&mut stream.begun, true);
        let payload_type = stream.format.payload_type;
        let header = self
            .mapping
            .header(payload_type, marker, stream.timestamp, now);
        let event = TelephoneEvent {
            event: stream.event,
            end,
            volume: stream.volume,
            duration,
        };
        let mut packet = self.buffer(header);
        event.write(&mut packet);
        self.queue(packet);
        self.after_event = true;
    }

    fn send(&mut self, header: Header, payload: &[u8]) {
        let mut packet = self.buffer(header);
        packet.extend_from_slice(payload);
        self.queue(packet);
    }

    fn buffer(&mut self, header: Header) -> Vec<u8> {
        let mut packet = self.queue.buffer();
        header.write(&mut packet);
        packet
    }
}

/// The direction, where nothing may be sent to a side.
fn refusal(to: &AudioFormat) -> Option<&'static str> {
    (!to.direction.sends()).then(|| to.direction.attribute())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::pipeline::tests::support::{
        EVENT_8, FIRST_SEQUENCE, FIRST_TIMESTAMP, PCMU, identity, side, start,
    };

    fn sent(sender: &mut RtpSender) -> Vec<(u16, u32, u8)> {
        let mut out = Vec::new();
        let mut all = Vec::new();
        while sender.pop(&mut out) {
            let packet = Packet::parse(&out).expect("the sender writes RTP");
            all.push((packet.sequence, packet.timestamp, packet.payload_type));
        }
        all
    }

    #[test]
    fn overtaken_packet_has_the_number_left_free() {
        let now = start();
        let mut sender = RtpSender::new(&side(Codec::Pcmu), identity());
        let packet = |sequence| Packet {
            marker: false,
            payload_type: 96,
            sequence,
            timestamp: 0,
            ssrc: 7,
            payload: &[0xff; 160],
            bytes: &[],
        };
        sender.relay(&packet(1), 0, 0, 160, now);
        sender.relay(&packet(3), 1, 160, 160, now);
        let (sequence, timestamp) = (FIRST_SEQUENCE, FIRST_TIMESTAMP);
        sender.relay_late(&packet(2), sequence + 1, timestamp.wrapping_add(160));
        assert_eq!(
            sent(&mut sender),
            [
                (sequence, timestamp, PCMU),
                (sequence + 2, timestamp.wrapping_add(320), PCMU),
                (sequence + 1, timestamp.wrapping_add(160), PCMU),
            ]
        );
    }

    #[test]
    fn long_event_goes_on_in_another_segment() {
        let now = start();
        let mut sender = RtpSender::new(&side(Codec::Pcmu), identity());
        let format = side(Codec::Pcmu).send_events.expect("a side has events");
        let mut stream = EventStream::new(format, 5, 10, 1_000);
        sender.send_event(&mut stream, 0x1_0000, false, now);
        let events = sent(&mut sender);
        assert_eq!(events.len(), 2);
        assert_eq!((events[0].1, events[0].2), (1_000, EVENT_8));
        assert_eq!(events[1].1, 1_000 + LONGEST_SEGMENT);
        assert!(sender.is_after_event());
    }

    #[test]
    fn packet_that_is_given_up_is_counted_and_not_sent() {
        let mut sender = RtpSender::new(&side(Codec::Pcmu), identity());
        let packet = sender.audio_packet(160, start());
        sender.give_up(packet);
        assert!(sent(&mut sender).is_empty());
        assert_eq!((sender.sent().packets, sender.sent().unencodable), (0, 1));
    }
}
