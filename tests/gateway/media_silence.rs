//! A side that sends no audio: the page is told which, and that it sends again.

use serde_json::json;

use crate::setup::Setup;
use crate::sound::Coding;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_pbx_is_told_and_audio_after_it_too() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.telephone.set_speaking(false);
    talk.page.hear_media("pbx", true).await;
    talk.telephone.set_speaking(true);
    talk.page.hear_media("pbx", false).await;
    talk.sounds().await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_pbx_put_on_hold_is_silent_no_more() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.telephone.set_speaking(false);
    talk.page.hear_media("pbx", true).await;
    talk.page
        .say(json!({"type": "hold", "call": "c1", "on": true}))
        .await;
    talk.leg.reoffered().await;
    let answer = talk.telephone.describe("recvonly");
    talk.leg.answer_reoffer(answer).await;
    talk.page.hear_media("pbx", false).await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_that_sends_nothing_is_told_to_its_page() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.browser.set_speaking(false);
    talk.page.hear_media("browser", true).await;
    talk.browser.set_speaking(true);
    talk.page.hear_media("browser", false).await;
    talk.end().await;
}
