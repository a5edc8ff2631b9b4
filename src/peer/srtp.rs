//! SRTP and SRTCP (RFC 3711, RFC 7714) with keys from DTLS (RFC 5764), by `rtc-srtp`.
//!
//! `rtc-srtp` makes a state for each SSRC that it is shown, authentic or not, and lets the first
//! packet place its replay window even if it is forged. So packets of unknown streams go to a
//! context of their own first, which is thrown away from time to time; only a stream that proved
//! itself there reaches the real one.

use std::sync::Arc;

use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::error::Error as RtcError;
use rtc_srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use super::{Drop, NotReady, SrtpProfile};

/// Packets that may come late, per stream: 2.5 s of audio.
const REPLAY_WINDOW: usize = 128;
/// Streams of the other end. A browser has one per track and may replace it a few times.
const MAX_STREAMS: usize = 32;
/// Unknown streams after which their context is made anew.
const MAX_STRANGERS: u32 = 64;

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Rtp,
    Rtcp,
}

/// A stream of the other end that proved itself.
struct Stream {
    ssrc: u32,
    /// The highest number that came: the sequence number, for RTCP the SRTCP index.
    newest: Option<u32>,
}

/// Keys in use, both directions.
pub(in crate::peer) struct Session {
    profile: SrtpProfile,
    outgoing: Context,
    incoming: Context,
    strangers: Context,
    stranger_count: u32,
    rtp_streams: Vec<Stream>,
    rtcp_streams: Vec<Stream>,
    keys: Config,
    provider: Arc<dyn RTCCryptoProvider>,
}

