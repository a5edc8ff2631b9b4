//! SRTP towards the PBX by keys in SDP (RFC 4568), never, where the PBX can (RFC 8643), or always.

use serde_json::json;
use trunkline::settings::Srtp;
use trunkline::sip;
use trunkline::srtp_keys::{CryptoSuite, LONGEST_MASTER, MasterKey, SrtpKeys};

use crate::browser::Browser;
use crate::page::Page;
use crate::pbx::{Leg, Telephone, direction};
use crate::setup::{Setup, Talk};
use crate::sound::Coding;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

const SHA1_80: CryptoSuite = CryptoSuite::Aes128CmSha1_80;

/// A key of the telephone's.
fn key(suite: CryptoSuite, fill: u8) -> MasterKey {
    MasterKey::from_random(suite, [fill; LONGEST_MASTER])
}

/// `text` with this profile and key, as the PBX would write it.
fn secured(text: &str, profile: &str, tag: u32, key: &MasterKey) -> String {
    let master = BASE64.encode(key.master());
    let line = format!("a=crypto:{tag} {} inline:{master}\r\n", key.suite());
    text.replace("RTP/AVP", profile) + &line
}

/// The profile of the audio line and the keys in it, by tag.
fn keys_in(description: &str) -> (String, Vec<(u32, MasterKey)>) {
    let profile = description
        .lines()
        .find(|line| line.starts_with("m=audio"))
        .and_then(|line| line.split(' ').nth(2))
        .expect("a profile");
    let keys = description
        .lines()
        .filter_map(|line| line.strip_prefix("a=crypto:"))
        .map(|line| {
            let fields: Vec<_> = line.trim().split(' ').collect();
            let suite = fields[1].parse().expect("a suite");
            let master = fields[2].strip_prefix("inline:").expect("a key");
            let master = BASE64.decode(master).expect("base64");
            let key = MasterKey::new(suite, &master).expect("the right length");
            (fields[0].parse().expect("a tag"), key)
        })
        .collect();
    (profile.to_owned(), keys)
}

async fn setup(mode: Srtp, suites: &[CryptoSuite]) -> Setup {
    Setup::with(|settings| {
        settings.trunk[0].audio.srtp = mode;
        settings.trunk[0].audio.crypto_suites =
            suites.iter().map(|suite| suite.name().to_owned()).collect();
    })
    .await
}

/// A page calls and the PBX hears of it.
async fn call(setup: &mut Setup) -> (Page, Browser, Leg) {
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let leg = setup.pbx.called().await;
    let answer = page.hear("answer").await;
    browser
        .take_answer(answer["sdp"].as_str().expect("SDP"))
        .await;
    (page, browser, leg)
}

