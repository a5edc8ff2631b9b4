//! What both ends of a call say and hear: a tone source that makes RTP, a recorder that measures it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use trunkline::audio::{
    DtmfDetector, DtmfTone, EncoderSettings, Law, Measured, OpusDecoder, OpusEncoder, Tone, decode,
    digit_frequencies, encode, level_at, measure,
};
use trunkline::rtp::{TelephoneEvent, digit_of_event, event_of_digit};

/// Every wait of a test ends here at the latest.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a wait looks again.
pub const GLANCE: Duration = Duration::from_millis(20);

/// Samples of 20 ms at 8 kHz.
const FRAME: usize = 160;

/// Level of every tone, dBm0.
const LEVEL: f64 = -12.0;

/// Frames that a pressed key lasts, and the pause after it.
const KEY_FRAMES: u32 = 5;
const PAUSE_FRAMES: u32 = 3;

/// A coder of the RTP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Opus,
    Pcmu,
    Pcma,
}

impl Coding {
    pub fn payload_type(self) -> u8 {
        match self {
            Coding::Opus => 111,
            Coding::Pcmu => 0,
            Coding::Pcma => 8,
        }
    }

    fn ticks(self) -> u32 {
        match self {
            Coding::Opus => 960,
            Coding::Pcmu | Coding::Pcma => 160,
        }
    }
}

/// One packet without its SSRC.
#[derive(Clone, Debug)]
pub struct Spoken {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub payload: Vec<u8>,
}

/// What is asked of a voice while it speaks.
#[derive(Debug)]
pub struct ToneRequest {
    /// Hertz; 0 is silence.
    pub frequency: f64,
    /// A key whose tones sound instead.
    pub key_tone: Option<char>,
    /// Keys that wait.
    pub keys: VecDeque<char>,
    /// False: nothing is sent at all.
    pub speaks: bool,
}

/// Makes a packet every 20 ms.
pub struct ToneSource {
    coding: Coding,
    events: u8,
    wish: Arc<Mutex<ToneRequest>>,
    frequency: f64,
    key_tone: Option<char>,
    tone: Tone,
    encoder: OpusEncoder,
    sequence: u16,
    timestamp: u32,
    key: Option<(char, u32, u32)>,
    pause: u32,
    begun: bool,
}

impl ToneSource {
    /// `events`: the payload type of telephone events.
    pub fn new(coding: Coding, events: u8) -> (Self, Arc<Mutex<ToneRequest>>) {
        let wish = Arc::new(Mutex::new(ToneRequest {
            frequency: 0.0,
            key_tone: None,
            keys: VecDeque::new(),
            speaks: true,
        }));
        let settings = EncoderSettings {
            complexity: 0,
            maximum_bitrate: None,
            inband_fec: false,
            constant_bitrate: false,
        };
        let voice = ToneSource {
            coding,
            events,
            wish: wish.clone(),
            frequency: 0.0,
            key_tone: None,
            tone: Tone::new(&[], 8_000),
            encoder: OpusEncoder::new(8_000, settings).expect("libopus codes 8 kHz"),
            sequence: 100,
            timestamp: 5_000,
            key: None,
            pause: 0,
            begun: false,
        };
        (voice, wish)
    }

