//! Messages that a page should not send: each gets its documented error, the others' calls go on.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::browser::Browser;
use crate::page::Page;
use crate::setup::Setup;
use crate::sound::{Coding, PATIENCE};

const REFUSED: &str = "trunkline_messages_refused_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_are_refused_one_by_one() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();

    let mut page = setup.page("mallory").await;
    for (text, code) in [
        ("", "bad-json"),
        ("{", "bad-json"),
        ("\u{0}", "bad-json"),
        (r#"{"type": "ping""#, "bad-json"),
        (r#"{"type": "ping"} x"#, "bad-json"),
        ("[]", "bad-message"),
        ("7", "bad-message"),
        ("{}", "bad-message"),
        (r#"{"type": 7}"#, "bad-message"),
        (r#"{"type": "transmogrify"}"#, "bad-message"),
        (r#"{"type": "ping", "extra": 1}"#, "bad-message"),
        (r#"{"type": "hangup"}"#, "bad-message"),
        (r#"{"type": "hangup", "call": 7}"#, "bad-message"),
        (r#"{"type": "hello", "version": 1}"#, "bad-message"),
        (
            r#"{"type": "hold", "call": "c1", "on": "yes"}"#,
            "bad-message",
        ),
        (
            r#"{"type": "dtmf", "call": "c1", "digits": "12x"}"#,
            "bad-message",
        ),
        (
            r#"{"type": "dtmf", "call": "c1", "digits": ""}"#,
            "bad-message",
        ),
        (
            r#"{"type": "dtmf", "call": "c1", "digits": "1,,,,,,,,,,,2"}"#,
            "bad-message",
        ),
        (
            r#"{"type": "dtmf", "call": "c1", "digits": "1", "duration": 9999}"#,
            "bad-message",
        ),
        (
            r#"{"type": "call", "call": "a b", "to": "600", "sdp": ""}"#,
            "bad-message",
        ),
        (
            r#"{"type": "call", "call": "", "to": "600", "sdp": ""}"#,
            "bad-message",
        ),
        // Somebody else's call is not this page's.
        (r#"{"type": "hangup", "call": "c1"}"#, "unknown-call"),
        (
            r#"{"type": "candidate", "call": "c1", "candidate": null}"#,
            "unknown-call",
        ),
        (
            r#"{"type": "accept", "call": "in-1", "sdp": ""}"#,
            "unknown-call",
        ),
    ] {
        let before = setup.counter(REFUSED, &[("code", code)]).await;
        page.say_text(text.to_owned()).await;
        page.hear_error(code).await;
        setup.counted(REFUSED, &[("code", code)], before, 1.0).await;
    }
    let nested = "[".repeat(30_000);
    page.say_text(nested).await;
    page.hear_error("bad-message").await;
    page.send(Message::binary(vec![0; 10])).await.expect("sent");
    page.hear_error("bad-message").await;

    // What needs a call of this page's own.
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    page.call("mine", "600", &offer).await;
    page.hear("answer").await;
    page.call("mine", "600", &offer).await;
    page.hear_error("duplicate-call").await;
    for message in [
        json!({"type": "hold", "call": "mine", "on": true}),
        json!({"type": "accept", "call": "mine", "sdp": offer}),
        json!({"type": "dtmf", "call": "mine", "digits": "1"}),
    ] {
        page.say(message).await;
        let error = page.hear_error("bad-state").await;
        assert_eq!(error["call"], "mine");
    }
    // A candidate that is none hurts nobody.
    for candidate in [
        "candidate:x",
        "x",
        "candidate:1 1 udp 1 256.0.0.1 1 typ host",
        "\r\n",
    ] {
        let candidate = json!({"candidate": candidate, "sdpMid": "0"});
        page.say(json!({"type": "candidate", "call": "mine", "candidate": candidate}))
            .await;
    }
    page.hang_up("mine").await;
    page.hear_end("cancelled").await;

    talk.was_undisturbed().await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_hundred_messages_a_second_close_the_socket() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();
    let before = setup.counter(REFUSED, &[("code", "rate-limited")]).await;
    let mut page = setup.page("mallory").await;
    // A hundred are allowed at once, and one more every 10 ms.
    for _ in 0..1_000 {
        if page
            .send(Message::text(r#"{"type":"ping"}"#))
            .await
            .is_err()
        {
            break;
        }
    }
    let mut pongs = 0;
    let error = loop {
        let message = page.next().await;
        if message["type"] != "pong" {
            break message;
        }
        pongs += 1;
    };
    assert_eq!(error["code"], "rate-limited", "{error}");
    assert!(pongs >= 99, "only {pongs} were answered");
    page.hear_goodbye("error").await;
    setup
        .counted(REFUSED, &[("code", "rate-limited")], before, 1.0)
        .await;
    talk.was_undisturbed().await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_and_binary_frames_count_as_messages() {
    let setup = Setup::start().await;
    let frames = [
        Message::Ping(vec![7; 8].into()),
        Message::Pong(vec![7; 8].into()),
        Message::Binary(vec![7; 8].into()),
    ];
    for frame in frames {
        let before = setup.counter(REFUSED, &[("code", "rate-limited")]).await;
        let mut page = setup.page("mallory").await;
        for _ in 0..1_000 {
            if page.send(frame.clone()).await.is_err() {
                break;
            }
        }
        let error = loop {
            let message = page.next().await;
            if message["code"] != "bad-message" {
                break message;
            }
        };
        assert_eq!(error["code"], "rate-limited", "{frame:?}: {error}");
        page.hear_goodbye("error").await;
        setup
            .counted(REFUSED, &[("code", "rate-limited")], before, 1.0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_ten_megabytes_is_refused_and_the_socket_closed() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();
    for signed_in in [true, false] {
        let before = setup.counter(REFUSED, &[("code", "too-large")]).await;
        let config = WebSocketConfig::default()
            .max_frame_size(None)
            .max_message_size(None);
        let address = format!("ws://{}/rtc", setup.http);
        let (socket, _) =
            tokio_tungstenite::connect_async_with_config(address, Some(config), false)
                .await
                .expect("the door opens");
        let (mut sink, mut stream) = socket.split();
        if signed_in {
            let hello = json!({"type": "hello", "version": 1});
            sink.send(Message::text(hello.to_string()))
                .await
                .expect("sent");
            let welcome = stream.next().await.expect("welcome").expect("a frame");
            assert!(welcome.is_text());
        }
        // A browser reads while it writes.
        let writing = tokio::spawn(async move {
            let huge = "x".repeat(10 * 1024 * 1024);
            let _ = sink.send(Message::text(huge)).await;
            sink
        });
        let mut heard: Vec<Value> = Vec::new();
        let mut code = None;
        let reading = async {
            while let Some(Ok(message)) = stream.next().await {
                match message {
                    Message::Text(text) => {
                        heard.push(serde_json::from_str(&text).expect("JSON"));
                    }
                    Message::Close(frame) => code = frame.map(|frame| u16::from(frame.code)),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("the socket is closed");
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert_eq!(heard[0]["code"], "too-large");
        assert_eq!(heard[1], json!({"type": "goodbye", "reason": "error"}));
        assert_eq!(code, Some(1_009));
        writing.abort();
        setup
            .counted(REFUSED, &[("code", "too-large")], before, 1.0)
            .await;
    }
    // The largest message that is allowed is no reason to close.
    let mut page: Page = setup.page("bob").await;
    page.call("c1", "nowhere", &"x".repeat(60_000)).await;
    page.hear_end("not-found").await;
    talk.was_undisturbed().await;
    talk.end().await;
}
