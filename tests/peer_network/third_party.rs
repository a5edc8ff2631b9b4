//! Candidates that name addresses of somebody else: what arrives there is bounded, whatever the
//! client writes (RFC 8445 section 19.5.1).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline::peer::{
    CandidateRejection, CheckRate, Config, LocalCandidate, Peer, Role, Transmit,
};
use trunkline::sdp::{IceDtlsParameters, Setup};

use crate::network::{ANSWERER, CALM, Network, OFFERER, certificate, config};

const HALF_A_MINUTE: Duration = Duration::from_secs(35);

/// The offer of a client with these candidates.
fn offer(candidates: Vec<String>) -> IceDtlsParameters {
    let now = Network::new([false, false], CALM, 1).now;
    let address = "192.0.2.1:4000".parse().expect("an address");
    let client = Peer::new(&config(address, false), Role::Offerer, now).expect("a peer");
    IceDtlsParameters {
        candidates,
        setup: Setup::ActPass,
        ..client.local_description()
    }
}

fn candidate(index: usize, address: SocketAddr) -> String {
    let priority = 2_113_937_151 - index;
    let (ip, port) = (address.ip(), address.port());
    format!("candidate:{index} 1 udp {priority} {ip} {port} typ host")
}

pub fn ports_of(ip: &str, count: u16) -> Vec<String> {
    let ip = ip.parse().expect("an address");
    let address = |index: u16| SocketAddr::new(ip, 30_000 + index);
    (0..count)
        .map(|index| candidate(usize::from(index), address(index)))
        .collect()
}

/// The gateway's side of one call, with an address of each family.
fn answerer(now: Instant) -> Peer {
    let bound = ["192.0.2.2:5000", "[2001:db8::2]:5000"];
    let candidates = bound.map(|address| LocalCandidate {
        bound: address.parse().expect("an address"),
        advertised: address.parse().expect("an address"),
    });
    let rate = Arc::new(CheckRate::new(1_000_000, 1_000_000, now));
    let config = Config::new(certificate(), candidates.to_vec(), rate);
    Peer::new(&config, Role::Answerer, now).expect("a peer")
}

/// All that a peer sends until `end`, with nothing answered.
fn drive(peer: &mut Peer, mut now: Instant, end: Instant) -> Vec<(Instant, Transmit)> {
    let mut sent = Vec::new();
    loop {
        while let Some(transmit) = peer.poll_transmit() {
            sent.push((now, transmit));
        }
        while peer.poll_event().is_some() {}
        match peer.poll_timeout() {
            Some(at) if at <= end => now = at.max(now),
            _ => return sent,
        }
        peer.handle_timeout(now);
    }
}

fn bytes(sent: &[(Instant, Transmit)]) -> usize {
    sent.iter()
        .map(|(_, transmit)| transmit.payload.len())
        .sum()
}

fn now() -> Instant {
    Network::new([false, false], CALM, 1).now
}

#[test]
fn unanswered_checks_are_bounded_for_a_call() {
    let long_ufrag = IceDtlsParameters {
        ufrag: "u".repeat(256),
        ..offer(ports_of("203.0.113.9", 64))
    };
    let addresses: Vec<_> = (1..=64)
        .map(|last| candidate(last, SocketAddr::from(([203, 0, 113, last as u8], 30_000))))
        .collect();
    for (what, offer) in [
        (
            "64 ports of one address",
            offer(ports_of("203.0.113.9", 64)),
        ),
        ("one port of 64 addresses", offer(addresses)),
        ("IPv6", offer(ports_of("2001:db8::9", 64))),
        ("1,000 candidates", offer(ports_of("203.0.113.9", 1_000))),
        ("a user name as long as may be", long_ufrag),
        ("one candidate", offer(ports_of("203.0.113.9", 1))),
    ] {
        let now = now();
        let mut peer = answerer(now);
        let lines: usize = offer.candidates.iter().map(String::len).sum();
        peer.set_remote(offer, now).expect("a good offer");
        let sent = drive(&mut peer, now, now + HALF_A_MINUTE);
        assert!(!sent.is_empty(), "{what}");
        assert!(sent.len() <= 50, "{what}: {} datagrams", sent.len());
        let limit = 1_500 + 3 * lines;
        assert!(bytes(&sent) <= limit, "{what}: {} bytes", bytes(&sent));
        let mut each: HashMap<SocketAddr, Vec<Instant>> = HashMap::new();
        for (at, transmit) in &sent {
            each.entry(transmit.route.remote).or_default().push(*at);
        }
        assert!(each.len() <= 32, "{what}: {} addresses", each.len());
        for times in each.values() {
            assert!(times.len() <= 7, "{what}: Rc of RFC 8489 section 6.2.1");
            let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let rto = Duration::from_millis(500);
            assert!(gaps.iter().all(|gap| *gap >= rto), "{what}: {gaps:?}");
            assert!(gaps.is_sorted(), "{what}: {gaps:?}");
        }
    }
}

