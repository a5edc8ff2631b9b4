//! Concealment of lost G.711: the last pitch period is repeated and faded out, in the manner
//! of ITU-T G.711 Appendix I, but without the delay that it adds to good samples.

/// Signal that is remembered, milliseconds: the longest template and the longest lag fit in it.
const HISTORY: usize = 45;
/// Pitch periods that are looked for, milliseconds: 200 Hz down to 66 Hz (Appendix I.2.2).
const SHORTEST_PITCH: usize = 5;
const LONGEST_PITCH: usize = 15;
/// What is compared to find the pitch, milliseconds.
const TEMPLATE: usize = 20;
/// Full level for the first 10 ms, then down to nothing at 60 ms.
const FADE_BEGINS: usize = 10;
const FADE_ENDS: usize = 60;
/// Appendix I goes from one period to two after 10 ms and to three after 20 ms: one repeated
/// for longer buzzes.
const MORE_PERIODS_EVERY: usize = 10;

/// State of one stream of samples.
#[derive(Clone, Debug)]
pub struct Concealment {
    /// Samples in a millisecond.
    millisecond: usize,
    /// The last good samples; while something is lost they stay as they are.
    history: Box<[i16]>,
    /// A loss that has not ended yet.
    loss: Option<Loss>,
}

#[derive(Clone, Copy, Debug)]
struct Loss {
    pitch: usize,
    /// Periods in use.
    periods: usize,
    /// Where in them the next sample is.
    position: usize,
    /// Samples made up so far.
    made: usize,
    /// What the first made-up sample would jump by; faded out over a quarter period.
    step: f32,
}

impl Concealment {
    /// For samples of `audio_rate` hertz, 8000 or more.
    pub fn new(audio_rate: u32) -> Self {
        let millisecond = (audio_rate / 1_000).max(8) as usize;
        Concealment {
            millisecond,
            history: vec![0; HISTORY * millisecond].into_boxed_slice(),
            loss: None,
        }
    }

    /// Takes good samples; the first of them after a loss are cross-faded with what the loss
    /// would have gone on with.
    pub fn receive(&mut self, samples: &mut [i16]) {
        if let Some(mut loss) = self.loss.take() {
            // A quarter period, and 4 ms more for each 10 ms lost, up to 10 ms.
            let ten = 10 * self.millisecond;
            let longer = 4 * self.millisecond * (loss.made / ten);
            let fade = (loss.pitch / 4 + longer).min(ten).min(samples.len());
            for (index, sample) in samples[..fade].iter_mut().enumerate() {
                let made = f32::from(self.next(&mut loss));
                let weight = (index as f32 + 1.0) / (fade as f32 + 1.0);
                *sample = (made + (f32::from(*sample) - made) * weight) as i16;
            }
        }
        self.remember(samples);
    }

    /// Appends `count` made-up samples.
    pub fn conceal(&mut self, count: usize, samples: &mut Vec<i16>) {
        let mut loss = self.loss.take().unwrap_or_else(|| self.begin());
        for _ in 0..count {
            let sample = self.next(&mut loss);
            samples.push(sample);
        }
        self.loss = Some(loss);
    }

    /// Forgets the signal: silence, or another source, comes next.
    pub fn reset(&mut self) {
        self.history.fill(0);
        self.loss = None;
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.history.len();
        if samples.len() >= length {
            self.history
                .copy_from_slice(&samples[samples.len() - length..]);
        } else {
            self.history.copy_within(samples.len().., 0);
            self.history[length - samples.len()..].copy_from_slice(samples);
        }
    }

    fn begin(&self) -> Loss {
        let pitch = self.pitch();
        let end = self.history.len() - 1;
        let last = f32::from(self.history[end]);
        // What came before the period that is repeated now comes before its copy.
        let before = f32::from(self.history[end - pitch]);
        Loss {
            pitch,
            periods: 1,
            position: 0,
            made: 0,
            step: last - before,
        }
    }

    /// The lag at which the last 20 ms are most like what is before them: at 8 kHz every second
    /// lag over every second sample first, then around the best (Appendix I.2.2); at higher rates
    /// the same times.
    fn pitch(&self) -> usize {
        let (shortest, longest) = (
            SHORTEST_PITCH * self.millisecond,
            LONGEST_PITCH * self.millisecond,
        );
        let stride = self.millisecond / 4;
        let coarse = self.best_lag((shortest..=longest).step_by(stride), stride);
        let from = (coarse - (stride - 1)).max(shortest);
        self.best_lag(from..=(coarse + stride - 1).min(longest), 1)
    }

    fn best_lag(&self, lags: impl Iterator<Item = usize>, stride: usize) -> usize {
        let end = self.history.len();
        let start = end - TEMPLATE * self.millisecond;
        let mut best = (SHORTEST_PITCH * self.millisecond, f32::NEG_INFINITY);
        for lag in lags {
            let (mut product, mut energy) = (0.0, 1.0);
            for index in (start..end).step_by(stride) {
                let past = f32::from(self.history[index - lag]);
                product += f32::from(self.history[index]) * past;
                energy += past * past;
            }
            let likeness = product / f32::sqrt(energy);
            if likeness > best.1 {
                best = (lag, likeness);
            }
        }
        best.0
    }

