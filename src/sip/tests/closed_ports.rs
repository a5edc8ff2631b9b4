//! Targets on loopback whose UDP port is closed: the system says so, and the sockets go on.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "drives real sockets")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::loopback::next;
use super::wire::{call_to, request, trunk};
use crate::sip::*;

/// Less than any timer of ours: a request waits 4 s for an answer where it has somewhere else to go.
const AT_ONCE: Duration = Duration::from_secs(1);

/// An address of this machine with nobody behind it, at a port that is given to nobody who asks
/// for any.
fn closed(ip: &str) -> SocketAddr {
    format!("{ip}:1").parse().expect("an address")
}

async fn caller(ip: &str, targets: &[SocketAddr]) -> Handle {
    let mut trunk = trunk("peer");
    trunk.targets = targets
        .iter()
        .zip(1..)
        .map(|(address, priority)| TrunkTarget {
            target: Target::at(*address, Transport::Udp),
            priority,
            weight: 1,
        })
        .collect();
    let config = Config {
        listen: vec![Listen {
            transport: Transport::Udp,
            address: format!("{ip}:0").parse().expect("address"),
        }],
        trunks: vec![trunk],
        ..Config::default()
    };
    let (sender, _incoming) = mpsc::channel(8);
    start(config, sender).await.expect("loopback binds")
}

async fn call(from: &Handle) -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(16);
    let outgoing = call_to("peer");
    from.invite(outgoing, sender).await.expect("placed");
    events
}

/// The first INVITE that arrives, and how long it took.
async fn invited(peer: &UdpSocket, since: Instant) -> Duration {
    let mut buffer = [0; 4_096];
    let length = timeout(Duration::from_secs(10), peer.recv(&mut buffer))
        .await
        .expect("in time")
        .expect("received");
    assert!(buffer[..length].starts_with(b"INVITE "));
    since.elapsed()
}

async fn fails_over(ip: &str) {
    let peer = UdpSocket::bind(format!("{ip}:0")).await.expect("a port");
    let open = peer.local_addr().expect("its address");
    let caller = caller(ip, &[closed(ip), open]).await;
    let placed = Instant::now();
    let _events = call(&caller).await;
    let took = invited(&peer, placed).await;
    println!("the second target of {ip} has the call after {took:?}");
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_closed_port_moves_a_call_on_at_once() {
    fails_over("127.0.0.1").await;
}

#[tokio::test]
async fn a_closed_port_moves_a_call_on_at_once_by_ipv6() {
    fails_over("[::1]").await;
}

#[tokio::test]
async fn a_closed_port_alone_refuses_a_call_at_once() {
    let caller = caller("127.0.0.1", &[closed("127.0.0.1")]).await;
    let placed = Instant::now();
    let mut events = call(&caller).await;
    let refused = next(&mut events).await;
    assert!(
        matches!(
            refused,
            Event::Refused {
                status: 503,
                local: true,
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(placed.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn errors_of_many_calls_neither_stop_nor_slow_what_others_send() {
    let caller = caller("127.0.0.1", &[closed("127.0.0.1")]).await;
    let here = caller.local_addresses()[0].address;
    let mut calls = Vec::new();
    let peer = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    peer.connect(here).await.expect("connected");
    let mut slowest = Duration::ZERO;
    for number in 0..300 {
        calls.push(call(&caller).await);
        let options = request("OPTIONS", 1, &format!("b{number}"), "", "")
            .replace("call-1", &format!("call-{number}"));
        let asked = Instant::now();
        peer.send(options.as_bytes()).await.expect("sent");
        let mut buffer = [0; 4_096];
        let length = timeout(Duration::from_secs(5), peer.recv(&mut buffer))
            .await
            .expect("answered in time")
            .expect("received");
        assert!(buffer[..length].starts_with(b"SIP/2.0 "));
        slowest = slowest.max(asked.elapsed());
    }
    println!("slowest of 300 answers beside refused calls: {slowest:?}");
    for events in &mut calls {
        assert!(matches!(
            next(events).await,
            Event::Refused { status: 503, .. }
        ));
    }
    assert_eq!(caller.held().await.legs, 0);
}
