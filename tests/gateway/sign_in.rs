//! Who may come in, and what the others are told.

use serde_json::json;
use trunkline::redacted::Redacted;
use trunkline::settings::{Secret, Settings, User};

use crate::browser::Browser;
use crate::page::Page;
use crate::setup::Setup;
use crate::sound::Coding;

/// A user of the configuration.
pub fn user(name: &str, password: &str) -> User {
    User {
        display_name: Some(name.to_uppercase()),
        ..User::new(name, Redacted::new(password.to_owned()))
    }
}

pub fn token(secret: &str, expires: u64, user: &str) -> String {
    let claims = json!({"sub": user, "exp": expires, "aud": "trunkline"});
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}

/// The key of tokens.
pub const SECRET: &str = "a secret of thirty-two bytes, yes";

/// A date in 2096.
pub const FAR: u64 = 4_000_000_000;

/// Users and tokens, no guests.
pub fn close(settings: &mut Settings) {
    settings.sign_in.anonymous = Some(false);
    settings.sign_in.jwt_key = Some(Secret(Redacted::new(SECRET.to_owned())));
    settings.sign_in.jwt_audience = Some("trunkline".to_owned());
    settings.sign_in.refusal_delay = 0;
    settings.user = vec![user("alice", "wonderland")];
}

async fn closed_world() -> Setup {
    Setup::with(close).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_refused_and_counted() {
    let setup = closed_world().await;
    let before = setup.counter("trunkline_sign_in_refused_total", &[]).await;
    let wrong = [
        json!({"user": "alice", "password": "Wonderland"}),
        json!({"user": "bob", "password": "wonderland"}),
        json!({"user": "alice"}),
        json!({}),
        json!({"token": token("other", FAR, "alice")}),
        json!({"token": token(SECRET, FAR, "a b")}),
        json!({"token": "x.y.z"}),
        json!({"user": "alice", "password": "x".repeat(9_000)}),
    ];
    for credentials in &wrong {
        let mut page = Page::open(setup.http).await;
        page.ask_in(credentials.clone()).await;
        let error = page.hear_error("unauthorized").await;
        // Alike for users that exist and those that do not.
        assert_eq!(error["methods"], json!(["password", "token"]));
        page.hear_goodbye("error").await;
    }
    let name = "trunkline_sign_in_refused_total";
    setup.counted(name, &[], before, wrong.len() as f64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_ones_open_the_door_and_name_the_caller() {
    let mut setup = closed_world().await;
    for (credentials, user, name) in [
        (
            json!({"user": "alice", "password": "wonderland"}),
            "alice",
            Some("ALICE"),
        ),
        (json!({"token": token(SECRET, FAR, "dave")}), "dave", None),
    ] {
        let mut page = Page::open(setup.http).await;
        let welcome = page.hello(credentials).await;
        assert_eq!(welcome["user"], user);
        let mut browser = Browser::new(Coding::Opus).await;
        page.call("c1", "600", &browser.offer().await).await;
        let leg = setup.pbx.called().await;
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
    let setup = Setup::start().await;
    let mut page = Page::open(setup.http).await;
    page.say(json!({"type": "ping"})).await;
    page.hear_error("not-signed-in").await;
    page.call("c1", "600", "v=0").await;
    page.hear_error("not-signed-in").await;
    page.hello(json!({})).await;
    assert!(page.user.starts_with("guest-"), "{}", page.user);
    page.ask_in(json!({})).await;
    page.hear_error("bad-message").await;

    let mut newer = Page::open(setup.http).await;
    newer.say(json!({"type": "hello", "version": 2})).await;
    newer.hear_error("unsupported-version").await;
    newer.hear_goodbye("error").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_token_is_told_from_a_wrong_one() {
    let setup = closed_world().await;
    let mut page = Page::open(setup.http).await;
    page.ask_in(json!({"token": token(SECRET, 1, "alice")}))
        .await;
    page.hear_error("token-expired").await;
    page.hear_goodbye("error").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_names_the_methods_of_the_configuration() {
    let setup = Setup::with(|settings| settings.sign_in.refusal_delay = 0).await;
    for credentials in [
        json!({"user": "alice", "password": "wrong"}),
        json!({"user": "no-such-user", "password": "wrong"}),
        json!({"token": "x.y.z"}),
    ] {
        let mut page = Page::open(setup.http).await;
        page.ask_in(credentials).await;
        let error = page.hear_error("unauthorized").await;
        assert_eq!(error["methods"], json!(["password", "guest"]), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guest_reaches_no_route_that_does_not_say_so() {
    let mut setup = Setup::with(|settings| {
        let open = trunkline::settings::Route {
            guests: true,
            ..trunkline::settings::Route::new("7.*", "pbx")
        };
        settings.route.insert(0, open);
    })
    .await;
    let mut page = Page::open(setup.http).await;
    let welcome = page.hello(json!({"user": "carol"})).await;
    assert_eq!(welcome["user"], "guest-carol");
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    page.call("c1", "600", &offer).await;
    page.hear_end("forbidden").await;
    page.say(json!({"type": "message", "to": "600", "text": "hello"}))
        .await;
    let failed = page.hear("message-failed").await;
    assert_eq!(failed["code"], "forbidden", "{failed}");

    page.say(json!({"type": "call", "call": "c2", "to": "700", "sdp": offer, "name": "Alice"}))
        .await;
    let leg = setup.pbx.called().await;
    assert_eq!(
        (leg.caller.as_str(), leg.caller_name.as_deref()),
        ("guest-carol", Some("Guest (Alice)"))
    );
    page.hear("answer").await;
    leg.refuse(486).await;
    page.hear_end("busy").await;
}
