//! The PBX calls a page: accepted, refused, unanswered, and with two pages of one user.

use serde_json::json;
use trunkline::sip;

use crate::browser::Browser;
use crate::page::Page;
use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::Coding;

async fn accept(page: &mut Page, browser: &mut Browser, incoming: &serde_json::Value) {
    let offer = incoming["sdp"].as_str().expect("SDP");
    let answer = browser.answer(offer).await;
    page.say(json!({"type": "accept", "call": incoming["call"], "sdp": answer}))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_accepts_and_both_hear_each_other() {
    let setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut leg = setup
        .pbx
        .call("alice", telephone.describe("sendrecv"))
        .await;

    let incoming = page.hear("incoming").await;
    assert_eq!(
        incoming["from"],
        json!({"number": "4930123", "name": "Ada"})
    );
    assert_eq!(incoming["to"], "alice");
    let event = leg.event().await;
    assert!(
        matches!(event, sip::Event::Progress { status: 180, .. }),
        "{event:?}"
    );
    let mut browser = Browser::new(Coding::Opus).await;
    accept(&mut page, &mut browser, &incoming).await;
    page.hear("answered").await;
    leg.answered().await;
    telephone.speak_to(leg.gateway_rtp());

    browser.send_tone(440.0);
    telephone.send_tone(1_004.0);
    telephone.recorder.hears(440.0).await;
    browser.recorder.hears(1_004.0).await;

    leg.hang_up().await;
    page.hear_end("hangup-remote").await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_refuses_as_busy_or_declined() {
    let setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    for (reason, status, end) in [
        (json!("busy"), 486, "busy"),
        (json!("declined"), 603, "declined"),
        (json!(null), 603, "declined"),
    ] {
        let offer = telephone.describe("sendrecv");
        let mut leg = setup.pbx.call("alice", offer).await;
        let incoming = page.hear("incoming").await;
        let call = incoming["call"].clone();
        page.say(json!({"type": "reject", "call": call, "reason": reason}))
            .await;
        assert_eq!(leg.refused().await, status);
        page.hear_end(end).await;
    }
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_two_pages_to_accept_has_the_call() {
    let setup = Setup::start().await;
    let mut first = setup.page("alice").await;
    let mut second = setup.page("alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let offer = telephone.describe("sendrecv");
    let mut leg = setup.pbx.call("alice", offer).await;
    let incoming = first.hear("incoming").await;
    let also = second.hear("incoming").await;
    assert_eq!(incoming["call"], also["call"]);

    let mut browser = Browser::new(Coding::Opus).await;
    accept(&mut second, &mut browser, &also).await;
    second.hear("answered").await;
    first.hear_end("answered-elsewhere").await;
    leg.answered().await;
    telephone.speak_to(leg.gateway_rtp());
    telephone.send_tone(1_004.0);
    browser.recorder.hears(1_004.0).await;

    // Too late: the call is not this page's any more.
    first
        .say(json!({"type": "hangup", "call": incoming["call"]}))
        .await;
    first.hear_error("unknown-call").await;
    second
        .say(json!({"type": "hangup", "call": also["call"]}))
        .await;
    second.hear_end("hangup-local").await;
    leg.over().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_page_that_leaves_lets_the_other_ring_on_and_the_last_one_ends_it() {
    let setup = Setup::start().await;
    let mut first = setup.page("alice").await;
    let mut second = setup.page("alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let offer = telephone.describe("sendrecv");
    let mut leg = setup.pbx.call("alice", offer).await;
    first.hear("incoming").await;
    second.hear("incoming").await;
    drop(first);
    second.say(json!({"type": "ping"})).await;
    second.hear("pong").await;
    assert_eq!(setup.open_calls().await, 1);
    drop(second);
    assert_eq!(leg.refused().await, 480);
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_caller_gives_up() {
    let setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let offer = telephone.describe("sendrecv");
    let mut leg = setup.pbx.call("alice", offer).await;
    page.hear("incoming").await;
    // A CANCEL waits for a provisional answer (RFC 3261 section 9.1).
    leg.event().await;
    leg.hang_up().await;
    page.hear_end("cancelled").await;
    leg.over().await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_answers_in_time() {
    let setup = Setup::with(|settings| settings.calls.ring_timeout = 1).await;
    let mut page = setup.page("alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let offer = telephone.describe("sendrecv");
    let mut leg = setup.pbx.call("alice", offer).await;
    page.hear("incoming").await;
    page.hear_end("no-answer").await;
    assert_eq!(leg.refused().await, 480);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_a_page_is_unavailable_and_an_unknown_one_is_not_found() {
    let setup = Setup::with(|settings| {
        settings.user = vec![crate::sign_in::user("bob", "secret")];
    })
    .await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    for (user, status) in [("bob", 480), ("nobody", 404)] {
        let offer = telephone.describe("sendrecv");
        let mut leg = setup.pbx.call(user, offer).await;
        assert_eq!(leg.refused().await, status, "{user}");
    }
}
