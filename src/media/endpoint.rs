//! The PBX side's addresses: symmetric RTP (RFC 4961) that settles once and then holds.
//!
//! Audio goes to the address of the SDP at first. What arrives decides then, since a PBX behind
//! a NAT sends from another address than it writes:
//!
//! - Only packets of a negotiated payload type count.
//! - A source settles after [`SETTLE_PACKETS`] packets that continue each other (one SSRC, the
//!   sequence going up), or with its second one after [`SETTLE_TIME`]. Until then audio still goes to the address of the SDP, so that one forged
//!   packet diverts nothing. While one source is settling, others are strangers, unless it falls
//!   silent for [`SETTLE_TIME`].
//! - Once settled it is locked: packets of strangers are dropped and never move it.
//! - The address that the SDP names is no stranger: it settles in the same way, also when
//!   another source got there first. So a lock that was taken by a packet of the previous call,
//!   or by somebody who was faster, heals.
//! - A *new* address from signalling starts over; the same address again changes nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How many packets from one source settle it.
pub const SETTLE_PACKETS: u32 = 5;

/// After how long the second packet of a source settles it, and after how long a source that is
/// settling gives way when it is silent.
pub const SETTLE_TIME: Duration = Duration::from_millis(100);

/// How far ahead the sequence of a source may jump while it settles.
const SETTLE_GAP: u16 = 32;

/// Where the SDP of the PBX says that it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signalled {
    rtp: SocketAddr,
    rtcp: SocketAddr,
}

/// A source that is proving itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    packets: u32,
    first: Instant,
    last: Instant,
}

impl Candidate {
    fn new(source: SocketAddr, ssrc: u32, sequence: u16, now: Instant) -> Self {
        Candidate {
            source,
            ssrc,
            sequence,
            packets: 1,
            first: now,
            last: now,
        }
    }

    /// Counts a packet of the same source; whether the source is settled now. A packet that
    /// does not continue those before it begins the count anew: garbage never settles.
    fn count(&mut self, ssrc: u32, sequence: u16, now: Instant) -> bool {
        let ahead = sequence.wrapping_sub(self.sequence);
        if ssrc != self.ssrc || !(1..=SETTLE_GAP).contains(&ahead) {
            *self = Candidate::new(self.source, ssrc, sequence, now);
            return false;
        }
        self.sequence = sequence;
        self.packets = self.packets.saturating_add(1);
        self.last = now;
        self.packets >= SETTLE_PACKETS || now.saturating_duration_since(self.first) >= SETTLE_TIME
    }

    fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= SETTLE_TIME
    }
}

/// How far the RTP source is known.
#[derive(Clone, Copy, Debug)]
enum Latch {
    /// Nothing has arrived.
    Open,
    /// One source is proving itself.
    Settling(Candidate),
    /// One source is settled; the signalled address may be proving that it is the right one.
    Locked {
        source: SocketAddr,
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
    /// It is somebody else's.
    Stranger,
}

/// Where the PBX is, for RTP and for RTCP.
#[derive(Clone, Debug)]
pub struct Endpoint {
    signalled: Option<Signalled>,
    latch: Latch,
    rtcp_source: Option<SocketAddr>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Endpoint::new()
    }
}

