//! ICE restarts (RFC 8445 section 9): media goes on, the old credentials hold until the new session
//! works, and a restart that fails or is never answered leaves the call as it was.

use std::time::Duration;

use trunkline::peer::{Drop, Error, Event, Peer, Received, Route};
use trunkline::sdp::IceDtlsParameters;

use super::network::{ANSWERER, CALM, Network, OFFERER, rtp};
use super::third_party::ports_of;

/// The offerer restarts, and the answerer is told and answers.
fn restart(network: &mut Network) -> [IceDtlsParameters; 2] {
    let now = network.now;
    let offer = network.peers[OFFERER].restart_ice(now).expect("connected");
    network.peers[ANSWERER].restart_ice(now).expect("connected");
    network.peers[ANSWERER]
        .set_remote(offer.clone(), now)
        .expect("a good offer");
    let answer = network.peers[ANSWERER].local_description();
    network.peers[OFFERER]
        .set_remote(answer.clone(), now)
        .expect("a good answer");
    network.collect();
    [offer, answer]
}

fn has_restarted(network: &Network, end: usize) -> bool {
    let restarted = |(_, event): &(_, Event)| matches!(event, Event::IceRestarted { .. });
    network.events[end].iter().any(restarted)
}

fn both_restarted(network: &Network) -> bool {
    [OFFERER, ANSWERER]
        .iter()
        .all(|end| has_restarted(network, *end))
}

fn run_for(network: &mut Network, time: Duration, done: impl Fn(&Network) -> bool) -> bool {
    let until = network.now - network.start + time;
    network.run(until, done)
}

fn ufrags(peer: &Peer) -> Vec<String> {
    peer.local_ufrags().map(str::to_owned).collect()
}

#[test]
fn ice_restart_loses_no_packet() {
    for lite in [[false, false], [true, false], [false, true]] {
        let mut network = Network::new(lite, CALM, 1);
        network.connect();
        let mut sequence = 0;
        network.talk(&mut sequence, 50);
        let old = network.peers.each_ref().map(Peer::local_description);
        let new = restart(&mut network);
        for (old, new) in old.iter().zip(&new) {
            assert!(old.ufrag != new.ufrag && old.pwd != new.pwd, "{lite:?}");
            assert_eq!(old.fingerprints, new.fingerprints);
            assert_eq!(old.candidates, new.candidates);
        }
        // DTLS roles stay (RFC 8842 section 5.5).
        assert_eq!(
            old.each_ref().map(|it| it.setup),
            new.each_ref().map(|it| it.setup)
        );
        network.talk(&mut sequence, 100);
        assert!(both_restarted(&network), "{lite:?}: {:?}", network.events);
        let sent: Vec<_> = (1..=150).map(rtp).collect();
        assert_eq!(network.heard, [sent.clone(), sent], "{lite:?}");
        for end in [OFFERER, ANSWERER] {
            assert_eq!(ufrags(&network.peers[end]), [new[end].ufrag.clone()]);
            let disturbed = |(_, event): &(_, Event)| {
                matches!(
                    event,
                    Event::Disconnected | Event::Failed(_) | Event::Closed
                )
            };
            assert!(!network.events[end].iter().any(disturbed), "{lite:?}");
        }
        // And for long after it.
        run_for(&mut network, Duration::from_secs(100), |_| false);
        network.heard = Default::default();
        network.talk(&mut sequence, 10);
        assert_eq!(network.heard.each_ref().map(Vec::len), [10, 10], "{lite:?}");
    }
}

#[test]
fn old_credentials_hold_until_the_switch_only() {
    let mut network = Network::new([false, false], CALM, 1);
    network.connect();
    let old = ufrags(&network.peers[OFFERER]);
    let now = network.now;
    let offer = network.peers[OFFERER].restart_ice(now).expect("connected");
    let both = ufrags(&network.peers[OFFERER]);
    assert_eq!(both, [old[0].clone(), offer.ufrag.clone()]);
    // Not answered for a minute: only checks under the old credentials keep the call.
    run_for(&mut network, Duration::from_secs(60), |_| false);
    assert!(network.drops[OFFERER].is_empty(), "{:?}", network.drops);
    assert_eq!(ufrags(&network.peers[OFFERER]), both);
    let old_check = old_check(&mut network);
    assert_eq!(
        deliver_to_offerer(&mut network, &old_check),
        Received::Handled
    );

    let now = network.now;
    network.peers[ANSWERER].restart_ice(now).expect("connected");
    network.peers[ANSWERER]
        .set_remote(offer.clone(), now)
        .expect("a good offer");
    let answer = network.peers[ANSWERER].local_description();
    network.peers[OFFERER]
        .set_remote(answer, now)
        .expect("a good answer");
    network.collect();
    assert!(run_for(
        &mut network,
        Duration::from_secs(2),
        both_restarted
    ));
    assert_eq!(ufrags(&network.peers[OFFERER]), [offer.ufrag]);
    let received = deliver_to_offerer(&mut network, &old_check);
    assert_eq!(received, Received::Dropped(Drop::StunUsername));
}

/// A check of the answerer, kept from the network.
fn old_check(network: &mut Network) -> Vec<u8> {
    loop {
        let now = network.peers[ANSWERER]
            .poll_timeout()
            .expect("consent checks");
        network.now = network.now.max(now);
        network.peers[ANSWERER].handle_timeout(network.now);
        if let Some(transmit) = network.peers[ANSWERER].poll_transmit() {
            return transmit.payload;
        }
    }
}

