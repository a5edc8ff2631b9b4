//! One registration (RFC 3261 section 10.2) as a pure state machine: when to send a REGISTER, for
//! how long, and what the answer means. The request itself and its digest are the user agent's.

use std::time::{Duration, Instant};

use crate::sip::trunk::event::RegistrationState;

/// Base of the wait after a failure (RFC 5626 section 4.5, all flows failed).
const BASE_RETRY: Duration = Duration::from_secs(30);
/// Longest wait between tries (RFC 5626 section 4.5).
const LAST_RETRY: Duration = Duration::from_secs(1_800);
/// A refresh leaves this much of a long registration: one try that takes all of timer F, and the
/// shortest wait before a second one.
const MARGIN: u32 = 120;

/// The state machine.
#[derive(Debug)]
pub struct Registering {
    /// Seconds to ask for; raised by a 423.
    expires: u32,
    state: State,
    /// True between start and stop: what should be, whatever is under way.
    held: bool,
    /// When to stop by itself.
    leave_at: Option<Instant>,
    /// The REGISTER to send, in seconds; 0 takes the registration back.
    wanted: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    /// A REGISTER is wanted or under way; `bound` while an earlier one still holds.
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
    /// Being taken back; `after` while a REGISTER sent before has no answer (section 10.2: one at
    /// a time).
    Leaving {
        after: bool,
    },
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

impl Outcome {
    /// An answer of which only the status is known.
    pub const fn bare(status: u16) -> Self {
        Outcome {
            status,
            granted: None,
            minimum: None,
            retry_after: None,
        }
    }
}

impl Registering {
    /// A registration that asks for `expires` seconds, not started.
    pub fn new(expires: u32) -> Self {
        Registering {
            expires: expires.max(1),
            state: State::Idle,
            held: false,
            leave_at: None,
            wanted: None,
        }
    }

    /// Begins to register, or takes back [`Registering::release`] and [`Registering::stop`].
    pub fn start(&mut self) {
        self.held = true;
        self.leave_at = None;
        match self.state {
            State::Idle => self.send(0, false, false),
            // The REGISTER under way is welcome again.
            State::Leaving { after: true } => {
                self.state = State::Sending {
                    failures: 0,
                    bound: false,
                    raised: false,
                };
            }
            // Nothing was taken back yet.
            State::Leaving { after: false } if self.wanted.is_some() => self.send(0, true, false),
            _ => {}
        }
    }

    /// Stops at `at`, unless it is started again before.
    pub fn release(&mut self, at: Instant) {
        if self.held && self.leave_at.is_none() {
            self.leave_at = Some(at);
        }
    }

    /// Takes the registration back.
    pub fn stop(&mut self) {
        self.held = false;
        self.leave_at = None;
        let unsent = self.wanted.is_some();
        self.state = match self.state {
            State::Leaving { .. } => return,
            State::Bound { .. } => State::Leaving { after: false },
            State::Sending { bound: true, .. } if unsent => State::Leaving { after: false },
            State::Sending { .. } if !unsent => State::Leaving { after: true },
            State::Idle | State::Sending { .. } | State::Waiting { .. } => State::Idle,
        };
        self.wanted = matches!(self.state, State::Leaving { after: false }).then_some(0);
    }

