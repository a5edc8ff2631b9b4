//! What the SIP user agent is told at start: listeners, trunks, limits.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::policy::{IdentityPolicy, RedirectPolicy};
use crate::dscp::Dscp;
use crate::redacted::Redacted;
use crate::sip::stack::address::sip_uri;
use crate::sip::stack::dialog_rules::DialogRules;
use crate::sip::stack::digest::{Aka, Authorizer, Credentials};
use crate::sip::stack::listen::Listen;
use crate::sip::stack::target::Target;
use crate::sip::stack::transport::{ConnectionLimits, PeerTls, Tls, TransportConfig};
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

impl Config {
    /// What the transports need of it.
    pub fn transport(&self) -> TransportConfig {
        TransportConfig {
            listen: self.listen.clone(),
            dns_servers: self.dns_servers.clone(),
            limits: self.limits.transport.clone(),
            tls: self.tls.clone(),
            peers: self.trunks.iter().map(|trunk| trunk.tls.clone()).collect(),
            dscp: self.dscp,
            supervisor: self.supervisor.clone(),
        }
    }
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
    pub tls: PeerTls,
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
            tls: PeerTls::default(),
            advertised: None,
            keep_alive: Duration::from_secs(25),
            identity: IdentityPolicy::default(),
            redirect: RedirectPolicy::default(),
            redirect_hosts: Vec::new(),
            srtp_required: false,
            transfer: true,
        }
    }

    /// What answers the challenges to its own requests; `index` is that of the trunk, whose key of a
    /// subscriber counts.
    pub fn authorizer(&self, index: usize) -> Option<Authorizer> {
        let subscriber = self.aka.is_some().then_some(index);
        let own = self.credentials.clone()?;
        Some(Authorizer::new(own).with_subscriber(subscriber))
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

/// A line that one user has at a trunk.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user whose it is, as [`Outgoing::account`](crate::sip::Outgoing) and
    /// [`Handle::present`](crate::sip::Handle) name it.
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
    /// Of the connections.
    pub transport: ConnectionLimits,
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
            transport: ConnectionLimits::default(),
            new_calls_per_second: 5_000,
            new_calls_per_second_per_source: 50,
            unknown_sources: UnknownSources::Reject,
        }
    }
}
