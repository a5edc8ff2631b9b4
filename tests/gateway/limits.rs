//! A full gateway refuses with `overload`, and works again when calls have ended.

use std::time::Instant;

use crate::browser::Browser;
use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::{Coding, GLANCE, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_port_pool_refuses_and_recovers() {
    let mut setup = Setup::with(|settings| {
        let first: u16 = settings.media.rtp_ports[..5].parse().expect("a port");
        // One pair.
        settings.media.rtp_ports = format!("{first}-{}", first + 1);
    })
    .await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;

    let mut second = setup.page("bob").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    second.call("c1", "600", &offer).await;
    second.hear_end("overload").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let called = telephone.describe("sendrecv");
    let mut leg = setup.pbx.call("bob", called).await;
    assert_eq!(leg.refused().await, 503);

    // The first call is none the worse; when it has ended its ports serve the next.
    talk.sounds().await;
    talk.end().await;
    let deadline = Instant::now() + PATIENCE;
    let mut tries = 0;
    loop {
        tries += 1;
        let call = format!("again-{tries}");
        second.call(&call, "600", &offer).await;
        // Ports rest for two seconds between calls.
        let next = second.next().await;
        if next["type"] == "answer" {
            break;
        }
        assert_eq!(next["reason"], "overload", "{next}");
        assert!(Instant::now() < deadline, "ports do not come back");
        tokio::time::sleep(GLANCE * 10).await;
    }
    assert!(tries > 1, "ports rest before they are used again");
    let leg = setup.pbx.called().await;
    leg.refuse(486).await;
    second.hear_end("busy").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_calls_than_configured() {
    let mut setup = Setup::with(|settings| {
        settings.calls.max = 2;
        settings.calls.max_per_connection = 2;
    })
    .await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    let mut legs = Vec::new();
    for call in ["c1", "c2"] {
        page.call(call, "600", &offer).await;
        page.hear("answer").await;
        legs.push(setup.pbx.called().await);
    }
    page.call("c3", "600", &offer).await;
    let error = page.hear_error("too-many-calls").await;
    assert_eq!(error["call"], "c3");
    let mut other = setup.page("bob").await;
    other.call("c1", "600", &offer).await;
    other.hear_end("overload").await;

    page.hang_up("c1").await;
    page.hear_end("cancelled").await;
    setup.has_calls(1).await;
    other.call("c1", "600", &offer).await;
    other.hear("answer").await;
}
