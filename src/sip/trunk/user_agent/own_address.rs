//! Where peers reach us: the address that stands in Via and Contact, told by the configuration,
//! by the socket, or by the peers themselves (RFC 3581 section 4).

use std::net::{IpAddr, SocketAddr};

use super::agent::UserAgent;
use super::contact::{ContactUser, LINE};
use crate::sip::stack::escapes::escape_user;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::listen::serves;
use crate::sip::stack::lists::split_list;
use crate::sip::stack::message::{Name, Response};
use crate::sip::stack::transport_protocol::Transport;

/// Peers whose view of us is kept.
const VIEWS: usize = 1_024;

impl UserAgent {
    /// The first listener of that protocol and family, else one that serves both.
    pub(super) fn listener_for(&self, transport: Transport, remote: SocketAddr) -> Option<usize> {
        let of_family = |own: bool| {
            let mut all = self.listeners.iter().enumerate();
            all.position(|(index, listen)| {
                listen.transport == transport
                    && match own {
                        true => listen.address.is_ipv4() == remote.is_ipv4(),
                        false => serves(&self.listeners, index, remote.is_ipv4()),
                    }
            })
        };
        of_family(true).or_else(|| of_family(false))
    }

    /// Host and port that a peer reaches the listener by, as far as we know without it.
    pub(super) fn reachable(&self, listener: usize, remote: SocketAddr) -> SocketAddr {
        let bound = self.listeners[listener].address;
        let ip = self.advertised(remote).unwrap_or_else(|| {
            if bound.ip().is_unspecified() {
                (self.local_address)(remote).unwrap_or(bound.ip())
            } else {
                bound.ip()
            }
        });
        (ip, bound.port()).into()
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
        let listener = self.listener_for(transport, remote)?;
        let (scheme, suffix) = transport.uri_form(sips);
        let address = match self.views.get(&(listener, remote)) {
            Some(seen) => *seen,
            None => self.reachable(listener, remote),
        };
        let user = escape_user(&contact.user);
        let at = if user.is_empty() { "" } else { "@" };
        let line = contact.line.as_deref();
        let line = line.map_or(String::new(), |line| format!(";{LINE}={line}"));
        Some(format!("{scheme}:{user}{at}{address}{suffix}{line}"))
    }

    /// Learns from `received` and `rport` of a response how the peer sees us: behind NAT that is
    /// where it reaches us, and stands in the Contacts to come. What the configuration says goes
    /// before. Of a stream only the address counts: its port is the connection's own, where nobody
    /// listens.
    pub(super) fn learn_own_address(&mut self, flow: Flow, response: &Response) {
        if let Some((ip, port)) = seen_by_peer(response) {
            self.learn_seen(flow, ip, port);
        }
    }

    /// The same from what a peer said in so many words.
    pub(super) fn learn_seen(&mut self, flow: Flow, ip: IpAddr, port: Option<u16>) {
        if self.advertised(flow.remote).is_some() {
            return;
        }
        let key = (flow.listener, flow.remote);
        let known = self.reachable(flow.listener, flow.remote);
        let port = match flow.transport.is_reliable() {
            false => port,
            true => Some(known.port()),
        };
        let usable = !ip.is_unspecified() && ip.is_ipv4() == flow.remote.is_ipv4();
        let seen = port
            .filter(|port| *port != 0 && usable)
            .map(|port| SocketAddr::new(ip, port))
            .filter(|seen| *seen != known);
        let Some(seen) = seen else {
            self.views.remove(&key);
            return;
        };
        if self.views.len() >= VIEWS && !self.views.contains_key(&key) {
            self.views.clear();
        }
        if self.views.insert(key, seen) != Some(seen) {
            tracing::info!(peer = %flow.remote, address = %seen, "sip peer sees us at another address");
        }
    }
}

/// `received` and `rport` of the Via that we wrote; without the first nothing is known.
fn seen_by_peer(response: &Response) -> Option<(IpAddr, Option<u16>)> {
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
