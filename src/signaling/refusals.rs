//! What the log says of clients that are refused: reason and address at WARN, at a bounded rate, so
//! that whoever is refused cannot fill the disk.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::token_bucket::{Rate, TokenBucket};

/// Lines of all reasons together; further ones are counted, and the next line says how
/// many there were.
const LINES: Rate = Rate::per_second(10);

/// The one log of refused clients.
#[derive(Default)]
pub struct Refusals(Mutex<State>);

#[derive(Default)]
struct State {
    bucket: TokenBucket,
    left_out: u64,
}

impl State {
    /// Whether a line may be written now, and if so how many were left out before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.bucket.take(LINES, now.into_std()).is_ok() {
            Some(std::mem::take(&mut self.left_out))
        } else {
            self.left_out += 1;
            None
        }
    }
}

impl Refusals {
    /// One more client, message or call was refused. `user` and `detail` are empty where they say
    /// nothing; credentials never stand in them.
    pub(crate) fn note(&self, remote: SocketAddr, reason: &str, user: &str, detail: &str) {
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
        let mut state = State::default();
        let lines = (0..1_000).filter_map(|_| state.admit(now)).count();
        assert_eq!(lines, 10);
        assert_eq!(state.admit(now + Duration::from_secs(1)), Some(990));
        assert_eq!(state.admit(now + Duration::from_secs(1)), Some(0));
    }
}
