//! A thousand connections that say nothing: a page still gets in, and they are let go.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::page::Page;
use crate::sound::Coding;
use crate::world::World;

const REFUSED: &str = "trunkline_sockets_refused_total";

/// A connection from another address of loopback than the pages'.
async fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from(([127, 0, 0, 2], 0)))
        .expect("all of 127/8 is loopback");
    socket.connect(to).await.expect("it listens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_silent_sockets_keep_nobody_out_and_are_let_go() {
    // Both ends of each are in this process.
    let limit = std::process::Command::new("prlimit")
        .args(["--nofile=4096:", "--pid"])
        .arg(std::process::id().to_string())
        .status();
    println!("room for open files: {limit:?}");

    let mut world = World::start().await;
    let talk = world.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();
    let silent = world.counter(REFUSED, &[("reason", "silent")]).await;
    let full = world.counter(REFUSED, &[("reason", "limit")]).await;

    let began = Instant::now();
    let mut raw = Vec::new();
    for _ in 0..400 {
        raw.push(connect(world.http).await);
    }
    let mut pages = Vec::new();
    let mut refused = 0;
    for _ in 0..600 {
        let stream = connect(world.http).await;
        let address = format!("ws://{}/rtc", world.http);
        match tokio_tungstenite::client_async(address, stream).await {
            Ok((socket, _)) => pages.push(socket),
            Err(error) => {
                assert!(error.to_string().contains("503"), "{error}");
                refused += 1;
            }
        }
    }
    println!("1,000 sockets opened in {:?}", began.elapsed());
    // One address has at most 500.
    assert_eq!((pages.len(), refused), (500, 100));
    world
        .counted(REFUSED, &[("reason", "limit")], full, 100.0)
        .await;

    let mut page: Page = world.page("bob").await;
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
    world
        .counted(REFUSED, &[("reason", "silent")], silent, 500.0)
        .await;
    println!("all let go after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(30));
    talk.was_undisturbed().await;
    talk.end().await;
}
