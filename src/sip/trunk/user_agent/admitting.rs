//! What is turned away before anything is made of it: unknown sources, and more calls than we take.
//! Nothing here keeps a transaction, a leg or an event.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use super::agent::UserAgent;
use super::incoming_request::IncomingRequest;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::Refusal;
use crate::sip::trunk::config::UnknownSources;

impl UserAgent {
    /// Turns a request away that nobody we know sent and that belongs to nothing we hold. One that
    /// showed a trunk's credentials is not asked here.
    pub(super) fn turned_away(&mut self, incoming: &IncomingRequest, now: Instant) -> bool {
        if incoming.origin.is_some() || self.concerns_us(incoming) {
            return false;
        }
        self.reject("unknown_source", incoming.source);
        if self.config.limits.unknown_sources != UnknownSources::Drop {
            let status = if incoming.is_outside_dialogs() {
                403
            } else {
                481
            };
            self.refuse_incoming(incoming, &Refusal::plain(status), now);
        }
        true
    }

    /// Puts a request off whose sender may be a trunk: while the names of trunks are looked up for
    /// the first time, nobody can be told an unknown source. One that shows credentials is judged by them.
    pub(super) fn comes_too_early(&mut self, incoming: &IncomingRequest, now: Instant) -> bool {
        if self.resolver.is_ready()
            || incoming.request.headers.contains(&Name::AUTHORIZATION)
            || incoming.origin.is_some()
            || self.concerns_us(incoming)
        {
            return false;
        }
        self.reject("before_dns_ready", incoming.source);
        // Who gets no answer by UDP asks again by itself.
        let drops = self.config.limits.unknown_sources == UnknownSources::Drop;
        if !drops || incoming.flow.connection.is_some() {
            let refusal = Refusal::with(503, "Retry-After", "1");
            self.refuse_incoming(incoming, &refusal, now);
        }
        true
    }

    /// Turns an INVITE away that would be one call too many.
    pub(super) fn too_many(&mut self, incoming: &IncomingRequest, now: Instant) -> bool {
        if !incoming.begins_call() {
            return false;
        }
        let (source, trusted) = (incoming.source, incoming.source_trunk.is_some());
        let Err(turned) = self.admission.admit(source.ip(), trusted, now) else {
            return false;
        };
        self.reject(turned.reason(), source);
        let refusal = Refusal::with(503, "Retry-After", "2");
        self.refuse_incoming(incoming, &refusal, now);
        true
    }

    /// True when a request names a dialog or an INVITE that we hold: a peer whose call we have
    /// may send from another address than the one that called.
    fn concerns_us(&self, incoming: &IncomingRequest) -> bool {
        let envelope = &incoming.envelope;
        match incoming.request.method {
            Method::Cancel => self.transactions.has_invite_of(envelope),
            _ => self.legs.of_request(envelope).is_some(),
        }
    }

    /// Answers a request without keeping anything.
    pub(super) fn refuse_incoming(
        &mut self,
        incoming: &IncomingRequest,
        refusal: &Refusal,
        now: Instant,
    ) {
        let flow = incoming.flow;
        let forgeable = flow.connection.is_none() && incoming.source_trunk.is_none();
        let limit = forgeable.then_some(incoming.length);
        self.send_refusal(&incoming.request, refusal, flow, limit, now);
    }

    /// Answers without keeping anything (section 8.2.7): malformed requests, overload, unknown sources.
    ///
    /// An unknown source's UDP address may be forged, so that the answer hits somebody else: it gets few
    /// answers, and none that is longer than what was asked.
    pub(super) fn refuse_without_state(
        &mut self,
        request: &Request,
        refusal: &Refusal,
        flow: Flow,
        length: usize,
        now: Instant,
    ) {
        let forgeable = flow.connection.is_none() && !self.is_trunk_address(flow.remote);
        self.send_refusal(request, refusal, flow, forgeable.then_some(length), now);
    }

    /// Sends an answer without state; with a limit on its octets where the source may be forged.
    fn send_refusal(
        &mut self,
        request: &Request,
        refusal: &Refusal,
        flow: Flow,
        limit: Option<usize>,
        now: Instant,
    ) {
        let source = flow.remote;
        if limit.is_some() && !self.admission.answers_unknown_source(source.ip(), now) {
            return self.reject("unknown_source_rate", source);
        }
        let tag = self.stateless_tag(request);
        let response = Self::refusal_response(request, refusal, &tag);
        let mut bytes = self.write_response(&response);
        if limit.is_some_and(|limit| bytes.len() > limit) {
            // Server is the one header that the RFC does not ask for.
            bytes = response.write();
        }
        if limit.is_some_and(|limit| bytes.len() > limit) {
            return self.reject("reflection", source);
        }
        self.transmit(flow, bytes, None);
    }

    /// The To tag of an answer that is not remembered: the same for the same request (section
    /// 8.2.7), and not to be guessed from it.
    fn stateless_tag(&self, request: &Request) -> String {
        let mut hasher = DefaultHasher::new();
        self.stateless_secret.hash(&mut hasher);
        for name in [Name::VIA, Name::FROM, Name::CALL_ID, Name::CSEQ] {
            for value in request.headers.get_raw(&name).take(1) {
                value.as_str().hash(&mut hasher);
            }
        }
        format!("{:016x}", hasher.finish())
    }
}
