//! What ends a call takes effect however much else of the call waits.

use serde_json::json;
use trunkline::sip;

use crate::browser::Browser;
use crate::page::Page;
use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::Coding;

/// More than a call's queue holds, less than a client may say at once.
const BURST: usize = 95;

async fn burst(page: &mut Page, call: &str) {
    let candidate = "candidate:1 1 udp 2130706431 192.0.2.1 9 typ host";
    for _ in 0..BURST {
        let candidate = json!({"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0});
        page.say(json!({"type": "candidate", "call": call, "candidate": candidate}))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hangup_behind_a_burst_cancels_a_call_that_rings() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    page.call("c1", "600", &offer).await;
    let mut leg = setup.pbx.called().await;
    burst(&mut page, "c1").await;
    page.hang_up("c1").await;
    page.hear("answer").await;
    page.hear_end("cancelled").await;
    let over = leg.over().await;
    assert!(matches!(over, sip::Event::Cancelled), "{over:?}");
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hangup_behind_a_burst_ends_an_answered_call() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    burst(&mut talk.page, "c1").await;
    talk.page.hang_up("c1").await;
    talk.page.hear_end("hangup-local").await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reject_behind_a_burst_refuses_the_call() {
    let setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut leg = setup
        .pbx
        .call("alice", telephone.describe("sendrecv"))
        .await;
    let incoming = page.hear("incoming").await;
    let call = incoming["call"].as_str().expect("a name").to_owned();
    burst(&mut page, &call).await;
    page.say(json!({"type": "reject", "call": call})).await;
    assert_eq!(leg.refused().await, 603);
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_goes_behind_a_burst_leaves_no_phone_ringing() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    page.call("c1", "600", &offer).await;
    let mut leg = setup.pbx.called().await;
    burst(&mut page, "c1").await;
    drop(page);
    let over = leg.over().await;
    assert!(matches!(over, sip::Event::Cancelled), "{over:?}");
    setup.has_calls(0).await;
}
