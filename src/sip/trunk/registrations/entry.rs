//! One registration: who it is for, the REGISTERs of it, what the registrar granted.

use std::net::SocketAddr;

use super::machine::Registering;
use super::register_request::RegisterRequests;
use crate::sip::stack::address::Address;
use crate::sip::stack::digest::Credentials;
use crate::sip::stack::flow::{Flow, FlowKey};
use crate::sip::stack::message::{Headers, Name, Response, elements};
use crate::sip::stack::next_hop::is_route;
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::trunk::config::{Config, Registered};
use crate::sip::trunk::contact::ContactUser;
use crate::sip::trunk::event::{RegistrationState, RegistrationStatus};

/// Most routes taken from one answer.
const ROUTES: usize = 16;
/// Most associated URIs taken from one answer, and the most bytes of each.
const ASSOCIATED: usize = 16;
const LONGEST_ASSOCIATED: usize = 256;

/// One registration.
#[derive(Debug)]
pub struct RegistrationEntry {
    /// Index of its trunk.
    pub trunk: usize,
    /// The user whose account it is; `None` for the trunk's own.
    pub account: Option<String>,
    /// When it is registered.
    pub registered: Registered,
    pub credentials: Option<Credentials>,
    /// User part of the address of record.
    pub user: String,
    /// Our Contact: with a token that cannot be guessed, so that a call to it must come from the
    /// registrar.
    pub contact_user: ContactUser,
    pub granted: Granted,
    pub(super) requests: RegisterRequests,
    pub(super) machine: Registering,
    /// True while it waits in its trunk's queue.
    pub(super) queued: bool,
    /// True while a REGISTER has no final answer.
    pub(super) in_flight: bool,
}

/// What the registrar said when it accepted a REGISTER.
#[derive(Debug, Default)]
pub struct Granted {
    /// URIs of the preloaded routes of its calls (RFC 3608).
    pub service_route: Vec<String>,
    /// URIs that the registrar associated with it, the default one first (RFC 7315 section 4.1).
    pub associated: Vec<String>,
    /// The flow of the last accepted REGISTER, where the registrar does Outbound (RFC 5626):
    /// protocol and peer.
    pub outbound_flow: Option<(Transport, SocketAddr)>,
    /// The flow of the last accepted REGISTER, whatever the registrar does.
    pub flow: Option<FlowKey>,
}

impl RegistrationEntry {
    /// True where what leaves by this flow goes by the one that was registered, and the registrar
    /// brings requests back on it.
    pub fn is_outbound(&self, transport: Transport, remote: SocketAddr) -> bool {
        self.granted.outbound_flow == Some((transport, remote))
            && self.machine.state() == RegistrationState::Registered
    }

    /// As the operator sees it.
    pub fn status(&self, config: &Config) -> RegistrationStatus {
        RegistrationStatus {
            trunk: config.trunks[self.trunk].name.clone(),
            account: self.account.clone(),
            state: self.machine.state(),
        }
    }

    /// Takes by which flow a REGISTER for so many seconds was accepted. The registrar says by
    /// `outbound` in Require (RFC 5626 section 6), some in Supported, that it brings requests back
    /// by the same flow.
    pub(super) fn accept_flow(&mut self, flow: Flow, seconds: u32, response: &Response) {
        let named = [Name::REQUIRE, Name::SUPPORTED].iter().any(|name| {
            elements(&response.headers, name)
                .iter()
                .any(|option| option.eq_ignore_ascii_case("outbound"))
        });
        let does = named && self.requests.instance.is_some();
        self.granted.outbound_flow = does.then_some((flow.transport, flow.remote));
        self.granted.flow = (seconds > 0).then_some(flow.key());
    }
}

impl Granted {
    /// Takes the routes and the identities of a success.
    pub(super) fn accept(&mut self, headers: &Headers) {
        self.service_route = elements(headers, &Name::SERVICE_ROUTE)
            .into_iter()
            .take(ROUTES)
            .filter_map(|route| Address::parse(route).ok())
            .filter(|route| is_route(&route.uri))
            .map(|route| route.uri)
            .collect();
        self.associated = elements(headers, &Name::from("P-Associated-URI"))
            .into_iter()
            .take(ASSOCIATED)
            .filter_map(|element| Address::parse(element).ok())
            .map(|address| address.uri)
            .filter(|uri| uri.len() <= LONGEST_ASSOCIATED)
            .collect();
    }
}
