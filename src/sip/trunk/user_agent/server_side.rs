//! Requests that arrive: matched to their transaction, screened, and given to a dialog or made
//! into a new leg.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::agent::UserAgent;
use super::in_dialog::cancelled_by;
use super::leg::{Leg, Reliable, Reliably, Ringing, State};
use super::refreshing::screen_timer;
use super::server_context::ServerContext;
use super::tokens::random_token;
use crate::sip::stack::address::user_of;
use crate::sip::stack::dialog::Dialog;
use crate::sip::stack::dialog_rules::DialogRules;
use crate::sip::stack::digest::Authorizer;
use crate::sip::stack::envelope::{Envelope, sdp_body};
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request, Response, header};
use crate::sip::stack::method::Method;
use crate::sip::stack::number::number_of;
use crate::sip::stack::screening::{Refusal, SUPPORTED_VALUE, screen};
use crate::sip::stack::transaction::Arrival;
use crate::sip::stack::transaction::key::ServerKey;
use crate::sip::trunk::called::CalledNumber;
use crate::sip::trunk::config::Trunk;
use crate::sip::trunk::event::{Event, Incoming};
use crate::sip::trunk::identity;
use crate::sip::trunk::network_headers::NetworkHeaders;

impl UserAgent {
    pub(super) fn handle_request(
        &mut self,
        request: Request,
        envelope: &Envelope,
        flow: Flow,
        source: SocketAddr,
        length: usize,
        now: Instant,
    ) {
        if request.method == Method::Ack {
            return self.handle_ack(&request, envelope, source, now);
        }
        let key = match self.transactions.receive(envelope, now) {
            Arrival::New(key) => key,
            Arrival::Repeated(key) => {
                self.run_server(&key);
                return;
            }
            Arrival::BranchReused => {
                self.reject("branch_reused", source);
                let refusal = Refusal {
                    reason: Some("Branch Reused".to_owned()),
                    ..Refusal::plain(400)
                };
                return self.refuse_without_state(&request, &refusal, flow, length, now);
            }
        };
        if self.transactions.len() >= self.config.limits.transactions {
            self.reject("overload", source);
            let refusal = Refusal {
                header: Some(("Retry-After", "5".to_owned())),
                ..Refusal::plain(503)
            };
            return self.refuse_without_state(&request, &refusal, flow, length, now);
        }
        if self.comes_too_early(&request, envelope, flow, source, length, now) {
            return;
        }
        let Ok(entrance) = self.authenticate(&request, envelope, flow, source, now) else {
            return;
        };
        // Credentials say as much as an address.
        if entrance.is_none() && self.turned_away(&request, envelope, flow, source, length, now) {
            return;
        }
        if self.too_many(&request, envelope, flow, source, length, now) {
            return;
        }
        let context = ServerContext {
            leg: None,
            trunk: entrance,
            response_destination: self.response_destination(envelope, flow, source),
        };
        let transactions = &mut self.transactions;
        let merged = transactions.begin_server(key, &request.method, envelope, flow, context);
        let screened = match screen(&request, envelope) {
            Ok(()) if merged => Err(Refusal::plain(482)),
            screened => screened,
        };
        if let Err(refusal) = screened {
            self.reject(rejection(refusal.status), source);
            tracing::debug!(%source, status = refusal.status, method = %request.method, "sip request refused");
            return self.respond_refusal(&key, &request, &refusal, now);
        }
        if request.method == Method::Cancel {
            return self.handle_cancel(&key, &request, envelope, now);
        }
        match envelope.to.tag() {
            Some(_) => match self.legs.of_request(envelope) {
                Some(leg) => self.handle_in_dialog(leg, &key, request, envelope, flow, now),
                None => {
                    self.reject("no_dialog", source);
                    self.respond_refusal(&key, &request, &Refusal::plain(481), now);
                }
            },
            None => match request.method {
                Method::Invite => self.handle_invite(key, request, envelope, flow, source, now),
                Method::Message => self.take_message(key, request, envelope, source, now),
                Method::Options => self.answer_options(&key, &request, now),
                _ => {
                    self.reject("no_dialog", source);
                    self.respond_refusal(&key, &request, &Refusal::plain(481), now);
                }
            },
        }
    }

    /// The trunk that a request proved by digest that it is from.
    pub(super) fn proven_trunk(&self, key: &ServerKey) -> Option<usize> {
        self.transactions.server(key)?.user.trunk
    }