    /// Takes the final answer. `spread` in 0..=1 shortens a wait, so that many registrations do
    /// not return to a restarted PBX in one moment.
    pub fn handle(&mut self, outcome: Outcome, spread: f64, now: Instant) {
        let spread = spread.clamp(0.0, 1.0);
        let State::Sending {
            failures, raised, ..
        } = self.state
        else {
            return self.handle_leaving(outcome);
        };
        match outcome.status {
            200..=299 if outcome.granted != Some(0) => {
                let granted = outcome.granted.unwrap_or(self.expires).min(86_400 * 7);
                self.state = State::Bound {
                    refresh_at: now + refresh_after(granted, spread),
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
                let failures = failures.saturating_add(1);
                let own = (BASE_RETRY * 2u32.saturating_pow(failures.min(10))).min(LAST_RETRY);
                let asked = Duration::from_secs(u64::from(outcome.retry_after.unwrap_or(0)));
                self.state = State::Waiting {
                    status,
                    failures,
                    retry_at: now
                        + own
                            .mul_f64(1.0 - spread / 2.0)
                            .max(asked.min(Duration::from_secs(3600))),
                };
            }
        }
    }

    fn handle_leaving(&mut self, outcome: Outcome) {
        match self.state {
            State::Leaving { after: true } if (200..300).contains(&outcome.status) => {
                self.state = State::Leaving { after: false };
                self.wanted = Some(0);
            }
            State::Leaving { .. } => {
                self.state = State::Idle;
                if self.held {
                    self.send(0, false, false);
                }
            }
            _ => {}
        }
    }

    /// Sends the same again at once, after an answer that said how to ask better.
    pub fn again(&mut self) {
        if matches!(self.state, State::Sending { .. }) {
            self.wanted = Some(self.expires);
        }
    }

    /// Registers anew at once what holds: the way that it was registered by has failed (RFC 5626
    /// section 4.5).
    pub fn renew(&mut self) {
        if matches!(self.state, State::Bound { .. }) {
            self.send(0, true, false);
        }
    }

    /// Runs the timer when it is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.leave_at.is_some_and(|at| at <= now) {
            return self.stop();
        }
        match self.state {
            State::Bound { refresh_at } if refresh_at <= now => self.send(0, true, false),
            State::Waiting {
                retry_at, failures, ..
            } if retry_at <= now => self.send(failures, false, false),
            _ => {}
        }
    }

    /// True while [`Registering::poll`] has something.
    pub fn is_ready(&self) -> bool {
        self.wanted.is_some()
    }

    /// The next REGISTER to send: its Expires. Call it when the one before has its answer.
    pub fn poll(&mut self) -> Option<u32> {
        self.wanted.take()
    }

