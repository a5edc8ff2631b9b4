//! A call after its 2xx: requests of both sides inside the dialog.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::context::Context;
use super::digits;
use super::incoming::Incoming;
use super::reason::reason;
use super::screening::ALLOW;
use crate::call::EndReason;
use crate::call::message::{Command, Notice};
use crate::sip::stack::dialog::Dialog;
use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::message::{Name, Response};
use crate::sip::stack::method::Method;
use crate::sip::stack::session_timer::SessionExpires;

/// How long the ACK of a 2xx may take (RFC 3261 section 13.3.1.4).
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(32);

/// A confirmed dialog.
#[derive(Debug)]
pub(super) struct Session {
    call: String,
    dialog: Dialog,
    acknowledgement: Acknowledgement,
}

/// What becomes of it by one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Continues,
    /// Nothing more is to be said or heard of it.
    Over,
}

#[derive(Debug)]
enum Acknowledgement {
    /// Of our 2xx: it is waited for, and so is the BYE where the call has ended meanwhile (section
    /// 15).
    Awaited {
        until: Instant,
        ending: Option<EndReason>,
    },
    Received,
    /// Of the client's 2xx.
    Sent(Bytes),
}

impl Session {
    /// We have sent the 2xx.
    pub fn unacknowledged(call: String, dialog: Dialog, now: Instant) -> Self {
        Session {
            call,
            dialog,
            acknowledgement: Acknowledgement::Awaited {
                until: now + ACKNOWLEDGED_WITHIN,
                ending: None,
            },
        }
    }

    /// We have acknowledged the client's 2xx.
    pub fn acknowledged(call: String, dialog: Dialog, acknowledgement: Bytes) -> Self {
        Session {
            call,
            dialog,
            acknowledgement: Acknowledgement::Sent(acknowledgement),
        }
    }

    pub fn call(&self) -> &str {
        &self.call
    }

    pub fn is_outgoing(&self) -> bool {
        !matches!(self.acknowledgement, Acknowledgement::Sent(_))
    }

    pub fn has_dialog(&self, call_id: &str, local_tag: &str) -> bool {
        self.dialog.call_id == call_id && self.dialog.local.tag() == Some(local_tag)
    }

    pub fn handle_notice(
        &mut self,
        context: &mut Context,
        notice: &Notice,
        now: Instant,
    ) -> Progress {
        let Notice::Ended { reason, .. } = *notice else {
            return Progress::Continues;
        };
        if let Acknowledgement::Awaited { ending, .. } = &mut self.acknowledgement {
            *ending = Some(reason);
            return Progress::Continues;
        }
        self.hang_up(context, reason, now);
        Progress::Over
    }

    /// Sends BYE.
    pub fn hang_up(&mut self, context: &mut Context, ending: EndReason, now: Instant) {
        let mut bye = self.dialog.request(Method::Bye);
        bye.headers.insert(Name::REASON, reason(ending));
        let branch = context.stamp(&mut bye);
        context.transactions.send(bye, &branch, &self.call, now);
    }

    pub fn acknowledge(&mut self, context: &mut Context, now: Instant) -> Progress {
        if let Acknowledgement::Awaited { ending, .. } = self.acknowledgement {
            self.acknowledgement = Acknowledgement::Received;
            if let Some(ending) = ending {
                self.hang_up(context, ending, now);
                return Progress::Over;
            }
        }
        Progress::Continues
    }

    /// A repeated 2xx is acknowledged again (section 13.2.2.4).
    pub fn handle_response(&self, context: &mut Context, response: &Response, envelope: &Envelope) {
        let is_accepted = (200..300).contains(&response.status);
        if let Acknowledgement::Sent(acknowledgement) = &self.acknowledgement
            && is_accepted
            && envelope.method == Method::Invite
        {
            context.transactions.send_once(acknowledgement.clone());
        }
    }

    pub fn handle_request(
        &mut self,
        context: &mut Context,
        incoming: &Incoming,
        now: Instant,
    ) -> Progress {
        if !self.dialog.accept_sequence(incoming.envelope.sequence) {
            // Out of order (section 12.2.2).
            context.refuse_in_dialog(incoming, 500, now);
            return Progress::Continues;
        }
        match &incoming.request.method {
            Method::Bye => {
                let response = context.response_in_dialog(incoming, 200);
                context.answer(&response);
                context.command(&self.call, Command::HangUp { reason: None });
                return Progress::Over;
            }
            Method::Options => self.answer(context, incoming),
            Method::Info => self.take_info(context, incoming),
            // A refresh of the session timer; what was agreed stays (RFC 4028 section 7.4).
            Method::Update if incoming.request.body.is_empty() => self.refresh(context, incoming),
            // Nothing can be agreed anew yet: the session stays as it is (section 14.2).
            Method::Invite | Method::Update => context.refuse_in_dialog(incoming, 488, now),
            _ => {
                let mut response = context.response_in_dialog(incoming, 405);
                response.headers.insert(Name::ALLOW, ALLOW);
                context.answer(&response);
            }
        }
        Progress::Continues
    }

    fn answer(&self, context: &mut Context, incoming: &Incoming) {
        let mut response = context.response_in_dialog(incoming, 200);
        context.describe_us(&mut response);
        context.answer(&response);
    }

    fn refresh(&mut self, context: &mut Context, incoming: &Incoming) {
        self.dialog.refresh_target(incoming.headers());
        let mut response = context.response_in_dialog(incoming, 200);
        context.describe_us(&mut response);
        if let Some(asked) = SessionExpires::read(incoming.headers()) {
            let value = format!("{};refresher=uac", asked.interval);
            response.headers.insert(Name::SESSION_EXPIRES, value);
        }
        context.answer(&response);
    }

    /// Digits (RFC 6086 in the form that user agents have used since before it).
    fn take_info(&self, context: &mut Context, incoming: &Incoming) {
        match digits::read(&incoming.request) {
            Some((digit, duration)) => {
                let digits = digit.to_string();
                context.command(&self.call, Command::SendDigits { digits, duration });
                let response = context.response_in_dialog(incoming, 200);
                context.answer(&response);
            }
            None if incoming.request.body.is_empty() => {
                let response = context.response_in_dialog(incoming, 200);
                context.answer(&response);
            }
            None => {
                let mut response = context.response_in_dialog(incoming, 415);
                response.headers.insert(Name::ACCEPT, digits::CONTENT_TYPE);
                context.answer(&response);
            }
        }
    }

    /// The ACK did not come: the dialog is confirmed all the same, and ends (section 13.3.1.4).
    pub fn handle_timeout(&mut self, context: &mut Context, now: Instant) -> Progress {
        let Acknowledgement::Awaited { until, ending } = self.acknowledgement else {
            return Progress::Continues;
        };
        if until > now {
            return Progress::Continues;
        }
        if ending.is_none() {
            context.command(&self.call, Command::HangUp { reason: None });
        }
        self.hang_up(context, ending.unwrap_or(EndReason::SignalingLost), now);
        Progress::Over
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.acknowledgement {
            Acknowledgement::Awaited { until, .. } => Some(until),
            Acknowledgement::Received | Acknowledgement::Sent(_) => None,
        }
    }
}
