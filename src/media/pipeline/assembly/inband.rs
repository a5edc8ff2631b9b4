//! Keys of the source that come as tones in its audio, carried to the other side as events.

use super::Pipeline;
use crate::audio::{self, DtmfDetector, KeyTone};
use crate::codec::Codec;
use crate::media::pipeline::PipelineEvent;
use crate::media::pipeline::decoding::law_of;
use crate::media::pipeline::output::EventStream;
use crate::rtp::{Packet, event_of_digit, scale};
use std::time::{Duration, Instant};

/// The rate of G.711, the only codec that is listened to: what codes speech spoils tones.
const SAMPLE_RATE: u32 = 8_000;
/// The longest packet, 120 ms.
const SAMPLES: usize = 960;
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
    samples: Vec<i16>,
    down: Option<Down>,
}

impl Inband {
    /// When a key that is down is given up.
    pub(super) fn poll_timeout(&self, patience: Duration) -> Option<Instant> {
        self.down.as_ref().map(|down| down.updated + patience)
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
                detector: DtmfDetector::new(SAMPLE_RATE),
                samples: Vec::with_capacity(SAMPLES),
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
        let Some(law) = law_of(codec) else {
            return false;
        };
        let Some(mut inband) = self.inband.take() else {
            return false;
        };
        let held_before = is_held(&inband.down);
        inband.samples.clear();
        audio::decode(law, packet.payload, &mut inband.samples);
        let mut told = [None; TOLD];
        let mut places = told.iter_mut();
        inband.detector.push(&inband.samples, |tone| {
            if let Some(place) = places.next() {
                *place = Some(tone);
            }
        });
        let length = inband.samples.len() as i64;
        if let Some(down) = &mut inband.down {
            down.updated = now;
            if let Some(stream) = &mut down.stream {
                down.ticks += scale(length, SAMPLE_RATE, stream.clock_rate()) as u32;
                self.output.send_event(stream, down.ticks, false, now);
            }
        }
        for tone in told.into_iter().flatten() {
            match tone {
                KeyTone::Began(digit) => {
                    inband.down = Some(self.begin_tone(digit, packet, length, now));
                }
                KeyTone::Ended {
                    digit,
                    milliseconds,
                } => self.end_tone(inband.down.take(), digit, milliseconds, now),
            }
        }
        let held = held_before || is_held(&inband.down);
        self.inband = Some(inband);
        held
    }

    fn begin_tone(&mut self, digit: char, packet: &Packet<'_>, length: i64, now: Instant) -> Down {
        let format = self.to_events.filter(|_| !self.sender.is_busy());
        let mut down = Down {
            stream: None,
            ticks: 0,
            updated: now,
        };
        if let (Some(format), Some(event)) = (format, event_of_digit(digit)) {
            let mut stream =
                self.begin_events(format, event, VOLUME, (packet.timestamp, SAMPLE_RATE), now);
            down.ticks = scale(length, SAMPLE_RATE, stream.clock_rate()) as u32;
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
