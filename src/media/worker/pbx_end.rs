//! The PBX's end of a call: where it is, and what protects the packets to and from it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::media::{Arrival, Latching, SymmetricRtp};
use crate::rtp::Packet;
use crate::srtp::{self, Rejected, Session};
use crate::srtp_keys::SrtpKeys;

/// One of the two sockets of the PBX side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The even port.
    Rtp,
    /// The odd port above.
    Rtcp,
}

/// After how long without a packet a source that was not taken is told, though it might have been
/// heard had it gone on.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// What a packet has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Audio goes to its source from now on, another address than before.
    Latched(SocketAddr),
    /// Its source, of neither SDP nor SIP, is heard from now on, and gets nothing: once a leg.
    Heard {
        /// The source.
        source: SocketAddr,
        /// The address of the SDP.
        signalled: SocketAddr,
    },
}

/// What SDP agreed on.
#[derive(Debug, Default)]
enum Protected {
    /// Plain RTP.
    #[default]
    Never,
    /// Plain RTP now. The keys of before may come back, with forks that differ, and must not
    /// begin anew then.
    NoLonger(Box<Session>),
    /// SRTP.
    Now(Box<Session>),
}

/// Address and keys.
#[derive(Debug, Default)]
pub struct PbxEnd {
    symmetric_rtp: SymmetricRtp,
    protected: Protected,
    /// An unexpected source that nobody was told of.
    unexpected: Unexpected,
    /// That an unexpected source is heard was told.
    heard_told: bool,
}

/// An address that RTP came from in vain: told once.
#[derive(Debug, Default)]
enum Unexpected {
    #[default]
    None,
    /// It may be heard soon, or the description that is to come may name it.
    Observed {
        source: SocketAddr,
        last: Instant,
    },
    New(SocketAddr),
    Told,
}

impl PbxEnd {
    /// A leg to a PBX begins: addresses of a leg before it are forgotten, its keys are not, since
    /// no key may begin anew.
    pub fn expect(&mut self, latching: Latching) {
        let receiving = self.symmetric_rtp.is_receiving();
        self.symmetric_rtp = SymmetricRtp::new(latching);
        self.symmetric_rtp.set_receiving(receiving);
        self.heard_told = false;
    }

    /// See [`SymmetricRtp::set_receiving`].
    pub fn set_receiving(&mut self, receiving: bool) {
        self.symmetric_rtp.set_receiving(receiving);
    }

    /// See [`SymmetricRtp::set_peer`].
    pub fn set_peer(&mut self, peer: IpAddr) {
        self.symmetric_rtp.set_peer(peer);
    }

    /// See [`SymmetricRtp::is_signalled`].
    pub const fn is_signalled(&self) -> bool {
        self.symmetric_rtp.is_signalled()
    }

    /// The first source that was not taken, once.
    pub fn poll_unexpected(&mut self, now: Instant) -> Option<SocketAddr> {
        if !self.is_signalled() {
            return None;
        }
        let source = match self.unexpected {
            Unexpected::New(source) => source,
            Unexpected::Observed { source, last }
                if now.saturating_duration_since(last) >= GIVEN_UP =>
            {
                source
            }
            Unexpected::None | Unexpected::Observed { .. } | Unexpected::Told => return None,
        };
        self.unexpected = Unexpected::Told;
        Some(source)
    }

    /// Takes the addresses and keys of the PBX's SDP, which belong together.
    pub fn set_remote(
        &mut self,
        rtp: SocketAddr,
        rtcp: Option<SocketAddr>,
        srtp_keys: Option<&SrtpKeys>,
    ) -> Result<(), srtp::Error> {
        self.symmetric_rtp.set_remote(rtp, rtcp);
        if let Unexpected::Observed { source, .. } = self.unexpected
            && self.symmetric_rtp.names(source)
        {
            // It sent before it was described.
            self.unexpected = Unexpected::None;
        }
        let before = std::mem::take(&mut self.protected);
        self.protected = match (before, srtp_keys) {
            (Protected::Never, None) => Protected::Never,
            (Protected::Now(session) | Protected::NoLonger(session), None) => {
                Protected::NoLonger(session)
            }
            (Protected::Never, Some(srtp_keys)) => {
                Protected::Now(Box::new(Session::new(srtp_keys)?))
            }
            (Protected::Now(mut session) | Protected::NoLonger(mut session), Some(srtp_keys)) => {
                session.rekey(srtp_keys)?;
                Protected::Now(session)
            }
        };
        Ok(())
    }

