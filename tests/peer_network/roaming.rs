//! An end whose NAT gives it another port while its next check is seconds away, and somebody who
//! pretends to be such an end.

use std::net::SocketAddr;
use std::time::Duration;

use trunkline::peer::{Drop, Event, Received, Route};

use super::network::{ANSWERER, CALM, Network, OFFERER, Weather, rtp};

const MILLISECOND: Duration = Duration::from_millis(1);

/// In mid-call, with 50 packets gone each way.
fn talking(lite: [bool; 2], weather: Weather) -> (Network, u16) {
    let mut network = Network::new(lite, CALM, 7);
    network.connect();
    network.weather = weather;
    let mut sequence = 0;
    network.talk(&mut sequence, 50);
    network.heard = Default::default();
    (network, sequence)
}

/// When the route of `end` changed first, measured from `since` after the start.
fn route_moved(network: &Network, end: usize, since: Duration) -> Option<(Duration, Route)> {
    network.events[end]
        .iter()
        .filter(|(at, _)| *at >= since)
        .find_map(|(at, event)| match event {
            Event::RouteChanged { route } => Some((*at - since, *route)),
            _ => None,
        })
}

fn unknown_address(port: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 9], port))
}

/// A packet of the answerer's that does not arrive, for now.
fn caught(network: &mut Network, sequence: u16) -> Vec<u8> {
    let mut secured = Vec::new();
    network.peers[ANSWERER]
        .protect_rtp(&rtp(sequence), &mut secured)
        .expect("connected");
    secured
}

#[test]
fn an_end_that_moves_between_its_checks_is_heard_at_once_and_found_soon() {
    for mover in [OFFERER, ANSWERER] {
        let (mut network, mut sequence) = talking([false, false], CALM);
        let other = 1 - mover;
        let moved = network.now - network.start;
        network.unchecking = Some(mover);
        network.seen_as[mover].set_port(6000);
        network.talk(&mut sequence, 5);
        assert_eq!(network.heard[other].len(), 5, "none is lost");
        network.talk(&mut sequence, 5);
        let (took, route) = route_moved(&network, other, moved).expect("the route moves");
        assert!(took < 200 * MILLISECOND, "{mover}: {took:?}");
        assert_eq!(route.remote, network.seen_as[mover]);
        assert!(network.peers[other].validated(route.remote));
        network.heard = Default::default();
        network.talk(&mut sequence, 90);
        assert_eq!([0, 1].map(|end| network.heard[end].len()), [90, 90]);
        // The mover has not noticed, and did not tell.
        assert_eq!(route_moved(&network, mover, moved), None);
        let told = network.first_check(mover, network.start + moved);
        assert_eq!(told, None, "none of its checks helped");

        // Back to the port of before, which is not unknown any more.
        let moved = network.now - network.start;
        network.seen_as[mover] = network.addresses[mover];
        network.talk(&mut sequence, 10);
        let (took, route) = route_moved(&network, other, moved).expect("the route moves back");
        assert!(took < 200 * MILLISECOND, "{mover}: {took:?}");
        assert_eq!(route.remote, network.addresses[mover]);
    }
}

#[test]
fn a_move_is_found_over_a_long_and_lossy_way() {
    let weather = Weather {
        loss: 20,
        delay: 100 * MILLISECOND,
        jitter_ms: 30,
        ..CALM
    };
    for seed in 0..50 {
        let (mut network, mut sequence) = talking([false, false], weather);
        network.dice = super::network::Dice::new(seed);
        let moved = network.now - network.start;
        network.unchecking = Some(ANSWERER);
        network.seen_as[ANSWERER].set_port(6000);
        network.talk(&mut sequence, 100);
        let (took, route) = route_moved(&network, OFFERER, moved).expect("the route moves");
        assert!(took < 1_500 * MILLISECOND, "seed {seed}: {took:?}");
        assert_eq!(route.remote, network.seen_as[ANSWERER], "seed {seed}");
    }
}

#[test]
fn a_lite_end_hears_at_once_and_follows_the_next_check() {
    let (mut network, mut sequence) = talking([true, false], CALM);
    let moved = network.now - network.start;
    let checks = network.checks[OFFERER].len();
    network.unchecking = Some(ANSWERER);
    network.seen_as[ANSWERER].set_port(6000);
    network.talk(&mut sequence, 50);
    assert_eq!(network.heard[OFFERER].len(), 50, "none is lost");
    assert_eq!(route_moved(&network, OFFERER, moved), None);
    assert_eq!(network.checks[OFFERER].len(), checks, "lite: asks nobody");
    network.unchecking = None;
    network.talk(&mut sequence, 350);
    let (_, route) = route_moved(&network, OFFERER, moved).expect("the route moves");
    assert_eq!(route.remote, network.seen_as[ANSWERER]);
}

