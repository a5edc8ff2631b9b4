//! A signal like speech, and its packets: voiced syllables with a gliding pitch and moving
//! formants, hisses between them, pauses between the words. The same in every run.

use std::f64::consts::TAU;

use opus::{Application, Bitrate, Channels, Encoder};

/// Samples in 20 ms at 8 kHz.
pub const FRAME: usize = 160;
/// Frames until it repeats: ten seconds.
pub const FRAMES: usize = 500;

const RATE: f64 = 8_000.0;

/// Payloads of 20 ms each.
pub struct Speech {
    /// Narrowband, 24 kbit/s, as Chromium makes it when told `maxplaybackrate=8000`.
    pub opus: Vec<Vec<u8>>,
    /// The same in PCMU.
    pub pcmu: Vec<Vec<u8>>,
}

impl Speech {
    /// Makes the signal and encodes it.
    pub fn new() -> Self {
        let samples = signal();
        let mut encoder = Encoder::new(RATE as u32, Channels::Mono, Application::Voip)
            .expect("libopus has an 8 kHz encoder");
        encoder
            .set_bitrate(Bitrate::Bits(24_000))
            .expect("a bit rate");
        encoder.set_complexity(9).expect("a complexity");
        encoder.set_inband_fec(true).expect("FEC");
        let frames = samples.chunks_exact(FRAME);
        Speech {
            opus: frames
                .clone()
                .map(|frame| encoder.encode_vec(frame, 1_275).expect("20 ms"))
                .collect(),
            pcmu: frames
                .map(|frame| frame.iter().map(|sample| compress(*sample)).collect())
                .collect(),
        }
    }
}

fn signal() -> Vec<i16> {
    let mut noise = 0x2545_f491_u32;
    let mut phase = 0.0;
    let mut last_noise = 0.0;
    (0..FRAME * FRAMES)
        .map(|index| {
            let time = index as f64 / RATE;
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let white = f64::from(noise) / f64::from(u32::MAX) * 2.0 - 1.0;
            let hiss = white - last_noise;
            last_noise = white;

            let pitch = 130.0 + 30.0 * (TAU * 0.4 * time).sin() + 8.0 * (TAU * 2.3 * time).sin();
            phase = (phase + pitch / RATE).fract();
            let syllable = (TAU * 2.0 * time).sin().powi(2);
            let word = if (time % 1.6) < 1.3 { 1.0 } else { 0.0 };
            let first = 500.0 + 250.0 * (TAU * 1.7 * time).sin();
            let second = 1_500.0 + 600.0 * (TAU * 1.1 * time).cos();
            let voiced: f64 = (1..=24)
                .map(|harmonic| {
                    let frequency = pitch * f64::from(harmonic);
                    let near = |formant: f64, width: f64| {
                        1.0 / (1.0 + ((frequency - formant) / width).powi(2))
                    };
                    let level = near(first, 120.0) + 0.5 * near(second, 180.0) + 0.02;
                    level * (TAU * phase * f64::from(harmonic)).sin()
                })
                .sum();
            let consonant = (1.0 - syllable).powi(3) * 0.15;
            let sample = word * (syllable * voiced * 0.18 + consonant * hiss) + 0.001 * white;
            (sample * 16_000.0).clamp(-32_000.0, 32_000.0) as i16
        })
        .collect()
}

/// G.711 mu-law of one sample (ITU-T G.711).
pub fn compress(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let exponent = (24 - magnitude.leading_zeros() as i32).clamp(0, 7);
    let mantissa = magnitude >> (exponent + 3) & 0x0f;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

/// The sample of one octet of mu-law.
pub fn expand(octet: u8) -> i16 {
    let octet = !octet;
    let exponent = i32::from(octet >> 4 & 7);
    let magnitude = (((i32::from(octet & 0x0f) << 3) + 132) << exponent) - 132;
    (if octet & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
}
