//! Server transaction of every method but INVITE (RFC 3261 section 17.2.2).
//!
//! ```text
//! Trying --200..699--> Completed --J--> Terminated
//! ```

use std::time::Instant;

use bytes::Bytes;

use super::action::{Action, Actions};
use super::timers::Timers;

/// The state machine.
#[derive(Debug)]
pub struct Server {
    timers: Timers,
    state: State,
    actions: Actions,
}

#[derive(Debug)]
enum State {
    /// The user has not answered; repeated requests are absorbed.
    Trying,
    Completed {
        response: Bytes,
        /// Timer J.
        until: Instant,
    },
    Terminated,
}

impl Server {
    /// A transaction for a request that has just arrived.
    pub fn new(timers: Timers) -> Self {
        Server {
            timers,
            state: State::Trying,
            actions: Actions::default(),
        }
    }

    /// The request arrived again.
    pub fn handle_repeated(&mut self) {
        if let State::Completed { response, .. } = &self.state {
            self.actions.push_back(Action::Transmit(response.clone()));
        }
    }

    /// The user answers with final-response bytes.
    pub fn respond(&mut self, response: Bytes, now: Instant) {
        if matches!(self.state, State::Trying) {
            self.actions.push_back(Action::Transmit(response.clone()));
            self.state = State::Completed {
                response,
                until: now + self.timers.unless_reliable(self.timers.lifetime()),
            };
        }
    }

    /// Runs the timer when it is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Completed { until, .. } if until <= now) {
            self.state = State::Terminated;
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Server::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Completed { until, .. } => Some(*until),
            State::Trying | State::Terminated => None,
        }
    }

    /// True when nothing more can happen.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