/// The telephone has answered.
async fn talk(mut page: Page, mut browser: Browser, mut leg: Leg, telephone: Telephone) -> Talk {
    leg.confirmed().await;
    page.hear("answered").await;
    browser.connected().await;
    telephone.speak_to(leg.gateway_rtp());
    Talk {
        page,
        browser,
        leg,
        telephone,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn required_srtp_carries_audio_and_keys_in_every_suite_through_hold_and_new_keys() {
    for suite in CryptoSuite::ALL {
        let mut setup = setup(Srtp::Required, &[suite]).await;
        let (page, browser, leg) = call(&mut setup).await;
        let (profile, keys) = keys_in(&leg.description);
        assert_eq!((profile.as_str(), keys.len()), ("RTP/SAVP", 1));
        let (tag, ours) = keys[0];
        assert_eq!(ours.suite(), suite);

        let mut telephone = Telephone::new(Coding::Pcmu).await;
        let theirs = key(suite, 1);
        let description = secured(&telephone.describe("sendrecv"), "RTP/SAVP", tag, &theirs);
        telephone.secure(&SrtpKeys {
            send: theirs,
            receive: ours,
        });
        leg.answer(description).await;
        let mut talk = talk(page, browser, leg, telephone).await;
        talk.sounds().await;
        talk.telephone.press("159#");
        for digit in "159#".chars() {
            assert_eq!(talk.page.hear("dtmf").await["digit"], digit.to_string());
        }
        talk.browser.press("D0");
        talk.telephone.recorder.hears_keys("D0").await;

        // Hold and resume by the PBX: our key stays.
        for hold in ["sendonly", "sendrecv"] {
            let offer = secured(&talk.telephone.describe(hold), "RTP/SAVP", 1, &theirs);
            let answer = talk.leg.reoffer(offer).await;
            assert_eq!(keys_in(&answer).1, [(1, ours)]);
            talk.page.hear("held").await;
        }
        talk.sounds().await;

        // A new key of the PBX is for what it sends: our key stays.
        let theirs = key(suite, 2);
        let offer = secured(&talk.telephone.describe("sendrecv"), "RTP/SAVP", 5, &theirs);
        let answer = talk.leg.reoffer(offer).await;
        let (_, keys) = keys_in(&answer);
        assert_eq!(keys[0].0, 5);
        assert_eq!(keys[0].1, ours);
        talk.telephone.secure(&SrtpKeys {
            send: theirs,
            receive: keys[0].1,
        });
        talk.sounds().await;

        // Hold by the page: the key in use is offered again.
        talk.page
            .say(json!({"type": "hold", "call": "c1", "on": true}))
            .await;
        let offer = talk.leg.reoffered().await;
        assert_eq!(direction(&offer), "sendonly");
        assert_eq!(
            keys_in(&offer),
            ("RTP/SAVP".to_owned(), vec![(1, keys[0].1)])
        );
        let answer = secured(&talk.telephone.describe("recvonly"), "RTP/SAVP", 1, &theirs);
        talk.leg.answer_reoffer(answer).await;
        talk.page
            .say(json!({"type": "hold", "call": "c1", "on": false}))
            .await;
        talk.leg.reoffered().await;
        let answer = secured(&talk.telephone.describe("sendrecv"), "RTP/SAVP", 1, &theirs);
        talk.leg.answer_reoffer(answer).await;
        talk.sounds().await;
        talk.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn optional_srtp_is_left_or_taken_as_the_pbx_answers() {
    for takes in [false, true] {
        let mut setup = setup(Srtp::Optional, &CryptoSuite::ALL).await;
        let (page, browser, leg) = call(&mut setup).await;
        let (profile, keys) = keys_in(&leg.description);
        assert_eq!((profile.as_str(), keys.len()), ("RTP/AVP", 3));
        let mut telephone = Telephone::new(Coding::Pcmu).await;
        let mut description = telephone.describe("sendrecv");
        if takes {
            let (tag, ours) = keys[2];
            let theirs = key(ours.suite(), 3);
            description = secured(&description, "RTP/AVP", tag, &theirs);
            telephone.secure(&SrtpKeys {
                send: theirs,
                receive: ours,
            });
        }
        leg.answer(description).await;
        let talk = talk(page, browser, leg, telephone).await;
        talk.sounds().await;
        talk.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pbx_that_calls_is_answered_in_its_own_profile() {
    for (mode, profile, with_key) in [
        (Srtp::Optional, "RTP/AVP", true),
        (Srtp::Optional, "RTP/SAVPF", true),
        (Srtp::Optional, "RTP/AVPF", false),
        (Srtp::Required, "RTP/SAVP", true),
        (Srtp::Off, "RTP/AVPF", false),
    ] {
        let setup = setup(mode, &CryptoSuite::ALL).await;
        let mut page = setup.page("alice").await;
        let mut telephone = Telephone::new(Coding::Pcmu).await;
        let theirs = key(SHA1_80, 4);
        let description = telephone.describe("sendrecv");
        let offer = match with_key {
            true => secured(&description, profile, 9, &theirs),
            false => description.replace("RTP/AVP", profile),
        };
        let mut leg = setup.pbx.call("alice", offer).await;
        let incoming = page.hear("incoming").await;
        let mut browser = Browser::new(Coding::Opus).await;
        let answer = browser.answer(incoming["sdp"].as_str().expect("SDP")).await;
        page.say(json!({"type": "accept", "call": incoming["call"], "sdp": answer}))
            .await;
        page.hear("answered").await;
        leg.answered().await;
        let (answered, keys) = keys_in(&leg.description);
        assert_eq!(
            (answered.as_str(), keys.len()),
            (profile, usize::from(with_key))
        );
        if let [(tag, ours)] = keys[..] {
            assert_eq!(tag, 9);
            telephone.secure(&SrtpKeys {
                send: theirs,
                receive: ours,
            });
        }
        telephone.speak_to(leg.gateway_rtp());
        browser.send_tone(440.0);
        telephone.send_tone(1_004.0);
        telephone.recorder.hears(440.0).await;
        browser.recorder.hears(1_004.0).await;
        leg.hang_up().await;
        page.hear_end("hangup-remote").await;
        browser.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_mode_does_not_allow_is_refused_with_488() {
    for (mode, profile) in [(Srtp::Required, "RTP/AVP"), (Srtp::Off, "RTP/SAVP")] {
        let mut setup = setup(mode, &CryptoSuite::ALL).await;
        let _page = setup.page("alice").await;
        let mut telephone = Telephone::new(Coding::Pcmu).await;
        let plain = telephone.describe("sendrecv");
        let offer = match profile {
            "RTP/AVP" => plain.clone(),
            profile => secured(&plain, profile, 1, &key(SHA1_80, 5)),
        };
        let mut leg = setup.pbx.call("alice", offer.clone()).await;
        assert_eq!(leg.refused().await, 488, "{mode:?} {profile}");

        // And as an answer it ends the call.
        let (mut page, browser, mut leg) = call(&mut setup).await;
        leg.answer(offer).await;
        page.hear_error("bad-pbx-description").await;
        page.hear_end("bad-pbx-description").await;
        leg.over().await;
        browser.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_the_final_answer_replace_those_of_early_media() {
    let mut setup = setup(Srtp::Required, &[SHA1_80]).await;
    let (mut page, mut browser, leg) = call(&mut setup).await;
    let (tag, ours) = keys_in(&leg.description).1[0];
    let mut one = Telephone::new(Coding::Pcmu).await;
    let first = key(SHA1_80, 6);
    one.secure(&SrtpKeys {
        send: first,
        receive: ours,
    });
    let description = secured(&one.describe("sendrecv"), "RTP/SAVP", tag, &first);
    leg.progress(183, Some(description)).await;
    page.hear("early-media").await;
    browser.connected().await;
    one.speak_to(leg.gateway_rtp());
    one.send_tone(700.0);
    browser.recorder.hears(700.0).await;

    // Another fork answers, from elsewhere and with another key.
    let mut other = Telephone::new(Coding::Pcmu).await;
    let second = key(SHA1_80, 7);
    other.secure(&SrtpKeys {
        send: second,
        receive: ours,
    });
    one.set_speaking(false);
    let description = secured(&other.describe("sendrecv"), "RTP/SAVP", tag, &second);
    leg.answer(description).await;
    let talk = talk(page, browser, leg, other).await;
    talk.sounds().await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telephone_with_another_key_is_not_heard_and_is_counted() {
    let labels = [("side", "pbx"), ("reason", "srtp_forged")];
    let mut setup = setup(Srtp::Required, &[SHA1_80]).await;
    let before = setup
        .counter("trunkline_media_dropped_total", &labels)
        .await;
    let (page, browser, leg) = call(&mut setup).await;
    let (tag, ours) = keys_in(&leg.description).1[0];
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let description = secured(
        &telephone.describe("sendrecv"),
        "RTP/SAVP",
        tag,
        &key(SHA1_80, 8),
    );
    telephone.secure(&SrtpKeys {
        send: key(SHA1_80, 9),
        receive: ours,
    });
    leg.answer(description).await;
    let talk = talk(page, browser, leg, telephone).await;
    talk.browser.send_tone(440.0);
    talk.telephone.send_tone(1_004.0);
    talk.telephone.recorder.hears(440.0).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    talk.browser
        .recorder
        .stops_sending(std::time::Duration::from_millis(300))
        .await;
    talk.end().await;
    setup
        .counted("trunkline_media_dropped_total", &labels, before, 20.0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_offer_without_keys_is_refused_and_the_call_goes_on() {
    let mut setup = setup(Srtp::Required, &[SHA1_80]).await;
    let (page, browser, leg) = call(&mut setup).await;
    let (tag, ours) = keys_in(&leg.description).1[0];
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let theirs = key(SHA1_80, 1);
    telephone.secure(&SrtpKeys {
        send: theirs,
        receive: ours,
    });
    leg.answer(secured(
        &telephone.describe("sendrecv"),
        "RTP/SAVP",
        tag,
        &theirs,
    ))
    .await;
    let mut talk = talk(page, browser, leg, telephone).await;
    talk.sounds().await;
    // A re-INVITE that is refused by its profile leaves everything as it is.
    let plain = talk.telephone.describe("sendrecv");
    let body = bytes::Bytes::from(plain);
    talk.leg.command(sip::Command::Reinvite { body }).await;
    let event = talk.leg.event().await;
    assert!(
        matches!(event, sip::Event::ReinviteRefused { status: 488, .. }),
        "{event:?}"
    );
    talk.sounds().await;
    talk.end().await;
}
