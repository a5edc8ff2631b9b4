//! Two started user agents that call each other over real sockets on loopback.
#![expect(clippy::disallowed_methods, reason = "drives real sockets")]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::wire::{SDP, call_to, trunk};
use crate::sip::*;

async fn agent(
    transport: Transport,
    peer_port: u16,
    ip: &str,
) -> (Handle, mpsc::Receiver<Incoming>) {
    let address = format!("{ip}:0").parse().expect("address");
    let listen = |transport| Listen { transport, address };
    let other = match transport {
        Transport::Udp => Transport::Tcp,
        _ => Transport::Udp,
    };
    let mut trunk = trunk("peer");
    // A target of 0.0.0.0 is reached, but answers from a true address.
    trunk.accept_from = vec!["127.0.0.0/8".parse().expect("a network")];
    trunk.targets[0].target = Target {
        host: ip.trim_matches(['[', ']']).to_owned(),
        port: Some(peer_port),
        transport: Some(transport),
    };
    let config = Config {
        listen: vec![listen(transport), listen(other)],
        advertised: None,
        user_agent: "Trunkline".to_owned(),
        trunks: vec![trunk],
        ..Config::default()
    };
    let (sender, incoming) = mpsc::channel(8);
    (
        start(config, sender).await.expect("loopback binds"),
        incoming,
    )
}

/// What comes next, the address of the peer left out.
pub async fn next<T: 'static>(queue: &mut mpsc::Receiver<T>) -> T {
    loop {
        let item = timeout(Duration::from_secs(5), queue.recv())
            .await
            .expect("in time")
            .expect("open");
        let event = (&item as &dyn std::any::Any).downcast_ref::<Event>();
        if !matches!(event, Some(Event::PeerAddress { .. })) {
            return item;
        }
    }
}

async fn call_each_other(transport: Transport, ip: &str, offer: &str) {
    let (callee, mut incoming) = agent(transport, 9, ip).await;
    let port = callee.local_addresses()[0].address.port();
    let (caller, _unused) = agent(transport, port, ip).await;
    converse(&caller, &callee, &mut incoming, offer).await;
    timeout(Duration::from_secs(5), caller.shut_down())
        .await
        .expect("stops");
    timeout(Duration::from_secs(5), callee.shut_down())
        .await
        .expect("stops");
}

/// A call with a re-INVITE from the called side and a BYE from the calling one.
pub async fn converse(
    caller: &Handle,
    callee: &Handle,
    incoming: &mut mpsc::Receiver<Incoming>,
    offer: &str,
) {
    let (sender, mut caller_events) = mpsc::channel(16);
    let outgoing = Outgoing {
        body: offer.to_owned().into(),
        ..call_to("peer")
    };
    let leg = caller.invite(outgoing, sender).await.expect("placed");
    let call = next(incoming).await;
    assert_eq!(call.request_user, "600");
    assert_eq!(call.body.as_deref(), Some(offer.as_bytes()));
    let (sender, mut callee_events) = mpsc::channel(16);
    callee.attach(call.leg, sender).await;
    let ringing = Command::Progress {
        status: 180,
        body: None,
    };
    callee.command(call.leg, ringing).await.expect("ringing");
    assert_eq!(
        next(&mut caller_events).await,
        Event::Progress {
            status: 180,
            body: None,
            fork: 0
        }
    );
    callee
        .command(call.leg, Command::Accept { body: SDP.into() })
        .await
        .expect("accepted");
    assert_eq!(
        next(&mut caller_events).await,
        Event::Accepted {
            body: Some(SDP.into()),
            fork: 0,
        }
    );
    assert_eq!(
        next(&mut callee_events).await,
        Event::Confirmed { body: None }
    );

    callee
        .command(call.leg, Command::Reinvite { body: SDP.into() })
        .await
        .expect("offered");
    assert!(matches!(
        next(&mut caller_events).await,
        Event::Reinvited { .. }
    ));
    caller
        .command(leg, Command::AnswerReinvite { body: SDP.into() })
        .await
        .expect("answered");
    assert!(matches!(
        next(&mut callee_events).await,
        Event::ReinviteAnswered { .. }
    ));
    assert!(matches!(
        next(&mut caller_events).await,
        Event::Confirmed { .. }
    ));

    caller
        .command(leg, Command::Hangup { cause: Some(16) })
        .await
        .expect("hung up");
    let ended = |cause| Event::Ended {
        cause,
        why: EndedBy::Bye,
    };
    assert_eq!(next(&mut callee_events).await, ended(Some(16)));
    assert_eq!(next(&mut caller_events).await, ended(None));
    assert!(
        caller
            .command(leg, Command::Hangup { cause: None })
            .await
            .is_err()
    );
}

