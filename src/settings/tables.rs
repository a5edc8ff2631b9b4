//! The tables and keys of the configuration file, with their defaults.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::addresses::one_or_several;
use super::secret::Secret;
use crate::redacted::Redacted;

/// Those of the tables that may stand several times.
pub(super) const ARRAYS: &[&str] = &["user", "trunk", "route", "inbound"];

/// The tables of the file, by their names.
pub(super) const TABLES: &[&str] = &[
    "http",
    "sign_in",
    "sip_websocket",
    "sip",
    "webrtc",
    "media",
    "calls",
    "built_in",
    "log",
    "user",
    "trunk",
    "route",
    "inbound",
];

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where they were read from, for errors.
    #[serde(skip)]
    pub source: super::Source,
    /// The HTTP listener and its limits.
    pub http: Http,
    /// How clients sign in.
    pub sign_in: SignIn,
    /// SIP over WebSocket.
    pub sip_websocket: SipWebSocket,
    /// The SIP side.
    pub sip: Sip,
    /// The WebRTC side.
    pub webrtc: WebRtc,
    /// RTP, workers, coders.
    pub media: Media,
    /// Limits of calls.
    pub calls: Calls,
    /// The built-in numbers.
    pub built_in: BuiltIn,
    /// Logging.
    pub log: Log,
    /// The users.
    pub user: Vec<User>,
    /// The PBXs and trunks.
    pub trunk: Vec<super::Trunk>,
    /// From a dialled string to a trunk.
    pub route: Vec<Route>,
    /// From a called number to a user.
    pub inbound: Vec<Inbound>,
}

/// `[http]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where the page, `/rtc`, `/health` and `/metrics` are served.
    pub listen: SocketAddr,
    /// Origins of pages that may open `/rtc`; empty: the page's own host only; `*`: any.
    pub allowed_origins: Vec<String>,
    /// Names that the gateway answers to, besides addresses and `localhost`; `*`: any.
    pub host_names: Vec<String>,
    /// Addresses and ranges of proxies that tell the client's address.
    pub trusted_proxies: Vec<String>,
    /// TCP connections at most.
    pub max_connections: usize,
    /// TCP connections of one address (in IPv6 of one /64) at most.
    pub max_connections_per_address: usize,
    /// Open sockets at most.
    pub max_sockets: usize,
    /// Open sockets of one address at most.
    pub max_sockets_per_address: usize,
    /// Seconds until a socket that says nothing is closed.
    pub idle_timeout: u64,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            allowed_origins: Vec::new(),
            host_names: Vec::new(),
            trusted_proxies: Vec::new(),
            max_connections: 20_000,
            max_connections_per_address: 1_000,
            max_sockets: 10_000,
            max_sockets_per_address: 500,
            idle_timeout: 60,
        }
    }
}

impl Http {
    /// `trusted_proxies` as ranges; an error is the entry that is none.
    pub fn proxies(&self) -> Result<Vec<IpNet>, &str> {
        let read = |text: &String| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse::<IpNet>().or_else(|_| address()).ok()
        };
        let all = self.trusted_proxies.iter();
        all.map(|text| read(text).ok_or(text.as_str())).collect()
    }
}

/// `[sip_websocket]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SipWebSocket {
    /// Whether `/sip` is served.
    pub enabled: bool,
    /// The realm of digest challenges.
    pub realm: String,
}

impl Default for SipWebSocket {
    fn default() -> Self {
        SipWebSocket {
            enabled: true,
            realm: "trunkline".to_owned(),
        }
    }
}

/// `[sign_in]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignIn {
    /// Whether a client may sign in without credentials, as a guest; absent: only where there is no
    /// `[[user]]`, no key for tokens and no `[[trunk]]`.
    pub anonymous: Option<bool>,
    /// The key that signs JSON Web Tokens: a secret of 32 bytes or more (HS256), or a PEM public
    /// key (RS256, ES256).
    pub jwt_key: Option<Secret>,
    /// A file with that key.
    pub jwt_key_file: Option<PathBuf>,
    /// The claim that names the user.
    pub jwt_user_claim: String,
    /// The audience that a token must be for.
    pub jwt_audience: Option<String>,
    /// Wrong passwords and tokens of one address (in IPv6 of one /64) within `failure_window`.
    pub max_failures_per_address: u32,
    /// Those of one user from one such address.
    pub max_failures_per_user_and_address: u32,
    /// Those of one user from all addresses; beyond it an address that has some waits longer.
    pub max_failures_per_user: u32,
    /// Seconds until as many failures as a limit has are forgotten.
    pub failure_window: u64,
    /// Seconds that the answer to a wrong password or token is held back.
    pub refusal_delay: u64,
}

impl Default for SignIn {
    fn default() -> Self {
        SignIn {
            anonymous: None,
            jwt_key: None,
            jwt_key_file: None,
            jwt_user_claim: "sub".to_owned(),
            jwt_audience: None,
            max_failures_per_address: 20,
            max_failures_per_user_and_address: 5,
            max_failures_per_user: 50,
            failure_window: 150,
            refusal_delay: 2,
        }
    }
}

