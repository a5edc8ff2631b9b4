//! What answers to our requests mean, and what their absence means.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::flow::Flow;
use super::leg::{Cancel, Established, Goodbye, LIFETIME, Offering, State};
use super::sending::{Machine, Outbound, Owner};
use crate::sip::dialog::Dialog;
use crate::sip::envelope::{Envelope, q850_cause, sdp_body};
use crate::sip::event::{EndedBy, Event, LegId};
use crate::sip::message::{Name, Request, Response, elements, reason_phrase};
use crate::sip::method::Method;
use crate::sip::session_timer::SessionTimer;
use crate::sip::transaction::key::ClientKey;

impl UserAgent {
    pub(super) fn handle_response(
        &mut self,
        response: &Response,
        envelope: &Envelope,
        source: SocketAddr,
        now: Instant,
    ) {
        let key = ClientKey::new(&envelope.branch, &envelope.method);
        let Some(entry) = self.clients.get_mut(&key) else {
            return self.reject("stray_response", source);
        };
        let request = &entry.outbound.request;
        match &mut entry.machine {
            Machine::Invite(machine) => {
                let acknowledgement = if response.status >= 300 {
                    acknowledge_refusal(request, response)
                } else {
                    Bytes::new()
                };
                machine.handle(response.status, acknowledgement, now);
            }
            Machine::Other(machine) => machine.handle(response.status, now),
        }
        let (deliver, _) = self.run_client(&key);
        if deliver {
            self.take_response(&key, response, envelope, now);
        }
        self.drop_finished_client(&key);
    }

    fn take_response(
        &mut self,
        key: &ClientKey,
        response: &Response,
        envelope: &Envelope,
        now: Instant,
    ) {
        let Some(owner) = self.clients.get(key).map(|entry| entry.outbound.owner) else {
            return;
        };
        if matches!(response.status, 401 | 407)
            && !self.is_given_up(owner)
            && self.retry_with_digest(key, response, now)
        {
            return;
        }
        match owner {
            Owner::Invite(leg) => self.take_invite_response(leg, key, response, envelope, now),
            Owner::Reinvite(leg) => self.take_reinvite_response(leg, key, response, now),
            Owner::Bye(leg) if response.status >= 200 => self.finish_bye(leg),
            Owner::Refresh(leg) if response.status >= 200 => {
                self.take_refresh_response(leg, response, now);
            }
            Owner::Register(id) if response.status >= 200 => {
                self.take_register_response(id, response, now);
            }
            Owner::Info(leg) if matches!(response.status, 408 | 481) => {
                self.lose(leg, now);
            }
            Owner::Info(_)
            | Owner::Bye(_)
            | Owner::Refresh(_)
            | Owner::Register(_)
            | Owner::Acknowledge(_)
            | Owner::Nobody => {}
        }
    }

    /// True when a challenge is not worth answering: the caller has hung up.
    fn is_given_up(&self, owner: Owner) -> bool {
        let Owner::Invite(leg) = owner else {
            return false;
        };
        match self.legs.get(&leg).map(|leg| &leg.state) {
            Some(State::Calling(calling)) => calling.cancel != Cancel::No,
            _ => true,
        }
    }

    fn take_invite_response(
        &mut self,
        id: LegId,
        key: &ClientKey,
        response: &Response,
        envelope: &Envelope,
        now: Instant,
    ) {
        match response.status {
            ..=199 => {
                let Some(leg) = self.legs.get(&id) else {
                    return;
                };
                let State::Calling(calling) = &leg.state else {
                    return;
                };
                match calling.cancel {
                    Cancel::Wanted(cause) => self.send_cancel(id, key, cause, now),
                    Cancel::No if response.status > 100 => {
                        let body = sdp_body(&response.headers, &response.body);
                        let status = response.status;
                        self.tell(id, Event::Progress { status, body });
                    }
                    Cancel::No | Cancel::Sent(_) => {}
                }
            }
            200..=299 => self.take_invite_success(id, key, response, envelope, now),
            status => {
                let waiting = self
                    .legs
                    .get(&id)
                    .is_some_and(|leg| matches!(leg.state, State::Calling(_)));
                if waiting {
                    self.tell(
                        id,
                        Event::Refused {
                            status,
                            reason: response.reason.clone(),
                            cause: q850_cause(&response.headers),
                            local: false,
                        },
                    );
                    self.forget(id);
                }
            }
        }
    }

