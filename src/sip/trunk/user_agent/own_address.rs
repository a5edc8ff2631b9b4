//! The address that peers are told to reach us at: what the configuration advertises goes before
//! what the socket or the peer says.

use std::net::{IpAddr, SocketAddr};

use super::agent::UserAgent;
use crate::sip::stack::escapes::escape_user;
use crate::sip::stack::flow::{Flow, FlowKey};
use crate::sip::stack::lists::split_list;
use crate::sip::stack::message::{Name, Response};
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::trunk::contact::{ContactUser, LINE};

impl UserAgent {
    /// Host and port that a peer reaches the listener by, as far as we know without the peer.
    pub(super) fn sent_by(&self, listener: usize, remote: SocketAddr) -> SocketAddr {
        let key = FlowKey { listener, remote };
        self.local_addresses.sent_by(key, self.advertised(remote))
    }

    /// The address that the configuration wants a peer to be told.
    fn advertised(&self, remote: SocketAddr) -> Option<IpAddr> {
        let of_trunk = || {
            let mut trunks = self.config.trunks.iter().enumerate();
            let (_, trunk) = trunks.find(|(index, trunk)| {
                trunk.advertised.is_some() && self.comes_from(*index, remote)
            })?;
            trunk.advertised
        };
        of_trunk()
            // A peer on this very machine does not come in by the outside address.
            .or(self
                .config
                .advertised
                .filter(|_| !remote.ip().is_loopback()))
            .filter(|ip| ip.is_ipv4() == remote.is_ipv4())
    }

    /// Our Contact URI for one peer.
    pub(super) fn contact_uri(
        &self,
        contact: &ContactUser,
        transport: Transport,
        remote: SocketAddr,
        sips: bool,
    ) -> Option<String> {
        let listener = self.local_addresses.listener_for(transport, remote)?;
        let (scheme, suffix) = transport.uri_form(sips);
        let reflexive = self.local_addresses.reflexive(FlowKey { listener, remote });
        let address = reflexive.unwrap_or_else(|| self.sent_by(listener, remote));
        let user = escape_user(&contact.user);
        let at = if user.is_empty() { "" } else { "@" };
        let line = contact.line.as_deref();
        let line = line.map_or(String::new(), |line| format!(";{LINE}={line}"));
        Some(format!("{scheme}:{user}{at}{address}{suffix}{line}"))
    }

    /// Learns our reflexive address from `received` and `rport` of a response (RFC 3581 section 4):
    /// behind NAT the peer reaches us there, and it stands in the Contacts to come.
    pub(super) fn learn_reflexive(&mut self, flow: Flow, response: &Response) {
        if let Some((ip, port)) = reflexive_of(response) {
            self.take_reflexive(flow, ip, port);
        }
    }

    /// The same from another source. What the configuration advertises goes before.
    pub(super) fn take_reflexive(&mut self, flow: Flow, ip: IpAddr, port: Option<u16>) {
        if self.advertised(flow.remote).is_some() {
            return;
        }
        if let Some(address) = self.local_addresses.learn(flow, ip, port) {
            tracing::info!(peer = %flow.remote, %address, "sip peer sees us at another address");
        }
    }
}

/// `received` and `rport` of the Via that we wrote; without the first nothing is known.
fn reflexive_of(response: &Response) -> Option<(IpAddr, Option<u16>)> {
    let via = response.headers.get_raw(&Name::VIA).next()?;
    let top = *split_list(via).first()?;
    let (mut ip, mut port) = (None, None);
    for (name, value) in top.split(';').filter_map(|part| part.split_once('=')) {
        let value = value.trim();
        match name.trim() {
            name if name.eq_ignore_ascii_case("received") => {
                // Some write brackets, which the grammar has not.
                ip = value.trim_matches(['[', ']']).parse().ok();
            }
            name if name.eq_ignore_ascii_case("rport") => port = value.parse().ok(),
            _ => {}
        }
    }
    Some((ip?, port))
}