/// `[sip]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sip {
    /// `udp:ADDRESS:PORT`, `tcp:ADDRESS:PORT` and `tls:ADDRESS:PORT`.
    pub listen: Vec<String>,
    /// The address to write into Via and Contact behind 1:1 NAT.
    pub advertise: Option<IpAddr>,
    /// What no other gateway has, for the instance of registrations; absent: the machine's identity.
    pub instance: Option<String>,
    /// Calls taken per second from everybody together; 0: no limit.
    pub new_calls_per_second: u32,
    /// The same for one address that is no trunk's; 0: no limit.
    pub new_calls_per_second_per_source: u32,
    /// What a request gets that no trunk sent.
    pub unknown_sources: UnknownSources,
    /// Name servers, `ADDRESS` or `ADDRESS:PORT`; empty: the system's.
    pub dns_servers: Vec<String>,
    /// Certificates.
    pub tls: SipTls,
    /// TCP and TLS connections at most.
    pub max_connections: usize,
    /// Those that one address may open.
    pub max_connections_per_address: usize,
    /// Seconds until a connection that carries nothing is closed.
    pub idle_timeout: u64,
    /// Seconds that a peer may take for its first message, and for each that it has begun.
    pub message_timeout: u64,
    /// The differentiated services code point of SIP, 0 to 63.
    pub dscp: u8,
}

/// `sip.unknown_sources`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownSources {
    /// 403.
    #[default]
    Reject,
    /// Nothing.
    Drop,
}

/// `[sip.tls]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SipTls {
    /// Our PEM certificate, with those between it and its authority.
    pub certificate: Option<PathBuf>,
    /// Its PEM key.
    pub certificate_key: Option<PathBuf>,
    /// PEM authorities that vouch for PBXs; absent: those of the machine.
    pub ca: Option<PathBuf>,
    /// PEM authorities that must vouch for who connects by TLS; absent: anybody may.
    pub client_ca: Option<PathBuf>,
}

impl Default for Sip {
    fn default() -> Self {
        Sip {
            listen: vec![
                "udp:127.0.0.1:5060".to_owned(),
                "tcp:127.0.0.1:5060".to_owned(),
            ],
            advertise: None,
            instance: None,
            new_calls_per_second: 5_000,
            new_calls_per_second_per_source: 50,
            unknown_sources: UnknownSources::default(),
            dns_servers: Vec::new(),
            tls: SipTls::default(),
            max_connections: 1_024,
            max_connections_per_address: 128,
            idle_timeout: 900,
            message_timeout: 30,
            dscp: 24,
        }
    }
}

/// `[webrtc]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebRtc {
    /// Local addresses that browsers reach; empty: that of `http.listen`, or all of the
    /// machine's where that is unspecified.
    pub addresses: Vec<IpAddr>,
    /// The first worker's UDP port, the next worker's is one higher; 0: any.
    pub port: u16,
    /// Public addresses in front of `addresses`, in the same order, behind 1:1 NAT.
    pub advertise: Vec<IpAddr>,
    /// ICE-lite: answer connectivity checks, never send any.
    pub lite: bool,
    /// STUN and TURN servers that clients get.
    pub ice_servers: Vec<IceServer>,
    /// A PEM certificate (ECDSA P-256) instead of one made at start.
    pub certificate: Option<PathBuf>,
    /// Its PEM key.
    pub certificate_key: Option<PathBuf>,
    /// The browser's codecs, the preferred first.
    pub codecs: Vec<String>,
}

impl Default for WebRtc {
    fn default() -> Self {
        WebRtc {
            addresses: Vec::new(),
            port: 0,
            advertise: Vec::new(),
            lite: false,
            ice_servers: Vec::new(),
            certificate: None,
            certificate_key: None,
            codecs: vec!["opus".to_owned(), "PCMU".to_owned(), "PCMA".to_owned()],
        }
    }
}

/// One of `webrtc.ice_servers`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IceServer {
    /// `stun:` and `turn:` URLs.
    #[serde(default)]
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(default)]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default)]
    pub credential: Option<Secret>,
}

/// `[media]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// Worker threads; 0: one for each core.
    pub workers: usize,
    /// The local addresses of RTP to PBXs, one of each family at most; empty: those of `sip.listen`.
    #[serde(deserialize_with = "one_or_several")]
    pub rtp_address: Vec<IpAddr>,
    /// The addresses to write into SDP behind 1:1 NAT, each for that of its family.
    #[serde(deserialize_with = "one_or_several")]
    pub rtp_advertise: Vec<IpAddr>,
    /// First and last UDP port of RTP.
    pub rtp_ports: String,
    /// Complexity of our Opus encoder, 0 to 10.
    pub opus_complexity: u8,
    /// Milliseconds that a packet may wait for one that should come before it.
    pub reorder_window: u64,
    /// Seconds without audio until the log says so.
    pub silence_timeout: u64,
    /// The differentiated services code point of RTP and RTCP on both sides, 0 to 63.
    pub dscp: u8,
}

