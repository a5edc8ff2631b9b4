//! The pipeline itself: what comes in is told apart, put in order and given to the parts.

mod inband;
mod keep_alive;

use self::inband::Inband;
use self::keep_alive::KeepAlive;
use super::audio_rate::audio_rate;
use super::decoder_stage::{DecoderStage, Undecoded};
use super::digit_sender::{self, DigitSender};
use super::key_press::KeyPresses;
use super::output::{EventStream, Output};
use super::source::{Distance, Passed, Payload, Source};
use super::{Config, PipelineEvent, PipelineStatistics, StreamIdentity};
use crate::audio::{has_redundancy, payload_ticks};
use crate::codec::{AudioFormat, Codec, EventFormat};
use crate::media::Error;
use crate::rtp::{Admission, Arrival, Packet, RtpTimestampExt, event_of_digit, scale};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Longer than any audio packet that fits a network without fragments.
const LARGEST_PACKET: usize = 2_048;
/// Events that wait to be fetched; more are key presses of somebody who tries us.
const EVENT_LIMIT: usize = 64;
/// By the wall clock, less than this much of a second between packets is jitter.
const SHORTEST_SILENCE_PER_SECOND: i64 = 10;
/// Keys shorter than this are not recognised by receivers (RFC 4733 section 2.5.2.3).
const SHORTEST_DIGIT: Duration = Duration::from_millis(40);
/// Longer ones are a mistake.
const LONGEST_DIGIT: Duration = Duration::from_secs(10);

/// One direction of a call's audio.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) config: Config,
    pub(super) source: Source,
    pub(super) decoder: DecoderStage,
    pub(super) output: Output,
    pub(super) presses: KeyPresses,
    /// The press that is being passed on as events.
    pub(super) pressed: Option<EventStream>,
    pub(super) sender: DigitSender,
    keep_alive: Option<KeepAlive>,
    /// Where keys are looked for in the audio.
    inband: Option<Box<Inband>>,
    pub(super) to_events: Option<EventFormat>,
    pub(super) to_sends: Option<&'static str>,
    pub(super) statistics: PipelineStatistics,
    pub(super) events: VecDeque<PipelineEvent>,
    pub(super) heard: bool,
    /// Buffer that packets from the reorder window are moved into.
    pub(super) released: Vec<u8>,
    pub(super) last_now: Option<Instant>,
    pub(super) sent_at_report: u64,
}

impl Pipeline {
    /// A pipeline that takes what the `from` side sends us and sends it to the `to` side.
    pub fn new(
        config: &Config,
        from: &AudioFormat,
        to: &AudioFormat,
        identity: StreamIdentity,
    ) -> Result<Self, Error> {
        let rate = audio_rate(from, to);
        Ok(Pipeline {
            source: Source::new(config, from.clone()),
            decoder: DecoderStage::new(config, from, to, rate)?,
            output: Output::new(config, from, to, rate, identity)?,
            presses: KeyPresses::default(),
            pressed: None,
            sender: DigitSender::new(config.digit_pause),
            keep_alive: None,
            inband: None,
            to_events: to.send_events,
            to_sends: refusal(to),
            statistics: PipelineStatistics::default(),
            events: VecDeque::with_capacity(EVENT_LIMIT),
            heard: false,
            released: Vec::with_capacity(LARGEST_PACKET),
            last_now: None,
            sent_at_report: 0,
            config: config.clone(),
        })
    }

    /// Takes newly negotiated formats: SSRC, sequence numbers and timestamps go on.
    pub fn reconfigure(&mut self, from: &AudioFormat, to: &AudioFormat) -> Result<(), Error> {
        let rate = audio_rate(from, to);
        self.output.reconfigure(from, to, rate, self.last_now)?;
        self.decoder.reconfigure(from, to, rate)?;
        self.source.set_format(from);
        // Nothing is heard meanwhile: the audio that comes after it is told of again.
        self.heard &= from.direction.receives();
        self.to_sends = refusal(to);
        if self.to_sends.is_some() || self.to_events != to.send_events {
            self.sender.cancel();
            self.pressed = None;
            if let Some(inband) = &mut self.inband {
                inband.forget_events();
            }
        }
        self.to_events = to.send_events;
        Ok(())
    }

    /// Reads a plain RTP packet of the `from` side, and takes it.
    pub fn handle_packet(&mut self, bytes: &[u8], now: Instant) {
        match Packet::parse(bytes) {
            Ok(packet) => self.handle(&packet, now),
            Err(_) => self.statistics.dropped.malformed += 1,
        }
    }

