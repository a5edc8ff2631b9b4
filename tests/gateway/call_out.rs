//! A page calls: audio both ways, and how such a call ends.

use std::time::Duration;

use serde_json::json;
use trunkline::sip;

use crate::browser::Browser;
use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::Coding;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_calls_and_both_hear_each_other() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    page.say(json!({"type": "call", "call": "c1", "to": "600", "sdp": offer, "name": "Alice"}))
        .await;

    let mut leg = setup.pbx.called().await;
    assert_eq!((leg.called.as_str(), leg.caller.as_str()), ("600", "alice"));
    assert_eq!(leg.caller_name.as_deref(), Some("Alice"));
    leg.ring().await;
    // The browser is answered at once: ICE and DTLS are through before anybody picks up.
    let answer = page.hear("answer").await;
    browser
        .take_answer(answer["sdp"].as_str().expect("SDP"))
        .await;
    page.hear("ringing").await;
    browser.connected().await;

    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.answer(telephone.describe("sendrecv")).await;
    page.hear("answered").await;
    leg.confirmed().await;
    telephone.speak_to(leg.gateway_rtp());

    browser.send_tone(440.0);
    telephone.send_tone(1_004.0);
    let at_pbx = telephone.recorder.hears(440.0).await;
    let at_page = browser.recorder.hears(1_004.0).await;
    println!("PBX hears {at_pbx:?}, page hears {at_page:?}");
    assert_eq!(telephone.recorder.payload_types(), [0]);
    assert_eq!(browser.recorder.payload_types(), [111]);

    page.hang_up("c1").await;
    page.hear_end("hangup-local").await;
    let over = leg.over().await;
    assert!(
        matches!(
            over,
            sip::Event::Ended {
                why: sip::EndedBy::Bye,
                ..
            }
        ),
        "{over:?}"
    );
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pbx_hangs_up() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.leg.hang_up().await;
    talk.page.hear_end("hangup-remote").await;
    // The name is free again, and nothing is left to end.
    talk.page.hang_up("c1").await;
    let error = talk.page.hear_error("unknown-call").await;
    assert_eq!(error["call"], "c1");
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_that_vanishes_hangs_up() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    let mut leg = talk.leg;
    drop(talk.page);
    let over = leg.over().await;
    assert!(
        matches!(
            over,
            sip::Event::Ended {
                why: sip::EndedBy::Bye,
                ..
            }
        ),
        "{over:?}"
    );
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_browser_that_closes_its_connection_hangs_up() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.browser.close().await;
    talk.page.hear_end("hangup-local").await;
    talk.leg.over().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_codec_is_passed_through_where_the_trunk_wants_it() {
    let mut setup = Setup::with(|settings| settings.trunk[0].audio.passthrough = true).await;
    let talk = setup.call_out(Coding::Pcmu).await;
    talk.sounds().await;
    assert_eq!(talk.telephone.recorder.payload_types(), [0]);
    assert_eq!(talk.browser.recorder.payload_types(), [0]);
    talk.end().await;
    setup.pbx.hears_of_nothing(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lite_gateway_behind_nat_says_so_and_is_found() {
    let mut setup = Setup::with(|settings| {
        settings.webrtc.lite = true;
        // 1:1 NAT in front: on loopback every address of 127/8 leads here.
        settings.webrtc.addresses = vec!["0.0.0.0".parse().expect("an address")];
        settings.webrtc.advertise = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let mut leg = setup.pbx.called().await;
    let answer = page.hear("answer").await;
    let answer = answer["sdp"].as_str().expect("SDP");
    assert!(answer.contains("a=ice-lite\r\n"), "{answer}");
    assert!(!answer.contains("0.0.0.0 "), "{answer}");
    browser.take_answer(answer).await;
    browser.connected().await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.answer(telephone.describe("sendrecv")).await;
    leg.confirmed().await;
    telephone.speak_to(leg.gateway_rtp());
    page.hear("answered").await;
    browser.send_tone(440.0);
    telephone.send_tone(1_004.0);
    telephone.recorder.hears(440.0).await;
    browser.recorder.hears(1_004.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sip_over_tcp_carries_calls_both_ways() {
    let mut setup = Setup::over(sip::Transport::Tcp, |_| {}).await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.end().await;

    setup.is_called("bob").await;
}
