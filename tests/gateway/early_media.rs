//! What a PBX plays before anybody answers, and an answer that comes from elsewhere.

use crate::browser::Browser;
use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::Coding;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_media_is_heard_and_the_final_answer_may_come_from_another_place() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let mut leg = setup.pbx.called().await;
    let answer = page.hear("answer").await;
    let answer = answer["sdp"].as_str().expect("SDP");
    browser.take_answer(answer).await;
    browser.send_tone(440.0);
    let mut announcement = Telephone::new(Coding::Pcmu).await;
    leg.progress(183, Some(announcement.describe("sendrecv")))
        .await;
    page.hear("early-media").await;
    announcement.speak_to(leg.gateway_rtp());
    announcement.send_tone(425.0);
    browser.recorder.hears(425.0).await;
    // The caller is heard there too: an announcement may ask for digits.
    announcement.recorder.hears(440.0).await;

    let mut telephone = Telephone::new(Coding::Pcma).await;
    leg.answer(telephone.describe("sendrecv")).await;
    page.hear("answered").await;
    leg.confirmed().await;
    announcement.set_speaking(false);
    telephone.speak_to(leg.gateway_rtp());
    telephone.send_tone(1_004.0);
    telephone.recorder.hears(440.0).await;
    browser.recorder.hears(1_004.0).await;
    // Another payload type, decoded as what it is.
    assert_eq!(telephone.recorder.payload_types(), [8]);

    page.hang_up("c1").await;
    page.hear_end("hangup-local").await;
    leg.over().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_media_may_end_in_a_refusal() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let leg = setup.pbx.called().await;
    let answer = page.hear("answer").await;
    let answer = answer["sdp"].as_str().expect("SDP");
    browser.take_answer(answer).await;
    let mut announcement = Telephone::new(Coding::Pcmu).await;
    leg.progress(183, Some(announcement.describe("sendonly")))
        .await;
    page.hear("early-media").await;
    announcement.speak_to(leg.gateway_rtp());
    announcement.send_tone(425.0);
    browser.recorder.hears(425.0).await;
    leg.refuse(404).await;
    let ended = page.hear_end("not-found").await;
    assert_eq!(ended["status"], 404);
}