    /// Takes a plain RTP packet of the `from` side.
    pub fn handle(&mut self, packet: &Packet<'_>, now: Instant) {
        self.last_now = Some(now);
        let bytes = packet.bytes;
        if bytes.len() > LARGEST_PACKET {
            self.statistics.dropped.oversize += 1;
            return;
        }
        let Some(payload) = self.source.payload(packet.payload_type) else {
            self.statistics.dropped.unknown_payload_type += 1;
            return;
        };
        if self.source.change(packet.ssrc) {
            self.begin_source(now);
        }
        let Some(reception) = &mut self.source.reception else {
            return;
        };
        let arrival = reception.receive(packet.sequence);
        let (number, behind) = match arrival {
            Arrival::Ahead(number) | Arrival::Restarted(number) => (number, false),
            Arrival::Behind(number) => (number, true),
            Arrival::Duplicate => {
                self.statistics.duplicate += 1;
                return;
            }
            Arrival::Suspect => {
                self.statistics.dropped.stray += 1;
                return;
            }
        };
        if let Payload::Audio(codec) = payload {
            reception.measure_jitter(packet.timestamp, codec.clock_rate(), now);
            // Waiting is for naught where the packet at hand rebuilds the one that is missing.
            let rebuilds = self.source.reorder.next() == number.checked_sub(1)
                && has_redundancy(codec, packet.payload);
            let waits = !rebuilds && !self.output.passes(codec, packet.payload);
            self.source.set_waiting(waits);
        }
        self.statistics.received += 1;
        self.statistics.received_octets += packet.payload.len() as u64;
        if matches!(arrival, Arrival::Restarted(_)) {
            self.source.restart();
            self.begin_source(now);
        }
        if !self.source.receives() || self.to_sends.is_some() {
            self.statistics.dropped.direction += 1;
            self.source.pause();
            return;
        }
        match self.source.reorder.push(number, bytes, now) {
            Admission::Next => {
                self.statistics.reordered += u64::from(behind);
                self.forward(number, packet, payload, now);
            }
            Admission::Held => {}
            Admission::Duplicate => self.statistics.duplicate += 1,
            Admission::Late => self.forward_late(number, packet, payload),
        }
        self.release(now);
    }

    /// The next plain RTP packet for the `to` side, into `out`, which is cleared first. False
    /// when there is none.
    pub fn poll_packet(&mut self, out: &mut Vec<u8>) -> bool {
        self.output.pop(out)
    }

    /// Takes note that the packet polled last was not sent: as long as the `to` side is not
    /// connected, for one. A decoder that was told the beginning of a signal later, or never, would
    /// make something else of its rest.
    pub fn packet_was_not_sent(&mut self) {
        self.output.begin_encoding_anew();
    }

    /// What there is to tell.
    pub fn poll_event(&mut self) -> Option<PipelineEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.source.reorder.poll_timeout(),
            self.presses.poll_timeout(self.config.event_timeout),
            self.sender.poll_timeout(),
            self.keep_alive.as_ref().map(KeepAlive::poll_timeout),
            self.inband
                .as_ref()
                .and_then(|inband| inband.poll_timeout(self.config.event_timeout)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has come: for packets that wait for a lost one, for a key whose end is lost, for
    /// digits of our own.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.last_now = Some(now);
        self.release(now);
        if let Some(press) = self.presses.give_up(now, self.config.event_timeout) {
            self.finish(&press, true, now);
        }
        let patience = self.config.event_timeout;
        let tone_is_over = self
            .inband
            .as_ref()
            .and_then(|inband| inband.poll_timeout(patience));
        if tone_is_over.is_some_and(|at| at <= now) {
            self.interrupt_tone(now);
        }
        self.sender.run(now, self.to_events, &mut self.output);
        self.run_keep_alive(now);
    }

    /// Sends digits (`0-9*#A-D`, a comma pauses 2 s) towards `to`, each for `duration`: as
    /// telephone events, or as tones when `to` knows none. Audio is held back until they are
    /// sent.
    pub fn send_digits(
        &mut self,
        digits: &str,
        duration: Duration,
        now: Instant,
    ) -> Result<(), Error> {
        self.last_now = Some(now);
        if let Some(direction) = self.to_sends {
            return Err(Error::NotSending(direction));
        }
        let unknown = |digit: &char| *digit != ',' && event_of_digit(*digit).is_none();
        if let Some(digit) = digits.chars().find(unknown) {
            return Err(Error::Digit(digit));
        }
        let requested = self.sender.waiting() + digits.chars().count();
        if requested > digit_sender::LIMIT {
            return Err(Error::TooManyDigits {
                requested,
                limit: digit_sender::LIMIT,
            });
        }
        let duration = duration.clamp(SHORTEST_DIGIT, LONGEST_DIGIT);
        self.sender.queue(digits, duration);
        self.sender.run(now, self.to_events, &mut self.output);
        Ok(())
    }

    /// Another source: what was heard and pressed before does not go on.
    fn begin_source(&mut self, now: Instant) {
        self.statistics.source_changes += 1;
        self.decoder.reset();
        self.output.timeline_mut().begin_talkspurt();
        if let Some(press) = self.presses.interrupt() {
            self.finish(&press, true, now);
        }
        self.interrupt_tone(now);
    }

