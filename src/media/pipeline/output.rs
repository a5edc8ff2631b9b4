//! What goes to the other side: audio passed on or encoded, telephone events, tones.

use super::decoder_stage::samples_of;
use super::key_press::LONGEST_SEGMENT;
use super::outbox::Outbox;
use super::timeline::Timeline;
use super::{Config, StreamIdentity};
use crate::audio::{self, Encoder, EncoderSettings, Tone};
use crate::codec::{AudioFormat, Codec, EventFormat, SendFormat};
use crate::rtp::{Header, Packet, TelephoneEvent, scale};
use std::time::{Duration, Instant};

/// The longest packet time of the table of formats.
const LONGEST_PTIME: u8 = 60;

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

/// The sending half of a pipeline.
#[derive(Debug)]
pub(super) struct Output {
    timeline: Timeline,
    format: SendFormat,
    audio_rate: u32,
    /// None where both sides have the same codec: nothing is encoded.
    encoder: Option<Encoder>,
    /// Samples of the packet that is not full yet; the position is that of the first.
    pending: Vec<i16>,
    /// Ticks of silence that filled the last packet: a gap after it is that much shorter.
    filled: i64,
    outbox: Outbox,
    sent: Sent,
    /// The packet sent last was of a telephone event.
    after_event: bool,
    loss: f32,
    opus_complexity: u8,
}

impl Output {
    pub(super) fn new(
        config: &Config,
        from: &AudioFormat,
        to: &AudioFormat,
        audio_rate: u32,
        identity: StreamIdentity,
    ) -> Result<Self, audio::Error> {
        let mut output = Output {
            timeline: Timeline::new(identity, to.send.codec.clock_rate()),
            format: to.send,
            audio_rate,
            encoder: None,
            pending: Vec::with_capacity(2 * samples_of(LONGEST_PTIME.into(), audio_rate)),
            filled: 0,
            outbox: Outbox::new(),
            sent: Sent::default(),
            after_event: false,
            loss: 0.0,
            opus_complexity: config.opus_complexity,
        };
        output.prepare(from, to, audio_rate)?;
        Ok(output)
    }

    /// Takes new formats; the stream goes on.
    pub(super) fn reconfigure(
        &mut self,
        from: &AudioFormat,
        to: &AudioFormat,
        audio_rate: u32,
        now: Option<Instant>,
    ) -> Result<(), audio::Error> {
        match now {
            Some(now) if to.send != self.format || audio_rate != self.audio_rate => self.flush(now),
            _ => {}
        }
        self.prepare(from, to, audio_rate)
    }

    fn prepare(
        &mut self,
        from: &AudioFormat,
        to: &AudioFormat,
        audio_rate: u32,
    ) -> Result<(), audio::Error> {
        let codec = to.send.codec;
        let settings = EncoderSettings {
            complexity: self.opus_complexity,
            maximum_bitrate: to.send.opus.max_average_bitrate,
            inband_fec: to.send.opus.inband_fec,
            constant_bitrate: to.send.opus.constant_bitrate,
        };
        if codec != self.format.codec || audio_rate != self.audio_rate {
            self.encoder = None;
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.set_settings(settings)?;
        } else {
            let transcodes = from.receive.iter().any(|one| one.codec != codec);
            let cuts = codec.format().constant_bitrate.is_some();
            // DTMF is sent as tones where the other side knows no events.
            if transcodes || cuts || to.send_events.is_none() {
                let mut encoder = Encoder::new(codec, audio_rate, settings)?;
                encoder.set_loss(self.loss);
                self.encoder = Some(encoder);
            }
        }
        let samples = 2 * samples_of(LONGEST_PTIME.into(), audio_rate);
        self.pending
            .reserve(samples.saturating_sub(self.pending.len()));
        self.audio_rate = audio_rate;
        if self.format.codec != to.send.codec {
            self.timeline.begin_talkspurt();
        }
        self.timeline.set_clock_rate(to.send.codec.clock_rate());
        self.format = to.send;
        Ok(())
    }

    pub(super) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    pub(super) fn timeline_mut(&mut self) -> &mut Timeline {
        &mut self.timeline
    }

    /// The rate of the samples that are played.
    pub(super) fn audio_rate(&self) -> u32 {
        self.audio_rate
    }

    pub(super) fn codec(&self) -> Codec {
        self.format.codec
    }

    pub(super) fn sent(&self) -> Sent {
        self.sent
    }

