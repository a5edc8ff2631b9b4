//! Arithmetic on numbers that wrap: 16-bit sequence numbers and 32-bit timestamps.

/// Extends 16-bit sequence numbers to 64 bits: the value nearest to the highest seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceExtender {
    highest: Option<u64>,
}

/// Where extended numbers start, so that a packet older than the first has a number too.
const ORIGIN: u64 = 1 << 16;

impl SequenceExtender {
    /// The extended number of `sequence`. Does not remember it: see [`Self::advance`].
    pub fn extend(&self, sequence: u16) -> u64 {
        match self.highest {
            None => ORIGIN + u64::from(sequence),
            Some(highest) => {
                let step = i64::from(sequence.wrapping_sub(highest as u16) as i16);
                highest.saturating_add_signed(step)
            }
        }
    }

    /// Remembers `extended` if it is the highest yet.
    pub fn advance(&mut self, extended: u64) {
        self.highest = Some(
            self.highest
                .map_or(extended, |highest| highest.max(extended)),
        );
    }

    /// The highest extended number remembered.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Signed distance between RTP timestamps.
pub trait RtpTimestampExt {
    /// How far `self` is after `earlier`, across the wrap: negative when it is before.
    fn since(self, earlier: Self) -> i32;
}

impl RtpTimestampExt for u32 {
    fn since(self, earlier: u32) -> i32 {
        self.wrapping_sub(earlier) as i32
    }
}

/// Converts a number of ticks from one clock to another, rounding to nearest.
pub fn scale(ticks: i64, from_rate: u32, to_rate: u32) -> i64 {
    if from_rate == to_rate || from_rate == 0 {
        return ticks;
    }
    let (from_rate, to_rate) = (i64::from(from_rate), i64::from(to_rate));
    let half = from_rate / 2 * ticks.signum();
    (ticks * to_rate + half) / from_rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_goes_on_through_the_wrap_and_looks_back_across_it() {
        let mut extender = SequenceExtender::default();
        let first = extender.extend(65_534);
        extender.advance(first);
        for (step, sequence) in [65_535_u16, 0, 1].into_iter().enumerate() {
            let extended = extender.extend(sequence);
            assert_eq!(extended, first + 1 + step as u64);
            extender.advance(extended);
        }
        assert_eq!(extender.extend(65_535), first + 1);
        extender.advance(first + 1);
        assert_eq!(extender.highest(), Some(first + 3));
    }

    #[test]
    fn a_packet_before_the_first_has_a_number_too() {
        let mut extender = SequenceExtender::default();
        let first = extender.extend(0);
        extender.advance(first);
        assert_eq!(extender.extend(65_535), first - 1);
    }

    #[test]
    fn ticks_convert_between_the_clocks_of_opus_and_g711() {
        assert_eq!(scale(960, 48_000, 8_000), 160);
        assert_eq!(scale(-160, 8_000, 48_000), -960);
        assert_eq!(scale(4, 48_000, 8_000), 1);
        assert_eq!(scale(-4, 48_000, 8_000), -1);
        assert_eq!(5_u32.since(u32::MAX), 6);
        assert_eq!(u32::MAX.since(5), -6);
    }
}