    /// The packets of the next 20 ms.
    pub fn next(&mut self) -> Vec<Spoken> {
        let now = self.timestamp;
        self.timestamp = self.timestamp.wrapping_add(self.coding.ticks());
        {
            let mut wish = self.wish.lock().expect("whole");
            if !wish.speaks {
                return Vec::new();
            }
            if wish.frequency != self.frequency || wish.key_tone != self.key_tone {
                self.frequency = wish.frequency;
                self.key_tone = wish.key_tone;
                self.tone = match wish.key_tone.and_then(digit_frequencies) {
                    Some((low, high)) => Tone::new(&[(low, LEVEL), (high, LEVEL)], 8_000),
                    None => Tone::new(&[(wish.frequency, LEVEL)], 8_000),
                };
            }
            if self.key.is_none() && self.pause == 0 {
                self.key = wish.keys.pop_front().map(|key| (key, now, 0));
            }
        }
        if let Some((key, start, frames)) = &mut self.key {
            *frames += 1;
            let (first, last) = (*frames == 1, *frames == KEY_FRAMES);
            let event = TelephoneEvent {
                event: event_of_digit(*key).expect("a key"),
                end: last,
                volume: 10,
                duration: u16::try_from(*frames * self.coding.ticks()).expect("short"),
            };
            let (start, copies) = (*start, if last { 3 } else { 1 });
            if last {
                self.key = None;
                self.pause = PAUSE_FRAMES;
            }
            let mut payload = Vec::new();
            event.write(&mut payload);
            return (0..copies)
                .map(|_| self.packet(self.events, first, start, payload.clone()))
                .collect();
        }
        self.pause = self.pause.saturating_sub(1);
        let mut samples = [0; FRAME];
        if self.frequency > 0.0 {
            self.tone.fill(&mut samples);
        }
        let mut payload = Vec::new();
        match self.coding {
            Coding::Opus => {
                let coded = self.encoder.encode(&samples, &mut payload);
                coded.expect("libopus codes a frame");
            }
            Coding::Pcmu => encode(Law::Mu, &samples, &mut payload),
            Coding::Pcma => encode(Law::A, &samples, &mut payload),
        }
        let marker = !std::mem::replace(&mut self.begun, true);
        vec![self.packet(self.coding.payload_type(), marker, now, payload)]
    }

    fn packet(
        &mut self,
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        payload: Vec<u8>,
    ) -> Spoken {
        self.sequence = self.sequence.wrapping_add(1);
        Spoken {
            payload_type,
            marker,
            sequence: self.sequence,
            timestamp,
            payload,
        }
    }
}

struct Heard {
    decoder: OpusDecoder,
    /// 8 kHz, since the last [`Recorder::listen`].
    samples: Vec<i16>,
    events: Vec<(u32, char)>,
    payload_types: Vec<u8>,
    last: Instant,
}

/// Decodes, records and measures what arrives.
#[derive(Clone)]
pub struct Recorder {
    heard: Arc<Mutex<Heard>>,
    events: Arc<Vec<u8>>,
}

impl Recorder {
    /// `events`: the payload types of telephone events.
    pub fn new(events: Vec<u8>) -> Self {
        Recorder {
            heard: Arc::new(Mutex::new(Heard {
                decoder: OpusDecoder::new(8_000).expect("libopus decodes to 8 kHz"),
                samples: Vec::new(),
                events: Vec::new(),
                payload_types: Vec::new(),
                last: Instant::now(),
            })),
            events: Arc::new(events),
        }
    }

    /// A packet has arrived.
    pub fn take(&self, payload_type: u8, timestamp: u32, payload: &[u8]) {
        let mut heard = self.heard.lock().expect("whole");
        let heard = &mut *heard;
        heard.last = Instant::now();
        if self.events.contains(&payload_type) {
            let event = TelephoneEvent::parse(payload).expect("a whole event");
            let key = digit_of_event(event.event).expect("a key");
            if !heard.events.contains(&(timestamp, key)) {
                heard.events.push((timestamp, key));
            }
            return;
        }
        if !heard.payload_types.contains(&payload_type) {
            heard.payload_types.push(payload_type);
        }
        match payload_type {
            0 => decode(Law::Mu, payload, &mut heard.samples),
            8 => decode(Law::A, payload, &mut heard.samples),
            13 => {}
            _ => {
                let decoded = heard.decoder.decode(payload, &mut heard.samples);
                decoded.expect("the gateway sends decodable Opus");
            }
        }
    }

    /// Forgets what was heard so far.
    pub fn listen(&self) {
        let mut heard = self.heard.lock().expect("whole");
        heard.samples.clear();
        heard.events.clear();
        heard.payload_types.clear();
    }

