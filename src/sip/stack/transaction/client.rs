//! Client transaction of every method but INVITE (RFC 3261 section 17.1.2).
//!
//! ```text
//! Trying --1xx--> Proceeding --200..699--> Completed --K--> Terminated
//!    '--F--> Terminated     '--F--> Terminated (timed out)
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::action::{Action, Actions};
use super::timers::Timers;

/// The state machine.
#[derive(Debug)]
pub struct Client {
    timers: Timers,
    state: State,
    actions: Actions,
}

#[derive(Debug)]
enum State {
    /// Trying, and Proceeding once `provisional`.
    Waiting {
        request: Bytes,
        provisional: bool,
        /// Timer E: next retransmission and the interval after it.
        retransmit: Option<(Instant, Duration)>,
        /// Timer F.
        give_up: Instant,
    },
    Completed {
        /// Timer K.
        until: Instant,
    },
    Terminated,
}

impl Client {
    /// Starts the transaction: the request is the first thing to send.
    pub fn new(request: Bytes, timers: Timers, now: Instant) -> Self {
        Client {
            timers,
            state: State::Waiting {
                request: request.clone(),
                provisional: false,
                retransmit: (!timers.reliable)
                    .then(|| (now + timers.t1, (timers.t1 * 2).min(timers.t2))),
                give_up: now + timers.give_up,
            },
            actions: Actions::from(Action::Transmit(request)),
        }
    }

    /// Takes a response.
    pub fn handle(&mut self, status: u16, now: Instant) {
        let State::Waiting {
            provisional,
            retransmit,
            ..
        } = &mut self.state
        else {
            return;
        };
        self.actions.push_back(Action::Deliver);
        if status < 200 {
            *provisional = true;
            if let Some((_, interval)) = retransmit {
                *interval = self.timers.t2;
            }
        } else {
            self.state = State::Completed {
                until: now + self.timers.unless_reliable(self.timers.t4),
            };
        }
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Waiting { give_up, .. } if *give_up <= now => {
                self.state = State::Terminated;
                self.actions.push_back(Action::TimedOut);
            }
            State::Waiting {
                request,
                provisional,
                retransmit: Some((at, interval)),
                ..
            } if *at <= now => {
                self.actions.push_back(Action::Transmit(request.clone()));
                *at = now + *interval;
                *interval = if *provisional {
                    self.timers.t2
                } else {
                    (*interval * 2).min(self.timers.t2)
                };
            }
            State::Completed { until } if *until <= now => self.state = State::Terminated,
            _ => {}
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Client::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting {
                retransmit,
                give_up,
                ..
            } => Some(retransmit.map_or(*give_up, |(at, _)| at.min(*give_up))),
            State::Completed { until } => Some(*until),
            State::Terminated => None,
        }
    }

    /// True while no final response has come.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// True while nothing has come at all.
    pub fn is_unanswered(&self) -> bool {
        matches!(
            self.state,
            State::Waiting {
                provisional: false,
                ..
            }
        )
    }

    /// True when nothing more can happen.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
