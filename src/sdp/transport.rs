//! How one end of a WebRTC session can be reached and recognised: the ICE and DTLS lines of SDP.

use std::fmt;
use std::str::FromStr;

/// Which end opens the DTLS association, `a=setup` (RFC 4145 section 4, RFC 8842 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// This end is the DTLS client.
    Active,
    /// This end is the DTLS server.
    Passive,
    /// Either: the answerer chooses. Only in offers.
    ActPass,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
        })
    }
}

/// A value of `a=setup` that the gateway does not know (`holdconn` among them).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown setup {0:?}, expected one of active, passive, actpass")]
pub struct UnknownSetup(pub String);

impl FromStr for Setup {
    type Err = UnknownSetup;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        match value {
            "active" => Ok(Setup::Active),
            "passive" => Ok(Setup::Passive),
            "actpass" => Ok(Setup::ActPass),
            other => Err(UnknownSetup(other.to_owned())),
        }
    }
}

/// A certificate's hash, `a=fingerprint` (RFC 8122 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function's name, lower case: `sha-256`.
    pub hash: String,
    /// The hash of the DER certificate.
    pub value: Vec<u8>,
}

/// The transport half of an offer or an answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Description {
    /// `a=ice-ufrag` (RFC 8839 section 5.4).
    pub ufrag: String,
    /// `a=ice-pwd` (RFC 8839 section 5.4). A credential: `Debug` hides it.
    pub pwd: String,
    /// Whether `a=ice-lite` is there (RFC 8839 section 5.3).
    pub lite: bool,
    /// Whether `a=ice-options` holds `trickle` (RFC 8838 section 4.1).
    pub trickle: bool,
    /// Every `a=fingerprint`.
    pub fingerprints: Vec<Fingerprint>,
    /// `a=setup`.
    pub setup: Setup,
    /// The values of `a=candidate`, each beginning with `candidate:` (RFC 8839 section 5.1).
    pub candidates: Vec<String>,
    /// Whether `a=end-of-candidates` is there (RFC 8838 section 8.2).
    pub end_of_candidates: bool,
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description")
            .field("ufrag", &self.ufrag)
            .field("pwd", &"***")
            .field("lite", &self.lite)
            .field("trickle", &self.trickle)
            .field("fingerprints", &self.fingerprints)
            .field("setup", &self.setup)
            .field("candidates", &self.candidates)
            .field("end_of_candidates", &self.end_of_candidates)
            .finish()
    }
}
