//! Keys as equipment writes them that deviates from RFC 4733: one press is one digit all the same.

use super::support::*;
use crate::codec::{Codec, EventFormat};
use crate::rtp::TelephoneEvent;

/// An event packet of 8 kHz or 48 kHz.
fn event(
    talker: &mut Talker,
    pt: u8,
    marker: bool,
    at: u32,
    key: u8,
    ticks: u16,
    end: bool,
) -> Vec<u8> {
    let mut payload = Vec::new();
    TelephoneEvent {
        event: key,
        end,
        volume: 10,
        duration: ticks,
    }
    .write(&mut payload);
    talker.packet(pt, marker, at, &payload)
}

/// The keys that leave, with their durations in ticks and the number of their ends.
fn sent(harness: &Harness) -> Vec<(u8, u16, usize)> {
    let mut keys: Vec<(u32, u8, u16, usize)> = Vec::new();
    for packet in harness.packets() {
        if ![EVENT_8, EVENT_48].contains(&packet.payload_type) {
            continue;
        }
        let event = TelephoneEvent::parse(packet.payload).expect("an event of ours");
        let ends = usize::from(event.end);
        match keys.last_mut() {
            Some(key) if key.0 == packet.timestamp => {
                *key = (key.0, key.1, event.duration, key.3 + ends)
            }
            _ => keys.push((packet.timestamp, event.event, event.duration, ends)),
        }
    }
    keys.into_iter()
        .map(|(_, key, ticks, ends)| (key, ticks, ends))
        .collect()
}

fn speak(harness: &mut Harness, talker: &mut Talker, packets: u32) {
    for _ in 0..packets {
        let packet = talker.audio();
        harness.give(&packet);
        harness.wait(20);
    }
}

/// A browser that has both Opus and events on 8000, towards G.711.
fn opus_with_8000() -> (Harness, Talker) {
    let mut from = side(Codec::Opus);
    from.receive_events = vec![EventFormat {
        payload_type: EVENT_8,
        clock_rate: 8_000,
    }];
    (
        Harness::new(&from, &side(Codec::Pcmu)),
        Talker::voice(Codec::Opus),
    )
}

#[test]
fn ends_alone_are_made_keys_of_their_length() {
    for (stated, made) in [(960_u16, 960_u16), (400, 400), (100, 800), (0, 800)] {
        let (mut harness, mut talker) = opus_with_8000();
        speak(&mut harness, &mut talker, 5);
        for key in [4, 4, 7] {
            let at = talker.timestamp;
            for n in 0..3 {
                let packet = event(&mut talker, EVENT_8, n == 0, at, key, stated, true);
                harness.give(&packet);
            }
            // The source goes on talking 170 ms later.
            harness.wait(170);
            talker.timestamp = at.wrapping_add(170 * 48);
        }
        harness.wait(1_000);
        assert_eq!(harness.digits(), "447");
        assert_eq!(
            sent(&harness),
            [(4, made, 3), (4, made, 3), (7, made, 3)],
            "{stated}"
        );
    }
}

#[test]
fn updates_that_run_ahead_of_time_are_slowed_down() {
    let (mut harness, mut talker) = opus_with_8000();
    speak(&mut harness, &mut talker, 5);
    let at = talker.timestamp;
    for n in 1..=19_u16 {
        let packet = event(
            &mut talker,
            EVENT_8,
            n == 1,
            at,
            9,
            n.min(17) * 960,
            n >= 17,
        );
        harness.give(&packet);
        harness.wait(20);
    }
    harness.wait(3_000);
    assert_eq!(harness.digits(), "9");
    assert_eq!(sent(&harness), [(9, 16_320, 3)]);
    let events = harness
        .packets()
        .iter()
        .filter(|packet| packet.payload_type == EVENT_8)
        .count();
    assert_eq!(events, 2_040 / 20 + 2);
}

#[test]
fn timestamps_that_advance_in_a_key_are_one_key() {
    for updates in [1, 3, 10, 50_u32] {
        let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Pcmu));
        let mut talker = Talker::voice(Codec::Pcmu);
        for key in [5, 5, 6] {
            speak(&mut harness, &mut talker, 5);
            let begin = talker.timestamp;
            for n in 0..updates + 3 {
                let ticks = (n.min(updates) + 1) * 160;
                let at = begin.wrapping_add(n * 160);
                let packet = event(
                    &mut talker,
                    EVENT_8,
                    n == 0,
                    at,
                    key,
                    ticks as u16,
                    n >= updates,
                );
                harness.give(&packet);
                harness.wait(20);
            }
            talker.timestamp = begin.wrapping_add((updates + 4) * 160);
        }
        speak(&mut harness, &mut talker, 20);
        assert_eq!(harness.digits(), "556", "{updates}");
    }
}

