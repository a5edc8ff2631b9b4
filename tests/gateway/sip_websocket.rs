//! SIP over WebSocket: a user agent in a browser registers, calls, is called; the PBX behind.

use std::time::Duration;

use trunkline::sip;

use crate::browser::Browser;
use crate::pbx::Telephone;
use crate::setup::{PASSWORD, Setup};
use crate::sip_client::{INSTANCE, Said, SipClient};
use crate::sound::Coding;

async fn registered(setup: &Setup, user: &str) -> SipClient {
    let mut client = SipClient::connect(setup.http, user).await;
    let said = client.register(PASSWORD).await;
    assert_eq!(said.status(), 200, "{said:?}");
    client
}

/// The final response to an INVITE, and how often a response before it had a description.
async fn answered(client: &mut SipClient) -> (Said, usize) {
    let mut described = 0;
    loop {
        let said = client.hear().await;
        if said.status() >= 200 {
            return (said, described);
        }
        described += usize::from(!said.body.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_calls_and_both_hear_each_other() {
    let mut setup = Setup::start().await;
    let mut client = registered(&setup, "alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    client.invite("600", &browser.offer().await).await;
    let mut leg = setup.pbx.called().await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.ring().await;
    leg.answer(telephone.describe("sendrecv")).await;
    leg.confirmed().await;
    let (accepted, described) = answered(&mut client).await;
    assert_eq!((accepted.status(), described), (200, 1));
    client.in_dialog(&accepted, "ACK").await;
    browser.take_answer(&accepted.body).await;
    browser.connected().await;
    telephone.speak_to(leg.gateway_rtp());
    browser.send_tone(440.0);
    telephone.send_tone(1_004.0);
    telephone.recorder.hears(440.0).await;
    browser.recorder.hears(1_004.0).await;

    client.in_dialog(&accepted, "BYE").await;
    assert_eq!(client.hear().await.status(), 200);
    leg.over().await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_is_called_and_the_pbx_hangs_up() {
    let setup = Setup::start().await;
    let mut client = registered(&setup, "alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut leg = setup
        .pbx
        .call("alice", telephone.describe("sendrecv"))
        .await;
    let invite = client.hear().await;
    assert_eq!(invite.method(), "INVITE");
    let from = invite.value("From");
    assert!(
        from.starts_with("\"Ada\" <sip:4930123@pbx.example>;tag="),
        "{from}"
    );
    client.answer(&invite, 180, "").await;
    let event = leg.event().await;
    assert!(
        matches!(event, sip::Event::Progress { status: 180, .. }),
        "{event:?}"
    );
    let mut browser = Browser::new(Coding::Opus).await;
    let answer = browser.answer(&invite.body).await;
    client.answer(&invite, 200, &answer).await;
    assert_eq!(client.hear().await.method(), "ACK");
    leg.answered().await;
    telephone.speak_to(leg.gateway_rtp());
    browser.send_tone(440.0);
    telephone.send_tone(1_004.0);
    telephone.recorder.hears(440.0).await;
    browser.recorder.hears(1_004.0).await;

    leg.hang_up().await;
    let bye = client.hear().await;
    assert_eq!(bye.method(), "BYE");
    assert!(bye.value("Reason").starts_with("Q.850;cause=16"));
    client.answer(&bye, 200, "").await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn called_client_hangs_up() {
    let setup = Setup::start().await;
    let mut client = registered(&setup, "alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut leg = setup
        .pbx
        .call("alice", telephone.describe("sendrecv"))
        .await;
    let invite = client.hear().await;
    let mut browser = Browser::new(Coding::Opus).await;
    let answer = browser.answer(&invite.body).await;
    client.answer(&invite, 200, &answer).await;
    assert_eq!(client.hear().await.method(), "ACK");
    browser.connected().await;
    client.in_dialog_of(&invite, "BYE").await;
    assert_eq!(client.hear().await.status(), 200);
    leg.over().await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sip_and_json_clients_of_a_user_ring_and_one_wins() {
    let setup = Setup::start().await;
    let mut client = registered(&setup, "alice").await;
    let mut page = setup.page("alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut leg = setup
        .pbx
        .call("alice", telephone.describe("sendrecv"))
        .await;
    page.hear("incoming").await;
    let invite = client.hear().await;
    client.answer(&invite, 180, "").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let answer = browser.answer(&invite.body).await;
    client.answer(&invite, 200, &answer).await;
    assert_eq!(client.hear().await.method(), "ACK");
    page.hear_end("answered-elsewhere").await;
    leg.answered().await;
    leg.hang_up().await;
    assert_eq!(client.hear().await.method(), "BYE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_of_the_client_reaches_the_pbx() {
    let setup = Setup::start().await;
    let mut client = registered(&setup, "alice").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut leg = setup
        .pbx
        .call("alice", telephone.describe("sendrecv"))
        .await;
    let invite = client.hear().await;
    client.answer(&invite, 486, "").await;
    assert_eq!(client.hear().await.method(), "ACK");
    assert_eq!(leg.refused().await, 486);
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registration_on_a_new_connection_replaces_the_old() {
    let setup = Setup::start().await;
    let mut old = registered(&setup, "alice").await;
    let mut new = SipClient::connect(setup.http, "alice").await;
    let said = new.register(PASSWORD).await;
    assert_eq!(said.values("Contact").len(), 1, "{said:?}");
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut leg = setup
        .pbx
        .call("alice", telephone.describe("sendrecv"))
        .await;
    let invite = new.hear().await;
    assert_eq!(invite.method(), "INVITE");
    old.hear_nothing(Duration::from_millis(300)).await;
    new.answer(&invite, 603, "").await;
    assert_eq!(leg.refused().await, 603);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_is_unavailable_once_unregistered() {
    let setup = Setup::start().await;
    let mut client = registered(&setup, "alice").await;
    let said = client.register_as(PASSWORD, INSTANCE, 0).await;
    assert_eq!((said.status(), said.values("Contact").len()), (200, 0));
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut leg = setup
        .pbx
        .call("alice", telephone.describe("sendrecv"))
        .await;
    assert_eq!(leg.refused().await, 480);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_are_refused_late_and_then_not_looked_at() {
    let setup = Setup::with(|settings| {
        settings.sign_in.refusal_delay = 1;
        settings.sign_in.max_failures_per_user_and_address = 2;
    })
    .await;
    let mut client = SipClient::connect(setup.http, "alice").await;
    for _ in 0..2 {
        let began = std::time::Instant::now();
        assert_eq!(client.register("wrong").await.status(), 401);
        assert!(began.elapsed() >= Duration::from_millis(900));
    }
    let refused = client.register(PASSWORD).await;
    assert_eq!(refused.status(), 403);
    assert!(!refused.value("Retry-After").is_empty());
    // Others at other addresses, and other users here, are let in.
    let mut other = SipClient::connect(setup.http, "bob").await;
    assert_eq!(other.register(PASSWORD).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_shows_no_password_is_let_go() {
    let setup = Setup::start().await;
    let reason = [("reason", "silent")];
    let silent = setup
        .counter("trunkline_sockets_refused_total", &reason)
        .await;
    let began = std::time::Instant::now();
    let mut client = SipClient::connect(setup.http, "alice").await;
    let mut other = registered(&setup, "bob").await;
    // What a client without credentials says does not prolong its time.
    client.say_octets(b"\r\n\r\n".to_vec()).await.expect("open");
    let frame = client.closed().await.expect("a close frame");
    assert_eq!(u16::from(frame.code), 1008);
    assert!(began.elapsed() >= Duration::from_secs(9));
    setup
        .counted("trunkline_sockets_refused_total", &reason, silent, 1.0)
        .await;
    // One whose user is known stays.
    other.say_octets(b"\r\n\r\n".to_vec()).await.expect("open");
    assert_eq!(other.hear_text().await, "\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_ends_when_the_connection_of_the_client_does() {
    let mut setup = Setup::start().await;
    let mut client = registered(&setup, "alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    client.invite("600", &browser.offer().await).await;
    let leg = setup.pbx.called().await;
    leg.ring().await;
    setup.has_calls(1).await;
    drop(client);
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_subprotocols_and_a_door_that_is_off_open_nothing() {
    let setup = Setup::start().await;
    for subprotocol in ["", "trunkline.v1", "msrp"] {
        let refused = SipClient::open(setup.http, subprotocol).await;
        assert!(
            refused.is_err_and(|error| error.contains("400")),
            "{subprotocol}"
        );
    }
    assert!(SipClient::open(setup.http, "msrp, sip").await.is_ok());
    let setup = Setup::with(|settings| settings.sip_websocket.enabled = false).await;
    let refused = SipClient::open(setup.http, "sip").await;
    assert!(refused.is_err_and(|error| error.contains("404")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_no_sip_leave_the_connection_usable() {
    let setup = Setup::start().await;
    let mut client = SipClient::connect(setup.http, "alice").await;
    for octets in [&b"\0\xff\xfe"[..], b"INVITE", b"{}", b"SIP/2.0 200"] {
        client
            .say_octets(octets.to_vec())
            .await
            .expect("it is open");
    }
    client.say_octets(b"\r\n\r\n".to_vec()).await.expect("open");
    assert_eq!(client.hear_text().await, "\r\n");
    assert_eq!(client.register(PASSWORD).await.status(), 200);
    // Beyond 64 KiB it is closed with its reason.
    let sent = client.say_octets(vec![b'x'; 70_000]).await;
    assert!(sent.is_ok());
    let frame = client.closed().await.expect("a close frame");
    assert_eq!(u16::from(frame.code), 1009);
}
