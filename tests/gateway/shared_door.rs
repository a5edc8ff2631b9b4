//! Several sources at one HTTP door: one that takes all it may have, a proxy with many clients,
//! names that are not ours.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::page::Page;
use crate::setup::Setup;
use crate::sound::PATIENCE;

const REFUSED: &str = "trunkline_sockets_refused_total";

async fn connect(to: SocketAddr, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from(([127, 0, 0, last], 0)))
        .expect("all of 127/8 is loopback");
    socket.connect(to).await.expect("it listens")
}

/// The status of an upgrade to `/rtc` with these header lines, and its connection.
async fn upgrade(to: SocketAddr, last: u8, lines: &str) -> (u16, TcpStream) {
    let mut stream = connect(to, last).await;
    let request = format!(
        "GET /rtc HTTP/1.1\r\n{lines}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let status = answered(&mut stream, &request).await;
    (status, stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_without_a_request_from_one_address_leave_the_door_to_others() {
    let setup = Setup::with(|settings| {
        settings.http.max_connections = 60;
        settings.http.max_connections_per_address = 20;
    })
    .await;
    let before = setup
        .counter(REFUSED, &[("reason", "connections_per_address")])
        .await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(connect(setup.http, 2).await);
    }
    setup
        .counted(
            REFUSED,
            &[("reason", "connections_per_address")],
            before,
            80.0,
        )
        .await;
    let _page: Page = setup.page("bob").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_a_trusted_proxy_are_limited_each_and_not_together() {
    let setup = Setup::with(|settings| {
        settings.http.trusted_proxies = vec!["127.0.0.3/32".to_owned()];
        settings.http.max_connections_per_address = 5;
        settings.http.max_sockets_per_address = 2;
    })
    .await;
    let mut held = Vec::new();
    for client in 0..15 {
        let lines = if client % 2 == 0 {
            format!("Host: localhost\r\nX-Forwarded-For: 203.0.113.66, 198.51.100.{client}\r\n")
        } else {
            format!("Host: localhost\r\nForwarded: for=\"[2001:db8:0:{client}::1]:1\"\r\n")
        };
        for _ in 0..2 {
            let (status, stream) = upgrade(setup.http, 3, &lines).await;
            assert_eq!(status, 101, "{lines}");
            held.push(stream);
        }
        let (status, _) = upgrade(setup.http, 3, &lines).await;
        assert_eq!(status, 503, "a third of the same client: {lines}");
    }
    // Who is no proxy is believed nothing.
    for client in 0..3 {
        let lines = format!("Host: localhost\r\nX-Forwarded-For: 192.0.2.{client}\r\n");
        let (status, stream) = upgrade(setup.http, 4, &lines).await;
        assert_eq!(status, if client < 2 { 101 } else { 503 });
        held.push(stream);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_name_was_bound_to_our_address_is_refused() {
    let setup = Setup::with(|settings| {
        settings.http.host_names = vec!["phone.example".to_owned()];
    })
    .await;
    for (lines, expected) in [
        ("Host: evil.example\r\nOrigin: http://evil.example\r\n", 421),
        ("Host: evil.example\r\n", 421),
        ("Host: 127.0.0.1\r\nOrigin: http://evil.example\r\n", 403),
        ("Host: phone.example\r\nOrigin: null\r\n", 403),
        ("Host: phone.example\r\nHost: evil.example\r\n", 400),
        (
            "Host: phone.example\r\nOrigin: http://phone.example\r\n",
            101,
        ),
        (
            "Host: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:8080\r\n",
            101,
        ),
        ("Host: localhost\r\n", 101),
    ] {
        let (status, _) = upgrade(setup.http, 2, lines).await;
        assert_eq!(status, expected, "{lines}");
    }
    let mut stream = connect(setup.http, 2).await;
    let request = b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("it is open");
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("an answer in time").expect("an answer");
    assert!(answer.contains("http.host_names"), "{answer}");
}

/// The status that a request gets.
async fn answered(stream: &mut TcpStream, request: &str) -> u16 {
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it is open");
    let mut head = [0; 12];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut head)).await;
    read.expect("an answer in time").expect("an answer");
    let status = String::from_utf8_lossy(&head[9..]).parse();
    status.expect("a status")
}

/// The status of a request whose head is `head`, from an address of its own.
async fn status_of(to: SocketAddr, head: &str) -> u16 {
    let mut stream = connect(to, 6).await;
    let request = format!("{head}\r\n");
    answered(&mut stream, &request).await
}

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_without_one_readable_host_gets_400() {
    let setup = Setup::start().await;
    for (target, lines, ok) in [("/", "", 200), ("/health", "", 200), ("/rtc", UPGRADE, 101)] {
        for (host, expected) in [
            ("", 400),
            ("Host:\r\n", 400),
            ("Host: a b\r\n", 400),
            ("Host: user@localhost\r\n", 400),
            ("Host: localhost:port\r\n", 400),
            ("Host: localhost\r\nHost: localhost\r\n", 400),
            ("Host: localhost\r\n", ok),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\n{host}{lines}");
            assert_eq!(status_of(setup.http, &head).await, expected, "{head}");
        }
    }
    let old = "GET /health HTTP/1.0\r\n";
    assert_eq!(status_of(setup.http, old).await, 200, "{old}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_of_an_absolute_request_target_counts_in_place_of_the_header() {
    let setup = Setup::with(|settings| {
        settings.http.host_names = vec!["phone.example".to_owned()];
    })
    .await;
    for (path, lines, ok) in [("/", "", 200), ("/health", "", 200), ("/rtc", UPGRADE, 101)] {
        for (authority, host, expected) in [
            ("evil.example", "phone.example", 421),
            ("evil.example:80", "127.0.0.1", 421),
            ("phone.example.evil.example", "localhost", 421),
            ("a@phone.example", "phone.example", 400),
            ("phone.example", "evil.example", ok),
            ("PHONE.example:8080", "phone.example", ok),
            ("127.0.0.1", "evil.example", ok),
        ] {
            let head = format!("GET http://{authority}{path} HTTP/1.1\r\nHost: {host}\r\n{lines}");
            assert_eq!(status_of(setup.http, &head).await, expected, "{head}");
        }
    }
    // The page's origin is compared with the same host.
    for (origin, expected) in [("http://phone.example", 101), ("http://evil.example", 403)] {
        let head = format!(
            "GET http://phone.example/rtc HTTP/1.1\r\nHost: evil.example\r\nOrigin: {origin}\r\n{UPGRADE}"
        );
        assert_eq!(status_of(setup.http, &head).await, expected, "{head}");
    }
}
