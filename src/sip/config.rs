//! What the SIP user agent is told at start: listeners, trunks, limits.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::identity::IdentityPolicy;
use crate::redacted::Redacted;

/// The whole configuration of the user agent. The default has no listener and no trunk.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Sockets to open. Requests leave by the first one of fitting protocol and family.
    pub listen: Vec<Listen>,
    /// Address written into Via and Contact instead of the socket's own (1:1 NAT).
    pub advertised: Option<IpAddr>,
    /// Value of User-Agent and Server.
    pub user_agent: String,
    /// The PBXs and carriers that we call and that call us.
    pub trunks: Vec<Trunk>,
    /// Bounds on memory and time.
    pub limits: Limits,
}

/// Transport protocol of SIP messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// RFC 3261 section 18, one message a datagram.
    Udp,
    /// RFC 3261 section 18.3, messages framed by Content-Length.
    Tcp,
}

impl Transport {
    /// True when the transport itself repeats what is lost.
    pub const fn is_reliable(self) -> bool {
        matches!(self, Transport::Tcp)
    }

    /// The name as a Via header writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One socket that requests arrive on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Listen {
    /// Protocol.
    pub transport: Transport,
    /// Local address; port 0 lets the system choose.
    pub address: SocketAddr,
}

/// One PBX or carrier.
#[derive(Debug, Clone)]
pub struct Trunk {
    /// Unique name, as routes and logs use it.
    pub name: String,
    /// Where requests go, one at least: lower priority first, weight shares out within a priority.
    pub targets: Vec<TrunkTarget>,
    /// Host part of From, To and the request URI.
    pub domain: String,
    /// Answers to digest challenges, when the trunk asks for them.
    pub credentials: Option<Credentials>,
    /// Sources whose calls belong to this trunk, beside the target's own address.
    pub accept_from: Vec<IpNet>,
    /// Registration to hold at the trunk.
    pub registration: Option<Registration>,
    /// How long a request waits for its final answer, or an INVITE for its first provisional one:
    /// 64 * T1 of RFC 3261 (timers B and F) unless shortened.
    pub request_timeout: Duration,
    /// How callers are named, ours and theirs.
    pub identity: IdentityPolicy,
}

impl Trunk {
    /// A trunk at `target` with nothing else said: no credentials, no registration, calls from the
    /// target's own address only.
    pub fn new(name: impl Into<String>, target: Target) -> Self {
        Trunk {
            name: name.into(),
            domain: target.host.clone(),
            targets: vec![TrunkTarget {
                target,
                priority: 1,
                weight: 1,
            }],
            credentials: None,
            accept_from: Vec::new(),
            registration: None,
            request_timeout: Duration::from_secs(32),
            identity: IdentityPolicy::default(),
        }
    }
}

/// One of the targets of a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkTarget {
    /// Where it is.
    pub target: Target,
    /// Those of the lowest priority are tried first.
    pub priority: u16,
    /// Share of the calls among those of one priority; 0 comes after all others.
    pub weight: u16,
}

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

/// User name and password for digest authentication (RFC 8760).
#[derive(Debug, Clone)]
pub struct Credentials {
    /// User name as the challenge's realm knows it.
    pub username: String,
    /// Password in clear.
    pub password: Redacted<String>,
}

/// A registration to hold (RFC 3261 section 10).
#[derive(Debug, Clone)]
pub struct Registration {
    /// User part of the address of record.
    pub user: String,
    /// Seconds asked for.
    pub expires: u32,
}

/// Bounds on what a peer can make us hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Calls and attempts at the same time.
    pub legs: usize,
    /// Transactions at the same time; beyond it requests are answered 503 without state.
    pub transactions: usize,
    /// TCP connections at the same time.
    pub connections: usize,
    /// Bytes of one message on a stream, head and body each.
    pub message_bytes: usize,
    /// Messages waiting to be written to one TCP connection before it is given up.
    pub connection_queue: usize,
    /// A TCP connection that carries nothing for this long is closed.
    pub idle_timeout: Duration,
    /// Longest wait for a TCP connection to open.
    pub connect_timeout: Duration,
    /// Calls taken per second, from all sources together; beyond it 503 without state. 0: no
    /// limit.
    pub new_calls_per_second: u32,
    /// The same for one source whose address is no trunk's. 0: no limit.
    pub new_calls_per_second_per_source: u32,
    /// What a request from nobody we know gets.
    pub strangers: Strangers,
}

/// What a request gets whose source belongs to no trunk, and that belongs to no call of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    /// An answer without state: 403, or 481 where it names a dialog.
    Refuse,
    /// Nothing.
    Drop,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            legs: 10_000,
            transactions: 100_000,
            connections: 1_024,
            message_bytes: 65_535,
            connection_queue: 128,
            idle_timeout: Duration::from_secs(900),
            connect_timeout: Duration::from_secs(4),
            new_calls_per_second: 5_000,
            new_calls_per_second_per_source: 50,
            strangers: Strangers::Refuse,
        }
    }
}
