//! The RTP receiver: which stream it is, in which order packets are, and which are missing.

use super::Config;
use crate::audio::has_redundancy;
use crate::codec::{AudioFormat, Codec};
use crate::rtp::{
    Admission, Arrival, Compound, Packet, Reception, Reorder, ReportBlock, RtcpPacket,
    RtpTimestampExt,
};
use std::time::{Duration, Instant};

/// Longer than any audio packet that fits a network without fragments.
pub(super) const LARGEST_PACKET: usize = 2_048;
/// Comfort noise has a payload type of its own at 8 kHz (RFC 3389).
const COMFORT_NOISE: u8 = 13;
/// A jump of the timestamp is believed when it is no longer than the time that really passed
/// and this many seconds.
const BELIEVED_JUMP: i64 = 1;

/// What a payload type means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    Audio(Codec),
    /// A telephone event, and the clock of its durations.
    Event(u32),
    ComfortNoise,
}

/// The time before a packet, by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distance {
    /// Ticks between the end of the last packet and this one, and the clock that they count by.
    Ticks(i64, u32),
    /// The timestamp does not say: another source, another clock, a new base.
    Unknown,
}

/// Audio that was forwarded last.
#[derive(Clone, Copy, Debug)]
struct LastAudio {
    /// Timestamp directly after it.
    end: u32,
    clock_rate: u32,
    ticks: u32,
    arrived: Instant,
}

/// A packet whose turn it is, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received<'a> {
    /// Its extended sequence number.
    pub(super) number: u64,
    pub(super) packet: Packet<'a>,
    pub(super) payload: Payload,
}

/// What is to be done with a packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn<'a> {
    /// Its turn is now.
    Now(Received<'a>),
    /// Its turn was given up before it came.
    Late(Received<'a>),
    /// It waits in the reorder window, or came twice.
    Waits,
    /// Nothing is forwarded in the negotiated direction.
    Closed,
}

/// What the receiver counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReceiverCounts {
    pub(super) received: u64,
    pub(super) received_octets: u64,
    pub(super) duplicate: u64,
    pub(super) late: u64,
    pub(super) reordered: u64,
    pub(super) source_changes: u64,
    pub(super) oversize: u64,
    pub(super) malformed: u64,
    pub(super) unknown_payload_type: u64,
    pub(super) stray: u64,
    pub(super) direction: u64,
}

/// One stream that is received. The reorder window is its jitter buffer: it holds packets only
/// where one before them is missing.
#[derive(Debug)]
pub(super) struct RtpReceiver {
    format: AudioFormat,
    reception: Option<Reception>,
    reorder: Reorder,
    depth: usize,
    /// Number of the last packet forwarded.
    last_number: Option<u64>,
    /// Packets missing since audio was forwarded last.
    missing: u64,
    /// Something other than audio stood between: what is missing was not audio.
    interrupted: bool,
    audio: Option<LastAudio>,
    /// Lost in streams before this one.
    lost_before: u64,
    counts: ReceiverCounts,
}

impl RtpReceiver {
    pub(super) fn new(config: &Config, format: AudioFormat) -> Self {
        RtpReceiver {
            format,
            reception: None,
            reorder: Reorder::new(config.reorder_depth, config.reorder_window),
            depth: config.reorder_depth,
            last_number: None,
            missing: 0,
            interrupted: false,
            audio: None,
            lost_before: 0,
            counts: ReceiverCounts::default(),
        }
    }

    pub(super) fn set_format(&mut self, format: &AudioFormat) {
        self.format.clone_from(format);
    }