    fn take_invite_success(
        &mut self,
        id: LegId,
        key: &ClientKey,
        response: &Response,
        envelope: &Envelope,
        now: Instant,
    ) {
        let Some(entry) = self.clients.get(key) else {
            return;
        };
        let request = entry.outbound.request.clone();
        let contact = entry.outbound.contact.clone();
        let Some(dialog) = Dialog::of_caller(&request, response) else {
            return;
        };
        let sequence = dialog.local_sequence;
        let Some(leg) = self.legs.get_mut(&id) else {
            return self.refuse_fork(&dialog, &request, now);
        };
        let (cancel, body) = match &mut leg.state {
            State::Calling(calling) => (calling.cancel, calling.body.clone()),
            State::Established(established)
                if established.dialog.remote_tag() == envelope.to.tag().unwrap_or("") =>
            {
                // Our ACK was lost.
                if let Some((_, bytes, flow)) = established.acknowledgement.clone() {
                    self.transmit(flow, bytes, None);
                }
                return;
            }
            State::Established(_) | State::Ringing(_) => {
                return self.refuse_fork(&dialog, &request, now);
            }
        };
        leg.state = State::Established(Box::new(Established {
            update_allowed: allows_update(response),
            timer: SessionTimer::of_response(&response.headers, now),
            dialog: dialog.clone(),
            body,
            unacknowledged: None,
            acknowledgement: None,
            asked: None,
            offering: None,
            refreshing: false,
            goodbye: Goodbye::No,
        }));
        if let Some((user, _)) = contact {
            leg.contact_user = user;
        }
        self.acknowledge(Owner::Acknowledge(id), &dialog, sequence, &request, now);
        match cancel {
            Cancel::No => {
                let body = sdp_body(&response.headers, &response.body);
                self.tell(id, Event::Accepted { body });
                self.arm(id);
            }
            Cancel::Wanted(cause) => self.say_goodbye(id, cause, now),
            // The answer crossed our CANCEL.
            Cancel::Sent(_) => self.say_goodbye(id, None, now),
        }
    }

    /// Sends the ACK of a 2xx with the credentials of its INVITE (RFC 3261 section 22.1).
    fn acknowledge(
        &mut self,
        owner: Owner,
        dialog: &Dialog,
        sequence: u32,
        invite: &Request,
        now: Instant,
    ) {
        let mut request = dialog.acknowledgement(sequence);
        for name in [Name::AUTHORIZATION, Name::PROXY_AUTHORIZATION] {
            for value in invite.headers.get_raw(&name) {
                request.headers.insert(name.clone(), value.clone());
            }
        }
        if let Some(hop) = dialog.next_hop() {
            let outbound = Outbound {
                request,
                hop,
                owner,
                contact: None,
                give_up: LIFETIME,
                attempts: 0,
                may_upgrade: true,
            };
            self.send(outbound, now);
        }
    }

    /// Keeps the ACK for a 2xx that comes again.
    pub(super) fn remember_acknowledgement(
        &mut self,
        leg: LegId,
        request: &Request,
        bytes: &Bytes,
        flow: Flow,
    ) {
        let sequence = Envelope::read(&request.headers).map_or(0, |envelope| envelope.sequence);
        if let Some(leg) = self.legs.get_mut(&leg)
            && let State::Established(established) = &mut leg.state
        {
            established.acknowledgement = Some((sequence, bytes.clone(), flow));
        }
    }

    /// A 2xx of a fork that came too late: ACK and BYE (RFC 3261 section 13.2.2.4).
    fn refuse_fork(&mut self, dialog: &Dialog, invite: &Request, now: Instant) {
        let mut dialog = dialog.clone();
        let sequence = dialog.local_sequence;
        self.acknowledge(Owner::Nobody, &dialog, sequence, invite, now);
        let request = dialog.request(Method::Bye);
        if let Some(hop) = dialog.next_hop() {
            let outbound = Outbound {
                request,
                hop,
                owner: Owner::Nobody,
                contact: None,
                give_up: LIFETIME,
                attempts: 0,
                may_upgrade: true,
            };
            self.send(outbound, now);
        }
    }

    fn take_reinvite_response(
        &mut self,
        id: LegId,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) {
        if response.status < 200 {
            return;
        }
        let Some(invite) = self
            .clients
            .get(key)
            .map(|entry| entry.outbound.request.clone())
        else {
            return;
        };
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let State::Established(established) = &mut leg.state else {
            return;
        };
        let sequence = Envelope::read(&invite.headers).map_or(0, |envelope| envelope.sequence);
        if (200..300).contains(&response.status) {
            if let Some((last, bytes, flow)) = established.acknowledgement.clone()
                && last == sequence
            {
                return self.transmit(flow, bytes, None);
            }
            established.dialog.refresh_target(&response.headers);
            let offering = established.offering.take();
            if let Some(timer) = SessionTimer::of_response(&response.headers, now) {
                established.timer = Some(timer);
            }
            established.refreshing = false;
            if offering == Some(Offering::Asked) {
                established.body = invite.body.clone();
            }
            let dialog = established.dialog.clone();
            self.acknowledge(Owner::Acknowledge(id), &dialog, sequence, &invite, now);
            if offering == Some(Offering::Asked) {
                let body = sdp_body(&response.headers, &response.body).unwrap_or_default();
                self.tell(id, Event::ReinviteAnswered { body });
            }
            return self.arm(id);
        }
        let offering = established.offering.take();
        established.refreshing = false;
        if offering == Some(Offering::Asked) {
            let status = response.status;
            self.tell(id, Event::ReinviteRefused { status });
        }
        // The peer has forgotten the dialog (section 12.2.1.2).
        if matches!(response.status, 408 | 481) {
            self.lose(id, now);
        }
    }

