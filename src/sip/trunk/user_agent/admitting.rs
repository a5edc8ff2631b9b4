//! What is turned away before anything is made of it: unknown sources, and more calls than we take.
//! Nothing here keeps a transaction, a leg or an event.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Instant;

use super::agent::UserAgent;
use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::Refusal;
use crate::sip::trunk::config::UnknownSources;

impl UserAgent {
    /// Turns a request away that nobody we know sent and that belongs to nothing we hold. `length`
    /// is that of the request on the wire. One that showed a trunk's credentials is not asked here.
    pub(super) fn turned_away(
        &mut self,
        request: &Request,
        envelope: &Envelope,
        flow: Flow,
        source: SocketAddr,
        length: usize,
        now: Instant,
    ) -> bool {
        let known = self.trunk_of(source, &request.uri).is_some();
        if known || self.concerns_us(envelope, &request.method) {
            return false;
        }
        let outside = envelope.to.tag().is_none() && request.method != Method::Cancel;
        self.reject_unknown_source(request, outside, flow, source, length, now);
        true
    }

    /// Puts a request off whose sender may be a trunk: while the names of trunks are looked up for
    /// the first time, nobody can be told an unknown source. One that shows credentials is judged by them.
    pub(super) fn comes_too_early(
        &mut self,
        request: &Request,
        envelope: &Envelope,
        flow: Flow,
        source: SocketAddr,
        length: usize,
        now: Instant,
    ) -> bool {
        if self.resolver.is_ready()
            || request.headers.contains(&Name::AUTHORIZATION)
            || self.trunk_of(source, &request.uri).is_some()
            || self.concerns_us(envelope, &request.method)
        {
            return false;
        }
        self.reject("before_dns_ready", source);
        // Who gets no answer by UDP asks again by itself.
        if self.config.limits.unknown_sources != UnknownSources::Drop || flow.connection.is_some() {
            let refusal = Refusal::with(503, "Retry-After", "1");
            self.refuse_without_state(request, &refusal, flow, length, now);
        }
        true
    }

    /// Turns an INVITE away that would be one call too many.
    pub(super) fn too_many(
        &mut self,
        request: &Request,
        envelope: &Envelope,
        flow: Flow,
        source: SocketAddr,
        length: usize,
        now: Instant,
    ) -> bool {
        if request.method != Method::Invite || envelope.to.tag().is_some() {
            return false;
        }
        let trusted = self.is_trunk_address(source);
        let Err(turned) = self.admission.admit(source.ip(), trusted, now) else {
            return false;
        };
        self.reject(turned.reason(), source);
        let refusal = Refusal {
            header: Some(("Retry-After", "2".to_owned())),
            ..Refusal::plain(503)
        };
        self.refuse_without_state(request, &refusal, flow, length, now);
        true
    }

    /// True when a request names a dialog or an INVITE that we hold: a peer whose call we have
    /// may send from another address than the one that called.
    fn concerns_us(&self, envelope: &Envelope, method: &Method) -> bool {
        if *method == Method::Cancel {
            return self.transactions.has_invite_of(envelope);
        }
        self.legs.of_request(envelope).is_some()
    }

    fn reject_unknown_source(
        &mut self,
        request: &Request,
        outside: bool,
        flow: Flow,
        source: SocketAddr,
        length: usize,
        now: Instant,
    ) {
        self.reject("unknown_source", source);
        if self.config.limits.unknown_sources == UnknownSources::Drop {
            return;
        }
        let status = if outside { 403 } else { 481 };
        self.refuse_without_state(request, &Refusal::plain(status), flow, length, now);
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
        let source = flow.remote;
        let forgeable = flow.connection.is_none() && !self.is_trunk_address(source);
        if forgeable && !self.admission.answers_unknown_source(source.ip(), now) {
            return self.reject("unknown_source_rate", source);
        }
        let tag = self.stateless_tag(request);
        let response = Self::refusal_response(request, refusal, &tag);
        let mut bytes = self.write_response(&response);
        if forgeable && bytes.len() > length {
            // Server is the one header that the RFC does not ask for.
            bytes = response.write();
        }
        if forgeable && bytes.len() > length {
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
