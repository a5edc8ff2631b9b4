//! INVITE client transaction (RFC 3261 section 17.1.1, RFC 6026 section 8.4).
//!
//! ```text
//! Calling --1xx--> Proceeding --2xx--> Accepted ---M--> Terminated
//!    |  \____2xx_______|__________________^
//!    |--300..699-------+--300..699--> Completed --D--> Terminated
//!    '--B--> Terminated (timed out)
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::action::{Action, Actions};
use super::timers::Timers;

/// The state machine.
#[derive(Debug)]
pub struct ClientInvite {
    timers: Timers,
    state: State,
    actions: Actions,
}

#[derive(Debug)]
enum State {
    Calling {
        request: Bytes,
        /// Timer A: next retransmission and the interval after it.
        retransmit: Option<(Instant, Duration)>,
        /// Timer B.
        give_up: Instant,
    },
    Proceeding,
    Completed {
        acknowledgement: Bytes,
        /// Timer D.
        until: Instant,
    },
    /// Another target has been tried since: a late response may still have to be cancelled.
    Abandoned {
        until: Instant,
    },
    /// 2xx responses of this and other branches still arrive.
    Accepted {
        /// Timer M.
        until: Instant,
    },
    Terminated,
}

impl ClientInvite {
    /// Starts the transaction: the request is the first thing to send.
    pub fn new(request: Bytes, timers: Timers, now: Instant) -> Self {
        ClientInvite {
            timers,
            state: State::Calling {
                request: request.clone(),
                retransmit: (!timers.reliable).then(|| (now + timers.t1, timers.t1 * 2)),
                give_up: now + timers.give_up,
            },
            actions: Actions::from(Action::Transmit(request)),
        }
    }

    /// Takes a response. `acknowledgement` is the ACK for it when it is a refusal (section
    /// 17.1.1.3); that of a 2xx is the user's.
    pub fn handle(&mut self, status: u16, acknowledgement: Bytes, now: Instant) {
        match (&self.state, status) {
            (State::Calling { .. } | State::Proceeding, ..=199) => {
                self.state = State::Proceeding;
                self.actions.push_back(Action::Deliver);
            }
            (State::Abandoned { .. }, ..=199) => self.actions.push_back(Action::Deliver),
            (State::Calling { .. } | State::Proceeding | State::Abandoned { .. }, 200..=299) => {
                self.state = State::Accepted {
                    until: now + self.timers.lifetime(),
                };
                self.actions.push_back(Action::Deliver);
            }
            (State::Accepted { .. }, 200..=299) => self.actions.push_back(Action::Deliver),
            (State::Calling { .. } | State::Proceeding | State::Abandoned { .. }, _) => {
                self.actions
                    .push_back(Action::Transmit(acknowledgement.clone()));
                self.actions.push_back(Action::Deliver);
                self.state = State::Completed {
                    acknowledgement,
                    until: now + self.timers.unless_reliable(self.timers.lifetime()),
                };
            }
            (
                State::Completed {
                    acknowledgement, ..
                },
                300..,
            ) => {
                let again = acknowledgement.clone();
                self.actions.push_back(Action::Transmit(again));
            }
            (State::Completed { .. } | State::Accepted { .. } | State::Terminated, _) => {}
        }
    }

    /// Abandons this transaction for one at another target (RFC 3263 section 4.3): it sends nothing
    /// more, and takes answers that come late for 64 * T1.
    pub fn abandon(&mut self, now: Instant) {
        if self.is_waiting() {
            self.state = State::Abandoned {
                until: now + self.timers.lifetime(),
            };
        }
    }

    /// The transport cannot deliver (section 17.1.4).
    pub fn fail(&mut self) {
        self.state = State::Terminated;
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Calling { give_up, .. } if *give_up <= now => {
                self.state = State::Terminated;
                self.actions.push_back(Action::TimedOut);
            }
            State::Calling {
                request,
                retransmit: Some((at, interval)),
                ..
            } if *at <= now => {
                self.actions.push_back(Action::Transmit(request.clone()));
                *at = now + *interval;
                *interval *= 2;
            }
            State::Completed { until, .. }
            | State::Accepted { until }
            | State::Abandoned { until }
                if *until <= now =>
            {
                self.state = State::Terminated;
            }
            _ => {}
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`ClientInvite::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Calling {
                retransmit,
                give_up,
                ..
            } => Some(retransmit.map_or(*give_up, |(at, _)| at.min(*give_up))),
            State::Completed { until, .. }
            | State::Accepted { until }
            | State::Abandoned { until } => Some(*until),
            State::Proceeding | State::Terminated => None,
        }
    }

    /// True once a provisional response came and no final one: a CANCEL may go (section 9.1).
    pub fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }

    /// True while no final response has come.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding)
    }

    /// True while nothing has come at all.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Calling { .. })
    }

    /// True when nothing more can happen.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }
}