#[test]
fn unanswered_checks_are_bounded_for_a_called_client() {
    // We offer and control; the client answers, as a full or a lite agent, or trickles.
    for (lite, trickles) in [(false, false), (true, false), (false, true)] {
        let now = now();
        let local = "192.0.2.2:5000".parse().expect("an address");
        let mut peer = Peer::new(&config(local, false), Role::Offerer, now).expect("a peer");
        let candidates = ports_of("203.0.113.9", 64);
        let lines: usize = candidates.iter().map(String::len).sum();
        let answer = IceDtlsParameters {
            setup: Setup::Active,
            lite,
            candidates: match trickles {
                true => Vec::new(),
                false => candidates.clone(),
            },
            ..offer(Vec::new())
        };
        peer.set_remote(answer, now).expect("a good answer");
        if trickles {
            for candidate in &candidates {
                peer.add_remote_candidate(candidate, now);
            }
        }
        let sent = drive(&mut peer, now, now + HALF_A_MINUTE);
        assert!((1..=50).contains(&sent.len()), "{} datagrams", sent.len());
        assert!(bytes(&sent) <= 1_500 + 3 * lines);
    }
}

#[test]
fn lite_agent_sends_no_checks_at_all() {
    let now = now();
    let local = "192.0.2.2:5000".parse().expect("an address");
    let mut peer = Peer::new(&config(local, true), Role::Answerer, now).expect("a peer");
    peer.set_remote(offer(ports_of("203.0.113.9", 64)), now)
        .expect("a good offer");
    let sent = drive(&mut peer, now, now + HALF_A_MINUTE);
    assert!(sent.is_empty(), "{} datagrams", sent.len());
}

#[test]
fn first_check_is_at_once_and_others_are_paced() {
    let now = now();
    let mut peer = answerer(now);
    peer.set_remote(offer(ports_of("203.0.113.9", 5)), now)
        .expect("a good offer");
    let sent = drive(&mut peer, now, now + Duration::from_millis(400));
    let times: Vec<_> = sent.iter().map(|(at, _)| (*at - now).as_millis()).collect();
    assert_eq!(times, [0, 50, 100, 150, 200]);
    let ports: Vec<_> = sent.iter().map(|(_, t)| t.route.remote.port()).collect();
    assert_eq!(
        ports,
        [30_000, 30_001, 30_002, 30_003, 30_004],
        "by priority"
    );
}

#[test]
fn later_descriptions_and_candidates_refill_nothing() {
    let mut time = now();
    let mut peer = answerer(time);
    let first = offer(ports_of("203.0.113.9", 32));
    peer.set_remote(first.clone(), time).expect("a good offer");
    let mut sent = Vec::new();
    for round in 0_usize..200 {
        let end = time + Duration::from_millis(100);
        sent.extend(drive(&mut peer, time, end));
        time = end;
        let again = IceDtlsParameters {
            setup: Setup::Passive,
            ..first.clone()
        };
        let _ = peer.set_remote(again, time);
        let restart = IceDtlsParameters {
            ufrag: format!("restart{round}"),
            ..first.clone()
        };
        assert!(peer.set_remote(restart, time).is_err(), "an ICE restart");
        let ports = SocketAddr::from(([203, 0, 113, 10], 20_000 + round as u16));
        peer.add_remote_candidate(&candidate(round, ports), time);
    }
    sent.extend(drive(&mut peer, time, time + HALF_A_MINUTE));
    assert!(sent.len() <= 50, "{} datagrams", sent.len());
    let surplus = peer.unused_candidates().count(CandidateRejection::Surplus);
    assert_eq!(surplus, 200);
    assert!(peer.suppressed_checks().call_budget > 0);
}

