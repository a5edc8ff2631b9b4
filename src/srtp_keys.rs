//! Vocabulary: SRTP keys (RFC 3711): the suite and the master keys of both directions of one side,
//! wherever they came from.

use std::fmt;
use std::str::FromStr;

use crate::redacted::Redacted;

/// Octets of the longest master key with its salt.
pub const LONGEST_MASTER: usize = 30;

/// What protects the packets, by the names of RFC 4568 section 6.2 and RFC 7714 section 14.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CryptoSuite {
    /// `AES_CM_128_HMAC_SHA1_80`.
    Aes128CmSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`: as above with a tag of 32 bits for RTP; that of RTCP stays
    /// at 80.
    Aes128CmSha1_32,
    /// `AEAD_AES_128_GCM`.
    AeadAes128Gcm,
}

impl CryptoSuite {
    /// Every suite, in the order of the default configuration: what all equipment knows is first.
    pub const ALL: [CryptoSuite; 3] = [
        CryptoSuite::Aes128CmSha1_80,
        CryptoSuite::Aes128CmSha1_32,
        CryptoSuite::AeadAes128Gcm,
    ];

    /// The name as registered.
    pub const fn name(self) -> &'static str {
        match self {
            CryptoSuite::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            CryptoSuite::Aes128CmSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            CryptoSuite::AeadAes128Gcm => "AEAD_AES_128_GCM",
        }
    }

    /// Octets of the master key.
    pub const fn key_length(self) -> usize {
        16
    }

    /// Octets of the master salt.
    pub const fn salt_length(self) -> usize {
        match self {
            CryptoSuite::Aes128CmSha1_80 | CryptoSuite::Aes128CmSha1_32 => 14,
            CryptoSuite::AeadAes128Gcm => 12,
        }
    }

    /// Octets of both, as SDES writes them (RFC 4568 section 6.1).
    pub const fn master_length(self) -> usize {
        self.key_length() + self.salt_length()
    }
}

impl fmt::Display for CryptoSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no [`CryptoSuite`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown crypto suite {0:?}")]
pub struct UnknownSuite(pub String);

impl FromStr for CryptoSuite {
    type Err = UnknownSuite;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        CryptoSuite::ALL
            .into_iter()
            .find(|suite| suite.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownSuite(name.chars().take(80).collect()))
    }
}

/// The master key and salt of one direction. `Debug` does not show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterKey {
    suite: CryptoSuite,
    /// What the suite does not use is zero.
    octets: Redacted<[u8; LONGEST_MASTER]>,
}

impl MasterKey {
    /// Key and salt, one after the other; `None` where they are not as long as the suite wants.
    pub fn new(suite: CryptoSuite, master: &[u8]) -> Option<Self> {
        if master.len() != suite.master_length() {
            return None;
        }
        let mut octets = [0; LONGEST_MASTER];
        octets.get_mut(..master.len())?.copy_from_slice(master);
        Some(MasterKey {
            suite,
            octets: Redacted::new(octets),
        })
    }

    /// A key out of random octets, of which the suite takes as many as it wants.
    pub fn from_random(suite: CryptoSuite, random: [u8; LONGEST_MASTER]) -> Self {
        let mut octets = random;
        for unused in octets.iter_mut().skip(suite.master_length()) {
            *unused = 0;
        }
        MasterKey {
            suite,
            octets: Redacted::new(octets),
        }
    }

    /// What it is for.
    pub const fn suite(&self) -> CryptoSuite {
        self.suite
    }

    /// The master key.
    pub fn key(&self) -> &[u8] {
        &self.octets.reveal()[..self.suite.key_length()]
    }

    /// The master salt.
    pub fn salt(&self) -> &[u8] {
        &self.octets.reveal()[self.suite.key_length()..self.suite.master_length()]
    }

    /// Both, one after the other.
    pub fn master(&self) -> &[u8] {
        &self.octets.reveal()[..self.suite.master_length()]
    }
}

/// The keys of both directions of one side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrtpKeys {
    /// For what we send.
    pub send: MasterKey,
    /// For what we receive.
    pub receive: MasterKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_as_long_as_its_suite_wants_and_never_shows() {
        for suite in CryptoSuite::ALL {
            assert_eq!(suite.name().parse(), Ok(suite));
            let key = MasterKey::from_random(suite, [0xa5; LONGEST_MASTER]);
            assert_eq!(key.key().len() + key.salt().len(), suite.master_length());
            assert_eq!(MasterKey::new(suite, key.master()), Some(key));
            assert_eq!(MasterKey::new(suite, &key.master()[1..]), None);
            let shown = format!("{key:?}");
            assert!(shown.contains("***") && !shown.contains("165"), "{shown}");
        }
    }
}
