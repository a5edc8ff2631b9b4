//! The clocks of telephone events in offers and answers, and payload types that are mapped twice.

use super::*;
use crate::codec::{AudioFormat, Direction};
use crate::sdp::{Answer, Offer, SessionIds, TrunkPolicy, offer_answer};

const SESSION: SessionIds = SessionIds { id: 7, version: 1 };

/// 101 beside both codecs, mapped to both clocks.
const MAPPED_TWICE: &str =
    "a=rtpmap:101 telephone-event/8000\r\na=rtpmap:101 telephone-event/48000\r\n";
const OPUS: &str = "a=rtpmap:96 opus/48000/2\r\n";

fn event(payload_type: u8, clock_rate: u32) -> EventFormat {
    EventFormat {
        payload_type,
        clock_rate,
    }
}

fn policy(codecs: &[Codec], clocks: &[u32]) -> TrunkPolicy {
    TrunkPolicy {
        codecs: codecs.to_vec(),
        event_clocks: clocks.to_vec(),
        ..TrunkPolicy::default()
    }
}

fn local() -> std::net::SocketAddr {
    "198.51.100.7:20000".parse().expect("an address")
}

fn our_offer(policy: &TrunkPolicy) -> offer_answer::LocalOffer {
    offer_answer::offer(local(), policy, SESSION, Direction::SendRecv)
}

fn audio(formats: &str, lines: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP {formats}\r\n{lines}"
    )
}

/// What holds after the PBX's answer to our offer.
fn answered(policy: &TrunkPolicy, formats: &str, lines: &str) -> AudioFormat {
    let answer = Answer::parse(audio(formats, lines)).expect("readable");
    let (_, format) = offer_answer::read_answer(&our_offer(policy), &answer).expect("accepted");
    format
}

/// Our answer to the PBX's offer: its lines of events, and what holds then.
fn our_answer(policy: &TrunkPolicy, formats: &str, lines: &str) -> (Vec<String>, AudioFormat) {
    let offer = Offer::parse(audio(formats, lines)).expect("readable");
    let offer = offer_answer::read_offer(&offer, policy).expect("audio");
    let (answer, _, format) =
        offer_answer::answer(&offer, local(), policy, SESSION, Direction::SendRecv)
            .expect("a codec");
    (event_lines(&answer.to_string()), format)
}