#[test]
fn several_keys_under_one_timestamp_are_told_apart() {
    for marked in [true, false] {
        let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Pcmu));
        let mut talker = Talker::voice(Codec::Pcmu);
        let at = talker.timestamp;
        for key in [1, 1, 2, 1] {
            for n in 1..=6_u16 {
                let packet = event(
                    &mut talker,
                    EVENT_8,
                    marked && n == 1,
                    at,
                    key,
                    n.min(4) * 160,
                    n >= 4,
                );
                harness.give(&packet);
                harness.wait(20);
            }
            harness.wait(60);
        }
        harness.wait(500);
        assert_eq!(harness.digits(), "1121", "{marked}");
    }
}

#[test]
fn a_lower_timestamp_base_loses_no_key() {
    for base in [5_000_u32, 899_000_000, 0] {
        let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Pcmu));
        let mut talker = Talker::voice(Codec::Pcmu);
        talker.timestamp = 900_000_000;
        for (key, move_to) in [(1, None), (2, Some(base)), (3, None)] {
            talker.timestamp = move_to.unwrap_or(talker.timestamp);
            speak(&mut harness, &mut talker, 10);
            for packet in talker.key(key, 100, 8_000) {
                harness.give(&packet);
                harness.wait(20);
            }
        }
        harness.wait(500);
        assert_eq!(harness.digits(), "123", "{base}");
        assert_eq!(sent(&harness).len(), 3);
    }
}

#[test]
fn long_presses_are_one_digit_wherever_segments_begin() {
    // RFC 4733 2.5.1.3; Chromium, which begins at its next packet; a sender of short segments.
    for milliseconds in [1_400_u32, 3_000, 6_000] {
        for (full, begins) in [(65_535, 65_535), (65_535, 66_240), (28_800, 28_800)] {
            let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
            let mut talker = Talker::voice(Codec::Opus);
            speak(&mut harness, &mut talker, 5);
            let (start, length) = (talker.timestamp, milliseconds * 48);
            let (mut at, mut before, mut ticks) = (start, 0, 0);
            while ticks < length {
                ticks += 960;
                if ticks - before > full {
                    before += full;
                    at = at.wrapping_add(begins);
                }
                let end = ticks >= length;
                for _ in 0..if end { 3 } else { 1 } {
                    let first = ticks == 960;
                    let packet = event(
                        &mut talker,
                        EVENT_48,
                        first,
                        at,
                        9,
                        (ticks - before) as u16,
                        end,
                    );
                    harness.give(&packet);
                }
                harness.wait(20);
            }
            assert_eq!(harness.digits(), "9", "{milliseconds} {full} {begins}");
            let made = sent(&harness);
            assert_eq!(made.len(), 1, "{made:?}");
            let told = u32::from(made[0].1) / 8;
            assert!(
                told.abs_diff(milliseconds) <= 60,
                "{told} of {milliseconds}"
            );
            // The audio after it is back within a tenth of a second.
            talker.timestamp = start.wrapping_add(length);
            let out = harness.out.len();
            speak(&mut harness, &mut talker, 8);
            assert!(
                harness.out.len() >= out + 3,
                "{milliseconds} {full} {begins}"
            );
        }
    }
}

#[test]
fn durations_that_grow_by_a_sixth_of_the_time_count_by_8000() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    for key in [1, 2, 3] {
        speak(&mut harness, &mut talker, 5);
        let at = talker.timestamp;
        for n in 1..=10_u16 {
            let packet = event(
                &mut talker,
                EVENT_48,
                n == 1,
                at,
                key,
                n.min(8) * 160,
                n >= 8,
            );
            harness.give(&packet);
            harness.wait(20);
        }
        talker.timestamp = at.wrapping_add(10 * 960);
    }
    harness.wait(500);
    assert_eq!(harness.digits(), "123");
    let durations: Vec<u16> = sent(&harness).iter().map(|key| key.1).collect();
    assert_eq!(durations, [1_280, 1_280, 1_280]);
}

#[test]
fn silence_keeps_the_way_open_while_the_source_sends_nothing() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::Opus] {
        let mut harness = Harness::new(&side(Codec::Opus), &side(codec));
        harness.pipeline.keep_alive(ms(1_000), harness.now);
        harness.wait(10_100);
        assert_eq!(harness.out.len(), 10, "{codec}");
        let packets = harness.packets();
        for pair in packets.windows(2) {
            let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            assert_eq!(ticks, codec.clock_rate(), "{codec}");
        }
        assert!(listen(&packets).iter().all(|sample| sample.abs() < 16));
        // Speech needs none.
        let mut talker = Talker::voice(Codec::Opus);
        let before = harness.out.len();
        speak(&mut harness, &mut talker, 200);
        assert!(harness.out.len() - before <= 201, "{codec}");
    }
}
