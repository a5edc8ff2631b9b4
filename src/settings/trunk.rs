//! `[[trunk]]`: a PBX, a carrier, or several of them that take the same calls.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::addresses::one_or_several;
use super::secret::Secret;

/// One `[[trunk]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trunk {
    /// Used by routes, logs and metrics.
    pub name: String,
    /// `sip:HOST:PORT;transport=udp`, `tcp` or `tls`, or `sips:HOST:PORT`.
    pub target: String,
    /// Several in place of `target`.
    pub targets: Vec<TrunkTarget>,
    /// Seconds until a silent target is left for another one, or the call has failed.
    pub try_timeout: u64,
    /// Seconds between the probes of each address, 0 for none; absent: 30.
    pub health_check: Option<u64>,
    /// Probes in a row that must fail until a target is out.
    pub health_failures: u32,
    /// The proxy that requests go to, `sip:HOST;lr`.
    pub outbound_proxy: Option<String>,
    /// The Route headers of requests outside of calls, after that of `outbound_proxy`.
    pub routes: Vec<String>,
    /// The host part of From and To; absent: that of `target`.
    pub domain: Option<String>,
    /// The user who is registered, and the name for digest authentication; one with `@` is the
    /// latter only where `from_user` is given.
    pub username: Option<String>,
    /// The name for digest authentication; absent: `username`.
    pub auth_username: Option<String>,
    /// Likewise.
    pub password: Option<Secret>,
    /// Register `username` at the PBX.
    pub register: bool,
    /// Seconds that a registration is asked for.
    pub register_expires: u32,
    /// The user part of the registered Contact; absent: `username`, with a token where several
    /// registrations have the same user.
    pub contact_user: Option<String>,
    /// Register with Outbound (RFC 5626).
    pub register_outbound: bool,
    /// What the trunk's own calls must prove by digest.
    pub inbound_username: Option<String>,
    /// Likewise.
    pub inbound_password: Option<Secret>,
    /// Key of the subscriber, for AKA digest: 32 hexadecimal digits, as `aka_op` and `aka_opc`.
    pub aka_key: Option<Secret>,
    /// The operator's OP, where `aka_opc` is not given.
    pub aka_op: Option<Secret>,
    /// OPc.
    pub aka_opc: Option<Secret>,
    /// AMF of resynchronisation: four hexadecimal digits.
    pub aka_amf: String,
    /// The user part of From; absent: the page's user, or `username` where we register.
    pub from_user: Option<String>,
    /// Addresses, beside the target's own, whose calls belong to this trunk.
    pub accept_from: Vec<String>,
    /// Offered to the PBX in this order.
    pub codecs: Vec<String>,
    /// Prefer a codec that both sides share over transcoding.
    pub passthrough: bool,
    /// Milliseconds of audio in a packet.
    pub ptime: u8,
    /// Offer RFC 4733 digits.
    pub telephone_event: bool,
    /// The clocks of those digits, hertz: 8000, 48000 (beside Opus only) or both.
    pub telephone_event_clocks: Vec<u32>,
    /// `off`, `supported` or `required`: reliable provisional answers (RFC 3262).
    pub prack: String,
    /// Let the PBX make the offer: INVITE without SDP.
    pub delayed_offer: bool,
    /// Seconds that a session lasts without a refresh (RFC 4028); 0: we do not ask for that.
    pub session_expires: u32,
    /// The least that we agree to.
    pub min_se: u32,
    /// `re-invite` or `update`: how hold and resume are offered where the PBX allows both.
    pub session_modification: String,
    /// `rfc4733`, `inband`, `info-relay` or `info`: how the digits that a page asks for reach the
    /// PBX.
    pub dtmf: String,
    /// Listen for digits in the audio of the PBX.
    pub inband_digits: bool,
    /// Send RTP where RTP comes from (RFC 4961).
    pub symmetric_rtp: bool,
    /// `sdp`, `peer`, `heard` or `any`: which IP addresses RTP is taken from.
    pub rtp_sources: String,
    /// Seconds of silence at the address of the SDP until another source gets our RTP.
    pub rtp_latch_after: u64,
    /// Seconds of silence at the addresses of SDP and SIP until another source is heard.
    pub rtp_heard_after: u64,
    /// The address to write into Via and Contact towards it, instead of `sip.advertise`.
    pub advertise: Option<IpAddr>,
    /// The local addresses of RTP to it, one of each family at most; empty: those of `[media]`.
    #[serde(deserialize_with = "one_or_several")]
    pub rtp_address: Vec<IpAddr>,
    /// The addresses to write into SDP in their place, each for that of its family.
    #[serde(deserialize_with = "one_or_several")]
    pub rtp_advertise: Vec<IpAddr>,
    /// Seconds between keep-alives where we are registered by UDP; 0: none.
    pub keep_alive: u64,
    /// Whether its certificate must bear its name.
    pub tls_verify: bool,
    /// The name that its certificate must bear; absent: the host of `target`.
    pub tls_name: Option<String>,
    /// A PEM certificate to show to it instead of `sip.certificate`.
    pub tls_certificate: Option<PathBuf>,
    /// Its PEM key.
    pub tls_certificate_key: Option<PathBuf>,
    /// Encrypt RTP by keys in SDP: `off`, `optional` or `required`.
    pub srtp: String,
    /// The crypto suites of that, offered in this order.
    pub crypto_suites: Vec<String>,
    /// Offer RTP/AVPF, or RTP/SAVPF.
    pub avpf: bool,
    /// Which header names the caller beside From: `from` (none), `pai`, `ppi` or `rpid`.
    pub identity: String,
    /// Believe its P-Asserted-Identity, tell it who anonymous callers are.
    pub trusted: bool,
    /// Rewrites of our caller's number; the first that matches.
    pub caller_id: Vec<Renumbering>,
    /// Headers of its INVITEs that the page sees.
    pub headers_to_client: Vec<String>,
    /// Headers that a page may set on its INVITEs.
    pub headers_from_client: Vec<String>,
    /// What becomes of a 3xx: `pass` or `follow`.
    pub redirect: String,
    /// Hosts beside its own that a followed 3xx may take keys of SRTP and headers of pages to.
    pub redirect_hosts: Vec<String>,
    /// Follow its REFERs, let its INVITEs replace its calls.
    pub transfer: bool,
    /// P-Access-Network-Info of our requests: `pass`, `remove` or a value.
    pub access_network_info: String,
    /// P-Visited-Network-ID: likewise.
    pub visited_network_id: String,
    /// P-Charging-Vector: likewise.
    pub charging_vector: String,
    /// The same as `called_number = "p-called-party-id"`.
    pub called_party_id: bool,
    /// `request`, `to` or `p-called-party-id`: where the called number of its calls stands; absent:
    /// in the request URI, and in To for calls to the Contact that was registered.
    pub called_number: Option<String>,
}

