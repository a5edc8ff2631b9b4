//! What the log says of clients that are refused: reason and address at WARN, at a bounded rate, so
//! that whoever is refused cannot fill the disk.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::token_bucket::TokenBucket;

/// Lines per second of all reasons together; further ones are counted, and the next line says how
/// many there were.
const LINES_PER_SECOND: u32 = 10;

/// The one log of refused clients.
pub struct Refusals(Mutex<State>);

struct State {
    bucket: TokenBucket,
    left_out: u64,
}

impl State {
    /// Whether a line may be written now, and if so how many were left out before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.bucket.take(now) {
            Some(std::mem::take(&mut self.left_out))
        } else {
            self.left_out += 1;
            None
        }
    }
}

impl Refusals {
    /// Nothing was refused yet.
    pub fn new(now: Instant) -> Self {
        Refusals(Mutex::new(State {
            bucket: TokenBucket::new(LINES_PER_SECOND, now),
            left_out: 0,
        }))
    }

    /// One more client, message or call was refused. `user` and `detail` are empty where they say
    /// nothing; credentials never stand in them.
    pub(super) fn note(&self, remote: SocketAddr, reason: &str, user: &str, detail: &str) {
        let admitted = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(Instant::now());
        if let Some(left_out) = admitted {
            tracing::warn!(
                %remote,
                reason,
                user = (!user.is_empty()).then_some(user),
                detail = (!detail.is_empty()).then_some(detail),
                left_out = (left_out > 0).then_some(left_out),
                "client refused"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_refusals_costs_ten_lines_a_second_and_is_counted() {
        let now = Instant::now();
        let mut state = State {
            bucket: TokenBucket::new(LINES_PER_SECOND, now),
            left_out: 0,
        };
        let lines = (0..1_000).filter_map(|_| state.admit(now)).count();
        assert_eq!(lines, 10);
        assert_eq!(state.admit(now + Duration::from_secs(1)), Some(990));
        assert_eq!(state.admit(now + Duration::from_secs(1)), Some(0));
    }
}