#[test]
fn a_caught_packet_from_elsewhere_is_heard_but_moves_nothing() {
    for lite in [[false, false], [true, false]] {
        let (mut network, sequence) = talking(lite, CALM);
        let since = network.now - network.start;
        let elsewhere = Route {
            local: network.addresses[OFFERER],
            remote: unknown_address(9),
        };
        let secured = caught(&mut network, sequence + 2);
        let older = caught(&mut network, sequence + 1);
        let mut forged = caught(&mut network, sequence + 3);
        forged[13] ^= 1;
        let unvalidated = Received::Dropped(Drop::Unvalidated);
        assert_eq!(network.deliver(OFFERER, elsewhere, &forged), unvalidated);
        assert_eq!(network.deliver(OFFERER, elsewhere, &secured), Received::Rtp);
        assert_eq!(network.deliver(OFFERER, elsewhere, &secured), unvalidated);
        let third = Route {
            remote: unknown_address(10),
            ..elsewhere
        };
        assert_eq!(network.deliver(OFFERER, third, &secured), unvalidated);
        // What is older could be the past of any route; where it belongs it is welcome.
        assert_eq!(network.deliver(OFFERER, elsewhere, &older), unvalidated);
        let route = Route {
            remote: network.addresses[ANSWERER],
            ..elsewhere
        };
        assert_eq!(network.deliver(OFFERER, route, &older), Received::Rtp);

        // Nothing more is heard of the true end for a second: still nothing moves.
        let until = network.now - network.start + 1_000 * MILLISECOND;
        network.run(until, |_| false);
        let asked = std::mem::take(&mut network.astray);
        assert!(asked.iter().all(|(to, _)| *to == elsewhere), "{asked:?}");
        assert_eq!(asked.len(), if lite[OFFERER] { 0 } else { 4 });
        for (_, mut check) in asked {
            // An answer of one who does not know the password.
            (check[0], check[1]) = (1, 1);
            let answer = network.deliver(OFFERER, elsewhere, &check);
            assert!(matches!(answer, Received::Dropped(_)), "{answer:?}");
        }
        assert_eq!(route_moved(&network, OFFERER, since), None);
        assert!(!network.peers[OFFERER].validated(elsewhere.remote));
        let mut secured = Vec::new();
        let kept = network.peers[OFFERER].protect_rtp(&rtp(1), &mut secured);
        assert_eq!(kept, Ok(route));
    }
}

#[test]
fn media_from_everywhere_causes_few_checks() {
    let (mut network, mut sequence) = talking([false, false], CALM);
    let since = network.now - network.start;
    for port in 1..=500 {
        sequence += 1;
        let secured = caught(&mut network, sequence);
        let elsewhere = Route {
            local: network.addresses[OFFERER],
            remote: unknown_address(port),
        };
        assert_eq!(network.deliver(OFFERER, elsewhere, &secured), Received::Rtp);
        let next = network.now - network.start + 20 * MILLISECOND;
        network.run(next, |_| false);
    }
    // 10 s, at most 8 each.
    let checks = network.astray.len();
    assert!((8..=88).contains(&checks), "{checks} checks");
    assert_eq!(route_moved(&network, OFFERER, since), None);
    network.astray.clear();
    network.heard = Default::default();
    network.talk(&mut sequence, 50);
    assert_eq!([0, 1].map(|end| network.heard[end].len()), [50, 50]);
    assert_eq!(network.astray.len(), 0, "unknown addresses are forgotten");
}

#[test]
fn an_unknown_stream_from_an_unknown_address_stays_out() {
    let (mut network, _) = talking([false, false], CALM);
    let elsewhere = Route {
        local: network.addresses[OFFERER],
        remote: unknown_address(9),
    };
    let mut other = rtp(1);
    other[8..12].copy_from_slice(&[9, 9, 9, 9]);
    let mut secured = Vec::new();
    network.peers[ANSWERER]
        .protect_rtp(&other, &mut secured)
        .expect("connected");
    let unvalidated = Received::Dropped(Drop::Unvalidated);
    assert_eq!(network.deliver(OFFERER, elsewhere, &secured), unvalidated);
    let route = Route {
        remote: network.addresses[ANSWERER],
        ..elsewhere
    };
    assert_eq!(network.deliver(OFFERER, route, &secured), Received::Rtp);
}

#[test]
fn reports_from_a_new_port_are_heard_and_not_twice() {
    let (mut network, _) = talking([false, false], CALM);
    let report = [0x80, 201, 0, 1, 1, 2, 3, 4];
    let mut secured = Vec::new();
    for elsewhere in [None, Some(unknown_address(9))] {
        network.peers[ANSWERER]
            .protect_rtcp(&report, &mut secured)
            .expect("connected");
        let route = Route {
            local: network.addresses[OFFERER],
            remote: elsewhere.unwrap_or(network.addresses[ANSWERER]),
        };
        assert_eq!(network.deliver(OFFERER, route, &secured), Received::Rtcp);
        let again = network.deliver(OFFERER, route, &secured);
        let reason = match elsewhere {
            None => Drop::SrtpReplayed,
            Some(_) => Drop::Unvalidated,
        };
        assert_eq!(again, Received::Dropped(reason));
    }
}
