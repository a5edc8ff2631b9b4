//! A source with an address of neither SDP nor SIP, while those are silent: heard, and sent nothing.

use super::*;

/// Symmetric RTP with an SDP, whose SIP messages come from the NAT's address.
fn described() -> SymmetricRtp {
    let mut symmetric_rtp = behind_nat();
    symmetric_rtp.set_remote(at(NAMED), None);
    symmetric_rtp
}

/// Milliseconds after the beginning.
fn after(now: Instant, milliseconds: u64) -> Instant {
    now + Duration::from_millis(milliseconds)
}

/// What becomes of packet `number` of a source, `20 * number` ms after the beginning. RTP and RTCP
/// go where the SDP says, whatever it is.
fn nth(symmetric_rtp: &mut SymmetricRtp, source: &str, number: u16, now: Instant) -> Arrival {
    let arrival = packet(
        symmetric_rtp,
        source,
        number,
        after(now, 20 * u64::from(number)),
    );
    assert_eq!(symmetric_rtp.destination(), Some(at(NAMED)));
    assert_eq!(symmetric_rtp.rtcp_destination(), Some(at("192.0.2.1:4001")));
    arrival
}

/// The packets of a source until it is heard: how many were not taken. None: it was not heard.
fn taken_after(
    symmetric_rtp: &mut SymmetricRtp,
    source: &str,
    mut numbers: std::ops::Range<u16>,
    now: Instant,
) -> Option<usize> {
    let heard = Arrival::Heard {
        signalled: at(NAMED),
    };
    numbers.position(|number| nth(symmetric_rtp, source, number, now) == heard)
}

#[test]
fn unexpected_source_is_heard_after_silence_of_the_named_and_gets_nothing() {
    let now = Instant::now();
    let mut symmetric_rtp = described();
    assert_eq!(
        nth(&mut symmetric_rtp, UNEXPECTED, 0, now),
        Arrival::Observed,
        "nothing is played yet"
    );
    // With the 51st packet a second has passed.
    assert_eq!(
        taken_after(&mut symmetric_rtp, UNEXPECTED, 1..100, now),
        Some(49),
        "from 20 ms to 1000 ms"
    );
    for number in 51..1_000 {
        assert_eq!(
            nth(&mut symmetric_rtp, UNEXPECTED, number, now),
            Arrival::Accepted,
            "{number}"
        );
    }
    assert!(symmetric_rtp.is_source(at(UNEXPECTED)));
}

#[test]
fn rtcp_of_a_heard_unexpected_source_is_not_taken() {
    let now = Instant::now();
    let mut symmetric_rtp = described();
    assert!(taken_after(&mut symmetric_rtp, UNEXPECTED, 0..60, now).is_some());
    let reports = "203.0.113.66:6667";
    assert_eq!(
        symmetric_rtp.handle_rtcp(at(reports), after(now, 1_300)),
        Arrival::Unexpected
    );
    assert_eq!(symmetric_rtp.rtcp_destination(), Some(at("192.0.2.1:4001")));
}

#[test]
fn first_packet_of_a_named_source_takes_the_place_of_the_unexpected() {
    for named in [NAMED, OTHER_PORT, BEHIND_NAT] {
        let now = Instant::now();
        let mut symmetric_rtp = described();
        assert!(taken_after(&mut symmetric_rtp, UNEXPECTED, 0..60, now).is_some());
        let back = after(now, 1_210);
        assert_eq!(
            packet(&mut symmetric_rtp, named, 0, back),
            Arrival::Accepted,
            "{named}"
        );
        // Both go on.
        for number in 1..2_000 {
            let at_once = back + Duration::from_millis(20) * number.into();
            assert_ne!(
                packet(&mut symmetric_rtp, named, number, at_once),
                Arrival::Unexpected,
                "{named} {number}"
            );
            let arrival = packet(&mut symmetric_rtp, UNEXPECTED, 60 + number, at_once);
            let taken = matches!(arrival, Arrival::Accepted | Arrival::Heard { .. });
            assert!(!taken, "{named} {number} {arrival:?}");
        }
    }
}

#[test]
fn unexpected_source_is_not_heard_beside_a_named_one_that_pauses() {
    let now = Instant::now();
    let mut symmetric_rtp = described();
    packets(&mut symmetric_rtp, NAMED, 5, now);
    // Silence suppression of the PBX: a packet each four seconds.
    for number in 5..2_000 {
        let arrival = nth(&mut symmetric_rtp, UNEXPECTED, number, now);
        assert_eq!(arrival, Arrival::Unexpected, "{number}");
        if number % 200 == 0 {
            nth(&mut symmetric_rtp, NAMED, number, now);
        }
    }
}

#[test]
fn unexpected_source_is_heard_after_a_settled_one_was_silent_for_long() {
    let now = Instant::now();
    let mut symmetric_rtp = described();
    packets(&mut symmetric_rtp, NAMED, 5, now);
    // The last was at 80 ms: five seconds later the observation begins, and takes one.
    assert_eq!(
        taken_after(&mut symmetric_rtp, UNEXPECTED, 5..1_000, now),
        Some(254 + 50 - 5)
    );
}

