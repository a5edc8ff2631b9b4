//! What the transports are told at start: listeners, TLS, name servers, bounds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::dscp::Dscp;
use crate::sip::stack::listen::Listen;
use crate::supervision::Supervisor;

/// What the transports are told at start.
#[derive(Debug, Clone, Default)]
pub struct TransportConfig {
    /// Sockets to open.
    pub listen: Vec<Listen>,
    /// Name servers to ask; none: those of the system.
    pub dns_servers: Vec<SocketAddr>,
    /// Bounds on memory and time.
    pub limits: ConnectionLimits,
    /// What TLS proves and whom it trusts.
    pub tls: Tls,
    /// TLS towards single peers, by the index that a [`Domain`](crate::sip::stack::domain::Domain) has.
    pub peers: Vec<PeerTls>,
    /// How all that is sent is marked.
    pub dscp: Dscp,
    /// Watches the tasks of the transports.
    pub supervisor: Supervisor,
}

/// Certificates of the whole user agent, PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Ours. Without it TLS connections are opened but none are accepted.
    pub certificate: Option<Certificate>,
    /// Authorities that vouch for the peers we connect to; absent: those of the machine.
    pub authorities: Option<PathBuf>,
    /// Authorities that must vouch for peers that connect to us; absent: anybody may connect.
    pub client_authorities: Option<PathBuf>,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and those between it and the authority.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// TLS towards one peer whose name is configured: a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTls {
    /// The name that the peer's certificate must bear; absent: the host of its URI.
    pub name: Option<String>,
    /// Whether it must bear it at all. False is for tests: anybody on the way can listen.
    pub verify: bool,
    /// Shown to this peer instead of [`Tls::certificate`].
    pub certificate: Option<Certificate>,
}

impl Default for PeerTls {
    fn default() -> Self {
        PeerTls {
            name: None,
            verify: true,
            certificate: None,
        }
    }
}

/// Bounds on what a peer can make the transports hold.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// TCP and TLS connections at the same time.
    pub connections: usize,
    /// Connections accepted from one address at the same time.
    pub connections_per_source: usize,
    /// Accepted connections whose TLS handshake is not done, at the same time.
    pub handshakes: usize,
    /// Bytes of one message on a stream, head and body each.
    pub message_bytes: usize,
    /// Messages waiting to be written to one TCP connection before it is given up.
    pub connection_queue: usize,
    /// A connection that carries nothing for this long is closed.
    pub idle_timeout: Duration,
    /// A peer that connects must send a whole message (or keep-alive) within this time, and end
    /// each message that it begins.
    pub message_timeout: Duration,
    /// Longest wait for a TCP connection to open.
    pub connect_timeout: Duration,
    /// Longest TLS handshake.
    pub handshake_timeout: Duration,
    /// Silence of ours after which a connection that we opened sends a double CRLF (RFC 5626
    /// section 4.4.1), so that it stays open for calls towards us.
    pub keep_alive: Duration,
    /// How long a peer that has answered such a one before may take for the next answer.
    pub pong_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        ConnectionLimits {
            connections: 1_024,
            connections_per_source: 128,
            handshakes: 256,
            message_bytes: 65_535,
            connection_queue: 128,
            idle_timeout: Duration::from_secs(900),
            message_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(4),
            handshake_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(110),
            pong_timeout: Duration::from_secs(10),
        }
    }
}
