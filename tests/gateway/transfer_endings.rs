//! Calls that end while a transfer of theirs is under way: what their reasons say, and what those
//! hear who wait for the transfer.

use serde_json::json;
use trunkline::sip;

use crate::page::Page;
use crate::pbx::{Leg, Telephone};
use crate::setup::{Setup, Talk};
use crate::sound::Coding;
use crate::transfer::{outcome, refer, second_call};

/// The page has asked the PBX to join the far ends of its calls `c1` and `c2`, and waits.
async fn joining(setup: &mut Setup, talk: &mut Talk) -> Leg {
    let (second, _) = second_call(setup, talk).await;
    talk.page
        .say(json!({"type": "transfer", "call": "c1", "replaces": "c2"}))
        .await;
    let asked = talk.leg.event().await;
    assert!(matches!(asked, sip::Event::Referred(_)), "{asked:?}");
    talk.page.hear("transferring").await;
    second
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_the_page_hangs_up_gives_nothing_away() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    let second = joining(&mut setup, &mut talk).await;
    talk.page.hang_up("c1").await;
    let ended = talk.page.hear_end("hangup-local").await;
    assert_eq!(ended["call"], "c1");
    talk.leg.over().await;
    second.hang_up().await;
    let ended = talk.page.hear_end("hangup-remote").await;
    assert_eq!(ended["call"], "c2");
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_other_end_the_page_hangs_up_is_not_transferred() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    let mut second = joining(&mut setup, &mut talk).await;
    talk.page.hang_up("c2").await;
    // No browser has connected to this call.
    let ended = talk.page.hear_end("ice-failed").await;
    assert_eq!(ended["call"], "c2");
    second.over().await;
    talk.leg.hang_up().await;
    // So this PBX says that it has not begun.
    let failed = talk.page.hear("transfer-failed").await;
    assert_eq!(failed["status"], 487);
    let ended = talk.page.hear_end("hangup-remote").await;
    assert_eq!(ended["call"], "c1");
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_the_pbx_takes_away_before_it_says_how_the_transfer_went_is_transferred() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    let second = joining(&mut setup, &mut talk).await;
    second.hang_up().await;
    let ended = talk.page.hear_end("transferred").await;
    assert_eq!(ended["call"], "c2");
    talk.leg.report(200, true).await;
    let ended = talk.page.hear_end("transferred").await;
    assert_eq!(ended["call"], "c1");
    setup.has_calls(0).await;
}

/// How far the call is that the PBX has asked for when everything ends.
#[derive(Clone, Copy, Debug)]
enum NewCall {
    /// Its INVITE is out.
    Called,
    Ringing,
    /// It is answered in this moment.
    Answered,
}

/// Who ends the page's call meanwhile.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Page,
    Connection,
    Browser,
    Gateway,
}

impl Ending {
    const fn reason(self) -> &'static str {
        match self {
            Ending::Page | Ending::Browser => "hangup-local",
            Ending::Connection => "signaling-lost",
            Ending::Gateway => "shutdown",
        }
    }
}

/// Ends a call while the PBX's transfer of it is under way, and looks at both legs.
async fn ends(new_call: NewCall, ending: Ending) {
    let context = format!("{new_call:?}, {ending:?}");
    let mut setup = Setup::start().await;
    let Talk {
        mut page,
        browser,
        leg: mut referrer,
        telephone: _telephone,
    } = setup.call_out(Coding::Opus).await;
    refer(&referrer, "700").await;
    let mut leg = setup.pbx.called().await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    match new_call {
        NewCall::Called => {}
        NewCall::Ringing => leg.ring().await,
        NewCall::Answered => leg.answer(telephone.describe("sendrecv")).await,
    }
    let reason = [("direction", "outgoing"), ("reason", ending.reason())];
    let before = setup.counter("trunkline_calls_total", &reason).await;
    let mut keeps: Option<Page> = None;
    match ending {
        Ending::Page => {
            page.hang_up("c1").await;
            keeps = Some(page);
        }
        Ending::Connection => drop(page),
        Ending::Browser => {
            keeps = Some(page);
            browser.close().await;
        }
        Ending::Gateway => {
            let Setup { gateway, pbx, .. } = setup;
            gateway.stop().await;
            both_hear(new_call, &mut referrer, &mut leg, &context).await;
            drop(pbx);
            return;
        }
    }
    both_hear(new_call, &mut referrer, &mut leg, &context).await;
    setup.has_calls(0).await;
    setup
        .counted("trunkline_calls_total", &reason, before, 1.0)
        .await;
    drop(keeps);
}

async fn both_hear(new_call: NewCall, referrer: &mut Leg, leg: &mut Leg, context: &str) {
    let told = outcome(referrer).await;
    match new_call {
        // Whichever came first.
        NewCall::Answered => assert!(matches!(told, 200 | 487), "{context}: {told}"),
        NewCall::Called | NewCall::Ringing => assert_eq!(told, 487, "{context}"),
    }
    referrer.over().await;
    let over = leg.over().await;
    match new_call {
        NewCall::Answered => assert!(matches!(over, sip::Event::Ended { .. }), "{over:?}"),
        NewCall::Called | NewCall::Ringing => assert_eq!(over, sip::Event::Cancelled, "{context}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_hangs_up_in_a_transfer_of_the_pbx_leaves_nobody_waiting() {
    for new_call in [NewCall::Called, NewCall::Ringing, NewCall::Answered] {
        ends(new_call, Ending::Page).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_lost_in_a_transfer_of_the_pbx_leaves_nobody_waiting() {
    for new_call in [NewCall::Called, NewCall::Ringing, NewCall::Answered] {
        ends(new_call, Ending::Connection).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_closes_in_a_transfer_of_the_pbx_leaves_nobody_waiting() {
    for new_call in [NewCall::Called, NewCall::Ringing, NewCall::Answered] {
        ends(new_call, Ending::Browser).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_in_a_transfer_of_the_pbx_leaves_nobody_waiting() {
    for new_call in [NewCall::Called, NewCall::Ringing, NewCall::Answered] {
        ends(new_call, Ending::Gateway).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_waits_for_the_new_party_alone_and_hangs_up_cancels_it() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    refer(&talk.leg, "700").await;
    let mut leg = setup.pbx.called().await;
    leg.ring().await;
    talk.leg.hang_up().await;
    talk.leg.over().await;
    talk.page.hang_up("c1").await;
    talk.page.hear_end("hangup-local").await;
    assert_eq!(leg.over().await, sip::Event::Cancelled);
    setup.has_calls(0).await;
}
