//! `[trunk.rtp]`: whose RTP is taken, and at which addresses (RFC 4961).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::settings::addresses::one_or_several;

/// The table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkRtp {
    /// Send RTP where RTP comes from.
    pub symmetric: bool,
    /// Which IP addresses RTP is taken from.
    pub sources: RtpSources,
    /// Seconds of silence at the address of the SDP until another source gets our RTP.
    pub latch_after: u64,
    /// Seconds of silence at the addresses of SDP and SIP until another source is heard.
    pub heard_after: u64,
    /// The local addresses of RTP to it, one of each family at most; empty: those of `[media]`.
    #[serde(deserialize_with = "one_or_several")]
    pub address: Vec<IpAddr>,
    /// The addresses to write into SDP in their place, each for that of its family.
    #[serde(deserialize_with = "one_or_several")]
    pub advertise: Vec<IpAddr>,
}

/// `rtp.sources`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RtpSources {
    /// That of the SDP.
    Sdp,
    /// Also that of the SIP messages.
    Peer,
    /// Also one other while those are silent, which gets nothing.
    #[default]
    Heard,
    /// Every one.
    Any,
}

impl Default for TrunkRtp {
    fn default() -> Self {
        TrunkRtp {
            symmetric: true,
            sources: RtpSources::default(),
            latch_after: 5,
            heard_after: 1,
            address: Vec::new(),
            advertise: Vec::new(),
        }
    }
}