    fn handle_invite(
        &mut self,
        key: ServerKey,
        request: Request,
        envelope: &Envelope,
        flow: Flow,
        source: SocketAddr,
        now: Instant,
    ) {
        if self.legs.len() >= self.config.limits.legs {
            self.reject("overload", source);
            let refusal = Refusal {
                header: Some(("Retry-After", "5".to_owned())),
                ..Refusal::plain(503)
            };
            return self.respond_refusal(&key, &request, &refusal, now);
        }
        let proven = self.proven_trunk(&key);
        let origin = self.origin_of(proven, source, &request.uri);
        let trunk = origin.map(|origin| origin.trunk);
        let verified = origin.filter(|origin| origin.verified);
        let rules = trunk.map_or(DialogRules::default(), |index| {
            self.config.trunks[index].dialogs
        });
        let first = (self.chance() * f64::from(1 << 20)) as u32;
        let screened = screen_timer(&request.headers, &rules)
            .and_then(|()| Reliable::of_invite(&request, rules.prack, first));
        let reliable = match screened {
            Ok(reliable) => reliable,
            Err(refusal) => {
                self.reject(rejection(refusal.status), source);
                return self.respond_refusal(&key, &request, &refusal, now);
            }
        };
        let replaced = match self.replaced_leg(&request, verified.map(|origin| origin.trunk)) {
            Ok(replaced) => replaced,
            Err(status) => {
                self.reject("replaces", source);
                return self.respond_refusal(&key, &request, &Refusal::plain(status), now);
            }
        };
        let trying = request.respond(100, None, None);
        self.respond(&key, &trying, now);

        let registration = self.registrations.called(&request.uri, trunk);
        let account = registration.and_then(|entry| entry.account.clone());
        let trunk_config: Option<&Trunk> = trunk.map(|index| &self.config.trunks[index]);
        // What only the trunk itself may say and have.
        let policy = trunk_config
            .filter(|_| verified.is_some())
            .map(|trunk| &trunk.identity);
        let caller = identity::caller(policy, &envelope.from, &request.headers);
        let headers = policy.map_or(Vec::new(), |policy| identity::passed(policy, &request));
        let diverted = policy.and_then(|_| identity::diversion(&request.headers));
        let trunk_name = trunk_config.map(|trunk| trunk.name.clone());
        let credentials = match registration {
            _ if verified.is_none() => None,
            Some(entry) => entry.credentials.clone(),
            None => trunk_config.and_then(|trunk| trunk.credentials.clone()),
        };
        // In the dialog we stay who we registered as.
        let contact_user = registration.map(|entry| entry.contact_user.clone());
        let requested = self.requested(&request.uri, trunk);
        let by = policy.map_or(CalledNumber::default(), |policy| policy.network.called);
        let own = registration.is_some_and(|entry| entry.account.is_none());
        let (to, headers_of) = (&envelope.to.uri, &request.headers);
        let called = crate::sip::trunk::called::called(by, requested.clone(), own, to, headers_of);
        let icid = || random_token(&mut self.random, 16);
        let network =
            policy.map(|policy| NetworkHeaders::of_incoming(policy, &request.headers, icid));
        let id = self.legs.next_id();
        let local_tag = self.token(8);
        let incoming = Incoming {
            leg: id,
            trunk: trunk_name,
            request_user: called.number,
            otherwise: called.otherwise,
            account,
            to_user: user_of(&envelope.to.uri),
            from_user: caller.user,
            from_name: caller.name,
            diverted,
            headers,
            call_id: envelope.call_id.to_string(),
            source,
            body: sdp_body(&request.headers, &request.body),
            reliable: reliable.when == Reliably::Always,
        };
        if let Some(entry) = self.transactions.server_mut(&key) {
            entry.user.leg = Some(id);
        }
        let dialog = Dialog::of_callee(&request, envelope, &local_tag, flow);
        let expires_at = expiry(&request).map(|seconds| now + seconds);
        let state = State::Ringing(Box::new(Ringing {
            server: key,
            request,
            dialog,
            flow,
            progress: None,
            reliable,
            asked: None,
            expires_at,
        }));
        let user = contact_user.unwrap_or_else(|| requested.into());
        let call_id = envelope.call_id.to_string();
        self.legs.insert(Leg {
            trunk,
            verified: verified.is_some(),
            authorizer: credentials.map(Authorizer::new),
            network: network.unwrap_or_default().of_dialog(),
            rules,
            ..Leg::new(id, call_id, local_tag, user, state)
        });
        self.arm(id);
        match replaced {
            Some(old) => self.tell(
                old,
                Event::Replaced {
                    by: id,
                    from: incoming.from_user,
                    call_id: incoming.call_id,
                    body: incoming.body,
                },
            ),
            None => self.emit_incoming(incoming),
        }
    }

    /// What a request URI says who is called: of a Contact that we registered the registered user.
    pub(super) fn requested(&self, uri: &str, trunk: Option<usize>) -> String {
        match self.registrations.called(uri, trunk) {
            Some(entry) => entry.user.clone(),
            None => number_of(uri),
        }
    }

    fn handle_cancel(
        &mut self,
        key: &ServerKey,
        request: &Request,
        envelope: &Envelope,
        now: Instant,
    ) {
        let Some((invite, entry)) = self.transactions.cancelled_invite(envelope) else {
            if let Some(source) = self.transactions.server(key).map(|entry| entry.flow.remote) {
                self.reject("no_transaction", source);
            }
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
                self.tell(id, cancelled_by(request));
                self.forget(id, now);
            }
            Some(State::Established(established))
                if established
                    .asked
                    .as_ref()
                    .is_some_and(|asked| asked.server == invite) =>
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
        self.find_way_back(key, now);
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

/// How long their INVITE may wait for its final answer (RFC 3261 section 13.3.1, step 1); what is
/// no number is ignored.
fn expiry(invite: &Request) -> Option<Duration> {
    let seconds: u32 = header(&invite.headers, &Name::EXPIRES)?.parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// Counter label of a refusal by form.
const fn rejection(status: u16) -> &'static str {
    match status {
        405 => "method_not_allowed",
        415 => "media_type",
        416 => "uri_scheme",
        420 | 421 => "extension",
        422 => "session_interval",
        482 => "merged",
        483 => "max_forwards",
        501 => "method_unknown",
        _ => "bad_request",
    }
}
