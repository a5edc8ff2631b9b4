//! REGISTER requests and their answers (RFC 3261 section 10.2, RFC 3327, RFC 3608, RFC 5626).

use std::time::{Duration, Instant};

use super::agent::UserAgent;
use super::outbound::Outbound;
use super::owner::Owner;
use super::registrations::{IN_FLIGHT, RegistrationId};
use super::targets::put_routes;
use super::timer_key::Wake;
use super::tokens::random_token;
use super::user_agent_event::UserAgentEvent;
use crate::sip::stack::address::Address;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request, Response, elements, header};
use crate::sip::stack::method::Method;
use crate::sip::stack::next_hop::is_route;
use crate::sip::trunk::config::Registered;
use crate::sip::trunk::network_headers::{NetworkHeaders, wants_security_agreement};
use crate::sip::trunk::registration::{Outcome, Registering};

/// How long the account of a user who has gone stays registered: a page that is loaded anew, or
/// changes its network, loses no call.
const GRACE: Duration = Duration::from_secs(30);

/// Most routes taken from one answer.
const ROUTES: usize = 16;
/// Most associated URIs taken from one answer, and the most bytes of each.
const ASSOCIATED: usize = 16;
const LONGEST_ASSOCIATED: usize = 256;

impl UserAgent {
    pub(super) fn start_registrations(&mut self, now: Instant) {
        for id in self.registrations_that_are(Registered::Always) {
            self.change_registration(id, now, Registering::start);
        }
    }

    pub(super) fn stop_registrations(&mut self, now: Instant) {
        let all: Vec<RegistrationId> = self.registrations.iter().map(|(id, _)| id).collect();
        for id in all {
            self.change_registration(id, now, Registering::stop);
        }
    }

    /// Takes the news that `user` is there (has a page signed in) or has gone.
    pub fn handle_presence(&mut self, user: &str, present: bool, now: Instant) {
        for id in self.registrations.of_present(user) {
            self.change_registration(id, now, |machine| {
                if present {
                    machine.start();
                } else {
                    machine.release(now + GRACE);
                }
            });
        }
    }

    pub(super) fn handle_registration_timeout(&mut self, id: RegistrationId, now: Instant) {
        self.change_registration(id, now, |machine| machine.handle_timeout(now));
    }

