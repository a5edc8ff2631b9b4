//! Peers that stop reading, stall, or open connections for nothing: on loopback, with short limits.
#![expect(clippy::disallowed_methods, reason = "drives real sockets")]

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::loopback::next;
use super::wire::{SDP, request, trunk};
use crate::sip::*;

const SOON: Duration = Duration::from_millis(300);

async fn agent(target: SocketAddr, limits: Limits) -> (Handle, mpsc::Receiver<Incoming>) {
    let mut trunk = trunk("peer");
    trunk.targets[0].target = Target::at(target, Transport::Tcp);
    // The connections below come from many addresses of loopback.
    trunk.accept_from = vec!["127.0.0.0/8".parse().expect("a network")];
    let config = Config {
        listen: vec![Listen {
            transport: Transport::Tcp,
            address: "127.0.0.1:0".parse().expect("address"),
        }],
        trunks: vec![trunk],
        limits,
        ..Config::default()
    };
    let (sender, incoming) = mpsc::channel(8);
    let handle = start(config, sender).await.expect("loopback binds");
    (handle, incoming)
}

fn nowhere() -> SocketAddr {
    "127.0.0.1:9".parse().expect("address")
}

fn options(number: usize) -> String {
    request("OPTIONS", 1, &format!("b{number}"), "", "")
        .replace("call-1", &format!("call-{number}"))
        .replace("UDP", "TCP")
}

/// Connects from an address of loopback.
async fn connect(to: SocketAddr, source: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind((source, 0).into())
        .expect("all of 127/8 is loopback");
    socket.connect(to).await.expect("it listens")
}

async fn is_answered(stream: &mut TcpStream, number: usize) {
    let written = stream.write_all(options(number).as_bytes()).await;
    written.expect("written");
    let mut buffer = [0; 4_096];
    let length = timeout(Duration::from_secs(5), stream.read(&mut buffer))
        .await
        .expect("answered in time")
        .expect("read");
    assert!(buffer[..length].starts_with(b"SIP/2.0 200"), "{length}");
}

async fn is_closed(stream: &mut TcpStream, within: Duration) {
    let mut buffer = [0; 4_096];
    let closed = async { while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {} };
    timeout(within, closed).await.expect("it is let go");
}

#[tokio::test]
async fn half_a_message_for_ever_is_let_go_however_slowly_it_comes() {
    let limits = Limits {
        transport: ConnectionLimits {
            message_timeout: SOON,
            ..ConnectionLimits::default()
        },
        ..Limits::default()
    };
    let (agent, _incoming) = agent(nowhere(), limits).await;
    let address = agent.local_addresses()[0].address;
    let mut slow = connect(address, [127, 0, 0, 1]).await;
    is_answered(&mut slow, 1).await;
    // Quiet between two messages is no offence.
    tokio::time::sleep(SOON * 2).await;
    is_answered(&mut slow, 2).await;
    let (mut reader, mut writer) = slow.into_split();
    let dripping = tokio::spawn(async move {
        for byte in options(3).bytes().cycle() {
            // Never the end of a head.
            let byte = if byte == b'\n' { b' ' } else { byte };
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(SOON / 10).await;
        }
    });
    let mut buffer = [0; 64];
    let closed = timeout(Duration::from_secs(5), reader.read(&mut buffer)).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    dripping.abort();
    // Others never noticed.
    is_answered(&mut connect(address, [127, 0, 0, 1]).await, 4).await;
}

#[tokio::test]
async fn a_thousand_silent_connections_keep_nobody_out_and_are_let_go() {
    let limits = Limits {
        transport: ConnectionLimits {
            message_timeout: Duration::from_secs(2),
            ..ConnectionLimits::default()
        },
        ..Limits::default()
    };
    let (agent, _incoming) = agent(nowhere(), limits).await;
    let address = agent.local_addresses()[0].address;
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(connect(address, [127, 0, 0, 2]).await);
    }
    is_answered(&mut connect(address, [127, 0, 0, 1]).await, 1).await;
    for stream in &mut silent {
        is_closed(stream, Duration::from_secs(10)).await;
    }
    // The address has its places back.
    is_answered(&mut connect(address, [127, 0, 0, 2]).await, 2).await;
}

