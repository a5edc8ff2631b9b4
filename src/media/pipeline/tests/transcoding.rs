//! Audio through a pipeline: what is heard, how it is cut into packets, which codec it has.

use super::support::*;
use crate::audio::measure;
use crate::codec::Codec;
use crate::media::pipeline::PipelineEvent;

#[test]
fn a_tone_is_heard_at_its_frequency_and_level_through_every_pair_of_codecs() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let mut harness = Harness::new(&side(from), &side(to));
            let mut talker = Talker::tone(from, 1_004.0);
            for _ in 0..50 {
                assert_eq!(harness.give(&talker.audio()), 1, "forwarded at once");
                harness.wait(20);
            }
            let heard = measure(&listen(&harness.packets())[1_600..], 8_000);
            assert!(
                (heard.frequency - 1_004.0).abs() < 1.0,
                "{from} {to} {heard:?}"
            );
            assert!((heard.level + 12.0).abs() < 1.0, "{from} {to} {heard:?}");
            assert_eq!(harness.events, [PipelineEvent::FirstAudio]);
            let statistics = harness.pipeline.statistics();
            assert_eq!(statistics.received, 50);
            assert_eq!(statistics.sent_packets, 50);
            assert_eq!(
                statistics.lost + statistics.concealed + statistics.dropped.total(),
                0
            );
            assert_eq!(statistics.codec, Some(from));
        }
    }
}

#[test]
fn the_stream_begins_where_it_is_told_and_only_its_first_packet_is_marked() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::tone(Codec::Opus, 440.0);
    for _ in 0..20 {
        harness.give(&talker.audio());
        harness.wait(20);
    }
    for (count, packet) in harness.packets().iter().enumerate() {
        assert_eq!(packet.ssrc, SSRC);
        assert_eq!(packet.payload_type, PCMU);
        assert_eq!(packet.sequence, FIRST_SEQUENCE.wrapping_add(count as u16));
        assert_eq!(
            packet.timestamp,
            FIRST_TIMESTAMP.wrapping_add(160 * count as u32)
        );
        assert_eq!(packet.marker, count == 0);
        assert_eq!(packet.payload.len(), 160);
    }
}

#[test]
fn packets_are_cut_and_joined_to_the_other_sides_ptime() {
    for (from, to) in [
        (Codec::Opus, Codec::Pcmu),
        (Codec::Pcmu, Codec::Opus),
        (Codec::Pcma, Codec::Pcmu),
        (Codec::Pcmu, Codec::Pcmu),
    ] {
        for arriving in [10, 20, 30, 40, 60, 120] {
            // libopus makes no frames of 30 ms.
            if from == Codec::Opus && arriving == 30 {
                continue;
            }
            for leaving in [10_u8, 20, 30, 40, 60] {
                let mut format = side(to);
                format.send.ptime = leaving;
                let mut harness = Harness::new(&side(from), &format);
                let mut talker = Talker::tone(from, 600.0);
                talker.ptime = arriving;
                for _ in 0..1_200 / arriving {
                    harness.give(&talker.audio());
                    harness.wait(arriving.into());
                }
                let leaving = if to == Codec::Opus && leaving == 30 {
                    20
                } else {
                    leaving
                };
                let packets = harness.packets();
                assert_eq!(
                    packets.len(),
                    1_200 / usize::from(leaving),
                    "{arriving} {leaving}"
                );
                let samples = listen(&packets);
                assert_eq!(samples.len(), 9_600);
                let heard = measure(&samples[1_600..], 8_000);
                assert!(
                    (heard.frequency - 600.0).abs() < 1.0,
                    "{arriving} {leaving} {heard:?}"
                );
                assert!((heard.level - heard.total_level).abs() < 0.7, "{heard:?}");
            }
        }
    }
}

#[test]
fn packets_that_were_not_sent_leave_nothing_in_those_that_are() {
    let mut talker = Talker::tone(Codec::Pcmu, 1_200.0);
    let mut late = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    for _ in 0..4 {
        assert_eq!(late.give(&talker.audio()), 1);
        late.pipeline.packet_was_not_sent();
        late.wait(20);
    }
    late.out.clear();
    let mut fresh = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    for _ in 0..20 {
        let packet = talker.audio();
        for harness in [&mut late, &mut fresh] {
            harness.give(&packet);
            harness.wait(20);
        }
    }
    for (number, (late, fresh)) in late.packets().iter().zip(fresh.packets()).enumerate() {
        assert_eq!(late.payload, fresh.payload, "packet {number}");
    }
}

#[test]
fn the_source_may_change_its_codec_at_any_packet() {
    let mut harness = Harness::new(&any_codec(Codec::Opus), &side(Codec::Pcma));
    let mut talker = Talker::tone(Codec::Opus, 500.0);
    for round in 0..60 {
        let codec = Codec::ALL[round / 10 % 3];
        if codec != talker.codec {
            // A source that changes goes on with its timestamps at the other clock.
            talker.codec = codec;
        }
        assert_eq!(harness.give(&talker.audio()), 1, "round {round}");
        harness.wait(20);
        assert_eq!(harness.pipeline.statistics().codec, Some(codec));
    }
    let samples = listen(&harness.packets());
    assert_eq!(samples.len(), 60 * 160, "no gap and no overlap");
    let heard = measure(&samples[800..], 8_000);
    assert!((heard.frequency - 500.0).abs() < 2.0, "{heard:?}");
}

#[test]
fn the_same_codec_is_passed_on_as_it_is() {
    let mut browser = side(Codec::Opus);
    browser.receive[0].payload_type = 96;
    let mut harness = Harness::new(&browser, &side(Codec::Opus));
    let mut talker = Talker::voice(Codec::Opus);
    for count in 0..10 {
        let mut packet = talker.audio();
        packet[1] = 96 | if count == 5 { 0x80 } else { 0 };
        // A header extension of one word, which stays behind.
        packet[0] |= 0x10;
        packet.splice(12..12, [0xbe, 0xde, 0, 1, 0x10, 0x55, 0, 0]);
        harness.give(&packet);
        harness.wait(20);
        let sent = harness.packets()[count];
        assert_eq!(sent.payload, &packet[20..]);
        assert_eq!(sent.payload_type, OPUS);
        assert_eq!(sent.marker, count == 0 || count == 5);
    }
    listen(&harness.packets());
}
