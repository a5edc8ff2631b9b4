//! The peer's re-INVITE and UPDATE: taken, answered, refused.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::incoming_request::IncomingRequest;
use super::leg::{Established, Leg, PendingRequest, State, Termination, Unacknowledged};
use super::refreshing::screen_timer;
use crate::sip::stack::dialog_rules::DialogRules;
use crate::sip::stack::envelope::{Envelope, sdp_body, sequence};
use crate::sip::stack::message::Request;
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::Refusal;
use crate::sip::stack::session_timer::{SessionExpires, SessionTimer};
use crate::sip::stack::warning::{self, Warning};
use crate::sip::trunk::contact::ContactUser;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{Event, LegId};

impl UserAgent {
    /// A re-INVITE or UPDATE: new SDP, a new target, or a refresh of the session.
    pub(super) fn take_offer(&mut self, id: LegId, incoming: IncomingRequest, now: Instant) {
        let key = incoming.key;
        let request = &incoming.request;
        let later = Refusal {
            header: Some((
                "Retry-After",
                (1 + (self.chance() * 9.0) as u32).to_string(),
            )),
            ..Refusal::plain(500)
        };
        let user = self
            .legs
            .get(&id)
            .map_or(ContactUser::default(), |leg| leg.contact_user.clone());
        let body = sdp_body(&request.headers, &request.body);
        let Some(leg) = self.legs.get_mut(&id) else {
            return self.respond_refusal(&key, request, &Refusal::plain(481), now);
        };
        let rules = leg.rules;
        let established = match &mut leg.state {
            State::Established(established) => established,
            State::Calling(_) | State::Ringing(_) => {
                return self.take_early_update(id, incoming, &later, now);
            }
        };
        if established.termination != Termination::None {
            return self.respond_refusal(&key, request, &Refusal::plain(481), now);
        }
        let refresh_only = request.method == Method::Update && body.is_none();
        if !refresh_only {
            if established.pending.is_some() {
                return self.respond_refusal(&key, request, &later, now);
            }
            if established.offering.is_some() || established.unacknowledged.is_some() {
                established.dialog.expect_retry(sequence(&request.headers));
                return self.respond_refusal(&key, request, &Refusal::plain(491), now);
            }
        }
        if let Err(refusal) = screen_timer(&request.headers, &rules) {
            return self.respond_refusal(&key, request, &refusal, now);
        }
        established.dialog.refresh_target(&request.headers);
        if refresh_only {
            established.take_timer(request, &rules, now);
            let timer = established.timer;
            let mut response = request.respond(200, None, None);
            self.finish_success(
                &mut response,
                &user,
                incoming.flow,
                timer,
                bytes::Bytes::new(),
            );
            self.respond(&key, &response, now);
            return self.arm(id);
        }
        if request.method == Method::Invite {
            let trying = request.respond(100, None, None);
            established.pending = Some(incoming.into());
            self.respond(&key, &trying, now);
            if let Some(entry) = self.transactions.server_mut(&key) {
                entry.user.leg = Some(id);
            }
        } else {
            established.pending = Some(incoming.into());
        }
        self.notify_owner(id, Event::Reinvited { body, fork: None });
    }

