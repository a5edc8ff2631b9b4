//! Both ends of a pipeline under test: a talker that makes RTP, a listener that takes it apart.

use crate::audio::{self, EncoderSettings, Law, OpusDecoder, OpusEncoder, Tone};
use crate::codec::{
    AudioFormat, Codec, Direction, EventFormat, OpusParameters, ReceiveFormat, SendFormat,
};
use crate::media::pipeline::{Config, Pipeline, PipelineEvent, StreamIdentity};
use crate::rtp::{Header, Packet, TelephoneEvent};
use std::time::{Duration, Instant};

pub const OPUS: u8 = 111;
pub const PCMU: u8 = 0;
pub const PCMA: u8 = 8;
pub const G722: u8 = 9;
pub const EVENT_48: u8 = 110;
pub const EVENT_8: u8 = 101;
pub const SSRC: u32 = 0x7472_756e;
/// Where output streams begin: both numbers wrap soon.
pub const FIRST_SEQUENCE: u16 = 65_530;
pub const FIRST_TIMESTAMP: u32 = u32::MAX - 1_000;

#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]
pub fn start() -> Instant {
    Instant::now()
}

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => OPUS,
        Codec::Pcmu => PCMU,
        Codec::Pcma => PCMA,
        Codec::G722 => G722,
    }
}

/// A side that sends and receives `codec` first of all, and digits on its clock.
pub fn side(codec: Codec) -> AudioFormat {
    let events = match codec {
        Codec::Opus => EventFormat {
            payload_type: EVENT_48,
            clock_rate: 48_000,
        },
        _ => EventFormat {
            payload_type: EVENT_8,
            clock_rate: 8_000,
        },
    };
    AudioFormat {
        send: SendFormat {
            codec,
            payload_type: payload_type(codec),
            ptime: 20,
            opus: OpusParameters {
                inband_fec: true,
                ..OpusParameters::default()
            },
        },
        receive: vec![ReceiveFormat {
            codec,
            payload_type: payload_type(codec),
        }],
        send_events: Some(events),
        receive_events: vec![events],
        direction: Direction::SendRecv,
    }
}

/// A side that may send every codec.
pub fn any_codec(codec: Codec) -> AudioFormat {
    AudioFormat {
        receive: Codec::ALL
            .map(|codec| ReceiveFormat {
                codec,
                payload_type: payload_type(codec),
            })
            .to_vec(),
        ..side(codec)
    }
}

pub fn identity() -> StreamIdentity {
    StreamIdentity {
        ssrc: SSRC,
        first_sequence: FIRST_SEQUENCE,
        first_timestamp: FIRST_TIMESTAMP,
    }
}

/// A pipeline and the time.
pub struct Harness {
    pub pipeline: Pipeline,
    pub now: Instant,
    pub out: Vec<Vec<u8>>,
    pub events: Vec<PipelineEvent>,
}

impl Harness {
    pub fn new(from: &AudioFormat, to: &AudioFormat) -> Self {
        let pipeline = Pipeline::new(&Config::default(), from, to, identity()).expect("libopus");
        Harness {
            pipeline,
            now: start(),
            out: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Lets time pass, with the timers that are due in it.
    pub fn wait(&mut self, milliseconds: u64) {
        let until = self.now + ms(milliseconds);
        while let Some(due) = self.pipeline.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.pipeline.handle_timeout(self.now);
            self.collect();
        }
        self.now = until;
    }

    /// Gives a packet; returns how many come out at once.
    pub fn give(&mut self, packet: &[u8]) -> usize {
        let before = self.out.len();
        self.pipeline.handle_packet(packet, self.now);
        self.collect();
        self.out.len() - before
    }

    fn collect(&mut self) {
        let mut out = Vec::new();
        while self.pipeline.poll_packet(&mut out) {
            self.out.push(out.clone());
        }
        self.events
            .extend(std::iter::from_fn(|| self.pipeline.poll_event()));
    }

    pub fn packets(&self) -> Vec<Packet<'_>> {
        self.out
            .iter()
            .map(|bytes| Packet::parse(bytes).expect("the pipeline writes RTP"))
            .collect()
    }

    /// The digits told, in order.
    pub fn digits(&self) -> String {
        self.events
            .iter()
            .filter_map(|event| match event {
                PipelineEvent::Digit { digit, .. } => Some(*digit),
                PipelineEvent::FirstAudio => None,
            })
            .collect()
    }
}

/// What a talker says.
pub enum Signal {
    Tone(Tone),
    /// 200 Hz with overtones that swells like syllables: libopus takes it for speech.
    Voice(u32),
}

impl Signal {
    fn fill(&mut self, samples: &mut [i16]) {
        match self {
            Signal::Tone(tone) => tone.fill(samples),
            Signal::Voice(position) => {
                for sample in samples {
                    let time = f64::from(*position) / 8_000.0;
                    let swell = (0.5 - 0.5 * (time * 3.0 * std::f64::consts::TAU).cos()).powi(2);
                    let voice: f64 = (1..12)
                        .map(|partial| {
                            let partial = f64::from(partial);
                            (time * 200.0 * partial * std::f64::consts::TAU).sin() / partial
                        })
                        .sum();
                    *sample = (voice * swell * 9_000.0) as i16;
                    *position += 1;
                }
            }
        }
    }
}

