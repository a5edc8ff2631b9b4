//! REGISTER requests and their answers, one registration per trunk that asks for it.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;

use super::agent::{UserAgent, Wake, random_token};
use super::flow::Happening;
use super::sending::{Outbound, Owner};
use super::targets::put_routes;
use crate::sip::address::{Address, user_of};
use crate::sip::config::Trunk;
use crate::sip::digest::Authorizer;
use crate::sip::message::{Headers, Name, Request, Response, elements, header};
use crate::sip::method::Method;
use crate::sip::registration::{Outcome, Registering};

/// One registration and the names it goes by.
#[derive(Debug)]
pub struct RegistrationEntry {
    pub machine: Registering,
    pub authorizer: Option<Authorizer>,
    /// User part of the address of record.
    pub user: String,
    /// User part of our Contact: the user with a token that nobody guesses, so that a call to it
    /// must come from the registrar.
    pub contact_user: String,
    pub sequence: u32,
    call_id: String,
    tag: String,
}

impl RegistrationEntry {
    /// The registration that `trunk` asks for.
    pub fn new(trunk: &Trunk, random: &mut StdRng) -> Option<Self> {
        let registration = trunk.registration.as_ref()?;
        let token = random_token(random, 4);
        Some(RegistrationEntry {
            machine: Registering::new(registration.expires),
            authorizer: trunk.credentials.clone().map(Authorizer::new),
            user: registration.user.clone(),
            contact_user: format!("{}-{token}", registration.user),
            sequence: 0,
            call_id: random_token(random, 16),
            tag: random_token(random, 8),
        })
    }
}

impl UserAgent {
    pub(super) fn start_registrations(&mut self, now: Instant) {
        for trunk in self.registering_trunks() {
            self.change_registration(trunk, now, Registering::start);
        }
    }

    pub(super) fn stop_registrations(&mut self, now: Instant) {
        for trunk in self.registering_trunks() {
            self.change_registration(trunk, now, Registering::stop);
        }
    }

    pub(super) fn handle_registration_timeout(&mut self, trunk: usize, now: Instant) {
        self.change_registration(trunk, now, |machine| machine.handle_timeout(now));
    }

    pub(super) fn take_register_response(
        &mut self,
        trunk: usize,
        response: &Response,
        now: Instant,
    ) {
        let Some(entry) = self.registrations.get(&trunk) else {
            return;
        };
        let seconds = |name: Name| {
            let value = header(&response.headers, &name)?;
            // Retry-After may carry a comment and parameters.
            let digits = value.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        let outcome = Outcome {
            status: response.status,
            granted: granted(&response.headers, &entry.contact_user)
                .or_else(|| seconds(Name::EXPIRES)),
            minimum: seconds(Name::MIN_EXPIRES),
            retry_after: seconds(Name::RETRY_AFTER),
        };
        let spread = self.chance();
        self.change_registration(trunk, now, |machine| machine.handle(outcome, spread, now));
    }

    pub(super) fn fail_register(&mut self, trunk: usize, status: u16, now: Instant) {
        let outcome = Outcome {
            status,
            granted: None,
            minimum: None,
            retry_after: None,
        };
        let spread = self.chance();
        self.change_registration(trunk, now, |machine| machine.handle(outcome, spread, now));
    }

    fn registering_trunks(&self) -> Vec<usize> {
        let mut trunks: Vec<usize> = self.registrations.keys().copied().collect();
        trunks.sort_unstable();
        trunks
    }

    /// Applies a change, sends what it asks for, tells of a new state.
    fn change_registration(
        &mut self,
        trunk: usize,
        now: Instant,
        change: impl FnOnce(&mut Registering),
    ) {
        let Some(entry) = self.registrations.get_mut(&trunk) else {
            return;
        };
        let before = entry.machine.state();
        change(&mut entry.machine);
        let wanted = entry.machine.poll();
        let timeout = entry.machine.poll_timeout();
        let state = entry.machine.state();
        self.deadlines.set(&Wake::Registration(trunk), timeout);
        if state != before {
            let trunk = self.config.trunks[trunk].name.clone();
            self.happen(Happening::Registration { trunk, state });
        }
        if let Some(expires) = wanted {
            self.send_register(trunk, expires, now);
        }
    }

    fn send_register(&mut self, index: usize, expires: u32, now: Instant) {
        let trunk = self.config.trunks[index].clone();
        let Some(entry) = self.registrations.get_mut(&index) else {
            return;
        };
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
        put_routes(&mut request, &trunk.routes);
        let contact = (entry.contact_user.clone(), format!(";expires={expires}"));
        let owner = Owner::Register(index);
        self.authorize_early(owner, &mut request);
        let outbound = Outbound {
            contact: Some(contact),
            give_up: trunk.request_timeout.max(Duration::from_secs(1)),
            ..Outbound::new(request, self.way_to_trunk(index), owner)
        };
        self.send(outbound, now);
    }
}

/// Seconds granted to our own Contact among those listed.
fn granted(headers: &Headers, contact_user: &str) -> Option<u32> {
    elements(headers, &Name::CONTACT)
        .into_iter()
        .filter_map(|element| Address::parse(element).ok())
        .find(|address| user_of(&address.uri) == contact_user)
        .and_then(|address| address.param("expires")?.parse().ok())
}
