//! DTMF as sound: the frequencies of the keys and a detector (ITU-T Q.23, Q.24).

use std::f32::consts::{PI, TAU};

use super::tone::amplitude_of;

const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// Samples of a block at 8 kHz: 12.75 ms, so that 40 ms of tone or of pause hold two whole blocks
/// wherever they begin, and 20 ms never do (Q.24 table A-1).
const BLOCK_AT_8_KHZ: usize = 102;
/// Blocks in a row that make a key, and blocks without it that end it.
const BLOCKS: u32 = 2;
/// Weaker tones are no keys, dBm0.
const LOWEST_LEVEL: f64 = -33.0;
/// How far the others of a group must lie below the strongest, as a ratio of powers: 7 dB.
const DISTINCTION: f32 = 5.0;
/// How far the high tone may lie above and below the low one, as ratios of powers: 6 and 9 dB
/// (Q.24 allows 4 and 8 in networks).
const TWIST: f32 = 4.0;
const REVERSE_TWIST: f32 = 8.0;
/// The part of a block's power that the two tones must have: speech has its power elsewhere too.
const SHARE: f32 = 0.82;
/// The same while a key is down: a hole of 10 ms, as a lost packet of that length leaves, does
/// not end it.
const SHARE_WHILE_DOWN: f32 = 0.35;
/// How far the power of a tone may change from block to block: 2.6 dB.
const STEADINESS: f32 = 1.8;
/// How far a tone may be from its frequency: Q.24 wants 1.5 % taken and 3.5 % refused.
const TOLERANCE: f32 = 0.022;

/// The low and the high frequency of a key, hertz (ITU-T Q.23).
pub fn digit_frequencies(digit: char) -> Option<(f64, f64)> {
    let digit = digit.to_ascii_uppercase();
    KEYS.iter().zip(ROWS).find_map(|(keys, row)| {
        let column = keys.iter().position(|key| *key == digit)?;
        Some((row, COLUMNS[column]))
    })
}

/// The key of a low and a high frequency, to within 2 %.
pub fn digit_of_frequencies(low: f64, high: f64) -> Option<char> {
    let near = |group: [f64; 4], frequency: f64| {
        group
            .iter()
            .position(|one| (one - frequency).abs() < one * 0.02)
    };
    Some(KEYS[near(ROWS, low)?][near(COLUMNS, high)?])
}

/// What a detector reports of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfTone {
    /// It is down, since about [`DtmfDetector::DELAY_MS`].
    Began(char),
    /// It was let go.
    Ended {
        /// Which.
        digit: char,
        /// How long it was down, milliseconds, to within a block of 13.
        milliseconds: u32,
    },
}

/// One frequency in one block.
#[derive(Clone, Copy, Debug, Default)]
struct Correlation {
    power: f32,
    phase: f32,
}

/// A block that holds the two tones of a key.
#[derive(Clone, Copy, Debug)]
struct Hit {
    row: usize,
    column: usize,
    low: Correlation,
    high: Correlation,
}

/// Goertzel's recursion for one frequency.
#[derive(Clone, Copy, Debug, Default)]
struct Resonator {
    /// Radians per sample, its cosine and sine.
    step: f32,
    cosine: f32,
    sine: f32,
    last: f32,
    before: f32,
}

impl Resonator {
    fn new(frequency: f64, sample_rate: u32) -> Self {
        let step = TAU * frequency as f32 / sample_rate as f32;
        Resonator {
            step,
            cosine: step.cos(),
            sine: step.sin(),
            last: 0.0,
            before: 0.0,
        }
    }

    fn take(&mut self, sample: f32) {
        let next = sample + 2.0 * self.cosine * self.last - self.before;
        (self.before, self.last) = (self.last, next);
    }

    fn finish(&mut self) -> Correlation {
        let real = self.last - self.before * self.cosine;
        let imaginary = self.before * self.sine;
        (self.last, self.before) = (0.0, 0.0);
        Correlation {
            power: real * real + imaginary * imaginary,
            phase: imaginary.atan2(real),
        }
    }
}

/// Finds keys in a signal. Allocates nothing.
///
/// A key is two blocks in a row in which one low and one high frequency stand out, hold most of
/// the power, differ little in level, and go on in phase: a voice seldom keeps the phase of two
/// of its harmonics on such frequencies for that long.
#[derive(Clone, Debug)]
pub struct DtmfDetector {
    rows: [Resonator; 4],
    columns: [Resonator; 4],
    length: usize,
    filled: usize,
    energy: f32,
    /// Correlation power of the weakest tone that counts.
    least: f32,
    /// The block before, and how many like it in a row.
    before: Option<Hit>,
    run: u32,
    pressed: Option<Pressed>,
}

