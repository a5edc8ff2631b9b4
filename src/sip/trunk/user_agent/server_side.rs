//! Requests that arrive: matched to their transaction, screened, and given to a dialog or made
//! into a new leg.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::in_dialog::cancelled_by;
use super::incoming_request::{IncomingRequest, Origin};
use super::leg::State;
use super::response_destination::response_destination;
use super::server_context::ServerContext;
use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request, Response};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::{Refusal, SUPPORTED_VALUE, screen};
use crate::sip::stack::transaction::Arrival;
use crate::sip::stack::transaction::key::ServerKey;

impl UserAgent {
    pub(super) fn handle_request(
        &mut self,
        request: Request,
        envelope: Envelope,
        flow: Flow,
        source: SocketAddr,
        length: usize,
        now: Instant,
    ) {
        if request.method == Method::Ack {
            return self.handle_ack(&request, &envelope, source, now);
        }
        let arrival = self.transactions.receive(&envelope, now);
        if let Arrival::Repeated(key) = arrival {
            self.run_server(&key);
            return;
        }
        let Arrival::New(key) = arrival else {
            self.reject("branch_reused", source);
            let refusal = Refusal {
                reason: Some("Branch Reused".to_owned()),
                ..Refusal::plain(400)
            };
            return self.refuse_without_state(&request, &refusal, flow, length, now);
        };
        let source_trunk = self.trunk_at(source);
        let origin = self.origin_of(source_trunk, source, &request.uri);
        let incoming = IncomingRequest {
            key,
            request,
            envelope,
            flow,
            source,
            length,
            source_trunk,
            origin,
        };
        if let Some(admitted) = self.admit(incoming, now) {
            self.begin_server(admitted, now);
        }
    }

    /// Lets a request in that may have a transaction; what may not is answered here without one.
    fn admit(&mut self, mut incoming: IncomingRequest, now: Instant) -> Option<IncomingRequest> {
        if self.transactions.len() >= self.config.limits.transactions {
            self.reject("overload", incoming.source);
            let refusal = Refusal::with(503, "Retry-After", "5");
            self.refuse_incoming(&incoming, &refusal, now);
            return None;
        }
        if self.comes_too_early(&incoming, now) {
            return None;
        }
        match self.authenticate(&incoming, now).ok()? {
            // Credentials say as much as an address.
            Some(proven) => incoming.origin = Some(Origin::verified(proven)),
            None if self.turned_away(&incoming, now) => return None,
            None => {}
        }
        (!self.too_many(&incoming, now)).then_some(incoming)
    }

    fn begin_server(&mut self, incoming: IncomingRequest, now: Instant) {
        let (key, method) = (incoming.key, &incoming.request.method);
        let context = ServerContext {
            leg: None,
            response_destination: response_destination(&incoming),
        };
        let (envelope, flow) = (&incoming.envelope, incoming.flow);
        let transactions = &mut self.transactions;
        let merged = transactions.begin_server(key, method, envelope, flow, context);
        let screened = match screen(&incoming.request, envelope) {
            Ok(()) if merged => Err(Refusal::plain(482)),
            screened => screened,
        };
        let (request, source) = (&incoming.request, incoming.source);
        if let Err(refusal) = screened {
            self.reject(refusal.label(), source);
            tracing::debug!(%source, status = refusal.status, method = %request.method, "sip request refused");
            return self.respond_refusal(&key, request, &refusal, now);
        }
        if request.method == Method::Cancel {
            return self.handle_cancel(&incoming, now);
        }
        let in_dialog = incoming.envelope.to.tag().is_some();
        match (self.legs.of_request(&incoming.envelope), &request.method) {
            (Some(leg), _) => self.handle_in_dialog(leg, incoming, now),
            (None, Method::Invite) if !in_dialog => self.handle_invite(incoming, now),
            (None, Method::Message) if !in_dialog => self.take_message(incoming, now),
            (None, Method::Options) if !in_dialog => self.answer_options(&key, request, now),
            (None, _) => {
                self.reject("no_dialog", source);
                self.respond_refusal(&key, request, &Refusal::plain(481), now);
            }
        }
    }

    fn handle_cancel(&mut self, incoming: &IncomingRequest, now: Instant) {
        let (key, request) = (&incoming.key, &incoming.request);
        let Some((invite, entry)) = self.transactions.cancelled_invite(&incoming.envelope) else {
            self.reject("no_transaction", incoming.flow.remote);
            return self.respond_refusal(key, request, &Refusal::plain(481), now);
        };
        let leg = entry.user.leg;
        let tag = leg
            .and_then(|leg| self.legs.get(&leg))
            .map(|leg| leg.local_tag.clone());
        let response = request.respond(200, None, tag.as_deref());
        self.respond(key, &response, now);
        // After the final answer a CANCEL has no effect (section 9.2).
        let Some(id) = leg else {
            return;
        };
        match self.legs.get(&id).map(|leg| &leg.state) {
            Some(State::Ringing(ringing)) => {
                let response = ringing.request.respond(487, None, tag.as_deref());
                self.respond(&invite, &response, now);
                self.notify_owner(id, cancelled_by(request));
                self.forget(id, now);
            }
            Some(State::Established(established))
                if established
                    .pending
                    .as_ref()
                    .is_some_and(|pending| pending.server == invite) =>
            {
                let refused = self.refuse_reinvite(id, 487, None, now);
                debug_assert!(refused.is_ok(), "the re-INVITE waits for an answer");
            }
            _ => {}
        }
    }

    pub(super) fn answer_options(&mut self, key: &ServerKey, request: &Request, now: Instant) {
        let tag = self.token(8);
        let mut response = request.respond(200, None, Some(&tag));
        let headers = &mut response.headers;
        headers.insert(Name::ALLOW, Method::ALLOW);
        headers.insert(Name::ACCEPT, "application/sdp, text/plain");
        headers.insert(Name::ACCEPT_ENCODING, "identity");
        headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
        self.respond(key, &response, now);
    }

    /// Answers within a transaction.
    pub(super) fn respond(&mut self, key: &ServerKey, response: &Response, now: Instant) -> Bytes {
        let bytes = self.write_response(response);
        self.find_response_destination(key, now);
        let transactions = &mut self.transactions;
        transactions.respond(key, response.status, bytes.clone(), now);
        self.run_server(key);
        bytes
    }

    pub(super) fn respond_refusal(
        &mut self,
        key: &ServerKey,
        request: &Request,
        refusal: &Refusal,
        now: Instant,
    ) {
        let tag = self.token(8);
        let response = Self::refusal_response(request, refusal, &tag);
        self.respond(key, &response, now);
    }

    pub(super) fn refusal_response(request: &Request, refusal: &Refusal, tag: &str) -> Response {
        let mut response = request.respond(refusal.status, refusal.reason.as_deref(), Some(tag));
        if let Some((name, value)) = &refusal.header {
            response.headers.insert(Name::from(*name), value.clone());
        }
        response
    }

    pub(super) fn write_response(&self, response: &Response) -> Bytes {
        response.write_by(&self.config.user_agent)
    }

    /// Carries out what a server transaction asks for. Returns whether an ACK goes up.
    pub(super) fn run_server(&mut self, key: &ServerKey) -> bool {
        let Some(output) = self.transactions.poll_server(key) else {
            return false;
        };
        for bytes in output.transmits {
            self.transmit(output.flow, bytes, None);
        }
        output.deliver
    }

    pub(super) fn handle_server_timeout(&mut self, key: &ServerKey, now: Instant) {
        self.transactions.handle_server_timeout(key, now);
        self.run_server(key);
    }
}
