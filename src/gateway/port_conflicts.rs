//! Sockets of one configuration that cannot all be opened: two of one transport with a port in
//! common, at one address or at addresses of which one covers the other. No network.
//!
//! An RTP range in which another socket has a port is refused too. A start and most calls would
//! pass by such a port, but the range would carry fewer calls than its numbers say: the last ones
//! fail, and only under load.

use std::net::{IpAddr, SocketAddr};

use super::plan::{Plan, browser_addresses};
use crate::settings::{Error, Media, Settings, Sip};
use crate::sip;

/// Of sockets: those of different ones never conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Udp,
    Tcp,
}

/// What a key of the configuration opens at one address.
#[derive(Clone, Debug)]
struct Binding {
    /// `sip.listen[1]`.
    key: String,
    /// As written, a string in quotation marks.
    value: String,
    /// Whether the value is the default, so that the other of two keys is likely the written one.
    is_default: bool,
    /// What it should be, in words.
    expected: &'static str,
    kind: Kind,
    address: SocketAddr,
    /// The last port; that of `address` is the first.
    last: u16,
    /// Whether it takes no IPv4 (IPV6_V6ONLY); of IPv6 addresses only.
    only_v6: bool,
}

impl Binding {
    /// Whether the system opens one of both only.
    fn conflicts_with(&self, other: &Binding) -> bool {
        let (first, others_first) = (self.address.port(), other.address.port());
        self.kind == other.kind
            && first != 0
            && others_first != 0
            && first <= other.last
            && others_first <= self.last
            && self.shares_address_with(other)
    }

    fn shares_address_with(&self, other: &Binding) -> bool {
        let (own, others) = (self.address.ip().to_canonical(), other.address.ip());
        let others = others.to_canonical();
        if own.is_ipv4() == others.is_ipv4() {
            // A link-local address may be on several interfaces (RFC 4007 section 6).
            let same = own == others && scope(self.address) == scope(other.address);
            return same || own.is_unspecified() || others.is_unspecified();
        }
        let both_families =
            |one: &Binding, ip: IpAddr| ip.is_ipv6() && ip.is_unspecified() && !one.only_v6;
        both_families(self, own) || both_families(other, others)
    }

    /// For the error of the other one.
    fn named(&self) -> String {
        let transport = match self.kind {
            Kind::Udp => "UDP",
            Kind::Tcp => "TCP",
        };
        let Binding {
            key,
            value,
            address,
            last,
            ..
        } = self;
        let ports = match address.port() {
            first if first == *last => String::new(),
            _ => format!(" to {last}"),
        };
        format!("{key} = {value} ({transport} {address}{ports})")
    }
}

fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    }
}

/// All conflicts, one error for each key. `machine` has the machine's addresses, `workers` says how
/// many media workers there are.
pub(super) fn find(
    settings: &Settings,
    plan: &Plan,
    machine: &[IpAddr],
    workers: usize,
) -> Vec<Error> {
    let mut bindings = listeners(settings, plan);
    bindings.extend(browsers(settings, machine, workers));
    bindings.extend(rtp(settings, plan));
    // The key that has the error, with those that it conflicts with.
    let mut found: Vec<(&Binding, Vec<&Binding>)> = Vec::new();
    for (at, later) in bindings.iter().enumerate() {
        for earlier in &bindings[..at] {
            if earlier.key == later.key || !earlier.conflicts_with(later) {
                continue;
            }
            let (wrong, other) = match later.is_default && !earlier.is_default {
                true => (earlier, later),
                false => (later, earlier),
            };
            match found.iter_mut().find(|(known, _)| known.key == wrong.key) {
                Some((_, others)) if others.iter().any(|known| known.key == other.key) => {}
                Some((_, others)) => others.push(other),
                None => found.push((wrong, vec![other])),
            }
        }
    }
    let mut errors: Vec<Error> = found.into_iter().map(error).collect();
    errors.extend(same_browser_addresses(settings));
    errors
}