    pub fn samples(&self) -> Vec<i16> {
        self.heard.lock().expect("whole").samples.clone()
    }

    pub fn payload_types(&self) -> Vec<u8> {
        self.heard.lock().expect("whole").payload_types.clone()
    }

    /// The keys heard as telephone events, each press once.
    pub fn keys(&self) -> String {
        let heard = self.heard.lock().expect("whole");
        heard.events.iter().map(|(_, key)| *key).collect()
    }

    /// The keys heard as tones, each with its length in milliseconds.
    pub fn key_tones(&self) -> Vec<(char, u32)> {
        let mut tones = Vec::new();
        DtmfDetector::new(8_000).push(&self.samples(), |tone| {
            if let DtmfTone::Ended {
                digit,
                milliseconds,
            } = tone
            {
                tones.push((digit, milliseconds));
            }
        });
        tones
    }

    /// Waits until the last 400 ms are this tone, by its frequency and by its level.
    pub async fn hears(&self, frequency: f64) -> Measured {
        const WINDOW: usize = 3_200;
        self.listen();
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        loop {
            tokio::time::sleep(GLANCE * 2).await;
            let samples = self.samples();
            if samples.len() >= WINDOW {
                let window = &samples[samples.len() - WINDOW..];
                // The cheap look first.
                if (level_at(window, frequency, 8_000) - LEVEL).abs() < 3.0 {
                    let measured = measure(window, 8_000);
                    let right = (measured.frequency - frequency).abs() < 3.0;
                    if right && measured.total_level - measured.level < 1.5 {
                        return measured;
                    }
                    last = Some(measured);
                } else if Instant::now() + GLANCE * 2 >= deadline {
                    last = Some(measure(window, 8_000));
                }
            }
            assert!(
                Instant::now() < deadline,
                "{frequency} Hz never heard: {} samples, last {last:?}",
                samples.len()
            );
        }
    }

    /// Waits until no packet has come for `time`.
    pub async fn stops_sending(&self, time: Duration) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            tokio::time::sleep(GLANCE).await;
            if self.heard.lock().expect("whole").last.elapsed() >= time {
                return;
            }
            assert!(Instant::now() < deadline, "packets do not stop");
        }
    }

    /// Waits for `keys`, and then a little longer for what must not come.
    pub async fn hears_keys(&self, keys: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.keys().len() < keys.len() && Instant::now() < deadline {
            tokio::time::sleep(GLANCE).await;
        }
        tokio::time::sleep(GLANCE * 15).await;
        assert_eq!(
            self.keys(),
            keys,
            "payload types {:?}",
            self.payload_types()
        );
    }

    /// Everything since [`Recorder::listen`] was this tone and nothing else; waits until it is at
    /// least half a second.
    pub async fn heard_only(&self, frequency: f64) {
        let wanted = 4_000;
        let deadline = Instant::now() + PATIENCE;
        while self.samples().len() < wanted && Instant::now() < deadline {
            tokio::time::sleep(GLANCE).await;
        }
        let samples = self.samples();
        assert!(
            samples.len() >= wanted,
            "{} samples of {wanted}",
            samples.len()
        );
        for (index, window) in samples.chunks_exact(800).enumerate() {
            let measured = level_at(window, frequency, 8_000);
            let total: f64 = window.iter().map(|s| f64::from(*s).powi(2)).sum();
            let total = 10.0 * (total / 800.0 * 2.0 / 32_767.0_f64.powi(2)).log10() + 3.17;
            assert!(
                (measured - LEVEL).abs() < 3.0 && total - measured < 2.0,
                "{frequency} Hz was disturbed after {} ms: {measured} of {total} dBm0",
                index * 100
            );
        }
    }
}

/// Waits until `done`; fails with `what` when that takes too long.
pub async fn until_async(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done().await {
        assert!(Instant::now() < deadline, "{what}: waited {PATIENCE:?}");
        tokio::time::sleep(GLANCE).await;
    }
}
