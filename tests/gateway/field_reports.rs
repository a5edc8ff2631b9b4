//! What PBXs in the field were reported to do, seen from the page: nothing at all, early media that
//! never comes, answers on hold, calls that die silently.

use serde_json::Value;
use tokio::net::UdpSocket;
use trunkline::sip;

use crate::browser::Browser;
use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::{Coding, until_async};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_trunk_ends_the_call_soon_and_is_reported() {
    let hole = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let target = format!(
        "sip:{};transport=udp",
        hole.local_addr().expect("its address")
    );
    let setup = Setup::with(|settings| {
        settings.trunk[0].addressing.target.clone_from(&target);
        settings.trunk[0].addressing.try_timeout = 1;
    })
    .await;
    let health =
        async || -> Value { serde_json::from_str(&setup.get("/health").await).expect("JSON") };
    assert_eq!(health().await["targets"]["pbx"][&target], "up");
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    page.hear("answer").await;
    page.hear_end("trunk-unreachable").await;
    until_async("the target is down", async || {
        health().await["targets"]["pbx"][&target] == "down"
    })
    .await;
    let line = format!("trunkline_trunk_target_up{{trunk=\"pbx\",target=\"{target}\"}} 0");
    assert!(setup.get("/metrics").await.contains(&line));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announced_early_media_that_never_comes_rings() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let leg = setup.pbx.called().await;
    page.hear("answer").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.progress(183, Some(telephone.describe("sendrecv")))
        .await;
    page.hear("early-media").await;
    leg.ring().await;
    page.hear("ringing").await;
    // It comes after all: the page stops its own tone.
    telephone.speak_to(leg.gateway_rtp());
    telephone.send_tone(425.0);
    page.hear("early-media").await;
    leg.answer(telephone.describe("sendrecv")).await;
    page.hear("answered").await;
    page.hang_up("c1").await;
    // No browser has connected.
    page.hear_end("ice-failed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_on_hold_is_told_to_the_page() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let mut leg = setup.pbx.called().await;
    page.hear("answer").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.answer(telephone.describe("inactive")).await;
    leg.confirmed().await;
    page.hear("answered").await;
    assert_eq!(page.hear("held").await["on"], true);
    leg.reoffer(telephone.describe("sendrecv")).await;
    assert_eq!(page.hear("held").await["on"], false);
    page.hang_up("c1").await;
    // No browser has connected.
    page.hear_end("ice-failed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_without_audio_from_either_side_ends_by_media_timeout() {
    let mut setup = Setup::with(|settings| settings.calls.media_timeout = 3).await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.telephone.set_speaking(false);
    // The browser goes on: the call does too, and the silence of the PBX is told.
    talk.page.hear_media("pbx", true).await;
    talk.browser.set_speaking(false);
    talk.page.hear_media("browser", true).await;
    talk.page.hear_end("media-timeout").await;
    let over = talk.leg.over().await;
    assert!(
        matches!(
            over,
            sip::Event::Ended {
                cause: Some(31),
                ..
            }
        ),
        "{over:?}"
    );
}
