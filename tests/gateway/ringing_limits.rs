//! Calls that ring at one client are bounded, do not keep it from calling, and find it when other
//! connections of the user are dead.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline::sip;

use crate::browser::Browser;
use crate::page::Page;
use crate::pbx::{Leg, Telephone};
use crate::setup::Setup;
use crate::sound::Coding;

const LIMITED: &str = "trunkline_ringing_limited_total";

async fn call(setup: &Setup) -> Leg {
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let offer = telephone.describe("sendrecv");
    setup.pbx.call("alice", offer).await
}

async fn rings(page: &mut Page, leg: &mut Leg) -> Value {
    let incoming = page.hear("incoming").await;
    let event = leg.event().await;
    assert!(
        matches!(event, sip::Event::Progress { status: 180, .. }),
        "{event:?}"
    );
    incoming
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ringing_calls_beyond_the_limit_get_486_and_leave_room_to_call() {
    let mut setup = Setup::with(|settings| {
        settings.calls.max_ringing_per_client = 2;
        settings.calls.max_per_connection = 1;
    })
    .await;
    let mut page = setup.page("alice").await;
    let mut first = call(&setup).await;
    let incoming = rings(&mut page, &mut first).await;
    let mut second = call(&setup).await;
    rings(&mut page, &mut second).await;
    let before = setup.counter(LIMITED, &[]).await;
    assert_eq!(call(&setup).await.refused().await, 486);
    setup.counted(LIMITED, &[], before, 1.0).await;

    // What rings is not a call that the page makes.
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    page.call("c1", "600", &offer).await;
    page.hear("answer").await;
    let leg = setup.pbx.called().await;
    page.call("c2", "600", &offer).await;
    page.hear_error("too-many-calls").await;
    leg.refuse(486).await;
    page.hear_end("busy").await;

    // A caller who gives up leaves the place to the next.
    second.hang_up().await;
    page.hear_end("cancelled").await;
    let mut third = call(&setup).await;
    rings(&mut page, &mut third).await;

    // An answered call rings no more; with as many as are allowed no further one rings.
    third.hang_up().await;
    page.hear_end("cancelled").await;
    let sdp = incoming["sdp"].as_str().expect("SDP");
    let mut called = Browser::new(Coding::Opus).await;
    let answer = called.answer(sdp).await;
    page.say(json!({"type": "accept", "call": incoming["call"], "sdp": answer}))
        .await;
    page.hear("answered").await;
    first.answered().await;
    assert_eq!(call(&setup).await.refused().await, 486);
    first.hang_up().await;
    page.hear_end("hangup-remote").await;
    let mut last = call(&setup).await;
    rings(&mut page, &mut last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_rings_at_the_connections_with_room() {
    let setup = Setup::with(|settings| settings.calls.max_ringing_per_client = 1).await;
    let mut old = setup.page("alice").await;
    let mut first = call(&setup).await;
    rings(&mut old, &mut first).await;
    let mut new = setup.page("alice").await;
    let mut second = call(&setup).await;
    rings(&mut new, &mut second).await;
    old.hear_nothing(Duration::from_millis(300)).await;
    assert_eq!(call(&setup).await.refused().await, 486);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seventeenth_connection_rings_once_dead_ones_are_found() {
    let setup = Setup::start().await;
    let mut alive = setup.page("alice").await;
    let mut dead = Vec::new();
    for _ in 0..16 {
        // They are open and never read: no ping is answered.
        dead.push(setup.page("alice").await);
    }
    // Those heard within 2 s are not pinged.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let mut leg = call(&setup).await;
    let event = leg.event().await;
    assert!(
        matches!(event, sip::Event::Progress { status: 180, .. }),
        "{event:?}"
    );
    // It answers its ping while it waits.
    alive.hear("incoming").await;
    leg.hang_up().await;
    alive.hear_end("cancelled").await;
    drop(dead);
}
