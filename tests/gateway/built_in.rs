//! The numbers that the gateway answers itself, without a PBX.

use crate::browser::Browser;
use crate::setup::Setup;
use crate::sound::Coding;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_built_in_numbers_do_what_they_say() {
    let setup = Setup::with(|settings| settings.built_in.enabled = true).await;
    let mut page = setup.page("alice").await;

    for (number, said, heard) in [("tone", 440.0, 1_000.0), ("echo", 440.0, 440.0)] {
        let mut browser = Browser::new(Coding::Opus).await;
        page.call(number, number, &browser.offer().await).await;
        let answer = page.hear("answer").await;
        browser
            .take_answer(answer["sdp"].as_str().expect("SDP"))
            .await;
        page.hear("answered").await;
        browser.send_tone(said);
        browser.recorder.hears(heard).await;
        page.hang_up(number).await;
        page.hear_end("hangup-local").await;
        browser.close().await;
    }

    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    page.call("busy", "busy", &offer).await;
    page.hear("answer").await;
    page.hear_end("busy").await;

    page.call("ring", "ring", &offer).await;
    page.hear("answer").await;
    page.hear("ringing").await;
    page.hang_up("ring").await;
    page.hear_end("cancelled").await;

    page.call("callback", "callback", &offer).await;
    page.hear("answer").await;
    page.hear("answered").await;
    page.hear_end("hangup-remote").await;
    let incoming = page.hear("incoming").await;
    assert_eq!(incoming["from"]["number"], "callback");
    setup.has_calls(1).await;
}
