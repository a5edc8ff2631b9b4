//! `[[trunk]]`: codecs and how their packets are protected.

use serde::{Deserialize, Serialize};

use crate::settings::error::{Collector, Error};
use crate::settings::rules::Key;

/// Keys of `[[trunk]]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkAudio {
    /// Offered to the PBX in this order.
    pub codecs: Vec<String>,
    /// Prefer a codec that both sides share over transcoding.
    pub passthrough: bool,
    /// Milliseconds of audio in a packet.
    pub ptime: u8,
    /// Encrypt RTP by keys in SDP.
    pub srtp: Srtp,
    /// The crypto suites of that, offered in this order.
    pub crypto_suites: Vec<String>,
    /// Offer RTP/AVPF, or RTP/SAVPF.
    pub avpf: bool,
}

/// `srtp`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Srtp {
    /// Plain RTP.
    #[default]
    Off,
    /// Keys are offered beside plain RTP (RFC 8643).
    Optional,
    /// Nothing else.
    Required,
}

impl Default for TrunkAudio {
    fn default() -> Self {
        TrunkAudio {
            codecs: vec!["PCMU".to_owned(), "PCMA".to_owned()],
            passthrough: false,
            ptime: 20,
            srtp: Srtp::default(),
            crypto_suites: [
                "AES_CM_128_HMAC_SHA1_80",
                "AES_CM_128_HMAC_SHA1_32",
                "AEAD_AES_128_GCM",
            ]
            .map(str::to_owned)
            .to_vec(),
            avpf: false,
        }
    }
}

impl TrunkAudio {
    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        if !matches!(self.ptime, 10 | 20 | 30 | 40 | 60) {
            let written = self.ptime.to_string();
            found.push(Error::shown(key("ptime"), written, "10, 20, 30, 40 or 60"));
        }
    }
}