    /// When [`Registering::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = match self.state {
            State::Bound { refresh_at } => Some(refresh_at),
            State::Waiting { retry_at, .. } => Some(retry_at),
            State::Idle | State::Sending { .. } | State::Leaving { .. } => None,
        };
        [own, self.leave_at].into_iter().flatten().min()
    }

    /// What the operator is told.
    pub fn state(&self) -> RegistrationState {
        match self.state {
            State::Idle | State::Leaving { .. } => RegistrationState::Unregistered,
            State::Bound { .. } | State::Sending { bound: true, .. } => {
                RegistrationState::Registered
            }
            State::Sending { .. } => RegistrationState::Registering,
            State::Waiting { status, .. } => RegistrationState::Failed { status },
        }
    }

    /// True when nothing is under way.
    pub fn is_quiet(&self) -> bool {
        !matches!(self.state, State::Sending { .. } | State::Leaving { .. })
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

/// Early enough for a second try, and not for all in one moment.
fn refresh_after(granted: u32, spread: f64) -> Duration {
    let latest = granted - (granted / 2).min(MARGIN);
    Duration::from_secs(u64::from(latest.max(1))).mul_f64(1.0 - spread / 10.0)
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
    fn is_refreshed_two_minutes_before_it_runs_out_or_up_to_a_tenth_sooner() {
        let start = Instant::now();
        let mut registering = Registering::new(3600);
        registering.start();
        assert_eq!(registering.poll(), Some(3600));
        assert_eq!(registering.state(), RegistrationState::Registering);
        registering.handle(OK, 0.0, start);
        assert_eq!(registering.state(), RegistrationState::Registered);
        assert_eq!(registering.poll_timeout(), Some(start + seconds(3480)));
        registering.handle_timeout(start + seconds(3479));
        assert_eq!(registering.poll(), None);
        registering.handle_timeout(start + seconds(3480));
        assert_eq!(registering.poll(), Some(3600));
        assert_eq!(registering.state(), RegistrationState::Registered);
        registering.handle(OK, 1.0, start);
        assert_eq!(registering.poll_timeout(), Some(start + seconds(3132)));
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
        let refused = Outcome::bare(503);
        let mut registering = Registering::new(300);
        registering.start();
        for wait in [60, 120, 240, 480, 960, 1_800, 1_800] {
            assert_eq!(registering.poll(), Some(300));
            registering.handle(refused, 0.0, now);
            assert_eq!(registering.poll_timeout(), Some(now + seconds(wait)));
            now += seconds(wait);
            registering.handle_timeout(now);
        }
        assert_eq!(registering.poll(), Some(300));
        let later = Outcome {
            retry_after: Some(3_600),
            ..refused
        };
        registering.handle(later, 0.0, now);
        assert_eq!(registering.poll_timeout(), Some(now + seconds(3_600)));
        let mut soon = Registering::new(300);
        soon.start();
        soon.handle(refused, 1.0, now);
        assert_eq!(soon.poll_timeout(), Some(now + seconds(30)));
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

    #[test]
    fn a_release_takes_effect_after_its_grace_unless_it_is_taken_back() {
        let now = Instant::now();
        let mut registering = Registering::new(3600);
        registering.start();
        registering.poll();
        registering.handle(OK, 0.0, now);
        registering.release(now + seconds(30));
        registering.handle_timeout(now + seconds(29));
        assert_eq!(registering.poll(), None);
        registering.start();
        registering.handle_timeout(now + seconds(31));
        assert_eq!(registering.state(), RegistrationState::Registered);
        registering.release(now + seconds(60));
        registering.handle_timeout(now + seconds(60));
        assert_eq!(registering.poll(), Some(0));
        registering.start();
        registering.handle(OK, 0.0, now + seconds(60));
        assert_eq!(
            registering.poll(),
            Some(3600),
            "it was wanted again meanwhile"
        );
    }

    #[test]
    fn one_that_is_stopped_under_way_is_taken_back_after_its_answer() {
        let now = Instant::now();
        let mut registering = Registering::new(300);
        registering.start();
        assert_eq!(registering.poll(), Some(300));
        registering.stop();
        assert_eq!(registering.poll(), None, "one REGISTER at a time");
        registering.handle(OK, 0.0, now);
        assert_eq!(registering.poll(), Some(0));
        registering.handle(OK, 0.0, now);
        assert!(registering.is_quiet());
        // A refusal leaves nothing to take back.
        registering.start();
        registering.poll();
        registering.stop();
        registering.handle(Outcome::bare(403), 0.0, now);
        assert!(registering.is_quiet());
        assert_eq!(registering.poll(), None);
    }

    #[test]
    fn one_whose_way_has_failed_is_renewed_at_once_and_can_still_be_taken_back() {
        let now = Instant::now();
        let mut registering = Registering::new(300);
        registering.renew();
        assert_eq!(registering.poll(), None, "nothing holds yet");
        registering.start();
        registering.poll();
        registering.renew();
        assert_eq!(registering.poll(), None, "one REGISTER at a time");
        registering.handle(OK, 0.0, now);
        registering.renew();
        assert_eq!(registering.poll(), Some(300));
        registering.handle(OK, 0.0, now);
        // The registrar knows it, although the new REGISTER has not left.
        registering.renew();
        registering.stop();
        assert_eq!(registering.poll(), Some(0));
    }

    #[test]
    fn a_success_that_grants_nothing_is_a_failure() {
        let now = Instant::now();
        let mut registering = Registering::new(300);
        registering.start();
        registering.poll();
        let nothing = Outcome {
            granted: Some(0),
            ..OK
        };
        registering.handle(nothing, 0.0, now);
        assert_eq!(
            registering.state(),
            RegistrationState::Failed { status: 200 }
        );
        assert_eq!(registering.poll_timeout(), Some(now + seconds(60)));
    }
}
