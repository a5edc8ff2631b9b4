//! Hold and resume, from the PBX and from the page.

use std::time::Duration;

use serde_json::json;
use trunkline::sip;

use crate::pbx::direction;
use crate::setup::Setup;
use crate::sound::Coding;

/// Longer than any pause between packets of a call that is not on hold.
const SILENCE: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pbx_holds_and_resumes_three_times() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    for (hold, answer) in [
        ("sendonly", "recvonly"),
        ("inactive", "inactive"),
        ("sendonly", "recvonly"),
    ] {
        let answered = talk.leg.reoffer(talk.telephone.describe(hold)).await;
        assert_eq!(direction(&answered), answer);
        assert_eq!(talk.page.hear("held").await["on"], true);
        talk.telephone.recorder.stops_sending(SILENCE).await;
        if hold == "sendonly" {
            // Music on hold.
            talk.telephone.send_tone(700.0);
            talk.browser.recorder.hears(700.0).await;
        }
        let answered = talk.leg.reoffer(talk.telephone.describe("sendrecv")).await;
        assert_eq!(direction(&answered), "sendrecv");
        assert_eq!(talk.page.hear("held").await["on"], false);
        talk.sounds().await;
    }
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_holds_and_resumes() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    for _ in 0..2 {
        talk.page
            .say(json!({"type": "hold", "call": "c1", "on": true}))
            .await;
        let offer = talk.leg.reoffered().await;
        assert_eq!(direction(&offer), "sendonly");
        let answer = talk.telephone.describe("recvonly");
        talk.leg.answer_reoffer(answer).await;
        talk.page
            .say(json!({"type": "hold", "call": "c1", "on": false}))
            .await;
        let offer = talk.leg.reoffered().await;
        assert_eq!(direction(&offer), "sendrecv");
        let answer = talk.telephone.describe("sendrecv");
        talk.leg.answer_reoffer(answer).await;
        talk.sounds().await;
    }
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pbx_may_refuse_to_be_held_and_the_call_goes_on() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.page
        .say(json!({"type": "hold", "call": "c1", "on": true}))
        .await;
    talk.leg.reoffered().await;
    let status = 488;
    talk.leg
        .command(sip::Command::RefuseReinvite {
            status,
            warning: None,
        })
        .await;
    talk.page.hear_error("hold-refused").await;
    talk.sounds().await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telephone_may_move_in_mid_call() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    let mut elsewhere = crate::pbx::Telephone::new(Coding::Pcma).await;
    talk.telephone.set_speaking(false);
    talk.leg.reoffer(elsewhere.describe("sendrecv")).await;
    elsewhere.speak_to(talk.leg.gateway_rtp());
    elsewhere.send_tone(700.0);
    elsewhere.recorder.hears(440.0).await;
    talk.browser.recorder.hears(700.0).await;
    talk.telephone.recorder.stops_sending(SILENCE).await;
    talk.end().await;
}