    fn next(&self, loss: &mut Loss) -> i16 {
        let length = loss.pitch * loss.periods;
        let start = self.history.len() - length;
        let quarter = loss.pitch / 4;
        let mut sample = f32::from(self.history[start + loss.position]);
        // Towards the end of the repeated part it is cross-faded with what comes before its
        // beginning, so that the end runs into the beginning.
        let left = length - loss.position;
        if left <= quarter {
            let weight = left as f32 / (quarter as f32 + 1.0);
            let before = f32::from(self.history[start - left]);
            sample = before + (sample - before) * weight;
        }
        if loss.made < quarter {
            sample += loss.step * (1.0 - loss.made as f32 / quarter as f32);
        }
        let (fade_begins, fade_ends) =
            (FADE_BEGINS * self.millisecond, FADE_ENDS * self.millisecond);
        let gain = if loss.made < fade_begins {
            1.0
        } else {
            fade_ends.saturating_sub(loss.made) as f32 / (fade_ends - fade_begins) as f32
        };
        loss.made += 1;
        loss.position += 1;
        if loss.position == length {
            loss.position = 0;
            // Only at the seam: the cross-fade has led to where the repeated part began, and
            // from there a longer one goes on to the same end.
            let wanted = 1 + loss.made / (MORE_PERIODS_EVERY * self.millisecond);
            let fitting = (self.history.len() - quarter) / loss.pitch;
            let next = wanted.min(3).min(fitting);
            if next != loss.periods {
                loss.periods = next;
                loss.position = (loss.pitch * next).saturating_sub(length);
            }
        }
        (sample * gain) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Tone, level_at};
    use super::*;

    fn with_loss(frequency: f64, lost: usize) -> (Vec<i16>, Vec<i16>) {
        let mut whole = vec![0; 4_000];
        Tone::new(&[(frequency, -10.0)], 8_000).fill(&mut whole);
        let mut concealment = Concealment::new(8_000);
        let mut heard = Vec::new();
        for chunk in whole[..1_600].chunks(160) {
            let mut chunk = chunk.to_vec();
            concealment.receive(&mut chunk);
            heard.extend(chunk);
        }
        concealment.conceal(lost, &mut heard);
        for chunk in whole[1_600 + lost..].chunks(160) {
            let mut chunk = chunk.to_vec();
            concealment.receive(&mut chunk);
            heard.extend(chunk);
        }
        (whole, heard)
    }

    #[test]
    fn a_lost_frame_of_a_tone_goes_on_sounding() {
        for frequency in [110.0, 200.0, 310.0, 440.0, 1_004.0] {
            let (whole, heard) = with_loss(frequency, 160);
            assert_eq!(whole.len(), heard.len());
            let before = level_at(&heard[1_440..1_600], frequency, 8_000);
            let made = level_at(&heard[1_600..1_760], frequency, 8_000);
            assert!(made > before - 4.0, "{frequency}: {before} {made}");
        }
    }

    #[test]
    fn nothing_jumps_where_a_loss_begins_where_it_repeats_and_where_it_ends() {
        for frequency in [110.0, 200.0, 313.0, 440.0] {
            for lost in [80, 160, 320, 480, 800] {
                let (whole, heard) = with_loss(frequency, lost);
                let steepest = |samples: &[i16]| {
                    samples
                        .windows(2)
                        .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs())
                        .max()
                        .expect("many samples")
                };
                let (clean, concealed) = (steepest(&whole), steepest(&heard));
                assert!(
                    concealed <= clean * 2,
                    "{frequency} Hz, {lost} lost: {concealed} against {clean}"
                );
            }
        }
    }

    #[test]
    fn a_voice_that_swells_is_gone_on_with_where_it_was() {
        // Every period half as loud again as the one before: the last period begins far from
        // where the signal has got to.
        let mut samples: Vec<i16> = (0..400)
            .map(|index| {
                let swell = 10.0 * 1.5_f64.powf(f64::from(index) / 64.0);
                let phase = std::f64::consts::TAU * f64::from(index) / 64.0;
                (swell * (phase.cos() + 1.0) * 20.0) as i16
            })
            .collect();
        let steepest = samples
            .windows(2)
            .map(|pair| pair[1].abs_diff(pair[0]))
            .max();
        let mut concealment = Concealment::new(8_000);
        concealment.receive(&mut samples);
        concealment.conceal(160, &mut samples);
        let jump = samples[400].abs_diff(samples[399]);
        assert!(Some(jump) <= steepest, "{jump} against {steepest:?}");
    }

    #[test]
    fn a_long_loss_fades_out_by_60_milliseconds() {
        let (_, heard) = with_loss(200.0, 800);
        assert!(
            heard[1_600 + FADE_ENDS * 8..2_400]
                .iter()
                .all(|sample| *sample == 0)
        );
        assert!(
            heard[1_600..1_680]
                .iter()
                .any(|sample| sample.unsigned_abs() > 3_000)
        );
    }

    #[test]
    fn silence_stays_silent() {
        let mut concealment = Concealment::new(8_000);
        let mut heard = Vec::new();
        concealment.conceal(500, &mut heard);
        assert!(heard.iter().all(|sample| *sample == 0));
    }

    #[test]
    fn loss_at_16_khz_is_concealed_as_at_8_khz() {
        let mut concealment = Concealment::new(16_000);
        let mut whole = vec![0; 3_200];
        Tone::new(&[(200.0, -10.0)], 16_000).fill(&mut whole);
        concealment.receive(&mut whole);
        let mut made = Vec::new();
        concealment.conceal(1_600, &mut made);
        let level = level_at(&made[..160], 200.0, 16_000);
        assert!(level > -14.0, "{level}");
        assert!(made[60 * 16..].iter().all(|sample| *sample == 0));
    }
}
