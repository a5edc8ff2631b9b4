//! Keys through a pipeline: passed on, made by ourselves, as events and as sounds.

use super::support::*;
use crate::audio::{DtmfDetector, DtmfTone, level_at};
use crate::codec::{AudioFormat, Codec};
use crate::media::Error;
use crate::media::pipeline::PipelineEvent;
use crate::rtp::{TelephoneEvent, digit_of_event};

const KEYS: &str = "0123456789*#ABCD";

/// The keys that a receiver of the stream would see, with their durations in its ticks: one
/// for each timestamp; checks order and suppression.
fn keys(harness: &Harness, format: &AudioFormat) -> Vec<(char, u16)> {
    let payload_type = format.send_events.expect("events").payload_type;
    let mut keys: Vec<(u32, char, u16, bool)> = Vec::new();
    for packet in harness.packets() {
        if packet.payload_type != payload_type {
            continue;
        }
        let event = TelephoneEvent::parse(packet.payload).expect("our event");
        let digit = digit_of_event(event.event).expect("a key");
        match keys.last_mut() {
            Some((timestamp, last, duration, end)) if *timestamp == packet.timestamp => {
                assert_eq!(*last, digit);
                assert!(event.duration >= *duration, "durations grow");
                *duration = event.duration;
                *end |= event.end;
            }
            _ => keys.push((packet.timestamp, digit, event.duration, event.end)),
        }
    }
    assert!(
        keys.iter().all(|(.., end)| *end),
        "every key ends: {keys:?}"
    );
    keys.into_iter()
        .map(|(_, digit, duration, _)| (digit, duration))
        .collect()
}

fn pressed(from: Codec, to: Codec, loss: f64, seed: u64) -> Harness {
    let mut dice = Dice(seed);
    let mut harness = Harness::new(&side(from), &side(to));
    let mut talker = Talker::voice(from);
    let clock = from.clock_rate();
    for event in 0..16 {
        for _ in 0..6 {
            let packet = talker.audio();
            if !dice.falls(loss) {
                harness.give(&packet);
            }
            harness.wait(20);
        }
        for packet in talker.key(event, 160, clock) {
            if !dice.falls(loss) {
                harness.give(&packet);
            }
            harness.wait(20);
        }
    }
    harness.wait(1_000);
    harness
}

#[test]
fn all_keys_go_through_with_their_length_on_the_other_clock() {
    for (from, to, ticks) in [
        (Codec::Opus, Codec::Pcmu, 1_280),
        (Codec::Pcmu, Codec::Opus, 7_680),
        (Codec::Opus, Codec::Opus, 7_680),
        (Codec::Pcma, Codec::Pcmu, 1_280),
    ] {
        let harness = pressed(from, to, 0.0, 1);
        let expected: Vec<_> = KEYS.chars().map(|digit| (digit, ticks)).collect();
        assert_eq!(keys(&harness, &side(to)), expected, "{from} {to}");
        assert_eq!(harness.digits(), KEYS);
        assert!(harness.events.contains(&PipelineEvent::Digit {
            digit: '7',
            duration_ms: 160
        }));
        // Timestamps of the whole stream never go back, though those of events stand still.
        let packets = harness.packets();
        let backwards = packets
            .windows(2)
            .filter(|pair| (pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32) < 0)
            .count();
        assert_eq!(backwards, 0);
        let numbers = packets
            .windows(2)
            .all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1));
        assert!(numbers, "numbers go on");
        // One marker at the beginning of each key.
        let payload_type = side(to).send_events.expect("events").payload_type;
        let marked =
            |packet: &&crate::rtp::Packet<'_>| packet.payload_type == payload_type && packet.marker;
        assert_eq!(packets.iter().filter(marked).count(), 16);
    }
}

#[test]
fn no_key_is_lost_or_doubled_when_a_fifth_of_the_packets_is() {
    for seed in 1..13 {
        for (from, to) in [(Codec::Opus, Codec::Pcmu), (Codec::Pcmu, Codec::Opus)] {
            let harness = pressed(from, to, 0.2, seed * 7_919);
            let seen: String = keys(&harness, &side(to))
                .iter()
                .map(|(digit, _)| digit)
                .collect();
            assert_eq!(seen, KEYS, "{from} {to} {seed}");
            assert_eq!(harness.digits(), KEYS, "{from} {to} {seed}");
        }
    }
}

