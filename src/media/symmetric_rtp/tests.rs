//! Whose RTP is taken, and where audio goes.

#![expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]

mod heard;

use super::*;
use crate::media::{RtpSources, SETTLE_TIME};

const NAMED: &str = "192.0.2.1:4000";
const BEHIND_NAT: &str = "198.51.100.7:61000";
const UNEXPECTED: &str = "203.0.113.66:6666";
const ANOTHER_UNEXPECTED: &str = "203.0.113.67:6666";
/// The host of the SDP, another port.
const OTHER_PORT: &str = "192.0.2.1:5000";

/// Symmetric RTP whose SIP messages come from the NAT's address.
fn behind_nat() -> SymmetricRtp {
    let mut symmetric_rtp = SymmetricRtp::default();
    symmetric_rtp.set_peer(at(BEHIND_NAT).ip());
    symmetric_rtp
}

/// Symmetric RTP of a trunk that takes RTP from everywhere, at once.
fn open_to_all() -> SymmetricRtp {
    SymmetricRtp::new(Latching {
        sources: RtpSources::Any,
        after: Duration::ZERO,
        ..Latching::default()
    })
}

fn at(address: &str) -> SocketAddr {
    address.parse().expect("a socket address")
}

/// Packet `number` of a stream of `source`.
fn packet(symmetric_rtp: &mut SymmetricRtp, source: &str, number: u16, now: Instant) -> Arrival {
    let ssrc = u32::from(at(source).port());
    symmetric_rtp.handle_rtp(at(source), ssrc, number.wrapping_sub(3), false, now)
}

/// Packets from `source` every 20 ms from `from`; the last arrival.
fn packets(symmetric_rtp: &mut SymmetricRtp, source: &str, count: u16, from: Instant) -> Arrival {
    (0..count)
        .map(|n| {
            packet(
                symmetric_rtp,
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
    let mut symmetric_rtp = behind_nat();
    assert_eq!(symmetric_rtp.destination(), None);
    symmetric_rtp.set_remote(at(NAMED), None);
    assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)));
    assert_eq!(symmetric_rtp.rtcp_destination(), Some(at("192.0.2.1:4001")));

    assert_eq!(
        packets(&mut symmetric_rtp, BEHIND_NAT, 4, now),
        Arrival::Accepted
    );
    assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)));
    let fifth = packet(
        &mut symmetric_rtp,
        BEHIND_NAT,
        4,
        now + Duration::from_millis(80),
    );
    assert_eq!(fifth, Arrival::Latched(at(BEHIND_NAT)));
    assert_eq!(symmetric_rtp.destination(), Some(at(BEHIND_NAT)));
    assert_eq!(
        symmetric_rtp.rtcp_destination(),
        Some(at("198.51.100.7:61001"))
    );
}

#[test]
fn a_source_with_long_packets_settles_by_time() {
    let now = Instant::now();
    let mut symmetric_rtp = behind_nat();
    symmetric_rtp.set_remote(at(NAMED), None);
    packet(&mut symmetric_rtp, BEHIND_NAT, 0, now);
    let second = packet(
        &mut symmetric_rtp,
        BEHIND_NAT,
        1,
        now + Duration::from_millis(120),
    );
    assert_eq!(second, Arrival::Latched(at(BEHIND_NAT)));
}

#[test]
fn an_unexpected_source_never_moves_a_settled_source() {
    let now = Instant::now();
    let mut symmetric_rtp = behind_nat();
    symmetric_rtp.latching.sources = RtpSources::Peer;
    symmetric_rtp.set_remote(at(NAMED), None);
    packets(&mut symmetric_rtp, NAMED, 5, now);
    let later = now + Duration::from_secs(60);
    for n in 0..1000 {
        let arrival = packet(
            &mut symmetric_rtp,
            UNEXPECTED,
            n,
            later + Duration::from_millis(n.into()),
        );
        assert_eq!(arrival, Arrival::Unexpected);
    }
    assert_eq!(
        symmetric_rtp.handle_rtcp(at(UNEXPECTED), later),
        Arrival::Unexpected
    );
    assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)));
    assert_eq!(symmetric_rtp.rtcp_destination(), Some(at("192.0.2.1:4001")));
}

