//! Whatever comes from the network: no panic, no growth, everything counted.

use super::support::*;
use crate::codec::Codec;
use crate::rtp::{HEADER_LENGTH, NtpTime};
use proptest::prelude::*;

#[test]
fn what_is_not_forwarded_is_counted_by_its_reason() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    harness.give(&[]);
    harness.give(&[0x80; 11]);
    harness.give(&[0x80; 3_000]);
    let packet = talker.packet(97, false, 0, &[1, 2, 3]);
    harness.give(&packet);
    let packet = talker.packet(OPUS, false, 0, &[]);
    harness.give(&packet);
    let packet = talker.packet(EVENT_48, false, 0, &[1]);
    harness.give(&packet);
    let packet = talker.packet(EVENT_48, false, 0, &[77, 0, 0, 1]);
    harness.give(&packet);
    let dropped = harness.pipeline.statistics().dropped;
    assert_eq!(dropped.malformed, 3, "{dropped:?}");
    assert_eq!(dropped.oversize, 1);
    assert_eq!(dropped.unknown_payload_type, 1);
    assert_eq!(dropped.undecodable, 1);
    assert_eq!(dropped.unknown_event, 1);
    assert_eq!(dropped.total(), 7);
    assert!(harness.out.is_empty() && harness.events.is_empty());
}

#[test]
fn a_driver_that_does_not_poll_loses_the_oldest_packets() {
    let mut path = Harness::new(&side(Codec::Pcmu), &side(Codec::Pcma)).pipeline;
    let mut talker = Talker::voice(Codec::Pcmu);
    let mut now = start();
    for _ in 0..100 {
        path.handle_packet(&talker.audio(), now);
        now += ms(20);
    }
    let mut out = Vec::new();
    let waiting = std::iter::from_fn(|| path.poll_packet(&mut out).then_some(())).count();
    assert_eq!(waiting, 64);
    assert_eq!(path.statistics().dropped.overflow, 36);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_packets_make_a_path_panic(
        packets in proptest::collection::vec(
            (
                prop_oneof![Just(OPUS), Just(PCMU), Just(PCMA), Just(EVENT_48), Just(EVENT_8), Just(13_u8), 0..128_u8],
                prop_oneof![0..40_u16, any::<u16>()],
                prop_oneof![0..40_000_u32, any::<u32>()],
                0..2_u32,
                proptest::collection::vec(any::<u8>(), 0..200),
                0..200_u64,
            ),
            0..60,
        ),
        raw in proptest::collection::vec(any::<u8>(), 0..100),
        to in 0..3_usize,
    ) {
        let mut from = any_codec(Codec::Opus);
        from.receive_events.extend(side(Codec::Pcmu).receive_events);
        let mut harness = Harness::new(&from, &any_codec(Codec::ALL[to]));
        harness.give(&raw);
        harness.pipeline.handle_source_rtcp(&raw, harness.now);
        harness.pipeline.handle_receiver_rtcp(&raw, NtpTime(0));
        for (payload_type, sequence, timestamp, ssrc, payload, wait) in packets {
            let mut talker = Talker::voice(Codec::Pcmu);
            talker.sequence = sequence;
            talker.ssrc = ssrc;
            let packet = talker.packet(payload_type, false, timestamp, &payload);
            harness.give(&packet);
            harness.wait(wait);
        }
        harness.wait(20_000);
        prop_assert_eq!(harness.pipeline.poll_timeout(), None);
        let statistics = harness.pipeline.statistics();
        prop_assert_eq!(statistics.sent_packets as usize, harness.out.len());
        prop_assert_eq!(statistics.dropped.overflow, 0);
        let octets: usize = harness.out.iter().map(|packet| packet.len() - HEADER_LENGTH).sum();
        prop_assert_eq!(statistics.sent_octets as usize, octets);
        // Sequence numbers go up by one, or leave room for what was lost.
        let packets = harness.packets();
        prop_assert!(packets.iter().all(|packet| packet.ssrc == SSRC));
    }
}
