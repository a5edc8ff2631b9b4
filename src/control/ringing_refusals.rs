//! What the log says of incoming calls that find each client of the user with all the calls that it
//! may have: a WARN with the address, at a bounded rate, so that a caller cannot fill the disk.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two lines; those between are counted, and the next line says how many.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    written: Option<Instant>,
    left_out: u64,
}

impl State {
    /// Whether a line may be written now, and if so how many were left out before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.written.is_some_and(|written| now < written + INTERVAL) {
            self.left_out += 1;
            return None;
        }
        self.written = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// The one log of such calls.
#[derive(Debug, Default)]
pub(super) struct RingingRefusals(Mutex<State>);

impl RingingRefusals {
    /// One more call from `source` was refused `now`.
    pub fn note(&self, source: SocketAddr, user: &str, trunk: &str, now: Instant) {
        metrics::counter!("trunkline_ringing_limited_total").increment(1);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = state.admit(now);
        drop(state);
        if let Some(left_out) = admitted {
            tracing::warn!(
                %source,
                user,
                trunk,
                left_out = (left_out > 0).then_some(left_out),
                "incoming call refused with 486: each client of the user has as many calls as it may \
                 (calls.max_ringing_per_client, calls.max_per_connection)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant serves")]
    fn flood_of_calls_costs_one_line_a_second_and_is_counted() {
        let start = Instant::now();
        let mut state = State::default();
        let lines = (0..1_000).filter_map(|_| state.admit(start)).count();
        assert_eq!(lines, 1);
        assert_eq!(state.admit(start + INTERVAL), Some(999));
        assert_eq!(state.admit(start + INTERVAL), None);
        assert_eq!(state.admit(start + 2 * INTERVAL), Some(1));
    }
}
