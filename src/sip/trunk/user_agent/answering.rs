//! Our answers to INVITEs, first ones and later ones.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::leg::{Established, Ringing, State, Unacknowledged};
use crate::sip::stack::envelope::sequence;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request, Response, elements};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::SUPPORTED_VALUE;
use crate::sip::stack::session_timer::{Refresher, SessionTimer};
use crate::sip::stack::warning::{self, Warning};
use crate::sip::trunk::contact::ContactUser;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::LegId;

impl UserAgent {
    pub(super) fn accept(&mut self, id: LegId, body: Bytes, now: Instant) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "accept");
        let ringing = match self.legs.get_mut(&id).map(|leg| &mut leg.state) {
            Some(State::Ringing(ringing)) if ringing.reliable.accepting.is_none() => ringing,
            _ => return Err(wrong),
        };
        let waiting = ringing.reliable.waiting.as_ref();
        if waiting.is_some_and(|waiting| waiting.described) {
            // Its offer and answer come first (RFC 3262 section 3).
            ringing.reliable.accepting = Some(body);
            return Ok(());
        }
        let overtaken = waiting.map(|_| ringing.reliable.number);
        // Out of its place while it changes from one state to the other, so that what stays is
        // moved and not copied.
        let Some(mut leg) = self.legs.remove(&id) else {
            return Err(wrong);
        };
        let ringing = match leg.state {
            State::Ringing(ringing) => ringing,
            state => {
                leg.state = state;
                self.legs.insert(leg);
                return Err(wrong);
            }
        };
        let Ringing {
            server,
            request,
            dialog,
            flow,
            reliable,
            pending,
            ..
        } = *ringing;
        let timer = SessionTimer::of_request(&request.headers, &leg.rules, now);
        let mut response = request.respond(200, None, Some(&leg.local_tag));
        copy_record_route(&request, &mut response);
        let described = match reliable.agreed {
            true => Bytes::new(),
            false => body.clone(),
        };
        self.finish_success(&mut response, &leg.contact_user, flow, timer, described);
        let bytes = self.respond(&server, &response, now);
        // The number of the INVITE: a PRACK or UPDATE may have come since.
        let waiting = Unacknowledged::new(sequence(&request.headers), bytes, flow, now);
        leg.state = State::Established(Box::new(Established {
            unacknowledged: Some(waiting),
            overtaken,
            pending,
            timer,
            update_allowed: elements(&request.headers, &Name::ALLOW).contains(&"UPDATE"),
            ..Established::new(dialog, body)
        }));
        self.legs.insert(leg);
        self.arm(id);
        Ok(())
    }

    pub(super) fn refuse(
        &mut self,
        id: LegId,
        status: u16,
        reason: Option<&str>,
        cause: Option<u16>,
        now: Instant,
    ) -> Result<(), Error> {
        self.refuse_with(id, status, reason, cause, None, now)
    }

    /// The same with a word on what was not acceptable.
    pub(super) fn refuse_with(
        &mut self,
        id: LegId,
        status: u16,
        reason: Option<&str>,
        cause: Option<u16>,
        warning: Option<Warning>,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "reject");
        let Some(leg) = self.legs.get(&id) else {
            return Err(wrong);
        };
        let State::Ringing(ringing) = &leg.state else {
            return Err(wrong);
        };
        let reason: Option<String> =
            reason.map(|reason| reason.chars().filter(|c| !c.is_control()).collect());
        let status = status.clamp(300, 699);
        let mut response = ringing
            .request
            .respond(status, reason.as_deref(), Some(&leg.local_tag));
        if let Some(cause) = cause {
            response
                .headers
                .insert(Name::REASON, format!("Q.850;cause={cause}"));
        }
        warning::put(&mut response, warning.as_ref());
        let key = ringing.server;
        self.respond(&key, &response, now);
        self.forget(id, now);
        Ok(())
    }

    /// What every 2xx to an INVITE or UPDATE carries.
    pub(super) fn finish_success(
        &mut self,
        response: &mut Response,
        user: &ContactUser,
        flow: Flow,
        timer: Option<SessionTimer>,
        body: Bytes,
    ) {
        self.put_contact(response, user, flow);
        let headers = &mut response.headers;
        headers.insert(Name::ALLOW, Method::ALLOW);
        headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
        if let Some(timer) = timer {
            headers.insert(Name::SESSION_EXPIRES, timer.response_value());
            if timer.refresher == Refresher::Remote {
                headers.insert(Name::REQUIRE, "timer");
            }
        }
        put_sdp(response, body);
    }

    pub(super) fn put_contact(&self, response: &mut Response, user: &ContactUser, flow: Flow) {
        if let Some(uri) = self.contact_uri(user, flow.transport, flow.remote, flow.sips) {
            response.headers.insert(Name::CONTACT, format!("<{uri}>"));
        }
    }
}

pub(super) fn copy_record_route(request: &Request, response: &mut Response) {
    for value in request.headers.get_raw(&Name::RECORD_ROUTE) {
        response.headers.insert(Name::RECORD_ROUTE, value.clone());
    }
}

pub(super) fn put_sdp(response: &mut Response, body: Bytes) {
    if !body.is_empty() {
        response
            .headers
            .insert(Name::CONTENT_TYPE, "application/sdp");
        response.body = body;
    }
}