    /// The plain RTCP packet of a datagram: itself, or in `plain`. Why not, where it is to be
    /// dropped.
    pub fn take_rtcp<'a>(
        &mut self,
        source: SocketAddr,
        datagram: &'a [u8],
        plain: &'a mut Vec<u8>,
        now: Instant,
    ) -> Result<&'a [u8], &'static str> {
        let packet = self.unprotect(srtp::Packet::Rtcp, datagram, plain)?;
        match self.symmetric_rtp.handle_rtcp(source, now) {
            Arrival::Unexpected | Arrival::Observed => Err("unexpected_source_rtcp"),
            Arrival::Accepted | Arrival::Latched(_) | Arrival::Heard { .. } => Ok(packet),
        }
    }

    /// The plain RTP packet of a datagram, in itself or in `plain`, and what it has changed. Why not,
    /// where it is to be dropped.
    ///
    /// Authenticity comes before the address: with SRTP nobody else moves it.
    pub fn take_rtp<'a>(
        &mut self,
        channel: Channel,
        source: SocketAddr,
        datagram: &'a [u8],
        plain: &'a mut Vec<u8>,
        negotiated: u128,
        now: Instant,
    ) -> Result<(Packet<'a>, Option<Change>), &'static str> {
        // STUN, T.38, a port scanner: not RTP.
        if datagram.len() < crate::rtp::HEADER_LENGTH || datagram[0] >> 6 != 2 {
            return Err("not_rtp");
        }
        if channel == Channel::Rtcp {
            return Err("rtp_on_rtcp_port");
        }
        let authentic = self.is_protected();
        let bytes = self.unprotect(srtp::Packet::Rtp, datagram, plain)?;
        let packet = Packet::parse(bytes).map_err(|_| "not_rtp")?;
        let arrival = if (negotiated >> packet.payload_type) & 1 != 0 {
            self.symmetric_rtp
                .handle_rtp(source, packet.ssrc, packet.sequence, authentic, now)
        } else if self.symmetric_rtp.is_source(source) {
            // Comfort noise, or a codec that was not agreed: the path knows which.
            Arrival::Accepted
        } else {
            Arrival::Unexpected
        };
        let told = matches!(self.unexpected, Unexpected::New(_) | Unexpected::Told);
        match arrival {
            Arrival::Unexpected if !self.symmetric_rtp.is_signalled() => {
                if !told {
                    self.unexpected = Unexpected::Observed { source, last: now };
                }
                Err("unexpected_source")
            }
            Arrival::Unexpected => {
                if !told {
                    self.unexpected = Unexpected::New(source);
                }
                Err("unexpected_source")
            }
            Arrival::Observed => {
                if !told {
                    self.unexpected = Unexpected::Observed { source, last: now };
                }
                Err("unexpected_source")
            }
            Arrival::Heard { signalled } => {
                if !told {
                    self.unexpected = Unexpected::None;
                }
                let first = !std::mem::replace(&mut self.heard_told, true);
                let change = first.then_some(Change::Heard { source, signalled });
                Ok((packet, change))
            }
            Arrival::Latched(rtp) => Ok((packet, Some(Change::Latched(rtp)))),
            Arrival::Accepted => Ok((packet, None)),
        }
    }

    fn unprotect<'a>(
        &mut self,
        packet: srtp::Packet,
        datagram: &'a [u8],
        plain: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], &'static str> {
        let Protected::Now(session) = &mut self.protected else {
            return Ok(datagram);
        };
        match session.unprotect(packet, datagram, plain) {
            Ok(_) => Ok(plain),
            Err(Rejected::Replayed) => Err("srtp_replayed"),
            Err(Rejected::Forged) => Err("srtp_forged"),
        }
    }

    /// Whether packets are to be protected before they go.
    pub fn is_protected(&self) -> bool {
        matches!(self.protected, Protected::Now(_))
    }

    /// Leaves what is to be sent of `plain` in `out`; false when it cannot be.
    pub fn protect(&mut self, packet: srtp::Packet, plain: &[u8], out: &mut Vec<u8>) -> bool {
        match &mut self.protected {
            Protected::Now(session) => session.protect(packet, plain, out).is_ok(),
            Protected::Never | Protected::NoLonger(_) => {
                out.clear();
                out.extend_from_slice(plain);
                true
            }
        }
    }

    /// See [`SymmetricRtp::destination`].
    pub fn destination(&self) -> Option<SocketAddr> {
        self.symmetric_rtp.destination()
    }

    /// Where RTCP goes, and from which socket.
    pub fn rtcp_destination(&self) -> Option<(Channel, SocketAddr)> {
        let to = self.symmetric_rtp.rtcp_destination()?;
        let shared = self.symmetric_rtp.shares_port();
        let from = if shared { Channel::Rtp } else { Channel::Rtcp };
        Some((from, to))
    }
}

#[cfg(test)]
mod tests;
