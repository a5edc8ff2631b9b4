//! The outgoing stream goes on: through silence, holds, new sources and new formats.

use super::support::*;
use crate::codec::{Codec, Direction};
use crate::media::Error;
use crate::rtp::{
    Compound, NtpTime, RtcpPacket, SenderInfo, write_receiver_report, write_sender_report,
};
use std::time::Duration;

fn talk(harness: &mut Harness, talker: &mut Talker, packets: usize) {
    for _ in 0..packets {
        harness.give(&talker.audio());
        harness.wait(u64::from(talker.ptime));
    }
}

#[test]
fn a_silence_of_the_source_is_a_gap_of_the_same_length_and_a_new_talkspurt() {
    for (from, to) in [
        (Codec::Opus, Codec::Pcmu),
        (Codec::Pcmu, Codec::Opus),
        (Codec::Opus, Codec::Opus),
    ] {
        let mut harness = Harness::new(&side(from), &side(to));
        let mut talker = Talker::voice(from);
        talk(&mut harness, &mut talker, 10);
        talker.timestamp = talker.timestamp.wrapping_add(talker.ticks(380));
        harness.wait(380);
        talk(&mut harness, &mut talker, 10);
        assert_eq!(listen(&harness.packets()).len(), 200 * 8 * 2 + 380 * 8);
        if from != to {
            assert!(harness.packets()[10].marker);
        }
        assert_eq!(harness.pipeline.statistics().concealed, 0);
    }
}

#[test]
fn silence_that_fills_a_packet_up_is_part_of_the_gap() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    talker.ptime = 10;
    for _ in 0..5 {
        // 50 ms: two packets and a half.
        talk(&mut harness, &mut talker, 5);
        talker.timestamp = talker.timestamp.wrapping_add(talker.ticks(150));
        harness.wait(150);
    }
    talk(&mut harness, &mut talker, 2);
    let packets = harness.packets();
    let (first, last) = (packets[0], packets[packets.len() - 1]);
    assert_eq!(last.timestamp.wrapping_sub(first.timestamp), 5 * 200 * 8);
    assert_eq!(packets.len(), 5 * 3 + 1);
    listen(&packets);
}

#[test]
fn comfort_noise_is_silence() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    let mut talker = Talker::voice(Codec::Pcmu);
    talk(&mut harness, &mut talker, 10);
    let timestamp = talker.timestamp;
    let packet = talker.packet(13, false, timestamp, &[40]);
    assert_eq!(harness.give(&packet), 0);
    talker.timestamp = talker.timestamp.wrapping_add(1_600);
    harness.wait(200);
    talk(&mut harness, &mut talker, 10);
    assert_eq!(harness.pipeline.statistics().comfort_noise, 1);
    assert_eq!(harness.pipeline.statistics().concealed, 0);
    assert_eq!(listen(&harness.packets()).len(), 600 * 8);
}

#[test]
fn another_source_goes_on_in_the_same_stream() {
    for (from, to) in [
        (Codec::Opus, Codec::Pcmu),
        (Codec::Pcma, Codec::Opus),
        (Codec::Pcmu, Codec::Pcmu),
    ] {
        let mut harness = Harness::new(&side(from), &side(to));
        let mut talker = Talker::voice(from);
        talk(&mut harness, &mut talker, 10);
        let mut other = Talker::voice(from);
        other.ssrc = 2;
        other.sequence = 17;
        other.timestamp = 99;
        talk(&mut harness, &mut other, 10);
        // And one that came only after three seconds.
        harness.wait(3_000);
        other.ssrc = 3;
        other.sequence = 40_000;
        other.timestamp = 0x8000_0000;
        talk(&mut harness, &mut other, 10);
        let packets = harness.packets();
        assert!(packets[10].marker && packets[20].marker);
        assert_eq!(listen(&packets).len(), (600 + 3_000) * 8, "{from} {to}");
        assert_eq!(harness.pipeline.statistics().source_changes, 2);
        assert_eq!(harness.pipeline.statistics().lost, 0);
    }
}

#[test]
fn a_source_that_jumps_in_its_numbers_or_timestamps_does_not_take_the_stream_along() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    let mut talker = Talker::voice(Codec::Pcmu);
    talk(&mut harness, &mut talker, 10);
    talker.timestamp = talker.timestamp.wrapping_add(0x4000_0000);
    talk(&mut harness, &mut talker, 10);
    talker.timestamp = talker.timestamp.wrapping_sub(0x0100_0000);
    talker.sequence = talker.sequence.wrapping_add(20_000);
    talk(&mut harness, &mut talker, 11);
    let samples = listen(&harness.packets());
    // The first packet after the jump of the numbers is given up: the second confirms it.
    assert_eq!(harness.pipeline.statistics().dropped.stray, 1);
    assert_eq!(samples.len(), 30 * 160);
}