impl Endpoint {
    /// An endpoint that nothing is known of.
    pub const fn new() -> Self {
        Endpoint {
            signalled: None,
            latch: Latch::Open,
            rtcp_source: None,
        }
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
        }
        if moved || self.signalled != Some(signalled) {
            self.rtcp_source = None;
        }
        self.signalled = Some(signalled);
    }

    /// Takes an RTP packet of a negotiated payload type from `source`.
    pub fn handle_rtp(
        &mut self,
        source: SocketAddr,
        ssrc: u32,
        sequence: u16,
        now: Instant,
    ) -> Arrival {
        let signalled = self.signalled.map(|signalled| signalled.rtp);
        match &mut self.latch {
            Latch::Open => {
                self.latch = Latch::Settling(Candidate::new(source, ssrc, sequence, now));
                Arrival::Accepted
            }
            Latch::Settling(candidate) if candidate.source == source => {
                if !candidate.count(ssrc, sequence, now) {
                    return Arrival::Accepted;
                }
                let before = self.destination();
                self.lock(source, before)
            }
            Latch::Settling(candidate) => {
                if signalled != Some(source) && !candidate.is_silent(now) {
                    return Arrival::Stranger;
                }
                *candidate = Candidate::new(source, ssrc, sequence, now);
                Arrival::Accepted
            }
            Latch::Locked { source: locked, .. } if *locked == source => Arrival::Accepted,
            Latch::Locked {
                source: locked,
                rival,
            } => {
                if signalled != Some(source) {
                    return Arrival::Stranger;
                }
                match rival {
                    Some(candidate) if !candidate.is_silent(now) => {
                        if candidate.count(ssrc, sequence, now) {
                            let before = Some(*locked);
                            return self.lock(source, before);
                        }
                    }
                    _ => *rival = Some(Candidate::new(source, ssrc, sequence, now)),
                }
                Arrival::Stranger
            }
        }
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
    pub fn handle_rtcp(&mut self, source: SocketAddr) -> Arrival {
        if self.rtcp_source == Some(source) {
            return Arrival::Accepted;
        }
        let named = self
            .signalled
            .is_some_and(|s| s.rtcp == source || s.rtp == source);
        let beside_rtp = match self.latch {
            Latch::Locked { source: locked, .. } => locked.ip() == source.ip(),
            Latch::Open | Latch::Settling(_) => false,
        };
        if !named && !beside_rtp {
            return Arrival::Stranger;
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
        match self.latch {
            Latch::Locked { source, .. } => Some(source),
            Latch::Open | Latch::Settling(_) => Some(signalled),
        }
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

    fn lock(&mut self, source: SocketAddr, before: Option<SocketAddr>) -> Arrival {
        self.latch = Latch::Locked {
            source,
            rival: None,
        };
        if self
            .rtcp_source
            .is_some_and(|rtcp| rtcp.ip() != source.ip())
        {
            self.rtcp_source = None;
        }
        if before == Some(source) {
            Arrival::Accepted
        } else {
            Arrival::Latched(source)
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
#[expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]
mod tests {
    use super::*;

    const NAMED: &str = "192.0.2.1:4000";
    const BEHIND_NAT: &str = "198.51.100.7:61000";
    const STRANGER: &str = "203.0.113.66:6666";

    fn at(address: &str) -> SocketAddr {
        address.parse().expect("a socket address")
    }

    /// Packet `number` of a stream of `source`.
    fn packet(endpoint: &mut Endpoint, source: &str, number: u16, now: Instant) -> Arrival {
        let ssrc = u32::from(at(source).port());
        endpoint.handle_rtp(at(source), ssrc, number.wrapping_sub(3), now)
    }

    /// Packets from `source` every 20 ms from `from`; the last arrival.
    fn packets(endpoint: &mut Endpoint, source: &str, count: u16, from: Instant) -> Arrival {
        (0..count)
            .map(|n| {
                packet(
                    endpoint,
                    source,
                    n,
                    from + Duration::from_millis(20) * n.into(),
                )
            })
            .last()
            .expect("at least one packet")
    }

    #[test]
    fn audio_goes_to_the_address_of_the_sdp_until_a_source_settles() {
        let now = Instant::now();
        let mut endpoint = Endpoint::new();
        assert_eq!(endpoint.destination(), None);
        endpoint.set_remote(at(NAMED), None);
        assert_eq!(endpoint.destination(), Some(at(NAMED)));
        assert_eq!(endpoint.rtcp_destination(), Some(at("192.0.2.1:4001")));

        assert_eq!(
            packets(&mut endpoint, BEHIND_NAT, 4, now),
            Arrival::Accepted
        );
        assert_eq!(endpoint.destination(), Some(at(NAMED)));
        let fifth = packet(
            &mut endpoint,
            BEHIND_NAT,
            4,
            now + Duration::from_millis(80),
        );
        assert_eq!(fifth, Arrival::Latched(at(BEHIND_NAT)));
        assert_eq!(endpoint.destination(), Some(at(BEHIND_NAT)));
        assert_eq!(endpoint.rtcp_destination(), Some(at("198.51.100.7:61001")));
    }

    #[test]
    fn a_source_with_long_packets_settles_by_time() {
        let now = Instant::now();
        let mut endpoint = Endpoint::new();
        endpoint.set_remote(at(NAMED), None);
        packet(&mut endpoint, BEHIND_NAT, 0, now);
        let second = packet(
            &mut endpoint,
            BEHIND_NAT,
            1,
            now + Duration::from_millis(120),
        );
        assert_eq!(second, Arrival::Latched(at(BEHIND_NAT)));
    }

    #[test]
    fn a_stranger_never_moves_a_settled_source() {
        let now = Instant::now();
        let mut endpoint = Endpoint::new();
        endpoint.set_remote(at(NAMED), None);
        packets(&mut endpoint, NAMED, 5, now);
        let later = now + Duration::from_secs(60);
        for n in 0..1000 {
            let arrival = packet(
                &mut endpoint,
                STRANGER,
                n,
                later + Duration::from_millis(n.into()),
            );
            assert_eq!(arrival, Arrival::Stranger);
        }
        assert_eq!(endpoint.handle_rtcp(at(STRANGER)), Arrival::Stranger);
        assert_eq!(endpoint.destination(), Some(at(NAMED)));
        assert_eq!(endpoint.rtcp_destination(), Some(at("192.0.2.1:4001")));
    }

    #[test]
    fn the_named_address_takes_the_lock_back_from_who_was_faster() {
        let now = Instant::now();
        let mut endpoint = Endpoint::new();
        endpoint.set_remote(at(NAMED), None);
        assert_eq!(
            packets(&mut endpoint, STRANGER, 5, now),
            Arrival::Latched(at(STRANGER))
        );
        let later = now + Duration::from_secs(1);
        assert_eq!(packets(&mut endpoint, NAMED, 4, later), Arrival::Stranger);
        let fifth = packet(&mut endpoint, NAMED, 4, later + Duration::from_millis(80));
        assert_eq!(fifth, Arrival::Latched(at(NAMED)));
        assert_eq!(packet(&mut endpoint, STRANGER, 0, later), Arrival::Stranger);
    }

    #[test]
    fn a_left_over_packet_of_another_call_gives_way() {
        let now = Instant::now();
        let mut endpoint = Endpoint::new();
        endpoint.set_remote(at(NAMED), None);
        assert_eq!(packet(&mut endpoint, STRANGER, 0, now), Arrival::Accepted);
        let soon = now + Duration::from_millis(20);
        assert_eq!(
            packet(&mut endpoint, BEHIND_NAT, 0, soon),
            Arrival::Stranger
        );
        let later = now + SETTLE_TIME;
        assert_eq!(
            packet(&mut endpoint, BEHIND_NAT, 0, later),
            Arrival::Accepted
        );
        assert_eq!(
            packets(&mut endpoint, BEHIND_NAT, 5, later),
            Arrival::Latched(at(BEHIND_NAT))
        );
    }

    #[test]
    fn garbage_never_settles() {
        let now = Instant::now();
        let mut endpoint = Endpoint::new();
        endpoint.set_remote(at(NAMED), None);
        for n in 0..1000_u16 {
            let later = now + Duration::from_millis(20) * n.into();
            endpoint.handle_rtp(at(STRANGER), u32::from(n / 3), n, later);
            endpoint.handle_rtp(at(STRANGER), 1, n.wrapping_mul(40_503), later);
        }
        assert_eq!(endpoint.destination(), Some(at(NAMED)));
    }

    #[test]
    fn only_a_new_address_opens_the_latch_again() {
        let now = Instant::now();
        let mut endpoint = Endpoint::new();
        endpoint.set_remote(at(NAMED), None);
        packets(&mut endpoint, BEHIND_NAT, 5, now);
        endpoint.set_remote(at(NAMED), None);
        assert_eq!(endpoint.destination(), Some(at(BEHIND_NAT)));
        endpoint.set_remote(at("192.0.2.9:5000"), None);
        assert_eq!(endpoint.destination(), Some(at("192.0.2.9:5000")));
        let later = now + Duration::from_secs(1);
        packets(&mut endpoint, "192.0.2.9:5000", 5, later);
        assert_eq!(
            packet(&mut endpoint, BEHIND_NAT, 0, later),
            Arrival::Stranger
        );
    }

    #[test]
    fn the_old_form_of_hold_sends_nowhere_and_resumes_where_it_was() {
        let now = Instant::now();
        let mut endpoint = Endpoint::new();
        endpoint.set_remote(at(NAMED), None);
        packets(&mut endpoint, NAMED, 5, now);
        endpoint.set_remote(at("0.0.0.0:4000"), None);
        assert_eq!(
            (endpoint.destination(), endpoint.rtcp_destination()),
            (None, None)
        );
        endpoint.set_remote(at(NAMED), None);
        assert_eq!(endpoint.destination(), Some(at(NAMED)));
    }

    #[test]
    fn rtcp_follows_its_own_source_beside_rtp() {
        let now = Instant::now();
        let mut endpoint = Endpoint::new();
        endpoint.set_remote(at(NAMED), Some(at("192.0.2.1:4009")));
        assert_eq!(endpoint.rtcp_destination(), Some(at("192.0.2.1:4009")));
        assert_eq!(
            endpoint.handle_rtcp(at("198.51.100.7:7")),
            Arrival::Stranger
        );
        packets(&mut endpoint, BEHIND_NAT, 5, now);
        assert_eq!(
            endpoint.handle_rtcp(at("198.51.100.7:7")),
            Arrival::Accepted
        );
        assert_eq!(endpoint.rtcp_destination(), Some(at("198.51.100.7:7")));

        endpoint.set_remote(at("192.0.2.9:5000"), Some(at("192.0.2.9:5000")));
        assert!(endpoint.shares_port());
        assert_eq!(endpoint.rtcp_destination(), Some(at("192.0.2.9:5000")));
    }
}
