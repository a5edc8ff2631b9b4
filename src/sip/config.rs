//! What the SIP user agent is told at start: listeners, trunks, limits.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::address::sip_uri;
use super::policy::{IdentityPolicy, RedirectPolicy};
use super::target::Target;
use super::transport_protocol::Transport;
use crate::dscp::Dscp;
use crate::redacted::Redacted;
use crate::supervision::Supervisor;

/// The whole configuration of the user agent. The default has no listener and no trunk.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Sockets to open. Requests leave by the first one of fitting protocol and family.
    pub listen: Vec<Listen>,
    /// Address written into Via and Contact instead of the socket's own (1:1 NAT).
    pub advertised: Option<IpAddr>,
    /// Value of User-Agent and Server.
    pub user_agent: String,
    /// What no other installation has, and what lasts: part of what the instance of a registration
    /// is hashed from (RFC 5626 section 4.1).
    pub installation: Option<Redacted<String>>,
    /// The PBXs and carriers that we call and that call us.
    pub trunks: Vec<Trunk>,
    /// Name servers to ask; none: those of the system.
    pub dns_servers: Vec<SocketAddr>,
    /// Bounds on memory and time.
    pub limits: Limits,
    /// What TLS proves and whom it trusts.
    pub tls: Tls,
    /// How all that is sent is marked.
    pub dscp: Dscp,
    /// Watches the tasks of the user agent.
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

/// TLS towards one trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkTls {
    /// The name that the trunk's certificate must bear; absent: the host of its target.
    pub name: Option<String>,
    /// Whether it must bear it at all. False is for tests: anybody on the way can listen.
    pub verify: bool,
    /// Shown to this trunk instead of [`Tls::certificate`].
    pub certificate: Option<Certificate>,
}

impl Default for TrunkTls {
    fn default() -> Self {
        TrunkTls {
            name: None,
            verify: true,
            certificate: None,
        }
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

/// Whether the listener of that index is sent by and received at in a family. `[::]` is one
/// listener of both families, unless another one has its port in IPv4.
pub fn serves(listeners: &[Listen], index: usize, ipv4: bool) -> bool {
    let Some(at) = listeners.get(index) else {
        return false;
    };
    at.address.is_ipv4() == ipv4 || is_dual(listeners, index)
}

/// Whether one socket serves both families.
pub fn is_dual(listeners: &[Listen], index: usize) -> bool {
    let Some(at) = listeners.get(index) else {
        return false;
    };
    let in_its_way = |other: &Listen| {
        other.address.is_ipv4()
            && other.transport.is_reliable() == at.transport.is_reliable()
            && other.address.port() == at.address.port()
            && at.address.port() != 0
    };
    at.address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !listeners.iter().any(in_its_way)
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
    /// Its requests come from the address and the port of a target, which is an IP address: at a
    /// host that it shares with other programs the address alone says nothing.
    pub exact_source: bool,
    /// Registration to hold at the trunk.
    pub registration: Option<Registration>,
    /// User part of the Contact of that registration; `None`: the registered user, with a token
    /// where several registrations have that user.
    pub contact_user: Option<String>,
    /// What the trunk's own requests that begin something must prove.
    pub inbound: Option<Credentials>,
    /// Key of a subscriber, for trunks that challenge by AKA.
    pub aka: Option<Aka>,
    /// Lines of single users at the trunk, each with a registration of its own.
    pub accounts: Vec<Account>,
    /// URIs of the Route headers that requests outside dialogs begin with; the first is where they
    /// go (RFC 3261 section 8.1.2).
    pub routes: Vec<String>,
    /// Probes of each target.
    pub health: Option<HealthCheck>,
    /// How long a place that answers nothing is waited for: a call always goes on after that, to
    /// the next place or to its owner; other requests where another place is left.
    pub try_timeout: Duration,
    /// How long a request waits for its final answer, or an INVITE for its first provisional one:
    /// 64 * T1 of RFC 3261 (timers B and F) unless shortened.
    pub request_timeout: Duration,
    /// How its dialogs are kept.
    pub dialogs: DialogRules,
    /// True when its URIs are `sips:`: every hop of a call must be TLS (RFC 5630).
    pub sips: bool,
    /// Certificates and trust.
    pub tls: TrunkTls,
    /// Address written into Via and Contact towards this trunk instead of [`Config::advertised`].
    pub advertised: Option<IpAddr>,
    /// Pause between the datagrams that keep the way open where we are registered by UDP; zero:
    /// none are sent.
    pub keep_alive: Duration,
    /// How callers are named, ours and theirs.
    pub identity: IdentityPolicy,
    /// What becomes of a 3xx.
    pub redirect: RedirectPolicy,
    /// Hosts beside its own that a followed 3xx may take keys of SRTP (RFC 4568) and headers of
    /// pages to.
    pub redirect_hosts: Vec<String>,
    /// Its RTP must be encrypted: a 3xx to a host that may not have keys is not followed.
    pub srtp_required: bool,
    /// Its REFERs are followed, and its INVITEs may replace calls of its own.
    pub transfer: bool,
}

/// How the dialogs of a trunk are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialogRules {
    /// Reliable provisional answers (RFC 3262).
    pub prack: Prack,
    /// Session interval that we ask for, seconds (RFC 4028); 0 asks for none.
    pub session_expires: u32,
    /// Shortest session interval that we agree to, seconds.
    pub min_session_expires: u32,
    /// New offers of ours go by UPDATE where the peer allows it, not by re-INVITE.
    pub offer_by_update: bool,
}

impl Default for DialogRules {
    fn default() -> Self {
        DialogRules {
            prack: Prack::Supported,
            session_expires: 0,
            min_session_expires: 90,
            offer_by_update: false,
        }
    }
}

/// What a trunk is told of reliable provisional answers (RFC 3262).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prack {
    /// Nothing; a call that requires them is refused with 420.
    Off,
    /// That we can. Ours are reliable where the peer requires it, or supports it and the answer
    /// carries SDP.
    Supported,
    /// That we must have them; a call from a peer that cannot is refused with 421.
    Required,
}

