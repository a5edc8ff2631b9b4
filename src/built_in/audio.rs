//! The audio of a built-in number, without socket or clock: RTP in, RTP out every 20 ms.

use std::collections::VecDeque;

use crate::audio::{Encoder, EncoderSettings, Tone, digit_frequencies};
use crate::codec::AudioFormat;
use crate::rtp::{Header, Packet, TelephoneEvent, digit_of_event};

/// The audio rate, hertz, and samples in the 20 ms that one tick plays.
const AUDIO_RATE: u32 = 8_000;
const FRAME: usize = AUDIO_RATE as usize / 50;

/// Ticks that a digit is played, and the pause after it.
const DIGIT_TICKS: u32 = 10;
const PAUSE_TICKS: u32 = 5;

/// Digits that wait to be played; more are left out.
const MOST_DIGITS: usize = 64;

/// Levels in dBm0, below what could clip.
const TONE_LEVEL: f64 = -10.0;
const DIGIT_LEVEL: f64 = -12.0;

/// What is played.
enum Playing {
    /// What comes in goes out.
    Echo,
    /// A tone for ever.
    Tone(Tone),
    /// Digits, as they come.
    Digits {
        waiting: VecDeque<char>,
        now: Option<(Tone, u32)>,
        heard: Option<u32>,
    },
}

/// One answered call.
pub struct BuiltInAudio {
    playing: Playing,
    format: AudioFormat,
    header: Header,
    /// None where the codec has no such audio rate: nothing is played then.
    encoder: Option<Encoder>,
    /// Of the RTP clock in one tick.
    ticks: u32,
    samples: [i16; FRAME],
    coded: Vec<u8>,
}

impl BuiltInAudio {
    /// Sends back what it hears.
    pub fn echo(format: AudioFormat, ssrc: u32) -> Self {
        BuiltInAudio::new(Playing::Echo, format, ssrc)
    }

    /// Plays 1000 Hz.
    pub fn tone(format: AudioFormat, ssrc: u32) -> Self {
        BuiltInAudio::new(
            Playing::Tone(Tone::new(&[(1_000.0, TONE_LEVEL)], AUDIO_RATE)),
            format,
            ssrc,
        )
    }

    /// Plays the digits that it hears.
    pub fn digits(format: AudioFormat, ssrc: u32) -> Self {
        let playing = Playing::Digits {
            waiting: VecDeque::new(),
            now: None,
            heard: None,
        };
        BuiltInAudio::new(playing, format, ssrc)
    }

    fn new(playing: Playing, format: AudioFormat, ssrc: u32) -> Self {
        let header = Header {
            marker: true,
            payload_type: format.send.payload_type,
            sequence: 0,
            timestamp: 0,
            ssrc,
        };
        let settings = EncoderSettings::default();
        let encoder = Encoder::new(format.send.codec, AUDIO_RATE, settings).ok();
        BuiltInAudio {
            playing,
            ticks: format.send.codec.clock_rate() / 50,
            format,
            header,
            encoder,
            samples: [0; FRAME],
            coded: Vec::with_capacity(FRAME),
        }
    }

    /// Takes a packet; `out` gets what goes back at once, if anything.
    pub fn handle_packet(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let Ok(packet) = Packet::parse(bytes) else {
            return false;
        };
        let event = self
            .format
            .receive_events
            .iter()
            .any(|format| format.payload_type == packet.payload_type);
        match &mut self.playing {
            Playing::Echo => {
                out.clear();
                let header = Header {
                    marker: packet.marker,
                    payload_type: packet.payload_type,
                    sequence: packet.sequence,
                    timestamp: packet.timestamp,
                    ssrc: self.header.ssrc,
                };
                header.write(out);
                out.extend_from_slice(packet.payload);
                true
            }
            Playing::Digits { waiting, heard, .. } if event => {
                let digit = TelephoneEvent::parse(packet.payload)
                    .ok()
                    .and_then(|event| digit_of_event(event.event));
                if let Some(digit) = digit
                    && *heard != Some(packet.timestamp)
                    && waiting.len() < MOST_DIGITS
                {
                    // All packets of one press have its first timestamp (RFC 4733 section 2.3.1).
                    *heard = Some(packet.timestamp);
                    waiting.push_back(digit);
                }
                false
            }
            Playing::Digits { .. } | Playing::Tone(_) => false,
        }
    }

    /// 20 ms have passed; `out` gets the packet to send, if any.
    pub fn tick(&mut self, out: &mut Vec<u8>) -> bool {
        match &mut self.playing {
            Playing::Echo => return false,
            Playing::Tone(tone) => tone.fill(&mut self.samples),
            Playing::Digits { waiting, now, .. } => {
                if now.is_none()
                    && let Some((low, high)) = waiting.pop_front().and_then(digit_frequencies)
                {
                    let tone = Tone::new(&[(low, DIGIT_LEVEL), (high, DIGIT_LEVEL)], AUDIO_RATE);
                    *now = Some((tone, DIGIT_TICKS + PAUSE_TICKS));
                }
                self.samples.fill(0);
                if let Some((tone, left)) = now {
                    if *left > PAUSE_TICKS {
                        tone.fill(&mut self.samples);
                    }
                    *left -= 1;
                    if *left == 0 {
                        *now = None;
                    }
                }
            }
        }
        self.coded.clear();
        let encoder = self.encoder.as_mut();
        if !encoder.is_some_and(|encoder| encoder.encode(&self.samples, &mut self.coded)) {
            return false;
        }
        out.clear();
        self.header.write(out);
        out.extend_from_slice(&self.coded);
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(self.ticks);
        true
    }
}
