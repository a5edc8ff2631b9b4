//! Call progress tones made, and tones in a signal measured.

use std::f64::consts::TAU;

/// Level of a sine wave of full scale, in dBm0: the overload point of G.711 mu-law (ITU-T G.711
/// table 5; that of A-law is 0.03 dB lower).
const FULL_SCALE_DBM0: f64 = 3.17;

/// Peak of a sine wave of a level in dBm0, on the scale of 16-bit samples.
pub(super) fn amplitude_of(level: f64) -> f64 {
    32_767.0 * 10_f64.powf((level - FULL_SCALE_DBM0) / 20.0)
}

/// Sine waves added up, endless.
#[derive(Clone, Debug)]
pub struct Tone {
    partials: [Partial; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Partial {
    amplitude: f64,
    /// Radians per sample.
    step: f64,
    phase: f64,
}

impl Tone {
    /// A tone of at most two frequencies (hertz, dBm0 each); further ones are left out.
    pub fn new(frequencies: &[(f64, f64)], sample_rate: u32) -> Self {
        let mut partials = [Partial::default(); 2];
        for (partial, (frequency, level)) in partials.iter_mut().zip(frequencies) {
            *partial = Partial {
                amplitude: amplitude_of(*level),
                step: TAU * frequency / f64::from(sample_rate),
                phase: 0.0,
            };
        }
        Tone { partials }
    }

    /// Writes the next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            let mut sum = 0.0;
            for partial in &mut self.partials {
                sum += partial.amplitude * partial.phase.sin();
                partial.phase = (partial.phase + partial.step) % TAU;
            }
            *sample = sum.clamp(-32_768.0, 32_767.0) as i16;
        }
    }
}

/// A tone that is switched on and off: ringback, busy, congestion (ITU-T E.180).
#[derive(Clone, Debug)]
pub struct Cadence {
    tone: Tone,
    /// Samples on and off.
    on: usize,
    off: usize,
    position: usize,
}

impl Cadence {
    /// Ringback: 425 Hz, 1 s on, 4 s off.
    pub fn ringback(sample_rate: u32) -> Self {
        Cadence::new(sample_rate, 1_000, 4_000)
    }

    /// Busy: 425 Hz, half a second on, half a second off.
    pub fn busy(sample_rate: u32) -> Self {
        Cadence::new(sample_rate, 500, 500)
    }

    /// Congestion, number unobtainable: 425 Hz, a quarter second on, a quarter off.
    pub fn congestion(sample_rate: u32) -> Self {
        Cadence::new(sample_rate, 250, 250)
    }

    fn new(sample_rate: u32, on: usize, off: usize) -> Self {
        let samples = |milliseconds: usize| milliseconds * sample_rate as usize / 1_000;
        Cadence {
            tone: Tone::new(&[(425.0, -13.0)], sample_rate),
            on: samples(on),
            off: samples(off),
            position: 0,
        }
    }

    /// Writes the next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        let mut rest = samples;
        while !rest.is_empty() {
            let (sounds, until) = if self.position < self.on {
                (true, self.on)
            } else {
                (false, self.on + self.off)
            };
            let count = (until - self.position).min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            if sounds {
                self.tone.fill(now);
            } else {
                now.fill(0);
            }
            self.position = (self.position + count) % (self.on + self.off);
            rest = later;
        }
    }
}

/// The strongest frequency of a signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Hertz, to about a tenth of one over the signal's length.
    pub frequency: f64,
    /// dBm0 of that frequency alone.
    pub level: f64,
    /// dBm0 of the whole signal.
    pub total_level: f64,
}

/// Level of one frequency in a signal, dBm0 (Goertzel's algorithm, Hann window).
pub fn level_at(samples: &[i16], frequency: f64, sample_rate: u32) -> f64 {
    let count = samples.len().max(1) as f64;
    let step = TAU * frequency / f64::from(sample_rate);
    let coefficient = 2.0 * step.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for (index, sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * index as f64 / count).cos();
        let next = f64::from(*sample) * window + coefficient * last - before;
        (before, last) = (last, next);
    }
    let power = last * last + before * before - coefficient * last * before;
    // A Hann window halves the amplitude, the transform makes N/2 of it.
    let amplitude = power.max(0.0).sqrt() * 4.0 / count;
    decibels(amplitude / 32_767.0)
}

/// Finds the strongest frequency between 100 Hz and half the sample rate. For tests and the
/// built-in test numbers, not for every packet: it tries each frequency.
pub fn measure(samples: &[i16], sample_rate: u32) -> Measured {
    let square: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    let root_mean = (square / samples.len().max(1) as f64).sqrt();
    let total_level = decibels(root_mean * 2_f64.sqrt() / 32_767.0);
    let top = f64::from(sample_rate) / 2.0;
    // Coarsely over a tenth of a second, whose resolution is 10 Hz, then finely over all.
    let beginning = &samples[..samples.len().min(sample_rate as usize / 10)];
    let mut step = 5.0;
    let (mut from, mut to) = (100.0, top);
    let mut looked_at = beginning;
    let mut best = (from, f64::NEG_INFINITY);
    while step > 0.05 {
        let mut frequency = from;
        while frequency < to {
            let level = level_at(looked_at, frequency, sample_rate);
            if level > best.1 {
                best = (frequency, level);
            }
            frequency += step;
        }
        (from, to) = ((best.0 - step).max(100.0), (best.0 + step).min(top));
        step /= 5.0;
        looked_at = samples;
        best.1 = f64::NEG_INFINITY;
    }
    Measured {
        frequency: best.0,
        level: level_at(samples, best.0, sample_rate),
        total_level,
    }
}

fn decibels(amplitude: f64) -> f64 {
    20.0 * amplitude.max(1e-9).log10() + FULL_SCALE_DBM0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_measured_as_it_was_made() {
        for (frequency, level) in [(425.0, -13.0), (1_004.0, 0.0), (3_000.0, -30.0)] {
            let mut samples = [0; 1_600];
            Tone::new(&[(frequency, level)], 8_000).fill(&mut samples);
            let heard = measure(&samples, 8_000);
            assert!((heard.frequency - frequency).abs() < 0.5, "{heard:?}");
            assert!((heard.level - level).abs() < 0.2, "{heard:?}");
            assert!((heard.total_level - level).abs() < 0.2, "{heard:?}");
        }
    }

    #[test]
    fn busy_is_on_and_off_by_turns_however_it_is_asked_for() {
        let mut busy = Cadence::busy(8_000);
        let mut samples = Vec::new();
        while samples.len() < 16_000 {
            let mut part = [0; 170];
            busy.fill(&mut part);
            samples.extend(part);
        }
        let on = |range: std::ops::Range<usize>| level_at(&samples[range], 425.0, 8_000) > -20.0;
        assert!(on(0..4_000) && on(8_000..12_000));
        assert!(samples[4_000..8_000].iter().all(|sample| *sample == 0));
        assert!(samples[12_000..16_000].iter().all(|sample| *sample == 0));
    }
}
