//! One direction in: a key, the streams that proved to have it, and what was received of them.
//!
//! `rtc-srtp` makes a state for each SSRC that it is shown, authentic or not, and lets the first
//! packet place its replay window even if it is forged. So packets of unknown streams go to a
//! context of their own first, which is thrown away from time to time; only a stream that proved
//! itself there reaches the real one. And it takes SRTCP that says that it is not encrypted without
//! a look at its authentication tag: that does not reach it at all.

use std::sync::Arc;

use rtc_crypto::RTCCryptoProvider;
use rtc_shared::error::Error as RtcError;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};

use super::profile::profile;
use super::{Error, Packet, Rejected};
use crate::srtp_keys::{CryptoSuite, MasterKey};

/// The bit of an SRTCP index that says so (RFC 3711 section 3.4).
const ENCRYPTED: u32 = 0x8000_0000;
/// Packets that may come late, per stream: 2.5 s of audio.
const REPLAY_WINDOW: usize = 128;
/// Streams of the other end. A browser has one per track and may replace it a few times.
const MAX_STREAMS: usize = 32;
/// Unknown streams after which their context is made anew.
const MAX_UNKNOWN_SSRCS: u32 = 64;

/// A stream of the other end that proved itself.
struct Stream {
    ssrc: u32,
    /// The highest number that came: the sequence number, for RTCP the SRTCP index.
    newest: Option<u32>,
}

/// A key that the other end sends under.
pub(super) struct Receiving {
    key: MasterKey,
    context: Context,
    unknown_ssrcs: Context,
    unknown_ssrc_count: u32,
    rtp_streams: Vec<Stream>,
    rtcp_streams: Vec<Stream>,
    provider: Arc<dyn RTCCryptoProvider>,
}

impl Receiving {
    pub(super) fn new(key: MasterKey, provider: Arc<dyn RTCCryptoProvider>) -> Result<Self, Error> {
        let context = Context::new(
            key.key(),
            key.salt(),
            profile(key.suite()),
            Some(srtp_replay_protection(REPLAY_WINDOW)),
            Some(srtcp_replay_protection(REPLAY_WINDOW)),
            provider.crypto(),
        )
        .map_err(|error| Error::Key(error.to_string()))?;
        let unknown_ssrcs = unknown_ssrcs(&key, provider.as_ref())
            .map_err(|error| Error::Key(error.to_string()))?;
        Ok(Receiving {
            key,
            context,
            unknown_ssrcs,
            unknown_ssrc_count: 0,
            rtp_streams: Vec::new(),
            rtcp_streams: Vec::new(),
            provider,
        })
    }

    pub(super) fn key(&self) -> MasterKey {
        self.key
    }

    /// Whether anything authentic has come.
    pub(super) fn is_proven(&self) -> bool {
        !self.rtp_streams.is_empty() || !self.rtcp_streams.is_empty()
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
    ) -> Result<bool, Rejected> {
        let ssrc = ssrc(packet, datagram).ok_or(Rejected::Forged)?;
        let number = self.number(packet, datagram).ok_or(Rejected::Forged)?;
        let streams = match packet {
            Packet::Rtp => &self.rtp_streams,
            Packet::Rtcp => &self.rtcp_streams,
        };
        let index = match streams.iter().position(|stream| stream.ssrc == ssrc) {
            Some(index) => index,
            None => self.introduce(packet, ssrc, datagram)?,
        };
        let result = match packet {
            Packet::Rtp => self.context.decrypt_rtp(datagram),
            Packet::Rtcp => self.context.decrypt_rtcp(datagram),
        };
        let decrypted = result.map_err(|error| match error {
            RtcError::SrtpSsrcDuplicated(..) | RtcError::SrtcpSsrcDuplicated(..) => {
                Rejected::Replayed
            }
            _ => Rejected::Forged,
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
        let behind = match (packet, self.key.suite()) {
            (Packet::Rtp, _) => {
                let number = datagram.get(2..4)?;
                return Some(u32::from(u16::from_be_bytes([number[0], number[1]])));
            }
            (Packet::Rtcp, CryptoSuite::AeadAes128Gcm) => 0,
            // The short tag of AES_CM_128_HMAC_SHA1_32 is RTP's only (RFC 4568 section 6.2.2).
            (Packet::Rtcp, CryptoSuite::Aes128CmSha1_80 | CryptoSuite::Aes128CmSha1_32) => 10,
        };
        let end = datagram.len().checked_sub(behind)?;
        let index = datagram.get(end.checked_sub(4)?..end)?;
        let index = u32::from_be_bytes([index[0], index[1], index[2], index[3]]);
        // The first bit says whether the packet is encrypted. Nobody may leave that out here, and
        // `rtc-srtp` 0.21 takes what says it is not encrypted without looking at its tag.
        (index & ENCRYPTED != 0).then_some(index & !ENCRYPTED)
    }

    /// Makes a stream known whose packet is authentic; its place.
    fn introduce(&mut self, packet: Packet, ssrc: u32, datagram: &[u8]) -> Result<usize, Rejected> {
        if self.unknown_ssrc_count == MAX_UNKNOWN_SSRCS {
            self.unknown_ssrcs =
                unknown_ssrcs(&self.key, self.provider.as_ref()).map_err(|_| Rejected::Forged)?;
            self.unknown_ssrc_count = 0;
        }
        self.unknown_ssrc_count += 1;
        let (result, streams) = match packet {
            Packet::Rtp => (
                self.unknown_ssrcs.decrypt_rtp(datagram),
                &mut self.rtp_streams,
            ),
            Packet::Rtcp => (
                self.unknown_ssrcs.decrypt_rtcp(datagram),
                &mut self.rtcp_streams,
            ),
        };
        if result.is_err() || streams.len() == MAX_STREAMS {
            return Err(Rejected::Forged);
        }
        streams.push(Stream { ssrc, newest: None });
        Ok(streams.len() - 1)
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

/// A context without replay protection, which is not its business.
fn unknown_ssrcs(key: &MasterKey, provider: &dyn RTCCryptoProvider) -> Result<Context, RtcError> {
    Context::new(
        key.key(),
        key.salt(),
        profile(key.suite()),
        None,
        None,
        provider.crypto(),
    )
}