impl Session {
    /// Takes the keys of a finished handshake. None if it agreed on no protection of ours.
    pub(super) fn from_dtls(
        state: &State,
        client: bool,
        provider: Arc<dyn RTCCryptoProvider>,
    ) -> Option<Self> {
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => SrtpProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => SrtpProfile::Aes128CmSha1_80,
            _ => return None,
        };
        let mut keys = keys_for(profile);
        let material = state
            .export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], keys.keying_material_len())
            .ok()?;
        keys.set_session_keys_from_keying_material(material.as_ref(), client)
            .ok()?;
        Self::new(profile, keys, provider).ok()
    }

    fn new(
        profile: SrtpProfile,
        keys: Config,
        provider: Arc<dyn RTCCryptoProvider>,
    ) -> Result<Self, RtcError> {
        let outgoing = Context::new(
            &keys.keys.local_master_key,
            &keys.keys.local_master_salt,
            keys.profile,
            None,
            None,
            provider.crypto(),
        )?;
        let incoming = Context::new(
            &keys.keys.remote_master_key,
            &keys.keys.remote_master_salt,
            keys.profile,
            Some(srtp_replay_protection(REPLAY_WINDOW)),
            Some(srtcp_replay_protection(REPLAY_WINDOW)),
            provider.crypto(),
        )?;
        Ok(Session {
            profile,
            outgoing,
            incoming,
            strangers: strangers(&keys, provider.as_ref())?,
            stranger_count: 0,
            rtp_streams: Vec::new(),
            rtcp_streams: Vec::new(),
            keys,
            provider,
        })
    }

    /// The protection agreed on.
    pub(super) fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Whether a packet, if it is authentic, goes on with a stream that proved itself: it is newer
    /// than all that came of it. Looks at the open part only.
    pub(super) fn would_continue(&self, packet: Packet, datagram: &[u8]) -> bool {
        let streams = match packet {
            Packet::Rtp => &self.rtp_streams,
            Packet::Rtcp => &self.rtcp_streams,
        };
        let (Some(ssrc), Some(number)) = (ssrc(packet, datagram), self.number(packet, datagram))
        else {
            return false;
        };
        streams
            .iter()
            .find(|stream| stream.ssrc == ssrc)
            .is_some_and(|stream| is_newer(packet, number, stream.newest))
    }

    /// Leaves the plain packet in `plain`. Whether it is newer than all that came of its stream.
    pub(super) fn unprotect(
        &mut self,
        packet: Packet,
        datagram: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<bool, Drop> {
        let ssrc = ssrc(packet, datagram).ok_or(Drop::SrtpForged)?;
        let number = self.number(packet, datagram).ok_or(Drop::SrtpForged)?;
        let streams = match packet {
            Packet::Rtp => &self.rtp_streams,
            Packet::Rtcp => &self.rtcp_streams,
        };
        let index = match streams.iter().position(|stream| stream.ssrc == ssrc) {
            Some(index) => index,
            None => self.introduce(packet, ssrc, datagram)?,
        };
        let result = match packet {
            Packet::Rtp => self.incoming.decrypt_rtp(datagram),
            Packet::Rtcp => self.incoming.decrypt_rtcp(datagram),
        };
        let decrypted = result.map_err(|error| match error {
            RtcError::SrtpSsrcDuplicated(..) | RtcError::SrtcpSsrcDuplicated(..) => {
                Drop::SrtpReplayed
            }
            _ => Drop::SrtpForged,
        })?;
        plain.clear();
        plain.extend_from_slice(&decrypted);
        let stream = match packet {
            Packet::Rtp => &mut self.rtp_streams[index],
            Packet::Rtcp => &mut self.rtcp_streams[index],
        };
        let newer = is_newer(packet, number, stream.newest);
        if newer {
            stream.newest = Some(number);
        }
        Ok(newer)
    }

    /// The number of a packet in its stream, which is sent in the open: RFC 3550 section 5.1; for
    /// SRTCP before the tag or, with GCM, after it (RFC 3711 section 3.4, RFC 7714 section 9.2).
    fn number(&self, packet: Packet, datagram: &[u8]) -> Option<u32> {
        let behind = match (packet, self.profile) {
            (Packet::Rtp, _) => {
                let number = datagram.get(2..4)?;
                return Some(u32::from(u16::from_be_bytes([number[0], number[1]])));
            }
            (Packet::Rtcp, SrtpProfile::AeadAes128Gcm) => 0,
            (Packet::Rtcp, SrtpProfile::Aes128CmSha1_80) => 10,
        };
        let end = datagram.len().checked_sub(behind)?;
        let index = datagram.get(end.checked_sub(4)?..end)?;
        let index = u32::from_be_bytes([index[0], index[1], index[2], index[3]]);
        // The first bit says whether the packet is encrypted.
        Some(index & 0x7fff_ffff)
    }

    /// Makes a stream known whose packet is authentic; its place.
    fn introduce(&mut self, packet: Packet, ssrc: u32, datagram: &[u8]) -> Result<usize, Drop> {
        if self.stranger_count == MAX_STRANGERS {
            self.strangers =
                strangers(&self.keys, self.provider.as_ref()).map_err(|_| Drop::SrtpForged)?;
            self.stranger_count = 0;
        }
        self.stranger_count += 1;
        let (result, streams) = match packet {
            Packet::Rtp => (self.strangers.decrypt_rtp(datagram), &mut self.rtp_streams),
            Packet::Rtcp => (
                self.strangers.decrypt_rtcp(datagram),
                &mut self.rtcp_streams,
            ),
        };
        if result.is_err() || streams.len() == MAX_STREAMS {
            return Err(Drop::SrtpForged);
        }
        streams.push(Stream { ssrc, newest: None });
        Ok(streams.len() - 1)
    }

    /// Leaves the protected packet in `secured`.
    pub(super) fn protect(
        &mut self,
        packet: Packet,
        plain: &[u8],
        secured: &mut Vec<u8>,
    ) -> Result<(), NotReady> {
        let result = match packet {
            Packet::Rtp => self.outgoing.encrypt_rtp(plain),
            Packet::Rtcp => self.outgoing.encrypt_rtcp(plain),
        };
        let encrypted = result.map_err(|_| NotReady::Refused)?;
        secured.clear();
        secured.extend_from_slice(&encrypted);
        Ok(())
    }
}