    /// Forwards packets that need not wait any more.
    fn release(&mut self, now: Instant) {
        let mut buffer = std::mem::take(&mut self.released);
        while let Some(number) = self.source.reorder.poll(now, &mut buffer) {
            // Formats may have changed while it waited.
            if let Ok(packet) = Packet::parse(&buffer)
                && let Some(payload) = self.source.payload(packet.payload_type)
            {
                self.forward(number, &packet, payload, now);
            }
        }
        self.released = buffer;
    }

    fn forward(&mut self, number: u64, packet: &Packet<'_>, payload: Payload, now: Instant) {
        self.source.take_turn(number);
        match payload {
            Payload::Audio(codec) => self.forward_audio(number, packet, codec, now),
            Payload::Event(clock_rate) => self.forward_event(packet, clock_rate, now),
            Payload::ComfortNoise => {
                self.statistics.comfort_noise += 1;
                self.source.interrupt();
            }
        }
    }

    fn forward_audio(&mut self, number: u64, packet: &Packet<'_>, codec: Codec, now: Instant) {
        let Some(ticks) = payload_ticks(codec, packet.payload) else {
            self.statistics.dropped.undecodable += 1;
            self.source.passed = None;
            self.source.missing += 1;
            return;
        };
        if !self.heard {
            self.heard = true;
            self.tell(PipelineEvent::FirstAudio);
        }
        if self.sender.is_busy() || self.presses.covers(packet.ssrc, packet.timestamp) {
            self.statistics.dropped.suppressed += 1;
            self.source.interrupt();
            return;
        }
        if self.listen(codec, packet, now) {
            self.statistics.dropped.suppressed += 1;
            self.source.interrupt();
            return;
        }
        if self.statistics.codec != Some(codec) {
            self.statistics.codec = Some(codec);
            self.decoder.reset();
        }
        let clock_rate = codec.clock_rate();
        let gap = self.gap_before(packet.timestamp, clock_rate, now);
        if self.output.passes(codec, packet.payload) {
            let missing = self.source.missing;
            let first = self.source.passed.map_or(number, |passed| passed.first);
            self.output.pass(packet, missing, gap, ticks, now);
            let timeline = self.output.timeline();
            self.source.passed = Some(Passed {
                first,
                number,
                timestamp: packet.timestamp,
                sent_sequence: timeline.next_sequence().wrapping_sub(1),
                sent_timestamp: timeline.position().wrapping_sub(ticks),
            });
        } else {
            let lost = if self.source.interrupted {
                0
            } else {
                self.source.missing
            };
            let decoded = self.decoder.decode(Undecoded {
                codec,
                payload: packet.payload,
                ticks,
                gap,
                gap_clock: self.output.timeline().clock_rate(),
                lost,
                lost_ticks: self.source.last_ticks().unwrap_or(ticks),
            });
            self.output.play(decoded.before, now);
            self.output.gap(decoded.gap, now);
            self.output.play(decoded.samples, now);
            let repair = decoded.repair;
            self.statistics.concealed += repair.concealed;
            self.statistics.recovered_by_fec += repair.recovered_by_fec;
            self.statistics.dropped.undecodable += repair.undecodable;
            self.source.passed = None;
        }
        self.source.heard(packet.timestamp, ticks, clock_rate, now);
    }

    /// A packet whose turn was given up: of use only where packets are passed on, for the far
    /// end may still have the time.
    fn forward_late(&mut self, number: u64, packet: &Packet<'_>, payload: Payload) {
        let codec = self.output.codec();
        match self.source.passed {
            Some(passed)
                if payload == Payload::Audio(codec)
                    && (passed.first..passed.number).contains(&number)
                    && self.output.passes(codec, packet.payload) =>
            {
                let back = (passed.number - number) as u16;
                let earlier = passed.timestamp.since(packet.timestamp);
                self.statistics.reordered += 1;
                self.output.pass_late(
                    packet,
                    passed.sent_sequence.wrapping_sub(back),
                    passed.sent_timestamp.wrapping_sub(earlier as u32),
                );
            }
            _ => self.statistics.late += 1,
        }
    }

    /// Time without audio before a packet, in ticks of the output: by its timestamp, or by the
    /// clock on the wall where that does not say.
    pub(super) fn gap_before(&self, timestamp: u32, clock_rate: u32, now: Instant) -> i64 {
        let timeline = self.output.timeline();
        match self.source.distance(timestamp, clock_rate, now) {
            Distance::Ticks(ticks) => scale(ticks, clock_rate, timeline.clock_rate()),
            Distance::Unknown => {
                let behind = timeline.behind(now) - self.output.pending_ticks();
                let shortest = i64::from(timeline.clock_rate()) / SHORTEST_SILENCE_PER_SECOND;
                if behind < shortest { 0 } else { behind }
            }
        }
    }

    pub(super) fn tell(&mut self, event: PipelineEvent) {
        if self.events.len() < EVENT_LIMIT {
            self.events.push_back(event);
        }
    }
}

/// Why nothing may be sent to a side, when that is so.
fn refusal(to: &AudioFormat) -> Option<&'static str> {
    (!to.direction.sends()).then(|| to.direction.attribute())
}
