//! Whose RTP is taken, and which source becomes the destination of our audio (RFC 7362).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How many packets from one source settle it.
pub const SETTLE_PACKETS: u32 = 5;

/// After how long the second packet of a source settles it, and after how long a source that is
/// settling gives way when it is silent.
pub const SETTLE_TIME: Duration = Duration::from_millis(100);

/// How far ahead the sequence of a source may jump while it settles.
const SETTLE_GAP: u16 = 32;

/// Which IP addresses RTP is taken from, besides the address and port of the SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RtpSources {
    /// The IP address of the SDP.
    Sdp,
    /// That, and the IP address that the SIP messages come from: a PBX behind a NAT writes an
    /// address that nobody else reaches (RFC 7362 section 4).
    Peer,
    /// The same; while nothing comes from there, one other source is played to the browser, and
    /// our RTP and RTCP never go to it (docs/decisions/0016-unexpected-rtp-sources.md).
    #[default]
    Heard,
    /// All of them: the media of the PBX comes through a NAT of its own.
    Any,
}

/// What a trunk says of latching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latching {
    /// Audio follows the source of RTP (RFC 4961). Without it audio goes where the SDP says,
    /// for equipment that sends from another port than it receives on.
    pub symmetric: bool,
    /// Whose RTP is taken.
    pub sources: RtpSources,
    /// How long nothing must have come from the address of the SDP until audio follows another
    /// source. The SIP peer's IP address is followed at once where the SDP names another one.
    pub after: Duration,
    /// How long nothing must have come from the addresses of SDP and SIP until another source is
    /// heard, where [`RtpSources::Heard`] allows it.
    pub heard_after: Duration,
}

impl Default for Latching {
    fn default() -> Self {
        Latching {
            symmetric: true,
            sources: RtpSources::default(),
            after: Duration::from_secs(5),
            heard_after: Duration::from_secs(1),
        }
    }
}

/// How much speaks for a source; the greater wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// No address of SDP or SIP: it may be heard, and gets nothing.
    Heard,
    /// Nothing but the trunk's option.
    Allowed,
    /// The IP address of the SDP, another port: a NAT, or equipment that is not symmetric.
    SdpHost,
    /// The SIP peer's IP address where the SDP names another one, or a packet that the keys of
    /// the SDP prove authentic.
    Peer,
    /// The address and port of the SDP.
    Sdp,
}

impl Latching {
    /// What speaks for RTP from `source`; `None` where it is not taken.
    pub(super) fn rank(
        &self,
        source: SocketAddr,
        sdp: Option<SocketAddr>,
        peer: Option<IpAddr>,
        authentic: bool,
    ) -> Option<Rank> {
        let host = sdp.map(|sdp| sdp.ip());
        if sdp == Some(source) {
            Some(Rank::Sdp)
        } else if host == Some(source.ip()) {
            Some(Rank::SdpHost)
        } else if authentic || self.sources != RtpSources::Sdp && peer == Some(source.ip()) {
            Some(Rank::Peer)
        } else {
            match self.sources {
                RtpSources::Sdp | RtpSources::Peer => None,
                RtpSources::Heard => Some(Rank::Heard),
                RtpSources::Any => Some(Rank::Allowed),
            }
        }
    }
}

/// A source that is proving itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) source: SocketAddr,
    pub(super) rank: Rank,
    ssrc: u32,
    sequence: u16,
    packets: u32,
    first: Instant,
    last: Instant,
}

impl Candidate {
    pub(super) fn new(
        source: SocketAddr,
        rank: Rank,
        ssrc: u32,
        sequence: u16,
        now: Instant,
    ) -> Self {
        Candidate {
            source,
            rank,
            ssrc,
            sequence,
            packets: 1,
            first: now,
            last: now,
        }
    }

    /// Counts a packet of the same source; whether the source is settled now. A packet that
    /// does not continue those before it begins the count anew: garbage never settles.
    pub(super) fn count(&mut self, ssrc: u32, sequence: u16, now: Instant) -> bool {
        let ahead = sequence.wrapping_sub(self.sequence);
        if ssrc != self.ssrc || !(1..=SETTLE_GAP).contains(&ahead) {
            *self = Candidate::new(self.source, self.rank, ssrc, sequence, now);
            return false;
        }
        self.sequence = sequence;
        self.packets = self.packets.saturating_add(1);
        self.last = now;
        self.packets >= SETTLE_PACKETS || now.saturating_duration_since(self.first) >= SETTLE_TIME
    }

    pub(super) fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= SETTLE_TIME
    }
}
