//! Stopping: no new calls, the old ones go on until the deadline, everybody is told.

use std::time::{Duration, Instant};

use serde_json::json;
use trunkline::sip;

use crate::browser::Browser;
use crate::page::Page;
use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::Coding;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_gateway_refuses_new_calls_and_ends_the_old_at_the_deadline() {
    let mut setup = Setup::with(|settings| settings.calls.drain_timeout = 3).await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    let began = Instant::now();
    let mut draining = Box::pin(setup.gateway.drain());
    let meanwhile = async {
        crate::sound::until_async("draining begins", async || {
            setup.get("/health").await.contains("draining")
        })
        .await;
        let announced = talk.page.hear("draining").await;
        assert_eq!(announced["seconds"], 3);
        let mut browser = Browser::new(Coding::Opus).await;
        let offer = browser.offer().await;
        talk.page.call("c2", "600", &offer).await;
        talk.page.hear_end("shutdown").await;
        let mut telephone = Telephone::new(Coding::Pcmu).await;
        let called = telephone.describe("sendrecv");
        let mut leg = setup.pbx.call("alice", called).await;
        assert_eq!(leg.refused().await, 503);
        let refused = tokio_tungstenite::connect_async(format!("ws://{}/rtc", setup.http)).await;
        let refused = refused.expect_err("no new page").to_string();
        assert!(refused.contains("503"), "{refused}");
        // The call that is there goes on.
        talk.sounds().await;
        std::future::pending::<()>().await
    };
    tokio::select! {
        () = &mut draining => {}
        () = meanwhile => {}
    }
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert_eq!(setup.open_calls().await, 1);

    drop(draining);
    setup.gateway.stop().await;
    talk.page.hear_end("shutdown").await;
    let over = talk.leg.over().await;
    assert!(matches!(over, sip::Event::Ended { .. }), "{over:?}");
    talk.page.hear_goodbye("shutdown").await;
    crate::sound::until_async("the door is closed", async || {
        tokio::net::TcpStream::connect(setup.http).await.is_err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_is_over_when_the_last_call_is() {
    let mut setup = Setup::with(|settings| settings.calls.drain_timeout = 600).await;
    let mut talk = setup.call_out(Coding::Opus).await;
    let mut idle: Page = setup.page("bob").await;
    let mut draining = Box::pin(setup.gateway.drain());
    let hangs_up = async {
        talk.page.hear("draining").await;
        talk.page.say(json!({"type": "hangup", "call": "c1"})).await;
        talk.page.hear_end("hangup-local").await;
        std::future::pending::<()>().await
    };
    let drained = async {
        tokio::select! {
            () = &mut draining => {}
            () = hangs_up => {}
        }
    };
    tokio::time::timeout(crate::sound::PATIENCE, drained)
        .await
        .expect("no need to wait for the deadline");
    drop(draining);
    setup.gateway.stop().await;
    assert_eq!(idle.hear("draining").await["seconds"], 600);
    idle.hear_goodbye("shutdown").await;
}
