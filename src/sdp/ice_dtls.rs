//! The transport of a WebRTC session as SDP describes it: ICE, DTLS and their credentials.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// One end's ICE and DTLS parameters (RFC 8839, RFC 8842).
#[derive(Clone, PartialEq, Eq)]
pub struct IceDtlsParameters {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`. `Debug` does not show it.
    pub pwd: String,
    /// `a=ice-lite`.
    pub lite: bool,
    /// `a=ice-options:trickle` (RFC 8840): candidates may follow.
    pub trickle: bool,
    /// The certificate's hashes, `a=fingerprint`.
    pub fingerprints: Vec<Fingerprint>,
    /// The DTLS role, `a=setup`.
    pub setup: Setup,
    /// Candidates, `candidate:...`, without the leading `a=`.
    pub candidates: Vec<String>,
    /// `a=end-of-candidates`.
    pub end_of_candidates: bool,
}

impl fmt::Debug for IceDtlsParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceDtlsParameters")
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

/// The hash of a certificate (RFC 8122 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function as registered, in lower case: `sha-256`.
    pub hash: String,
    /// The hash.
    pub value: Vec<u8>,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.hash)?;
        for (index, byte) in self.value.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || Error::MalformedFingerprint(text.chars().take(80).collect());
        let (hash, pairs) = text.trim().split_once(' ').ok_or_else(malformed)?;
        let value = pairs
            .trim()
            .split(':')
            .map(|pair| match pair.as_bytes() {
                [high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    u8::from_str_radix(pair, 16).map_err(|_| malformed())
                }
                _ => Err(malformed()),
            })
            .collect::<Result<Vec<u8>, Error>>()?;
        Ok(Fingerprint {
            hash: hash.to_ascii_lowercase(),
            value,
        })
    }
}

/// Who opens the DTLS association (RFC 8842 section 5, values of RFC 4145 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// This end is the DTLS client.
    Active,
    /// This end is the DTLS server.
    Passive,
    /// This end leaves it to the other; offers only.
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

impl FromStr for Setup {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "active" => Ok(Setup::Active),
            "passive" => Ok(Setup::Passive),
            "actpass" => Ok(Setup::ActPass),
            // holdconn (RFC 4145) has no meaning in DTLS-SRTP.
            _ => Err(Error::UnsupportedSetup(text.chars().take(80).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_in_any_case_and_written_as_registered() {
        let fingerprint: Fingerprint = "SHA-256 ab:CD:01".parse().expect("well formed");
        assert_eq!(fingerprint.value, [0xab, 0xcd, 0x01]);
        assert_eq!(fingerprint.to_string(), "sha-256 AB:CD:01");
    }

    #[test]
    fn a_broken_fingerprint_is_refused() {
        for text in [
            "",
            "sha-256",
            "sha-256 ",
            "sha-256 A",
            "sha-256 AB:",
            "sha-256 +1:AB",
            "sha-256 é",
        ] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_password_does_not_show() {
        let parameters = IceDtlsParameters {
            ufrag: "user".into(),
            pwd: "hunter2hunter2hunter2hunter2".into(),
            lite: false,
            trickle: true,
            fingerprints: Vec::new(),
            setup: Setup::ActPass,
            candidates: Vec::new(),
            end_of_candidates: false,
        };
        assert!(!format!("{parameters:?}").contains("hunter2"));
    }
}
