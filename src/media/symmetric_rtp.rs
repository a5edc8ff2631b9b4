//! The PBX side's addresses: symmetric RTP (RFC 4961) that prefers the address of the SDP.
//!
//! Two questions are apart: whose packets are heard, and where audio goes.
//!
//! - Only packets of a negotiated payload type count, and only from IP addresses that
//!   [`Latching`] allows. Everything else is an unexpected source.
//! - A source settles after [`SETTLE_PACKETS`] packets that continue each other (one SSRC, the
//!   sequence going up), or with its second one after [`SETTLE_TIME`]. While one source is
//!   settling, others are not heard, unless more speaks for them or it falls silent for
//!   [`SETTLE_TIME`]. Once settled it is locked, and others of no higher rank are heard only
//!   after it has been silent for [`Latching::after`], five seconds at least.
//! - Audio goes to the address of the SDP. It follows a settled source at once where that is
//!   the SIP peer's IP address and the SDP names another one (a NAT in between), or where SRTP
//!   proves it; every other source only after nothing has come from the address of the SDP for
//!   [`Latching::after`]; RTCP from there counts, since equipment that is not symmetric sends it.
//! - The address of the SDP takes both back as soon as it has settled.
//! - Where [`Latching`] allows it, one source with an address of neither SDP nor SIP is heard while
//!   nothing comes from those ([`Observation`]). Audio never follows it, nor does RTCP, and the first
//!   packet from an address of SDP or SIP takes its place.
//! - A *new* address from signalling starts over; the same address again changes nothing.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

mod observation;

use super::latching::{Candidate, Latching, Rank};
#[cfg(doc)]
use super::latching::{SETTLE_PACKETS, SETTLE_TIME};
use observation::Observation;

/// RTCP reports come every five seconds and up to half as much later (RFC 3550 section 6.2): for
/// so long one of them says that the address of the SDP is in use.
const REPORTED: Duration = Duration::from_secs(15);

/// A settled source keeps others of its rank off for so long after its last packet, however early
/// the trunk lets audio follow a source.
const LEAST_SILENCE: Duration = Duration::from_secs(5);

/// Where the SDP of the PBX says that it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signalled {
    rtp: SocketAddr,
    rtcp: SocketAddr,
}

/// How far the RTP source is known.
#[derive(Clone, Copy, Debug)]
enum Latch {
    /// Nothing has arrived.
    Open,
    /// One source is proving itself.
    Settling(Candidate),
    /// One source is settled; another one may be proving that it is the right one.
    Locked {
        source: SocketAddr,
        rank: Rank,
        heard: Instant,
        rival: Option<Candidate>,
    },
}

/// What to do with a packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is the PBX's.
    Accepted,
    /// It is the PBX's, and from now on audio goes to its source, which is another address
    /// than before.
    Latched(SocketAddr),
    /// It is of another source, which is heard from now on, since nothing comes from the addresses
    /// of SDP and SIP; audio goes where it went.
    Heard {
        /// The address of the SDP.
        signalled: SocketAddr,
    },
    /// It is not taken; its source may be heard soon.
    Observed,
    /// It is somebody else's.
    Unexpected,
}

/// Where the PBX is, for RTP and for RTCP.
#[derive(Clone, Debug)]
pub struct SymmetricRtp {
    latching: Latching,
    /// The IP address that the SIP messages of the PBX come from.
    peer: Option<IpAddr>,
    signalled: Option<Signalled>,
    /// Since when nothing has come from the address of the SDP.
    sdp_silent_since: Option<Instant>,
    /// RTCP came last from the address of the SDP.
    sdp_reported: Option<Instant>,
    latch: Latch,
    /// The source that may be heard while those of SDP and SIP are silent.
    observation: Observation,
    /// Whether the negotiated direction has the PBX send.
    receiving: bool,
    /// Where audio goes in place of the address of the SDP.
    followed: Option<SocketAddr>,
    rtcp_source: Option<SocketAddr>,
}

impl Default for SymmetricRtp {
    fn default() -> Self {
        SymmetricRtp::new(Latching::default())
    }
}

impl SymmetricRtp {
    /// Symmetric RTP that nothing is known of.
    pub const fn new(latching: Latching) -> Self {
        SymmetricRtp {
            latching,
            peer: None,
            signalled: None,
            sdp_silent_since: None,
            sdp_reported: None,
            latch: Latch::Open,
            observation: Observation::new(),
            receiving: true,
            followed: None,
            rtcp_source: None,
        }
    }

    /// Takes the IP address that the SIP messages of the PBX come from.
    pub fn set_peer(&mut self, peer: IpAddr) {
        self.peer = Some(peer);
    }

    /// Takes whether the negotiated direction has the PBX send: else no further source is heard.
    pub fn set_receiving(&mut self, receiving: bool) {
        self.receiving = receiving;
    }

