//! Many wrong passwords and tokens: few are looked at, and nobody else waits for them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline::settings::Settings;

use crate::page::Page;
use crate::setup::Setup;
use crate::sign_in::{FAR, SECRET, close, token};

const REFUSED: &str = "trunkline_sign_in_refused_total";

/// A proxy on this machine tells where clients are.
async fn proxied_world(change: impl FnOnce(&mut Settings)) -> Setup {
    Setup::with(|settings| {
        close(settings);
        settings.http.trusted_proxies = vec!["127.0.0.1".to_owned()];
        change(settings);
    })
    .await
}

fn password(text: &str) -> Value {
    json!({"user": "alice", "password": text})
}

/// What becomes of these credentials from that address: the code of the error, or `welcome`.
async fn outcome(setup: &Setup, from: &str, credentials: Value) -> (Page, Value) {
    let mut page = Page::open_for(setup.http, from).await;
    page.ask_in(credentials).await;
    let answer = page.next().await;
    (page, answer)
}

/// Tries credentials `n` times; how many were looked at.
async fn tried(
    setup: &Setup,
    n: usize,
    from: impl Fn(usize) -> String,
    wrong: impl Fn(usize) -> Value,
) -> usize {
    let mut looked_at = 0;
    for turn in 0..n {
        let (mut page, answer) = outcome(setup, &from(turn), wrong(turn)).await;
        match answer["code"].as_str() {
            Some("unauthorized") => looked_at += 1,
            Some("too-many-attempts") => {
                let seconds = answer["retryAfter"].as_u64().expect("seconds");
                assert!((1..=150).contains(&seconds), "{answer}");
                assert_eq!(answer.get("methods"), None, "{answer}");
            }
            _ => panic!("{answer}"),
        }
        page.hear_goodbye("error").await;
    }
    looked_at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_from_one_address_leave_the_user_in_from_another() {
    let setup = proxied_world(|_| {}).await;
    let before = setup
        .counter(REFUSED, &[("reason", "too_many_attempts")])
        .await;
    let from = |_| "192.0.2.1".to_owned();
    let looked_at = tried(&setup, 30, from, |n| password(&format!("guess {n}"))).await;
    assert_eq!(looked_at, 5);
    setup
        .counted(REFUSED, &[("reason", "too_many_attempts")], before, 25.0)
        .await;
    let (_, answer) = outcome(&setup, "192.0.2.1", password("wonderland")).await;
    assert_eq!(answer["code"], "too-many-attempts", "not looked at either");
    let (_page, answer) = outcome(&setup, "192.0.2.2", password("wonderland")).await;
    assert_eq!(answer["type"], "welcome", "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_of_an_ipv6_64_are_one_address_and_users_share_its_budget() {
    let setup = proxied_world(|_| {}).await;
    let from = |n: usize| format!("2001:db8:0:7::{n:x}");
    let looked_at = tried(
        &setup,
        40,
        from,
        |n| json!({"user": format!("user-{n}"), "password": "guess"}),
    )
    .await;
    // On a slow machine some more are earned meanwhile.
    assert!((20..30).contains(&looked_at), "{looked_at}");
    let (_page, answer) = outcome(&setup, "2001:db8:0:8::1", password("wonderland")).await;
    assert_eq!(answer["type"], "welcome", "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tokens_are_limited_as_passwords_are() {
    let setup = proxied_world(|_| {}).await;
    let from = |_| "192.0.2.1".to_owned();
    let forged = |n: usize| {
        let secret = format!("not the secret of this gateway: {n:04}");
        json!({"token": token(&secret, FAR, "alice")})
    };
    assert_eq!(tried(&setup, 10, from, forged).await, 5);
    let unreadable = |n: usize| json!({"token": format!("x.y.{n}")});
    assert_eq!(tried(&setup, 10, from, unreadable).await, 5);
    // An expired one is no guess, however often its page comes.
    for _ in 0..10 {
        let expired = json!({"token": token(SECRET, 1, "dave")});
        let (_, answer) = outcome(&setup, "192.0.2.1", expired).await;
        assert_eq!(answer["code"], "token-expired", "{answer}");
    }
    let good = json!({"token": token(SECRET, FAR, "dave")});
    let (_page, answer) = outcome(&setup, "192.0.2.1", good).await;
    assert_eq!(answer["type"], "welcome", "{answer}");
}

/// Shows a new token in a session; the code of the answer, or `token-renewed`.
async fn renewed(page: &mut Page, secret: &str, user: &str) -> String {
    page.say(json!({"type": "renew", "token": token(secret, FAR, user)}))
        .await;
    let answer = page.next().await;
    if let Some(seconds) = answer["retryAfter"].as_u64() {
        assert!((1..=150).contains(&seconds), "{answer}");
    }
    let code = answer["code"].as_str().or(answer["type"].as_str());
    code.expect("an answer").to_owned()
}

const FORGED: &str = "not the secret of this gateway: 0001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_renewals_are_limited_in_whatever_session_they_come() {
    let setup = proxied_world(|_| {}).await;
    let mut sessions = Vec::new();
    for _ in 0..8 {
        let good = json!({"token": token(SECRET, FAR, "bob")});
        let (page, answer) = outcome(&setup, "192.0.2.1", good).await;
        assert_eq!(answer["type"], "welcome", "{answer}");
        sessions.push(page);
    }
    let mut looked_at = 0;
    for page in &mut sessions {
        for _ in 0..4 {
            looked_at += u32::from(renewed(page, FORGED, "alice").await == "unauthorized");
        }
        assert_eq!(renewed(page, SECRET, "bob").await, "token-renewed");
    }
    assert_eq!(looked_at, 5);
    // His own name does not help either.
    let mut looked_at = 0;
    for page in &mut sessions {
        for _ in 0..4 {
            looked_at += u32::from(renewed(page, FORGED, "bob").await == "unauthorized");
        }
        let _ = renewed(page, SECRET, "bob").await;
    }
    assert_eq!(looked_at, 5);
    let (_page, answer) = outcome(&setup, "192.0.2.1", password("wonderland")).await;
    assert_eq!(
        answer["type"], "welcome",
        "10 of 20 at this address: {answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_sign_ins_of_others_leave_the_renewal_of_a_session() {
    let setup = proxied_world(|_| {}).await;
    let good = json!({"token": token(SECRET, FAR, "dave")});
    let (mut dave, answer) = outcome(&setup, "192.0.2.1", good).await;
    assert_eq!(answer["type"], "welcome", "{answer}");
    let from = |_| "192.0.2.1".to_owned();
    let of_dave = |_| json!({"token": token(FORGED, FAR, "dave")});
    assert_eq!(tried(&setup, 8, from, of_dave).await, 5);
    assert_eq!(renewed(&mut dave, SECRET, "dave").await, "token-renewed");
    let of_all = |n| json!({"token": token(FORGED, FAR, &format!("user-{n}"))});
    assert_eq!(tried(&setup, 30, from, of_all).await, 15);
    assert_eq!(renewed(&mut dave, SECRET, "dave").await, "token-renewed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_users_without_a_password_are_limited_where_guests_have_names() {
    let setup = proxied_world(|settings| settings.sign_in.anonymous = Some(true)).await;
    let from = |_| "192.0.2.1".to_owned();
    let named = |_| json!({"user": "alice"});
    assert_eq!(tried(&setup, 30, from, named).await, 20);
    // Whether a name is a user's is not told any more.
    let (_, answer) = outcome(&setup, "192.0.2.1", json!({"user": "walter"})).await;
    assert_eq!(answer["code"], "too-many-attempts", "{answer}");
    for (address, credentials) in [
        ("192.0.2.1", json!({})),
        ("192.0.2.1", password("wonderland")),
        ("192.0.2.2", json!({"user": "walter"})),
    ] {
        let (_page, answer) = outcome(&setup, address, credentials).await;
        assert_eq!(answer["type"], "welcome", "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_without_credentials_are_no_guesses_and_have_a_reason_of_their_own() {
    let setup = proxied_world(|_| {}).await;
    let visitors = [("reason", "no_credentials")];
    let before = setup.counter(REFUSED, &visitors).await;
    for n in 0..30 {
        let shown = if n % 2 == 0 {
            json!({})
        } else {
            json!({"user": "alice"})
        };
        let (_, answer) = outcome(&setup, "192.0.2.1", shown).await;
        assert_eq!(answer["code"], "unauthorized", "{answer}");
        assert_eq!(answer["methods"], json!(["password", "token"]), "{answer}");
    }
    setup.counted(REFUSED, &visitors, before, 30.0).await;
    let (_page, answer) = outcome(&setup, "192.0.2.1", password("wonderland")).await;
    assert_eq!(answer["type"], "welcome", "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_held_back_and_hold_nothing_else() {
    let setup = proxied_world(|settings| settings.sign_in.refusal_delay = 3).await;
    let began = Instant::now();
    let mut guesses = Vec::new();
    for n in 0..10 {
        let mut page = Page::open_for(setup.http, "192.0.2.1").await;
        page.ask_in(password(&format!("guess {n}"))).await;
        guesses.push(page);
    }
    let (_page, answer) = outcome(&setup, "192.0.2.2", password("wonderland")).await;
    assert_eq!(answer["type"], "welcome", "{answer}");
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    for page in &mut guesses {
        assert_eq!(page.next().await["type"], "error");
    }
    assert!(
        began.elapsed() >= Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}
