//! The next hop of a request: host, port and protocol as a URI or a target names them, before DNS.

use std::net::IpAddr;

use super::target::Target;
use super::transport_protocol::Transport;
use super::uri::Uri;

/// Where a request goes next, read from a URI or a configured target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// IP address without brackets, or name.
    pub host: String,
    /// Port, where one is written.
    pub port: Option<u16>,
    /// Protocol, where one is written.
    pub transport: Option<Transport>,
}

impl NextHop {
    /// The next hop a `sip:` URI names by host, port, `maddr` and `transport` alone (RFC 3261
    /// section 19.1); `None` where it names none.
    pub fn of_uri(uri: &str) -> Option<NextHop> {
        let uri = Uri::read(uri);
        let over_udp = || {
            let transport = uri.param("transport");
            transport.is_some_and(|named| named.eq_ignore_ascii_case("udp"))
        };
        // Every `sips:` hop is TLS, whatever runs below it; there is none over UDP.
        if !uri.is_sip() || uri.has_bad_port() || uri.is_sips() && over_udp() {
            return None;
        }
        Some(NextHop {
            host: uri.destination_host()?.to_owned(),
            port: uri.port(),
            transport: uri.transport(),
        })
    }

    /// The address, when the host is one.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some((ip, self.port_or_default()).into())
    }

    /// The port, or the one that its protocol has (RFC 3261 section 19.1.2).
    pub fn port_or_default(&self) -> u16 {
        let transport = self.transport.unwrap_or(Transport::Udp);
        self.port.unwrap_or(transport.default_port())
    }
}

impl From<&Target> for NextHop {
    fn from(target: &Target) -> Self {
        NextHop {
            host: target.host.clone(),
            port: target.port,
            transport: target.transport,
        }
    }
}

/// True for a URI that a Route header can carry: one that leads somewhere.
pub fn is_route(uri: &str) -> bool {
    !uri.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,\"".contains(c))
        && NextHop::of_uri(uri).is_some()
}