#[test]
fn checks_to_third_parties_end_with_the_route() {
    let mut network = Network::new([false, false], CALM, 1);
    let now = network.now;
    let mut offer = network.peers[OFFERER].local_description();
    offer.candidates.extend(ports_of("203.0.113.9", 31));
    network.peers[ANSWERER]
        .set_remote(offer, now)
        .expect("a good offer");
    let answer = network.peers[ANSWERER].local_description();
    network.peers[OFFERER]
        .set_remote(answer, now)
        .expect("a good answer");
    network.collect();
    assert!(network.run(Duration::from_secs(1), Network::both_connected));
    assert!(network.astray.len() <= 1, "{}", network.astray.len());
    network.run(Duration::from_secs(60), |_| false);
    assert!(network.astray.len() <= 1, "{}", network.astray.len());
    // A client that connects and then says nothing.
    network.weather.loss = 100;
    network.run(Duration::from_secs(100), |_| false);
    assert!(network.astray.len() <= 50, "{}", network.astray.len());
}

#[test]
fn checks_with_forged_sources_are_not_multiplied() {
    for lite in [false, true] {
        let (received, sent) = forge_sources(lite);
        assert!(received > 0);
        let limit = 1_500 + 4 * received;
        println!("lite {lite}: {sent} bytes for {received}");
        assert!(sent <= limit, "lite {lite}: {sent} bytes for {received}");
    }
}

/// Bytes of the client's checks, each from an address of somebody else, and what goes there.
fn forge_sources(lite: bool) -> (usize, usize) {
    let mut network = Network::new([false, lite], CALM, 1);
    let now = network.now;
    let offer = IceDtlsParameters {
        candidates: Vec::new(),
        ..network.peers[OFFERER].local_description()
    };
    network.peers[ANSWERER]
        .set_remote(offer, now)
        .expect("a good offer");
    let answer = network.peers[ANSWERER].local_description();
    network.peers[OFFERER]
        .set_remote(answer, now)
        .expect("a good answer");
    // Each check of the client goes out with a source address of somebody else.
    let (mut received, mut sent) = (0, 0);
    let mut time = now;
    for round in 0..3_000_u16 {
        while let Some(transmit) = network.peers[OFFERER].poll_transmit() {
            received += transmit.payload.len();
            let victim = SocketAddr::from(([203, 0, 113, 9], 10_000 + round));
            let mut plain = Vec::new();
            let local = network.addresses[ANSWERER];
            network.peers[ANSWERER].handle_datagram(
                local,
                victim,
                &transmit.payload,
                &mut plain,
                time,
            );
        }
        for end in [OFFERER, ANSWERER] {
            if network.peers[end]
                .poll_timeout()
                .is_some_and(|at| at <= time)
            {
                network.peers[end].handle_timeout(time);
            }
        }
        while let Some(transmit) = network.peers[ANSWERER].poll_transmit() {
            sent += transmit.payload.len();
        }
        time += Duration::from_millis(10);
    }
    (received, sent)
}

#[test]
fn all_calls_together_share_one_rate() {
    let now = now();
    let rate = Arc::new(CheckRate::new(100, 50, now));
    let local = "192.0.2.2:5000".parse().expect("an address");
    let config = Config {
        check_rate: rate,
        ..config(local, false)
    };
    let mut peers: Vec<_> = (0..40)
        .map(|_| {
            let mut peer = Peer::new(&config, Role::Answerer, now).expect("a peer");
            peer.set_remote(offer(ports_of("203.0.113.9", 20)), now)
                .expect("a good offer");
            peer
        })
        .collect();
    let mut sent = 0;
    for tick in 0..300 {
        let time = now + Duration::from_millis(10) * tick;
        for peer in &mut peers {
            if peer.poll_timeout().is_some_and(|at| at <= time) {
                peer.handle_timeout(time);
            }
            while peer.poll_transmit().is_some() {
                sent += 1;
            }
        }
    }
    assert!((300..=351).contains(&sent), "{sent} in 3 s");
    assert!(peers.iter().any(|p| p.suppressed_checks().gateway_rate > 0));
}