#[tokio::test]
async fn over_udp() {
    call_each_other(Transport::Udp, "127.0.0.1", SDP).await;
}

#[tokio::test]
async fn over_tcp() {
    call_each_other(Transport::Tcp, "127.0.0.1", SDP).await;
}

#[tokio::test]
async fn over_ipv6() {
    call_each_other(Transport::Udp, "[::1]", SDP).await;
    call_each_other(Transport::Tcp, "[::1]", SDP).await;
}

#[tokio::test]
async fn on_all_addresses_of_the_machine() {
    call_each_other(Transport::Udp, "0.0.0.0", SDP).await;
    call_each_other(Transport::Tcp, "0.0.0.0", SDP).await;
}

#[tokio::test]
async fn a_large_offer_falls_back_to_udp_where_tcp_is_refused() {
    // The callee's TCP listener has another port, so TCP to its UDP port is refused.
    call_each_other(
        Transport::Udp,
        "127.0.0.1",
        &format!("{SDP}{}", "a=x\r\n".repeat(400)),
    )
    .await;
}

#[tokio::test]
async fn nobody_listens_on_tcp() {
    let (caller, _unused) = agent(Transport::Tcp, 1, "127.0.0.1").await;
    let (sender, mut events) = mpsc::channel(16);
    let outgoing = call_to("peer");
    caller.invite(outgoing, sender).await.expect("placed");
    assert!(matches!(
        next(&mut events).await,
        Event::Refused {
            status: 503,
            local: true,
            ..
        }
    ));
}

