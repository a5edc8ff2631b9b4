//! The transport protocols of SIP messages, and what follows from each.

use std::fmt;

/// Transport protocol of SIP messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// RFC 3261 section 18, one message a datagram.
    Udp,
    /// RFC 3261 section 18.3, messages framed by Content-Length.
    Tcp,
    /// The same inside TLS (RFC 3261 section 26.2, RFC 5922).
    Tls,
}

impl Transport {
    /// True when the transport itself repeats what is lost.
    pub const fn is_reliable(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }

    /// The port of a URI that names none (RFC 3261 section 19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        }
    }

    /// The name as a Via header writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