    pub(super) fn pop(&mut self, out: &mut Vec<u8>) -> bool {
        self.outbox.pop(out)
    }

    /// Loss that the encoder reckons with, 0 to 1.
    pub(super) fn loss(&self) -> f32 {
        self.loss
    }

    /// Loss that the encoder shall reckon with, 0 to 1.
    pub(super) fn set_loss(&mut self, fraction: f32) {
        self.loss = fraction;
        if let Some(encoder) = &mut self.encoder {
            encoder.set_loss(fraction);
        }
    }

    /// What was encoded so far did not get to the decoder: the next packet does not build on it.
    pub(super) fn begin_encoding_anew(&mut self) {
        if let Some(encoder) = &mut self.encoder {
            encoder.reset();
        }
    }

    /// What a packet of ours lasts.
    pub(super) fn packet_time(&self) -> Duration {
        Duration::from_millis(self.frame_samples() as u64 * 1_000 / u64::from(self.audio_rate))
    }

    /// Ticks that wait in the packet that is not full yet.
    pub(super) fn pending_ticks(&self) -> i64 {
        self.ticks(self.pending.len())
    }

    /// Whether a payload of the same codec can be passed on as it is. Where the length of a payload
    /// tells its time it is cut and joined if the other side asked for another ptime.
    pub(super) fn passes(&self, codec: Codec, payload: &[u8]) -> bool {
        codec == self.format.codec
            && (codec.format().constant_bitrate.is_none()
                || (self.pending.is_empty() && self.is_one_packet(codec, payload)))
    }

    fn is_one_packet(&self, codec: Codec, payload: &[u8]) -> bool {
        let ticks = audio::payload_ticks(codec, payload);
        ticks.is_some_and(|ticks| i64::from(ticks) == self.ticks(self.frame_samples()))
    }

    /// Passes a packet on after `gap` ticks, with `lost` sequence numbers missing before it.
    pub(super) fn pass(
        &mut self,
        packet: &Packet<'_>,
        lost: u64,
        gap: i64,
        ticks: u32,
        now: Instant,
    ) {
        self.timeline.skip_sequence(lost);
        self.advance_over_gap(gap);
        self.timeline.settle();
        let header = self
            .timeline
            .audio_header(self.format.payload_type, packet.marker, now);
        self.timeline.advance(i64::from(ticks));
        self.send(header, packet.payload);
    }

    /// Passes on a packet that was overtaken, with the numbers that were left free for it.
    pub(super) fn pass_late(&mut self, packet: &Packet<'_>, sequence: u16, timestamp: u32) {
        let header = Header {
            marker: packet.marker,
            payload_type: self.format.payload_type,
            sequence,
            timestamp,
            ssrc: self.timeline.ssrc(),
        };
        self.send(header, packet.payload);
    }

    /// Takes samples that follow those before; sends each packet that is full.
    pub(super) fn play(&mut self, samples: &[i16], now: Instant) {
        if samples.is_empty() {
            return;
        }
        self.filled = 0;
        self.timeline.settle();
        let frame = self.frame_samples();
        let mut rest = samples;
        while self.pending.len() + rest.len() >= frame {
            let (part, after) = rest.split_at(frame.saturating_sub(self.pending.len()));
            self.pending.extend_from_slice(part);
            rest = after;
            self.send_frame(now);
        }
        self.pending.extend_from_slice(rest);
    }

    /// Nothing for `ticks`: what waits is sent, filled up with silence.
    pub(super) fn gap(&mut self, ticks: i64, now: Instant) {
        if ticks <= 0 {
            return;
        }
        let missing = self.frame_samples().saturating_sub(self.pending.len());
        if !self.pending.is_empty() && ticks < self.ticks(missing) {
            let silence = scale(ticks, self.timeline.clock_rate(), self.audio_rate) as usize;
            self.pending.resize(self.pending.len() + silence, 0);
            return;
        }
        self.flush(now);
        self.advance_over_gap(ticks);
        self.timeline.begin_talkspurt();
    }

    /// Sends what waits, filled up with silence.
    pub(super) fn flush(&mut self, now: Instant) {
        if self.pending.is_empty() {
            return;
        }
        let frame = self.frame_samples();
        let silence = frame.saturating_sub(self.pending.len());
        self.filled = self.ticks(silence);
        self.timeline.settle();
        self.pending.resize(frame, 0);
        self.send_frame(now);
    }

