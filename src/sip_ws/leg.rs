//! One call of a client as its dialog goes: the client calls, is called, or talks.

use std::time::Instant;

use super::called::Called;
use super::calling::Calling;
use super::context::Context;
use super::incoming::Incoming;
use super::session::{Progress, Session};
use super::step::Step;
use crate::call::message::Notice;
use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::message::Response;
use crate::sip::stack::method::Method;
use crate::sip::stack::transaction::key::ServerKey;

/// Where a call stands.
#[derive(Debug)]
pub(super) enum Leg {
    /// The client's INVITE has no final response.
    Calling(Box<Calling>),
    /// Our INVITE has no final response.
    Called(Box<Called>),
    /// There was a 2xx.
    Session(Box<Session>),
}

impl Leg {
    /// Call control says something.
    pub fn handle_notice(
        &mut self,
        context: &mut Context,
        notice: Notice,
        now: Instant,
    ) -> Progress {
        let step = match self {
            Leg::Calling(calling) => calling.handle_notice(context, notice, now),
            Leg::Called(called) => called.handle_notice(context, &notice, now),
            Leg::Session(session) => return session.handle_notice(context, &notice, now),
        };
        self.follow(step)
    }

    /// A request inside the dialog, no ACK.
    pub fn handle_request(
        &mut self,
        context: &mut Context,
        incoming: &Incoming,
        now: Instant,
    ) -> Progress {
        let step = match (&mut *self, &incoming.request.method) {
            (Leg::Calling(calling), Method::Bye) => calling.bye(context, incoming, now),
            (Leg::Session(session), _) => return session.handle_request(context, incoming, now),
            _ => {
                // Nothing is agreed yet that could be changed.
                context.refuse_in_dialog(incoming, 500, now);
                Step::Stay
            }
        };
        self.follow(step)
    }

    /// A CANCEL of this INVITE.
    pub fn cancel(&mut self, context: &mut Context, now: Instant) -> Progress {
        let step = match self {
            Leg::Calling(calling) => calling.cancel(context, now),
            Leg::Called(_) | Leg::Session(_) => Step::Stay,
        };
        self.follow(step)
    }

    /// A response to a request of ours.
    pub fn handle_response(
        &mut self,
        context: &mut Context,
        response: &Response,
        envelope: &Envelope,
        now: Instant,
    ) -> Progress {
        let step = match self {
            Leg::Called(called) => called.handle_response(context, response, now),
            Leg::Session(session) => {
                session.handle_response(context, response, envelope);
                Step::Stay
            }
            Leg::Calling(_) => Step::Stay,
        };
        self.follow(step)
    }

    /// The ACK of a 2xx.
    pub fn acknowledge(&mut self, context: &mut Context, now: Instant) -> Progress {
        match self {
            Leg::Session(session) => session.acknowledge(context, now),
            Leg::Calling(_) | Leg::Called(_) => Progress::Continues,
        }
    }

    /// Our INVITE was not answered at all.
    pub fn unanswered(&mut self, context: &mut Context) -> Progress {
        let step = match self {
            Leg::Called(called) => called.unanswered(context),
            Leg::Calling(_) | Leg::Session(_) => Step::Stay,
        };
        self.follow(step)
    }

    pub fn handle_timeout(&mut self, context: &mut Context, now: Instant) -> Progress {
        let step = match self {
            Leg::Called(called) => called.handle_timeout(context, now),
            Leg::Session(session) => return session.handle_timeout(context, now),
            Leg::Calling(_) => Step::Stay,
        };
        self.follow(step)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Leg::Calling(_) => None,
            Leg::Called(called) => called.poll_timeout(),
            Leg::Session(session) => session.poll_timeout(),
        }
    }

    /// Whether a request of the client belongs here.
    pub fn has_dialog(&self, call_id: &str, local_tag: &str) -> bool {
        match self {
            Leg::Calling(calling) => calling.has_dialog(call_id, local_tag),
            Leg::Called(_) => false,
            Leg::Session(session) => session.has_dialog(call_id, local_tag),
        }
    }

    /// Whether this is the transaction of its INVITE.
    pub fn is_invited_by(&self, transaction: ServerKey) -> bool {
        matches!(self, Leg::Calling(calling) if calling.transaction() == transaction)
    }

    /// Whether the client made the call.
    pub fn is_outgoing(&self) -> bool {
        match self {
            Leg::Calling(_) => true,
            Leg::Called(_) => false,
            Leg::Session(session) => session.is_outgoing(),
        }
    }

    fn follow(&mut self, step: Step) -> Progress {
        match step {
            Step::Stay => Progress::Continues,
            Step::Established(session) => {
                *self = Leg::Session(session);
                Progress::Continues
            }
            Step::Over => Progress::Over,
        }
    }
}
