//! Texts between pages and the PBX: outside calls, inside them, and those that are refused.

use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use trunkline::sip;

use crate::pbx::Pbx;
use crate::setup::Setup;
use crate::sign_in::user;
use crate::sound::{Coding, PATIENCE};

/// The PBX writes to a user of the gateway, and hears this status.
async fn write(pbx: &Pbx, to: &str, text: &str) -> u16 {
    let outgoing = sip::OutgoingMessage {
        trunk: "gateway".to_owned(),
        to_user: to.to_owned(),
        account: None,
        from_user: "4930123".to_owned(),
        from_name: Some("Ada".to_owned()),
        text: text.to_owned(),
    };
    let outcome = pbx.sip.message(outgoing).await.expect("SIP runs");
    let outcome = tokio::time::timeout(PATIENCE, outcome).await;
    let outcome = outcome.expect("in time").expect("SIP runs");
    let outcome = outcome.expect("it is sent");
    assert!(!outcome.local, "{outcome:?}");
    outcome.status
}

/// The texts that reach the PBX.
async fn texts(pbx: &Pbx) -> mpsc::Receiver<sip::IncomingMessage> {
    let (sender, texts) = mpsc::channel(64);
    pbx.sip.take_messages(sender).await;
    texts
}

async fn next(texts: &mut mpsc::Receiver<sip::IncomingMessage>) -> sip::IncomingMessage {
    let next = tokio::time::timeout(PATIENCE, texts.recv()).await;
    next.expect("the gateway writes").expect("SIP runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pbx_writes_to_every_page_of_a_user() {
    let setup = Setup::with(|settings| {
        settings.user = vec![user("carol", "sesame")];
    })
    .await;
    let labels = [("direction", "incoming"), ("code", "ok")];
    let before = setup
        .counter("trunkline_instant_messages_total", &labels)
        .await;
    let mut pages = [setup.page("alice").await, setup.page("alice").await];
    let text = "Grüße\r\n\u{1f600} \"quoted\"";
    assert_eq!(write(&setup.pbx, "alice", text).await, 200);
    for page in &mut pages {
        let message = page.hear("message").await;
        let expected = json!({
            "type": "message",
            "from": {"number": "4930123", "name": "Ada"},
            "to": "alice",
            "text": text,
        });
        assert_eq!(message, expected);
    }
    setup
        .counted("trunkline_instant_messages_total", &labels, before, 1.0)
        .await;
    // The longest one.
    let longest = "x".repeat(4_096);
    assert_eq!(write(&setup.pbx, "alice", &longest).await, 200);
    for page in &mut pages {
        assert_eq!(page.hear("message").await["text"], longest);
    }
    assert_eq!(write(&setup.pbx, "nobody", "x").await, 404);
    assert_eq!(write(&setup.pbx, "carol", "x").await, 480);
    for page in &mut pages {
        page.hear_nothing(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_writes_to_a_number_and_hears_what_becomes_of_it() {
    let setup = Setup::with(|settings| {
        settings.trunk[0].callers.identity = trunkline::settings::CallerHeader::Pai
    })
    .await;
    let mut texts = texts(&setup.pbx).await;
    let mut page = setup.page("alice").await;
    for (id, status) in [("m1", 200), ("m2", 202)] {
        page.say(json!({"type": "message", "id": id, "to": "600", "text": "Grüße"}))
            .await;
        let text = next(&mut texts).await;
        assert_eq!(
            (text.request_user.as_str(), text.from_user.as_str()),
            ("600", "alice")
        );
        assert_eq!(text.text, "Grüße");
        setup.pbx.sip.answer_message(text.id, status).await;
        let sent = page.hear("message-sent").await;
        let expected = json!({"type": "message-sent", "id": id, "status": status});
        assert_eq!(sent, expected);
    }
    for (status, code) in [
        (404, "not-found"),
        (405, "not-accepted"),
        (480, "unavailable"),
        (603, "declined"),
    ] {
        page.say(json!({"type": "message", "to": "601", "text": "x"}))
            .await;
        let text = next(&mut texts).await;
        setup.pbx.sip.answer_message(text.id, status).await;
        let failed = page.hear("message-failed").await;
        assert_eq!(
            (&failed["code"], &failed["status"], failed.get("id")),
            (&json!(code), &json!(status), None)
        );
        // Five a second.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    page.say(json!({"type": "message", "id": "m3", "to": "nowhere", "text": "x"}))
        .await;
    let failed = page.hear("message-failed").await;
    assert_eq!(failed["code"], "not-found");
    assert_eq!((&failed["id"], failed.get("status")), (&json!("m3"), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_writes_too_much_or_wrongly_is_told_so() {
    let setup = Setup::start().await;
    let mut texts = texts(&setup.pbx).await;
    let mut page = setup.page("alice").await;
    for message in [
        json!({"type": "message", "to": "600"}),
        json!({"type": "message", "to": "600", "text": ""}),
        json!({"type": "message", "text": "x"}),
        json!({"type": "message", "to": "600", "call": "c1", "text": "x"}),
        json!({"type": "message", "id": "a b", "to": "600", "text": "x"}),
        json!({"type": "message", "id": "", "to": "600", "text": "x"}),
    ] {
        page.say(message).await;
        page.hear_error("bad-message").await;
    }
    page.say(json!({"type": "message", "call": "c1", "text": "x"}))
        .await;
    page.hear_error("unknown-call").await;
    page.say(json!({"type": "message", "id": "m1", "to": "600", "text": "é".repeat(2_049)}))
        .await;
    let failed = page.hear("message-failed").await;
    assert_eq!(
        (&failed["code"], &failed["id"]),
        (&json!("text-too-long"), &json!("m1"))
    );
    // A second's worth comes back within a second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for number in 0..10 {
        let (id, to) = (format!("n{number}"), format!("60{number}"));
        page.say(json!({"type": "message", "id": id, "to": to, "text": "x"}))
            .await;
    }
    let mut refused = 0;
    for _ in 0..5 {
        // Five at once went, and one may have been earned meanwhile.
        let failed = page.next().await;
        if failed["code"] == "too-many-messages" {
            refused += 1;
        }
        if refused == 4 {
            break;
        }
    }
    assert!(refused >= 4, "only {refused} of ten were refused");
    for number in 0..5 {
        let text = next(&mut texts).await;
        assert_eq!(text.request_user, format!("60{number}"));
        setup.pbx.sip.answer_message(text.id, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_a_call_write_to_each_other() {
    let mut setup = Setup::start().await;
    let mut talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();
    talk.page
        .say(json!({"type": "message", "id": "m1", "call": "c1", "text": "Grüße"}))
        .await;
    let event = talk.leg.event().await;
    let text = "Grüße".to_owned();
    assert_eq!(event, sip::Event::Message { text });
    let sent = talk.page.hear("message-sent").await;
    let expected = json!({"type": "message-sent", "id": "m1", "call": "c1", "status": 200});
    assert_eq!(sent, expected);

    talk.leg
        .command(sip::Command::Message {
            reference: None,
            text: "hello".to_owned(),
        })
        .await;
    let message = talk.page.hear("message").await;
    let expected = json!({"type": "message", "call": "c1", "text": "hello"});
    assert_eq!(message, expected);
    let event = talk.leg.event().await;
    let answered = sip::Event::MessageAnswered {
        reference: None,
        outcome: sip::MessageOutcome {
            status: 200,
            local: false,
        },
    };
    assert_eq!(event, answered);
    talk.was_undisturbed().await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_only_rings_takes_no_texts() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut browser = crate::browser::Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let mut leg = setup.pbx.called().await;
    page.hear("answer").await;
    leg.ring().await;
    page.hear("ringing").await;
    page.say(json!({"type": "message", "id": "m1", "call": "c1", "text": "x"}))
        .await;
    let failed = page.hear("message-failed").await;
    assert_eq!(
        (&failed["code"], &failed["call"], &failed["id"]),
        (&json!("bad-state"), &json!("c1"), &json!("m1"))
    );
    page.hang_up("c1").await;
    page.hear_end("cancelled").await;
    leg.over().await;
    browser.close().await;
}
