//! DTMF as sound: the frequencies of the keys and a detector (ITU-T Q.23, Q.24).

use super::tone::{amplitude_of, level_at};

const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// Samples that are looked at together: 25 ms at 8 kHz resolve the rows.
const BLOCK_MILLISECONDS: usize = 25;
/// Weaker tones are no keys, dBm0.
const LOWEST_LEVEL: f64 = -35.0;
/// How far the second of a group must lie below the first, decibels.
const DISTINCTION: f64 = 6.0;
/// How far the two groups may differ, decibels (Q.24 allows 4 to 8 in networks).
const TWIST: f64 = 9.0;

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

/// Finds keys in a signal, each press once.
#[derive(Clone, Debug)]
pub struct DtmfDetector {
    sample_rate: u32,
    block: Vec<i16>,
    /// What the last block held, and how many blocks in a row.
    last: (Option<char>, u32),
    pressed: Option<char>,
}

impl DtmfDetector {
    /// A detector for a signal of `sample_rate` hertz.
    pub fn new(sample_rate: u32) -> Self {
        DtmfDetector {
            sample_rate,
            block: Vec::with_capacity(sample_rate as usize * BLOCK_MILLISECONDS / 1_000),
            last: (None, 0),
            pressed: None,
        }
    }

    /// Takes samples; calls `found` for each key that begins: it must last for two blocks, and
    /// be gone for one before it counts again.
    pub fn push(&mut self, samples: &[i16], mut found: impl FnMut(char)) {
        let length = self.sample_rate as usize * BLOCK_MILLISECONDS / 1_000;
        let mut rest = samples;
        while !rest.is_empty() {
            let count = (length - self.block.len()).min(rest.len());
            self.block.extend_from_slice(&rest[..count]);
            rest = &rest[count..];
            if self.block.len() == length {
                let key = self.key();
                self.block.clear();
                let run = if key == self.last.0 {
                    self.last.1 + 1
                } else {
                    1
                };
                self.last = (key, run);
                if key.is_none() {
                    self.pressed = None;
                } else if run == 2 && self.pressed != key {
                    self.pressed = key;
                    key.into_iter().for_each(&mut found);
                }
            }
        }
    }

    fn key(&self) -> Option<char> {
        let strongest = |group: [f64; 4]| {
            let levels = group.map(|frequency| level_at(&self.block, frequency, self.sample_rate));
            let best = (0..4).max_by(|one, other| levels[*one].total_cmp(&levels[*other]))?;
            let second = (0..4)
                .filter(|index| *index != best)
                .map(|index| levels[index])
                .fold(f64::NEG_INFINITY, f64::max);
            (levels[best] > LOWEST_LEVEL && levels[best] - second > DISTINCTION)
                .then_some((best, levels[best]))
        };
        let (row, low) = strongest(ROWS)?;
        let (column, high) = strongest(COLUMNS)?;
        if (low - high).abs() > TWIST {
            return None;
        }
        // Speech has its power elsewhere too: the pair must hold most of it.
        let square: f64 = self
            .block
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum();
        let whole = square / self.block.len() as f64;
        let share = |level| amplitude_of(level).powi(2) / 2.0;
        (share(low) + share(high) > whole * 0.6).then_some(KEYS[row][column])
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tone;
    use super::*;

    fn signal(digit: char, on: usize, off: usize) -> Vec<i16> {
        let (low, high) = digit_frequencies(digit).expect("a key");
        let mut samples = vec![0; on + off];
        Tone::new(&[(low, -9.0), (high, -7.0)], 8_000).fill(&mut samples[..on]);
        samples
    }

    #[test]
    fn all_sixteen_keys_are_found_once_each_and_twice_when_pressed_twice() {
        let mut detector = DtmfDetector::new(8_000);
        let keys = "1234567890*#ABCDD00";
        let mut heard = String::new();
        for digit in keys.chars() {
            for part in signal(digit, 800, 640).chunks(160) {
                detector.push(part, |digit| heard.push(digit));
            }
        }
        assert_eq!(heard, keys);
    }

    #[test]
    fn a_single_tone_and_a_mixture_are_no_keys() {
        let mut detector = DtmfDetector::new(8_000);
        let mut samples = [0; 8_000];
        Tone::new(&[(697.0, -9.0)], 8_000).fill(&mut samples);
        detector.push(&samples, |digit| panic!("{digit}"));
        Tone::new(&[(440.0, -9.0), (480.0, -9.0)], 8_000).fill(&mut samples);
        detector.push(&samples, |digit| panic!("{digit}"));
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
