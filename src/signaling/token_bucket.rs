//! How fast a page may ask.

use tokio::time::Instant;

/// A token bucket: so many at once, and as many per second after it.
pub(super) struct TokenBucket {
    rate: f64,
    left: f64,
    since: Instant,
}

impl TokenBucket {
    /// A full one.
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        TokenBucket {
            rate: f64::from(rate),
            left: f64::from(rate),
            since: now,
        }
    }

    /// Whether one more is allowed.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let earned = now.duration_since(self.since).as_secs_f64() * self.rate;
        self.left = (self.left + earned).min(self.rate);
        self.since = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}
