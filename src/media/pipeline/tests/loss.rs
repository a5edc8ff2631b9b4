//! Packets lost, late, doubled and out of order.

use super::support::*;
use crate::codec::Codec;
use crate::rtp::Packet;

/// Sends `count` packets of voice, without those for which `lost` is true.
fn run(from: Codec, to: Codec, fec: bool, count: u32, lost: impl Fn(u32) -> bool) -> Harness {
    let mut harness = Harness::new(&side(from), &side(to));
    let mut talker = Talker::voice(from);
    if fec {
        talker = talker.with_fec();
    }
    for number in 0..count {
        let packet = talker.audio();
        if !lost(number) {
            harness.give(&packet);
        }
        harness.wait(20);
    }
    harness.wait(100);
    harness
}

/// Signal to error in decibels, where `from` is the other's signal.
fn likeness(whole: &[i16], other: &[i16]) -> f64 {
    let power: f64 = whole.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    let error: f64 = whole
        .iter()
        .zip(other)
        .map(|(one, other)| (f64::from(*one) - f64::from(*other)).powi(2))
        .sum();
    10.0 * (power / error.max(1.0)).log10()
}

#[test]
fn lost_opus_is_rebuilt_from_the_fec_of_the_next_packet() {
    // The loudest frames: where the voice swells.
    let lost = |number: u32| [58, 75, 92].contains(&number);
    let whole = listen(&run(Codec::Opus, Codec::Pcmu, true, 120, |_| false).packets());
    let with = run(Codec::Opus, Codec::Pcmu, true, 120, lost);
    let without = run(Codec::Opus, Codec::Pcmu, false, 120, lost);
    let plain = listen(&run(Codec::Opus, Codec::Pcmu, false, 120, |_| false).packets());
    assert_eq!(with.pipeline.statistics().recovered_by_fec, 3);
    assert_eq!(with.pipeline.statistics().concealed, 0);
    assert_eq!(without.pipeline.statistics().recovered_by_fec, 0);
    assert_eq!(without.pipeline.statistics().concealed, 3);
    assert_eq!(with.pipeline.statistics().lost, 3);
    let (rebuilt, made_up) = (listen(&with.packets()), listen(&without.packets()));
    assert_eq!((rebuilt.len(), made_up.len()), (whole.len(), plain.len()));
    let (mut best, mut concealed) = (0.0, 0.0);
    for number in [58, 75, 92] {
        let range = number * 160..(number + 1) * 160;
        best += likeness(&whole[range.clone()], &rebuilt[range.clone()]) / 3.0;
        concealed += likeness(&plain[range.clone()], &made_up[range]) / 3.0;
    }
    assert!(best > 8.0, "rebuilt {best} dB");
    assert!(
        best > concealed + 2.0,
        "rebuilt {best} dB, made up {concealed} dB"
    );
}

#[test]
fn lost_g711_is_concealed_and_nobody_sees_a_hole() {
    for to in [Codec::Opus, Codec::Pcma] {
        let harness = run(Codec::Pcmu, to, false, 100, |number| number % 20 == 13);
        let statistics = harness.pipeline.statistics();
        assert_eq!(statistics.lost, 5);
        assert_eq!(statistics.concealed, 5);
        assert_eq!(statistics.sent_packets, 100);
        assert_eq!(listen(&harness.packets()).len(), 16_000);
        let energy = |samples: &[i16]| {
            samples
                .iter()
                .map(|one| f64::from(*one).powi(2))
                .sum::<f64>()
        };
        let whole = listen(&run(Codec::Pcmu, to, false, 100, |_| false).packets());
        let (heard, said) = (energy(&listen(&harness.packets())), energy(&whole));
        assert!((0.85..1.15).contains(&(heard / said)), "{}", heard / said);
    }
}

#[test]
fn a_loss_of_seconds_is_concealed_at_its_beginning_and_stays_a_gap_then() {
    for from in [Codec::Opus, Codec::Pcmu] {
        let harness = run(from, Codec::Pcma, true, 150, |number| {
            (50..100).contains(&number)
        });
        let statistics = harness.pipeline.statistics();
        assert_eq!(statistics.lost, 50);
        let repaired = statistics.concealed + statistics.recovered_by_fec;
        assert_eq!(repaired, 5, "{from}: 100 ms");
        assert_eq!(statistics.sent_packets, 105);
        assert_eq!(
            listen(&harness.packets()).len(),
            24_000,
            "the timestamps tell the time"
        );
    }
}