    /// Takes a plain RTP packet. Nothing where it is dropped; else whether another source or
    /// sequence begins with it, and its turn. `forwards`: the stages after this one may send.
    /// `relays` says of a payload that it goes on as it is.
    pub(super) fn handle_packet<'a>(
        &mut self,
        packet: &Packet<'a>,
        forwards: bool,
        relays: impl FnOnce(Codec, &[u8]) -> bool,
        now: Instant,
    ) -> Option<(bool, Turn<'a>)> {
        if packet.bytes.len() > LARGEST_PACKET {
            self.counts.oversize += 1;
            return None;
        }
        let Some(payload) = self.payload(packet.payload_type) else {
            self.counts.unknown_payload_type += 1;
            return None;
        };
        let is_other = self.change(packet.ssrc);
        let reception = self.reception.as_mut()?;
        let arrival = reception.receive(packet.sequence);
        let (number, behind) = match arrival {
            Arrival::Ahead(number) | Arrival::Restarted(number) => (number, false),
            Arrival::Behind(number) => (number, true),
            Arrival::Duplicate => {
                self.counts.duplicate += 1;
                return None;
            }
            Arrival::Suspect => {
                self.counts.stray += 1;
                return None;
            }
        };
        if let Payload::Audio(codec) = payload {
            reception.measure_jitter(packet.timestamp, codec.clock_rate(), now);
            // Waiting is for naught where the packet at hand rebuilds the one that is missing.
            let rebuilds = self.reorder.next() == number.checked_sub(1)
                && has_redundancy(codec, packet.payload);
            self.set_waiting(!rebuilds && !relays(codec, packet.payload));
        }
        self.counts.received += 1;
        self.counts.received_octets += packet.payload.len() as u64;
        let restarts = matches!(arrival, Arrival::Restarted(_));
        if restarts {
            self.restart();
        }
        let begins = is_other || restarts;
        self.counts.source_changes += u64::from(begins);
        if !forwards || !self.format.direction.receives() {
            self.counts.direction += 1;
            self.pause();
            return Some((begins, Turn::Closed));
        }
        let received = Received {
            number,
            packet: *packet,
            payload,
        };
        let turn = match self.reorder.push(number, packet.bytes, now) {
            Admission::Next => {
                self.counts.reordered += u64::from(behind);
                self.take_turn(number);
                Turn::Now(received)
            }
            Admission::Held => Turn::Waits,
            Admission::Duplicate => {
                self.counts.duplicate += 1;
                Turn::Waits
            }
            Admission::Late => Turn::Late(received),
        };
        Some((begins, turn))
    }

    /// Counts a packet that is no RTP.
    pub(super) fn count_malformed(&mut self) {
        self.counts.malformed += 1;
    }

    /// The next packet that need not wait any more, moved into `bytes`: its number, for
    /// [`Self::read_released`].
    pub(super) fn release(&mut self, now: Instant, bytes: &mut Vec<u8>) -> Option<u64> {
        self.reorder.poll(now, bytes)
    }

    /// Reads a released packet, whose turn is now: formats may have changed while it waited.
    pub(super) fn read_released<'a>(
        &mut self,
        number: u64,
        bytes: &'a [u8],
    ) -> Option<Received<'a>> {
        let packet = Packet::parse(bytes).ok()?;
        let payload = self.payload(packet.payload_type)?;
        self.take_turn(number);
        Some(Received {
            number,
            packet,
            payload,
        })
    }

    /// When [`Self::release`] has a packet at the latest.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.reorder.poll_timeout()
    }

    pub(super) fn counts(&self) -> ReceiverCounts {
        self.counts
    }

    /// Counts a late packet, which was of use or not.
    pub(super) fn count_late(&mut self, used: bool) {
        self.counts.reordered += u64::from(used);
        self.counts.late += u64::from(!used);
    }

    /// Takes a plain compound RTCP packet of the source, for its sender reports.
    pub(super) fn handle_rtcp(&mut self, packet: &[u8], now: Instant) {
        for packet in Compound::new(packet).flatten() {
            if let RtcpPacket::SenderReport { ssrc, info, .. } = packet
                && let Some(reception) = &mut self.reception
                && reception.ssrc() == ssrc
            {
                reception.handle_sender_report(info.ntp, now);
            }
        }
    }

    /// The report about what came since the last call. `None` before the first packet.
    pub(super) fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        self.reception.as_mut()?.report(now)
    }

    /// Interarrival jitter.
    pub(super) fn jitter(&self) -> Duration {
        let jitter = self.reception.as_ref().map(Reception::jitter);
        jitter.unwrap_or_default()
    }

    /// Packets missing since audio was forwarded last.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// Packets of audio that were lost before the one whose turn it is.
    pub(super) fn lost_audio(&self) -> u64 {
        if self.interrupted { 0 } else { self.missing }
    }

    /// The packet whose turn it is cannot be decoded: it is missing too.
    pub(super) fn count_missing(&mut self) {
        self.missing += 1;
    }

    /// What `payload_type` means here.
    fn payload(&self, payload_type: u8) -> Option<Payload> {
        let audio = self.format.receive.iter();
        let audio = audio.map(|one| (one.payload_type, Payload::Audio(one.codec)));
        let events = self.format.receive_events.iter();
        let events = events.map(|one| (one.payload_type, Payload::Event(one.clock_rate)));
        audio
            .chain(events)
            .chain([(COMFORT_NOISE, Payload::ComfortNoise)])
            .find_map(|(known, payload)| (known == payload_type).then_some(payload))
    }

    /// Whether the packet is of another stream than those before; then it begins anew, and
    /// only the first stream is no change.
    fn change(&mut self, ssrc: u32) -> bool {
        let before = self.reception.as_ref().map(Reception::ssrc);
        if before == Some(ssrc) {
            return false;
        }
        self.lost_before = self.lost();
        self.reception = Some(Reception::new(ssrc));
        self.restart();
        before.is_some()
    }

    /// Numbers and timestamps begin anew.
    fn restart(&mut self) {
        self.pause();
        self.audio = None;
    }

    /// What comes is not forwarded for a while: nothing that is missing then was lost.
    fn pause(&mut self) {
        self.reorder.reset();
        self.last_number = None;
        self.missing = 0;
    }

    /// A packet whose turn it is: counts those missing before it.
    fn take_turn(&mut self, number: u64) {
        if let Some(last) = self.last_number {
            self.missing += number.saturating_sub(last + 1);
        }
        self.last_number = Some(number);
    }

    /// Whether early packets wait. Where packets are relayed, the far end puts them in order
    /// and conceals what is lost, and waiting would only cost time.
    fn set_waiting(&mut self, waits: bool) {
        self.reorder.set_depth(if waits { self.depth } else { 1 });
    }

    /// The time between the last audio and a packet at `timestamp`.
    pub(super) fn distance(&self, timestamp: u32, clock_rate: u32, now: Instant) -> Distance {
        let Some(last) = self.audio.filter(|last| last.clock_rate == clock_rate) else {
            return Distance::Unknown;
        };
        let ticks = i64::from(timestamp.since(last.end));
        let elapsed = now.saturating_duration_since(last.arrived).as_secs() as i64;
        let believed = (elapsed + BELIEVED_JUMP + 1) * i64::from(clock_rate);
        if (0..=believed).contains(&ticks) {
            Distance::Ticks(ticks, clock_rate)
        } else {
            Distance::Unknown
        }
    }

    /// What the last audio packet lasted, ticks of its codec.
    pub(super) fn last_ticks(&self) -> Option<u32> {
        self.audio.map(|last| last.ticks)
    }

    /// The clock of the stream's timestamps, once audio has come.
    pub(super) fn clock_rate(&self) -> Option<u32> {
        self.audio.map(|last| last.clock_rate)
    }

    /// Audio was forwarded.
    pub(super) fn forwarded(&mut self, timestamp: u32, ticks: u32, clock_rate: u32, now: Instant) {
        self.audio = Some(LastAudio {
            end: timestamp.wrapping_add(ticks),
            clock_rate,
            ticks,
            arrived: now,
        });
        self.missing = 0;
        self.interrupted = false;
    }

    /// Something came that is not forwarded as audio.
    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
        self.missing = 0;
    }

    /// Lost since the pipeline's beginning.
    pub(super) fn lost(&self) -> u64 {
        self.lost_before + self.reception.as_ref().map_or(0, Reception::lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::pipeline::tests::support::{Talker, ms, side, start};

    fn receiver() -> RtpReceiver {
        RtpReceiver::new(&Config::default(), side(Codec::Pcmu))
    }

    fn handle<'a>(
        receiver: &mut RtpReceiver,
        packet: &'a [u8],
        now: Instant,
    ) -> Option<(bool, Turn<'a>)> {
        let packet = Packet::parse(packet).expect("RTP");
        receiver.handle_packet(&packet, true, |_, _| false, now)
    }

    #[test]
    fn packet_that_came_early_waits_until_the_window_is_over() {
        let now = start();
        let mut receiver = receiver();
        let mut talker = Talker::tone(Codec::Pcmu, 400.0);
        let first = talker.audio();
        let turn = handle(&mut receiver, &first, now);
        assert!(matches!(turn, Some((false, Turn::Now(_)))));
        receiver.forwarded(0, 160, 8_000, now);
        talker.audio();
        let early = talker.audio();
        let turn = handle(&mut receiver, &early, now);
        assert_eq!(turn, Some((false, Turn::Waits)));
        let due = receiver.poll_timeout().expect("a packet waits");
        assert_eq!(due, now + ms(40));
        let mut bytes = Vec::new();
        assert_eq!(receiver.release(now, &mut bytes), None);
        let number = receiver.release(due, &mut bytes).expect("it is due");
        assert!(receiver.read_released(number, &bytes).is_some());
        assert_eq!(receiver.lost_audio(), 1);
    }

    #[test]
    fn packet_that_is_relayed_does_not_wait() {
        let now = start();
        let mut receiver = receiver();
        let mut talker = Talker::tone(Codec::Pcmu, 400.0);
        handle(&mut receiver, &talker.audio(), now);
        talker.audio();
        let early = talker.audio();
        let early = Packet::parse(&early).expect("RTP");
        receiver.handle_packet(&early, true, |_, _| true, now);
        assert!(receiver.release(now, &mut Vec::new()).is_some());
    }

    #[test]
    fn another_source_begins_and_nothing_of_it_was_lost() {
        let now = start();
        let mut receiver = receiver();
        let mut talker = Talker::tone(Codec::Pcmu, 400.0);
        handle(&mut receiver, &talker.audio(), now);
        (talker.ssrc, talker.sequence) = (2, 500);
        let packet = talker.audio();
        let turn = handle(&mut receiver, &packet, now);
        assert!(matches!(turn, Some((true, Turn::Now(_)))));
        assert_eq!((receiver.lost(), receiver.counts().source_changes), (0, 1));
    }

    #[test]
    fn packet_is_dropped_where_nothing_may_be_forwarded() {
        let now = start();
        let mut receiver = receiver();
        let mut talker = Talker::tone(Codec::Pcmu, 400.0);
        let packet = talker.audio();
        let packet = Packet::parse(&packet).expect("RTP");
        let turn = receiver.handle_packet(&packet, false, |_, _| false, now);
        assert_eq!(turn, Some((false, Turn::Closed)));
        assert_eq!(receiver.counts().direction, 1);
        let unknown = talker.packet(77, false, 0, &[0]);
        assert_eq!(handle(&mut receiver, &unknown, now), None);
        assert_eq!(receiver.counts().unknown_payload_type, 1);
    }

    #[test]
    fn jump_of_the_timestamp_is_believed_within_the_time_passed() {
        let now = start();
        let mut receiver = receiver();
        receiver.forwarded(1_000, 160, 8_000, now);
        let distance = |timestamp, clock_rate| receiver.distance(timestamp, clock_rate, now);
        assert_eq!(distance(1_320, 8_000), Distance::Ticks(160, 8_000));
        assert_eq!(distance(1_000, 8_000), Distance::Unknown);
        assert_eq!(distance(100_000, 8_000), Distance::Unknown);
        assert_eq!(distance(1_320, 48_000), Distance::Unknown);
    }
}
