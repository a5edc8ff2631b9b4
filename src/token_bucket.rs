//! Vocabulary: token buckets, which bound how often something may happen. A bucket is kept as the
//! time at which it is full again (generic cell rate algorithm, ITU-T I.371), so that an idle one
//! costs nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SECOND: u64 = 1_000_000_000;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds between two at the sustained rate.
    interval: u64,
    /// Nanoseconds that a burst may be ahead of the sustained rate.
    tolerance: u64,
}

impl Rate {
    /// `per_second` sustained and `burst` at once; 0 counts as 1.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        let per_second = if per_second == 0 { 1 } else { per_second };
        let interval = SECOND / per_second as u64;
        Rate {
            interval,
            tolerance: interval * burst.saturating_sub(1) as u64,
        }
    }

    /// `count` per second, all of them at once at most; 0 counts as 1.
    pub const fn per_second(count: u32) -> Self {
        Rate::new(count, count)
    }

    /// When the bucket is full again after one was taken from it, or how long there will be none:
    /// nanoseconds. `full_in`: when it is full as things stand.
    const fn take(self, full_in: u64) -> Result<u64, u64> {
        if full_in > self.tolerance {
            return Err(full_in - self.tolerance);
        }
        Ok(full_in + self.interval)
    }
}

/// One bucket with one owner. A new one is full.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenBucket {
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// Takes one, or tells when there will be one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Instant> {
        let full_in = self.full_at.map_or(Duration::ZERO, |full_at| {
            full_at.saturating_duration_since(now)
        });
        match rate.take(nanoseconds(full_in)) {
            Ok(full_in) => {
                self.full_at = Some(now + Duration::from_nanos(full_in));
                Ok(())
            }
            Err(wait) => Err(now + Duration::from_nanos(wait)),
        }
    }
}

/// One bucket for many threads, without a lock.
#[derive(Debug)]
pub struct SharedTokenBucket {
    rate: Rate,
    epoch: Instant,
    /// Nanoseconds after `epoch`.
    full_at: AtomicU64,
}

impl SharedTokenBucket {
    /// A full one. `epoch` is any time before the first is taken.
    pub const fn new(rate: Rate, epoch: Instant) -> Self {
        SharedTokenBucket {
            rate,
            epoch,
            full_at: AtomicU64::new(0),
        }
    }

    /// Takes one, or tells when there will be one.
    pub fn take(&self, now: Instant) -> Result<(), Instant> {
        let elapsed = nanoseconds(now.saturating_duration_since(self.epoch));
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let full_in = match self.rate.take(full_at.saturating_sub(elapsed)) {
                Ok(full_in) => full_in,
                Err(wait) => return Err(now + Duration::from_nanos(wait)),
            };
            match self.full_at.compare_exchange_weak(
                full_at,
                elapsed + full_in,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(other) => full_at = other,
            }
        }
    }
}

/// More than 292 years count as 292.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time needs a start")]
mod tests {
    use super::*;

    #[test]
    fn bucket_gives_a_burst_then_the_rate_and_saves_no_more() {
        let now = Instant::now();
        let rate = Rate::new(10, 20);
        let shared = SharedTokenBucket::new(rate, now);
        let mut own = TokenBucket::default();
        for (after, given) in [
            (0, 20),
            (0, 0),
            (100, 1),
            (1_000, 9),
            (60_000, 20),
            (60_050, 0),
        ] {
            let now = now + Duration::from_millis(after);
            let of_own = (0..50).filter(|_| own.take(rate, now).is_ok()).count();
            let of_shared = (0..50).filter(|_| shared.take(now).is_ok()).count();
            assert_eq!((of_own, of_shared), (given, given), "after {after} ms");
        }
    }

    #[test]
    fn empty_bucket_tells_when_there_will_be_one() {
        let now = Instant::now();
        let rate = Rate::per_second(4);
        let mut bucket = TokenBucket::default();
        assert!((0..4).all(|_| bucket.take(rate, now).is_ok()));
        let next = now + Duration::from_millis(250);
        assert_eq!(bucket.take(rate, now), Err(next));
        assert_eq!(bucket.take(rate, next), Ok(()));
    }

    #[test]
    fn time_that_runs_back_gives_nothing_and_takes_nothing() {
        let now = Instant::now();
        let later = now + Duration::from_secs(3_600);
        let rate = Rate::per_second(1);
        let mut bucket = TokenBucket::default();
        assert_eq!(bucket.take(rate, later), Ok(()));
        assert!(bucket.take(rate, now).is_err());
        assert_eq!(bucket.take(rate, later + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn rate_of_zero_is_one_a_second_and_of_the_greatest_number_never_overflows() {
        assert_eq!(Rate::per_second(0), Rate::new(1, 1));
        let now = Instant::now();
        let mut bucket = TokenBucket::default();
        let rate = Rate::per_second(u32::MAX);
        assert!((0..1_000).all(|_| bucket.take(rate, now).is_ok()));
        assert!(bucket.take(Rate::new(1, u32::MAX), now).is_ok());
    }
}