fn event_lines(description: &str) -> Vec<String> {
    let lines = description
        .lines()
        .filter(|line| line.contains("telephone-event"));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn trunk_offer_has_the_clocks_of_its_key_in_one_order() {
    const OF_8000: &str = "a=rtpmap:101 telephone-event/8000";
    const OF_48000: &str = "a=rtpmap:110 telephone-event/48000";
    let both = [Codec::Opus, Codec::Pcmu];
    let opus = [Codec::Opus];
    let g711 = [Codec::Pcmu, Codec::Pcma];
    let rows: [(&[Codec], &[u32], &[&str]); 11] = [
        // The default.
        (&both, &[8_000], &[OF_8000]),
        (&both, &[8_000, 48_000], &[OF_8000, OF_48000]),
        (&both, &[48_000, 8_000], &[OF_8000, OF_48000]),
        (&both, &[48_000], &[OF_48000]),
        (&opus, &[8_000], &[OF_8000]),
        (&opus, &[48_000, 8_000], &[OF_8000, OF_48000]),
        (&opus, &[48_000], &[OF_48000]),
        (&g711, &[8_000], &[OF_8000]),
        (&g711, &[8_000, 48_000], &[OF_8000]),
        (&g711, &[48_000, 8_000], &[OF_8000]),
        // Without Opus there is no clock of 48000 to go by.
        (&g711, &[48_000], &[OF_8000]),
    ];
    for (codecs, clocks, expected) in rows {
        let offer = our_offer(&policy(codecs, clocks)).offer.to_string();
        assert_eq!(event_lines(&offer), expected, "{codecs:?} {clocks:?}");
        // The payload types stand behind those of the audio, in the same order.
        let list = offer.lines().find(|line| line.starts_with("m=audio"));
        let list = list.expect("audio").trim();
        let types: Vec<_> = expected.iter().map(|line| &line[9..12]).collect();
        assert!(list.ends_with(&types.join(" ")), "{list}");
    }
}

#[test]
fn trunk_without_events_offers_none_whatever_the_clocks() {
    let without = TrunkPolicy {
        telephone_event: false,
        ..policy(&[Codec::Opus, Codec::Pcmu], &[8_000, 48_000])
    };
    assert!(event_lines(&our_offer(&without).offer.to_string()).is_empty());
}

#[test]
fn trunk_answer_has_one_clock_by_its_key() {
    const LINES: &str = "a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/48000\r\n\
                         a=rtpmap:101 telephone-event/8000\r\n";
    const OF_8000: &str = "a=rtpmap:101 telephone-event/8000";
    const OF_48000: &str = "a=rtpmap:97 telephone-event/48000";
    let opus = [Codec::Opus, Codec::Pcmu];
    let g711 = [Codec::Pcmu];
    let rows: [(&[Codec], &[u32], &str, EventFormat); 7] = [
        (&opus, &[8_000], OF_8000, event(101, 8_000)),
        (&opus, &[8_000, 48_000], OF_8000, event(101, 8_000)),
        (&opus, &[48_000, 8_000], OF_8000, event(101, 8_000)),
        (&opus, &[48_000], OF_48000, event(97, 48_000)),
        (&g711, &[8_000], OF_8000, event(101, 8_000)),
        (&g711, &[8_000, 48_000], OF_8000, event(101, 8_000)),
        // The clock of the audio goes before the key.
        (&g711, &[48_000], OF_8000, event(101, 8_000)),
    ];
    for (codecs, clocks, line, sent) in rows {
        let (lines, format) = our_answer(&policy(codecs, clocks), "96 0 97 101", LINES);
        assert_eq!(lines, [line], "{codecs:?} {clocks:?}");
        assert_eq!(format.send_events, Some(sent), "{codecs:?} {clocks:?}");
    }
}

#[test]
fn answer_to_both_clocks_uses_8000_beside_opus_and_beside_g711() {
    let policy = policy(&[Codec::Opus, Codec::Pcmu], &[8_000, 48_000]);
    let lines = "a=rtpmap:107 opus/48000/2\r\na=rtpmap:110 telephone-event/48000\r\n\
                 a=rtpmap:101 telephone-event/8000\r\n";
    for formats in ["107 110 101", "0 110 101", "107 101 110"] {
        let format = answered(&policy, formats, lines);
        assert_eq!(format.send_events, Some(event(101, 8_000)), "{formats}");
        assert_eq!(
            format.receive_events,
            [event(101, 8_000), event(110, 48_000)]
        );
    }
    // Answered alone, 48000 it is.
    let format = answered(&policy, "107 110", lines);
    assert_eq!(format.send_events, Some(event(110, 48_000)));
}

#[test]
fn offer_that_maps_one_number_twice_goes_by_the_clock_of_the_audio() {
    let codecs = [Codec::Opus, Codec::Pcmu];
    let turned = "a=rtpmap:101 telephone-event/48000\r\na=rtpmap:101 telephone-event/8000\r\n";
    for mapped in [MAPPED_TWICE, turned] {
        let lines = format!("{OPUS}{mapped}");
        let by_clock = [
            ("96 0 101", &codecs[..], 48_000),
            ("0 96 101", &codecs[..1], 48_000),
            ("96 0 101", &codecs[1..], 8_000),
            ("0 101", &codecs[..], 8_000),
        ];
        for (formats, codecs, clock_rate) in by_clock {
            let (answer, format) = our_answer(&policy(codecs, &[8_000]), formats, &lines);
            let line = format!("a=rtpmap:101 telephone-event/{clock_rate}");
            assert_eq!(answer, [line], "{formats} {mapped}");
            assert_eq!(format.send_events, Some(event(101, clock_rate)));
            assert_eq!(format.receive_events, [event(101, clock_rate)]);
        }
    }
}

#[test]
fn answer_that_maps_one_number_twice_goes_by_the_clock_of_the_audio() {
    let policy = policy(&[Codec::Opus, Codec::Pcmu], &[8_000, 48_000]);
    let lines = format!("a=rtpmap:107 opus/48000/2\r\n{MAPPED_TWICE}");
    for (formats, clock_rate) in [("107 101", 48_000), ("0 101", 8_000)] {
        let format = answered(&policy, formats, &lines);
        let of_101 = format
            .receive_events
            .iter()
            .find(|event| event.payload_type == 101);
        assert_eq!(of_101, Some(&event(101, clock_rate)), "{formats}");
        assert_eq!(format.send_events, Some(event(101, clock_rate)));
    }
}

#[test]
fn number_that_is_mapped_twice_to_one_clock_or_to_others_counts_once() {
    let policy = policy(&[Codec::Pcmu], &[8_000]);
    let rows = [
        ("8000", "8000", 8_000),
        ("16000", "8000", 8_000),
        // Neither is the audio's: the first.
        ("16000", "48000", 16_000),
        ("8000", "1", 8_000),
    ];
    for (first, second, expected) in rows {
        let lines = format!(
            "a=rtpmap:101 telephone-event/{first}\r\na=rtpmap:101 telephone-event/{second}\r\n"
        );
        let (_, format) = our_answer(&policy, "0 101", &lines);
        assert_eq!(format.receive_events, [event(101, expected)], "{lines}");
    }
    // A number of the audio stays that of the audio.
    let lines = "a=rtpmap:0 PCMU/8000\r\na=rtpmap:0 telephone-event/8000\r\n";
    let (answer, format) = our_answer(&policy, "0", lines);
    assert!(answer.is_empty() && format.receive_events.is_empty());
    assert_eq!(format.send.codec, Codec::Pcmu);
}

#[test]
fn browsers_number_that_is_mapped_twice_goes_by_the_clock_of_the_audio() {
    let twice = [event(101, 8_000), event(101, 48_000)];
    assert_eq!(events_to_browser(&twice, Codec::Opus), [event(101, 48_000)]);
    assert_eq!(events_to_browser(&twice, Codec::Pcmu), [event(101, 8_000)]);
}
