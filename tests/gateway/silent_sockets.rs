//! A thousand connections that say nothing: a page still gets in, and they are let go. And one
//! address that has all it may have.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::page::Page;
use crate::setup::Setup;
use crate::sound::{Coding, PATIENCE, until_async};

const REFUSED: &str = "trunkline_sockets_refused_total";

/// A connection from 127.0.0.`last`; the pages' are from 127.0.0.1.
async fn connect(to: SocketAddr, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from(([127, 0, 0, last], 0)))
        .expect("all of 127/8 is loopback");
    socket.connect(to).await.expect("it listens")
}

/// The same as a page's connection; an error where the gateway does not want another one.
async fn open(to: SocketAddr, last: u8) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = connect(to, last).await;
    let address = format!("ws://{to}/rtc");
    let (socket, _) = tokio_tungstenite::client_async(address, stream).await?;
    Ok(socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_silent_sockets_keep_nobody_out_and_are_let_go() {
    // Both ends of each are in this process.
    let limit = std::process::Command::new("prlimit")
        .args(["--nofile=4096:", "--pid"])
        .arg(std::process::id().to_string())
        .status();
    println!("room for open files: {limit:?}");

    // Alice's page does not answer pings while it waits for all of them.
    let mut setup = Setup::with(|settings| settings.http.idle_timeout = 600).await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();
    let silent = setup.counter(REFUSED, &[("reason", "silent")]).await;

    let began = Instant::now();
    let mut raw = Vec::new();
    for _ in 0..400 {
        raw.push(connect(setup.http, 2).await);
    }
    // Two addresses: one alone has at most 500, and how many of its first are let go before its
    // last come is a matter of time.
    let mut pages = Vec::new();
    for last in [2, 3] {
        for _ in 0..300 {
            pages.push(open(setup.http, last).await.expect("there is room"));
        }
    }
    println!("1,000 sockets opened in {:?}", began.elapsed());
    let opened = Instant::now();

    let mut page: Page = setup.page("bob").await;
    page.call("c1", "nowhere", "").await;
    page.hear_end("not-found").await;

    // Both kinds are let go after ten seconds each.
    let mut buffer = [0; 64];
    for stream in &mut raw {
        let closed = async { while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {} };
        tokio::time::timeout(Duration::from_secs(30), closed)
            .await
            .expect("it is let go");
    }
    setup
        .counted(REFUSED, &[("reason", "silent")], silent, 600.0)
        .await;
    println!("all let go after {:?}", began.elapsed());
    assert!(opened.elapsed() < Duration::from_secs(30));
    talk.was_undisturbed().await;
    talk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_has_all_its_sockets_gets_no_more_and_keeps_no_other_out() {
    const MOST: usize = 20;
    let setup = Setup::with(|settings| settings.http.max_sockets_per_address = MOST).await;
    let full = setup.counter(REFUSED, &[("reason", "limit")]).await;
    let mut pages = Vec::new();
    for number in 0..MOST {
        let mut socket = open(setup.http, 2).await.expect("there is room");
        // One that is signed in stays.
        let hello = json!({"type": "hello", "version": 1, "user": format!("guest{number}")});
        let hello = Message::Text(hello.to_string().into());
        socket.send(hello).await.expect("it is open");
        let welcome = tokio::time::timeout(PATIENCE, socket.next()).await;
        assert!(
            matches!(welcome, Ok(Some(Ok(Message::Text(_))))),
            "{welcome:?}"
        );
        pages.push(socket);
    }
    for _ in 0..5 {
        let refused = open(setup.http, 2).await.expect_err("it is full");
        assert!(refused.to_string().contains("503"), "{refused}");
    }
    setup
        .counted(REFUSED, &[("reason", "limit")], full, 5.0)
        .await;
    let _other: Page = setup.page("bob").await;
    pages.pop();
    until_async("there is room again", async || {
        open(setup.http, 2).await.is_ok()
    })
    .await;
}
