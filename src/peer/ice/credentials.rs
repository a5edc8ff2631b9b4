//! The user name fragment and password of one end (RFC 8839 section 5.4).

use rtc_crypto::RTCRandom;

use crate::peer::Error;
use crate::redacted::Redacted;

/// Lengths of our credentials in characters of six bits: 72 and 144 bits. RFC 8839 section 5.4
/// asks for 24 and 128; the ufrag is also what tells calls on one port apart.
const UFRAG_LENGTH: usize = 12;
const PWD_LENGTH: usize = 24;

/// The ICE credentials of one end.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::peer) struct IceCredentials {
    pub ufrag: String,
    pub pwd: Redacted<String>,
}

impl IceCredentials {
    /// New ones, that nobody can guess.
    pub(in crate::peer) fn generate(random: &dyn RTCRandom) -> Result<Self, Error> {
        Ok(IceCredentials {
            ufrag: ice_chars(UFRAG_LENGTH, random)?,
            pwd: Redacted::new(ice_chars(PWD_LENGTH, random)?),
        })
    }

    /// Those of a description of the other end, if their lengths are allowed.
    pub(in crate::peer) fn of_remote(ufrag: String, pwd: String) -> Result<Self, Error> {
        let (ufrag_length, pwd_length) = (ufrag.len(), pwd.len());
        if !(4..=256).contains(&ufrag_length) || !(22..=256).contains(&pwd_length) {
            return Err(Error::IceCredentials {
                ufrag: ufrag_length,
                pwd: pwd_length,
            });
        }
        Ok(IceCredentials {
            ufrag,
            pwd: Redacted::new(pwd),
        })
    }
}

/// Random ice-chars (RFC 8839 section 5.4).
fn ice_chars(length: usize, random: &dyn RTCRandom) -> Result<String, Error> {
    const ICE_CHARS: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0; length];
    random
        .fill(&mut bytes)
        .map_err(|error| Error::Crypto(error.to_string()))?;
    Ok(bytes
        .into_iter()
        .map(|byte| char::from(ICE_CHARS[usize::from(byte % 64)]))
        .collect())
}
