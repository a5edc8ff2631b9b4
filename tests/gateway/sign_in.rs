//! Who may come in, and what the others are told.

use serde_json::json;
use trunkline::redacted::Redacted;
use trunkline::settings::{Secret, User};

use crate::browser::Browser;
use crate::page::Page;
use crate::sound::Coding;
use crate::world::World;

/// A user of the configuration.
pub fn user(name: &str, password: &str) -> User {
    User {
        display_name: Some(name.to_uppercase()),
        ..User::new(name, Redacted::new(password.to_owned()))
    }
}

fn token(secret: &str, expires: u64, user: &str) -> String {
    let claims = json!({"sub": user, "exp": expires});
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}

/// A date in 2096.
const FAR: u64 = 4_000_000_000;

async fn closed_world() -> World {
    World::with(|settings| {
        settings.sign_in.anonymous = false;
        settings.sign_in.jwt_key = Some(Secret(Redacted::new("s3cret".to_owned())));
        settings.user = vec![user("alice", "wonderland")];
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_refused_and_counted() {
    let world = closed_world().await;
    let before = world.counter("trunkline_sign_in_refused_total", &[]).await;
    let wrong = [
        json!({"user": "alice", "password": "Wonderland"}),
        json!({"user": "bob", "password": "wonderland"}),
        json!({"user": "alice"}),
        json!({}),
        json!({"token": token("other", FAR, "alice")}),
        json!({"token": token("s3cret", 1, "alice")}),
        json!({"token": token("s3cret", FAR, "a b")}),
        json!({"token": "x.y.z"}),
        json!({"user": "alice", "password": "x".repeat(9_000)}),
    ];
    for credentials in &wrong {
        let mut page = Page::open(world.http).await;
        page.ask_in(credentials.clone()).await;
        page.hear_error("unauthorized").await;
        page.hear_goodbye("error").await;
    }
    let name = "trunkline_sign_in_refused_total";
    world.counted(name, &[], before, wrong.len() as f64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_ones_open_the_door_and_name_the_caller() {
    let mut world = closed_world().await;
    for (credentials, user, name) in [
        (
            json!({"user": "alice", "password": "wonderland"}),
            "alice",
            Some("ALICE"),
        ),
        (json!({"token": token("s3cret", FAR, "dave")}), "dave", None),
    ] {
        let mut page = Page::open(world.http).await;
        let welcome = page.hello(credentials).await;
        assert_eq!(welcome["user"], user);
        let mut browser = Browser::new(Coding::Opus).await;
        page.call("c1", "600", &browser.offer().await).await;
        let leg = world.pbx.called().await;
        assert_eq!(
            (leg.caller.as_str(), leg.caller_name.as_deref()),
            (user, name)
        );
        page.hear("answer").await;
        leg.refuse(486).await;
        page.hear_end("busy").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_before_hello_and_nothing_but_version_1() {
    let world = World::start().await;
    let mut page = Page::open(world.http).await;
    page.say(json!({"type": "ping"})).await;
    page.hear_error("not-signed-in").await;
    page.call("c1", "600", "v=0").await;
    page.hear_error("not-signed-in").await;
    page.hello(json!({})).await;
    assert!(page.user.starts_with("guest-"), "{}", page.user);
    page.ask_in(json!({})).await;
    page.hear_error("bad-message").await;

    let mut newer = Page::open(world.http).await;
    newer.say(json!({"type": "hello", "version": 2})).await;
    newer.hear_error("unsupported-version").await;
    newer.hear_goodbye("error").await;
}