#[tokio::test]
async fn connections_from_everywhere_leave_room_for_our_own_calls() {
    let peer = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let limits = Limits {
        transport: ConnectionLimits {
            connections: 8,
            ..ConnectionLimits::default()
        },
        ..Limits::default()
    };
    let target = peer.local_addr().expect("bound");
    let (agent, _incoming) = agent(target, limits).await;
    let address = agent.local_addresses()[0].address;
    let mut crowd = Vec::new();
    for source in 2..30 {
        crowd.push(connect(address, [127, 0, 0, source]).await);
    }
    let outgoing = Outgoing {
        trunk: "peer".to_owned(),
        to_user: "600".to_owned(),
        body: SDP.into(),
        ..Outgoing::default()
    };
    let (sender, _events) = mpsc::channel(16);
    agent.invite(outgoing, sender).await.expect("placed");
    let (mut stream, _) = timeout(Duration::from_secs(5), peer.accept())
        .await
        .expect("we call")
        .expect("accepted");
    let mut buffer = [0; 4_096];
    let length = stream.read(&mut buffer).await.expect("read");
    assert!(buffer[..length].starts_with(b"INVITE "));
}

/// A call to a peer of ours, with keep-alives every 300 ms; gives the peer's end.
async fn called(answers: usize) -> (TcpStream, Handle, mpsc::Receiver<Event>, usize) {
    let peer = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let limits = Limits {
        transport: ConnectionLimits {
            keep_alive: SOON,
            pong_timeout: SOON,
            ..ConnectionLimits::default()
        },
        ..Limits::default()
    };
    let (agent, _incoming) = agent(peer.local_addr().expect("bound"), limits).await;
    let outgoing = Outgoing {
        trunk: "peer".to_owned(),
        to_user: "600".to_owned(),
        body: SDP.into(),
        ..Outgoing::default()
    };
    let (sender, mut events) = mpsc::channel(16);
    agent.invite(outgoing, sender).await.expect("placed");
    let (mut stream, _) = peer.accept().await.expect("accepted");
    let mut framer = Framer::new(65_535);
    let mut buffer = [0; 4_096];
    let mut pings = 0;
    // Answers the call with 180, and some of the keep-alives.
    loop {
        let read = timeout(Duration::from_secs(3), stream.read(&mut buffer)).await;
        let length = read.expect("in time").expect("read");
        if length == 0 {
            break;
        }
        framer.push(&buffer[..length]);
        while let Ok(Some(frame)) = framer.poll() {
            match frame {
                Frame::Message(bytes) => {
                    let Ok(received) = Message::read(&bytes) else {
                        panic!("unreadable");
                    };
                    let Message::Request(invite) = received.message else {
                        panic!("a request was expected");
                    };
                    let ringing = invite.respond(180, None, Some("b1"));
                    stream.write_all(&ringing.write()).await.expect("written");
                    next(&mut events).await;
                }
                Frame::KeepAlive => {
                    pings += 1;
                    if pings <= answers {
                        stream.write_all(b"\r\n").await.expect("written");
                    }
                }
                Frame::Oversized => panic!("{frame:?}"),
            }
        }
        if pings >= 5 {
            break;
        }
    }
    (stream, agent, events, pings)
}

#[tokio::test]
async fn a_peer_that_stops_answering_keep_alives_is_gone() {
    let (_, _agent, _events, pings) = called(2).await;
    // Two were answered, the third was not: no more come on this connection.
    assert_eq!(pings, 3);
}

#[tokio::test]
async fn a_peer_that_never_answered_a_keep_alive_is_left_in_peace() {
    let (_, _agent, _events, pings) = called(0).await;
    assert_eq!(pings, 5);
}

#[tokio::test]
async fn a_peer_that_takes_no_connection_is_given_up_and_delays_nobody() {
    // Its queue is full: who connects now gets neither yes nor no.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.1:0".parse().expect("address"))
        .expect("a port");
    let listener = socket.listen(1).expect("it listens");
    let target = listener.local_addr().expect("bound");
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = timeout(SOON, TcpStream::connect(target)).await {
        queued.push(stream);
        assert!(queued.len() < 16, "its queue never fills");
    }
    let limits = Limits {
        transport: ConnectionLimits {
            connect_timeout: SOON * 3,
            ..ConnectionLimits::default()
        },
        ..Limits::default()
    };
    let (agent, _incoming) = agent(target, limits).await;
    let outgoing = Outgoing {
        trunk: "peer".to_owned(),
        to_user: "600".to_owned(),
        body: SDP.into(),
        ..Outgoing::default()
    };
    let (sender, mut events) = mpsc::channel(16);
    agent.invite(outgoing, sender).await.expect("placed");
    let address = agent.local_addresses()[0].address;
    is_answered(&mut connect(address, [127, 0, 0, 1]).await, 1).await;
    assert!(events.try_recv().is_err(), "it still connects");
    assert!(matches!(
        next(&mut events).await,
        Event::Refused {
            status: 503,
            local: true,
            ..
        }
    ));
}
