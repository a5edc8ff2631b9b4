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

    /// False when only the peer can open the connection that this hop needs (RFC 7118 section 5):
    /// then a request goes by the flow that the peer opened, or not at all.
    pub fn can_be_reached(&self) -> bool {
        self.transport.is_none_or(Transport::can_connect_out)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_websocket_cannot_be_reached() {
        let reached = |uri: &str| NextHop::of_uri(uri).expect("a hop").can_be_reached();
        assert!(reached("sip:192.0.2.1"));
        assert!(reached("sips:192.0.2.1"));
        assert!(!reached("sip:df7jal23ls0d.invalid;transport=ws"));
        assert!(!reached("sips:192.0.2.1;transport=ws"));
    }
}