/// One row of `caller_id`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Renumbering {
    /// For the whole number.
    #[serde(rename = "match", default)]
    pub pattern: String,
    /// May use the pattern's groups.
    #[serde(default)]
    pub to: String,
}

/// One of `trunk.targets`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkTarget {
    /// As `trunk.target`.
    #[serde(default)]
    pub target: String,
    /// Lower ones are tried first.
    #[serde(default = "one")]
    pub priority: u16,
    /// Share of the calls among those of one priority.
    #[serde(default = "one")]
    pub weight: u16,
}

fn one() -> u16 {
    1
}

impl Default for Trunk {
    fn default() -> Self {
        Trunk {
            name: String::new(),
            target: String::new(),
            targets: Vec::new(),
            try_timeout: 4,
            health_check: None,
            health_failures: 2,
            outbound_proxy: None,
            routes: Vec::new(),
            domain: None,
            username: None,
            auth_username: None,
            password: None,
            register: false,
            register_expires: 300,
            contact_user: None,
            register_outbound: true,
            inbound_username: None,
            inbound_password: None,
            aka_key: None,
            aka_op: None,
            aka_opc: None,
            aka_amf: "0000".to_owned(),
            from_user: None,
            accept_from: Vec::new(),
            codecs: vec!["PCMU".to_owned(), "PCMA".to_owned()],
            passthrough: false,
            ptime: 20,
            telephone_event: true,
            telephone_event_clocks: vec![8_000],
            prack: "supported".to_owned(),
            delayed_offer: false,
            session_expires: 1_800,
            min_se: 90,
            session_modification: "re-invite".to_owned(),
            dtmf: "rfc4733".to_owned(),
            inband_digits: false,
            symmetric_rtp: true,
            rtp_sources: "heard".to_owned(),
            rtp_latch_after: 5,
            rtp_heard_after: 1,
            advertise: None,
            rtp_address: Vec::new(),
            rtp_advertise: Vec::new(),
            keep_alive: 25,
            tls_verify: true,
            tls_name: None,
            tls_certificate: None,
            tls_certificate_key: None,
            srtp: "off".to_owned(),
            crypto_suites: [
                "AES_CM_128_HMAC_SHA1_80",
                "AES_CM_128_HMAC_SHA1_32",
                "AEAD_AES_128_GCM",
            ]
            .map(str::to_owned)
            .to_vec(),
            avpf: false,
            identity: "from".to_owned(),
            trusted: false,
            caller_id: Vec::new(),
            headers_to_client: Vec::new(),
            headers_from_client: Vec::new(),
            redirect: "pass".to_owned(),
            redirect_hosts: Vec::new(),
            transfer: true,
            access_network_info: "remove".to_owned(),
            visited_network_id: "remove".to_owned(),
            charging_vector: "remove".to_owned(),
            called_party_id: false,
            called_number: None,
        }
    }
}
