//! Keys both ways: every one of the sixteen, none lost, none doubled.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use trunkline::sip;

use crate::setup::{Setup, Talk};
use crate::sound::{Coding, until_async};

/// All keys, and some that follow themselves.
const KEYS: &str = "0123456789*#ABCDD11";

async fn digits_both_ways(mut talk: Talk) {
    talk.sounds().await;
    talk.witness();

    // From the telephone, while the browser presses its own.
    talk.telephone.press(KEYS);
    talk.browser.press(KEYS);
    for key in KEYS.chars() {
        let heard = talk.page.hear("dtmf").await;
        assert_eq!(heard["digit"], key.to_string());
        let duration = heard["duration"].as_u64().expect("milliseconds");
        assert!((60..=140).contains(&duration), "{heard}");
    }
    talk.browser.recorder.hears_keys(KEYS).await;
    talk.telephone.recorder.hears_keys(KEYS).await;

    // By message.
    talk.witness();
    talk.page
        .say(json!({"type": "dtmf", "call": "c1", "digits": KEYS, "duration": 60}))
        .await;
    talk.telephone.recorder.hears_keys(KEYS).await;
    assert_eq!(talk.browser.recorder.keys(), "", "keys do not come back");

    talk.sounds().await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digits_cross_a_transcoded_call() {
    let mut setup = Setup::start().await;
    digits_both_ways(setup.call_out(Coding::Opus).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digits_cross_a_call_that_is_passed_through() {
    let mut setup = Setup::with(|settings| settings.trunk[0].audio.passthrough = true).await;
    digits_both_ways(setup.call_out(Coding::Pcmu).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comma_is_a_pause_and_more_digits_than_can_wait_are_refused() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.witness();
    let dtmf =
        |digits: &str| json!({"type": "dtmf", "call": "c1", "digits": digits, "duration": 40});
    talk.page.say(dtmf("4,7")).await;
    talk.telephone.recorder.hears_keys("47").await;
    talk.page.say(dtmf(&"1".repeat(60))).await;
    talk.page.say(dtmf(&"2".repeat(60))).await;
    talk.page.hear_error("dtmf-refused").await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digits_come_by_info_too() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    for (content_type, body, digit, duration) in [
        (
            "application/dtmf-relay",
            "Signal=5\r\nDuration=160\r\n",
            "5",
            160,
        ),
        ("application/dtmf", "#", "#", 100),
    ] {
        talk.leg
            .command(sip::Command::Info {
                content_type: content_type.to_owned(),
                body: Bytes::from_static(body.as_bytes()),
            })
            .await;
        let heard = talk.page.hear("dtmf").await;
        assert_eq!(
            (&heard["digit"], &heard["duration"]),
            (&json!(digit), &json!(duration))
        );
    }
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digits_of_the_page_go_out_by_info_where_the_trunk_wants_that() {
    let mut setup = Setup::with(|settings| {
        settings.trunk[0].digits.dtmf = trunkline::settings::Dtmf::InfoRelay
    })
    .await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.witness();
    talk.page
        .say(json!({"type": "dtmf", "call": "c1", "digits": "1*d", "duration": 80}))
        .await;
    for digit in ["1", "*", "D"] {
        let event = talk.leg.event().await;
        let expected = sip::Event::Info {
            content_type: "application/dtmf-relay".to_owned(),
            body: Bytes::from(format!("Signal={digit}\r\nDuration=80\r\n")),
        };
        assert_eq!(event, expected);
    }
    assert_eq!(talk.telephone.recorder.keys(), "", "not in the audio too");
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_go_out_as_tones_where_the_trunk_says_inband() {
    let mut setup =
        Setup::with(|settings| settings.trunk[0].digits.dtmf = trunkline::settings::Dtmf::Inband)
            .await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    for pressed_in_the_browser in [true, false] {
        talk.witness();
        if pressed_in_the_browser {
            talk.browser.press(KEYS);
        } else {
            talk.page
                .say(json!({"type": "dtmf", "call": "c1", "digits": KEYS, "duration": 60}))
                .await;
        }
        let mut tones = Vec::new();
        until_async("every key is heard as a tone", async || {
            tones = talk.telephone.recorder.key_tones();
            tones.len() >= KEYS.len()
        })
        .await;
        // One too many would come now.
        tokio::time::sleep(Duration::from_millis(400)).await;
        let tones = talk.telephone.recorder.key_tones();
        let keys: String = tones.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, KEYS, "in the browser: {pressed_in_the_browser}");
        for (key, milliseconds) in tones {
            assert!((65..=140).contains(&milliseconds), "{key} {milliseconds}");
        }
        assert_eq!(talk.telephone.recorder.keys(), "", "no events");
    }
    talk.sounds().await;
    talk.end().await;
}

/// Keys that the telephone sends as tones.
async fn sound_keys(talk: &Talk, keys: &str) {
    for key in keys.chars() {
        talk.telephone.sound_key(Some(key));
        tokio::time::sleep(Duration::from_millis(140)).await;
        talk.telephone.sound_key(None);
        tokio::time::sleep(Duration::from_millis(140)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tones_of_the_pbx_are_keys_where_the_trunk_says_so() {
    let mut setup = Setup::with(|settings| settings.trunk[0].digits.inband_digits = true).await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();
    let keys = "0159#*AD";
    sound_keys(&talk, keys).await;
    for key in keys.chars() {
        assert_eq!(talk.page.hear("dtmf").await["digit"], key.to_string());
    }
    talk.browser.recorder.hears_keys(keys).await;
    talk.sounds().await;
    talk.end().await;
}
