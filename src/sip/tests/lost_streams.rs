//! Connections that end under a request, on loopback with a peer written out.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::loopback::next;
use super::wire::{SDP, trunk, value};
use crate::sip::*;

/// A user agent that has called `600` at a peer of ours.
async fn calling() -> (TcpListener, Handle, mpsc::Receiver<Event>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut trunk = trunk("peer");
    let address = listener.local_addr().expect("bound");
    trunk.targets[0].target = Target::at(address, Transport::Tcp);
    let config = Config {
        listen: vec![Listen {
            transport: Transport::Tcp,
            address: "127.0.0.1:0".parse().expect("address"),
        }],
        trunks: vec![trunk],
        ..Config::default()
    };
    let (sender, _incoming) = mpsc::channel(8);
    let caller = start(config, sender).await.expect("loopback binds");
    let outgoing = Outgoing {
        trunk: "peer".to_owned(),
        to_user: "600".to_owned(),
        from_user: "alice".to_owned(),
        body: SDP.into(),
        ..Outgoing::default()
    };
    let (sender, events) = mpsc::channel(16);
    caller.invite(outgoing, sender).await.expect("placed");
    (listener, caller, events)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let accepted = timeout(Duration::from_secs(5), listener.accept()).await;
    accepted.expect("in time").expect("accepted").0
}

/// The next request on a stream.
async fn read(stream: &mut TcpStream) -> Request {
    let mut framer = Framer::new(65_535);
    let mut buffer = [0; 4_096];
    loop {
        if let Ok(Some(Frame::Message(bytes))) = framer.poll() {
            match Message::read(&bytes).expect("readable").message {
                Message::Request(request) => return request,
                Message::Response(response) => panic!("{response:?}"),
            }
        }
        let length = timeout(Duration::from_secs(5), stream.read(&mut buffer))
            .await
            .expect("in time")
            .expect("read");
        assert_ne!(length, 0, "closed");
        framer.push(&buffer[..length]);
    }
}

async fn answer(stream: &mut TcpStream, request: &Request, status: u16) {
    let response = request.respond(status, None, Some("b1"));
    stream.write_all(&response.write()).await.expect("written");
}

#[tokio::test]
async fn a_request_that_its_connection_took_along_goes_once_more_in_its_own_branch() {
    let (listener, _caller, mut events) = calling().await;
    let mut first = accept(&listener).await;
    let lost = read(&mut first).await;
    drop(first);
    let mut second = accept(&listener).await;
    let again = read(&mut second).await;
    assert_eq!(
        value(&again.headers, "Via"),
        value(&lost.headers, "Via"),
        "the peer must be able to tell that it is the same"
    );
    answer(&mut second, &again, 486).await;
    assert_eq!(read(&mut second).await.method, Method::Ack);
    assert!(matches!(
        next(&mut events).await,
        Event::Refused {
            status: 486,
            local: false,
            ..
        }
    ));
}

#[tokio::test]
async fn a_call_that_rings_finds_its_peer_again() {
    let (listener, _caller, mut events) = calling().await;
    let mut first = accept(&listener).await;
    let invite = read(&mut first).await;
    answer(&mut first, &invite, 180).await;
    assert!(matches!(
        next(&mut events).await,
        Event::Progress { status: 180, .. }
    ));
    drop(first);
    let mut second = accept(&listener).await;
    let again = read(&mut second).await;
    answer(&mut second, &again, 486).await;
    assert!(matches!(
        next(&mut events).await,
        Event::Refused { status: 486, .. }
    ));
}

#[tokio::test]
async fn a_peer_that_drops_every_connection_is_known_at_once() {
    let (listener, _caller, mut events) = calling().await;
    for _ in 0..2 {
        let mut stream = accept(&listener).await;
        read(&mut stream).await;
    }
    // Well before timer B.
    assert!(matches!(
        next(&mut events).await,
        Event::Refused {
            status: 503,
            local: true,
            ..
        }
    ));
    let third = timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(third.is_err(), "two tries are enough");
}

#[tokio::test]
async fn a_peer_that_has_gone_away_while_it_rang_is_known_at_once() {
    let (listener, _caller, mut events) = calling().await;
    let mut stream = accept(&listener).await;
    let invite = read(&mut stream).await;
    answer(&mut stream, &invite, 180).await;
    next(&mut events).await;
    drop(listener);
    drop(stream);
    assert!(matches!(
        next(&mut events).await,
        Event::Refused {
            status: 503,
            local: true,
            ..
        }
    ));
}
