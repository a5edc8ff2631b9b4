//! What the registrations ask for: REGISTERs to send, news; and the flows that they came by.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::agent::UserAgent;
use super::outbound::Outbound;
use super::owner::Owner;
use super::timer_key::Wake;
use super::user_agent_event::UserAgentEvent;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Request, Response};
use crate::sip::stack::tokens::random_token;
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::trunk::network_headers::{NetworkHeaders, wants_security_agreement};
use crate::sip::trunk::registrations::{RegistrationAction, RegistrationId};

impl UserAgent {
    pub(super) fn start_registrations(&mut self, now: Instant) {
        self.registrations.start();
        self.run_registrations(now);
    }

    pub(super) fn stop_registrations(&mut self, now: Instant) {
        self.registrations.stop();
        self.run_registrations(now);
    }

    /// `user` is there (has a client signed in) or has gone.
    pub fn handle_presence(&mut self, user: &str, present: bool, now: Instant) {
        self.registrations.set_presence(user, present, now);
        self.run_registrations(now);
    }

    pub(super) fn handle_registration_timeout(&mut self, now: Instant) {
        self.registrations.handle_timeout(now);
        self.run_registrations(now);
    }

    /// A REGISTER was accepted by this flow.
    pub(super) fn take_registered_flow(
        &mut self,
        id: RegistrationId,
        flow: Flow,
        request: &Request,
        response: &Response,
        now: Instant,
    ) {
        let seconds = self.registrations.accept_flow(id, flow, request, response);
        self.keep_alive(id, flow, seconds, response, now);
    }

    pub(super) fn take_register_response(
        &mut self,
        id: RegistrationId,
        response: &Response,
        now: Instant,
    ) {
        if wants_security_agreement(response)
            && let Some(entry) = self.registrations.get(id)
        {
            let trunk = &self.config.trunks[entry.trunk].name;
            tracing::error!(%trunk, status = response.status,
                "sip registrar demands Security-Agreement (RFC 3329), which is out of scope");
        }
        let spread = self.chance();
        self.registrations
            .handle_response(id, response, spread, now);
        self.run_registrations(now);
    }

    pub(super) fn fail_register(&mut self, id: RegistrationId, status: u16, now: Instant) {
        let spread = self.chance();
        self.registrations.handle_failure(id, status, spread, now);
        self.run_registrations(now);
    }

    /// Registers again what was registered by a flow that has failed (RFC 5626 section 4.5).
    pub(super) fn register_again(&mut self, remote: SocketAddr, now: Instant) {
        self.registrations
            .handle_flow_failure(Transport::Udp, remote);
        self.run_registrations(now);
    }

    /// Carries out what the registrations ask for.
    fn run_registrations(&mut self, now: Instant) {
        // A REGISTER that cannot be sent comes back here: the loop below goes on with the next.
        if !self.registrations.begin_actions() {
            return;
        }
        while let Some(action) = self.registrations.poll_action() {
            match action {
                RegistrationAction::Send { id, expires } => self.send_register(id, expires, now),
                RegistrationAction::Tell { id, before, state } => {
                    self.emit(UserAgentEvent::Registration {
                        index: id.0,
                        before,
                        state,
                    });
                }
            }
        }
        self.registrations.end_actions();
        let timeout = self.registrations.poll_timeout();
        self.deadlines.set(&Wake::Registrations, timeout);
    }

    fn send_register(&mut self, id: RegistrationId, expires: u32, now: Instant) {
        let Some(entry) = self.registrations.get(id) else {
            return;
        };
        let (index, user) = (entry.trunk, entry.contact_user.clone());
        let trunk = &self.config.trunks[index];
        let give_up = trunk.request_timeout.max(Duration::from_secs(1));
        let icid = || random_token(&mut self.random, 16);
        let network = NetworkHeaders::of_request(&trunk.identity, &mut Vec::new(), icid);
        let request = self.registrations.request(id, expires, trunk, &network);
        let Some((mut request, params)) = request else {
            return;
        };
        let owner = Owner::Register(id);
        self.authorize_early(owner, &mut request);
        let outbound = Outbound {
            contact: Some((user, params)),
            give_up,
            ..Outbound::new(request, self.way_to_trunk(index), owner)
        };
        self.send(outbound, now);
    }
}
