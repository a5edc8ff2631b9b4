//! The PBX closes its connection in mid-call: the call stays up, and both sides can still say
//! everything about it.

use std::time::Duration;

use serde_json::json;
use trunkline::sip::{Config, Transport};

use crate::pbx::direction;
use crate::setup::{Setup, Talk};
use crate::sound::Coding;

const ENDED: &str = "trunkline_sip_connections_ended_total";

/// A setup whose PBX closes a connection that is quiet for a second.
async fn impatient() -> Setup {
    let short = |pbx: &mut Config| pbx.limits.transport.idle_timeout = Duration::from_secs(1);
    Setup::beside(Transport::Tcp, short, |_| {}).await
}

/// Waits until the PBX has closed a connection.
async fn closed(setup: &Setup, before: f64) {
    setup
        .counted(ENDED, &[("reason", "idle")], before, 1.0)
        .await;
}

async fn idle(setup: &Setup) -> f64 {
    setup.counter(ENDED, &[("reason", "idle")]).await
}

async fn is_up(talk: &Talk) {
    talk.sounds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_outlives_its_connection_and_the_page_holds_and_hangs_up() {
    let mut setup = impatient().await;
    let before = idle(&setup).await;
    let mut talk = setup.call_out(Coding::Opus).await;
    closed(&setup, before).await;
    is_up(&talk).await;
    talk.page
        .say(json!({"type": "hold", "call": "c1", "on": true}))
        .await;
    assert_eq!(direction(&talk.leg.reoffered().await), "sendonly");
    let answer = talk.telephone.describe("recvonly");
    talk.leg.answer_reoffer(answer).await;

    let before = idle(&setup).await;
    closed(&setup, before).await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_outlives_its_connection_and_the_pbx_holds_and_hangs_up() {
    let mut setup = impatient().await;
    let before = idle(&setup).await;
    let mut talk = setup.call_out(Coding::Opus).await;
    closed(&setup, before).await;
    is_up(&talk).await;
    let answered = talk.leg.reoffer(talk.telephone.describe("sendonly")).await;
    assert_eq!(direction(&answered), "recvonly");
    assert_eq!(talk.page.hear("held").await["on"], true);

    let before = idle(&setup).await;
    closed(&setup, before).await;
    talk.leg.hang_up().await;
    talk.page.hear_end("hangup-remote").await;
}