/// A key that is down.
#[derive(Clone, Copy, Debug)]
struct Pressed {
    digit: char,
    /// Blocks since it began, those without it among them.
    blocks: u32,
    /// Blocks without it at the end.
    missing: u32,
}

impl DtmfDetector {
    /// How long a key has been down at least when it is told.
    pub const DELAY_MS: u32 = 26;

    /// A detector for a signal of `sample_rate` hertz, 8000 or more.
    pub fn new(sample_rate: u32) -> Self {
        let length = BLOCK_AT_8_KHZ * sample_rate as usize / 8_000;
        // A sine wave of amplitude a in n samples correlates to a * n / 2.
        let weakest = amplitude_of(LOWEST_LEVEL) as f32 * length as f32 / 2.0;
        DtmfDetector {
            rows: ROWS.map(|frequency| Resonator::new(frequency, sample_rate)),
            columns: COLUMNS.map(|frequency| Resonator::new(frequency, sample_rate)),
            length,
            filled: 0,
            energy: 0.0,
            least: weakest * weakest,
            before: None,
            run: 0,
            pressed: None,
        }
    }

    /// Takes samples and reports the keys in them.
    pub fn push(&mut self, samples: &[i16], mut report: impl FnMut(DtmfTone)) {
        for sample in samples {
            let sample = f32::from(*sample);
            self.energy += sample * sample;
            for resonator in self.rows.iter_mut().chain(&mut self.columns) {
                resonator.take(sample);
            }
            self.filled += 1;
            if self.filled == self.length {
                let hit = self.finish_block();
                self.judge(hit, &mut report);
            }
        }
    }

    /// Nothing more comes for now: a key that is down is let go.
    pub fn interrupt(&mut self, mut report: impl FnMut(DtmfTone)) {
        self.before = None;
        self.run = 0;
        self.let_go(&mut report);
    }

    fn finish_block(&mut self) -> Option<Hit> {
        let rows = self.rows.each_mut().map(Resonator::finish);
        let columns = self.columns.each_mut().map(Resonator::finish);
        let energy = std::mem::take(&mut self.energy);
        self.filled = 0;
        let (row, low) = outstanding(&rows)?;
        let (column, high) = outstanding(&columns)?;
        if low.power < self.least || high.power < self.least {
            return None;
        }
        if high.power > low.power * TWIST || low.power > high.power * REVERSE_TWIST {
            return None;
        }
        // The energy of a sine wave of amplitude a in n samples is a * a * n / 2.
        let of_tones = (low.power + high.power) * 2.0 / self.length as f32;
        let share = match self.pressed {
            Some(_) => SHARE_WHILE_DOWN,
            None => SHARE,
        };
        (of_tones > energy * share).then_some(Hit {
            row,
            column,
            low,
            high,
        })
    }

    fn judge(&mut self, hit: Option<Hit>, report: &mut impl FnMut(DtmfTone)) {
        self.run = match (hit, self.before) {
            (Some(hit), Some(before)) if self.goes_on(before, hit) => self.run + 1,
            (Some(_), _) => 1,
            (None, _) => 0,
        };
        self.before = hit;
        let key = hit.map(|hit| KEYS[hit.row][hit.column]);
        if let Some(pressed) = &mut self.pressed {
            pressed.blocks += 1;
            if key == Some(pressed.digit) {
                pressed.missing = 0;
            } else {
                pressed.missing += 1;
                if pressed.missing >= BLOCKS {
                    self.let_go(report);
                }
            }
        }
        if self.pressed.is_none()
            && self.run >= BLOCKS
            && let Some(digit) = key
        {
            self.pressed = Some(Pressed {
                digit,
                blocks: self.run,
                missing: 0,
            });
            report(DtmfTone::Began(digit));
        }
    }

    fn let_go(&mut self, report: &mut impl FnMut(DtmfTone)) {
        if let Some(pressed) = self.pressed.take() {
            let blocks = pressed.blocks - pressed.missing;
            // Of the blocks at both ends a part is not seen: half a block each on average.
            let milliseconds = (blocks + 1) * BLOCK_AT_8_KHZ as u32 / 8;
            report(DtmfTone::Ended {
                digit: pressed.digit,
                milliseconds,
            });
        }
    }

