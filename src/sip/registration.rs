//! One registration (RFC 3261 section 10.2) as a pure state machine: when to send a REGISTER, for
//! how long, and what the answer means. The request itself and its digest are the user agent's.

use std::time::{Duration, Instant};

use super::event::RegistrationState;

/// Wait after the first failure; doubled for each further one.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// Longest wait between tries.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// The state machine.
#[derive(Debug)]
pub struct Registering {
    /// Seconds to ask for; raised by a 423.
    expires: u32,
    state: State,
    /// The REGISTER to send, in seconds; 0 takes the registration back.
    wanted: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    /// A REGISTER is under way; `bound` while an earlier one still holds.
    Sending {
        failures: u32,
        bound: bool,
        raised: bool,
    },
    Bound {
        refresh_at: Instant,
    },
    Waiting {
        status: u16,
        failures: u32,
        retry_at: Instant,
    },
    Leaving,
}

/// A final answer to a REGISTER, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Status; 408 when none came, 503 when the REGISTER could not be sent.
    pub status: u16,
    /// Seconds granted, when the answer says.
    pub granted: Option<u32>,
    /// Min-Expires of a 423, seconds.
    pub minimum: Option<u32>,
    /// Retry-After, seconds.
    pub retry_after: Option<u32>,
}

impl Registering {
    /// A registration that asks for `expires` seconds, not started.
    pub fn new(expires: u32) -> Self {
        Registering {
            expires: expires.max(1),
            state: State::Idle,
            wanted: None,
        }
    }

    /// Begins to register.
    pub fn start(&mut self) {
        if matches!(self.state, State::Idle) {
            self.send(0, false, false);
        }
    }

    /// Takes the registration back.
    pub fn stop(&mut self) {
        let bound = match self.state {
            State::Bound { .. } => true,
            State::Sending { .. } => true,
            State::Idle | State::Waiting { .. } | State::Leaving => false,
        };
        self.wanted = bound.then_some(0);
        if !matches!(self.state, State::Leaving) {
            self.state = if bound { State::Leaving } else { State::Idle };
        }
    }

    /// Takes the final answer. `spread` in 0..=1 shortens a wait by up to half, so that many
    /// gateways do not return to a restarted PBX in one moment.
    pub fn handle(&mut self, outcome: Outcome, spread: f64, now: Instant) {
        let State::Sending {
            failures, raised, ..
        } = self.state
        else {
            if matches!(self.state, State::Leaving) {
                self.state = State::Idle;
            }
            return;
        };
        match outcome.status {
            200..=299 => {
                let granted = outcome.granted.unwrap_or(self.expires).clamp(1, 86_400 * 7);
                self.state = State::Bound {
                    refresh_at: now + refresh_after(granted),
                };
            }
            423 if !raised
                && outcome
                    .minimum
                    .is_some_and(|minimum| minimum > self.expires) =>
            {
                self.expires = outcome.minimum.unwrap_or(self.expires);
                self.send(failures, false, true);
            }
            status => {
                let doubled = FIRST_RETRY * 2u32.saturating_pow(failures.min(10));
                let spread = 1.0 - spread.clamp(0.0, 1.0) / 2.0;
                let own = doubled.min(LAST_RETRY).mul_f64(spread);
                let asked = Duration::from_secs(u64::from(outcome.retry_after.unwrap_or(0)));
                self.state = State::Waiting {
                    status,
                    failures: failures + 1,
                    retry_at: now + own.max(asked.min(Duration::from_secs(3600))),
                };
            }
        }
    }

