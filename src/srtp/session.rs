//! Keys in use, both directions, and what happens when they change.

use std::fmt;
use std::sync::Arc;

use rtc_crypto::RTCCryptoProvider;

use super::receiving::Receiving;
use super::sending::Sending;
use super::{Error, Packet, Rejected};
use crate::srtp_keys::{CryptoSuite, MasterKey, SrtpKeys};

/// Keys of ours that are remembered: each offer of a call may bring one, and forks change
/// between a few of them.
const MAX_KEYS: usize = 8;

/// One side's SRTP and SRTCP.
///
/// A key that stays keeps its rollover counters and replay lists, and so does one that comes
/// back: the same numbers are never used twice under one key, which would lay the audio open
/// (RFC 3711 section 9.1, RFC 4568 section 7.1.4).
pub struct Session {
    /// The last is in use.
    sending: Vec<Sending>,
    receiving: Receiving,
    /// The key before, until something authentic came under the new one: packets that were on
    /// their way while SIP changed the keys are not lost.
    receiving_before: Option<Receiving>,
    provider: Arc<dyn RTCCryptoProvider>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("suite", &self.suite())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session that has neither sent nor received.
    pub fn new(srtp_keys: &SrtpKeys) -> Result<Self, Error> {
        let provider =
            rtc_crypto::default_provider().map_err(|error| Error::Key(error.to_string()))?;
        Ok(Session {
            sending: vec![Sending::new(srtp_keys.send, provider.as_ref())?],
            receiving: Receiving::new(srtp_keys.receive, Arc::clone(&provider))?,
            receiving_before: None,
            provider,
        })
    }

    /// Takes newly agreed keys; those that are the same as before go on.
    pub fn rekey(&mut self, srtp_keys: &SrtpKeys) -> Result<(), Error> {
        self.send_under(srtp_keys.send)?;
        self.receive_under(srtp_keys.receive)
    }

    fn send_under(&mut self, key: MasterKey) -> Result<(), Error> {
        let known = self.sending.iter().position(|sending| sending.key() == key);
        let sending = match known {
            Some(index) => self.sending.remove(index),
            None => Sending::new(key, self.provider.as_ref())?,
        };
        if self.sending.len() == MAX_KEYS {
            self.sending.remove(0);
        }
        self.sending.push(sending);
        Ok(())
    }

    fn receive_under(&mut self, key: MasterKey) -> Result<(), Error> {
        if self.receiving.key() == key {
            return Ok(());
        }
        let back = self.receiving_before.take_if(|before| before.key() == key);
        let receiving = match back {
            Some(receiving) => receiving,
            None => Receiving::new(key, Arc::clone(&self.provider))?,
        };
        let before = std::mem::replace(&mut self.receiving, receiving);
        if before.is_proven() || self.receiving_before.is_none() {
            self.receiving_before = Some(before);
        }
        Ok(())
    }

    /// What protects both directions.
    pub fn suite(&self) -> CryptoSuite {
        self.receiving.key().suite()
    }

    /// Whether a packet, if it is authentic, goes on with a stream that proved itself: it is newer
    /// than all that came of it. Looks at the open part only.
    pub fn would_continue(&self, packet: Packet, datagram: &[u8]) -> bool {
        self.receiving.would_continue(packet, datagram)
    }

    /// Leaves the plain packet in `plain`. Whether it is newer than all that came of its stream.
    pub fn unprotect(
        &mut self,
        packet: Packet,
        datagram: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<bool, Rejected> {
        let result = self.receiving.unprotect(packet, datagram, plain);
        match (&mut self.receiving_before, result) {
            (Some(_), Ok(newer)) => {
                self.receiving_before = None;
                Ok(newer)
            }
            (Some(before), Err(Rejected::Forged)) => before.unprotect(packet, datagram, plain),
            (_, result) => result,
        }
    }

    /// Leaves the protected packet in `secured`.
    pub fn protect(
        &mut self,
        packet: Packet,
        plain: &[u8],
        secured: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let sending = self.sending.last_mut().ok_or(Error::Packet)?;
        sending.protect(packet, plain, secured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp_keys::LONGEST_MASTER;

    fn key(suite: CryptoSuite, fill: u8) -> MasterKey {
        MasterKey::from_random(suite, [fill; LONGEST_MASTER])
    }

    /// Both ends of keys `near` (sent by the first end) and `far`.
    fn both_srtp_keys(suite: CryptoSuite, near: u8, far: u8) -> [SrtpKeys; 2] {
        let (near, far) = (key(suite, near), key(suite, far));
        [(near, far), (far, near)].map(|(send, receive)| SrtpKeys { send, receive })
    }

    fn sessions(suite: CryptoSuite) -> [Session; 2] {
        both_srtp_keys(suite, 1, 2).map(|srtp_keys| Session::new(&srtp_keys).expect("a session"))
    }

    fn rtp(sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 111];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 9, 1, 2, 3, 4, 5]);
        packet
    }

    const REPORT: [u8; 8] = [0x80, 201, 0, 1, 1, 2, 3, 4];

    fn protect(from: &mut Session, packet: Packet, plain: &[u8]) -> Vec<u8> {
        let mut secured = Vec::new();
        from.protect(packet, plain, &mut secured).expect("keys");
        secured
    }

