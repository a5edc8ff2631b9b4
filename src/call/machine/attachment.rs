//! Endpoints of a call come and go: which one has it, what each is told, and when the loss of the last
//! one ends the call.

use std::time::Instant;

use super::{Call, State, Step};
use crate::call::EndReason;
use crate::call::browser_end::{Attachment, BrowserEnd};
use crate::call::ids::{CallId, EndpointId, ResumeToken};
use crate::call::message::{Action, Command, Notice};
use crate::call::snapshot::{CallState, EndSnapshot, Held, Snapshot};

impl Call {
    /// The call at this moment.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        self.snapshot_in(&self.state, now)
    }

    fn snapshot_in(&self, state: &State, now: Instant) -> Snapshot {
        Snapshot {
            id: self.local.id,
            direction: self.direction,
            state: state.kind(),
            parties: self.parties.clone(),
            held: state.held(),
            age: now.saturating_duration_since(self.began),
            answered: self.answered.map(|at| now.saturating_duration_since(at)),
            browser_end: match &self.browser_end {
                BrowserEnd::Ringing(endpoints) => EndSnapshot::Ringing(endpoints.clone()),
                BrowserEnd::Attached(endpoint) => EndSnapshot::Attached(*endpoint),
                BrowserEnd::Detached { until, .. } => EndSnapshot::Detached {
                    left: until.saturating_duration_since(now),
                },
            },
            is_connected: self.peer_connected && !self.peer_lost,
            description: self.description.clone(),
        }
    }

    /// Names the call.
    pub fn id(&self) -> CallId {
        self.local.id
    }

    /// What a client shows to take the call up again.
    pub fn token(&self) -> ResumeToken {
        self.local.token
    }

    /// Whether the call is offered to endpoints that ring.
    pub fn rings(&self) -> bool {
        matches!(self.state, State::Offering(_))
    }

    /// Whether a command comes from an endpoint that is not, or no longer, one of the call's: its loss
    /// may overtake what it asked before.
    pub(in crate::call) fn is_of_other_endpoint(&self, command: &Command) -> bool {
        match command {
            Command::Accept { endpoint, .. }
            | Command::Reject { endpoint, .. }
            | Command::Detach { endpoint, .. } => !self.browser_end.has(*endpoint),
            _ => false,
        }
    }

    /// One more endpoint of the user: it rings there too, or it takes the call up.
    pub(super) fn attach(&mut self, state: State, endpoint: EndpointId, now: Instant) -> Step {
        match (self.browser_end.attach(endpoint), &state) {
            (Attachment::Rings, State::Offering(offering)) => {
                let notice = offering.incoming.clone();
                self.tell(endpoint, notice);
            }
            // Only a call that is offered rings.
            (Attachment::Rings, _) => {}
            (Attachment::Resumed(before), state) => {
                if let Some(before) = before {
                    self.tell_end(before, EndReason::AnsweredElsewhere);
                }
                let snapshot = self.snapshot_in(state, now);
                let snapshot = Box::new(snapshot);
                self.push(Action::Resume { endpoint, snapshot });
            }
        }
        Step::Stay(state)
    }

    /// An endpoint is lost.
    pub(super) fn detach(
        &mut self,
        state: State,
        endpoint: EndpointId,
        reason: EndReason,
        now: Instant,
    ) -> Step {
        let grace = self.rules.detach_grace;
        match self.browser_end.detach(endpoint, reason, grace, now) {
            Some(reason) => Step::End(reason, None),
            None => Step::Stay(state),
        }
    }

    /// An endpoint that rings refuses the call. One that is busy leaves it to others that ring.
    pub(super) fn reject(&mut self, state: State, endpoint: EndpointId, reason: EndReason) -> Step {
        if reason == EndReason::Busy && self.browser_end.leave(endpoint) {
            self.tell_end(endpoint, reason);
            return Step::Stay(state);
        }
        Step::End(reason, None)
    }

    /// An endpoint that rings takes the call; the others stop ringing.
    pub(super) fn select(&mut self, endpoint: EndpointId) {
        for other in self.browser_end.select(endpoint) {
            self.tell_end(other, EndReason::AnsweredElsewhere);
        }
        self.push(Action::Select(endpoint));
    }

    fn tell(&mut self, to: EndpointId, notice: Notice) {
        self.push(Action::Tell { to, notice });
    }

    /// The call is over at one endpoint alone.
    fn tell_end(&mut self, to: EndpointId, reason: EndReason) {
        let status = None;
        self.tell(to, Notice::Ended { reason, status });
    }
}

impl State {
    const fn kind(&self) -> CallState {
        match self {
            State::Calling(_) => CallState::Inviting,
            State::Offering(_) => CallState::Alerting,
            State::Confirming(_) => CallState::AwaitingAck,
            State::Established(_) => CallState::Confirmed,
            State::Ended => CallState::Ended,
        }
    }

    fn held(&self) -> Held {
        match self {
            State::Established(established) => established.held(),
            _ => Held::default(),
        }
    }
}