impl Trunk {
    /// A trunk at `target` with nothing else said: no credentials, no registration, calls from the
    /// target's own address only.
    pub fn new(name: impl Into<String>, target: Target) -> Self {
        let target = TrunkTarget {
            target,
            priority: 1,
            weight: 1,
        };
        Trunk::with_targets(name, vec![target])
    }

    /// The same with several targets; the domain is the host of the first.
    pub fn with_targets(name: impl Into<String>, targets: Vec<TrunkTarget>) -> Self {
        let host = targets.first().map(|first| first.target.host.clone());
        Trunk {
            name: name.into(),
            domain: host.unwrap_or_default(),
            targets,
            credentials: None,
            accept_from: Vec::new(),
            exact_source: false,
            registration: None,
            contact_user: None,
            inbound: None,
            aka: None,
            accounts: Vec::new(),
            routes: Vec::new(),
            health: None,
            try_timeout: Duration::from_secs(4),
            request_timeout: Duration::from_secs(32),
            dialogs: DialogRules::default(),
            sips: false,
            tls: TrunkTls::default(),
            advertised: None,
            keep_alive: Duration::from_secs(25),
            identity: IdentityPolicy::default(),
            redirect: RedirectPolicy::default(),
            redirect_hosts: Vec::new(),
            srtp_required: false,
            transfer: true,
        }
    }

    /// The URI of a user at this trunk; of the trunk itself for an empty one.
    pub fn uri(&self, user: &str) -> String {
        let uri = sip_uri(user, &self.domain);
        if self.sips {
            uri.replacen("sip:", "sips:", 1)
        } else {
            uri
        }
    }
}

