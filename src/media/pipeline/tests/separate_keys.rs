//! Between two keys there is audio: for receivers that take the first packet after another payload
//! type as the key (baresip 1.1), two equal keys and a jitter buffer that only moves with audio.

use super::support::*;
use crate::codec::{Codec, EventFormat};
use crate::rtp::{Packet, RtpTimestampExt, TelephoneEvent, digit_of_event};

fn is_event(packet: &Packet<'_>) -> bool {
    [EVENT_8, EVENT_48].contains(&packet.payload_type)
}

/// What a receiver hears that looks at a key only when the payload type changes to events.
fn at_changes(harness: &Harness) -> String {
    let packets = harness.packets();
    let begins = packets.iter().enumerate().filter(|(index, packet)| {
        let before = index.checked_sub(1).and_then(|index| packets.get(index));
        is_event(packet) && !before.is_some_and(is_event)
    });
    begins
        .map(|(_, packet)| TelephoneEvent::parse(packet.payload).expect("an event of ours"))
        .map(|event| digit_of_event(event.event).expect("a key"))
        .collect()
}

/// Audio never lies within the time of a key, nor keys within each other.
fn nothing_overlaps(harness: &Harness) {
    let packets = harness.packets();
    let mut sequence = packets.first().expect("packets").sequence;
    for pair in packets.windows(2) {
        let ahead = pair[1].timestamp.since(pair[0].timestamp);
        assert!(ahead >= 0, "timestamps go back: {pair:?}");
        let key_ended = is_event(&pair[0]) && ahead > 0;
        if key_ended {
            let event = TelephoneEvent::parse(pair[0].payload).expect("an event of ours");
            assert!(event.end && ahead >= i32::from(event.duration), "{pair:?}");
        }
        sequence = sequence.wrapping_add(1);
        assert_eq!(pair[1].sequence, sequence);
    }
}

fn audio_packets(harness: &Harness) -> usize {
    harness
        .packets()
        .iter()
        .filter(|one| !is_event(one))
        .count()
}

#[test]
fn keys_of_a_source_without_audio_have_silence_between() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::Opus] {
        for ptime in [10, 20, 40, 60] {
            for digits in ["4711", "0123456789*#ABCD", "11", "#"] {
                for length in [40, 60, 100, 300] {
                    let mut to = side(codec);
                    to.send.ptime = ptime;
                    let mut harness = Harness::new(&side(Codec::Opus), &to);
                    harness
                        .pipeline
                        .send_digits(digits, ms(length), harness.now)
                        .expect("keys");
                    harness.wait(20_000);
                    let what = format!("{codec:?} {ptime} {digits} {length}");
                    assert_eq!(at_changes(&harness), digits, "{what}");
                    assert_eq!(audio_packets(&harness), digits.len() - 1, "{what}");
                    nothing_overlaps(&harness);
                    assert_eq!(harness.pipeline.poll_timeout(), None);
                }
            }
        }
    }
}

#[test]
fn keys_asked_for_one_by_one_have_silence_between() {
    // While the one before lasts, in its pause, right after that, and much later.
    for apart in [50, 150, 190, 900] {
        let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
        for digit in ["4", "7", "1", "1"] {
            harness
                .pipeline
                .send_digits(digit, ms(100), harness.now)
                .expect("a key");
            harness.wait(apart);
        }
        harness.wait(2_000);
        assert_eq!(at_changes(&harness), "4711", "{apart}");
        assert_eq!(audio_packets(&harness), 3, "{apart}");
        nothing_overlaps(&harness);
    }
}

#[test]
fn keys_of_a_source_with_audio_have_silence_between_and_its_audio_after() {
    let mut harness = Harness::new(&side(Codec::Opus), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Opus);
    let speak = |harness: &mut Harness, talker: &mut Talker, packets| {
        for _ in 0..packets {
            let packet = talker.audio();
            harness.give(&packet);
            harness.wait(20);
        }
    };
    speak(&mut harness, &mut talker, 10);
    harness
        .pipeline
        .send_digits("1147", ms(100), harness.now)
        .expect("keys");
    speak(&mut harness, &mut talker, 60);
    assert_eq!(at_changes(&harness), "1147");
    nothing_overlaps(&harness);
    let packets = harness.packets();
    let last = packets.iter().rposition(is_event).expect("events");
    // 4 * 180 ms of keys and pauses, less what is reported early.
    assert!(packets.len() - last > 20, "{}", packets.len() - last);
}

#[test]
fn the_audio_of_the_source_goes_on_during_a_comma() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Pcmu);
    harness
        .pipeline
        .send_digits("1,,2", ms(100), harness.now)
        .expect("keys");
    for _ in 0..250 {
        let packet = talker.audio();
        harness.give(&packet);
        harness.wait(20);
    }
    assert_eq!(at_changes(&harness), "12");
    nothing_overlaps(&harness);
    let packets = harness.packets();
    let second = packets
        .iter()
        .rposition(|packet| is_event(packet) && packet.marker);
    let between = packets[..second.expect("the second key")]
        .iter()
        .filter(|packet| !is_event(packet))
        .count();
    // Four seconds.
    assert!((190..=202).contains(&between), "{between}");
}

#[test]
fn keys_of_a_browser_that_sends_no_audio_between_have_silence_between() {
    // Discontinuous transmission: nothing is sent in silence.
    for (from, clock) in [(Codec::Opus, 48_000), (Codec::Pcmu, 8_000)] {
        for pause in [40, 100, 400] {
            let mut harness = Harness::new(&side(from), &side(Codec::Pcmu));
            let mut talker = Talker::voice(from);
            for key in [4, 7, 1, 1] {
                for packet in talker.key(key, 100, clock) {
                    harness.give(&packet);
                    harness.wait(20);
                }
                talker.timestamp = talker.timestamp.wrapping_add(talker.ticks(pause));
                harness.wait(u64::from(pause));
            }
            harness.wait(2_000);
            assert_eq!(at_changes(&harness), "4711", "{from:?} {pause}");
            assert_eq!(harness.digits(), "4711");
            nothing_overlaps(&harness);
        }
    }
}

#[test]
fn keys_that_are_made_anew_have_silence_between() {
    // Firefox: events on 8000 beside Opus, three ends at once.
    let mut from = side(Codec::Opus);
    from.receive_events = vec![EventFormat {
        payload_type: EVENT_8,
        clock_rate: 8_000,
    }];
    for audio in [false, true] {
        let mut harness = Harness::new(&from, &side(Codec::Pcmu));
        let mut talker = Talker::voice(Codec::Opus);
        for key in [4, 7, 1, 1] {
            let at = talker.timestamp;
            for marker in [true, false, false] {
                let mut payload = Vec::new();
                TelephoneEvent {
                    event: key,
                    end: true,
                    volume: 10,
                    duration: 960,
                }
                .write(&mut payload);
                let packet = talker.packet(EVENT_8, marker, at, &payload);
                harness.give(&packet);
            }
            talker.timestamp = at.wrapping_add(talker.ticks(120));
            harness.wait(120);
            for _ in 0..4 {
                let packet = talker.audio();
                if audio {
                    harness.give(&packet);
                }
                harness.wait(20);
            }
        }
        harness.wait(2_000);
        assert_eq!(at_changes(&harness), "4711", "{audio}");
        nothing_overlaps(&harness);
    }
}
