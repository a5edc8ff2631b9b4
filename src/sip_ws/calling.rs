//! The client calls: from its INVITE to the final response.
//!
//! The client's offer has one answer. It goes out as soon as it is there, in a 183, so that ICE and
//! DTLS are through before anybody picks up, and the same stands in the 200: user agents in browsers
//! take no second one (RFC 3261 section 13.2.1).

use std::time::Instant;

use super::context::Context;
use super::incoming::Incoming;
use super::reason::reason;
use super::session::Session;
use super::step::Step;
use crate::call::EndReason;
use crate::call::message::{Command, Notice};
use crate::sip::stack::dialog::Dialog;
use crate::sip::stack::message::{Name, Response};
use crate::sip::stack::session_timer::{SessionExpires, supports_timer};
use crate::sip::stack::transaction::key::ServerKey;

/// An INVITE of the client without a final response.
#[derive(Debug)]
pub(super) struct Calling {
    call: String,
    invite: Incoming,
    transaction: ServerKey,
    dialog: Dialog,
    /// Sent in a 183.
    answer: Option<String>,
}

impl Calling {
    /// The call begins: 100 stops the client's repetitions, and lets it CANCEL (section 9.1).
    pub fn begin(
        context: &mut Context,
        call: String,
        invite: Incoming,
        transaction: ServerKey,
        now: Instant,
    ) -> Self {
        let tag = context.tokens.tag();
        let flow = context.profile.flow;
        let dialog = Dialog::of_callee(&invite.request, &invite.envelope, &tag, flow);
        let trying = invite.request.respond(100, None, None);
        context.answer_invite(transaction, &trying, now);
        Calling {
            call,
            invite,
            transaction,
            dialog,
            answer: None,
        }
    }

    pub fn handle_notice(&mut self, context: &mut Context, notice: Notice, now: Instant) -> Step {
        match notice {
            Notice::Answer { sdp } => {
                let response = self.response(context, 183, Some(&sdp));
                context.answer_invite(self.transaction, &response, now);
                self.answer = Some(sdp);
            }
            Notice::Ringing => self.progress(context, 180, now),
            // Where it comes from is described.
            Notice::EarlyMedia => self.progress(context, 183, now),
            Notice::Answered => return self.accept(context, now),
            Notice::Ended { reason, .. } => {
                self.refuse(context, reason, now);
                return Step::Over;
            }
            _ => {}
        }
        Step::Stay
    }

    fn progress(&self, context: &mut Context, status: u16, now: Instant) {
        let response = self.response(context, status, None);
        context.answer_invite(self.transaction, &response, now);
    }

    fn accept(&self, context: &mut Context, now: Instant) -> Step {
        let Some(answer) = &self.answer else {
            self.refuse(context, EndReason::Internal, now);
            context.command(&self.call, Command::HangUp { reason: None });
            return Step::Over;
        };
        let mut response = self.response(context, 200, Some(answer));
        self.agree_timer(&mut response);
        context.answer_invite(self.transaction, &response, now);
        let session = Session::unacknowledged(self.call.clone(), self.dialog.clone(), now);
        Step::Established(Box::new(session))
    }

    /// The session timer is the client's, which refreshes it at its own interval (RFC 4028 section
    /// 9). A 422 would end the call: not all clients try again.
    fn agree_timer(&self, response: &mut Response) {
        let headers = self.invite.headers();
        if !supports_timer(headers) {
            return;
        }
        if let Some(asked) = SessionExpires::read(headers) {
            let value = format!("{};refresher=uac", asked.interval);
            response.headers.insert(Name::SESSION_EXPIRES, value);
            response.headers.insert(Name::REQUIRE, "timer");
        }
    }

    fn refuse(&self, context: &mut Context, ending: EndReason, now: Instant) {
        let mut response = self.response(context, ending.ending().sip_status, None);
        response.headers.insert(Name::REASON, reason(ending));
        context.answer_invite(self.transaction, &response, now);
    }

    /// The client gives up.
    pub fn cancel(&self, context: &mut Context, now: Instant) -> Step {
        let status = EndReason::Cancelled.ending().sip_status;
        let response = self.response(context, status, None);
        context.answer_invite(self.transaction, &response, now);
        context.command(&self.call, Command::HangUp { reason: None });
        Step::Over
    }

    /// The same by BYE in the early dialog (section 15).
    pub fn bye(&self, context: &mut Context, bye: &Incoming, now: Instant) -> Step {
        let response = context.response_in_dialog(bye, 200);
        context.answer(&response);
        self.cancel(context, now)
    }

    /// A response with our tag; with `sdp` it carries the answer.
    fn response(&self, context: &Context, status: u16, sdp: Option<&str>) -> Response {
        let tag = self.dialog.local.tag();
        let mut response = self.invite.request.respond(status, None, tag);
        if status < 300 {
            context.describe_us(&mut response);
        }
        if let Some(sdp) = sdp {
            response
                .headers
                .insert(Name::CONTENT_TYPE, "application/sdp");
            response.body = sdp.to_owned().into();
        }
        response
    }

    pub fn transaction(&self) -> ServerKey {
        self.transaction
    }

    pub fn has_dialog(&self, call_id: &str, local_tag: &str) -> bool {
        self.dialog.call_id == call_id && self.dialog.local.tag() == Some(local_tag)
    }
}
