//! Who may begin something: digest authentication of requests outside dialogs from trunks that
//! must prove who they are (RFC 3261 section 22.1, RFC 8760).

use std::time::Instant;

use super::agent::UserAgent;
use super::incoming_request::IncomingRequest;
use crate::sip::stack::digest::{Answer, Subject, Verdict};
use crate::sip::stack::message::Name;
use crate::sip::trunk::config::Trunk;

/// Authorization headers of one request that are looked at.
const LOOKED_AT: usize = 2;

/// The request was answered here.
#[derive(Debug)]
pub struct Answered;

impl UserAgent {
    /// Gives the trunk that a request has proved to come from, or nothing where nothing is asked
    /// of it. Otherwise it was challenged, and no state is held for it.
    pub(super) fn authenticate(
        &mut self,
        incoming: &IncomingRequest,
        now: Instant,
    ) -> Result<Option<usize>, Answered> {
        let (request, envelope) = (&incoming.request, &incoming.envelope);
        let begins = matches!(
            request.method.as_str(),
            "INVITE" | "MESSAGE" | "REFER" | "SUBSCRIBE" | "NOTIFY" | "PUBLISH"
        );
        if !begins
            || envelope.to.tag().is_some()
            || !self
                .config
                .trunks
                .iter()
                .any(|trunk| trunk.inbound.is_some())
        {
            return Ok(None);
        }
        let by_source = incoming.trunk();
        let answers: Vec<Answer> = request
            .headers
            .get_raw(&Name::AUTHORIZATION)
            .take(LOOKED_AT)
            .filter_map(|value| Answer::read(value))
            .collect();
        // The trunk whose answer it must be; for a source that is nobody's, the realm says it.
        let guarded = match by_source {
            Some(index) if self.config.trunks[index].inbound.is_some() => Some(index),
            Some(_) => None,
            None => self.named_trunk(&answers, incoming),
        };
        let named = guarded.or_else(|| self.answering_trunk(&answers));
        let Some(index) = named else {
            return Ok(None);
        };
        let realm = self.config.trunks[index].domain.clone();
        let subject = Subject {
            method: request.method.as_str(),
            uri: &request.uri,
            body: &request.body,
        };
        let (mut stale, mut wrong) = (false, false);
        for answer in answers.iter().filter(|answer| answer.realm == realm) {
            let inbound = self.config.trunks[index].inbound.as_ref();
            let expected = inbound.filter(|own| own.username == answer.username);
            match self.verifier.check(answer, expected, subject, now) {
                Verdict::Right => return Ok(Some(index)),
                Verdict::Stale => stale = true,
                Verdict::Wrong => wrong = true,
            }
        }
        if guarded.is_none() {
            // Its source is enough for the trunk that it comes from.
            return Ok(None);
        }
        let reason = if wrong { "credentials" } else { "challenged" };
        self.reject(reason, incoming.source);
        self.challenge(incoming, &realm, stale, now);
        Err(Answered)
    }

    /// The guarded trunk that a request from nowhere we know is asked about: the one that its
    /// answer, its From or its request URI names, else the first.
    fn named_trunk(&self, answers: &[Answer], incoming: &IncomingRequest) -> Option<usize> {
        let (request, envelope) = (&incoming.request, &incoming.envelope);
        let guarded = |named: &dyn Fn(&Trunk) -> bool| {
            let trunks = &self.config.trunks;
            trunks
                .iter()
                .position(|trunk| trunk.inbound.is_some() && named(trunk))
        };
        let has_host = |uri: &str, domain: &str| {
            let host = uri.split_once('@').map_or(uri, |(_, host)| host);
            host.split([';', '?', '>']).next() == Some(domain)
        };
        self.answering_trunk(answers)
            .or_else(|| guarded(&|trunk| answers.iter().any(|a| a.realm == trunk.domain)))
            .or_else(|| guarded(&|trunk| has_host(&envelope.from.uri, &trunk.domain)))
            .or_else(|| guarded(&|trunk| has_host(&request.uri, &trunk.domain)))
            .or_else(|| guarded(&|_| true))
    }

    /// The guarded trunk whose realm and user an answer names.
    fn answering_trunk(&self, answers: &[Answer]) -> Option<usize> {
        self.config.trunks.iter().position(|trunk| {
            trunk.inbound.as_ref().is_some_and(|inbound| {
                answers
                    .iter()
                    .any(|a| a.realm == trunk.domain && a.username == inbound.username)
            })
        })
    }

    fn challenge(&mut self, incoming: &IncomingRequest, realm: &str, stale: bool, now: Instant) {
        let (request, envelope) = (&incoming.request, &incoming.envelope);
        let (known, flow) = (incoming.origin.is_some(), incoming.flow);
        let identity = format!("{} {}", envelope.call_id, envelope.branch);
        let tag = self.verifier.tag(&identity);
        let mut response = request.respond(401, None, Some(&tag));
        for value in self.verifier.challenge(realm, stale, now) {
            response.headers.insert(Name::WWW_AUTHENTICATE, value);
        }
        let bytes = response.write();
        // A forged source must not be sent more than the forger paid for.
        if !known && !flow.transport.is_reliable() && bytes.len() > request.write().len() {
            return self.reject("reflection", flow.remote);
        }
        self.transmit(flow, bytes, None);
    }
}
