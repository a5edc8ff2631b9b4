//! The last two stages, encoder and RTP sender, as those before them use them.

use super::encoder_stage::EncoderStage;
use super::receiver::Distance;
use super::sender::{EventStream, RtpSender};
use super::{Config, StreamIdentity};
use crate::audio::{self, Tone};
use crate::codec::{AudioFormat, Codec, EventFormat};
use crate::rtp::{RtpTimestampExt, scale};
use std::time::{Duration, Instant};

/// By the wall clock, less than this much of a second between packets is jitter.
const SHORTEST_SILENCE_PER_SECOND: i64 = 10;

/// Encoder and sender.
#[derive(Debug)]
pub(super) struct Egress {
    encoder: EncoderStage,
    sender: RtpSender,
}

impl Egress {
    pub(super) fn new(
        config: &Config,
        from: &AudioFormat,
        to: &AudioFormat,
        audio_rate: u32,
        identity: StreamIdentity,
    ) -> Result<Self, audio::Error> {
        Ok(Egress {
            encoder: EncoderStage::new(config, from, to, audio_rate)?,
            sender: RtpSender::new(to, identity),
        })
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
            Some(now) if self.encoder.differs(to, audio_rate) => self.flush(now),
            _ => {}
        }
        self.encoder.reconfigure(from, to, audio_rate)?;
        self.sender.reconfigure(to);
        Ok(())
    }

    pub(super) fn encoder(&mut self) -> &mut EncoderStage {
        &mut self.encoder
    }

    pub(super) fn sender(&self) -> &RtpSender {
        &self.sender
    }

    pub(super) fn sender_mut(&mut self) -> &mut RtpSender {
        &mut self.sender
    }

    /// Loss that the encoder reckons with, 0 to 1.
    pub(super) fn loss(&self) -> f32 {
        self.encoder.loss()
    }

    /// The rate of the samples that are played.
    pub(super) fn audio_rate(&self) -> u32 {
        self.encoder.audio_rate()
    }

    /// What a packet of ours lasts.
    pub(super) fn packet_time(&self) -> Duration {
        self.encoder.packet_time()
    }

    /// Whether a payload of the same codec can be relayed as it is. Where the length of a payload
    /// tells its time, it is cut and joined if the other side asked for another packet time.
    pub(super) fn relays(&self, codec: Codec, payload: &[u8]) -> bool {
        codec == self.encoder.codec()
            && (codec.format().constant_bitrate.is_none()
                || (self.encoder.pending() == 0 && self.is_one_packet(codec, payload)))
    }

    fn is_one_packet(&self, codec: Codec, payload: &[u8]) -> bool {
        let ticks = audio::payload_ticks(codec, payload);
        ticks.is_some_and(|ticks| i64::from(ticks) == self.ticks(self.encoder.frame_samples()))
    }

    /// Time without audio before a packet, in ticks of the sender: by its timestamp, or by the
    /// clock on the wall where that does not say.
    pub(super) fn gap_before(&self, distance: Distance, now: Instant) -> i64 {
        let mapping = self.sender.mapping();
        match distance {
            Distance::Ticks(ticks, clock_rate) => scale(ticks, clock_rate, mapping.clock_rate()),
            Distance::Unknown => {
                let behind = mapping.behind(now) - self.ticks(self.encoder.pending());
                let shortest = i64::from(mapping.clock_rate()) / SHORTEST_SILENCE_PER_SECOND;
                if behind < shortest { 0 } else { behind }
            }
        }
    }

    /// Takes samples that follow those before; sends each packet that is full.
    pub(super) fn play(&mut self, mut samples: &[i16], now: Instant) {
        if samples.is_empty() {
            return;
        }
        self.sender.begin_audio();
        while self.encoder.fill(&mut samples) {
            self.send_frame(now);
        }
    }

    /// Nothing for `ticks`: what waits is sent, filled up with silence.
    pub(super) fn gap(&mut self, ticks: i64, now: Instant) {
        if ticks <= 0 {
            return;
        }
        let pending = self.encoder.pending();
        let missing = self.encoder.frame_samples().saturating_sub(pending);
        if pending > 0 && ticks < self.ticks(missing) {
            let silence = scale(ticks, self.sender.clock_rate(), self.audio_rate());
            self.encoder.fill_silence(silence as usize);
            return;
        }
        self.flush(now);
        self.sender.advance_over_gap(ticks);
        self.sender.mapping_mut().begin_talkspurt();
    }

    /// Sends what waits, filled up with silence.
    pub(super) fn flush(&mut self, now: Instant) {
        let pending = self.encoder.pending();
        if pending == 0 {
            return;
        }
        let silence = self.encoder.frame_samples().saturating_sub(pending);
        let filled = self.ticks(silence);
        self.sender.begin_audio();
        self.sender.set_filled(filled);
        self.encoder.fill_silence(silence);
        self.send_frame(now);
    }

    /// Begins an event for a key that went down at that distance from the audio before it.
    pub(super) fn begin_event(
        &mut self,
        format: EventFormat,
        event: u8,
        volume: u8,
        distance: Distance,
        now: Instant,
    ) -> EventStream {
        self.flush(now);
        self.separate_events(now);
        let gap = self.gap_before(distance, now);
        let mapping = self.sender.mapping();
        let begin = mapping.position().wrapping_add(gap as u32);
        let earliest = mapping.floor().unwrap_or(begin);
        let begin = if earliest.since(begin) > 0 {
            earliest
        } else {
            begin
        };
        EventStream::new(format, event, volume, begin)
    }

    /// Sends an update of an event: see [`RtpSender::send_event`].
    pub(super) fn send_event(
        &mut self,
        stream: &mut EventStream,
        ticks: u32,
        end: bool,
        now: Instant,
    ) {
        self.sender.send_event(stream, ticks, end, now);
    }

    /// Sends one packet of silence where the last packet was of an event: two keys are never
    /// without audio between them. There are receivers that take the first packet after another
    /// payload type as the key, and nothing after it (baresip 1.1).
    pub(super) fn separate_events(&mut self, now: Instant) -> bool {
        let needed = self.sender.is_after_event();
        if needed {
            self.send_silence(now);
        }
        needed
    }

    /// Sends one packet of `tone` at `timestamp`; returns the timestamp after it.
    pub(super) fn send_tone(&mut self, tone: &mut Tone, timestamp: u32, now: Instant) -> u32 {
        // The caller has flushed: nothing waits.
        self.encoder.fill_tone(tone);
        let ticks = self.ticks(self.encoder.pending()) as u32;
        let packet = self.sender.packet_at(timestamp, ticks, now);
        self.encode(packet);
        timestamp.wrapping_add(ticks)
    }

    /// Sends one packet of silence where the stream would be by now; audio goes on after it.
    pub(super) fn send_silence(&mut self, now: Instant) {
        self.flush(now);
        let timestamp = self.sender.mapping().digits_begin(now);
        let codec = self.encoder.codec();
        if let Some(payload) = audio::silent_payload(codec) {
            let ticks = audio::payload_ticks(codec, payload).unwrap_or_default();
            let mut packet = self.sender.packet_at(timestamp, ticks, now);
            packet.extend_from_slice(payload);
            self.sender.queue(packet);
        } else {
            self.send_tone(&mut Tone::new(&[], self.audio_rate()), timestamp, now);
        }
    }

    fn send_frame(&mut self, now: Instant) {
        let ticks = self.ticks(self.encoder.pending());
        let packet = self.sender.audio_packet(ticks, now);
        self.encode(packet);
    }

    fn encode(&mut self, mut packet: Vec<u8>) {
        if self.encoder.encode(&mut packet) {
            self.sender.queue(packet);
        } else {
            self.sender.give_up(packet);
        }
    }

    fn ticks(&self, samples: usize) -> i64 {
        scale(samples as i64, self.audio_rate(), self.sender.clock_rate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::pipeline::tests::support::{FIRST_TIMESTAMP, identity, side, start};
    use crate::rtp::Packet;

    fn egress(to: Codec) -> Egress {
        let (from, to) = (side(Codec::Pcma), side(to));
        Egress::new(&Config::default(), &from, &to, 8_000, identity()).expect("libopus")
    }

    /// Timestamp since the begin, marker and payload octets of each packet sent.
    fn sent(egress: &mut Egress) -> Vec<(u32, bool, usize)> {
        let mut out = Vec::new();
        let mut all = Vec::new();
        while egress.sender_mut().pop(&mut out) {
            let packet = Packet::parse(&out).expect("the sender writes RTP");
            let since = packet.timestamp.wrapping_sub(FIRST_TIMESTAMP);
            all.push((since, packet.marker, packet.payload.len()));
        }
        all
    }

    #[test]
    fn gap_is_filled_to_the_packet_and_skipped_after_it() {
        let now = start();
        let mut egress = egress(Codec::Pcmu);
        egress.play(&[1; 200], now);
        assert_eq!(sent(&mut egress), [(0, true, 160)]);
        // 120 samples are missing in the packet that waits: 80 of silence still leave it so.
        egress.gap(80, now);
        assert_eq!(sent(&mut egress), []);
        egress.gap(1_000, now);
        assert_eq!(sent(&mut egress), [(160, false, 160)]);
        egress.play(&[1; 160], now);
        // The 40 of silence that filled the packet are a part of the gap.
        assert_eq!(sent(&mut egress), [(320 + 960, true, 160)]);
    }

    #[test]
    fn silence_of_opus_needs_no_encoder() {
        let now = start();
        let opus = side(Codec::Opus);
        let mut egress =
            Egress::new(&Config::default(), &opus, &opus, 8_000, identity()).expect("libopus");
        egress.send_silence(now);
        assert_eq!(sent(&mut egress), [(0, false, 3)]);
        egress.play(&[0; 160], now);
        assert_eq!(egress.sender().sent().unencodable, 1);
    }

    #[test]
    fn event_begins_where_the_audio_before_it_ended() {
        let now = start();
        let mut egress = egress(Codec::Pcmu);
        egress.play(&[1; 100], now);
        let format = side(Codec::Pcmu).send_events.expect("a side has events");
        let distance = Distance::Ticks(160, 8_000);
        let mut stream = egress.begin_event(format, 5, 10, distance, now);
        egress.send_event(&mut stream, 160, false, now);
        // The packet that was not full goes first.
        assert_eq!(sent(&mut egress), [(0, true, 160), (320, true, 4)]);
        assert!(egress.separate_events(now));
        assert_eq!(sent(&mut egress), [(480, false, 160)]);
        assert!(!egress.separate_events(now));
    }
}
