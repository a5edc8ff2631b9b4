//! Sessions that a token opened end when it does, unless they get a new one.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::browser::Browser;
use crate::page::Page;
use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sign_in::{FAR, SECRET, close, token};
use crate::sound::Coding;

/// A token that ends so many seconds from now.
fn lasting(seconds: u64, user: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let exp = now.expect("after 1970").as_secs() + seconds;
    json!({"token": token(SECRET, exp, user)})
}

async fn renew(page: &mut Page, mut credentials: Value) {
    credentials["type"] = "renew".into();
    page.say(credentials).await;
}

async fn told_of_the_end(page: &mut Page, most: u64) {
    let expiring = page.hear("token-expiring").await;
    let seconds = expiring["seconds"].as_u64().expect("a number");
    assert!((1..=most).contains(&seconds), "{expiring}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_and_its_calls_end_with_the_token() {
    let mut setup = Setup::with(close).await;
    let name = "trunkline_calls_total";
    let labels = [("reason", "token-expired")];
    let before = setup.counter(name, &labels).await;
    let mut page = Page::open(setup.http).await;
    page.hello(lasting(5, "dave")).await;
    told_of_the_end(&mut page, 5).await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let mut leg = setup.pbx.called().await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.answer(telephone.describe("sendrecv")).await;
    leg.confirmed().await;
    page.hear("answer").await;
    page.hear("answered").await;
    page.hear_end("token-expired").await;
    let goodbye = page.hear("goodbye").await;
    assert_eq!(goodbye["reason"], "token-expired");
    assert_eq!(goodbye["methods"], json!(["password", "token"]));
    let frame = page.closed().await;
    assert_eq!(frame.expect("a close frame").code, CloseCode::Policy);
    leg.over().await;
    setup.counted(name, &labels, before, 1.0).await;
    setup.has_calls(0).await;

    let mut again = Page::open(setup.http).await;
    again.ask_in(lasting(0, "dave")).await;
    again.hear_error("token-expired").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_that_rings_at_two_pages_goes_on_at_the_one_that_is_left() {
    let setup = Setup::with(|settings| {
        close(settings);
        settings.inbound[0].user = "dave".to_owned();
    })
    .await;
    let mut stays = Page::open(setup.http).await;
    stays
        .hello(json!({"token": token(SECRET, FAR, "dave")}))
        .await;
    let mut expires = Page::open(setup.http).await;
    expires.hello(lasting(3, "dave")).await;
    told_of_the_end(&mut expires, 3).await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut leg = setup.pbx.call("dave", telephone.describe("sendrecv")).await;
    let incoming = stays.hear("incoming").await;
    expires.hear("incoming").await;
    expires.hear_end("token-expired").await;
    expires.hear_goodbye("token-expired").await;
    stays
        .say(json!({"type": "reject", "call": incoming["call"]}))
        .await;
    stays.hear_end("declined").await;
    assert_eq!(leg.refused().await, 603);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_session_goes_on() {
    let setup = Setup::with(close).await;
    let mut page = Page::open(setup.http).await;
    page.hello(lasting(4, "dave")).await;
    told_of_the_end(&mut page, 4).await;
    renew(&mut page, json!({"token": token(SECRET, FAR, "dave")})).await;
    let renewed = page.hear("token-renewed").await;
    assert!(renewed["seconds"].as_u64() > Some(1_000_000), "{renewed}");
    // A token that ends earlier does not shorten it.
    renew(&mut page, lasting(30, "dave")).await;
    let renewed = page.hear("token-renewed").await;
    assert!(renewed["seconds"].as_u64() > Some(1_000_000), "{renewed}");
    page.hear_nothing(std::time::Duration::from_secs(5)).await;
    page.say(json!({"type": "ping"})).await;
    page.hear("pong").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewal_that_is_refused_leaves_the_session_as_it_was() {
    let setup = Setup::with(close).await;
    let mut page = Page::open(setup.http).await;
    page.hello(json!({"token": token(SECRET, FAR, "dave")}))
        .await;
    renew(&mut page, json!({"token": token(SECRET, FAR, "alice")})).await;
    page.hear_error("wrong-user").await;
    renew(&mut page, json!({"token": token(SECRET, 1, "dave")})).await;
    page.hear_error("token-expired").await;
    let mut codes = Vec::new();
    for n in 0..8 {
        renew(&mut page, json!({"token": format!("x.y.{n}")})).await;
        let error = page.hear("error").await;
        codes.push(error["code"].as_str().expect("a code").to_owned());
    }
    assert_eq!(codes[..5], ["unauthorized"; 5]);
    assert_eq!(codes[5..], ["too-many-attempts"; 3]);
    page.say(json!({"type": "renew"})).await;
    page.hear_error("bad-message").await;
    page.say(json!({"type": "ping"})).await;
    page.hear("pong").await;

    let mut page = Page::user(setup.http, "alice", "wonderland").await;
    renew(&mut page, json!({"token": token(SECRET, FAR, "alice")})).await;
    page.hear_error("bad-state").await;
    page.say(json!({"type": "ping"})).await;
    page.hear("pong").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_refusal_of_a_renewal_delays_nothing_else() {
    let setup = Setup::with(|settings| {
        close(settings);
        settings.sign_in.refusal_delay = 2;
    })
    .await;
    let mut page = Page::open(setup.http).await;
    page.hello(json!({"token": token(SECRET, FAR, "dave")}))
        .await;
    renew(&mut page, json!({"token": "x.y.z"})).await;
    page.say(json!({"type": "ping"})).await;
    page.hear("pong").await;
    renew(&mut page, json!({"token": token(SECRET, FAR, "dave")})).await;
    page.hear_error("too-many-attempts").await;
    page.hear_error("unauthorized").await;
    renew(&mut page, json!({"token": token(SECRET, FAR, "dave")})).await;
    page.hear("token-renewed").await;
}