#[test]
fn audio_of_the_moment_of_a_key_stays_behind() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    let mut talker = Talker::voice(Codec::Pcmu);
    for _ in 0..5 {
        harness.give(&talker.audio());
        harness.wait(20);
    }
    // A source that sends the sound of the key beside its events.
    let begin = talker.timestamp;
    for update in 1..=10_u16 {
        let mut payload = Vec::new();
        TelephoneEvent {
            event: 5,
            end: update >= 8,
            volume: 0,
            duration: update.min(8) * 160,
        }
        .write(&mut payload);
        let packet = talker.packet(EVENT_8, update == 1, begin, &payload);
        assert_eq!(harness.give(&packet), 1);
        assert_eq!(
            harness.give(&talker.audio()),
            usize::from(update > 8),
            "{update}"
        );
        harness.wait(20);
    }
    assert_eq!(harness.pipeline.statistics().dropped.suppressed, 8);
    assert_eq!(harness.pipeline.statistics().concealed, 0);
    assert_eq!(keys(&harness, &side(Codec::Opus)), [('5', 7_680)]);
    // The audio after the key is where the audio before it says.
    let packets = harness.packets();
    let (first, last) = (packets[0], packets[packets.len() - 1]);
    assert_eq!(last.timestamp.wrapping_sub(first.timestamp), 14 * 960);
}

#[test]
fn a_key_without_an_end_is_over_after_a_while_and_what_comes_later_is_not_another() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    let packets = talker.key(3, 160, 48_000);
    for packet in &packets[..4] {
        harness.give(packet);
        harness.wait(20);
    }
    assert_eq!(harness.digits(), "");
    harness.wait(250);
    assert_eq!(harness.digits(), "3");
    assert_eq!(keys(&harness, &side(Codec::Pcmu)), [('3', 640)]);
    let sent = harness.out.len();
    for packet in &packets[4..] {
        harness.give(packet);
        harness.wait(20);
    }
    harness.wait(500);
    assert_eq!(harness.digits(), "3");
    assert_eq!(harness.out.len(), sent);
}

#[test]
fn the_next_key_ends_one_whose_end_was_lost() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    for packet in &talker.key(1, 160, 48_000)[..5] {
        harness.give(packet);
        harness.wait(20);
    }
    for packet in talker.key(1, 160, 48_000) {
        harness.give(&packet);
        harness.wait(20);
    }
    assert_eq!(harness.digits(), "11");
    assert_eq!(
        keys(&harness, &side(Codec::Pcmu)),
        [('1', 800), ('1', 1_280)]
    );
}

#[test]
fn audio_goes_on_after_a_key_even_where_the_source_does_not_count_its_time() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    for _ in 0..2 {
        harness.give(&talker.audio());
        harness.wait(20);
    }
    let before = talker.timestamp;
    for packet in talker.key(1, 160, 48_000) {
        harness.give(&packet);
        harness.wait(20);
    }
    talker.timestamp = before.wrapping_add(960);
    for _ in 0..10 {
        harness.give(&talker.audio());
        harness.wait(20);
    }
    let packets = harness.packets();
    let key = FIRST_TIMESTAMP.wrapping_add(320);
    let audio = packets.iter().filter(|packet| packet.payload_type == PCMU);
    let after: Vec<u32> = audio
        .skip(2)
        .map(|packet| packet.timestamp.wrapping_sub(key))
        .collect();
    // What the source stamps as being of the key's time stays behind, then it is seven frames
    // after its last audio: exactly where the key ended.
    assert_eq!(after[0], 8 * 160);
    assert!(
        after.windows(2).all(|pair| pair[1] == pair[0] + 160),
        "{after:?}"
    );

    // Digits of our own while the source stands still.
    harness
        .pipeline
        .send_digits("2", ms(100), harness.now)
        .expect("a key");
    harness.wait(500);
    let sent = harness.out.len();
    harness.give(&talker.audio());
    let packets = harness.packets();
    assert!(packets[sent].marker);
    let event = packets[sent - 1];
    assert_eq!(packets[sent].timestamp, event.timestamp.wrapping_add(800));
}

