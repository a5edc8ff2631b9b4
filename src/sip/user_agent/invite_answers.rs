//! What answers to our INVITE mean: progress, forks, the 2xx and its ACK, refusals.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::flow::Flow;
use super::leg::*;
use super::sending::{Outbound, Owner};
use crate::sip::dialog::Dialog;
use crate::sip::envelope::{Envelope, q850_cause, sdp_body};
use crate::sip::event::{Event, LegId};
use crate::sip::message::{Name, Request, Response, elements, reason_phrase};
use crate::sip::method::Method;
use crate::sip::session_timer::SessionTimer;
use crate::sip::transaction::key::ClientKey;

impl UserAgent {
    pub(super) fn take_invite_response(
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
                let outbound = self.clients.get(key).map(|entry| entry.outbound.clone());
                let sent_on = waiting
                    && outbound.is_some_and(|outbound| self.redirect(id, &outbound, response, now));
                if waiting && !sent_on {
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

    pub(super) fn take_invite_success(
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
    pub(super) fn acknowledge(
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
    pub(super) fn refuse_fork(&mut self, dialog: &Dialog, invite: &Request, now: Instant) {
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

pub(super) fn allows_update(response: &Response) -> bool {
    elements(&response.headers, &Name::ALLOW).contains(&"UPDATE")
}