fn deliver_to_offerer(network: &mut Network, datagram: &[u8]) -> Received {
    let route = Route {
        local: network.addresses[OFFERER],
        remote: network.addresses[ANSWERER],
    };
    network.deliver(OFFERER, route, datagram)
}

#[test]
fn restart_that_fails_leaves_the_call_on_its_route() {
    let mut network = Network::new([false, false], CALM, 1);
    network.connect();
    let now = network.now;
    network.peers[OFFERER].restart_ice(now).expect("connected");
    let other_end = Network::new([false, false], CALM, 2).peers[ANSWERER].local_description();
    let answer = IceDtlsParameters {
        ufrag: other_end.ufrag,
        pwd: other_end.pwd,
        ..network.peers[ANSWERER].local_description()
    };
    network.peers[OFFERER]
        .set_remote(answer, now)
        .expect("nothing is wrong with it yet");
    network.collect();
    run_for(&mut network, Duration::from_secs(100), |_| false);
    assert_eq!(ufrags(&network.peers[OFFERER]).len(), 1);
    let mut sequence = 0;
    network.talk(&mut sequence, 10);
    assert_eq!(network.heard.each_ref().map(Vec::len), [10, 10]);
    assert!(!has_restarted(&network, OFFERER));
    // Another one works.
    restart(&mut network);
    assert!(run_for(
        &mut network,
        Duration::from_secs(2),
        both_restarted
    ));
}

#[test]
fn restart_brings_back_a_call_whose_route_is_dead() {
    let mut network = Network::new([false, false], CALM, 1);
    network.connect();
    network.weather.loss = 100;
    run_for(&mut network, Duration::from_secs(20), |_| false);
    restart(&mut network);
    // The old session fails after 30 s, in the middle of the new one's checks.
    run_for(&mut network, Duration::from_secs(15), |_| false);
    network.weather.loss = 0;
    assert!(run_for(
        &mut network,
        Duration::from_secs(10),
        both_restarted
    ));
    for end in [OFFERER, ANSWERER] {
        let events: Vec<_> = network.events[end]
            .iter()
            .map(|(_, event)| *event)
            .collect();
        let disconnected = events.iter().position(|it| *it == Event::Disconnected);
        let reconnected = events.iter().position(|it| *it == Event::Reconnected);
        assert!(disconnected.is_some(), "{events:?}");
        assert!(reconnected > disconnected, "{events:?}");
    }
    let mut sequence = 0;
    network.talk(&mut sequence, 10);
    assert_eq!(network.heard.each_ref().map(Vec::len), [10, 10]);
}

#[test]
fn restart_during_the_first_connect_still_connects() {
    let mut network = Network::new([false, false], CALM, 1);
    network.describe();
    restart(&mut network);
    assert!(network.run(Duration::from_secs(2), Network::both_connected));
    assert!(run_for(
        &mut network,
        Duration::from_secs(2),
        both_restarted
    ));
    let mut sequence = 0;
    network.talk(&mut sequence, 10);
    assert_eq!(network.heard.each_ref().map(Vec::len), [10, 10]);
}

#[test]
fn answer_to_a_restart_names_the_same_end() {
    let mut network = Network::new([false, false], CALM, 1);
    network.connect();
    let now = network.now;
    let before = network.peers[ANSWERER].local_description();
    network.peers[OFFERER].restart_ice(now).expect("connected");
    let answer = network.peers[ANSWERER].restart_ice(now).expect("connected");
    let ufrag_only = IceDtlsParameters {
        pwd: before.pwd.clone(),
        ..answer.clone()
    };
    let offerer = &mut network.peers[OFFERER];
    let refused = offerer.set_remote(ufrag_only, now);
    assert!(matches!(refused, Err(Error::IceRestart)), "{refused:?}");
    let mut other_end = answer.clone();
    other_end.fingerprints[0].value[0] ^= 1;
    let refused = offerer.set_remote(other_end, now);
    assert!(
        matches!(refused, Err(Error::FingerprintChanged)),
        "{refused:?}"
    );
    // A description of before is no answer, and no error.
    offerer.set_remote(before, now).expect("unchanged");
    offerer.set_remote(answer.clone(), now).expect("an answer");
    offerer.set_remote(answer, now).expect("the same again");
}

#[test]
fn restart_before_a_description_or_after_the_end_is_refused() {
    let mut network = Network::new([false, false], CALM, 1);
    let now = network.now;
    let early = network.peers[OFFERER].restart_ice(now);
    assert!(matches!(early, Err(Error::RestartTooEarly)), "{early:?}");
    network.connect();
    let now = network.now;
    network.peers[OFFERER].close(now);
    let late = network.peers[OFFERER].restart_ice(now);
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
}

#[test]
fn restarts_refill_no_budget_of_checks() {
    let mut network = Network::new([false, false], CALM, 1);
    network.connect();
    for round in 0..100_u32 {
        let now = network.now;
        network.peers[OFFERER].restart_ice(now).expect("connected");
        let answer = IceDtlsParameters {
            ufrag: format!("restart{round}"),
            pwd: format!("a password of the round {round:04}"),
            candidates: ports_of("203.0.113.9", 32),
            ..network.peers[ANSWERER].local_description()
        };
        network.peers[OFFERER]
            .set_remote(answer, now)
            .expect("a good answer");
        network.collect();
        run_for(&mut network, Duration::from_secs(1), |_| false);
    }
    let astray = network.astray.len();
    assert!((1..=50).contains(&astray), "{astray} datagrams");
    assert!(network.peers[OFFERER].suppressed_checks().call_budget > 0);
}
