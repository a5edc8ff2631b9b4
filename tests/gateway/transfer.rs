//! Transfers: the PBX sends a call on, another party takes it over, a page gives it away. The
//! browser's side stays; whom it hears is told by the tone.

use std::time::Duration;

use serde_json::json;
use trunkline::sip;

use crate::browser::Browser;
use crate::pbx::{Leg, Telephone};
use crate::setup::{Setup, Talk};
use crate::sound::Coding;

pub async fn refer(leg: &Leg, number: &str) {
    let to_user = number.to_owned();
    let replaces = None;
    leg.command(sip::Command::Refer { to_user, replaces }).await;
}

/// A second call of the same page, `c2`, that the PBX has answered.
pub async fn second_call(setup: &mut Setup, talk: &mut Talk) -> (Leg, Browser) {
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    talk.page.call("c2", "601", &offer).await;
    let mut leg = setup.pbx.called().await;
    talk.page.hear("answer").await;
    // What is not answered is nobody's to replace.
    talk.page
        .say(json!({"type": "transfer", "call": "c1", "replaces": "c2"}))
        .await;
    talk.page.hear_error("bad-state").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.answer(telephone.describe("sendrecv")).await;
    leg.confirmed().await;
    talk.page.hear("answered").await;
    (leg, browser)
}