    /// An UPDATE before the call is answered (RFC 3311 section 5.2), or a re-INVITE that may not
    /// come then.
    fn take_early_update(
        &mut self,
        id: LegId,
        incoming: IncomingRequest,
        later: &Refusal,
        now: Instant,
    ) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let user = leg.contact_user.clone();
        let (key, request) = (incoming.key, &incoming.request);
        let tag = incoming.envelope.from.tag().unwrap_or("");
        let body = sdp_body(&request.headers, &request.body);
        let waits = match &leg.state {
            State::Calling(calling) => calling.pending.is_some(),
            State::Ringing(ringing) => ringing.pending.is_some(),
            State::Established(_) => false,
        };
        let (dialog, agreed, fork) = match &mut leg.state {
            State::Calling(calling) => match calling.tagged_mut(tag) {
                Some(early) => (&mut early.dialog, early.agreed, Some(early.fork)),
                None => return,
            },
            State::Ringing(ringing) => (&mut ringing.dialog, ringing.reliable.agreed, None),
            State::Established(established) => (&mut established.dialog, true, None),
        };
        if request.method == Method::Invite {
            // Ours waits for its answer, or theirs does (RFC 3261 section 14.2).
            return match fork {
                Some(_) => self.respond_refusal(&key, request, &Refusal::plain(491), now),
                None => self.respond_refusal(&key, request, later, now),
            };
        }
        if body.is_none() {
            dialog.refresh_target(&request.headers);
            let mut response = request.respond(200, None, None);
            self.finish_success(&mut response, &user, incoming.flow, None, Bytes::new());
            self.respond(&key, &response, now);
            return;
        }
        if waits || (!agreed && fork.is_none()) {
            return self.respond_refusal(&key, request, later, now);
        }
        if !agreed {
            dialog.expect_retry(sequence(&request.headers));
            return self.respond_refusal(&key, request, &Refusal::plain(491), now);
        }
        dialog.refresh_target(&request.headers);
        let pending = PendingRequest::from(incoming);
        match &mut leg.state {
            State::Calling(calling) => calling.pending = fork.map(|fork| (fork, pending)),
            State::Ringing(ringing) => ringing.pending = Some(pending),
            State::Established(established) => established.pending = Some(pending),
        }
        self.notify_owner(id, Event::Reinvited { body, fork });
    }

    /// The dialog ends while a request of theirs waits.
    pub(super) fn refuse_pending(&mut self, pending: &PendingRequest, now: Instant) {
        let response = pending.request.respond(487, None, None);
        self.respond(&pending.server, &response, now);
    }

    pub(super) fn answer_reinvite(
        &mut self,
        id: LegId,
        body: Bytes,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "answer a re-invite");
        let Some(leg) = self.legs.get_mut(&id) else {
            return Err(wrong);
        };
        let (user, rules) = (leg.contact_user.clone(), leg.rules);
        let Some(pending) = leg.take_pending() else {
            return Err(wrong);
        };
        let mut response = pending.request.respond(200, None, None);
        let State::Established(established) = &mut leg.state else {
            self.finish_success(&mut response, &user, pending.flow, None, body);
            self.respond(&pending.server, &response, now);
            return Ok(());
        };
        established.take_timer(&pending.request, &rules, now);
        established.body = body.clone();
        let timer = established.timer;
        self.finish_success(&mut response, &user, pending.flow, timer, body);
        let bytes = self.respond(&pending.server, &response, now);
        if pending.request.method == Method::Invite
            && let Some(State::Established(established)) =
                self.legs.get_mut(&id).map(|leg| &mut leg.state)
        {
            let sequence =
                Envelope::read(&pending.request.headers).map_or(0, |envelope| envelope.sequence);
            established.unacknowledged =
                Some(Unacknowledged::new(sequence, bytes, pending.flow, now));
        }
        self.arm(id);
        Ok(())
    }

    pub(super) fn refuse_reinvite(
        &mut self,
        id: LegId,
        status: u16,
        warning: Option<&Warning>,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "refuse a re-invite");
        let pending = self.legs.get_mut(&id).and_then(Leg::take_pending);
        let Some(pending) = pending else {
            return Err(wrong);
        };
        if status == 491
            && let Some(State::Established(established)) =
                self.legs.get_mut(&id).map(|leg| &mut leg.state)
        {
            let number = sequence(&pending.request.headers);
            established.dialog.expect_retry(number);
        }
        let mut response = pending.request.respond(status.clamp(300, 699), None, None);
        warning::put(&mut response, warning);
        self.respond(&pending.server, &response, now);
        Ok(())
    }
}

impl Established {
    /// What their re-INVITE or UPDATE says of the session timer; either refreshes it.
    fn take_timer(&mut self, request: &Request, rules: &DialogRules, now: Instant) {
        if SessionExpires::read(&request.headers).is_some() || self.timer.is_none() {
            self.timer = SessionTimer::of_request(&request.headers, rules, now);
        } else if let Some(timer) = &mut self.timer {
            timer.refresh(now);
        }
    }
}
