//! Users with lines of their own at the PBX: registered while they are signed in, called by their
//! own number, calling under their own name.

use std::time::Duration;

use serde_json::{Value, json};
use trunkline::redacted::Redacted;
use trunkline::settings::{Secret, Settings, User};

use crate::browser::Browser;
use crate::page::Page;
use crate::pbx::Telephone;
use crate::registration::{Asked, Registrar};
use crate::setup::Setup;
use crate::sound::{Coding, until_async};

fn line(name: &str, number: &str) -> User {
    User {
        trunk: Some("pbx".to_owned()),
        trunk_username: Some(number.to_owned()),
        trunk_password: Some(Secret(Redacted::new(format!("secret of {number}")))),
        ..User::new(name, Redacted::new("wonderland".to_owned()))
    }
}

fn lines(settings: &mut Settings, registrar: &Registrar) {
    let address = registrar.socket.local_addr().expect("its address");
    settings.trunk[0].addressing.target = format!("sip:{address}");
    settings.trunk[0].addressing.health_check = Some(0);
    settings.user = vec![line("alice", "1001"), line("bob", "1002")];
    settings.inbound.clear();
}

async fn signed_in(setup: &Setup, name: &str) -> Page {
    let mut page = Page::open(setup.http).await;
    page.hello(json!({"user": name, "password": "wonderland"}))
        .await;
    page
}

/// Takes the registration of a number, and gives the Contact that it is called by.
async fn register(registrar: &Registrar, number: &str) -> (String, Asked) {
    let (asked, right) = registrar.challenge(&format!("secret of {number}")).await;
    assert!(right, "{}", asked.text);
    assert_eq!(asked.parameter("username"), number);
    registrar.accept(&asked, 3_600).await;
    let contact = asked.header("Contact").expect("a contact");
    let (uri, _) = contact.split_once('>').expect("brackets");
    (uri.trim_start_matches('<').to_owned(), asked)
}

/// A call from the PBX to a contact; the answer to it is looked for by `next`.
async fn call(registrar: &Registrar, contact: &str, at: &Asked, call: &str) {
    let own = registrar.socket.local_addr().expect("its address");
    let body = Telephone::new(Coding::Pcmu).await.describe("sendrecv");
    let text = format!(
        "INVITE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{call}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:600@pbx.example>;tag={call}\r\nTo: <{contact}>\r\n\
         Call-ID: {call}\r\nCSeq: 1 INVITE\r\nContact: <sip:600@{own}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let sent = registrar.socket.send_to(text.as_bytes(), at.from).await;
    sent.expect("sent");
}

/// The next message that begins so; others are passed over.
async fn next(registrar: &Registrar, begins: &str) -> Asked {
    loop {
        let message = registrar.asked().await;
        if message.text.starts_with(begins) {
            return message;
        }
    }
}

/// A call to a contact reaches that page and is declined.
async fn is_called(
    registrar: &Registrar,
    contact: &str,
    at: &Asked,
    number: &str,
    page: &mut Page,
) {
    call(registrar, contact, at, &format!("call-{number}")).await;
    let incoming = page.hear("incoming").await;
    assert_eq!(incoming["to"], number);
    page.say(json!({"type": "reject", "call": incoming["call"]}))
        .await;
    next(registrar, "SIP/2.0 603").await;
    page.hear_end("declined").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_have_a_line_each_and_are_called_by_their_own_number() {
    let registrar = Registrar::start().await;
    let setup = Setup::with(|settings| lines(settings, &registrar)).await;
    let mut buffer = [0; 64];
    let early = registrar.socket.recv_from(&mut buffer);
    let early = tokio::time::timeout(Duration::from_millis(300), early).await;
    assert!(early.is_err(), "nobody is signed in");

    let mut alice = signed_in(&setup, "alice").await;
    let (of_alice, at) = register(&registrar, "1001").await;
    let mut bob = signed_in(&setup, "bob").await;
    let (of_bob, _) = register(&registrar, "1002").await;
    until_async("both are registered", async || {
        let health: Value = serde_json::from_str(&setup.get("/health").await).expect("JSON");
        health["user_registrations"]["pbx"] == json!({"registered": 2})
    })
    .await;

    is_called(&registrar, &of_alice, &at, "1001", &mut alice).await;
    bob.hear_nothing(Duration::from_millis(50)).await;
    is_called(&registrar, &of_bob, &at, "1002", &mut bob).await;
    alice.hear_nothing(Duration::from_millis(50)).await;

    let mut browser = Browser::new(Coding::Opus).await;
    bob.call("c1", "600", &browser.offer().await).await;
    let invite = next(&registrar, "INVITE").await;
    let from = invite.header("From").expect("a caller");
    assert!(from.contains("sip:1002@"), "{from}");
    registrar.answer(&invite, "486 Busy Here", "").await;
    bob.hear("answer").await;
    bob.hear_end("busy").await;

    // Both lines are taken back at the end.
    let stopping = tokio::spawn(setup.gateway.stop());
    let mut taken_back = Vec::new();
    while taken_back.len() < 2 {
        let last = next(&registrar, "REGISTER").await;
        assert_eq!(last.expires(), 0);
        registrar.answer(&last, "200 OK", "").await;
        let to = last.header("To").expect("who").to_owned();
        if !taken_back.contains(&to) {
            taken_back.push(to);
        }
    }
    stopping.await.expect("it stops");
    browser.close().await;
}
