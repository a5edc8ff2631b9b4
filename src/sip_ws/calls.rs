//! The calls of one connection, by their names towards call control.

use std::collections::HashMap;
use std::time::Instant;

use super::called::{Called, Callee};
use super::calling::Calling;
use super::context::Context;
use super::incoming::Incoming;
use super::leg::Leg;
use super::session::Progress;
use super::transactions::Delivery;
use crate::call::message::Notice;
use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::message::Response;
use crate::sip::stack::method::Method;
use crate::sip::stack::transaction::key::ServerKey;

/// All calls of one connection.
#[derive(Debug, Default)]
pub(super) struct Calls {
    legs: HashMap<String, Leg>,
    /// Calls that the client made, for their names.
    made: u64,
}

impl Calls {
    /// The client calls; gives the name of the call.
    pub fn begin(
        &mut self,
        context: &mut Context,
        incoming: Incoming,
        transaction: ServerKey,
        now: Instant,
    ) -> String {
        self.made += 1;
        let name = format!("out-{}", self.made);
        let calling = Calling::begin(context, name.clone(), incoming, transaction, now);
        self.legs
            .insert(name.clone(), Leg::Calling(Box::new(calling)));
        name
    }

    /// The client is called.
    pub fn ring(
        &mut self,
        context: &mut Context,
        call: &str,
        callee: Callee<'_>,
        notice: Notice,
        now: Instant,
    ) {
        if let Some(called) = Called::begin(context, call, callee, notice, now) {
            self.legs
                .insert(call.to_owned(), Leg::Called(Box::new(called)));
        }
    }

    /// Call control says something of a call.
    pub fn handle_notice(
        &mut self,
        context: &mut Context,
        call: &str,
        notice: Notice,
        now: Instant,
    ) {
        self.step(call, |leg| leg.handle_notice(context, notice, now));
    }

    /// A request inside a dialog; false where there is no such dialog.
    pub fn handle_request(
        &mut self,
        context: &mut Context,
        incoming: &Incoming,
        now: Instant,
    ) -> bool {
        let Some(call) = self.of_dialog(&incoming.envelope) else {
            return false;
        };
        self.step(&call, |leg| leg.handle_request(context, incoming, now));
        true
    }

    /// A CANCEL of the INVITE with this transaction.
    pub fn cancel(&mut self, context: &mut Context, transaction: ServerKey, now: Instant) {
        let invited = |(_, leg): &(&String, &Leg)| leg.is_invited_by(transaction);
        if let Some(call) = self.legs.iter().find(invited).map(|(call, _)| call.clone()) {
            self.step(&call, |leg| leg.cancel(context, now));
        }
    }

    /// The ACK of a 2xx.
    pub fn acknowledge(&mut self, context: &mut Context, envelope: &Envelope, now: Instant) {
        if let Some(call) = self.of_dialog(envelope) {
            self.step(&call, |leg| leg.acknowledge(context, now));
        }
    }

    /// A response to a request of a call.
    pub fn handle_response(
        &mut self,
        context: &mut Context,
        about: &Delivery,
        response: &Response,
        envelope: &Envelope,
        now: Instant,
    ) {
        // A CANCEL's is that of its INVITE, and after a BYE there is nothing left to decide.
        if about.method == Method::Invite {
            self.step(&about.call, |leg| {
                leg.handle_response(context, response, envelope, now)
            });
        }
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, context: &mut Context, now: Instant) {
        for about in context.transactions.handle_timeout(now) {
            if about.method == Method::Invite {
                self.step(&about.call, |leg| leg.unanswered(context));
            }
        }
        let due = |(_, leg): &(&String, &Leg)| leg.poll_timeout().is_some_and(|at| at <= now);
        let due: Vec<String> = self
            .legs
            .iter()
            .filter(due)
            .map(|(call, _)| call.clone())
            .collect();
        for call in due {
            self.step(&call, |leg| leg.handle_timeout(context, now));
        }
    }

    /// When [`Calls::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.legs.values().filter_map(Leg::poll_timeout).min()
    }

    /// Calls that the client made.
    pub fn outgoing(&self) -> usize {
        self.legs.values().filter(|leg| leg.is_outgoing()).count()
    }

    pub fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    fn of_dialog(&self, envelope: &Envelope) -> Option<String> {
        let local_tag = envelope.to.tag()?;
        let belongs = |(_, leg): &(&String, &Leg)| leg.has_dialog(&envelope.call_id, local_tag);
        self.legs.iter().find(belongs).map(|(call, _)| call.clone())
    }

    fn step(&mut self, call: &str, step: impl FnOnce(&mut Leg) -> Progress) {
        if let Some(leg) = self.legs.get_mut(call)
            && step(leg) == Progress::Over
        {
            self.legs.remove(call);
        }
    }
}