    /// Whether both tones of a block go on from those of the block before, as loud as they were:
    /// the phase says how far each is from its frequency.
    fn goes_on(&self, before: Hit, hit: Hit) -> bool {
        let steady = |resonator: &Resonator, from: Correlation, to: Correlation| {
            let expected = resonator.step * self.length as f32;
            let off = (to.phase - from.phase - expected).rem_euclid(TAU);
            let off = off.min(TAU - off);
            let level = from.power.max(to.power) < from.power.min(to.power) * STEADINESS;
            level && off < (expected * TOLERANCE).min(0.8 * PI)
        };
        before.row == hit.row
            && before.column == hit.column
            && steady(&self.rows[hit.row], before.low, hit.low)
            && steady(&self.columns[hit.column], before.high, hit.high)
    }
}

/// The strongest of a group, where it stands out.
fn outstanding(group: &[Correlation; 4]) -> Option<(usize, Correlation)> {
    let (best, strongest) = group
        .iter()
        .enumerate()
        .max_by(|(_, one), (_, other)| one.power.total_cmp(&other.power))?;
    let alone = group
        .iter()
        .enumerate()
        .all(|(index, other)| index == best || other.power * DISTINCTION < strongest.power);
    alone.then_some((best, *strongest))
}

#[cfg(test)]
mod tests {
    use super::super::{Law, Tone, decode, encode};
    use super::*;

    /// Milliseconds of a pair of tones, hertz and dBm0 each, and of a pause after it.
    fn burst(tones: &[(f64, f64)], on: usize, off: usize) -> Vec<i16> {
        let mut samples = vec![0; (on + off) * 8];
        Tone::new(tones, 8_000).fill(&mut samples[..on * 8]);
        samples
    }

    fn key(digit: char, on: usize, off: usize) -> Vec<i16> {
        let (low, high) = digit_frequencies(digit).expect("a key");
        burst(&[(low, -9.0), (high, -7.0)], on, off)
    }

    /// The keys that are heard in a signal at 8 kHz.
    fn heard(samples: &[i16]) -> String {
        let mut detector = DtmfDetector::new(8_000);
        let mut keys = String::new();
        let mut down = None;
        let mut take = |tone| match tone {
            DtmfTone::Began(digit) => {
                assert_eq!(down.replace(digit), None, "one at a time");
                keys.push(digit);
            }
            DtmfTone::Ended { digit, .. } => assert_eq!(down.take(), Some(digit)),
        };
        for part in samples.chunks(160) {
            detector.push(part, &mut take);
        }
        detector.interrupt(&mut take);
        assert_eq!(down, None);
        keys
    }

    const ALL: &str = "1234567890*#ABCDD00";

    #[test]
    fn all_sixteen_keys_are_found_once_each_at_the_shortest_that_networks_promise() {
        // Wherever in a block they begin.
        for offset in 0..BLOCK_AT_8_KHZ {
            let mut samples = vec![0; offset];
            for digit in ALL.chars() {
                samples.extend(key(digit, 40, 40));
            }
            assert_eq!(heard(&samples), ALL, "offset {offset}");
        }
    }

    #[test]
    fn keys_are_found_after_g711_beside_noise_and_at_other_rates() {
        for law in [Law::Mu, Law::A] {
            let mut noise = Noise(1);
            let mut samples: Vec<i16> = ALL.chars().flat_map(|digit| key(digit, 60, 60)).collect();
            for sample in &mut samples {
                *sample = sample.saturating_add(noise.next(300));
            }
            let mut coded = Vec::new();
            encode(law, &samples, &mut coded);
            samples.clear();
            decode(law, &coded, &mut samples);
            assert_eq!(heard(&samples), ALL);
        }
        let mut samples = vec![0; 7_200];
        Tone::new(&[(770.0, -9.0), (1_477.0, -9.0)], 48_000).fill(&mut samples[..3_840]);
        let mut keys = Vec::new();
        DtmfDetector::new(48_000).push(&samples, |tone| keys.push(tone));
        let [
            DtmfTone::Began('6'),
            DtmfTone::Ended {
                digit: '6',
                milliseconds,
            },
        ] = keys[..]
        else {
            panic!("{keys:?}");
        };
        assert!((68..=92).contains(&milliseconds), "{milliseconds} of 80");
    }

    #[test]
    fn levels_twist_and_frequencies_are_taken_and_refused_as_q24_says() {
        let five = |low: (f64, f64), high: (f64, f64)| {
            let (low, high) = ((770.0 * low.0, low.1), (1_336.0 * high.0, high.1));
            heard(&burst(&[low, high], 80, 80))
        };
        for taken in [
            five((1.0, -28.0), (1.0, -28.0)),
            five((1.0, 0.0), (1.0, 0.0)),
            five((1.0, -12.0), (1.0, -8.0)),
            five((1.0, -8.0), (1.0, -16.0)),
            five((1.015, -9.0), (0.985, -9.0)),
            five((0.985, -9.0), (1.015, -9.0)),
        ] {
            assert_eq!(taken, "5");
        }
        for refused in [
            five((1.0, -45.0), (1.0, -45.0)),
            five((1.0, -20.0), (1.0, -8.0)),
            five((1.0, -6.0), (1.0, -18.0)),
            five((1.035, -9.0), (1.0, -9.0)),
            five((0.965, -9.0), (1.0, -9.0)),
            five((1.0, -9.0), (1.035, -9.0)),
            five((1.0, -9.0), (0.965, -9.0)),
        ] {
            assert_eq!(refused, "");
        }
    }