#[test]
fn a_packet_that_is_overtaken_is_put_back_in_its_place() {
    let mut straight = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut shuffled = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    let packets: Vec<_> = (0..60).map(|_| talker.audio()).collect();
    let mut order = packets.clone();
    for pair in order.chunks_mut(6) {
        pair.swap(2, 3);
    }
    for (one, other) in packets.iter().zip(&order) {
        straight.give(one);
        shuffled.give(other);
        straight.wait(20);
        shuffled.wait(20);
    }
    assert_eq!(listen(&straight.packets()), listen(&shuffled.packets()));
    let statistics = shuffled.pipeline.statistics();
    assert_eq!(
        (statistics.reordered, statistics.late, statistics.lost),
        (10, 0, 0)
    );
    assert_eq!(statistics.concealed + statistics.recovered_by_fec, 0);
}

#[test]
fn a_lost_packet_holds_the_others_back_no_longer_than_the_window() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    let mut talker = Talker::voice(Codec::Pcmu);
    harness.give(&talker.audio());
    let late = talker.audio();
    harness.wait(40);
    assert_eq!(harness.give(&talker.audio()), 0, "waits for the one before");
    harness.wait(39);
    assert_eq!(harness.out.len(), 1);
    harness.wait(1);
    assert_eq!(
        harness.out.len(),
        3,
        "the lost one made up, then the one that waited"
    );
    assert_eq!(harness.give(&late), 0);
    assert_eq!(harness.pipeline.statistics().late, 1);
    assert_eq!(harness.pipeline.poll_timeout(), None);
}

#[test]
fn a_packet_that_rebuilds_the_lost_one_does_not_wait_for_it() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus).with_fec();
    for number in 0..60 {
        let packet = talker.audio();
        match number {
            58 => {}
            59 => assert_eq!(harness.give(&packet), 2, "the lost one and this one"),
            _ => assert_eq!(harness.give(&packet), 1),
        }
        harness.wait(20);
    }
    assert_eq!(harness.pipeline.statistics().recovered_by_fec, 1);
}

#[test]
fn a_packet_that_comes_twice_counts_once() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    for _ in 0..10 {
        let packet = talker.audio();
        assert_eq!(harness.give(&packet), 1);
        assert_eq!(harness.give(&packet), 0);
        harness.wait(20);
    }
    assert_eq!(harness.pipeline.statistics().duplicate, 10);
    assert_eq!(harness.pipeline.statistics().received, 10);
}

#[test]
fn passed_on_packets_keep_their_holes_and_do_not_wait() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Pcmu);
    let packets: Vec<_> = (0..8).map(|_| talker.audio()).collect();
    // 2 is lost, 5 comes after 6.
    for number in [0, 1, 3, 4, 6, 5, 7] {
        assert_eq!(
            harness.give(&packets[number]),
            1,
            "{number} goes on at once"
        );
        harness.wait(20);
        let sent = *harness.packets().last().expect("one was sent");
        assert_eq!(sent.sequence, FIRST_SEQUENCE.wrapping_add(number as u16));
        assert_eq!(
            sent.timestamp,
            FIRST_TIMESTAMP.wrapping_add(number as u32 * 160)
        );
        assert_eq!(sent.payload, &packets[number][12..]);
    }
    assert_eq!(harness.pipeline.statistics().lost, 1);
    assert_eq!(harness.pipeline.statistics().reordered, 1);
}

#[test]
fn with_random_loss_and_order_the_output_is_one_unbroken_stream() {
    let mut dice = Dice(7);
    for (from, to) in [(Codec::Opus, Codec::Pcmu), (Codec::Pcma, Codec::Opus)] {
        let mut harness = Harness::new(&side(from), &side(to));
        let mut talker = Talker::voice(from).with_fec();
        let mut overtaken: Option<Vec<u8>> = None;
        for _ in 0..1_000 {
            let packet = talker.audio();
            if dice.falls(0.1) {
                // Lost.
            } else if overtaken.is_none() && dice.falls(0.1) {
                overtaken = Some(packet);
            } else {
                harness.give(&packet);
                if let Some(packet) = overtaken.take() {
                    harness.give(&packet);
                }
            }
            harness.wait(20);
        }
        harness.wait(100);
        let samples = listen(&harness.packets());
        assert!(samples.len() >= 995 * 160, "{}", samples.len());
        assert!(samples.len() <= 1_000 * 160, "{}", samples.len());
        let statistics = harness.pipeline.statistics();
        assert!((70..140).contains(&statistics.lost), "{statistics:?}");
        let repaired = statistics.concealed + statistics.recovered_by_fec;
        assert!(repaired + 2 >= statistics.lost, "{statistics:?}");
    }
}

#[test]
fn packets_out_are_in_order_of_their_numbers() {
    let harness = run(Codec::Opus, Codec::Pcmu, true, 60, |number| number % 7 == 3);
    let numbers: Vec<u16> = harness
        .packets()
        .iter()
        .map(|packet: &Packet<'_>| packet.sequence)
        .collect();
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1))
    );
}
