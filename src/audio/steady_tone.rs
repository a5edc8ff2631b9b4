//! Tells a steady tone from everything else on a telephone line.

/// A sine wave at angle `w` a sample obeys `x[n] + x[n - 2 d] = 2 cos(d w) x[n - d]` at any
/// distance `d`. At 8 kHz one sample tells high frequencies apart, four the low ones, whose
/// harmonics hardly show from one sample to the next; at other rates it is the same time.
const DISTANCES_AT_8_KHZ: [usize; 2] = [1, 4];
/// Power of the deviation from that, relative to the signal's: G.711 leaves up to 0.6 % at -40 dBm0, while
/// speech, vowels too, seldom comes near for a frame.
const DEVIATION_LIMIT: f32 = 0.02;
/// From one frame to the next: what `2 cos(4 w)` may change by, and the power's factor.
const DRIFT: f32 = 0.03;
const SWELL: f32 = 1.25;
/// Mean square below which it is silence: -61 dB of full scale.
const FLOOR: f32 = 900.0;
/// A tone has to last for this part of a second: no sound of speech is pure for so long.
const PROOF: u32 = 10;

/// One frame's frequency, as `2 cos(4 w)`, and mean square.
#[derive(Clone, Copy, Debug)]
struct Pitch {
    cosine: f32,
    power: f32,
}

/// Detector of a steady tone, frame by frame.
#[derive(Clone, Debug)]
pub(super) struct SteadyTone {
    sample_rate: u32,
    last: Option<Pitch>,
    /// Samples since the tone began.
    lasted: usize,
}

impl SteadyTone {
    pub(super) fn new(sample_rate: u32) -> Self {
        SteadyTone {
            sample_rate,
            last: None,
            lasted: 0,
        }
    }

    /// Takes the next frame. True while one tone of one frequency and level has been there for a
    /// tenth of a second, this frame included.
    pub(super) fn analyze(&mut self, samples: &[i16]) -> bool {
        let pitch = pitch(samples, self.sample_rate);
        let goes_on = match (self.last, pitch) {
            (Some(last), Some(now)) => {
                let swell = now.power / last.power;
                (now.cosine - last.cosine).abs() < DRIFT && swell < SWELL && swell > SWELL.recip()
            }
            _ => false,
        };
        self.last = pitch;
        self.lasted = match pitch {
            Some(_) if goes_on => self.lasted.saturating_add(samples.len()),
            Some(_) => samples.len(),
            None => 0,
        };
        self.lasted >= (self.sample_rate / PROOF) as usize
    }

    /// Another signal begins.
    pub(super) fn reset(&mut self) {
        *self = SteadyTone::new(self.sample_rate);
    }
}

/// The frame's pitch, when it is a pure tone.
fn pitch(samples: &[i16], sample_rate: u32) -> Option<Pitch> {
    let step = (sample_rate / 8_000).max(1) as usize;
    let mut found = None;
    for distance in DISTANCES_AT_8_KHZ.map(|distance| distance * step) {
        let (mut square, mut product, mut power) = (0.0_f32, 0.0_f32, 0.0_f32);
        let later = samples.get(2 * distance..)?;
        for ((first, middle), last) in samples.iter().zip(&samples[distance..]).zip(later) {
            let middle = f32::from(*middle);
            let ends = f32::from(*first) + f32::from(*last);
            power += middle * middle;
            product += ends * middle;
            square += ends * ends;
        }
        if later.is_empty() || power < FLOOR * later.len() as f32 {
            return None;
        }
        let cosine = product / power;
        if square - cosine * product > DEVIATION_LIMIT * power {
            return None;
        }
        found = Some(Pitch {
            cosine,
            power: power / later.len() as f32,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::{Cadence, Law, Tone, decode, encode};
    use super::*;

    const FRAME: usize = 160;

    /// The frames, of ten, that are heard as a steady tone after G.711.
    fn heard(mut fill: impl FnMut(&mut [i16])) -> Vec<bool> {
        let mut tone = SteadyTone::new(8_000);
        let mut samples = [0; FRAME];
        (0..10)
            .map(|_| {
                fill(&mut samples);
                let (mut octets, mut line) = (Vec::new(), Vec::new());
                encode(Law::Mu, &samples, &mut octets);
                decode(Law::Mu, &octets, &mut line);
                tone.analyze(&line)
            })
            .collect()
    }

    #[test]
    fn any_tone_is_known_after_a_tenth_of_a_second() {
        let expected = [[false; 4].as_slice(), &[true; 6]].concat();
        for level in [0.0, -9.0, -25.0, -40.0] {
            for frequency in (300..=3_400).step_by(50) {
                let mut tone = Tone::new(&[(f64::from(frequency), level)], 8_000);
                let heard = heard(|samples| tone.fill(samples));
                assert_eq!(heard, expected, "{frequency} Hz at {level} dBm0");
            }
        }
    }

    #[test]
    fn silence_keys_and_two_tones_are_none() {
        for frequencies in [
            [(0.0, -90.0), (0.0, -90.0)],
            [(697.0, -8.0), (1_209.0, -6.0)],
            [(941.0, -8.0), (1_477.0, -6.0)],
            [(350.0, -13.0), (440.0, -13.0)],
            [(440.0, -19.0), (480.0, -19.0)],
        ] {
            let mut tone = Tone::new(&frequencies, 8_000);
            let heard = heard(|samples| tone.fill(samples));
            assert_eq!(heard, [false; 10], "{frequencies:?}");
        }
    }

    #[test]
    fn a_voice_that_hums_is_none() {
        // Harmonics of a pitch that glides by a semitone in a second, as even a held vowel does.
        for pitch in [90.0_f64, 120.0, 150.0, 200.0, 280.0] {
            let mut phase = 0.0_f64;
            let mut step = std::f64::consts::TAU * pitch / 8_000.0;
            let heard = heard(|samples| {
                for sample in samples {
                    let harmonics = [(1.0, 4_000.0), (2.0, 2_000.0), (3.0, 1_200.0), (4.0, 500.0)];
                    let sum: f64 = harmonics
                        .iter()
                        .map(|(number, amplitude)| amplitude * (number * phase).sin())
                        .sum();
                    *sample = sum as i16;
                    phase += step;
                    step *= 1.0 + 0.059 / 8_000.0;
                }
            });
            assert_eq!(heard, [false; 10], "{pitch} Hz");
        }
    }

    #[test]
    fn it_begins_anew_with_another_frequency_level_or_pause() {
        let mut tone = SteadyTone::new(8_000);
        let mut samples = [0; FRAME];
        let mut last = false;
        for (frequency, level) in [(700.0, -9.0), (760.0, -9.0), (760.0, -13.0)] {
            let mut signal = Tone::new(&[(frequency, level)], 8_000);
            for frame in 0..8 {
                signal.fill(&mut samples);
                let (was, now) = (last, tone.analyze(&samples));
                assert_eq!(now, frame >= 4, "{frequency} {level} {frame} {was}");
                last = now;
            }
        }
        assert!(!tone.analyze(&[0; FRAME]));
        let mut busy = Cadence::busy(8_000);
        let heard: Vec<bool> = (0..50)
            .map(|_| {
                busy.fill(&mut samples);
                tone.analyze(&samples)
            })
            .collect();
        assert_eq!(heard.iter().filter(|steady| **steady).count(), 21);
    }
}