    /// Whether the negotiated direction has the PBX send.
    pub const fn is_receiving(&self) -> bool {
        self.receiving
    }

    /// Takes the addresses of the PBX's SDP. Without `rtcp` it is the port above RTP's
    /// (RFC 3550 section 11); `rtcp` equal to `rtp` means that both share the port (RFC 5761).
    /// Another RTP address than before opens the latch again.
    pub fn set_remote(&mut self, rtp: SocketAddr, rtcp: Option<SocketAddr>) {
        let moved = self.signalled.is_none_or(|signalled| signalled.rtp != rtp);
        let signalled = Signalled {
            rtp,
            rtcp: rtcp.unwrap_or_else(|| port_above(rtp)),
        };
        if moved {
            self.latch = Latch::Open;
            self.observation.clear();
            self.followed = None;
            self.sdp_silent_since = None;
            self.sdp_reported = None;
        }
        if moved || self.signalled != Some(signalled) {
            self.rtcp_source = None;
        }
        self.signalled = Some(signalled);
    }

    /// Whether the PBX's SDP has said where it is.
    pub const fn is_signalled(&self) -> bool {
        self.signalled.is_some()
    }

    /// Whether SDP or SIP names the IP address of `source`.
    pub fn names(&self, source: SocketAddr) -> bool {
        let signalled = self.signalled.map(|signalled| signalled.rtp);
        let rank = self.latching.rank(source, signalled, self.peer, false);
        rank.is_some_and(|rank| rank > Rank::Heard)
    }

    /// Takes an RTP packet of a negotiated payload type from `source`; `authentic` where keys of
    /// the SDP have proved it.
    pub fn handle_rtp(
        &mut self,
        source: SocketAddr,
        ssrc: u32,
        sequence: u16,
        authentic: bool,
        now: Instant,
    ) -> Arrival {
        let signalled = self.signalled.map(|signalled| signalled.rtp);
        let Some(rank) = self.latching.rank(source, signalled, self.peer, authentic) else {
            return Arrival::Unexpected;
        };
        if rank == Rank::Heard {
            return self.handle_unexpected(source, ssrc, sequence, now);
        }
        self.observation.clear();
        if self.hears_unexpected_source() {
            self.latch = Latch::Open;
        }
        if signalled.is_some() && (rank == Rank::Sdp || self.sdp_silent_since.is_none()) {
            self.sdp_silent_since = Some(now);
        }
        let candidate = Candidate::new(source, rank, ssrc, sequence, now);
        match &mut self.latch {
            Latch::Open => {
                self.latch = Latch::Settling(candidate);
                Arrival::Accepted
            }
            Latch::Settling(settling) if settling.source == source => {
                if settling.count(ssrc, sequence, now) {
                    self.lock(source, rank, now);
                    return self.follow(source, rank, now);
                }
                Arrival::Accepted
            }
            Latch::Settling(settling) => {
                if rank <= settling.rank && !settling.is_silent(now) {
                    return Arrival::Unexpected;
                }
                *settling = candidate;
                Arrival::Accepted
            }
            Latch::Locked {
                source: locked,
                rank: locked_rank,
                heard,
                ..
            } if *locked == source => {
                *locked_rank = rank;
                *heard = now;
                self.follow(source, rank, now)
            }
            Latch::Locked {
                rank: locked,
                heard,
                rival,
                ..
            } => {
                let patience = self.latching.after.max(LEAST_SILENCE);
                let silent = now.saturating_duration_since(*heard) >= patience;
                if rank <= *locked && !silent {
                    return Arrival::Unexpected;
                }
                match rival {
                    Some(rival) if rival.source == source && !rival.is_silent(now) => {
                        if rival.count(ssrc, sequence, now) {
                            self.lock(source, rank, now);
                            return self.follow(source, rank, now);
                        }
                    }
                    Some(other) if other.rank > rank && !other.is_silent(now) => {}
                    _ => *rival = Some(candidate),
                }
                Arrival::Unexpected
            }
        }
    }

    /// Takes an RTP packet from an address of neither SDP nor SIP, where such a source may be heard.
    fn handle_unexpected(
        &mut self,
        source: SocketAddr,
        ssrc: u32,
        sequence: u16,
        now: Instant,
    ) -> Arrival {
        let quiet = self.latching.after.max(LEAST_SILENCE);
        let taken = match &mut self.latch {
            Latch::Locked {
                source: locked,
                rank: Rank::Heard,
                heard,
                ..
            } if *locked == source => {
                *heard = now;
                return Arrival::Accepted;
            }
            Latch::Locked { heard, .. } => now.saturating_duration_since(*heard) < quiet,
            Latch::Open | Latch::Settling(_) => false,
        };
        let Some(signalled) = self.signalled.filter(|_| self.receiving && !taken) else {
            self.observation.clear();
            return Arrival::Unexpected;
        };
        let after = self.latching.heard_after;
        match self.observation.count(source, ssrc, sequence, after, now) {
            observation::Outcome::Proved => {
                self.latch = Latch::Locked {
                    source,
                    rank: Rank::Heard,
                    heard: now,
                    rival: None,
                };
                Arrival::Heard {
                    signalled: signalled.rtp,
                }
            }
            observation::Outcome::Goes => Arrival::Observed,
            observation::Outcome::Begun => Arrival::Unexpected,
        }
    }