#[test]
fn nothing_is_sent_on_hold_and_the_stream_goes_on_when_it_ends() {
    for (from, to) in [(Codec::Opus, Codec::Pcmu), (Codec::Pcmu, Codec::Pcmu)] {
        let mut harness = Harness::new(&side(from), &side(to));
        let mut talker = Talker::voice(from);
        for round in 0..3 {
            talk(&mut harness, &mut talker, 10);
            let mut held = side(to);
            held.direction = Direction::RecvOnly;
            harness
                .pipeline
                .reconfigure(&side(from), &held)
                .expect("no new coder");
            let sent = harness.out.len();
            talk(&mut harness, &mut talker, 50);
            assert_eq!(harness.out.len(), sent, "round {round}");
            assert!(matches!(
                harness.pipeline.send_digits("1", ms(100), harness.now),
                Err(Error::NotSending("recvonly"))
            ));
            harness
                .pipeline
                .reconfigure(&side(from), &side(to))
                .expect("no new coder");
        }
        talk(&mut harness, &mut talker, 10);
        assert_eq!(harness.pipeline.statistics().dropped.direction, 150);
        assert_eq!(harness.pipeline.statistics().lost, 0);
        assert_eq!(harness.pipeline.statistics().concealed, 0);
        assert_eq!(listen(&harness.packets()).len(), 190 * 160);
    }
}

#[test]
fn another_codec_is_sent_from_the_next_packet_on() {
    let mut harness = Harness::new(&any_codec(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::tone(Codec::Opus, 440.0);
    let mut expected = Vec::new();
    for codec in [
        Codec::Pcmu,
        Codec::Opus,
        Codec::Pcma,
        Codec::Opus,
        Codec::Pcmu,
    ] {
        harness
            .pipeline
            .reconfigure(&any_codec(Codec::Opus), &side(codec))
            .expect("libopus");
        talk(&mut harness, &mut talker, 10);
        expected.extend([payload_type(codec); 10]);
    }
    let sent: Vec<u8> = harness
        .packets()
        .iter()
        .map(|packet| packet.payload_type)
        .collect();
    assert_eq!(sent, expected);
    assert_eq!(listen(&harness.packets()).len(), 50 * 160);
}

#[test]
fn a_sender_report_says_what_was_sent_and_where_the_stream_is() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    let mut report = Vec::new();
    let ntp = NtpTime(77 << 32);
    harness
        .pipeline
        .sender_report(harness.now, ntp, None, "gateway", &mut report);
    assert!(matches!(
        Compound::new(&report).next(),
        Some(Ok(RtcpPacket::ReceiverReport { ssrc: SSRC, .. }))
    ));
    talk(&mut harness, &mut talker, 10);
    report.clear();
    let about = harness
        .pipeline
        .reception_report(harness.now)
        .expect("packets came");
    assert_eq!(about.ssrc, 1);
    harness
        .pipeline
        .sender_report(harness.now, ntp, Some(&about), "gateway", &mut report);
    let Some(Ok(RtcpPacket::SenderReport {
        ssrc: SSRC,
        info,
        reports,
    })) = Compound::new(&report).next()
    else {
        panic!("not a sender report");
    };
    assert_eq!(info.packet_count, 10);
    assert_eq!(info.octet_count, 1_600);
    assert_eq!(info.rtp_timestamp, FIRST_TIMESTAMP.wrapping_add(1_600));
    assert_eq!(reports.iter().collect::<Vec<_>>(), [about]);
}

#[test]
fn reported_loss_turns_on_the_fec_of_our_encoder_and_a_round_trip_is_measured() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    let mut talker = Talker::voice(Codec::Pcmu);
    let fec = |harness: &Harness, range: std::ops::Range<usize>| {
        harness.packets()[range]
            .iter()
            .filter(|packet| crate::audio::has_fec(packet.payload))
            .count()
    };
    talk(&mut harness, &mut talker, 100);
    assert_eq!(fec(&harness, 0..100), 0);
    let mut block = harness
        .pipeline
        .reception_report(harness.now)
        .expect("packets came");
    block.ssrc = SSRC;
    block.fraction_lost = 26;
    block.last_sender_report = 1 << 16;
    block.delay_since_last = 1 << 15;
    let mut report = Vec::new();
    write_receiver_report(&mut report, 5, Some(&block), "far");
    harness
        .pipeline
        .handle_receiver_rtcp(&report, NtpTime(7 << 31));
    talk(&mut harness, &mut talker, 100);
    assert!(fec(&harness, 100..200) > 40, "{}", fec(&harness, 100..200));
    let statistics = harness.pipeline.statistics();
    assert!((statistics.reported_loss - 0.1).abs() < 0.01);
    assert_eq!(statistics.round_trip, Some(Duration::from_secs(2)));
}

#[test]
fn a_sender_report_of_the_source_is_answered_by_its_time() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    let mut talker = Talker::voice(Codec::Pcmu);
    talk(&mut harness, &mut talker, 1);
    let info = SenderInfo {
        ntp: NtpTime(0xaaaa_bbbb_cccc_dddd),
        rtp_timestamp: 0,
        packet_count: 1,
        octet_count: 160,
    };
    for (ssrc, last) in [(99, 0), (1, 0xbbbb_cccc)] {
        let mut report = Vec::new();
        write_sender_report(&mut report, ssrc, &info, None, "far");
        harness.pipeline.handle_source_rtcp(&report, harness.now);
        let report = harness
            .pipeline
            .reception_report(harness.now)
            .expect("a packet came");
        assert_eq!(report.last_sender_report, last);
    }
}
