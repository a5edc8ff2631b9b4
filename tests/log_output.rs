//! The binary, with a log that cannot be written, and what must not stand in one.
#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "real processes, real time")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, connect};

/// For what a busy machine does at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// More lines than a pipe and the queue of the log hold.
const REQUESTS: usize = 40_000;

const PASSWORD: &str = "correct-horse-of-a-user";
const WRONG_PASSWORD: &str = "battery-staple-that-is-wrong";
const TRUNK_PASSWORD: &str = "tin-whistle-of-a-trunk";
const JWT_KEY: &str = "key-of-tokens-with-thirty-two-bytes-and-more";
const TURN_CREDENTIAL: &str = "credential-of-a-relay";

/// The gateway's process, with addresses of its own.
struct Gateway {
    child: Child,
    http: SocketAddr,
    sip: SocketAddr,
    /// The socket of its trunk "pbx".
    pbx: UdpSocket,
    folder: PathBuf,
}

/// A port that was free a moment ago.
fn free_tcp() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

fn free_udp() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address")
}

impl Gateway {
    fn start(name: &str, filter: &str, more: &str, errors: Stdio) -> Self {
        let (http, sip) = (free_tcp(), free_udp());
        let pbx = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        pbx.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let target = pbx.local_addr().expect("an address");
        let folder = std::env::temp_dir().join(format!("trunkline-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("trunkline.toml");
        let text = format!(
            "[http]\nlisten = \"{http}\"\n[sip]\nlisten = [\"udp:{sip}\"]\n\
             [log]\nfilter = \"{filter}\"\n[[trunk]]\nname = \"pbx\"\n\
             target = \"sip:{target}\"\nhealth_check = 0\n{more}"
        );
        std::fs::write(&file, text).expect("a configuration");
        let child = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("the gateway starts");
        let mut gateway = Gateway {
            child,
            http,
            sip,
            pbx,
            folder,
        };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(http).is_err() {
            let ended = gateway.child.try_wait().expect("the state of a process");
            assert_eq!(ended, None, "the gateway has ended");
            assert!(Instant::now() < deadline, "the gateway does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        gateway
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let host = self.http;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// The first line of the answer to an OPTIONS of the trunk.
    fn options(&self, number: usize) -> String {
        let (own, sip) = (self.pbx.local_addr().expect("an address"), self.sip);
        let request = format!(
            "OPTIONS sip:{sip} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{number}\r\n\
             From: <sip:pbx@{own}>;tag=1\r\nTo: <sip:{sip}>\r\nCall-ID: {number}@{own}\r\n\
             CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        );
        let sent = self.pbx.send_to(request.as_bytes(), sip);
        sent.expect("a request");
        let mut answer = [0; 4096];
        let length = self.pbx.recv(&mut answer).expect("an answer");
        let text = String::from_utf8_lossy(&answer[..length]);
        text.lines().next().unwrap_or_default().to_owned()
    }

    /// What a page hears after its hello.
    fn sign_in(&self, mut hello: Value) -> Value {
        hello["type"] = json!("hello");
        hello["version"] = json!(1);
        let address = format!("ws://{}/rtc", self.http);
        let request = address.into_client_request().expect("an address");
        let (mut socket, _) = connect(request).expect("a WebSocket");
        socket
            .send(Message::text(hello.to_string()))
            .expect("a hello");
        let answer = socket.read().expect("an answer");
        serde_json::from_str(answer.to_text().expect("text")).expect("JSON")
    }

    fn counter(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        let value = line.expect("the counter").trim();
        value.parse().expect("a number")
    }

    /// Every door answers, twenty times.
    fn assert_works(&self) {
        for number in 0..20 {
            assert!(self.get("/health").starts_with("HTTP/1.1 200 "));
            let answer = self.options(number);
            assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
            let answer = self.sign_in(json!({"user": "alice", "password": PASSWORD}));
            assert_eq!(answer["type"], "welcome", "{answer}");
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The user who signs in.
fn alice() -> String {
    format!("[[user]]\nname = \"alice\"\npassword = \"{PASSWORD}\"\n")
}

#[test]
fn full_disk_under_the_log_leaves_every_door_open() {
    let full = File::options().write(true).open("/dev/full");
    let errors = Stdio::from(full.expect("a device without room"));
    let gateway = Gateway::start("full", "debug", &alice(), errors);
    gateway.assert_works();
    assert!(gateway.counter("trunkline_log_lines_dropped_total") > 0);
}

#[test]
fn log_reader_that_has_gone_leaves_every_door_open() {
    let mut gateway = Gateway::start("gone", "debug", &alice(), Stdio::piped());
    drop(gateway.child.stderr.take());
    gateway.assert_works();
    assert!(gateway.counter("trunkline_log_lines_dropped_total") > 0);
}

#[test]
fn log_reader_that_stands_still_stops_no_door() {
    let mut gateway = Gateway::start("still", "trace", &alice(), Stdio::piped());
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    // Each is counted and told at debug.
    let mut sent = 0;
    while gateway.counter("trunkline_log_lines_dropped_total") == 0 {
        assert!(sent < REQUESTS, "{REQUESTS} lines, and none was lost");
        for _ in 0..100 {
            socket
                .send_to(b"no SIP\r\n\r\n", gateway.sip)
                .expect("a datagram");
        }
        sent += 100;
        // Below what a flood is.
        std::thread::sleep(Duration::from_millis(30));
    }
    gateway.assert_works();
    // What waited is there in whole lines when the reader goes on.
    let mut errors = gateway.child.stderr.take().expect("a pipe");
    let mut waited = vec![0; 65_536];
    errors.read_exact(&mut waited).expect("what waited");
    let text = String::from_utf8_lossy(&waited);
    assert!(text.lines().count() > 100, "{text}");
}

/// Answers the first REGISTER with a challenge, each later one with 200; ends with its socket's
/// timeout. The number of REGISTERs that answered the challenge.
fn registrar(socket: &UdpSocket) -> usize {
    let mut proved = 0;
    let mut request = [0; 4096];
    while let Ok((length, source)) = socket.recv_from(&mut request) {
        let text = String::from_utf8_lossy(&request[..length]).into_owned();
        let proves = text.contains("Authorization: Digest");
        let copied: String = text
            .lines()
            .filter(|line| {
                ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:"]
                    .iter()
                    .any(|name| line.starts_with(name))
            })
            .map(|line| format!("{line}\r\n"))
            .collect();
        let (status, more) = if proves || !text.starts_with("REGISTER") {
            ("200 OK", "")
        } else {
            let challenge =
                "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"abc\", qop=\"auth\"\r\n";
            ("401 Unauthorized", challenge)
        };
        let answer = format!("SIP/2.0 {status}\r\n{copied}{more}Content-Length: 0\r\n\r\n");
        socket
            .send_to(answer.as_bytes(), source)
            .expect("an answer");
        if proves {
            proved += 1;
            break;
        }
    }
    proved
}

#[test]
fn log_at_its_most_talkative_holds_no_secret() {
    let pbx = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    pbx.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let address = pbx.local_addr().expect("an address");
    let more = format!(
        "[webrtc]\nice_servers = [{{ urls = [\"turn:127.0.0.1:9\"], username = \"relay-user\", \
         credential = \"{TURN_CREDENTIAL}\" }}]\n\
         [sign_in]\njwt_key = \"{JWT_KEY}\"\njwt_audience = \"trunkline\"\n\
         {}[[trunk]]\nname = \"office\"\ntarget = \"sip:{address}\"\nusername = \"1001\"\n\
         password = \"{TRUNK_PASSWORD}\"\nregister = true\n",
        alice(),
    );
    let mut gateway = Gateway::start("secrets", "trace", &more, Stdio::piped());
    let mut errors = gateway.child.stderr.take().expect("a pipe");
    let log = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).expect("the log");
        text
    });
    assert_eq!(registrar(&pbx), 1);
    let claims = json!({"sub": "bob", "exp": 4_000_000_000_u64, "aud": "trunkline"});
    let key = EncodingKey::from_secret(JWT_KEY.as_bytes());
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token");
    let welcome = gateway.sign_in(json!({"token": token}));
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    assert_eq!(
        welcome["iceServers"][0]["credential"], TURN_CREDENTIAL,
        "{welcome}"
    );
    let welcome = gateway.sign_in(json!({"user": "alice", "password": PASSWORD}));
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    let refused = gateway.sign_in(json!({"user": "alice", "password": WRONG_PASSWORD}));
    assert_eq!(refused["type"], "error", "{refused}");
    // A hello that cannot be read quotes itself where it is told of carelessly.
    gateway.sign_in(json!({"user": "alice", "password": [WRONG_PASSWORD]}));
    gateway.child.kill().expect("it runs");
    let text = log.join().expect("the log");
    assert!(text.contains("page signed in"), "{text}");
    assert!(text.contains("TRACE"), "nothing at trace was told");
    let signature = token.rsplit('.').next().expect("a signature");
    for secret in [
        PASSWORD,
        WRONG_PASSWORD,
        TRUNK_PASSWORD,
        JWT_KEY,
        TURN_CREDENTIAL,
        signature,
    ] {
        assert!(!text.contains(secret), "{secret} stands in the log");
    }
}
