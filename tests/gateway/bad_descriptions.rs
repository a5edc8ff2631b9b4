//! Offers and answers that cannot be used, and a certificate that is not the one described.

use std::time::Duration;

use serde_json::json;

use crate::browser::Browser;
use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::Coding;

/// The description without the lines that begin so.
fn without(description: &str, beginning: &str) -> String {
    description
        .lines()
        .filter(|line| !line.starts_with(beginning))
        .map(|line| format!("{line}\r\n"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_that_cannot_be_used_end_their_call() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();

    let mut page = setup.page("mallory").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let good = browser.offer().await;
    let video = good.replace("m=audio", "m=video");
    let cases = [
        ("empty", String::new(), "bad-offer"),
        ("noise", "\u{1}\u{2}v=0".to_owned(), "bad-offer"),
        (
            "no-fingerprint",
            without(&good, "a=fingerprint"),
            "bad-offer",
        ),
        ("no-ufrag", without(&good, "a=ice-ufrag"), "bad-offer"),
        ("no-audio", video, "bad-offer"),
        (
            "no-section",
            good.split("m=audio").next().expect("a head").to_owned(),
            "bad-offer",
        ),
        ("no-mux", without(&good, "a=rtcp-mux"), "bad-offer"),
        (
            "codec",
            good.replace("opus/48000/2", "speex/48000/2"),
            "no-common-codec",
        ),
    ];
    let counted = [("direction", "outgoing"), ("reason", "bad-offer")];
    let before = setup.counter("trunkline_calls_total", &counted).await;
    for (call, offer, reason) in &cases {
        page.call(call, "600", offer).await;
        let error = page.hear_error("bad-offer").await;
        assert_eq!((&error["call"], call), (&json!(call), call), "{error}");
        let ended = page.hear("ended").await;
        assert_eq!(ended["reason"], *reason, "{call}: {ended}");
    }
    setup.pbx.hears_of_nothing(Duration::from_millis(100)).await;
    setup
        .counted("trunkline_calls_total", &counted, before, 7.0)
        .await;
    setup.has_calls(1).await;
    talk.was_undisturbed().await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_fingerprint_fails_the_handshake() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();

    let mut page = setup.page("mallory").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    let at = offer.find("a=fingerprint:sha-256 ").expect("one") + 22;
    let mut wrong = offer.clone();
    let digit = if &offer[at..=at] == "0" { "1" } else { "0" };
    wrong.replace_range(at..=at, digit);
    page.call("c1", "600", &wrong).await;
    let mut leg = setup.pbx.called().await;
    leg.ring().await;
    let answer = page.hear("answer").await;
    let answer = answer["sdp"].as_str().expect("SDP");
    page.hear("ringing").await;
    browser.take_answer(answer).await;
    page.hear_end("dtls-failed").await;
    leg.over().await;
    setup.has_calls(1).await;
    talk.was_undisturbed().await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_never_comes_is_given_up() {
    let mut setup = Setup::with(|settings| settings.calls.connect_timeout = 1).await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let mut leg = setup.pbx.called().await;
    page.hear("answer").await;
    page.hear_end("ice-failed").await;
    leg.over().await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_cannot_be_used_refuses_the_caller() {
    let setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    for spoil in ["a=fingerprint", "a=ice-pwd", "m=audio"] {
        let offer = telephone.describe("sendrecv");
        let mut leg = setup.pbx.call("alice", offer).await;
        let incoming = page.hear("incoming").await;
        let mut browser = Browser::new(Coding::Opus).await;
        let answer = browser.answer(incoming["sdp"].as_str().expect("SDP")).await;
        let answer = without(&answer, spoil);
        page.say(json!({"type": "accept", "call": incoming["call"], "sdp": answer}))
            .await;
        page.hear_error("bad-answer").await;
        page.hear_end("bad-answer").await;
        assert_eq!(leg.refused().await, 488, "without {spoil}");
    }
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pbx_whose_offer_cannot_be_used_is_refused_and_no_page_rings() {
    let setup =
        Setup::with(|settings| settings.trunk[0].audio.codecs = vec!["PCMU".to_owned()]).await;
    let mut page = setup.page("alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let good = telephone.describe("sendrecv");
    for (bad, reason) in [
        ("v=0\r\nnonsense".to_owned(), "bad-pbx-description"),
        (good.replace("m=audio", "m=image"), "bad-pbx-description"),
        (
            good.replace("IN IP4 127.0.0.1\r\nt=", "IN IP7 127.0.0.1\r\nt="),
            "bad-pbx-description",
        ),
        (good.replace("RTP/AVP 0 ", "RTP/AVP 8 "), "no-common-codec"),
        (good.replace("RTP/AVP 0 ", "RTP/AVP 18 "), "no-common-codec"),
    ] {
        let labels = [("direction", "incoming"), ("reason", reason)];
        let before = setup.counter("trunkline_calls_total", &labels).await;
        let mut leg = setup.pbx.call("alice", bad.clone()).await;
        assert_eq!(leg.refused().await, 488, "{bad}");
        setup
            .counted("trunkline_calls_total", &labels, before, 1.0)
            .await;
    }
    page.hear_nothing(Duration::from_millis(200)).await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_codecs_are_not_allowed_rings_nobody() {
    let mut setup = Setup::with(|settings| {
        settings.webrtc.codecs = vec!["PCMA".to_owned()];
        settings.trunk[0].audio.passthrough = true;
    })
    .await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    page.hear_error("bad-offer").await;
    page.hear_end("no-common-codec").await;
    setup.pbx.hears_of_nothing(Duration::from_millis(100)).await;
    setup.has_calls(0).await;
}
