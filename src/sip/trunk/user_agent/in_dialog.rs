//! Requests inside a dialog (RFC 3261 section 12.2.2): ACK, BYE, re-INVITE, UPDATE, INFO, OPTIONS.

use std::net::SocketAddr;
use std::time::Instant;

use super::agent::UserAgent;
use super::incoming_request::IncomingRequest;
use super::leg::{State, Termination};
use crate::sip::stack::envelope::{Envelope, q850_cause, sdp_body};
use crate::sip::stack::message::Request;
use crate::sip::stack::method::Method;
use crate::sip::stack::reason;
use crate::sip::stack::screening::Refusal;
use crate::sip::stack::transaction::key::ServerKey;
use crate::sip::trunk::event::{EndedBy, Event, LegId};

impl UserAgent {
    /// An ACK is never answered: it confirms a refusal in its transaction or a 2xx in its dialog.
    pub(super) fn handle_ack(
        &mut self,
        request: &Request,
        envelope: &Envelope,
        source: SocketAddr,
        now: Instant,
    ) {
        let invite = self.transactions.handle_acknowledgement(envelope, now);
        if let Some(key) = invite
            && !self.run_server(&key)
        {
            return;
        }
        let Some(id) = self.legs.of_request(envelope) else {
            return self.reject("stray_ack", source);
        };
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return self.reject("stray_ack", source);
        };
        let ours = established
            .unacknowledged
            .as_ref()
            .is_some_and(|waiting| waiting.sequence == envelope.sequence);
        if !ours {
            // The ACK of a 2xx that was sent twice comes twice.
            return;
        }
        established.unacknowledged = None;
        let termination = established.termination;
        let body = sdp_body(&request.headers, &request.body);
        self.notify_owner(id, Event::Confirmed { body });
        if let Termination::AfterAcknowledgement(cause) = termination {
            self.send_bye(id, cause, now);
        }
        self.arm(id);
    }

    pub(super) fn handle_in_dialog(&mut self, id: LegId, incoming: IncomingRequest, now: Instant) {
        let (key, request) = (&incoming.key, &incoming.request);
        let Some(leg) = self.legs.get_mut(&id) else {
            return self.respond_refusal(key, request, &Refusal::plain(481), now);
        };
        let tag = incoming.envelope.from.tag().unwrap_or("");
        let Some(dialog) = leg.dialog_with(tag) else {
            return self.respond_refusal(key, request, &Refusal::plain(481), now);
        };
        if !dialog.accept_sequence(incoming.envelope.sequence) {
            return self.respond_refusal(key, request, &Refusal::plain(500), now);
        }
        dialog.last_flow = Some(incoming.flow);
        match request.method {
            Method::Bye => self.take_bye(id, key, request, tag, now),
            Method::Invite | Method::Update => self.take_offer(id, incoming, now),
            Method::Prack => self.take_prack(id, incoming, now),
            Method::Info => self.take_info(id, key, request, now),
            Method::Refer => self.take_refer(id, &incoming, now),
            Method::Message => self.take_dialog_message(id, &incoming, now),
            Method::Notify => self.take_notify(id, key, request, now),
            Method::Options => self.answer_options(key, request, now),
            _ => self.respond_refusal(key, request, &Refusal::plain(481), now),
        }
    }

    fn take_bye(&mut self, id: LegId, key: &ServerKey, request: &Request, tag: &str, now: Instant) {
        let response = request.respond(200, None, None);
        self.respond(key, &response, now);
        let cause = q850_cause(&request.headers);
        let elsewhere = reason::ended_elsewhere(&request.headers);
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        match &leg.state {
            State::Ringing(ringing) => {
                // A caller may end an early dialog by BYE (section 15): its INVITE ends too.
                let (invite, tag) = (ringing.server, leg.local_tag.clone());
                let response = ringing.request.respond(487, None, Some(&tag));
                self.respond(&invite, &response, now);
                self.notify_owner(id, cancelled_by(request));
            }
            // The called side may not do that before its answer (section 15); its fork is over.
            State::Calling(_) => return self.end_fork(id, tag, now),
            State::Established(_) => {
                let why = match leg.transfers.is_given_away(now) {
                    true => EndedBy::GivenAway,
                    false if elsewhere => EndedBy::AnsweredElsewhere,
                    false => EndedBy::Bye,
                };
                // They do not wait for the outcome of their REFER. Its subscription would outlive the
                // call (RFC 5057 section 4.1): it ends with what is known.
                self.notify_referrer(id, 100, true, now);
                self.notify_owner(id, Event::Ended { cause, why });
            }
        }
        self.forget(id, now);
    }
}

/// What a CANCEL, or a BYE before the answer, means for the owner.
pub(super) fn cancelled_by(request: &Request) -> Event {
    match reason::cancelled_elsewhere(&request.headers) {
        true => Event::AnsweredElsewhere,
        false => Event::Cancelled,
    }
}
