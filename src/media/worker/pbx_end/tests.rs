//! What is told of RTP from an address of neither SDP nor SIP, in plain and with SRTP.

#![expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]

use super::*;
use crate::rtp::Header;
use crate::srtp_keys::{CryptoSuite, LONGEST_MASTER, MasterKey};

const SDP: &str = "192.0.2.1:4000";
const OTHER: &str = "203.0.113.66:6666";
const THIRD: &str = "203.0.113.67:6666";
/// PCMU.
const NEGOTIATED: u128 = 1;

fn at(address: &str) -> SocketAddr {
    address.parse().expect("a socket address")
}

fn described(srtp_keys: Option<&SrtpKeys>) -> PbxEnd {
    let mut end = PbxEnd::default();
    let described = end.set_remote(at(SDP), None, srtp_keys);
    described.expect("keys that can be used");
    end
}

fn packet(payload_type: u8, number: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    let header = Header {
        marker: false,
        payload_type,
        sequence: number,
        timestamp: u32::from(number) * 160,
        ssrc: 7,
    };
    header.write(&mut packet);
    packet.extend_from_slice(&[0xff; 160]);
    packet
}

/// What packet `number` of a source changes, `20 * number` ms after the beginning.
fn take(
    end: &mut PbxEnd,
    source: &str,
    payload_type: u8,
    number: u16,
    begin: Instant,
) -> Result<Option<Change>, &'static str> {
    let now = begin + Duration::from_millis(20) * number.into();
    let packet = packet(payload_type, number);
    let mut plain = Vec::new();
    end.take_rtp(
        Channel::Rtp,
        at(source),
        &packet,
        &mut plain,
        NEGOTIATED,
        now,
    )
    .map(|(_, change)| change)
}

fn seconds(begin: Instant, seconds: u64) -> Instant {
    begin + Duration::from_secs(seconds)
}

#[test]
fn heard_source_is_told_once_and_never_as_dropped() {
    let begin = Instant::now();
    let mut end = described(None);
    let heard = Change::Heard {
        source: at(OTHER),
        signalled: at(SDP),
    };
    let changes: Vec<_> = (0..100)
        .filter_map(|n| take(&mut end, OTHER, 0, n, begin).ok().flatten())
        .collect();
    assert_eq!(changes, [heard]);
    assert_eq!(end.poll_unexpected(seconds(begin, 60)), None);
    // The address of the SDP speaks and is silent again: the operator knows of the other.
    assert_eq!(take(&mut end, SDP, 0, 100, begin), Ok(None));
    let later: Vec<_> = (101..200)
        .map(|n| take(&mut end, OTHER, 0, n, begin))
        .collect();
    assert!(
        later[..49]
            .iter()
            .all(|taken| *taken == Err("unexpected_source"))
    );
    assert_eq!(later.last(), Some(&Ok(None)), "heard again");
    assert!(!later.contains(&Ok(Some(heard))));
}

#[test]
fn source_that_ends_before_it_is_heard_is_told_as_dropped_once() {
    let begin = Instant::now();
    let mut end = described(None);
    for number in 0..6 {
        assert_eq!(
            take(&mut end, OTHER, 0, number, begin),
            Err("unexpected_source")
        );
        assert_eq!(end.poll_unexpected(begin), None, "it may be heard yet");
    }
    assert_eq!(end.poll_unexpected(seconds(begin, 2)), Some(at(OTHER)));
    assert_eq!(end.poll_unexpected(seconds(begin, 9)), None);
}

#[test]
fn source_beside_others_or_of_another_payload_type_is_told_at_once() {
    let begin = Instant::now();
    let mut beside_named = described(None);
    (0..5).for_each(|n| {
        let _ = take(&mut beside_named, SDP, 0, n, begin);
    });
    assert_eq!(
        take(&mut beside_named, OTHER, 0, 5, begin),
        Err("unexpected_source")
    );
    assert_eq!(beside_named.poll_unexpected(begin), Some(at(OTHER)));

    let mut two = described(None);
    assert_eq!(take(&mut two, OTHER, 0, 0, begin), Err("unexpected_source"));
    assert_eq!(take(&mut two, THIRD, 0, 1, begin), Err("unexpected_source"));
    assert_eq!(two.poll_unexpected(begin), Some(at(THIRD)));

    let mut other_type = described(None);
    for number in 0..500 {
        assert_eq!(
            take(&mut other_type, OTHER, 18, number, begin),
            Err("unexpected_source")
        );
    }
    assert_eq!(other_type.poll_unexpected(begin), Some(at(OTHER)));
}

#[test]
fn with_srtp_only_authentic_rtp_is_heard() {
    let key = |octet| MasterKey::from_random(CryptoSuite::ALL[0], [octet; LONGEST_MASTER]);
    let ours = SrtpKeys {
        send: key(1),
        receive: key(2),
    };
    let theirs = SrtpKeys {
        send: key(2),
        receive: key(1),
    };
    let begin = Instant::now();
    let mut end = described(Some(&ours));
    for number in 0..500 {
        let taken = take(&mut end, OTHER, 0, number, begin);
        assert_eq!(taken, Err("srtp_forged"), "{number}");
    }
    let mut sender = Session::new(&theirs).expect("keys");
    let mut secured = Vec::new();
    let mut plain = Vec::new();
    let mut changes = Vec::new();
    for number in 0..10 {
        sender
            .protect(srtp::Packet::Rtp, &packet(0, number), &mut secured)
            .expect("a packet");
        let taken = end.take_rtp(
            Channel::Rtp,
            at(THIRD),
            &secured,
            &mut plain,
            NEGOTIATED,
            begin,
        );
        changes.extend(taken.expect("authentic").1);
    }
    assert_eq!(changes, [Change::Latched(at(THIRD))]);
}

#[test]
fn source_before_the_description_that_names_it_is_never_told() {
    let begin = Instant::now();
    // The address of the SDP, another port of it, and the address of SIP.
    for source in [SDP, "192.0.2.1:4444", OTHER] {
        for peer_is_known in [false, true] {
            let mut end = PbxEnd::default();
            if peer_is_known {
                end.set_peer(at(OTHER).ip());
            }
            let _ = take(&mut end, source, 0, 0, begin);
            assert_eq!(end.poll_unexpected(begin), None);
            assert_eq!(end.poll_unexpected(seconds(begin, 9)), None, "it rings");
            end.set_peer(at(OTHER).ip());
            end.set_remote(at(SDP), None, None).expect("no keys");
            for number in 1..20 {
                assert!(take(&mut end, source, 0, number, begin).is_ok());
            }
            assert_eq!(end.poll_unexpected(seconds(begin, 60)), None, "{source}");
        }
    }
}

#[test]
fn source_before_a_description_that_does_not_name_it_is_told_after_it() {
    let begin = Instant::now();
    let mut end = PbxEnd::default();
    assert_eq!(take(&mut end, THIRD, 0, 0, begin), Err("unexpected_source"));
    assert_eq!(end.poll_unexpected(seconds(begin, 9)), None);
    end.set_remote(at(SDP), None, None).expect("no keys");
    assert_eq!(end.poll_unexpected(seconds(begin, 9)), Some(at(THIRD)));
}