#[test]
fn what_is_lost_beside_a_key_is_not_made_up() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    let mut talker = Talker::voice(Codec::Pcmu);
    harness.give(&talker.audio());
    harness.wait(20);
    for packet in talker.key(1, 160, 8_000) {
        harness.give(&packet);
        harness.wait(20);
    }
    drop(talker.audio());
    harness.wait(20);
    for _ in 0..5 {
        harness.give(&talker.audio());
        harness.wait(20);
    }
    let statistics = harness.pipeline.statistics();
    assert_eq!((statistics.lost, statistics.concealed), (1, 0));
}

#[test]
fn keys_of_a_source_beside_the_audio_are_not_doubled() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    let mut talker = Talker::voice(Codec::Pcmu);
    let mut keypad = Talker::voice(Codec::Pcmu);
    keypad.ssrc = 2;
    for event in [4, 4, 7] {
        for packet in keypad.key(event, 160, 8_000) {
            harness.give(&talker.audio());
            harness.give(&packet);
            harness.wait(20);
        }
    }
    harness.wait(500);
    assert_eq!(harness.digits(), "447");
    let seen: String = keys(&harness, &side(Codec::Opus))
        .iter()
        .map(|(digit, _)| digit)
        .collect();
    assert_eq!(seen, "447");
}

#[test]
fn an_opus_stream_may_carry_events_that_count_at_8_khz() {
    let mut from = side(Codec::Opus);
    from.receive_events[0] = side(Codec::Pcmu).receive_events[0];
    let to = side(Codec::Pcmu);
    let mut harness = Harness::new(&from, &to);
    let mut talker = Talker::voice(Codec::Opus);
    for event in 0..16 {
        for _ in 0..5 {
            harness.give(&talker.audio());
            harness.wait(20);
        }
        for packet in talker.key(event, 160, 8_000) {
            harness.give(&packet);
            harness.wait(20);
        }
    }
    let expected: Vec<_> = KEYS.chars().map(|digit| (digit, 1_280)).collect();
    assert_eq!(keys(&harness, &to), expected);
    let packets = harness.packets();
    let (first, last) = (packets[0], packets[packets.len() - 1]);
    // The last event begins 100 ms after the fifteen rounds of 300 ms before it.
    assert_eq!(
        last.timestamp.wrapping_sub(first.timestamp),
        8 * (15 * 300 + 100)
    );
}

#[test]
fn a_key_longer_than_a_segment_is_one_key() {
    // At 48 kHz a segment ends after 1.37 s, at 8 kHz after 8.2 s (RFC 4733 section 2.5.1.3).
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    let mut begin = talker.timestamp;
    let (mut before, length) = (0, 3_000 * 48);
    let mut ticks = 0;
    while ticks < length {
        ticks += 960;
        while ticks - before > 0xffff {
            before += 0xffff;
            begin = begin.wrapping_add(0xffff);
        }
        let mut payload = Vec::new();
        let duration = (ticks - before) as u16;
        TelephoneEvent {
            event: 9,
            end: ticks >= length,
            volume: 0,
            duration,
        }
        .write(&mut payload);
        let packet = talker.packet(EVENT_48, false, begin, &payload);
        harness.give(&packet);
        harness.wait(20);
    }
    assert_eq!(harness.digits(), "9");
    assert_eq!(keys(&harness, &side(Codec::Pcmu)), [('9', 24_000)]);

    // The other way round the segments are ours to make.
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    let mut talker = Talker::voice(Codec::Pcmu);
    for packet in talker.key(9, 3_000, 8_000) {
        harness.give(&packet);
        harness.wait(20);
    }
    assert_eq!(harness.digits(), "9");
    let mut segments: Vec<(u32, u16, bool)> = Vec::new();
    for packet in harness.packets() {
        let event = TelephoneEvent::parse(packet.payload).expect("our event");
        match segments.last_mut() {
            Some(last) if last.0 == packet.timestamp => {
                *last = (packet.timestamp, event.duration, event.end);
            }
            _ => segments.push((packet.timestamp, event.duration, event.end)),
        }
    }
    let durations: Vec<_> = segments
        .iter()
        .map(|(_, ticks, end)| (*ticks, *end))
        .collect();
    let rest = (144_000 - 2 * 0xffff_u32) as u16;
    assert_eq!(durations, [(0xffff, false), (0xffff, false), (rest, true)]);
    assert_eq!(segments[1].0.wrapping_sub(segments[0].0), 0xffff);
}