#[test]
fn the_named_address_takes_the_lock_back_from_who_was_faster() {
    let now = Instant::now();
    let mut symmetric_rtp = open_to_all();
    symmetric_rtp.set_remote(at(NAMED), None);
    assert_eq!(
        packets(&mut symmetric_rtp, UNEXPECTED, 5, now),
        Arrival::Latched(at(UNEXPECTED))
    );
    let later = now + Duration::from_secs(1);
    assert_eq!(
        packets(&mut symmetric_rtp, NAMED, 4, later),
        Arrival::Unexpected
    );
    let fifth = packet(
        &mut symmetric_rtp,
        NAMED,
        4,
        later + Duration::from_millis(80),
    );
    assert_eq!(fifth, Arrival::Latched(at(NAMED)));
    assert_eq!(
        packet(&mut symmetric_rtp, UNEXPECTED, 0, later),
        Arrival::Unexpected
    );
}

#[test]
fn a_left_over_packet_of_another_call_gives_way() {
    let now = Instant::now();
    let mut symmetric_rtp = behind_nat();
    symmetric_rtp.set_remote(at(NAMED), None);
    symmetric_rtp.latching.sources = RtpSources::Any;
    assert_eq!(
        packet(&mut symmetric_rtp, UNEXPECTED, 0, now),
        Arrival::Accepted
    );
    let soon = now + Duration::from_millis(20);
    assert_eq!(
        packet(&mut symmetric_rtp, ANOTHER_UNEXPECTED, 0, soon),
        Arrival::Unexpected
    );
    let later = now + SETTLE_TIME;
    assert_eq!(
        packet(&mut symmetric_rtp, BEHIND_NAT, 0, later),
        Arrival::Accepted
    );
    assert_eq!(
        packets(&mut symmetric_rtp, BEHIND_NAT, 5, later),
        Arrival::Latched(at(BEHIND_NAT))
    );
}

#[test]
fn garbage_never_settles() {
    let now = Instant::now();
    let mut symmetric_rtp = open_to_all();
    symmetric_rtp.set_remote(at(NAMED), None);
    for n in 0..1000_u16 {
        let later = now + Duration::from_millis(20) * n.into();
        symmetric_rtp.handle_rtp(at(UNEXPECTED), u32::from(n / 3), n, false, later);
        symmetric_rtp.handle_rtp(at(UNEXPECTED), 1, n.wrapping_mul(40_503), false, later);
    }
    assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)));
}

#[test]
fn only_a_new_address_opens_the_latch_again() {
    let now = Instant::now();
    let mut symmetric_rtp = behind_nat();
    symmetric_rtp.set_remote(at(NAMED), None);
    packets(&mut symmetric_rtp, BEHIND_NAT, 5, now);
    symmetric_rtp.set_remote(at(NAMED), None);
    assert_eq!(symmetric_rtp.destination(), Some(at(BEHIND_NAT)));
    symmetric_rtp.set_remote(at("192.0.2.9:5000"), None);
    assert_eq!(symmetric_rtp.destination(), Some(at("192.0.2.9:5000")));
    let later = now + Duration::from_secs(1);
    packets(&mut symmetric_rtp, "192.0.2.9:5000", 5, later);
    assert_eq!(
        packet(&mut symmetric_rtp, BEHIND_NAT, 0, later),
        Arrival::Unexpected
    );
}