    /// Runs the timer when it is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Bound { refresh_at } if refresh_at <= now => self.send(0, true, false),
            State::Waiting {
                retry_at, failures, ..
            } if retry_at <= now => self.send(failures, false, false),
            _ => {}
        }
    }

    /// The next REGISTER to send: its Expires.
    pub fn poll(&mut self) -> Option<u32> {
        self.wanted.take()
    }

    /// When [`Registering::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Bound { refresh_at } => Some(refresh_at),
            State::Waiting { retry_at, .. } => Some(retry_at),
            State::Idle | State::Sending { .. } | State::Leaving => None,
        }
    }

    /// What the operator is told.
    pub fn state(&self) -> RegistrationState {
        match self.state {
            State::Idle | State::Leaving => RegistrationState::Unregistered,
            State::Bound { .. } | State::Sending { bound: true, .. } => {
                RegistrationState::Registered
            }
            State::Sending { .. } => RegistrationState::Registering,
            State::Waiting { status, .. } => RegistrationState::Failed { status },
        }
    }

    /// True when nothing is under way.
    pub fn is_quiet(&self) -> bool {
        !matches!(self.state, State::Sending { .. } | State::Leaving)
    }

    fn send(&mut self, failures: u32, bound: bool, raised: bool) {
        self.state = State::Sending {
            failures,
            bound,
            raised,
        };
        self.wanted = Some(self.expires);
    }
}

/// Early enough that a refresh which takes all of timer F (32 s) still arrives in time.
fn refresh_after(granted: u32) -> Duration {
    let seconds = if granted <= 120 {
        (granted / 2).max(1)
    } else {
        granted - 60
    };
    Duration::from_secs(u64::from(seconds))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time needs a start")]
mod tests {
    use super::*;

    const OK: Outcome = Outcome {
        status: 200,
        granted: Some(3600),
        minimum: None,
        retry_after: None,
    };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn is_refreshed_a_minute_before_it_runs_out() {
        let start = Instant::now();
        let mut registering = Registering::new(3600);
        registering.start();
        assert_eq!(registering.poll(), Some(3600));
        assert_eq!(registering.state(), RegistrationState::Registering);
        registering.handle(OK, 0.0, start);
        assert_eq!(registering.state(), RegistrationState::Registered);
        assert_eq!(registering.poll_timeout(), Some(start + seconds(3540)));
        registering.handle_timeout(start + seconds(3539));
        assert_eq!(registering.poll(), None);
        registering.handle_timeout(start + seconds(3540));
        assert_eq!(registering.poll(), Some(3600));
        assert_eq!(registering.state(), RegistrationState::Registered);
    }

    #[test]
    fn a_423_is_asked_again_once_with_its_minimum() {
        let now = Instant::now();
        let brief = Outcome {
            status: 423,
            granted: None,
            minimum: Some(600),
            retry_after: None,
        };
        let mut registering = Registering::new(60);
        registering.start();
        assert_eq!(registering.poll(), Some(60));
        registering.handle(brief, 0.0, now);
        assert_eq!(registering.poll(), Some(600));
        registering.handle(
            Outcome {
                minimum: Some(900),
                ..brief
            },
            0.0,
            now,
        );
        assert_eq!(registering.poll(), None);
        assert_eq!(
            registering.state(),
            RegistrationState::Failed { status: 423 }
        );
    }

    #[test]
    fn failures_wait_longer_each_time_and_honour_retry_after() {
        let mut now = Instant::now();
        let refused = Outcome {
            status: 503,
            granted: None,
            minimum: None,
            retry_after: None,
        };
        let mut registering = Registering::new(300);
        registering.start();
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(registering.poll(), Some(300));
            registering.handle(refused, 0.0, now);
            assert_eq!(registering.poll_timeout(), Some(now + seconds(wait)));
            now += seconds(wait);
            registering.handle_timeout(now);
        }
        assert_eq!(registering.poll(), Some(300));
        let later = Outcome {
            retry_after: Some(900),
            ..refused
        };
        registering.handle(later, 0.0, now);
        assert_eq!(registering.poll_timeout(), Some(now + seconds(900)));
    }

    #[test]
    fn stop_unregisters_only_what_may_be_bound() {
        let now = Instant::now();
        let mut registering = Registering::new(300);
        registering.stop();
        assert_eq!(registering.poll(), None);
        registering.start();
        assert_eq!(registering.poll(), Some(300));
        registering.handle(OK, 0.0, now);
        registering.stop();
        assert_eq!(registering.poll(), Some(0));
        assert!(!registering.is_quiet());
        registering.handle(OK, 0.0, now);
        assert!(registering.is_quiet());
        assert_eq!(registering.poll_timeout(), None);
    }
}
