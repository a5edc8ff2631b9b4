//! Frames that a WebSocket library would not send (RFC 6455 section 5): forbidden ones end the
//! connection with the close code of their kind, fragments without end are limited as messages are.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setup::Setup;
use crate::sound::PATIENCE;

const REFUSED: &str = "trunkline_messages_refused_total";
const HELLO: &str = r#"{"type":"hello","version":1}"#;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const PING: u8 = 0x9;
const FINAL: u8 = 0x80;

/// A frame with a masking key of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// What the gateway sent.
enum Heard {
    Json(Value),
    Control,
    Close(Option<u16>),
}

/// A connection to `/rtc`, frame by frame.
struct Raw(TcpStream);

impl Raw {
    async fn open(setup: &Setup) -> Self {
        let mut stream = TcpStream::connect(setup.http).await.expect("it listens");
        let request = "GET /rtc HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                       Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a response"));
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        Raw(stream)
    }

    async fn signed_in(setup: &Setup) -> Self {
        let mut raw = Raw::open(setup).await;
        raw.send(&frame(FINAL | TEXT, HELLO.as_bytes())).await;
        raw.hear_welcome().await;
        raw
    }

    async fn hear_welcome(&mut self) {
        loop {
            if let Heard::Json(message) = self.hear().await {
                assert_eq!(message["type"], "welcome", "{message}");
                return;
            }
        }
    }

    async fn send(&mut self, octets: &[u8]) {
        // The gateway may have closed it.
        let _ = self.0.write_all(octets).await;
    }

    async fn hear(&mut self) -> Heard {
        let read = async {
            let first = self.0.read_u8().await.expect("open until a close frame");
            let length = match self.0.read_u8().await.expect("a length") {
                126 => usize::from(self.0.read_u16().await.expect("a length")),
                127 => panic!("the gateway sends nothing that long"),
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.expect("a payload");
            match first & 0xf {
                0x1 => Heard::Json(serde_json::from_slice(&payload).expect("JSON")),
                0x8 => Heard::Close(
                    payload
                        .first_chunk()
                        .map(|code: &[u8; 2]| u16::from_be_bytes(*code)),
                ),
                _ => Heard::Control,
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("it answers in time")
    }

    /// Hears `error`, `goodbye` and the close frame; gives the error's code and the close code.
    async fn end(&mut self) -> (String, u16) {
        let (mut error, mut goodbye) = (String::new(), false);
        loop {
            match self.hear().await {
                Heard::Json(message) if message["type"] == "error" => {
                    error = message["code"].as_str().expect("a code").to_owned();
                }
                Heard::Json(message) => {
                    assert_eq!(message["type"], "goodbye", "{message}");
                    goodbye = true;
                }
                Heard::Control => {}
                Heard::Close(code) => {
                    assert!(goodbye, "goodbye comes before the close frame");
                    return (error, code.expect("a close code"));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_without_end_are_limited_as_messages_are() {
    let setup = Setup::start().await;
    let begin = frame(TEXT, b"");
    let ping = frame(FINAL | PING, b"");
    let empty = frame(CONTINUATION, b"");
    let octet = frame(CONTINUATION, b" ");
    let whole = [frame(TEXT, b""), frame(FINAL | CONTINUATION, b"{}")].concat();
    for (name, begin, repeated) in [
        ("empty continuations", &begin[..], empty.clone()),
        ("continuations of one octet", &begin[..], octet.clone()),
        (
            "continuations with pings between",
            &begin[..],
            [empty, ping].concat(),
        ),
        ("messages in two fragments", &[], whole),
    ] {
        for signed_in in [true, false] {
            let before = setup.counter(REFUSED, &[("code", "rate-limited")]).await;
            let mut raw = if signed_in {
                Raw::signed_in(&setup).await
            } else {
                Raw::open(&setup).await
            };
            raw.send(begin).await;
            raw.send(&repeated.repeat(300)).await;
            let (error, code) = raw.end().await;
            assert_eq!((error.as_str(), code), ("rate-limited", 1008), "{name}");
            setup
                .counted(REFUSED, &[("code", "rate-limited")], before, 1.0)
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_in_some_fragments_is_read() {
    let setup = Setup::start().await;
    let mut raw = Raw::open(&setup).await;
    raw.send(&frame(TEXT, b"")).await;
    for octet in HELLO.as_bytes() {
        raw.send(&frame(CONTINUATION, &[*octet])).await;
    }
    raw.send(&frame(FINAL | PING, b"between")).await;
    raw.send(&frame(FINAL | CONTINUATION, b"")).await;
    raw.hear_welcome().await;
    // The first frame may come with the request's last octets, and in pieces.
    let mut raw = Raw::open(&setup).await;
    for octet in frame(FINAL | TEXT, HELLO.as_bytes()) {
        raw.send(&[octet]).await;
    }
    raw.hear_welcome().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forbidden_frame_ends_the_connection_with_its_close_code() {
    let setup = Setup::start().await;
    let endless = [
        &[FINAL | TEXT, 0xff][..],
        &(1_u64 << 40).to_be_bytes(),
        &[0; 4],
    ]
    .concat();
    let long = vec![b'x'; 40 * 1024];
    let too_long = [frame(TEXT, &long), frame(FINAL | CONTINUATION, &long)].concat();
    for (name, octets, error, code) in [
        (
            "not masked",
            vec![FINAL | TEXT, 2, b'{', b'}'],
            "protocol-error",
            1002,
        ),
        (
            "reserved bit",
            frame(FINAL | 0x40 | TEXT, b"{}"),
            "protocol-error",
            1002,
        ),
        (
            "reserved data opcode",
            frame(FINAL | 0x3, b""),
            "protocol-error",
            1002,
        ),
        (
            "reserved control opcode",
            frame(FINAL | 0xb, b""),
            "protocol-error",
            1002,
        ),
        (
            "continuation of nothing",
            frame(FINAL | CONTINUATION, b"{}"),
            "protocol-error",
            1002,
        ),
        (
            "message within a message",
            [frame(TEXT, b"{"), frame(FINAL | TEXT, b"}")].concat(),
            "protocol-error",
            1002,
        ),
        ("fragmented ping", frame(PING, b""), "protocol-error", 1002),
        (
            "long ping",
            frame(FINAL | PING, &[0; 126]),
            "protocol-error",
            1002,
        ),
        (
            "close frame of one octet",
            frame(FINAL | 0x8, b"x"),
            "protocol-error",
            1002,
        ),
        (
            "text that is not UTF-8",
            frame(FINAL | TEXT, b"\"\xff\""),
            "invalid-text",
            1007,
        ),
        (
            "fragments that are not UTF-8",
            [frame(TEXT, b"\"\xc3"), frame(FINAL | CONTINUATION, b"\"")].concat(),
            "invalid-text",
            1007,
        ),
        (
            "reason that is not UTF-8",
            frame(FINAL | 0x8, b"\x03\xe8\xff"),
            "invalid-text",
            1007,
        ),
        ("length of 2^40", endless, "too-large", 1009),
        ("fragments of 80 KiB", too_long, "too-large", 1009),
    ] {
        for signed_in in [true, false] {
            let before = setup.counter(REFUSED, &[("code", error)]).await;
            let mut raw = if signed_in {
                Raw::signed_in(&setup).await
            } else {
                Raw::open(&setup).await
            };
            raw.send(&octets).await;
            let ended = raw.end().await;
            assert_eq!((ended.0.as_str(), ended.1), (error, code), "{name}");
            setup
                .counted(REFUSED, &[("code", error)], before, 1.0)
                .await;
            // The gateway closes the connection soon, whether the client does or not. For each
            // kind alike: one is waited for.
            if name != "not masked" {
                continue;
            }
            let closed = async { while raw.0.read_u8().await.is_ok() {} };
            tokio::time::timeout(Duration::from_secs(5), closed)
                .await
                .expect("it is closed");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrade_that_is_not_right_is_refused_and_the_subprotocol_is_given() {
    let setup = Setup::start().await;
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let asked = "Sec-WebSocket-Protocol: other, trunkline.v1\r\n";
    let other = "Sec-WebSocket-Protocol: other\r\n";
    for (lines, status, contained) in [
        (String::new(), "426", "upgrade: websocket"),
        (
            format!("{upgrade}{key}"),
            "426",
            "sec-websocket-version: 13",
        ),
        (format!("{upgrade}{version}"), "400", "Sec-WebSocket-Key"),
        (
            format!("{upgrade}{version}{key}"),
            "101",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        ),
        (
            format!("{upgrade}{version}{key}{asked}"),
            "101",
            "sec-websocket-protocol: trunkline.v1\r\n",
        ),
        (format!("{upgrade}{version}{key}{other}"), "101", "\r\n\r\n"),
    ] {
        let mut stream = TcpStream::connect(setup.http).await.expect("it listens");
        let request = format!("GET /rtc HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = vec![0; 4_096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut head)).await;
        let length = read.expect("a response in time").expect("a response");
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains(contained), "{head}");
        let names = head.contains("sec-websocket-protocol");
        assert_eq!(names, lines.contains("trunkline.v1"), "{head}");
    }
}
