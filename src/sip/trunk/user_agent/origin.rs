//! Which trunk a request comes from, and how sure that is.

use std::net::SocketAddr;

use super::agent::UserAgent;
use super::incoming_request::Origin;
use crate::sip::stack::envelope::canonical;
use crate::sip::stack::flow::FlowKey;

impl UserAgent {
    /// The trunk of a request to this URI: that of the Contact that we registered, else that of the
    /// source.
    pub(super) fn origin_of(
        &self,
        source_trunk: Option<usize>,
        source: SocketAddr,
        uri: &str,
    ) -> Option<Origin> {
        let Some(registration) = self.registrations.of_contact(uri) else {
            return source_trunk.map(Origin::verified);
        };
        let ip = canonical(source.ip());
        let is_registrar = |flow: FlowKey| canonical(flow.remote.ip()) == ip;
        Some(Origin {
            trunk: registration.trunk,
            verified: self.comes_from(registration.trunk, source)
                || registration.granted.flow.is_some_and(is_registrar),
        })
    }

    /// True when an address belongs to a trunk, whoever it calls.
    pub(super) fn is_trunk_address(&self, source: SocketAddr) -> bool {
        self.trunk_at(source).is_some()
    }

    /// The trunk that an address belongs to: by the ranges that trunks are configured with, then
    /// by the addresses of their targets.
    pub(super) fn trunk_at(&self, source: SocketAddr) -> Option<usize> {
        let all = || 0..self.config.trunks.len();
        all()
            .find(|trunk| self.is_accepted_from(*trunk, source))
            .or_else(|| all().find(|trunk| self.is_target(*trunk, source)))
    }

    /// True for an address that this trunk has, by its ranges or its targets.
    pub(super) fn comes_from(&self, trunk: usize, source: SocketAddr) -> bool {
        self.is_accepted_from(trunk, source) || self.is_target(trunk, source)
    }

    fn is_accepted_from(&self, trunk: usize, source: SocketAddr) -> bool {
        let ip = canonical(source.ip());
        let mut ranges = self.config.trunks[trunk].accept_from.iter();
        ranges.any(|range| range.contains(&ip))
    }
}
