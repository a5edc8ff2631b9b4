//! Connections that end under a request, on loopback with a peer written out.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::loopback::next;
use super::wire::{SDP, Wire, call_to, trunk, value};
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
    let outgoing = call_to("peer");
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

/// An INVITE of the trunk by stream 7, answered to this name.
fn invited_by_name(wire: &mut Wire, sent_by: &str, source: &str) -> Option<LegId> {
    let flow = Flow {
        connection: Some(7),
        ..Flow::new(Transport::Tcp, 1, source.parse().expect("an address"))
    };
    let text = super::wire::request("INVITE", 1, "inv1", "", SDP).replace(
        "SIP/2.0/UDP 192.0.2.2:5060",
        &format!("SIP/2.0/TCP {sent_by}"),
    );
    wire.agent.handle_message(&text.into(), flow, wire.now);
    wire.sent();
    while let Some(event) = wire.agent.poll_event() {
        if let UserAgentEvent::Incoming(incoming) = event {
            return Some(incoming.leg);
        }
    }
    None
}

/// What is asked of the DNS; answered with SRV and addresses.
fn look_up(wire: &mut Wire) -> Vec<DnsQuery> {
    let mut asked = Vec::new();
    while let Some(event) = wire.agent.poll_event() {
        let UserAgentEvent::Resolve { query } = event else {
            continue;
        };
        let records = if query == DnsQuery::addresses("b.pbx.example") {
            Records::Addresses(vec!["192.0.2.9".parse().expect("ip")])
        } else if matches!(query, DnsQuery::Srv(_)) {
            Records::Srv(vec![SrvRecord {
                priority: 1,
                weight: 1,
                port: 5070,
                target: "b.pbx.example".to_owned(),
            }])
        } else {
            Records::Absent
        };
        let ttl = Duration::from_secs(60);
        asked.push(query.clone());
        wire.agent
            .handle_resolved(&query, DnsResponse::Known { records, ttl }, wire.now);
    }
    asked
}

#[test]
fn an_answer_whose_stream_is_gone_may_go_to_the_name_in_via() {
    for (sent_by, reconnect, elsewhere) in [
        ("pbx.example", "192.0.2.2:5060", "192.0.2.9:5070"),
        ("b.pbx.example:5080", "192.0.2.2:5080", "192.0.2.9:5080"),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let leg = invited_by_name(&mut wire, sent_by, "192.0.2.2:40000").expect("a call");
        assert!(look_up(&mut wire).is_empty(), "nothing is lost yet");
        wire.agent.handle_connection_closed(7, wire.now);
        assert!(!look_up(&mut wire).is_empty());
        wire.command(leg, Command::Accept { body: SDP.into() });
        let answer = wire.agent.poll_transmit().expect("an answer");
        assert!(answer.bytes.starts_with(b"SIP/2.0 200 "));
        let flow = answer.flow;
        let first = flow.reconnect.expect("the address comes first");
        assert_eq!(first.to_string(), reconnect);
        assert_eq!(
            flow.elsewhere.map(|at| at.to_string()).as_deref(),
            Some(elsewhere)
        );
    }
}

#[test]
fn an_answer_whose_stream_stands_or_that_names_an_address_goes_nowhere_else() {
    for (sent_by, closed) in [("pbx.example", false), ("192.0.2.9:5080", true)] {
        let mut wire = Wire::new(trunk("pbx"));
        let leg = invited_by_name(&mut wire, sent_by, "192.0.2.2:40000").expect("a call");
        if closed {
            wire.agent.handle_connection_closed(7, wire.now);
        }
        assert!(look_up(&mut wire).is_empty());
        wire.command(leg, Command::Accept { body: SDP.into() });
        let answer = wire.agent.poll_transmit().expect("an answer");
        assert_eq!(answer.flow.elsewhere, None);
    }
}

#[tokio::test]
async fn an_answer_reaches_the_name_in_via_where_its_sender_listens_no_more() {
    // The sender is 127.0.0.2, which listens nowhere; its name is another machine.
    let backup = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = backup.local_addr().expect("bound").port();
    let mut trunk = trunk("peer");
    trunk.accept_from = vec!["127.0.0.2/32".parse().expect("a range")];
    let config = Config {
        listen: vec![Listen {
            transport: Transport::Tcp,
            address: "127.0.0.1:0".parse().expect("address"),
        }],
        trunks: vec![trunk],
        ..Config::default()
    };
    let (sender, mut incoming) = mpsc::channel(8);
    let agent = start(config, sender).await.expect("loopback binds");
    let address = agent.local_addresses()[0].address;
    let mut reached = None;
    // On a busy machine the end of the stream may be seen, or the name found, later than the answer
    // is there: that one is lost, as RFC 3263 has it, and the next call is told better.
    for number in 1..=5 {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        let any_port = "127.0.0.2:0".parse().expect("address");
        socket.bind(any_port).expect("bound");
        let mut stream = socket.connect(address).await.expect("connects");
        let invite = super::wire::request("INVITE", 1, &format!("inv{number}"), "", SDP)
            .replace("call-1@pbx", &format!("call-{number}@pbx"))
            .replace(
                "SIP/2.0/UDP 192.0.2.2:5060",
                &format!("SIP/2.0/TCP localhost:{port}"),
            );
        stream.write_all(invite.as_bytes()).await.expect("written");
        let call = next(&mut incoming).await;
        drop(stream);
        tokio::time::sleep(Duration::from_millis(200) * number).await;
        let (sender, _events) = mpsc::channel(8);
        agent.attach(call.leg, sender).await;
        let (status, reason) = (486, None);
        let refusal = Command::Reject {
            status,
            reason,
            warning: None,
        };
        agent.command(call.leg, refusal).await.expect("refused");
        if let Ok(accepted) = timeout(Duration::from_secs(1), backup.accept()).await {
            reached = Some(accepted.expect("accepted").0);
            break;
        }
    }
    let mut stream = reached.expect("the answer comes to the name");
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        let mut buffer = [0; 4_096];
        let read = timeout(Duration::from_secs(5), stream.read(&mut buffer));
        let length = read.await.expect("in time").expect("read");
        assert_ne!(length, 0, "closed");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert!(text.starts_with("SIP/2.0 486 "), "{text}");
}
