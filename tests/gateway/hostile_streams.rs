//! SIP connections that are opened for nothing, that never end their message, that never read: the
//! calls of the PBX go on and new ones begin.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use trunkline::sip::Transport;

use crate::setup::Setup;
use crate::sound::Coding;

const REJECTED: &str = "trunkline_sip_rejected_total";

/// A connection from another address of loopback than the PBX's.
async fn connect(to: SocketAddr, source: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from(([127, 0, 0, source], 0)))
        .expect("all of 127/8 is loopback");
    socket.connect(to).await.expect("it listens")
}

fn options(number: usize) -> String {
    format!(
        "OPTIONS sip:gateway SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.4;branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:deaf@127.0.0.4>;tag=1\r\nTo: <sip:gateway@127.0.0.1>\r\n\
         Call-ID: deaf-{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_half_said_and_deaf_connections_disturb_no_call() {
    // Both ends of each are in this process.
    let limit = std::process::Command::new("prlimit")
        .args(["--nofile=8192:", "--pid"])
        .arg(std::process::id().to_string())
        .status();
    println!("room for open files: {limit:?}");
    let mut setup = Setup::over(Transport::Tcp, |settings| {
        settings.sip.message_timeout = 3;
    })
    .await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();
    let count = async |reason| setup.counter(REJECTED, &[("reason", reason)]).await;
    let (full, silent, half) = (
        count("connections_per_source").await,
        count("silent_connection").await,
        count("incomplete_message").await,
    );

    let began = Instant::now();
    let mut held = Vec::new();
    for _ in 0..1_000 {
        held.push(connect(setup.sip, 2).await);
    }
    for number in 0..50 {
        let mut stream = connect(setup.sip, 3).await;
        let text = options(1_000_000 + number);
        // A whole one, so that it is known, and half of another.
        let said = format!("{text}{}", &text[..200]);
        stream.write_all(said.as_bytes()).await.expect("written");
        held.push(stream);
    }
    let mut deaf = connect(setup.sip, 4).await;
    let flood = tokio::spawn(async move {
        for number in 0..50_000 {
            if deaf.write_all(options(number).as_bytes()).await.is_err() {
                break;
            }
        }
        deaf
    });

    // Meanwhile a call is placed over the PBX's own connection, and ended.
    let mut page = setup.page("bob").await;
    let mut browser = crate::browser::Browser::new(Coding::Opus).await;
    page.call("c1", "601", &browser.offer().await).await;
    let leg = setup.pbx.called().await;
    leg.refuse(486).await;
    page.hear("answer").await;
    page.hear_end("busy").await;
    browser.close().await;
    println!("a call got through after {:?}", began.elapsed());

    let mut buffer = [0; 4_096];
    for stream in &mut held {
        let closed = async { while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {} };
        tokio::time::timeout(Duration::from_secs(30), closed)
            .await
            .expect("it is let go");
    }
    flood.abort();
    let counted = async |reason, before, least| {
        let labels = [("reason", reason)];
        setup.counted(REJECTED, &labels, before, least).await;
    };
    // One address has at most 128 at once; the first may be let go before the last has come.
    counted("connections_per_source", full, 500.0).await;
    counted("silent_connection", silent, 128.0).await;
    counted("incomplete_message", half, 50.0).await;
    talk.was_undisturbed().await;
    talk.end().await;
}