    #[test]
    fn a_tone_of_20_ms_is_no_key_and_one_with_a_hole_of_10_ms_is_one() {
        for offset in 0..BLOCK_AT_8_KHZ {
            let mut samples = vec![0; offset];
            samples.extend(key('7', 20, 80));
            assert_eq!(heard(&samples), "", "offset {offset}");
            let mut samples = vec![0; offset];
            samples.extend(key('7', 60, 0));
            let mut rest = key('7', 130, 60);
            rest[..80].fill(0);
            samples.extend(rest);
            assert_eq!(heard(&samples), "7", "offset {offset}");
        }
    }

    #[test]
    fn a_single_tone_call_progress_and_music_are_no_keys() {
        for tones in [
            [(697.0, -9.0), (0.0, -99.0)],
            [(440.0, -9.0), (480.0, -9.0)],
            [(350.0, -9.0), (440.0, -9.0)],
            [(697.0, -9.0), (770.0, -9.0)],
            [(1_004.0, -5.0), (1_336.0, -20.0)],
        ] {
            assert_eq!(heard(&burst(&tones, 1_000, 100)), "", "{tones:?}");
        }
    }

    /// Numbers that look random and are the same each time.
    struct Noise(u32);

    impl Noise {
        /// From `-most` to `most`.
        fn next(&mut self, most: i16) -> i16 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let unit = f64::from(self.0 >> 8) / f64::from(1 << 24);
            ((unit * 2.0 - 1.0) * f64::from(most)) as i16
        }
    }

    #[test]
    fn neither_noise_nor_gliding_voices_make_a_key() {
        // Ten minutes: harmonics of a pitch that glides, louder around two formants that move,
        // with breath between, as voices do.
        let mut noise = Noise(7);
        let mut detector = DtmfDetector::new(8_000);
        let mut phase = 0.0_f64;
        let (mut pitch, mut first, mut second) = (120.0, 500.0, 1_500.0);
        let mut goals = (120.0, 500.0, 1_500.0);
        let mut keys = Vec::new();
        for frame in 0..30_000_u32 {
            if frame % 8 == 0 {
                let mut unit = || f64::from(noise.next(10_000)) / 20_000.0 + 0.5;
                goals = (
                    80.0 + 220.0 * unit(),
                    250.0 + 750.0 * unit(),
                    900.0 + 1_500.0 * unit(),
                );
            }
            let voiced = frame % 50 < 38;
            let mut samples = [0_i16; 160];
            for sample in &mut samples {
                pitch += (goals.0 - pitch) * 0.000_6;
                first += (goals.1 - first) * 0.001;
                second += (goals.2 - second) * 0.001;
                phase += std::f64::consts::TAU * pitch / 8_000.0;
                let mut sum = f64::from(noise.next(if voiced { 200 } else { 1_500 }));
                if voiced {
                    for harmonic in 1..=(3_400.0 / pitch) as u32 {
                        let frequency = pitch * f64::from(harmonic);
                        let near =
                            |formant: f64| 1.0 / (1.0 + ((frequency - formant) / 120.0).powi(2));
                        let amplitude = 2_500.0
                            * (near(first) + 0.5 * near(second) + 0.2 * near(second + 900.0))
                            + 150.0;
                        sum += amplitude * (phase * f64::from(harmonic)).sin();
                    }
                }
                *sample = sum.clamp(-32_000.0, 32_000.0) as i16;
            }
            detector.push(&samples, |tone| keys.push((frame, tone)));
        }
        assert!(keys.is_empty(), "{keys:?}");
    }

    #[test]
    fn frequencies_and_keys_belong_together() {
        assert_eq!(digit_frequencies('5'), Some((770.0, 1_336.0)));
        assert_eq!(digit_frequencies('d'), Some((941.0, 1_633.0)));
        assert_eq!(digit_frequencies('x'), None);
        assert_eq!(digit_of_frequencies(775.0, 1_330.0), Some('5'));
        assert_eq!(digit_of_frequencies(735.0, 1_330.0), None);
    }
}