impl Default for Media {
    fn default() -> Self {
        Media {
            workers: 0,
            rtp_address: Vec::new(),
            rtp_advertise: Vec::new(),
            rtp_ports: "20000-29999".to_owned(),
            opus_complexity: 0,
            reorder_window: 40,
            silence_timeout: 10,
            dscp: 46,
        }
    }
}

/// `[calls]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calls {
    /// At once.
    pub max: usize,
    /// At once that one client makes; as many again that it has answered.
    pub max_per_connection: usize,
    /// At once that ring at one client; further ones are refused with 486.
    pub max_ringing_per_client: usize,
    /// Seconds that a call may ring.
    pub ring_timeout: u64,
    /// Seconds that ICE and DTLS may take.
    pub connect_timeout: u64,
    /// Seconds without audio from either side after which an answered call ends that is not on
    /// hold; 0: it goes on.
    pub media_timeout: u64,
    /// Seconds that calls may go on after SIGTERM.
    pub drain_timeout: u64,
}

impl Default for Calls {
    fn default() -> Self {
        Calls {
            max: 5_000,
            max_per_connection: 8,
            max_ringing_per_client: 8,
            ring_timeout: 120,
            connect_timeout: 30,
            media_timeout: 0,
            drain_timeout: 30,
        }
    }
}

/// `[built_in]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuiltIn {
    /// Whether `echo`, `tone`, `digits`, `busy`, `ring` and `callback` are answered.
    pub enabled: bool,
}

impl Default for BuiltIn {
    fn default() -> Self {
        BuiltIn { enabled: true }
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How lines are written.
    pub format: LogFormat,
    /// A filter in the syntax of `tracing-subscriber`, such as `info` or `trunkline::sip=debug`.
    pub filter: String,
}

/// `log.format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One object a line.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            format: LogFormat::default(),
            filter: "info".to_owned(),
        }
    }
}

/// One `[[user]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name, which is also the number that the PBX sees.
    #[serde(default)]
    pub name: String,
    /// The password.
    #[serde(default)]
    pub password: Secret,
    /// The name that the called party sees.
    #[serde(default)]
    pub display_name: Option<String>,
    /// The trunk that the user has a line of its own at.
    #[serde(default)]
    pub trunk: Option<String>,
    /// That line's name at the PBX; absent: the user's name.
    #[serde(default)]
    pub trunk_username: Option<String>,
    /// The line's name for digest authentication; absent: `trunk_username`.
    #[serde(default)]
    pub trunk_auth_username: Option<String>,
    /// For digest authentication of the line.
    #[serde(default)]
    pub trunk_password: Option<Secret>,
    /// When the line is registered.
    #[serde(default)]
    pub trunk_register: LineRegistration,
}

/// `user.trunk_register`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineRegistration {
    /// As long as the gateway runs.
    Always,
    /// While the user is signed in.
    #[default]
    SignedIn,
    /// Not at all.
    Never,
}

impl User {
    /// A user with a password and nothing else said.
    pub fn new(name: impl Into<String>, password: Redacted<String>) -> Self {
        User {
            name: name.into(),
            password: Secret(password),
            display_name: None,
            trunk: None,
            trunk_username: None,
            trunk_auth_username: None,
            trunk_password: None,
            trunk_register: LineRegistration::default(),
        }
    }
}

/// One `[[route]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// A regular expression that the whole dialled string must match.
    #[serde(rename = "match", default)]
    pub pattern: String,
    /// The trunk's name.
    #[serde(default)]
    pub trunk: String,
    /// Trunks that are asked, in this order, where that one cannot.
    #[serde(default)]
    pub fallback: Vec<String>,
    /// The number that the trunk is asked for, with `$0`, `$1`...
    #[serde(default = "default_template")]
    pub to: String,
    /// The users that may take it; empty: all who have signed in with credentials.
    #[serde(default)]
    pub users: Vec<String>,
    /// Whether guests, who have signed in without credentials, may take it.
    #[serde(default)]
    pub guests: bool,
    /// What a caller gets who may not take it.
    #[serde(default)]
    pub otherwise: Otherwise,
}

/// `route.otherwise`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Otherwise {
    /// The call is refused.
    #[default]
    Refuse,
    /// The routes after it are tried.
    Next,
}

impl Route {
    /// A route for all users, with nothing else said.
    pub fn new(pattern: impl Into<String>, trunk: impl Into<String>) -> Self {
        Route {
            pattern: pattern.into(),
            trunk: trunk.into(),
            fallback: Vec::new(),
            to: default_template(),
            users: Vec::new(),
            guests: false,
            otherwise: Otherwise::default(),
        }
    }
}

fn default_template() -> String {
    "$0".to_owned()
}

/// One `[[inbound]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// A regular expression that the whole called number must match.
    #[serde(rename = "match", default)]
    pub pattern: String,
    /// The user, with `$0`, `$1`...
    #[serde(default = "default_template")]
    pub user: String,
    /// The trunk that the call must come from; absent: any trunk.
    #[serde(default)]
    pub trunk: Option<String>,
}