    /// Begins an event at `timestamp` of our stream.
    pub(super) fn event(
        &self,
        format: EventFormat,
        event: u8,
        volume: u8,
        timestamp: u32,
    ) -> EventStream {
        EventStream {
            format,
            event,
            volume,
            timestamp,
            earlier: 0,
            begun: false,
        }
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
        self.timeline.raise_floor(reached);
    }

    fn after(&self, stream: &EventStream, ticks: u32) -> u32 {
        let rate = self.timeline.clock_rate();
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
            .timeline
            .header(payload_type, marker, stream.timestamp, now);
        let event = TelephoneEvent {
            event: stream.event,
            end,
            volume: stream.volume,
            duration,
        };
        let mut packet = self.outbox.buffer();
        header.write(&mut packet);
        event.write(&mut packet);
        self.queue(packet);
        self.after_event = true;
    }

    /// Sends one packet of silence where the last packet was of an event: two keys are never
    /// without audio between them. There are receivers that take the first packet after another
    /// payload type as the key, and nothing after it (baresip 1.1).
    pub(super) fn separate_events(&mut self, now: Instant) -> bool {
        let needed = self.after_event;
        if needed {
            self.send_silence(now);
        }
        needed
    }

    /// Sends one packet of `tone` at `timestamp`; returns the timestamp after it.
    pub(super) fn send_tone(&mut self, tone: &mut Tone, timestamp: u32, now: Instant) -> u32 {
        let frame = self.frame_samples();
        // The caller has flushed: what waits is empty and lends its buffer.
        self.pending.resize(frame, 0);
        tone.fill(&mut self.pending);
        let header = self
            .timeline
            .header(self.format.payload_type, false, timestamp, now);
        self.encode(header);
        let reached = timestamp.wrapping_add(self.ticks(frame) as u32);
        self.timeline.raise_floor(reached);
        reached
    }

    /// Sends one packet of silence where the stream would be by now; audio goes on after it.
    pub(super) fn send_silence(&mut self, now: Instant) {
        self.flush(now);
        let timestamp = self.timeline.digits_begin(now);
        let codec = self.format.codec;
        if let Some(payload) = audio::silent_payload(codec) {
            let payload_type = self.format.payload_type;
            let header = self.timeline.header(payload_type, false, timestamp, now);
            self.send(header, payload);
            let ticks = audio::payload_ticks(codec, payload).unwrap_or_default();
            self.timeline.raise_floor(timestamp.wrapping_add(ticks));
        } else {
            self.send_tone(&mut Tone::new(&[], self.audio_rate), timestamp, now);
        }
    }

    fn send_frame(&mut self, now: Instant) {
        let header = self
            .timeline
            .audio_header(self.format.payload_type, false, now);
        let ticks = self.ticks(self.pending.len());
        self.timeline.advance(ticks);
        self.encode(header);
    }

    /// Encodes what waits as one packet.
    fn encode(&mut self, header: Header) {
        let mut packet = self.outbox.buffer();
        header.write(&mut packet);
        let encoded = match &mut self.encoder {
            Some(encoder) => encoder.encode(&self.pending, &mut packet),
            None => false,
        };
        self.pending.clear();
        if encoded {
            self.queue(packet);
        } else {
            self.sent.unencodable += 1;
            self.outbox.give_back(packet);
        }
    }

    fn send(&mut self, header: Header, payload: &[u8]) {
        let mut packet = self.outbox.buffer();
        header.write(&mut packet);
        packet.extend_from_slice(payload);
        self.queue(packet);
    }

    fn queue(&mut self, packet: Vec<u8>) {
        self.after_event = false;
        self.sent.packets += 1;
        self.sent.octets += packet.len().saturating_sub(crate::rtp::HEADER_LENGTH) as u64;
        self.sent.overflow += u64::from(self.outbox.push(packet));
    }

    fn advance_over_gap(&mut self, ticks: i64) {
        let filled = std::mem::take(&mut self.filled);
        self.timeline.advance((ticks - filled).max(0));
    }

    fn ticks(&self, samples: usize) -> i64 {
        scale(samples as i64, self.audio_rate, self.timeline.clock_rate())
    }

    fn frame_samples(&self) -> usize {
        let ptime = match self.format.ptime {
            0 => 20,
            ptime => ptime,
        };
        let ptime = self.format.codec.format().packet_time(ptime);
        samples_of(ptime.into(), self.audio_rate)
    }
}