/// The SSRC of the sender: RFC 3550 sections 5.1 and 6.4.1.
fn ssrc(packet: Packet, datagram: &[u8]) -> Option<u32> {
    let at = match packet {
        Packet::Rtp => 8,
        Packet::Rtcp => 4,
    };
    let ssrc = datagram.get(at..at + 4)?;
    Some(u32::from_be_bytes([ssrc[0], ssrc[1], ssrc[2], ssrc[3]]))
}

/// Whether `number` comes after `newest`; sequence numbers begin anew after 65535.
fn is_newer(packet: Packet, number: u32, newest: Option<u32>) -> bool {
    match (packet, newest) {
        (_, None) => true,
        (Packet::Rtp, Some(newest)) => {
            (1..0x8000).contains(&(number.wrapping_sub(newest) & 0xffff))
        }
        (Packet::Rtcp, Some(newest)) => number > newest,
    }
}

fn keys_for(profile: SrtpProfile) -> Config {
    Config {
        profile: match profile {
            SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProfile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        },
        ..Config::default()
    }
}

/// A context without replay protection, which is not its business.
fn strangers(keys: &Config, provider: &dyn RTCCryptoProvider) -> Result<Context, RtcError> {
    Context::new(
        &keys.keys.remote_master_key,
        &keys.keys.remote_master_salt,
        keys.profile,
        None,
        None,
        provider.crypto(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ends with the same keys.
    fn sessions(profile: SrtpProfile) -> [Session; 2] {
        [true, false].map(|client| {
            let mut keys = keys_for(profile);
            let material: Vec<u8> = (0..keys.keying_material_len() as u8).collect();
            keys.set_session_keys_from_keying_material(&material, client)
                .expect("keys of the right length");
            let provider = crate::peer::certificate::provider().expect("a provider");
            Session::new(profile, keys, provider).expect("a session")
        })
    }

    fn rtp(sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 111];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 9, 1, 2, 3, 4, 5]);
        packet
    }

    #[test]
    fn a_packet_continues_a_known_stream_if_it_is_newer_than_all_of_it() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmSha1_80] {
            let [mut from, mut to] = sessions(profile);
            let mut plain = Vec::new();
            let mut protect = |packet, plain: &[u8]| {
                let mut secured = Vec::new();
                from.protect(packet, plain, &mut secured).expect("keys");
                secured
            };
            let report = [0x80, 201, 0, 1, 1, 2, 3, 4];
            let packets = [65_534, 65_535, 0, 1].map(|n| protect(Packet::Rtp, &rtp(n)));
            let reports = [(); 3].map(|()| protect(Packet::Rtcp, &report));
            for (packet, [first, second, third]) in [
                (Packet::Rtp, [&packets[0], &packets[1], &packets[2]]),
                (Packet::Rtcp, [&reports[0], &reports[1], &reports[2]]),
            ] {
                assert!(!to.would_continue(packet, first), "{packet:?} {profile}");
                assert_eq!(to.unprotect(packet, first, &mut plain), Ok(true));
                assert!(!to.would_continue(packet, first), "{packet:?} {profile}");
                assert!(to.would_continue(packet, third), "{packet:?} {profile}");
                assert_eq!(to.unprotect(packet, third, &mut plain), Ok(true));
                assert!(!to.would_continue(packet, second), "{packet:?} {profile}");
                assert_eq!(to.unprotect(packet, second, &mut plain), Ok(false));
            }
            // A forged packet does not make the true one old.
            let mut forged = packets[3].clone();
            forged[3] = 200;
            assert_eq!(
                to.unprotect(Packet::Rtp, &forged, &mut plain),
                Err(Drop::SrtpForged)
            );
            assert!(to.would_continue(Packet::Rtp, &packets[3]));
            assert!(!to.would_continue(Packet::Rtp, &packets[3][..11]));
            assert!(!to.would_continue(Packet::Rtcp, &reports[0][..3]));
        }
    }
}
