//! The client is called: from our INVITE to its final response.

use std::time::{Duration, Instant};

use super::context::Context;
use super::reason::{reason, refused};
use super::screening::{ALLOW, SUPPORTED_VALUE};
use super::session::Session;
use super::step::Step;
use crate::call::EndReason;
use crate::call::message::{Command, Notice};
use crate::sip::stack::address::{Address, sip_uri};
use crate::sip::stack::dialog::Dialog;
use crate::sip::stack::envelope::{sdp_body, sequence};
use crate::sip::stack::message::{Name, Request, Response};
use crate::sip::stack::method::Method;
use crate::sip::stack::transaction::same_branch;

/// How long the final response may take after a CANCEL (RFC 3261 section 9.1).
const CANCELLED_WITHIN: Duration = Duration::from_secs(32);

/// What a caller is called who withholds the number (RFC 3323 section 4.1.1.3).
const ANONYMOUS: &str = "anonymous";

/// Who is called, by what is known of the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Callee<'a> {
    pub user: &'a str,
    /// The registered contact.
    pub contact: &'a str,
}

/// Our INVITE without a final response.
#[derive(Debug)]
pub(super) struct Called {
    call: String,
    invite: Request,
    /// Of its Via.
    branch: String,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing has come: a CANCEL must wait (section 9.1).
    Sent,
    Proceeding,
    /// The call is over; CANCEL goes with the first provisional response.
    ToCancel {
        ending: EndReason,
        until: Instant,
    },
    /// CANCEL was sent.
    Cancelled {
        until: Instant,
    },
}

impl Called {
    /// Calls the client. `notice` is [`Notice::Incoming`]; none where it is another.
    pub fn begin(
        context: &mut Context,
        call: &str,
        callee: Callee<'_>,
        notice: Notice,
        now: Instant,
    ) -> Option<Self> {
        let Notice::Incoming {
            from,
            name,
            headers: passed,
            offer,
            ..
        } = notice
        else {
            return None;
        };
        let domain = context.domain().to_owned();
        let caller = match from == ANONYMOUS || from.is_empty() {
            true => sip_uri(ANONYMOUS, "anonymous.invalid"),
            false => sip_uri(&from, &domain),
        };
        let tag = context.tokens.tag();
        let mut from = Address::new(caller);
        from.name = name;
        let to = Address::new(sip_uri(callee.user, &domain));
        let mut invite = Request::new(Method::Invite, callee.contact);
        let branch = context.stamp(&mut invite);
        let headers = &mut invite.headers;
        headers.insert(Name::MAX_FORWARDS, 70u32);
        headers.insert(Name::FROM, from.with_tag(&tag).to_string());
        headers.insert(Name::TO, to.to_string());
        headers.insert(Name::CALL_ID, context.tokens.call_id());
        headers.insert(Name::CSEQ, "1 INVITE");
        headers.insert(Name::CONTACT, context.contact());
        headers.insert(Name::ALLOW, ALLOW);
        headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
        headers.insert(Name::USER_AGENT, context.profile.product);
        // The trunk's policy names them, and none that a dialog lives by.
        for (name, value) in passed {
            if !value.contains(|c: char| c.is_control()) {
                headers.insert(name, value);
            }
        }
        headers.insert(Name::CONTENT_TYPE, "application/sdp");
        invite.body = offer.into();
        context
            .transactions
            .send(invite.clone(), &branch, call, now);
        Some(Called {
            call: call.to_owned(),
            invite,
            branch,
            stage: Stage::Sent,
        })
    }

    pub fn handle_response(
        &mut self,
        context: &mut Context,
        response: &Response,
        now: Instant,
    ) -> Step {
        let is_over = !matches!(self.stage, Stage::Sent | Stage::Proceeding);
        match response.status {
            ..=199 => {
                match self.stage {
                    Stage::Sent => self.stage = Stage::Proceeding,
                    Stage::ToCancel { ending, until } => {
                        self.send_cancel(context, ending, now);
                        self.stage = Stage::Cancelled { until };
                    }
                    Stage::Proceeding | Stage::Cancelled { .. } => {}
                }
                Step::Stay
            }
            200..=299 => self.accepted(context, response, is_over, now),
            status => {
                if !is_over {
                    let command = refused(status, context.profile.endpoint);
                    context.command(&self.call, command);
                }
                Step::Over
            }
        }
    }

    fn accepted(
        &self,
        context: &mut Context,
        response: &Response,
        is_over: bool,
        now: Instant,
    ) -> Step {
        let flow = context.profile.flow;
        let Some(dialog) = Dialog::of_caller(&self.invite, response, flow) else {
            // Without From and To of its own nothing more can be said in this dialog.
            let command = refused(500, context.profile.endpoint);
            context.command(&self.call, command);
            return Step::Over;
        };
        let mut acknowledgement = dialog.acknowledgement(sequence(&self.invite.headers));
        context.stamp(&mut acknowledgement);
        let acknowledgement = acknowledgement.write();
        context.transactions.send_once(acknowledgement.clone());
        let mut session = Session::acknowledged(self.call.clone(), dialog, acknowledgement);
        if is_over {
            // The 2xx and the CANCEL have met.
            session.hang_up(context, EndReason::Cancelled, now);
            return Step::Over;
        }
        let sdp = sdp_body(&response.headers, &response.body).unwrap_or_default();
        let sdp = String::from_utf8_lossy(&sdp).into_owned();
        let endpoint = context.profile.endpoint;
        context.command(session.call(), Command::Accept { endpoint, sdp });
        Step::Established(Box::new(session))
    }

    pub fn handle_notice(&mut self, context: &mut Context, notice: &Notice, now: Instant) -> Step {
        if let Notice::Ended { reason: ending, .. } = *notice {
            let until = now + CANCELLED_WITHIN;
            match self.stage {
                Stage::Proceeding => {
                    self.send_cancel(context, ending, now);
                    self.stage = Stage::Cancelled { until };
                }
                Stage::Sent => self.stage = Stage::ToCancel { ending, until },
                Stage::ToCancel { .. } | Stage::Cancelled { .. } => {}
            }
        }
        Step::Stay
    }

    /// CANCEL is the INVITE's own: same branch, number and To (section 9.1).
    fn send_cancel(&self, context: &mut Context, ending: EndReason, now: Instant) {
        let mut cancel = same_branch(&self.invite, Method::Cancel);
        let mut why = reason(ending);
        if ending == EndReason::AnsweredElsewhere {
            why = format!("SIP;cause=200;text=\"Call completed elsewhere\", {why}");
        }
        cancel.headers.insert(Name::REASON, why);
        context
            .transactions
            .send(cancel, &self.branch, &self.call, now);
    }

    /// Nothing came in answer to the INVITE.
    pub fn unanswered(&self, context: &mut Context) -> Step {
        if matches!(self.stage, Stage::Sent) {
            context.command(&self.call, refused(408, context.profile.endpoint));
        }
        Step::Over
    }

    /// No final response came within 64 * T1 of the CANCEL: the INVITE counts as cancelled
    /// (section 9.1).
    pub fn handle_timeout(&self, context: &mut Context, now: Instant) -> Step {
        match self.poll_timeout() {
            Some(until) if until <= now => {
                context.transactions.give_up_invite(&self.branch);
                Step::Over
            }
            _ => Step::Stay,
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Sent | Stage::Proceeding => None,
            Stage::ToCancel { until, .. } | Stage::Cancelled { until } => Some(until),
        }
    }
}