/// A source of RTP.
pub struct Talker {
    pub codec: Codec,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    pub ptime: u32,
    signal: Signal,
    encoder: OpusEncoder,
}

impl Talker {
    pub fn new(codec: Codec, signal: Signal) -> Self {
        let settings = EncoderSettings {
            complexity: 0,
            maximum_bitrate: None,
            inband_fec: true,
            constant_bitrate: false,
        };
        Talker {
            codec,
            ssrc: 1,
            sequence: 65_000,
            timestamp: u32::MAX - 90_000,
            ptime: 20,
            signal,
            encoder: OpusEncoder::new(8_000, settings).expect("libopus"),
        }
    }

    pub fn tone(codec: Codec, frequency: f64) -> Self {
        Talker::new(codec, Signal::Tone(Tone::new(&[(frequency, -12.0)], 8_000)))
    }

    pub fn voice(codec: Codec) -> Self {
        Talker::new(codec, Signal::Voice(0))
    }

    /// Says something else from now on.
    pub fn say(&mut self, signal: Signal) {
        self.signal = signal;
    }

    pub fn with_fec(mut self) -> Self {
        self.encoder.set_loss(0.2).expect("libopus");
        self
    }

    pub fn ticks(&self, milliseconds: u32) -> u32 {
        self.codec.clock_rate() / 1_000 * milliseconds
    }

    /// The next packet of audio.
    pub fn audio(&mut self) -> Vec<u8> {
        let mut samples = vec![0; self.ptime as usize * 8];
        self.signal.fill(&mut samples);
        let mut payload = Vec::new();
        match self.codec {
            Codec::Opus => {
                self.encoder
                    .encode(&samples, &mut payload)
                    .expect("a frame");
            }
            Codec::Pcmu | Codec::G722 => audio::encode(Law::Mu, &samples, &mut payload),
            Codec::Pcma => audio::encode(Law::A, &samples, &mut payload),
        }
        let packet = self.packet(payload_type(self.codec), false, self.timestamp, &payload);
        self.timestamp = self.timestamp.wrapping_add(self.ticks(self.ptime));
        packet
    }

    /// Any packet with the next sequence number.
    pub fn packet(
        &mut self,
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        let header = Header {
            marker,
            payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = Vec::new();
        header.write(&mut packet);
        packet.extend_from_slice(payload);
        packet
    }

    /// A key pressed for `milliseconds`, an update every 20 ms instead of audio, then the end
    /// three times. Each packet with the time after which the next follows.
    pub fn key(&mut self, event: u8, milliseconds: u32, clock_rate: u32) -> Vec<Vec<u8>> {
        let payload_type = if clock_rate == 48_000 {
            EVENT_48
        } else {
            EVENT_8
        };
        let updates = milliseconds / 20;
        let begin = self.timestamp;
        let packets = (1..=updates + 2)
            .map(|update| {
                let length = update.min(updates) * 20;
                let mut payload = Vec::new();
                TelephoneEvent {
                    event,
                    end: update >= updates,
                    volume: 10,
                    duration: (length * clock_rate / 1_000) as u16,
                }
                .write(&mut payload);
                self.packet(payload_type, update == 1, begin, &payload)
            })
            .collect();
        self.timestamp = begin.wrapping_add(self.ticks(milliseconds + 40));
        packets
    }
}

/// Decodes what came out, with silence where the timestamps leave a gap; checks that sequence
/// numbers go up by one and timestamps never go back.
pub fn listen(packets: &[Packet<'_>]) -> Vec<i16> {
    let mut opus = OpusDecoder::new(8_000).expect("libopus");
    let mut samples = Vec::new();
    let mut expected: Option<(u16, u32)> = None;
    for packet in packets {
        let rate = if packet.payload_type == OPUS {
            48_000
        } else {
            8_000
        };
        if let Some((sequence, timestamp)) = expected {
            assert_eq!(packet.sequence, sequence, "sequence goes on");
            let gap = packet.timestamp.wrapping_sub(timestamp) as i32;
            assert!(gap >= 0, "timestamp goes back by {gap}");
            samples.resize(samples.len() + gap as usize * 8_000 / rate, 0);
        }
        let before = samples.len();
        match packet.payload_type {
            OPUS => {
                opus.decode(packet.payload, &mut samples).expect("our Opus");
            }
            PCMU => audio::decode(Law::Mu, packet.payload, &mut samples),
            PCMA => audio::decode(Law::A, packet.payload, &mut samples),
            other => panic!("payload type {other}"),
        }
        let ticks = (samples.len() - before) * rate / 8_000;
        let next = packet.timestamp.wrapping_add(ticks as u32);
        expected = Some((packet.sequence.wrapping_add(1), next));
    }
    samples
}

/// Numbers that look random and are the same each time: every run is the same trace.
pub struct Dice(pub u64);

impl Dice {
    /// True with this probability.
    pub fn falls(&mut self, probability: f64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 / (1_u64 << 53) as f64) < probability
    }
}