#[test]
fn two_unexpected_sources_at_once_are_both_not_heard() {
    let now = Instant::now();
    let mut symmetric_rtp = described();
    for number in 0..1_000 {
        for source in [UNEXPECTED, ANOTHER_UNEXPECTED] {
            let arrival = nth(&mut symmetric_rtp, source, number, now);
            let taken = matches!(arrival, Arrival::Accepted | Arrival::Heard { .. });
            assert!(!taken, "{source} {number} {arrival:?}");
        }
    }
    // One of them ends: the other is heard a second later.
    assert_eq!(
        taken_after(&mut symmetric_rtp, UNEXPECTED, 1_000..1_100, now),
        Some(50)
    );
    assert_eq!(
        nth(&mut symmetric_rtp, ANOTHER_UNEXPECTED, 1_100, now),
        Arrival::Unexpected
    );
    assert_eq!(
        nth(&mut symmetric_rtp, UNEXPECTED, 1_100, now),
        Arrival::Accepted
    );
}

#[test]
fn unexpected_source_with_a_broken_sequence_is_not_heard() {
    let now = Instant::now();
    type Numbers = fn(u16) -> (u32, u16);
    let broken: [(&str, Numbers); 4] = [
        ("random", |n| (1, n.wrapping_mul(40_503))),
        ("the same", |_| (1, 7)),
        ("backwards", |n| (1, u16::MAX - n)),
        ("a new SSRC each time", |n| (n.into(), n)),
    ];
    for (what, numbers) in broken {
        let mut symmetric_rtp = described();
        for n in 0..1_000_u16 {
            let (ssrc, sequence) = numbers(n);
            let later = after(now, 20 * u64::from(n));
            let arrival = symmetric_rtp.handle_rtp(at(UNEXPECTED), ssrc, sequence, false, later);
            let taken = matches!(arrival, Arrival::Accepted | Arrival::Heard { .. });
            assert!(!taken, "{what} {n}");
        }
    }
}

#[test]
fn unexpected_source_with_loss_and_reordering_is_heard() {
    let now = Instant::now();
    let mut symmetric_rtp = described();
    let numbers = (0..100).filter(|n| n % 7 != 3).map(|n| n ^ 1);
    let heard = numbers.map(|n| nth(&mut symmetric_rtp, UNEXPECTED, n, now));
    let heard: Vec<_> = heard
        .filter(|arrival| matches!(arrival, Arrival::Heard { .. }))
        .collect();
    assert_eq!(heard.len(), 1);
}

#[test]
fn few_packets_and_long_pauses_are_not_heard() {
    let now = Instant::now();
    let mut symmetric_rtp = described();
    // Four packets within a second and a half, and one of every 1.2 s.
    for number in 0..4 {
        let later = after(now, 500 * u64::from(number));
        let arrival = packet(&mut symmetric_rtp, UNEXPECTED, number, later);
        assert_eq!(arrival, Arrival::Observed);
    }
    for number in 4..100 {
        let later = after(now, 10_000 + 1_200 * u64::from(number));
        let arrival = packet(&mut symmetric_rtp, UNEXPECTED, number, later);
        assert_eq!(arrival, Arrival::Observed, "{number}");
    }
}

#[test]
fn unexpected_source_is_not_heard_before_the_sdp_nor_while_none_is_expected() {
    let now = Instant::now();
    let mut symmetric_rtp = behind_nat();
    for number in 0..200 {
        let later = after(now, 20 * u64::from(number));
        let arrival = packet(&mut symmetric_rtp, UNEXPECTED, number, later);
        assert_eq!(arrival, Arrival::Unexpected);
    }
    symmetric_rtp.set_remote(at(NAMED), None);
    symmetric_rtp.set_receiving(false);
    assert_eq!(
        taken_after(&mut symmetric_rtp, UNEXPECTED, 200..500, now),
        None
    );
    symmetric_rtp.set_receiving(true);
    assert_eq!(
        taken_after(&mut symmetric_rtp, UNEXPECTED, 500..600, now),
        Some(50)
    );
}

#[test]
fn a_new_address_by_signalling_begins_the_silence_anew() {
    let now = Instant::now();
    let mut symmetric_rtp = described();
    assert!(taken_after(&mut symmetric_rtp, UNEXPECTED, 0..60, now).is_some());
    symmetric_rtp.set_remote(at("192.0.2.9:4000"), None);
    let later = after(now, 1_200);
    assert_eq!(
        packet(&mut symmetric_rtp, UNEXPECTED, 60, later),
        Arrival::Observed
    );
    assert_eq!(symmetric_rtp.destination(), Some(at("192.0.2.9:4000")));
}

#[test]
fn only_the_options_that_allow_it_have_an_unexpected_source_heard() {
    let now = Instant::now();
    for sources in [RtpSources::Sdp, RtpSources::Peer] {
        let mut symmetric_rtp = described();
        symmetric_rtp.latching.sources = sources;
        assert_eq!(
            taken_after(&mut symmetric_rtp, UNEXPECTED, 0..500, now),
            None
        );
    }
    // At once, where the trunk says so: as soon as it has settled.
    let mut symmetric_rtp = described();
    symmetric_rtp.latching.heard_after = Duration::ZERO;
    assert_eq!(
        taken_after(&mut symmetric_rtp, UNEXPECTED, 0..60, now),
        Some(4)
    );
}
