//! Our end of RTP towards a PBX: the address, and the keys that we send under.

use std::net::SocketAddr;

use sha2::{Digest, Sha256};

use super::RemoteMedia;
use crate::redacted::Redacted;
use crate::sdp::crypto::CryptoLine;
use crate::sdp::{SessionIds, SrtpMode, TrunkPolicy};
use crate::srtp_keys::{CryptoSuite, LONGEST_MASTER, MasterKey, SrtpKeys};

/// What all keys of one call are made from: 32 random octets, drawn when the call begins.
///
/// Each key is a hash of them, of the description's version, of the line and of the suite
/// (SHA-256 with a secret in front of input of one length), so every description has keys that
/// none before had, and nothing here draws anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySeed(Redacted<[u8; 32]>);

impl KeySeed {
    /// A seed out of random octets.
    pub const fn new(random: [u8; 32]) -> Self {
        KeySeed(Redacted::new(random))
    }

    fn key(&self, suite: CryptoSuite, session: SessionIds, tag: u32) -> MasterKey {
        let hash = Sha256::new()
            .chain_update(self.0.reveal())
            .chain_update(session.version.to_be_bytes())
            .chain_update(tag.to_be_bytes())
            .chain_update([suite as u8])
            .finalize();
        let mut random = [0; LONGEST_MASTER];
        random.copy_from_slice(&hash[..LONGEST_MASTER]);
        MasterKey::from_random(suite, random)
    }
}

/// What both ends last agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Agreed {
    /// Where the PBX receives.
    remote: SocketAddr,
    /// None: plain RTP.
    srtp_keys: Option<SrtpKeys>,
}

/// Our end of the audio stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where we receive RTP; RTCP comes to the next port.
    pub address: SocketAddr,
    /// Without it there is no SRTP.
    seed: Option<KeySeed>,
    agreed: Option<Agreed>,
}

impl From<SocketAddr> for LocalMedia {
    /// An end that speaks plain RTP only.
    fn from(address: SocketAddr) -> Self {
        LocalMedia {
            address,
            seed: None,
            agreed: None,
        }
    }
}

impl LocalMedia {
    /// An end that can speak SRTP.
    pub const fn new(address: SocketAddr, seed: KeySeed) -> Self {
        LocalMedia {
            address,
            seed: Some(seed),
            agreed: None,
        }
    }

    /// Remembers what was agreed: the next description keeps our key where nothing speaks
    /// against it, so that hold and resume do not disturb the stream.
    pub fn agree(&mut self, remote: &RemoteMedia) {
        let rtp = remote.address.rtp;
        // A hold by 0.0.0.0 does not say that the PBX has gone elsewhere.
        let stays = self.agreed.filter(|_| rtp.ip().is_unspecified());
        self.agreed = Some(Agreed {
            remote: stays.map_or(rtp, |agreed| agreed.remote),
            srtp_keys: remote.srtp_keys,
        });
    }

    /// The same end as if nothing were agreed: for an offer that may go to somebody else than
    /// the end we speak with, which does not know how far our streams have come.
    pub const fn with_fresh_keys(self) -> Self {
        LocalMedia {
            agreed: None,
            ..self
        }
    }

    /// The lines of an offer: what is in use, or at the beginning everything that policy allows.
    pub(super) fn offered(&self, policy: &TrunkPolicy, session: SessionIds) -> Vec<CryptoLine> {
        let Some(seed) = self.seed.filter(|_| policy.srtp != SrtpMode::Off) else {
            return Vec::new();
        };
        if let Some(agreed) = self.agreed {
            let line = |srtp_keys: SrtpKeys| CryptoLine {
                tag: 1,
                key: srtp_keys.send,
            };
            return agreed.srtp_keys.map(line).into_iter().collect();
        }
        let suites = policy.crypto_suites.iter();
        suites
            .zip(1..)
            .map(|(suite, tag)| CryptoLine {
                tag,
                key: seed.key(*suite, session, tag),
            })
            .collect()
    }

    /// What holds once we answer `line` of the PBX, which receives at `rtp`.
    ///
    /// Our key stays wherever it can: there are phones that answer a new key with 200 and go on
    /// with the old one. It must change with the suite, and where both the PBX's key and its
    /// address are new: that may be another end, which does not know the rollover counters of our
    /// streams (RFC 3711 section 3.3.1) and cannot be told them by SDP (RFC 4568 section 6.4).
    /// A new key alone changes the other direction only, a new address alone moves the same end.
    pub(super) fn answered(
        &self,
        line: &CryptoLine,
        rtp: SocketAddr,
        session: SessionIds,
    ) -> Option<SrtpKeys> {
        let seed = self.seed?;
        let same = self.agreed.and_then(|agreed| {
            let stays = agreed.remote == rtp || rtp.ip().is_unspecified();
            let same_end = |srtp_keys: &SrtpKeys| stays || srtp_keys.receive == line.key;
            let same_suite = |srtp_keys: &SrtpKeys| srtp_keys.send.suite() == line.key.suite();
            agreed.srtp_keys.filter(same_end).filter(same_suite)
        });
        let fresh = || seed.key(line.key.suite(), session, line.tag);
        Some(SrtpKeys {
            send: same.map_or_else(fresh, |srtp_keys| srtp_keys.send),
            receive: line.key,
        })
    }
}