fn error((wrong, others): (&Binding, Vec<&Binding>)) -> Error {
    let names: Vec<String> = others.iter().map(|other| other.named()).collect();
    let expected = format!("{}; taken by {}", wrong.expected, names.join(" and "));
    // All keys that are concerned: where another one is wrong already, this may be no conflict.
    let keys: Vec<&str> = std::iter::once(wrong)
        .chain(others)
        .map(|one| one.key.as_str())
        .collect();
    Error::shown(keys.join(", "), wrong.value.clone(), expected)
}

/// HTTP and SIP.
fn listeners(settings: &Settings, plan: &Plan) -> Vec<Binding> {
    let http = Binding {
        key: "http.listen".to_owned(),
        value: format!("\"{}\"", settings.http.listen),
        is_default: false,
        expected: "an address and TCP port of its own",
        kind: Kind::Tcp,
        address: settings.http.listen,
        last: settings.http.listen.port(),
        only_v6: false,
    };
    let is_default = settings.sip.listen == Sip::default().listen;
    let written = settings.sip.listen.iter().zip(&plan.listen).enumerate();
    let opened = written.filter(|(_, (_, listen))| {
        // Without a certificate none is accepted, and no socket opened.
        !listen.transport.is_secure() || plan.tls.certificate.is_some()
    });
    let sip = opened.map(|(index, (text, listen))| {
        let (kind, expected) = match listen.transport.is_reliable() {
            false => (Kind::Udp, "an address and UDP port of its own"),
            true => (Kind::Tcp, "an address and TCP port of its own"),
        };
        Binding {
            key: format!("sip.listen[{index}]"),
            value: format!("{text:?}"),
            is_default,
            expected,
            kind,
            address: listen.address,
            last: listen.address.port(),
            only_v6: !sip::is_dual(&plan.listen, index),
        }
    });
    std::iter::once(http).chain(sip).collect()
}

/// The media workers' sockets towards browsers.
fn browsers(settings: &Settings, machine: &[IpAddr], workers: usize) -> Vec<Binding> {
    let port = settings.webrtc.port;
    let further = u16::try_from(workers.saturating_sub(1)).unwrap_or(u16::MAX);
    let binding = |ip: IpAddr| Binding {
        key: "webrtc.port".to_owned(),
        value: port.to_string(),
        is_default: false,
        expected: "UDP ports of their own, one for each media worker",
        kind: Kind::Udp,
        address: SocketAddr::new(ip, port),
        last: port.saturating_add(further),
        only_v6: true,
    };
    let addresses = browser_addresses(settings, machine);
    addresses.into_iter().map(binding).collect()
}

/// The range of RTP at each address, as whole pairs that begin even.
fn rtp(settings: &Settings, plan: &Plan) -> Vec<Binding> {
    let (first, last) = (*plan.rtp_ports.start(), *plan.rtp_ports.end());
    let first = first.saturating_add(first % 2);
    let last = if last % 2 == 0 { last - 1 } else { last };
    let binding = |ip: IpAddr| Binding {
        key: "media.rtp_ports".to_owned(),
        value: format!("{:?}", settings.media.rtp_ports),
        is_default: settings.media.rtp_ports == Media::default().rtp_ports,
        expected: "a range of UDP ports in which nothing else has one",
        kind: Kind::Udp,
        address: SocketAddr::new(ip, first),
        last,
        only_v6: false,
    };
    let addresses = plan.rtp.local_addresses();
    addresses.into_iter().map(binding).collect()
}

/// A worker has one socket for each address, all on one port.
fn same_browser_addresses(settings: &Settings) -> Vec<Error> {
    let addresses = &settings.webrtc.addresses;
    let mut errors = Vec::new();
    for (at, later) in addresses.iter().enumerate() {
        let covers = |earlier: &&IpAddr| {
            let same_family = earlier.is_ipv4() == later.is_ipv4();
            let all = earlier.is_unspecified() || later.is_unspecified();
            *earlier == later || (same_family && all)
        };
        if let Some(earlier) = addresses[..at].iter().find(covers) {
            let key = format!("webrtc.addresses[{at}]");
            let expected = format!("an address of its own; {earlier} stands before it");
            errors.push(Error::value(key, &later.to_string(), expected));
        }
    }
    errors
}

#[cfg(test)]
#[path = "port_conflicts/tests.rs"]
mod tests;