    #[test]
    fn a_packet_continues_a_known_stream_if_it_is_newer_than_all_of_it() {
        for suite in CryptoSuite::ALL {
            let [mut from, mut to] = sessions(suite);
            let mut plain = Vec::new();
            let packets = [65_534, 65_535, 0, 1].map(|n| protect(&mut from, Packet::Rtp, &rtp(n)));
            let reports = [(); 3].map(|()| protect(&mut from, Packet::Rtcp, &REPORT));
            for (packet, [first, second, third]) in [
                (Packet::Rtp, [&packets[0], &packets[1], &packets[2]]),
                (Packet::Rtcp, [&reports[0], &reports[1], &reports[2]]),
            ] {
                assert!(!to.would_continue(packet, first), "{packet:?} {suite}");
                assert_eq!(to.unprotect(packet, first, &mut plain), Ok(true));
                assert!(!to.would_continue(packet, first), "{packet:?} {suite}");
                assert!(to.would_continue(packet, third), "{packet:?} {suite}");
                assert_eq!(to.unprotect(packet, third, &mut plain), Ok(true));
                assert!(!to.would_continue(packet, second), "{packet:?} {suite}");
                assert_eq!(to.unprotect(packet, second, &mut plain), Ok(false));
                assert_eq!(
                    to.unprotect(packet, second, &mut plain),
                    Err(Rejected::Replayed)
                );
            }
            // A forged packet does not make the true one old.
            let mut forged = packets[3].clone();
            forged[3] = 200;
            assert_eq!(
                to.unprotect(Packet::Rtp, &forged, &mut plain),
                Err(Rejected::Forged)
            );
            assert!(to.would_continue(Packet::Rtp, &packets[3]));
            assert!(!to.would_continue(Packet::Rtp, &packets[3][..11]));
            assert!(!to.would_continue(Packet::Rtcp, &reports[0][..3]));
        }
    }

    #[test]
    fn a_report_that_says_it_is_not_encrypted_is_forged() {
        for suite in CryptoSuite::ALL {
            let [mut from, mut to] = sessions(suite);
            let mut plain = Vec::new();
            let good = protect(&mut from, Packet::Rtcp, &REPORT);
            let tag = if suite == CryptoSuite::AeadAes128Gcm {
                0
            } else {
                10
            };
            let mut bare = good.clone();
            let flag = bare.len() - tag - 4;
            bare[flag] &= 0x7f;
            for forged in [bare, [&REPORT[..], &[0; 64]].concat()] {
                assert_eq!(
                    to.unprotect(Packet::Rtcp, &forged, &mut plain),
                    Err(Rejected::Forged),
                    "{suite}"
                );
            }
            assert_eq!(to.unprotect(Packet::Rtcp, &good, &mut plain), Ok(true));
            assert_eq!(plain, REPORT);
        }
    }

    #[test]
    fn a_key_that_stays_keeps_its_counters_and_replay_list() {
        let [mut from, mut to] = sessions(CryptoSuite::Aes128CmSha1_80);
        let mut plain = Vec::new();
        // The sequence number goes round: what follows is of the second round.
        let first = protect(&mut from, Packet::Rtp, &rtp(65_535));
        let second = protect(&mut from, Packet::Rtp, &rtp(0));
        for packet in [&first, &second] {
            to.unprotect(Packet::Rtp, packet, &mut plain).expect("keys");
        }
        let [ours, theirs] = both_srtp_keys(CryptoSuite::Aes128CmSha1_80, 1, 2);
        from.rekey(&ours).expect("the same keys");
        to.rekey(&theirs).expect("the same keys");
        let third = protect(&mut from, Packet::Rtp, &rtp(1));
        assert_eq!(to.unprotect(Packet::Rtp, &third, &mut plain), Ok(true));
        assert_eq!(plain, rtp(1));
        assert_eq!(
            to.unprotect(Packet::Rtp, &second, &mut plain),
            Err(Rejected::Replayed)
        );
    }

    #[test]
    fn a_key_that_comes_back_never_numbers_its_reports_anew() {
        // Forks that chose different tags: ours, theirs, ours again.
        for suite in CryptoSuite::ALL {
            let [mut from, _] = sessions(suite);
            let one = protect(&mut from, Packet::Rtcp, &REPORT);
            let [other, _] = both_srtp_keys(suite, 7, 2);
            let [ours, _] = both_srtp_keys(suite, 1, 2);
            from.rekey(&other).expect("a key");
            let foreign = protect(&mut from, Packet::Rtcp, &REPORT);
            from.rekey(&ours).expect("a key");
            let two = protect(&mut from, Packet::Rtcp, &REPORT);
            assert_ne!(one, two, "the same index under the same key");
            assert_ne!(one, foreign);
        }
    }

    #[test]
    fn packets_on_their_way_are_taken_until_the_new_key_is_heard() {
        let [mut from, mut to] = sessions(CryptoSuite::AeadAes128Gcm);
        let mut plain = Vec::new();
        let before = protect(&mut from, Packet::Rtp, &rtp(1));
        let late = protect(&mut from, Packet::Rtp, &rtp(2));
        let too_late = protect(&mut from, Packet::Rtp, &rtp(3));
        assert_eq!(to.unprotect(Packet::Rtp, &before, &mut plain), Ok(true));
        let [ours, theirs] = both_srtp_keys(CryptoSuite::Aes128CmSha1_32, 3, 4);
        to.rekey(&theirs).expect("new keys");
        assert_eq!(to.unprotect(Packet::Rtp, &late, &mut plain), Ok(true));
        from.rekey(&ours).expect("new keys");
        let new = protect(&mut from, Packet::Rtp, &rtp(4));
        assert_eq!(to.unprotect(Packet::Rtp, &new, &mut plain), Ok(true));
        assert_eq!(plain, rtp(4));
        assert_eq!(
            to.unprotect(Packet::Rtp, &too_late, &mut plain),
            Err(Rejected::Forged)
        );
    }
}