#[test]
fn digits_of_our_own_are_events_with_pauses_and_three_ends() {
    let to = side(Codec::Pcmu);
    let mut harness = Harness::new(&side(Codec::Opus), &to);
    let mut talker = Talker::voice(Codec::Opus);
    for _ in 0..10 {
        harness.give(&talker.audio());
        harness.wait(20);
    }
    harness
        .pipeline
        .send_digits("12#", ms(100), harness.now)
        .expect("keys");
    for _ in 0..60 {
        harness.give(&talker.audio());
        harness.wait(20);
    }
    assert_eq!(keys(&harness, &to), [('1', 800), ('2', 800), ('#', 800)]);
    let packets = harness.packets();
    let events: Vec<_> = packets
        .iter()
        .filter(|packet| packet.payload_type == EVENT_8)
        .collect();
    let ends = events
        .iter()
        .filter(|packet| packet.payload[1] & 0x80 != 0)
        .count();
    assert_eq!(ends, 9);
    let mut begins: Vec<u32> = events.iter().map(|packet| packet.timestamp).collect();
    begins.dedup();
    // 100 ms of key, 80 ms of pause.
    assert!(
        begins
            .windows(2)
            .all(|pair| pair[1].wrapping_sub(pair[0]) == 180 * 8),
        "{begins:?}"
    );
    // Between the keys one packet of silence each, no audio of the source, and none of it out of
    // place after.
    let first = packets
        .iter()
        .position(|packet| packet.payload_type == EVENT_8);
    let last = packets
        .iter()
        .rposition(|packet| packet.payload_type == EVENT_8);
    let (first, last) = (first.expect("events"), last.expect("events"));
    let between: Vec<_> = packets[first..=last]
        .iter()
        .filter(|packet| packet.payload_type != EVENT_8)
        .collect();
    let silence = between
        .iter()
        .all(|packet| packet.payload.iter().all(|octet| *octet == 0xff));
    assert!(between.len() == 2 && silence, "{between:?}");
    let after = packets[last + 1];
    assert!(after.marker);
    assert_eq!(after.timestamp.wrapping_sub(FIRST_TIMESTAMP) % 160, 0);
    let end = packets[packets.len() - 1].timestamp;
    assert_eq!(end.wrapping_sub(FIRST_TIMESTAMP), 69 * 160);
    assert_eq!(harness.pipeline.statistics().concealed, 0);
    assert_eq!(
        harness.digits(),
        "",
        "our own digits are no key presses of the source"
    );
}

#[test]
fn digits_can_be_sent_where_no_audio_flows() {
    let to = side(Codec::Opus);
    let mut harness = Harness::new(&side(Codec::Pcmu), &to);
    harness
        .pipeline
        .send_digits("5,5", ms(100), harness.now)
        .expect("keys");
    harness.wait(5_000);
    assert_eq!(keys(&harness, &to), [('5', 4_800), ('5', 4_800)]);
    assert_eq!(harness.pipeline.poll_timeout(), None);
    let packets = harness.packets();
    let apart = packets[packets.len() - 1]
        .timestamp
        .wrapping_sub(packets[0].timestamp);
    // 100 ms, the pause after a digit, two seconds of comma.
    assert_eq!(apart, 48 * 2_180);
}

#[test]
fn a_side_without_events_hears_the_keys() {
    for codec in [Codec::Pcmu, Codec::Opus] {
        for from in [Codec::Opus, Codec::Pcma] {
            let mut to = side(codec);
            to.send_events = None;
            let mut harness = Harness::new(&side(from), &to);
            let mut talker = Talker::voice(from);
            // Ours, then those of the source.
            harness
                .pipeline
                .send_digits(KEYS, ms(100), harness.now)
                .expect("keys");
            harness.wait(4_000);
            let clock = from.clock_rate();
            for event in 0..16 {
                for packet in talker.key(event, 160, clock) {
                    harness.give(&packet);
                    harness.wait(20);
                }
                talker.timestamp = talker.timestamp.wrapping_add(talker.ticks(100));
                harness.wait(100);
            }
            let mut heard = String::new();
            let samples = listen(&harness.packets());
            DtmfDetector::new(8_000).push(&samples, |tone| {
                if let DtmfTone::Began(digit) = tone {
                    heard.push(digit);
                }
            });
            assert_eq!(heard, format!("{KEYS}{KEYS}"), "{from} {codec}");
            assert_eq!(harness.digits(), KEYS);
        }
    }
}

