//! A route with several trunks: where one cannot, the next is called, and the page knows of one
//! call.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::json;
use trunkline::redacted::Redacted;
use trunkline::settings::{CallerHeader, Secret, Settings, Srtp, Trunk};
use trunkline::sip::{self, Transport};

use crate::browser::Browser;
use crate::page::Page;
use crate::pbx::{Pbx, Telephone};
use crate::setup::Setup;
use crate::sound::Coding;

/// A second PBX and the trunk to it, `spare`. It is called and never calls.
async fn spare(change: impl FnOnce(&mut sip::Config)) -> (Pbx, Trunk) {
    let nobody = "127.0.0.1:9".parse().expect("an address");
    let (pbx, address) = Pbx::start(nobody, Transport::Udp, |config| {
        config.trunks[0].accept_from = vec!["127.0.0.1/32".parse().expect("a range")];
        change(config);
    })
    .await;
    (pbx, Trunk::new("spare", format!("sip:{address}")))
}

/// The route goes to the PBX of the setup, and where that cannot to these.
fn fall_back(settings: &mut Settings, trunks: Vec<Trunk>) {
    settings.route[0].fallback = trunks.iter().map(|trunk| trunk.name.clone()).collect();
    settings.trunk.extend(trunks);
}

/// A page that calls 600 and has its answer.
async fn calling(setup: &Setup, call: &str) -> (Page, Browser) {
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call(call, "600", &browser.offer().await).await;
    let answer = page.hear("answer").await;
    let answer = answer["sdp"].as_str().expect("SDP");
    browser.take_answer(answer).await;
    (page, browser)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_trunk_is_called_by_its_own_policy_and_the_page_hears_of_one_call() {
    let password = Redacted::new("zanzibar".to_owned());
    let (mut other, mut trunk) = spare(|config| {
        config.trunks[0].inbound = Some(sip::Credentials {
            username: "customer".to_owned(),
            password: password.clone(),
        });
    })
    .await;
    trunk.account.username = Some("customer".to_owned());
    trunk.account.password = Some(Secret(password.clone()));
    trunk.account.from_user = Some("4930555".to_owned());
    trunk.callers.identity = CallerHeader::Pai;
    trunk.audio.codecs = vec!["PCMA".to_owned()];
    let mut setup = Setup::with(|settings| fall_back(settings, vec![trunk])).await;
    let (mut page, browser) = calling(&setup, "c1").await;
    let first = setup.pbx.called().await;
    assert_eq!(first.caller, "alice");
    let mut announcement = Telephone::new(Coding::Pcmu).await;
    let described = announcement.describe("sendrecv");
    first.progress(183, Some(described)).await;
    page.hear("early-media").await;
    announcement.speak_to(first.gateway_rtp());
    announcement.send_tone(425.0);
    browser.send_tone(440.0);
    browser.recorder.hears(425.0).await;
    announcement.recorder.hears(440.0).await;
    first.refuse(503).await;

    let mut leg = other.called().await;
    assert_eq!(
        (leg.called.as_str(), leg.caller.as_str()),
        ("600", "4930555")
    );
    let asserted = leg.header("P-Asserted-Identity");
    assert!(asserted.contains("sip:4930555@"), "{asserted}");
    assert_ne!(leg.call_id, first.call_id, "a call of its own");
    assert!(
        leg.description.contains("RTP/AVP 8 "),
        "{}",
        leg.description
    );
    leg.ring().await;
    page.hear("ringing").await;
    let mut telephone = Telephone::new(Coding::Pcma).await;
    leg.answer(telephone.describe("sendrecv")).await;
    leg.confirmed().await;
    page.hear("answered").await;
    telephone.speak_to(leg.gateway_rtp());
    telephone.send_tone(1_004.0);
    telephone.recorder.hears(440.0).await;
    browser.recorder.hears(1_004.0).await;
    // The announcement goes on speaking: nobody hears it.
    browser.recorder.listen();
    tokio::time::sleep(Duration::from_millis(300)).await;
    browser.recorder.heard_only(1_004.0).await;
    assert!(
        setup
            .counter("trunkline_route_fallbacks_total", &[("trunk", "pbx")])
            .await
            >= 1.0
    );

    page.hang_up("c1").await;
    page.hear_end("hangup-local").await;
    leg.over().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_says_that_the_trunk_cannot_is_tried_elsewhere_and_what_the_callee_says_is_the_end() {
    let (mut other, trunk) = spare(|_| {}).await;
    let mut setup = Setup::with(|settings| fall_back(settings, vec![trunk])).await;
    for status in [408, 500, 502, 503, 504] {
        let (mut page, _browser) = calling(&setup, "c1").await;
        setup.pbx.called().await.refuse(status).await;
        other.called().await.refuse(486).await;
        let ended = page.hear_end("busy").await;
        assert_eq!(ended["status"], 486, "after {status}");
    }
    for (status, reason) in [
        (403, "forbidden"),
        (404, "not-found"),
        (480, "no-answer"),
        (486, "busy"),
        (488, "no-common-codec"),
        (600, "busy"),
        (603, "declined"),
    ] {
        let (mut page, _browser) = calling(&setup, "c1").await;
        setup.pbx.called().await.refuse(status).await;
        page.hear_end(reason).await;
    }
    other.hears_of_nothing(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trunks_without_an_address_a_listener_or_an_answer_are_passed_by() {
    let (mut other, trunk) = spare(|_| {}).await;
    // Bound, so that nothing says at once that nobody is there.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let silent_address = silent.local_addr().expect("its address");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let closed_address = closed.local_addr().expect("its address");
    drop(closed);
    let at = |name: &str, target: String| {
        let mut trunk = Trunk::new(name, target);
        trunk.addressing.try_timeout = 1;
        trunk
    };
    let setup = Setup::with(|settings| {
        settings.sip.dns_servers = vec!["127.0.0.1:9".to_owned()];
        settings.trunk[0].addressing.target = "sip:nowhere.invalid".to_owned();
        let closed = at("closed", format!("sip:{closed_address};transport=tcp"));
        let silent = at("silent", format!("sip:{silent_address}"));
        fall_back(settings, vec![closed, silent, trunk]);
    })
    .await;
    let began = Instant::now();
    let (mut page, _browser) = calling(&setup, "c1").await;
    let leg = other.called().await;
    println!("the fourth trunk is called after {:?}", began.elapsed());
    leg.ring().await;
    page.hear("ringing").await;
    let mut invite = [0; 65_535];
    silent.set_nonblocking(true).expect("a socket");
    // Its probes come there too.
    loop {
        let length = silent.recv(&mut invite).expect("it was asked");
        if invite[..length].starts_with(b"INVITE sip:600@") {
            break;
        }
        assert!(invite[..length].starts_with(b"OPTIONS "));
    }
    leg.refuse(404).await;
    page.hear_end("not-found").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_while_the_next_trunk_is_asked_calls_nobody() {
    let (mut second, mut trunk) = spare(|_| {}).await;
    let (mut third, last) = spare(|_| {}).await;
    trunk.audio.srtp = Srtp::Required;
    let last = Trunk {
        name: "last".to_owned(),
        ..last
    };
    let mut setup = Setup::with(|settings| fall_back(settings, vec![trunk, last])).await;
    let (mut page, browser) = calling(&setup, "c1").await;
    setup.pbx.called().await.refuse(500).await;
    let mut leg = second.called().await;
    assert!(leg.description.contains("RTP/SAVP "), "{}", leg.description);
    assert!(
        leg.description.contains("a=crypto:1 "),
        "{}",
        leg.description
    );
    page.hang_up("c1").await;
    page.hear_end("cancelled").await;
    assert_eq!(leg.over().await, sip::Event::Cancelled);
    third.hears_of_nothing(Duration::from_millis(300)).await;
    setup.has_calls(0).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_another_trunk_took_is_given_away_through_that_one() {
    let (mut other, trunk) = spare(|_| {}).await;
    let mut setup = Setup::with(|settings| {
        fall_back(settings, vec![trunk]);
        // What only the first trunk reaches.
        let mut alone = settings.route[0].clone();
        alone.pattern = "short".to_owned();
        alone.fallback.clear();
        settings.route.push(alone);
    })
    .await;
    let (mut page, _browser) = calling(&setup, "c1").await;
    setup.pbx.called().await.refuse(503).await;
    let mut leg = other.called().await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.answer(telephone.describe("sendrecv")).await;
    leg.confirmed().await;
    page.hear("answered").await;
    page.say(json!({"type": "transfer", "call": "c1", "to": "short"}))
        .await;
    page.hear_error("not-here").await;
    page.say(json!({"type": "transfer", "call": "c1", "to": "700"}))
        .await;
    let sip::Event::Referred(referral) = leg.event().await else {
        panic!("a REFER was expected");
    };
    assert_eq!(referral.user, "700");
    page.hear("transferring").await;
    leg.report(200, true).await;
    page.hear_end("transferred").await;
    leg.over().await;
}
