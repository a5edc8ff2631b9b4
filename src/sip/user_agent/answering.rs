//! Our answers to INVITEs, first ones and later ones.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::flow::Flow;
use super::leg::{Established, State, Unacknowledged};
use crate::sip::envelope::Envelope;
use crate::sip::error::Error;
use crate::sip::event::LegId;
use crate::sip::message::{Name, Request, Response, elements};
use crate::sip::method::Method;
use crate::sip::screening::SUPPORTED_VALUE;
use crate::sip::session_timer::{Refresher, SessionTimer};

impl UserAgent {
    pub(super) fn accept(&mut self, id: LegId, body: Bytes, now: Instant) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "accept");
        let Some(leg) = self.legs.get_mut(&id) else {
            return Err(wrong);
        };
        let State::Ringing(ringing) = &mut leg.state else {
            return Err(wrong);
        };
        if ringing.reliable.accepting.is_some() {
            return Err(wrong);
        }
        let waiting = ringing.reliable.waiting.as_ref();
        if waiting.is_some_and(|waiting| waiting.described) {
            // Its offer and answer come first (RFC 3262 section 3).
            ringing.reliable.accepting = Some(body);
            return Ok(());
        }
        let overtaken = waiting.map(|_| ringing.reliable.number);
        let agreed = ringing.reliable.agreed;
        let asked = ringing.asked.take();
        let (key, flow) = (ringing.server, ringing.flow);
        let timer = SessionTimer::of_request(&ringing.request.headers, &leg.rules, now);
        let (request, dialog) = (ringing.request.clone(), ringing.dialog.clone());
        let (user, tag) = (leg.contact_user.clone(), leg.local_tag.clone());
        // The number of the INVITE: a PRACK or UPDATE may have come since.
        let sequence = Envelope::read(&request.headers).map_or(0, |envelope| envelope.sequence);
        let mut response = request.respond(200, None, Some(&tag));
        copy_record_route(&request, &mut response);
        let described = if agreed { Bytes::new() } else { body.clone() };
        self.finish_success(&mut response, &user, flow, timer, described);
        let bytes = self.respond(&key, &response, now);
        let update_allowed = elements(&request.headers, &Name::ALLOW).contains(&"UPDATE");
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.state = State::Established(Box::new(Established {
                unacknowledged: Some(Unacknowledged::new(sequence, bytes, flow, now)),
                overtaken,
                asked,
                timer,
                update_allowed,
                ..Established::new(dialog, body)
            }));
        }
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
                .insert(Name::from("Reason"), format!("Q.850;cause={cause}"));
        }
        let key = ringing.server;
        self.respond(&key, &response, now);
        self.forget(id, now);
        Ok(())
    }

    /// What every 2xx to an INVITE or UPDATE carries.
    pub(super) fn finish_success(
        &mut self,
        response: &mut Response,
        user: &str,
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

    pub(super) fn put_contact(&self, response: &mut Response, user: &str, flow: Flow) {
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