    pub(super) fn take_register_response(
        &mut self,
        id: RegistrationId,
        response: &Response,
        now: Instant,
    ) {
        let Some(entry) = self.registrations.get_mut(id) else {
            return;
        };
        let headers = &response.headers;
        let seconds = |name: Name| {
            let value = header(headers, &name)?;
            // Retry-After may carry a comment and parameters.
            let digits = value.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        // An edge that cannot do Outbound (RFC 5626 section 6): once more without.
        let without_outbound = response.status == 439 && entry.instance.take().is_some();
        if (200..300).contains(&response.status) {
            entry.service_route = elements(headers, &Name::SERVICE_ROUTE)
                .into_iter()
                .take(ROUTES)
                .filter_map(|route| Address::parse(route).ok())
                .filter(|route| is_route(&route.uri))
                .map(|route| route.uri)
                .collect();
            entry.associated = elements(headers, &Name::from("P-Associated-URI"))
                .into_iter()
                .take(ASSOCIATED)
                .filter_map(|element| Address::parse(element).ok())
                .map(|address| address.uri)
                .filter(|uri| uri.len() <= LONGEST_ASSOCIATED)
                .collect();
        }
        if wants_security_agreement(response) {
            let trunk = &self.config.trunks[entry.trunk].name;
            tracing::error!(%trunk, status = response.status,
                "sip registrar demands Security-Agreement (RFC 3329), which is out of scope");
        }
        let outcome = Outcome {
            status: response.status,
            granted: entry
                .contact_user
                .granted(headers)
                .or_else(|| seconds(Name::EXPIRES)),
            minimum: seconds(Name::MIN_EXPIRES),
            retry_after: seconds(Name::RETRY_AFTER),
        };
        self.finish_register(id);
        let spread = self.chance();
        self.change_registration(id, now, |machine| {
            if without_outbound {
                machine.again();
            } else {
                machine.handle(outcome, spread, now);
            }
        });
    }

    /// Takes by which way a REGISTER was accepted. The registrar says by `outbound` in Require
    /// (RFC 5626 section 6), some in Supported, that it brings requests back the same way.
    pub(super) fn take_outbound_flow(
        &mut self,
        id: RegistrationId,
        flow: Flow,
        response: &Response,
    ) {
        let Some(entry) = self.registrations.get_mut(id) else {
            return;
        };
        let named = [Name::REQUIRE, Name::SUPPORTED].iter().any(|name| {
            elements(&response.headers, name)
                .iter()
                .any(|option| option.eq_ignore_ascii_case("outbound"))
        });
        let does = named && entry.instance.is_some();
        entry.outbound_flow = does.then_some((flow.transport, flow.remote));
    }

    pub(super) fn fail_register(&mut self, id: RegistrationId, status: u16, now: Instant) {
        let spread = self.chance();
        self.finish_register(id);
        self.change_registration(id, now, |machine| {
            machine.handle(Outcome::bare(status), spread, now);
        });
    }

    fn registrations_that_are(&self, registered: Registered) -> Vec<RegistrationId> {
        self.registrations
            .iter()
            .filter(|(_, entry)| entry.registered == registered)
            .map(|(id, _)| id)
            .collect()
    }

    /// A REGISTER has its final answer: the next of its trunk may go.
    fn finish_register(&mut self, id: RegistrationId) {
        if let Some(entry) = self.registrations.get_mut(id)
            && std::mem::take(&mut entry.in_flight)
        {
            let trunk = entry.trunk;
            let lane = self.registrations.lanes.entry(trunk).or_default();
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
    }

    /// Applies a change, sends what it asks for, tells of a new state.
    pub(super) fn change_registration(
        &mut self,
        id: RegistrationId,
        now: Instant,
        change: impl FnOnce(&mut Registering),
    ) {
        let Some(entry) = self.registrations.get_mut(id) else {
            return;
        };
        let trunk = entry.trunk;
        let before = entry.machine.state();
        change(&mut entry.machine);
        let queue = entry.machine.is_ready() && !entry.queued;
        entry.queued |= queue;
        let timeout = entry.machine.poll_timeout();
        let state = entry.machine.state();
        self.deadlines.set(&Wake::Registration(id), timeout);
        if state != before {
            self.emit(UserAgentEvent::Registration {
                index: id.0,
                before,
                state,
            });
        }
        if queue {
            let lane = self.registrations.lanes.entry(trunk).or_default();
            lane.waiting.push_back(id);
        }
        self.send_registers(trunk, now);
    }

    /// Sends the REGISTERs of one trunk whose turn it is.
    fn send_registers(&mut self, trunk: usize, now: Instant) {
        let lane = self.registrations.lanes.entry(trunk).or_default();
        if std::mem::replace(&mut lane.busy, true) {
            return;
        }
        while let Some(lane) = self.registrations.lanes.get_mut(&trunk)
            && lane.in_flight < IN_FLIGHT
            && let Some(id) = lane.waiting.pop_front()
        {
            let Some(entry) = self.registrations.get_mut(id) else {
                continue;
            };
            entry.queued = false;
            // One that was stopped meanwhile wants nothing more.
            if let Some(expires) = entry.machine.poll() {
                entry.in_flight = true;
                if let Some(lane) = self.registrations.lanes.get_mut(&trunk) {
                    lane.in_flight += 1;
                }
                self.send_register(id, expires, now);
            }
        }
        if let Some(lane) = self.registrations.lanes.get_mut(&trunk) {
            lane.busy = false;
        }
    }

    fn send_register(&mut self, id: RegistrationId, expires: u32, now: Instant) {
        let Some(entry) = self.registrations.get_mut(id) else {
            return;
        };
        let index = entry.trunk;
        let trunk = self.config.trunks[index].clone();
        entry.sequence += 1;
        let record = trunk.uri(&entry.user);
        let mut request = Request::new(Method::Register, trunk.uri(""));
        let headers = &mut request.headers;
        headers.insert(Name::MAX_FORWARDS, 70u32);
        let from = Address::new(record.clone()).with_tag(&entry.tag);
        headers.insert(Name::FROM, from.to_string());
        headers.insert(Name::TO, Address::new(record).to_string());
        headers.insert(Name::CALL_ID, entry.call_id.clone());
        headers.insert(Name::CSEQ, format!("{} REGISTER", entry.sequence));
        headers.insert(Name::EXPIRES, expires);
        headers.insert(Name::ALLOW, Method::ALLOW);
        let mut params = String::new();
        match &entry.instance {
            Some(instance) => {
                headers.insert(Name::SUPPORTED, "path, outbound");
                params.push_str(&format!(";reg-id=1;+sip.instance=\"<{instance}>\""));
            }
            None => headers.insert(Name::SUPPORTED, "path"),
        }
        params.push_str(&format!(";expires={expires}"));
        let contact = (entry.contact_user.clone(), params);
        let icid = || random_token(&mut self.random, 16);
        NetworkHeaders::of_request(&trunk.identity, &mut Vec::new(), icid)
            .put(&mut request.headers);
        put_routes(&mut request, &trunk.routes);
        let owner = Owner::Register(id);
        if let Some(authorizer) = entry.authorizer.as_ref()
            && authorizer.subscriber().is_some()
            && authorizer.is_fresh()
        {
            // Who asks to be challenged (3GPP TS 24.229 section 5.1.1.2).
            let username = authorizer.username();
            let value = format!(
                "Digest username=\"{username}\", realm=\"{}\", nonce=\"\", uri=\"{}\", response=\"\"",
                trunk.domain, request.uri
            );
            request.headers.insert(Name::AUTHORIZATION, value);
        }
        self.authorize_early(owner, &mut request);
        let outbound = Outbound {
            contact: Some(contact),
            give_up: trunk.request_timeout.max(Duration::from_secs(1)),
            ..Outbound::new(request, self.way_to_trunk(index), owner)
        };
        self.send(outbound, now);
    }
}