    fn take_refresh_response(&mut self, id: LegId, response: &Response, now: Instant) {
        if matches!(response.status, 408 | 481) {
            return self.lose(id, now);
        }
        if let Some(leg) = self.legs.get_mut(&id)
            && let State::Established(established) = &mut leg.state
        {
            established.refreshing = false;
            if (200..300).contains(&response.status) {
                established.dialog.refresh_target(&response.headers);
                established.timer = SessionTimer::of_response(&response.headers, now);
            } else {
                // It will be tried as a re-INVITE next, half an interval on.
                established.update_allowed = false;
                if let Some(timer) = &mut established.timer {
                    timer.refused(now);
                }
            }
        }
        self.arm(id);
    }

    /// The peer has forgotten the call or cannot be reached: a last BYE in case it can, and over.
    pub(super) fn lose(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let State::Established(established) = &mut leg.state else {
            return;
        };
        if established.goodbye != Goodbye::Said {
            established.goodbye = Goodbye::Said;
            let request = established.dialog.request(Method::Bye);
            self.send_in_dialog(id, Owner::Nobody, request, false, now);
        }
        self.end(id, EndedBy::TransportLost);
    }

    fn finish_bye(&mut self, id: LegId) {
        if self.legs.contains_key(&id) {
            self.tell(
                id,
                Event::Ended {
                    cause: None,
                    why: EndedBy::Bye,
                },
            );
            self.forget(id);
        }
    }

    /// A request got no final answer (408) or could not be sent (503).
    pub(super) fn fail_outbound(&mut self, outbound: Outbound, status: u16, now: Instant) {
        match outbound.owner {
            Owner::Invite(leg) => self.refuse_locally(leg, status),
            Owner::Bye(leg) => self.finish_bye(leg),
            Owner::Reinvite(leg) => {
                if let Some(held) = self.legs.get_mut(&leg)
                    && let State::Established(established) = &mut held.state
                    && established.offering.take() == Some(Offering::Asked)
                {
                    self.tell(leg, Event::ReinviteRefused { status });
                }
                self.lose(leg, now);
            }
            Owner::Info(leg) | Owner::Refresh(leg) => self.lose(leg, now),
            Owner::Register(id) => self.fail_register(id, status, now),
            Owner::Acknowledge(_) | Owner::Nobody => {}
        }
    }

    /// Our call failed here.
    pub(super) fn refuse_locally(&mut self, id: LegId, status: u16) {
        let waiting = self
            .legs
            .get(&id)
            .is_some_and(|leg| matches!(leg.state, State::Calling(_)));
        if waiting {
            self.tell(
                id,
                Event::Refused {
                    status,
                    reason: reason_phrase(status).to_owned(),
                    cause: None,
                    local: true,
                },
            );
            self.forget(id);
        }
    }
}

/// The ACK for a refusal: same branch, same route, the refusal's To (section 17.1.1.3).
fn acknowledge_refusal(invite: &Request, response: &Response) -> Bytes {
    let mut request = same_branch(invite, Method::Ack);
    request.headers.remove(&Name::TO);
    for value in response.headers.get_raw(&Name::TO) {
        request.headers.insert(Name::TO, value.clone());
    }
    request.write()
}

/// An ACK or CANCEL that belongs to the INVITE's own transaction (sections 9.1 and 17.1.1.3).
pub(super) fn same_branch(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method, invite.uri.clone());
    for name in [
        Name::VIA,
        Name::ROUTE,
        Name::MAX_FORWARDS,
        Name::FROM,
        Name::TO,
        Name::CALL_ID,
    ] {
        for value in invite.headers.get_raw(&name) {
            request.headers.insert(name.clone(), value.clone());
        }
    }
    let sequence = Envelope::read(&invite.headers).map_or(0, |envelope| envelope.sequence);
    request
        .headers
        .insert(Name::CSEQ, format!("{sequence} {}", request.method));
    request
}

fn allows_update(response: &Response) -> bool {
    elements(&response.headers, &Name::ALLOW).contains(&"UPDATE")
}
