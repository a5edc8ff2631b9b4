//! When a call's RTCP reports are due, and what the wall clock says then.

use std::time::{Duration, Instant};

use crate::rtp::NtpTime;

/// Wall-clock time from a monotonic clock: read once, so that round trips do not jump when the
/// system's clock is set.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    origin: Instant,
    ntp: NtpTime,
}

impl WallClock {
    /// A clock that read `ntp` at `origin`.
    pub const fn new(origin: Instant, ntp: NtpTime) -> Self {
        WallClock { origin, ntp }
    }

    /// What it reads at `now`.
    pub fn at(&self, now: Instant) -> NtpTime {
        let since = now.saturating_duration_since(self.origin);
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        NtpTime(
            self.ntp
                .0
                .wrapping_add(since.as_secs() << 32)
                .wrapping_add(fraction),
        )
    }
}

/// Draws the time of each report from half to one and a half of the mean interval, so that the
/// reports of many calls that began together spread (RFC 3550 section 6.2).
#[derive(Clone, Copy, Debug)]
pub struct Reporter {
    interval: Duration,
    randomness: u32,
    next: Option<Instant>,
}

impl Reporter {
    /// Reports with this mean interval; `seed` is random.
    pub const fn new(interval: Duration, seed: u32) -> Self {
        Reporter {
            interval,
            randomness: seed | 1,
            next: None,
        }
    }

    /// Begins, if it has not begun.
    pub fn start(&mut self, now: Instant) {
        if self.next.is_none() {
            self.advance(now);
        }
    }

    /// When a report is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Whether a report is due now; if so, the next is planned.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|at| at <= now);
        if due {
            self.advance(now);
        }
        due
    }

    fn advance(&mut self, now: Instant) {
        // Xorshift: good enough to spread reports, and no source of randomness in the core.
        self.randomness ^= self.randomness << 13;
        self.randomness ^= self.randomness >> 17;
        self.randomness ^= self.randomness << 5;
        let part = f64::from(self.randomness) / f64::from(u32::MAX);
        self.next = Some(
            now + self
                .interval
                .mul_f64(0.5 + part)
                .max(Duration::from_millis(10)),
        );
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]
mod tests {
    use super::*;

    #[test]
    fn reports_spread_around_the_mean_interval() {
        let mut now = Instant::now();
        let begin = now;
        let mut reporter = Reporter::new(Duration::from_secs(2), 4711);
        assert_eq!(reporter.poll_timeout(), None);
        reporter.start(now);
        for _ in 0..1000 {
            let next = reporter.poll_timeout().expect("started");
            let wait = next - now;
            assert!(wait >= Duration::from_secs(1) && wait <= Duration::from_secs(3));
            assert!(!reporter.handle_timeout(next - Duration::from_millis(1)));
            assert!(reporter.handle_timeout(next));
            now = next;
        }
        let mean = (now - begin) / 1000;
        assert!(mean > Duration::from_millis(1900) && mean < Duration::from_millis(2100));
    }

    #[test]
    fn the_wall_clock_goes_on_from_its_origin() {
        let origin = Instant::now();
        let clock = WallClock::new(origin, NtpTime(5 << 32));
        let later = clock.at(origin + Duration::from_millis(1_500));
        assert_eq!(later, NtpTime(6 << 32 | 1 << 31));
    }
}
