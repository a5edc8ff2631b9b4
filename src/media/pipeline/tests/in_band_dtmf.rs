//! Keys that come as tones: told once, carried on as events where the other side has them.

use super::support::*;
use crate::audio::{DtmfDetector, DtmfTone, Tone, digit_frequencies};
use crate::codec::Codec;
use crate::media::pipeline::PipelineEvent;
use crate::rtp::{TelephoneEvent, digit_of_event};

const KEYS: &str = "0123456789*#ABCD11";

fn tone(digit: char) -> Signal {
    let (low, high) = digit_frequencies(digit).expect("a key");
    Signal::Tone(Tone::new(&[(low, -9.0), (high, -7.0)], 8_000))
}

fn silence() -> Signal {
    Signal::Tone(Tone::new(&[], 8_000))
}

/// This many packets of 20 ms.
fn speak(harness: &mut Harness, talker: &mut Talker, packets: u32) {
    for _ in 0..packets {
        let packet = talker.audio();
        harness.give(&packet);
        harness.wait(20);
    }
}

fn press(harness: &mut Harness, talker: &mut Talker, digit: char) {
    talker.say(tone(digit));
    speak(harness, talker, 5);
    talker.say(silence());
    speak(harness, talker, 5);
}

/// The keys that leave as events, by their first end, and the longest of each in milliseconds.
fn events(harness: &Harness) -> Vec<(char, u32)> {
    let mut keys = Vec::new();
    let mut last = None;
    for packet in harness.packets() {
        let rate = match packet.payload_type {
            EVENT_48 => 48,
            EVENT_8 => 8,
            _ => continue,
        };
        let event = TelephoneEvent::parse(packet.payload).expect("an event of ours");
        if event.end && last != Some(packet.timestamp) {
            last = Some(packet.timestamp);
            let digit = digit_of_event(event.event).expect("a key");
            keys.push((digit, u32::from(event.duration) / rate));
        }
    }
    keys
}

fn tones_heard(harness: &Harness) -> String {
    let packets = harness.packets();
    let audio: Vec<_> = packets
        .into_iter()
        .filter(|packet| ![EVENT_48, EVENT_8].contains(&packet.payload_type))
        .collect();
    let mut samples = Vec::new();
    for packet in &audio {
        samples.extend(listen(&[*packet]));
    }
    let mut heard = String::new();
    DtmfDetector::new(8_000).push(&samples, |tone| {
        if let DtmfTone::Began(digit) = tone {
            heard.push(digit);
        }
    });
    heard
}

#[test]
fn tones_are_told_once_and_leave_as_events_instead_of_sound() {
    for (from, to) in [
        (Codec::Pcmu, Codec::Opus),
        (Codec::Pcma, Codec::Pcmu),
        (Codec::Pcmu, Codec::Pcmu),
    ] {
        let mut harness = Harness::new(&side(from), &side(to));
        harness.pipeline.detect_dtmf();
        let mut talker = Talker::voice(from);
        speak(&mut harness, &mut talker, 20);
        for digit in KEYS.chars() {
            press(&mut harness, &mut talker, digit);
        }
        assert_eq!(harness.digits(), KEYS, "{from} {to}");
        let sent = events(&harness);
        let digits: String = sent.iter().map(|(digit, _)| *digit).collect();
        assert_eq!(digits, KEYS, "{from} {to}");
        for (digit, milliseconds) in sent {
            assert!(
                (60..=140).contains(&milliseconds),
                "{digit}: {milliseconds}"
            );
        }
        for event in &harness.events {
            if let PipelineEvent::Digit { duration_ms, .. } = event {
                assert!((75..=115).contains(duration_ms), "{event:?} of 100");
            }
        }
        // What is left of the tones before they were known is too short to be one.
        assert_eq!(tones_heard(&harness), "", "{from} {to}");
        assert_eq!(harness.pipeline.statistics().digits, KEYS.len() as u64);
        // And what is said afterwards is heard.
        let before = harness.out.len();
        talker.say(Signal::Voice(0));
        speak(&mut harness, &mut talker, 20);
        assert!(harness.out.len() - before >= 18);
    }
}

#[test]
fn a_side_without_events_hears_the_tones_themselves() {
    let mut to = side(Codec::Pcmu);
    to.send_events = None;
    let mut harness = Harness::new(&side(Codec::Pcmu), &to);
    harness.pipeline.detect_dtmf();
    let mut talker = Talker::voice(Codec::Pcmu);
    for digit in KEYS.chars() {
        press(&mut harness, &mut talker, digit);
    }
    assert_eq!(harness.digits(), KEYS);
    assert_eq!(tones_heard(&harness), KEYS);
}

#[test]
fn without_the_option_tones_are_sound() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Pcmu));
    let mut talker = Talker::voice(Codec::Pcmu);
    press(&mut harness, &mut talker, '5');
    assert_eq!(harness.digits(), "");
    assert_eq!(tones_heard(&harness), "5");
}

#[test]
fn a_source_that_sends_events_is_not_listened_to() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    harness.pipeline.detect_dtmf();
    let mut talker = Talker::voice(Codec::Pcmu);
    speak(&mut harness, &mut talker, 5);
    for packet in talker.key(5, 100, 8_000) {
        harness.give(&packet);
        harness.wait(20);
    }
    // The same key leaks into the audio.
    press(&mut harness, &mut talker, '5');
    assert_eq!(harness.digits(), "5");
}

#[test]
fn a_tone_that_breaks_off_with_its_source_ends_in_time() {
    let mut harness = Harness::new(&side(Codec::Pcmu), &side(Codec::Opus));
    harness.pipeline.detect_dtmf();
    let mut talker = Talker::voice(Codec::Pcmu);
    talker.say(tone('7'));
    speak(&mut harness, &mut talker, 5);
    assert_eq!(harness.digits(), "");
    harness.wait(300);
    assert_eq!(harness.digits(), "7");
    assert_eq!(events(&harness).len(), 1);
    harness.wait(1_000);
    assert_eq!(harness.digits(), "7");
    // Another source, a key, and the first that goes on with another.
    talker.ssrc = 9;
    press(&mut harness, &mut talker, '8');
    assert_eq!(harness.digits(), "78");
}
