//! The peer's re-INVITE and UPDATE: taken, answered, refused.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::flow::Flow;
use super::leg::*;
use crate::sip::envelope::{Envelope, sdp_body};
use crate::sip::error::Error;
use crate::sip::event::{Event, LegId};
use crate::sip::message::Request;
use crate::sip::method::Method;
use crate::sip::screening::Refusal;
use crate::sip::session_timer::SessionTimer;
use crate::sip::transaction::key::ServerKey;

impl UserAgent {
    /// A re-INVITE or UPDATE: new SDP, a new target, or a refresh of the session.
    pub(super) fn take_offer(
        &mut self,
        id: LegId,
        key: &ServerKey,
        request: Request,
        flow: Flow,
        now: Instant,
    ) {
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
            .map_or(String::new(), |leg| leg.contact_user.clone());
        let body = sdp_body(&request.headers, &request.body);
        let established = match self.legs.get_mut(&id).map(|leg| &mut leg.state) {
            Some(State::Established(established)) => established,
            // Before our answer: an UPDATE without SDP only refreshes, anything else must wait.
            _ if request.method == Method::Update && body.is_none() => {
                let response = request.respond(200, None, None);
                self.respond(key, &response, now);
                return;
            }
            _ => return self.respond_refusal(key, &request, &later, now),
        };
        if established.goodbye != Goodbye::No {
            return self.respond_refusal(key, &request, &Refusal::plain(481), now);
        }
        let refresh_only = request.method == Method::Update && body.is_none();
        if !refresh_only {
            if established.asked.is_some() {
                return self.respond_refusal(key, &request, &later, now);
            }
            if established.offering.is_some() || established.unacknowledged.is_some() {
                return self.respond_refusal(key, &request, &Refusal::plain(491), now);
            }
        }
        established.dialog.refresh_target(&request.headers);
        if refresh_only {
            if let Some(timer) = SessionTimer::of_request(&request.headers, now) {
                established.timer = Some(timer);
            }
            let timer = established.timer;
            let mut response = request.respond(200, None, None);
            self.finish_success(&mut response, &user, flow, timer, bytes::Bytes::new());
            self.respond(key, &response, now);
            return self.arm(id);
        }
        if request.method == Method::Invite {
            let trying = request.respond(100, None, None);
            established.asked = Some(Asked {
                server: key.clone(),
                request,
                flow,
            });
            self.respond(key, &trying, now);
            if let Some(entry) = self.servers.get_mut(key) {
                entry.leg = Some(id);
            }
        } else {
            established.asked = Some(Asked {
                server: key.clone(),
                request,
                flow,
            });
        }
        self.tell(id, Event::Reinvited { body });
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
        let user = leg.contact_user.clone();
        let State::Established(established) = &mut leg.state else {
            return Err(wrong);
        };
        let Some(asked) = established.asked.take() else {
            return Err(wrong);
        };
        if let Some(timer) = SessionTimer::of_request(&asked.request.headers, now) {
            established.timer = Some(timer);
        }
        established.body = body.clone();
        let timer = established.timer;
        let sequence = established.dialog.remote_sequence.unwrap_or(0);
        let mut response = asked.request.respond(200, None, None);
        self.finish_success(&mut response, &user, asked.flow, timer, body);
        let bytes = self.respond(&asked.server, &response, now);
        if asked.request.method == Method::Invite
            && let Some(State::Established(established)) =
                self.legs.get_mut(&id).map(|leg| &mut leg.state)
        {
            let sequence = Envelope::read(&asked.request.headers)
                .map_or(sequence, |envelope| envelope.sequence);
            established.unacknowledged =
                Some(Unacknowledged::new(sequence, bytes, asked.flow, now));
        }
        self.arm(id);
        Ok(())
    }

    pub(super) fn refuse_reinvite(
        &mut self,
        id: LegId,
        status: u16,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "refuse a re-invite");
        let asked = match self.legs.get_mut(&id).map(|leg| &mut leg.state) {
            Some(State::Established(established)) => established.asked.take(),
            _ => None,
        };
        let Some(asked) = asked else {
            return Err(wrong);
        };
        let response = asked.request.respond(status.clamp(300, 699), None, None);
        self.respond(&asked.server, &response, now);
        Ok(())
    }
}