#[test]
fn the_old_form_of_hold_sends_nowhere_and_resumes_where_it_was() {
    let now = Instant::now();
    let mut symmetric_rtp = behind_nat();
    symmetric_rtp.set_remote(at(NAMED), None);
    packets(&mut symmetric_rtp, NAMED, 5, now);
    symmetric_rtp.set_remote(at("0.0.0.0:4000"), None);
    assert_eq!(
        (
            symmetric_rtp.destination(),
            symmetric_rtp.rtcp_destination()
        ),
        (None, None)
    );
    symmetric_rtp.set_remote(at(NAMED), None);
    assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)));
}

#[test]
fn rtcp_follows_its_own_source_beside_rtp() {
    let now = Instant::now();
    let mut symmetric_rtp = behind_nat();
    symmetric_rtp.set_remote(at(NAMED), Some(at("192.0.2.1:4009")));
    assert_eq!(symmetric_rtp.rtcp_destination(), Some(at("192.0.2.1:4009")));
    assert_eq!(
        symmetric_rtp.handle_rtcp(at("198.51.100.7:7"), now),
        Arrival::Unexpected
    );
    packets(&mut symmetric_rtp, BEHIND_NAT, 5, now);
    assert_eq!(
        symmetric_rtp.handle_rtcp(at("198.51.100.7:7"), now),
        Arrival::Accepted
    );
    assert_eq!(symmetric_rtp.rtcp_destination(), Some(at("198.51.100.7:7")));

    symmetric_rtp.set_remote(at("192.0.2.9:5000"), Some(at("192.0.2.9:5000")));
    assert!(symmetric_rtp.shares_port());
    assert_eq!(symmetric_rtp.rtcp_destination(), Some(at("192.0.2.9:5000")));
}

#[test]
fn an_unexpected_source_before_the_pbx_has_sent_moves_nothing() {
    // Other hosts, with and without a known SIP peer, before and after the SDP.
    let now = Instant::now();
    for peer in [None, Some(at(BEHIND_NAT).ip()), Some(at(NAMED).ip())] {
        for signalled in [false, true] {
            let mut symmetric_rtp = SymmetricRtp::new(Latching {
                sources: RtpSources::Peer,
                ..Latching::default()
            });
            if let Some(peer) = peer {
                symmetric_rtp.set_peer(peer);
            }
            if signalled {
                symmetric_rtp.set_remote(at(NAMED), None);
            }
            let last = packets(&mut symmetric_rtp, UNEXPECTED, 500, now);
            assert_eq!(last, Arrival::Unexpected, "{peer:?} {signalled}");
            assert_eq!(symmetric_rtp.destination(), signalled.then(|| at(NAMED)));
        }
    }
}

#[test]
fn another_port_of_the_sdps_host_is_heard_and_gets_audio_only_after_silence() {
    let now = Instant::now();
    let mut symmetric_rtp = SymmetricRtp::default();
    symmetric_rtp.set_peer(at(NAMED).ip());
    symmetric_rtp.set_remote(at(NAMED), None);
    assert_eq!(
        packets(&mut symmetric_rtp, OTHER_PORT, 240, now),
        Arrival::Accepted
    );
    assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)));
    let later = now + Duration::from_secs(5);
    assert_eq!(
        packets(&mut symmetric_rtp, OTHER_PORT, 1, later),
        Arrival::Latched(at(OTHER_PORT))
    );
    // The address of the SDP speaks after all.
    let later = later + Duration::from_secs(1);
    packets(&mut symmetric_rtp, NAMED, 5, later);
    assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)));
}

#[test]
fn rtcp_from_the_address_of_the_sdp_keeps_audio_there() {
    let now = Instant::now();
    let mut symmetric_rtp = SymmetricRtp::default();
    symmetric_rtp.set_remote(at(NAMED), None);
    for second in 0..60 {
        let later = now + Duration::from_secs(second);
        if second % 7 == 0 {
            symmetric_rtp.handle_rtcp(at("192.0.2.1:4001"), later);
        }
        packets(&mut symmetric_rtp, OTHER_PORT, 50, later);
        assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)), "{second}");
    }
}