/// ITU-T Q.23 table 1.
const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYPAD: [&str; 4] = ["123A", "456B", "789C", "*0#D"];

#[test]
fn a_tone_is_two_frequencies_for_80_ms_at_least_and_as_long_a_silence() {
    let mut to = side(Codec::Pcmu);
    to.send_events = None;
    for (keys, row) in KEYPAD.iter().zip(ROWS) {
        for (key, column) in keys.chars().zip(COLUMNS) {
            let mut harness = Harness::new(&side(Codec::Opus), &to);
            // The second of two is told apart by the audio alone.
            let digits = format!("{key}{key}");
            harness
                .pipeline
                .send_digits(&digits, ms(40), harness.now)
                .expect("keys");
            harness.wait(1_000);
            let heard = listen(&harness.packets());
            assert_eq!(harness.out.len(), 16, "no packet is left out");
            for (number, part) in heard.chunks(640).enumerate() {
                if number % 2 == 1 {
                    assert!(part.iter().all(|sample| sample.abs() < 4), "{key} {number}");
                    continue;
                }
                for frequency in ROWS.into_iter().chain(COLUMNS) {
                    let level = level_at(part, frequency, 8_000);
                    if frequency == row {
                        assert!((level + 9.0).abs() < 0.5, "{key} {frequency} {level}");
                    } else if frequency == column {
                        assert!((level + 7.0).abs() < 0.5, "{key} {frequency} {level}");
                    } else {
                        assert!(level < -30.0, "{key} {frequency} {level}");
                    }
                }
                // A neighbour 2 % away, which a receiver may refuse, is weaker than the right one.
                for frequency in [row, column] {
                    let here = level_at(part, frequency, 8_000);
                    for off in [0.98, 1.02] {
                        assert!(level_at(part, frequency * off, 8_000) < here, "{key}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_source_is_not_heard_while_its_keys_sound() {
    let mut to = side(Codec::Pcmu);
    to.send_events = None;
    let mut harness = Harness::new(&side(Codec::Pcma), &to);
    let mut talker = Talker::tone(Codec::Pcma, 1_800.0);
    let own = |harness: &Harness, packets: std::ops::Range<usize>| {
        level_at(&listen(&harness.packets()[packets]), 1_800.0, 8_000)
    };
    for _ in 0..5 {
        harness.give(&talker.audio());
        harness.wait(20);
    }
    harness
        .pipeline
        .send_digits("5", ms(100), harness.now)
        .expect("a key");
    for _ in 0..20 {
        harness.give(&talker.audio());
        harness.wait(20);
    }
    // 100 ms of the source, 100 ms of the key, 80 ms of silence, and the source again.
    assert!((own(&harness, 0..5) + 12.0).abs() < 0.5);
    assert!(own(&harness, 5..14) < -40.0);
    let packets = harness.packets();
    assert!((own(&harness, packets.len() - 5..packets.len()) + 12.0).abs() < 0.5);
    let statistics = harness.pipeline.statistics();
    assert_eq!(statistics.dropped.suppressed, 9);
    assert_eq!(packets.len(), 25, "the stream keeps its pace");
}

#[test]
fn what_is_no_digit_is_refused_and_nothing_of_it_is_sent() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let refused = harness.pipeline.send_digits("12x", ms(100), harness.now);
    assert!(matches!(refused, Err(Error::Digit('x'))));
    let refused = harness
        .pipeline
        .send_digits(&"1".repeat(65), ms(100), harness.now);
    assert!(matches!(
        refused,
        Err(Error::TooManyDigits {
            requested: 65,
            limit: 64
        })
    ));
    harness.wait(1_000);
    assert!(harness.out.is_empty());
}