#[tokio::test]
async fn a_peer_that_does_not_read_delays_nobody() {
    let (agent, _incoming) = agent(Transport::Tcp, 9, "127.0.0.1").await;
    let address = agent.local_addresses()[0].address;
    let options = move |number: usize| {
        super::wire::request("OPTIONS", 1, &format!("b{number}"), "", "")
            .replace("call-1", &format!("call-{address}-{number}"))
            .replace("UDP", "TCP")
    };
    // One peer asks a lot and reads nothing.
    let mut deaf = tokio::net::TcpStream::connect(address)
        .await
        .expect("connects");
    let flood = tokio::spawn(async move {
        for number in 0..20_000 {
            if deaf.write_all(options(number).as_bytes()).await.is_err() {
                break;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut other = tokio::net::TcpStream::connect(address)
        .await
        .expect("connects");
    other.write_all(b"\r\n\r\n").await.expect("written");
    other
        .write_all(options(99_999).as_bytes())
        .await
        .expect("written");
    let mut buffer = vec![0u8; 4_096];
    let mut text = String::new();
    while !text.contains("SIP/2.0 200") {
        let length = timeout(Duration::from_secs(5), other.read(&mut buffer))
            .await
            .expect("answered in time")
            .expect("read");
        assert_ne!(length, 0, "closed");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert!(text.starts_with("\r\n"), "the keep-alive is answered first");
    flood.abort();
}

#[tokio::test]
async fn an_owner_that_goes_away_ends_its_call() {
    let (callee, mut incoming) = agent(Transport::Udp, 9, "127.0.0.1").await;
    let port = callee.local_addresses()[0].address.port();
    let (caller, _unused) = agent(Transport::Udp, port, "127.0.0.1").await;
    let (sender, events) = mpsc::channel(16);
    let outgoing = call_to("peer");
    caller.invite(outgoing, sender).await.expect("placed");
    drop(events);
    let call = next(&mut incoming).await;
    let (sender, mut callee_events) = mpsc::channel(16);
    callee.attach(call.leg, sender).await;
    let ringing = Command::Progress {
        status: 180,
        body: None,
    };
    callee.command(call.leg, ringing).await.expect("ringing");
    assert_eq!(next(&mut callee_events).await, Event::Cancelled);
}

#[tokio::test]
async fn a_connection_leaves_from_the_address_of_its_listener() {
    let peer = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound");
    let mut trunk = trunk("peer");
    trunk.targets[0].target = Target::at(peer.local_addr().expect("bound"), Transport::Tcp);
    // The route to 127.0.0.1 would say 127.0.0.1.
    let config = Config {
        listen: vec![Listen {
            transport: Transport::Tcp,
            address: "127.0.0.2:0".parse().expect("address"),
        }],
        trunks: vec![trunk],
        ..Config::default()
    };
    let (sender, _incoming) = mpsc::channel(8);
    let caller = start(config, sender).await.expect("loopback binds");
    let listener = caller.local_addresses()[0].address;
    let (sender, _events) = mpsc::channel(16);
    let outgoing = call_to("peer");
    caller.invite(outgoing, sender).await.expect("placed");
    let (mut stream, from) = timeout(Duration::from_secs(5), peer.accept())
        .await
        .expect("in time")
        .expect("accepted");
    assert_eq!(from.ip(), listener.ip());
    assert_ne!(from.port(), listener.port());
    let mut text = String::new();
    while !text.contains("Contact: ") || !text.ends_with(SDP) {
        let mut buffer = [0; 4_096];
        let length = timeout(Duration::from_secs(5), stream.read(&mut buffer))
            .await
            .expect("in time")
            .expect("read");
        assert_ne!(length, 0, "closed");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert!(
        text.contains(&format!("Contact: <sip:alice@{listener};transport=tcp>")),
        "{text}"
    );
}

#[tokio::test]
async fn flood_of_texts_does_not_end_the_call_of_a_busy_owner() {
    let (callee, mut incoming) = agent(Transport::Udp, 9, "127.0.0.1").await;
    let port = callee.local_addresses()[0].address.port();
    let (caller, _unused) = agent(Transport::Udp, port, "127.0.0.1").await;
    let (sender, mut caller_events) = mpsc::channel(64);
    let outgoing = Outgoing {
        body: SDP.into(),
        ..call_to("peer")
    };
    let leg = caller.invite(outgoing, sender).await.expect("placed");
    let call = next(&mut incoming).await;
    let (sender, mut callee_events) = mpsc::channel(4);
    callee.attach(call.leg, sender).await;
    let accept = Command::Accept { body: SDP.into() };
    callee.command(call.leg, accept).await.expect("accepted");
    assert!(matches!(
        next(&mut caller_events).await,
        Event::Accepted { .. }
    ));
    for number in 0..20 {
        let text = Command::Message {
            reference: Some(number.to_string()),
            text: "hello".to_owned(),
        };
        caller.command(leg, text).await.expect("under way");
    }
    for _ in 0..20 {
        let event = next(&mut caller_events).await;
        assert!(
            matches!(&event, Event::MessageAnswered { outcome, .. } if outcome.status == 200),
            "{event:?}"
        );
    }
    while callee_events.try_recv().is_ok() {}
    let hangup = Command::Hangup { cause: None };
    caller.command(leg, hangup).await.expect("hung up");
    let ended = next(&mut callee_events).await;
    assert!(matches!(
        ended,
        Event::Ended {
            why: EndedBy::Bye,
            ..
        }
    ));
}