/// The next news of a transfer that this leg asked for, passing 1xx by.
pub async fn outcome(leg: &mut Leg) -> u16 {
    loop {
        match leg.event().await {
            sip::Event::TransferProgress { last: false, .. } => {}
            sip::Event::TransferProgress { status, last: true } => return status,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pbx_sends_a_call_on_and_the_page_hears_the_new_party() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    refer(&talk.leg, "700").await;
    let mut leg = setup.pbx.called().await;
    assert_eq!((leg.called.as_str(), leg.caller.as_str()), ("700", "alice"));
    assert!(
        leg.header("Referred-By").contains("600@"),
        "{:?}",
        leg.headers
    );
    // Until the new party answers, the old one is heard.
    leg.ring().await;
    talk.telephone.send_tone(660.0);
    talk.browser.recorder.hears(660.0).await;

    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.answer(telephone.describe("sendrecv")).await;
    leg.confirmed().await;
    assert_eq!(outcome(&mut talk.leg).await, 200);
    let transferred = talk.page.hear("transferred").await;
    assert_eq!(transferred["to"], "700");
    talk.leg.over().await;
    telephone.speak_to(leg.gateway_rtp());
    telephone.send_tone(1_320.0);
    talk.browser.recorder.hears(1_320.0).await;
    telephone.recorder.hears(440.0).await;

    assert_eq!(setup.open_calls().await, 1);
    talk.page.hang_up("c1").await;
    talk.page.hear_end("hangup-local").await;
    leg.over().await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_fails_leaves_the_old_call_as_it_was() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    refer(&talk.leg, "700").await;
    let leg = setup.pbx.called().await;
    leg.refuse(486).await;
    assert_eq!(outcome(&mut talk.leg).await, 486);
    talk.sounds().await;
    talk.end().await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pbx_that_leaves_before_the_new_party_answers_is_not_missed() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    refer(&talk.leg, "700").await;
    let mut leg = setup.pbx.called().await;
    talk.leg.hang_up().await;
    talk.leg.over().await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.answer(telephone.describe("sendrecv")).await;
    leg.confirmed().await;
    talk.page.hear("transferred").await;
    telephone.speak_to(leg.gateway_rtp());
    telephone.send_tone(1_320.0);
    talk.browser.recorder.hears(1_320.0).await;
    leg.hang_up().await;
    talk.page.hear_end("hangup-remote").await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_hangs_up_in_a_transfer_ends_both_legs() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    refer(&talk.leg, "700").await;
    let mut leg = setup.pbx.called().await;
    leg.ring().await;
    talk.page.hang_up("c1").await;
    talk.page.hear_end("hangup-local").await;
    talk.leg.over().await;
    assert_eq!(leg.over().await, sip::Event::Cancelled);
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_may_be_denied_transfers() {
    let mut setup = Setup::with(|settings| settings.trunk[0].dialogs.transfer = false).await;
    let mut talk = setup.call_out(Coding::Opus).await;
    refer(&talk.leg, "700").await;
    assert_eq!(outcome(&mut talk.leg).await, 603);
    setup.pbx.hears_of_nothing(Duration::from_millis(200)).await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_party_takes_the_call_over_by_replacing_it() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    // A second call is offered the first one's place: so the PBX learns how the first is named.
    let (mut other, _other_browser) = second_call(&mut setup, &mut talk).await;
    talk.page
        .say(json!({"type": "transfer", "call": "c2", "replaces": "c1"}))
        .await;
    let sip::Event::Referred(referral) = other.event().await else {
        panic!("a REFER was expected");
    };
    talk.page.hear("transferring").await;
    let named = referral.replaces.expect("a dialog");
    // What the PBX calls the far tag is the near one to us.
    let replaces = named
        .replace("to-tag", "x-tag")
        .replace("from-tag", "to-tag")
        .replace("x-tag", "from-tag");
    let mut telephone = Telephone::new(Coding::Pcma).await;
    let offer = telephone.describe("sendrecv");
    let headers = [("Replaces", replaces.as_str()), ("Require", "replaces")];
    let mut leg = setup.pbx.call_with("alice", offer, &headers).await;
    leg.answered().await;
    let transferred = talk.page.hear("transferred").await;
    assert_eq!(transferred["to"], "4930123");
    talk.leg.over().await;
    telephone.speak_to(leg.gateway_rtp());
    telephone.send_tone(1_320.0);
    talk.browser.recorder.hears(1_320.0).await;
    telephone.recorder.hears(440.0).await;
    other.report(200, true).await;
    assert_eq!(talk.page.hear_end("transferred").await["call"], "c2");
    leg.hang_up().await;
    talk.page.hear_end("hangup-remote").await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_gives_its_call_away_to_a_number() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    let transfer = json!({"type": "transfer", "call": "c1", "to": "700"});
    talk.page.say(transfer.clone()).await;
    let sip::Event::Referred(referral) = talk.leg.event().await else {
        panic!("a REFER was expected");
    };
    assert_eq!(referral.user, "700");
    talk.page.hear("transferring").await;
    talk.leg.report(180, false).await;
    assert_eq!(talk.page.hear("transferring").await["status"], 180);
    talk.leg.report(486, true).await;
    assert_eq!(talk.page.hear("transfer-failed").await["status"], 486);
    talk.sounds().await;

    talk.page.say(transfer).await;
    talk.leg.event().await;
    talk.page.hear("transferring").await;
    talk.leg.report(200, true).await;
    talk.page.hear_end("transferred").await;
    talk.leg.over().await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_joins_the_far_ends_of_its_two_calls() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    let (second, _browser) = second_call(&mut setup, &mut talk).await;
    let join = json!({"type": "transfer", "call": "c1", "replaces": "c2"});
    talk.page.say(join).await;
    let sip::Event::Referred(referral) = talk.leg.event().await else {
        panic!("a REFER was expected");
    };
    let named = referral.replaces.expect("a dialog");
    let from_tag = second.header("From").split("tag=").nth(1);
    assert!(
        named.starts_with(&format!("{};to-tag=", second.call_id)),
        "{named}"
    );
    assert!(
        named.ends_with(&format!(";from-tag={}", from_tag.expect("a tag"))),
        "{named}"
    );
    talk.page.hear("transferring").await;
    talk.leg.report(200, true).await;
    let ended = talk.page.hear_end("transferred").await;
    assert_eq!(ended["call"], "c1");
    second.hang_up().await;
    talk.page.hear_end("transferred").await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_makes_no_sense_is_refused() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    for (fields, code) in [
        (json!({}), "bad-message"),
        (json!({"to": "1", "replaces": "c2"}), "bad-message"),
        (json!({"replaces": "c1"}), "bad-message"),
        (json!({"replaces": "c2"}), "unknown-call"),
        (json!({"to": "no such number"}), "not-found"),
    ] {
        let mut transfer = json!({"type": "transfer", "call": "c1"});
        for (name, value) in fields.as_object().expect("fields") {
            transfer[name] = value.clone();
        }
        talk.page.say(transfer).await;
        talk.page.hear_error(code).await;
    }
    talk.end().await;
}
