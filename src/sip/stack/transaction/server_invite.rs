//! INVITE server transaction (RFC 3261 section 17.2.1, RFC 6026 section 8.5).
//!
//! ```text
//! Proceeding --2xx--> Accepted --L--> Terminated
//!     '--300..699--> Completed --ACK--> Confirmed --I--> Terminated
//!                        '--H--> Terminated (timed out)
//! ```
//!
//! Retransmitting a 2xx is the user's (RFC 6026 section 7.1): Accepted only absorbs repeated
//! INVITEs and lets ACKs pass.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::action::{Action, Actions};
use super::timers::Timers;

/// The state machine.
#[derive(Debug)]
pub struct ServerInvite {
    timers: Timers,
    state: State,
    actions: Actions,
}

#[derive(Debug)]
enum State {
    Proceeding {
        /// The last provisional response, for repeated INVITEs.
        last: Option<Bytes>,
    },
    Accepted {
        /// Timer L.
        until: Instant,
    },
    Completed {
        response: Bytes,
        /// Timer G: next retransmission and the interval after it.
        retransmit: Option<(Instant, Duration)>,
        /// Timer H.
        give_up: Instant,
    },
    Confirmed {
        /// Timer I.
        until: Instant,
    },
    Terminated,
}

/// What happens to an INVITE server transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerInviteInput {
    /// The INVITE arrived again.
    Repeated,
    /// An ACK arrived.
    Acknowledged,
    /// The user answers with this status and these bytes.
    Respond(u16, Bytes),
}

impl ServerInvite {
    /// A transaction for an INVITE that has just arrived.
    pub fn new(timers: Timers) -> Self {
        ServerInvite {
            timers,
            state: State::Proceeding { last: None },
            actions: Actions::default(),
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: ServerInviteInput, now: Instant) {
        use ServerInviteInput::{Acknowledged, Repeated, Respond};
        match (&mut self.state, input) {
            (State::Proceeding { last }, Respond(..=199, response)) => {
                *last = Some(response.clone());
                self.actions.push_back(Action::Transmit(response));
            }
            (State::Proceeding { .. }, Respond(200..=299, response)) => {
                self.actions.push_back(Action::Transmit(response));
                self.state = State::Accepted {
                    until: now + self.timers.lifetime(),
                };
            }
            (State::Proceeding { .. }, Respond(_, response)) => {
                self.actions.push_back(Action::Transmit(response.clone()));
                self.state = State::Completed {
                    response,
                    retransmit: (!self.timers.reliable)
                        .then(|| (now + self.timers.t1, self.timers.t1 * 2)),
                    give_up: now + self.timers.lifetime(),
                };
            }
            (State::Accepted { .. }, Respond(200..=299, response)) => {
                self.actions.push_back(Action::Transmit(response));
            }
            (State::Proceeding { last: Some(last) }, Repeated) => {
                let again = last.clone();
                self.actions.push_back(Action::Transmit(again));
            }
            (State::Completed { response, .. }, Repeated) => {
                let again = response.clone();
                self.actions.push_back(Action::Transmit(again));
            }
            (State::Completed { .. }, Acknowledged) => {
                self.state = State::Confirmed {
                    until: now + self.timers.unless_reliable(self.timers.t4),
                };
            }
            (State::Accepted { .. }, Acknowledged) => self.actions.push_back(Action::Deliver),
            (
                State::Proceeding { .. }
                | State::Accepted { .. }
                | State::Completed { .. }
                | State::Confirmed { .. }
                | State::Terminated,
                _,
            ) => {}
        }
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Completed { give_up, .. } if *give_up <= now => {
                self.state = State::Terminated;
                self.actions.push_back(Action::TimedOut);
            }
            State::Completed {
                response,
                retransmit: Some((at, interval)),
                ..
            } if *at <= now => {
                self.actions.push_back(Action::Transmit(response.clone()));
                *at = now + *interval;
                *interval = (*interval * 2).min(self.timers.t2);
            }
            State::Accepted { until } | State::Confirmed { until } if *until <= now => {
                self.state = State::Terminated;
            }
            _ => {}
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`ServerInvite::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Completed {
                retransmit,
                give_up,
                ..
            } => Some(retransmit.map_or(*give_up, |(at, _)| at.min(*give_up))),
            State::Accepted { until } | State::Confirmed { until } => Some(*until),
            State::Proceeding { .. } | State::Terminated => None,
        }
    }

    /// True when nothing more can happen.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
