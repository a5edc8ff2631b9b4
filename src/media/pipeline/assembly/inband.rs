//! Keys of the source that come as tones in its audio, carried to the other side as events.

use super::Pipeline;
use crate::audio::{Decoder, DtmfDetector, KeyTone};
use crate::codec::Codec;
use crate::media::pipeline::PipelineEvent;
use crate::media::pipeline::decoder_stage::samples_of;
use crate::media::pipeline::output::EventStream;
use crate::rtp::{Packet, event_of_digit, scale};
use std::time::{Duration, Instant};

/// The audio rate before the first packet, hertz.
const NARROWBAND: u32 = 8_000;
/// The longest packet, milliseconds.
const LONGEST_PACKET: u32 = 120;
/// Keys that one packet can begin or end.
const TOLD: usize = 8;
/// How loud the events say that the keys are, dBm0 without the sign.
const VOLUME: u8 = 10;

/// A key that is down.
#[derive(Debug)]
struct Down {
    /// None where the other side hears the tone itself.
    stream: Option<EventStream>,
    /// How long it goes as events, ticks of their clock.
    ticks: u32,
    updated: Instant,
}

/// Detector and scratch space.
#[derive(Debug)]
pub(super) struct Inband {
    detector: DtmfDetector,
    /// Of the samples that the detector takes: that of the codec, since what is relayed has no
    /// other decoder.
    audio_rate: u32,
    decoder: Option<(Codec, Decoder)>,
    samples: Vec<i16>,
    down: Option<Down>,
}

impl Inband {
    /// When a key that is down is given up.
    pub(super) fn poll_timeout(&self, patience: Duration) -> Option<Instant> {
        self.down.as_ref().map(|down| down.updated + patience)
    }

    /// Decodes a payload into `samples`; false where tones do not survive the codec.
    fn decode(&mut self, codec: Codec, payload: &[u8]) -> bool {
        let format = codec.format();
        if !format.keeps_tones {
            return false;
        }
        if self
            .decoder
            .as_ref()
            .is_none_or(|(known, _)| *known != codec)
        {
            let decoder = Decoder::new(codec, format.audio_rate).ok();
            self.decoder = decoder.map(|decoder| (codec, decoder));
        }
        if format.audio_rate != self.audio_rate {
            self.audio_rate = format.audio_rate;
            self.detector = DtmfDetector::new(format.audio_rate);
        }
        self.samples.clear();
        let Some((_, decoder)) = &mut self.decoder else {
            return false;
        };
        decoder.decode(payload, &mut self.samples)
    }

    /// No more events for the key that is down: the other side takes others, or none.
    pub(super) fn forget_events(&mut self) {
        if let Some(down) = &mut self.down {
            down.stream = None;
        }
    }
}

impl Pipeline {
    /// Finds keys in the audio of the source from now on.
    pub fn listen_for_tones(&mut self) {
        if self.inband.is_none() {
            self.inband = Some(Box::new(Inband {
                detector: DtmfDetector::new(NARROWBAND),
                audio_rate: NARROWBAND,
                decoder: None,
                samples: Vec::with_capacity(samples_of(LONGEST_PACKET, NARROWBAND)),
                down: None,
            }));
        }
    }

    /// Listens to a packet of audio; whether it is held back, since its key goes as events.
    ///
    /// A source that has sent telephone events is taken at its word: what sounds like a key in
    /// its audio is the same key again, or none.
    pub(super) fn listen(&mut self, codec: Codec, packet: &Packet<'_>, now: Instant) -> bool {
        if self.presses.present().is_some() {
            return false;
        }
        let Some(mut inband) = self.inband.take() else {
            return false;
        };
        let held = inband.decode(codec, packet.payload)
            && self.detect(&mut inband, codec.clock_rate(), packet, now);
        self.inband = Some(inband);
        held
    }

    fn detect(
        &mut self,
        inband: &mut Inband,
        clock_rate: u32,
        packet: &Packet<'_>,
        now: Instant,
    ) -> bool {
        let held_before = is_held(&inband.down);
        let mut told = [None; TOLD];
        let mut places = told.iter_mut();
        inband.detector.push(&inband.samples, |tone| {
            if let Some(place) = places.next() {
                *place = Some(tone);
            }
        });
        let length = (inband.samples.len() as i64, inband.audio_rate);
        if let Some(down) = &mut inband.down {
            down.updated = now;
            if let Some(stream) = &mut down.stream {
                down.ticks += scale(length.0, length.1, stream.clock_rate()) as u32;
                self.output.send_event(stream, down.ticks, false, now);
            }
        }
        for tone in told.into_iter().flatten() {
            match tone {
                KeyTone::Began(digit) => {
                    inband.down =
                        Some(self.begin_tone(digit, (packet.timestamp, clock_rate), length, now));
                }
                KeyTone::Ended {
                    digit,
                    milliseconds,
                } => self.end_tone(inband.down.take(), digit, milliseconds, now),
            }
        }
        held_before || is_held(&inband.down)
    }

    /// A key began in a packet at a timestamp of that clock, of so many samples at that rate.
    fn begin_tone(
        &mut self,
        digit: char,
        at: (u32, u32),
        length: (i64, u32),
        now: Instant,
    ) -> Down {
        let format = self.to_events.filter(|_| !self.sender.is_busy());
        let mut down = Down {
            stream: None,
            ticks: 0,
            updated: now,
        };
        if let (Some(format), Some(event)) = (format, event_of_digit(digit)) {
            let mut stream = self.begin_events(format, event, VOLUME, at, now);
            down.ticks = scale(length.0, length.1, stream.clock_rate()) as u32;
            self.output.send_event(&mut stream, down.ticks, false, now);
            down.stream = Some(stream);
        }
        down
    }

    fn end_tone(&mut self, down: Option<Down>, digit: char, milliseconds: u32, now: Instant) {
        if let Some(mut down) = down
            && let Some(stream) = &mut down.stream
        {
            // RFC 4733 section 2.5.1.4.
            for _ in 0..3 {
                self.output.send_event(stream, down.ticks, true, now);
            }
        }
        self.statistics.digits += 1;
        self.tell(PipelineEvent::Digit {
            digit,
            duration_ms: milliseconds,
        });
    }

    /// The audio does not go on: a key that is down is let go.
    pub(super) fn interrupt_tone(&mut self, now: Instant) {
        let Some(mut inband) = self.inband.take() else {
            return;
        };
        let mut ended = None;
        inband.detector.interrupt(|tone| ended = Some(tone));
        let down = inband.down.take();
        if let Some(KeyTone::Ended {
            digit,
            milliseconds,
        }) = ended
        {
            self.end_tone(down, digit, milliseconds, now);
        }
        self.inband = Some(inband);
    }
}

fn is_held(down: &Option<Down>) -> bool {
    down.as_ref().is_some_and(|down| down.stream.is_some())
}