    /// Whether the source that is heard has an address of neither SDP nor SIP.
    const fn hears_unexpected_source(&self) -> bool {
        matches!(
            self.latch,
            Latch::Locked {
                rank: Rank::Heard,
                ..
            }
        )
    }

    /// Whether RTP from `source` has been accepted last: it is settling, or settled.
    pub fn is_source(&self, source: SocketAddr) -> bool {
        match self.latch {
            Latch::Open => false,
            Latch::Settling(candidate) => candidate.source == source,
            Latch::Locked { source: locked, .. } => locked == source,
        }
    }

    /// Takes an RTCP packet from `source`, on whichever port it came.
    ///
    /// RTCP has no payload type to go by, so it never moves RTP: it is the PBX's when it comes
    /// from the RTCP address of the SDP, or from the IP address that RTP is settled on.
    pub fn handle_rtcp(&mut self, source: SocketAddr, now: Instant) -> Arrival {
        let named = self
            .signalled
            .is_some_and(|s| s.rtcp == source || s.rtp == source);
        if named {
            self.sdp_reported = Some(now);
        }
        if self.rtcp_source == Some(source) {
            return Arrival::Accepted;
        }
        let beside_rtp = match self.latch {
            // Reports would go to a source that must get nothing.
            Latch::Locked {
                rank: Rank::Heard, ..
            } => false,
            Latch::Locked { source: locked, .. } => locked.ip() == source.ip(),
            Latch::Open | Latch::Settling(_) => false,
        };
        if !named && !beside_rtp {
            return Arrival::Unexpected;
        }
        if named || self.rtcp_source.is_none() {
            self.rtcp_source = Some(source);
        }
        Arrival::Accepted
    }

    /// Where RTP goes: `None` while nothing is known, or when the SDP says nowhere (address
    /// 0.0.0.0 or port 0, the old form of hold: RFC 3264 section 8.4).
    pub fn destination(&self) -> Option<SocketAddr> {
        let signalled = self.signalled?.rtp;
        if is_nowhere(signalled) {
            return None;
        }
        Some(self.followed.unwrap_or(signalled))
    }

    /// Where RTCP goes.
    pub fn rtcp_destination(&self) -> Option<SocketAddr> {
        let signalled = self.signalled?;
        let rtp = self.destination()?;
        if self.shares_port() {
            return Some(rtp);
        }
        if let Some(source) = self.rtcp_source {
            return Some(source);
        }
        let rtcp = if rtp == signalled.rtp {
            signalled.rtcp
        } else {
            port_above(rtp)
        };
        Some(rtcp).filter(|address| !is_nowhere(*address))
    }

    /// Whether RTCP shares the RTP port (RFC 5761).
    pub fn shares_port(&self) -> bool {
        self.signalled
            .is_some_and(|signalled| signalled.rtp == signalled.rtcp)
    }

    fn lock(&mut self, source: SocketAddr, rank: Rank, now: Instant) {
        self.latch = Latch::Locked {
            source,
            rank,
            heard: now,
            rival: None,
        };
        if self
            .rtcp_source
            .is_some_and(|rtcp| rtcp.ip() != source.ip())
        {
            self.rtcp_source = None;
        }
    }

    /// Has audio follow a source that is settled, where its rank or the silence at the address of
    /// the SDP allows it.
    fn follow(&mut self, source: SocketAddr, rank: Rank, now: Instant) -> Arrival {
        let before = self.destination();
        let is_longer_than = |since: Option<Instant>, time: Duration| {
            since.is_none_or(|since| now.saturating_duration_since(since) >= time)
        };
        match rank {
            Rank::Sdp => self.followed = None,
            Rank::Heard => {}
            _ if !self.latching.symmetric || self.followed == Some(source) => {}
            Rank::Peer => self.followed = Some(source),
            Rank::SdpHost | Rank::Allowed => {
                if self.signalled.is_some()
                    && is_longer_than(self.sdp_silent_since, self.latching.after)
                    && is_longer_than(self.sdp_reported, REPORTED)
                {
                    self.followed = Some(source);
                }
            }
        }
        match self.destination() {
            after if after == before => Arrival::Accepted,
            Some(moved) => Arrival::Latched(moved),
            None => Arrival::Accepted,
        }
    }
}

fn port_above(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1))
}

fn is_nowhere(address: SocketAddr) -> bool {
    address.ip().is_unspecified() || address.port() == 0
}

#[cfg(test)]
mod tests;
