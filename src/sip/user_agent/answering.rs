//! Our answers to INVITEs, first ones and later ones.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::flow::Flow;
use super::leg::{Established, Goodbye, PROGRESS_EVERY, State, Unacknowledged};
use crate::sip::error::Error;
use crate::sip::event::LegId;
use crate::sip::message::{Name, Request, Response, elements};
use crate::sip::method::Method;
use crate::sip::screening::SUPPORTED_VALUE;
use crate::sip::session_timer::{Refresher, SessionTimer};

impl UserAgent {
    pub(super) fn progress(
        &mut self,
        id: LegId,
        status: u16,
        body: Option<Bytes>,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "progress");
        let Some(leg) = self.legs.get_mut(&id) else {
            return Err(wrong);
        };
        let State::Ringing(ringing) = &mut leg.state else {
            return Err(wrong);
        };
        let status = status.clamp(101, 199);
        ringing.progress = Some((status, body.clone(), now + PROGRESS_EVERY));
        let (key, flow) = (ringing.server.clone(), ringing.flow);
        let (user, tag) = (leg.contact_user.clone(), leg.local_tag.clone());
        let mut response = ringing.request.respond(status, None, Some(&tag));
        copy_record_route(&ringing.request, &mut response);
        self.put_contact(&mut response, &user, flow);
        put_sdp(&mut response, body.unwrap_or_default());
        self.respond(&key, &response, now);
        self.arm(id);
        Ok(())
    }

    pub(super) fn accept(&mut self, id: LegId, body: Bytes, now: Instant) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "accept");
        let Some(leg) = self.legs.get_mut(&id) else {
            return Err(wrong);
        };
        let State::Ringing(ringing) = &leg.state else {
            return Err(wrong);
        };
        let (key, flow) = (ringing.server.clone(), ringing.flow);
        let timer = SessionTimer::of_request(&ringing.request.headers, now);
        let (request, dialog) = (ringing.request.clone(), ringing.dialog.clone());
        let (user, tag) = (leg.contact_user.clone(), leg.local_tag.clone());
        let sequence = dialog.remote_sequence.unwrap_or(0);
        let mut response = request.respond(200, None, Some(&tag));
        copy_record_route(&request, &mut response);
        self.finish_success(&mut response, &user, flow, timer, body.clone());
        let bytes = self.respond(&key, &response, now);
        let update_allowed = elements(&request.headers, &Name::ALLOW).contains(&"UPDATE");
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.state = State::Established(Box::new(Established {
                dialog,
                body,
                unacknowledged: Some(Unacknowledged::new(sequence, bytes, flow, now)),
                acknowledgement: None,
                asked: None,
                offering: None,
                timer,
                refreshing: false,
                update_allowed,
                goodbye: Goodbye::No,
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
        let key = ringing.server.clone();
        self.respond(&key, &response, now);
        self.forget(id);
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

fn copy_record_route(request: &Request, response: &mut Response) {
    for value in request.headers.get_raw(&Name::RECORD_ROUTE) {
        response.headers.insert(Name::RECORD_ROUTE, value.clone());
    }
}

fn put_sdp(response: &mut Response, body: Bytes) {
    if !body.is_empty() {
        response
            .headers
            .insert(Name::CONTENT_TYPE, "application/sdp");
        response.body = body;
    }
}