#[test]
fn without_symmetric_rtp_audio_stays_at_the_address_of_the_sdp() {
    let now = Instant::now();
    for source in [OTHER_PORT, BEHIND_NAT, UNEXPECTED] {
        let mut symmetric_rtp = SymmetricRtp::new(Latching {
            symmetric: false,
            sources: RtpSources::Any,
            after: Duration::ZERO,
            ..Latching::default()
        });
        symmetric_rtp.set_peer(at(BEHIND_NAT).ip());
        symmetric_rtp.set_remote(at(NAMED), None);
        assert_eq!(
            packets(&mut symmetric_rtp, source, 500, now),
            Arrival::Accepted
        );
        assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)), "{source}");
    }
}

#[test]
fn a_source_that_falls_silent_gives_way_to_another_port_of_the_host() {
    let now = Instant::now();
    let mut symmetric_rtp = SymmetricRtp::default();
    symmetric_rtp.set_remote(at(NAMED), None);
    packets(&mut symmetric_rtp, NAMED, 5, now);
    let soon = now + Duration::from_secs(2);
    assert_eq!(
        packets(&mut symmetric_rtp, OTHER_PORT, 50, soon),
        Arrival::Unexpected
    );
    let later = now + Duration::from_secs(6);
    packets(&mut symmetric_rtp, OTHER_PORT, 5, later);
    assert_eq!(symmetric_rtp.destination(), Some(at(OTHER_PORT)));
}

#[test]
fn sources_are_limited_to_the_sdps_host_where_the_trunk_says_so() {
    let now = Instant::now();
    let mut symmetric_rtp = SymmetricRtp::new(Latching {
        sources: RtpSources::Sdp,
        ..Latching::default()
    });
    symmetric_rtp.set_peer(at(BEHIND_NAT).ip());
    symmetric_rtp.set_remote(at(NAMED), None);
    assert_eq!(
        packets(&mut symmetric_rtp, BEHIND_NAT, 50, now),
        Arrival::Unexpected
    );
    assert_eq!(
        packets(&mut symmetric_rtp, OTHER_PORT, 5, now),
        Arrival::Accepted
    );
}

#[test]
fn authentic_packets_are_followed_at_once_wherever_they_come_from() {
    let now = Instant::now();
    let mut symmetric_rtp = SymmetricRtp::default();
    symmetric_rtp.set_remote(at(NAMED), None);
    for n in 0..4 {
        let arrival = symmetric_rtp.handle_rtp(at(UNEXPECTED), 1, n, true, now);
        assert_eq!(arrival, Arrival::Accepted);
    }
    let fifth = symmetric_rtp.handle_rtp(at(UNEXPECTED), 1, 4, true, now);
    assert_eq!(fifth, Arrival::Latched(at(UNEXPECTED)));
}

#[test]
fn before_any_sdp_the_sip_peer_is_heard_and_gets_nothing() {
    let now = Instant::now();
    let mut symmetric_rtp = behind_nat();
    assert_eq!(
        packets(&mut symmetric_rtp, BEHIND_NAT, 50, now),
        Arrival::Accepted
    );
    assert_eq!(symmetric_rtp.destination(), None);
    // The SDP begins anew.
    symmetric_rtp.set_remote(at(NAMED), None);
    assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)));
}

#[test]
fn a_living_source_is_kept_however_early_the_trunk_latches() {
    let now = Instant::now();
    let mut symmetric_rtp = open_to_all();
    symmetric_rtp.set_remote(at(NAMED), None);
    packets(&mut symmetric_rtp, BEHIND_NAT, 5, now);
    for second in 1..20 {
        let later = now + Duration::from_secs(second);
        packets(&mut symmetric_rtp, BEHIND_NAT, 1, later);
        assert_eq!(
            packets(&mut symmetric_rtp, UNEXPECTED, 40, later),
            Arrival::Unexpected
        );
        assert_eq!(
            symmetric_rtp.destination(),
            Some(at(BEHIND_NAT)),
            "{second}"
        );
    }
}