/// Probes of a trunk's targets by OPTIONS (RFC 3261 section 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthCheck {
    /// From one to the next.
    pub every: Duration,
    /// How many in a row must fail until a place is out, one at least.
    pub failures: u32,
    /// Nobody has asked for them: silence of a place that has never answered a probe then says
    /// nothing of its calls.
    pub by_default: bool,
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
    /// Ask for Outbound (RFC 5626): the binding carries an instance and outlives a restart.
    pub outbound: bool,
}

/// A subscriber's key (3GPP TS 35.206) for AKA digest (RFC 3310).
#[derive(Debug, Clone)]
pub struct Aka {
    /// K.
    pub key: Redacted<[u8; 16]>,
    /// OP of the operator, where OPc is not given.
    pub op: Option<Redacted<[u8; 16]>>,
    /// OPc.
    pub opc: Option<Redacted<[u8; 16]>>,
    /// AMF of resynchronisation tokens, zero by TS 33.102 section 6.3.3.
    pub field: [u8; 2],
}

/// A line that one user has at a trunk.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user whose it is, as [`Outgoing::account`](super::Outgoing) and
    /// [`Handle::present`](super::Handle) name it.
    pub user: String,
    /// The address of record and how it is registered.
    pub registration: Registration,
    /// Answers to digest challenges of its registration and its calls.
    pub credentials: Option<Credentials>,
    /// When it is registered.
    pub registered: Registered,
}

/// When an account is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// From start to end.
    Always,
    /// While its user is there.
    Present,
    /// Not at all: its calls only use its name and credentials.
    Never,
}

/// Bounds on what a peer can make us hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Calls and attempts at the same time.
    pub legs: usize,
    /// Transactions at the same time; beyond it requests are answered 503 without state.
    pub transactions: usize,
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
    /// Calls taken per second, from all sources together; beyond it 503 without state. 0: no
    /// limit.
    pub new_calls_per_second: u32,
    /// The same for one source whose address is no trunk's. 0: no limit.
    pub new_calls_per_second_per_source: u32,
    /// What a request from nobody we know gets.
    pub unknown_sources: UnknownSources,
}

/// What a request gets whose source belongs to no trunk, and that belongs to no call of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownSources {
    /// An answer without state: 403, or 481 where it names a dialog.
    Reject,
    /// Nothing.
    Drop,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            legs: 10_000,
            transactions: 100_000,
            connections: 1_024,
            connections_per_source: 128,
            handshakes: 256,
            message_bytes: 65_535,
            connection_queue: 128,
            idle_timeout: Duration::from_secs(900),
            message_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(4),
            new_calls_per_second: 5_000,
            new_calls_per_second_per_source: 50,
            unknown_sources: UnknownSources::Reject,
            handshake_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(110),
            pong_timeout: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_of_all_addresses_serves_both_families_unless_ipv4_has_its_port() {
        let listen = |transport, address: &str| Listen {
            transport,
            address: address.parse().expect("an address and port"),
        };
        let served = |others: &[Listen]| {
            let mut all = vec![listen(Transport::Udp, "[::]:5060")];
            all.extend_from_slice(others);
            assert!(serves(&all, 0, false));
            assert!(!serves(&all, all.len(), true));
            serves(&all, 0, true)
        };
        assert!(served(&[]));
        assert!(served(&[listen(Transport::Tcp, "0.0.0.0:5060")]));
        assert!(served(&[listen(Transport::Udp, "0.0.0.0:5080")]));
        assert!(served(&[listen(Transport::Udp, "[::1]:5060")]));
        assert!(!served(&[listen(Transport::Udp, "0.0.0.0:5060")]));
        assert!(!served(&[listen(Transport::Udp, "192.0.2.1:5060")]));
        let one = [listen(Transport::Udp, "[2001:db8::1]:5060")];
        assert!(!serves(&one, 0, true));
        let tls = [
            listen(Transport::Tls, "[::]:5061"),
            listen(Transport::Tcp, "192.0.2.1:5061"),
        ];
        assert!(!serves(&tls, 0, true));
    }
}
