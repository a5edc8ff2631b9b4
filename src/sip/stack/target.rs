//! A target as an operator writes it.

use std::fmt;
use std::net::SocketAddr;

use super::transport_protocol::Transport;

/// A place as an operator writes it: what is left out is found by RFC 3263.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// IP address (IPv6 without brackets) or name.
    pub host: String,
    /// Port; without one the SRV records of a name say, and 5060 counts for an address.
    pub port: Option<u16>,
    /// Protocol of ordinary requests; without one the NAPTR and SRV records of a name say, and UDP
    /// counts for an address.
    pub transport: Option<Transport>,
}

impl Target {
    /// The target at an address, nothing left out.
    pub fn at(address: SocketAddr, transport: Transport) -> Self {
        Target {
            host: address.ip().to_string(),
            port: Some(address.port()),
            transport: Some(transport),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "sip:[{}]", self.host)?;
        } else {
            write!(f, "sip:{}", self.host)?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.transport {
            Some(transport) => write!(f, ";transport={}", transport.uri_value()),
            None => Ok(()),
        }
    }
}
