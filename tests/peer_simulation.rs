//! Two peers joined by a simulated network in virtual time: loss, reordering, duplication,
//! strangers, and ends that move.

#![expect(
    clippy::disallowed_methods,
    reason = "the simulation needs one real instant to begin at"
)]

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use trunkline::peer::{
    Certificate, Config, Drop, Event, Failure, LocalCandidate, NotReady, Peer, Received, Role,
    Route,
};

const OFFERER: usize = 0;
const ANSWERER: usize = 1;

/// One set of rolls per seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

/// A datagram under way.
struct Flying {
    arrives: Instant,
    to: usize,
    route: Route,
    payload: Vec<u8>,
}

/// What the network does.
#[derive(Clone, Copy)]
struct Weather {
    loss: u64,
    duplication: u64,
    delay: Duration,
    jitter_ms: u64,
}

const CALM: Weather = Weather {
    loss: 0,
    duplication: 0,
    delay: Duration::from_millis(1),
    jitter_ms: 0,
};

struct Network {
    now: Instant,
    start: Instant,
    peers: [Peer; 2],
    addresses: [SocketAddr; 2],
    /// The address that each end's datagrams seem to come from.
    seen_as: [SocketAddr; 2],
    events: [Vec<(Duration, Event)>; 2],
    drops: [Vec<Drop>; 2],
    heard: [Vec<Vec<u8>>; 2],
    checks: [Vec<Instant>; 2],
    flying: Vec<Flying>,
    weather: Weather,
    dice: Dice,
}

fn certificate() -> Arc<Certificate> {
    static ONE: OnceLock<Arc<Certificate>> = OnceLock::new();
    ONE.get_or_init(|| Arc::new(Certificate::generate().expect("a certificate")))
        .clone()
}

fn config(address: SocketAddr, lite: bool) -> Config {
    let candidate = LocalCandidate {
        bound: address,
        advertised: address,
    };
    Config {
        lite,
        ..Config::new(certificate(), vec![candidate])
    }
}

impl Network {
    fn new(lite: [bool; 2], weather: Weather, seed: u64) -> Self {
        let now = Instant::now();
        let addresses = [
            "192.0.2.1:4000".parse().expect("an address"),
            "192.0.2.2:5000".parse().expect("an address"),
        ];
        let peer = |end: usize, role| {
            Peer::new(&config(addresses[end], lite[end]), role, now).expect("a peer")
        };
        Network {
            now,
            start: now,
            peers: [peer(OFFERER, Role::Offerer), peer(ANSWERER, Role::Answerer)],
            addresses,
            seen_as: addresses,
            events: Default::default(),
            drops: Default::default(),
            heard: Default::default(),
            checks: Default::default(),
            flying: Vec::new(),
            weather,
            dice: Dice(seed * 2 + 1),
        }
    }

    /// Offer and answer, as signalling carries them.
    fn describe(&mut self) {
        let offer = self.peers[OFFERER].local_description();
        self.peers[ANSWERER]
            .set_remote(offer, self.now)
            .expect("the offer is good");
        let answer = self.peers[ANSWERER].local_description();
        self.peers[OFFERER]
            .set_remote(answer, self.now)
            .expect("the answer is good");
        self.collect();
    }

    fn collect(&mut self) {
        for from in [OFFERER, ANSWERER] {
            while let Some(transmit) = self.peers[from].poll_transmit() {
                self.send(from, transmit.route, transmit.payload);
            }
            while let Some(event) = self.peers[from].poll_event() {
                self.events[from].push((self.now - self.start, event));
            }
        }
    }

    fn send(&mut self, from: usize, route: Route, payload: Vec<u8>) {
        let to = 1 - from;
        if payload[..2] == [0, 1] {
            self.checks[from].push(self.now);
        }
        if route.remote != self.seen_as[to] {
            return; // nobody lives there
        }
        let arrival = Route {
            local: self.addresses[to],
            remote: self.seen_as[from],
        };
        let copies = 1 + usize::from(self.dice.roll(self.weather.duplication));
        for _ in 0..copies {
            if self.dice.roll(self.weather.loss) {
                continue;
            }
            let jitter = self.dice.next() % (self.weather.jitter_ms + 1);
            self.flying.push(Flying {
                arrives: self.now + self.weather.delay + Duration::from_millis(jitter),
                to,
                route: arrival,
                payload: payload.clone(),
            });
        }
    }

    /// Hands a datagram to an end, whoever sent it.
    fn deliver(&mut self, to: usize, route: Route, payload: &[u8]) -> Received {
        let mut plain = Vec::new();
        let received = self.peers[to].handle_datagram(
            route.local,
            route.remote,
            payload,
            &mut plain,
            self.now,
        );
        match received {
            Received::Rtp | Received::Rtcp => self.heard[to].push(plain),
            Received::Dropped(reason) => self.drops[to].push(reason),
            Received::Handled => {}
        }
        self.collect();
        received
    }

    /// Lets things happen until `until` after the start, or the condition holds.
    fn run(&mut self, until: Duration, done: impl Fn(&Network) -> bool) -> bool {
        let end = self.start + until;
        loop {
            if done(self) {
                return true;
            }
            let timers = self.peers.iter().filter_map(Peer::poll_timeout);
            let arrivals = self.flying.iter().map(|flying| flying.arrives);
            let Some(next) = timers.chain(arrivals).min().filter(|next| *next <= end) else {
                self.now = end;
                return done(self);
            };
            self.now = self.now.max(next);
            let due = self.flying.iter().position(|f| f.arrives <= self.now);
            if let Some(index) = due {
                let flying = self.flying.remove(index);
                self.deliver(flying.to, flying.route, &flying.payload);
                continue;
            }
            for end in [OFFERER, ANSWERER] {
                if self.peers[end]
                    .poll_timeout()
                    .is_some_and(|at| at <= self.now)
                {
                    self.peers[end].handle_timeout(self.now);
                    assert!(
                        self.peers[end]
                            .poll_timeout()
                            .is_none_or(|at| at > self.now),
                        "a timer that was handled is in the future"
                    );
                }
            }
            self.collect();
        }
    }

    fn connected(&self, end: usize) -> Option<Duration> {
        let is_connected = |(_, event): &&(_, Event)| matches!(event, Event::Connected { .. });
        self.events[end]
            .iter()
            .find(is_connected)
            .map(|(at, _)| *at)
    }

    fn both_connected(&self) -> bool {
        self.connected(OFFERER).is_some() && self.connected(ANSWERER).is_some()
    }

    fn first_check(&self, end: usize, since: Instant) -> Option<Instant> {
        self.checks[end].iter().copied().find(|at| *at >= since)
    }

    fn connect(&mut self) {
        self.describe();
        assert!(
            self.run(Duration::from_secs(25), Network::both_connected),
            "not connected: {:?}",
            self.events
        );
    }

    fn say(&mut self, from: usize, sequence: u16) -> Result<(), NotReady> {
        let mut secured = Vec::new();
        let route = self.peers[from].protect_rtp(&rtp(sequence), &mut secured)?;
        self.send(from, route, secured);
        Ok(())
    }

    /// 50 packets a second from both ends.
    fn talk(&mut self, sequence: &mut u16, packets: u16) {
        for _ in 0..packets {
            *sequence += 1;
            for end in [OFFERER, ANSWERER] {
                let _ = self.say(end, *sequence);
            }
            let next = self.now - self.start + Duration::from_millis(20);
            self.run(next, |_| false);
        }
    }
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 111];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 9, 1, 2, 3, 4]);
    packet.extend_from_slice(b"speech");
    packet
}

#[test]
fn two_peers_connect_in_a_few_round_trips_and_talk() {
    for lite in [[false, false], [true, false], [false, true]] {
        let mut network = Network::new(lite, CALM, 1);
        network.connect();
        for end in [OFFERER, ANSWERER] {
            let took = network.connected(end).expect("connected");
            assert!(
                took < Duration::from_millis(20),
                "{lite:?} end {end}: {took:?}"
            );
        }
        let mut sequence = 0;
        network.talk(&mut sequence, 3);
        for end in [OFFERER, ANSWERER] {
            assert_eq!(
                network.heard[end],
                [rtp(1), rtp(2), rtp(3)],
                "{lite:?} end {end}"
            );
        }
    }
}

#[test]
fn bad_weather_delays_but_does_not_prevent() {
    for seed in 0..600 {
        let weather = Weather {
            loss: 20,
            duplication: 10,
            delay: Duration::from_millis(20),
            jitter_ms: 30,
        };
        let lite = [[false, false], [true, false], [false, true]][seed as usize % 3];
        let mut network = Network::new(lite, weather, seed);
        network.describe();
        let done = network.run(Duration::from_secs(20), Network::both_connected);
        assert!(
            done,
            "seed {seed} {lite:?}: {:?} {:?}",
            network.events, network.drops
        );
        network.weather = CALM;
        let mut sequence = 0;
        network.talk(&mut sequence, 3);
        for end in [OFFERER, ANSWERER] {
            let heard = network.heard[end].len();
            assert_eq!(heard, 3, "seed {seed} end {end}: {:?}", network.drops);
        }
    }
}

#[test]
fn candidates_may_come_before_and_after_the_description() {
    for after in [false, true] {
        let mut network = Network::new([false, false], CALM, 1);
        let now = network.now;
        for (from, to) in [(OFFERER, ANSWERER), (ANSWERER, OFFERER)] {
            let mut description = network.peers[from].local_description();
            let candidates = std::mem::take(&mut description.candidates);
            let trickle = |peer: &mut Peer| {
                peer.add_remote_candidate(
                    "candidate:1 1 udp 1 5b6e6a3e-2f3b.local 50416 typ host",
                    now,
                );
                for candidate in &candidates {
                    peer.add_remote_candidate(candidate, now);
                }
            };
            if !after {
                trickle(&mut network.peers[to]);
            }
            network.peers[to]
                .set_remote(description, now)
                .expect("a good description");
            if after {
                trickle(&mut network.peers[to]);
            }
        }
        network.collect();
        assert!(network.run(Duration::from_secs(1), Network::both_connected));
        assert_eq!(network.peers[ANSWERER].unused_candidates().ignored, 1);
    }
}

#[test]
fn the_answerers_checks_and_hello_may_come_before_its_answer() {
    let mut network = Network::new([false, false], CALM, 1);
    let offer = network.peers[OFFERER].local_description();
    let now = network.now;
    network.peers[ANSWERER]
        .set_remote(offer, now)
        .expect("a good offer");
    network.collect();
    network.run(Duration::from_millis(300), |_| false);
    assert_eq!(network.connected(OFFERER), None);
    let answer = network.peers[ANSWERER].local_description();
    let (now, described) = (network.now, network.now - network.start);
    network.peers[OFFERER]
        .set_remote(answer, now)
        .expect("a good answer");
    network.collect();
    assert!(network.run(Duration::from_secs(2), Network::both_connected));
    let took = network.connected(OFFERER).expect("connected") - described;
    assert!(took < Duration::from_millis(30), "{took:?}");
}

#[test]
fn media_follows_an_end_whose_address_changes() {
    for lite in [[false, false], [true, false], [false, true]] {
        for mover in [OFFERER, ANSWERER] {
            if lite[mover] {
                continue; // makes no checks: nobody can learn where it went
            }
            let mut network = Network::new(lite, CALM, 7);
            network.connect();
            let mut sequence = 0;
            network.talk(&mut sequence, 50);
            network.heard[mover].clear();
            network.seen_as[mover].set_port(6000);
            // Its next check tells; ours come every 5 s or after 2 s of silence.
            let moved = network.now;
            while network.first_check(mover, moved).is_none() {
                network.talk(&mut sequence, 1);
                assert!(network.now - moved < Duration::from_secs(7), "no check");
            }
            network.talk(&mut sequence, 30);
            let heard = network.heard[mover].len();
            let what = (lite, mover, heard, &network.events);
            // 30 packets in 600 ms: at least the last of them.
            assert!(heard > 5, "{what:?}");
            assert!(
                !network.drops[1 - mover].contains(&Drop::SrtpForged),
                "{what:?}"
            );
        }
    }
}

#[test]
fn silence_is_told_and_ended() {
    for lite in [[false, false], [true, false]] {
        let mut network = Network::new(lite, CALM, 3);
        network.connect();
        network.weather.loss = 100;
        let told = |network: &Network, event| {
            let found = network.events[OFFERER].iter().find(|(_, e)| *e == event);
            found.map(|(at, _)| *at)
        };
        network.run(Duration::from_secs(7), |_| false);
        let at = told(&network, Event::Disconnected).expect("silence is noticed");
        assert!(at > Duration::from_millis(4_900) && at < Duration::from_millis(5_200));
        network.weather.loss = 0;
        network.run(Duration::from_secs(16), |_| false);
        assert!(
            told(&network, Event::Reconnected).is_some(),
            "{:?}",
            network.events
        );
        let mut sequence = 0;
        network.talk(&mut sequence, 5);
        assert_eq!(network.heard[OFFERER].len(), 5);
        network.weather.loss = 100;
        network.run(Duration::from_secs(60), |_| false);
        let failed = told(&network, Event::Failed(Failure::IceTimeout)).expect("the end");
        assert!(failed > Duration::from_secs(40), "{failed:?}");
        let mut secured = Vec::new();
        let refused = network.peers[OFFERER].protect_rtp(&rtp(1), &mut secured);
        assert_eq!(refused, Err(NotReady::NoRoute));
    }
}

#[test]
fn an_idle_call_stays_connected_by_consent_alone() {
    let mut network = Network::new([false, false], CALM, 3);
    network.connect();
    network.run(Duration::from_secs(600), |_| false);
    for end in [OFFERER, ANSWERER] {
        let last = network.events[end].last().map(|(_, event)| *event);
        assert!(
            matches!(last, Some(Event::Connected { .. })),
            "{:?}",
            network.events
        );
    }
}

#[test]
fn goodbye_is_heard() {
    let mut network = Network::new([false, false], CALM, 3);
    network.connect();
    let now = network.now;
    network.peers[OFFERER].close(now);
    network.collect();
    let closed = |n: &Network| n.events[ANSWERER].iter().any(|(_, e)| *e == Event::Closed);
    assert!(
        network.run(Duration::from_secs(1), closed),
        "{:?}",
        network.events
    );
    assert_eq!(network.peers[OFFERER].poll_timeout(), None);
}

#[test]
fn another_certificate_than_described_is_refused() {
    for role in [OFFERER, ANSWERER] {
        let mut network = Network::new([false, false], CALM, 3);
        let now = network.now;
        let mut offer = network.peers[OFFERER].local_description();
        if role == OFFERER {
            offer.fingerprints[0].value[5] ^= 1;
        }
        network.peers[ANSWERER]
            .set_remote(offer, now)
            .expect("a good offer");
        let mut answer = network.peers[ANSWERER].local_description();
        if role == ANSWERER {
            answer.fingerprints[0].value[5] ^= 1;
        }
        network.peers[OFFERER]
            .set_remote(answer, now)
            .expect("a good answer");
        network.collect();
        network.run(Duration::from_secs(3), |_| false);
        let deceived = 1 - role;
        let mismatch = Event::Failed(Failure::FingerprintMismatch);
        assert!(network.events[deceived].iter().any(|(_, e)| *e == mismatch));
        assert_eq!(network.connected(OFFERER), None);
        assert_eq!(network.connected(ANSWERER), None);
        let other = network.events[role].last().map(|(_, event)| *event);
        assert_eq!(other, Some(Event::Failed(Failure::DtlsFailed)));
    }
}

#[test]
fn strangers_forgers_and_replays_are_dropped() {
    let mut network = Network::new([false, false], CALM, 3);
    let hello = [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[1]].concat();
    let stranger = Route {
        local: network.addresses[OFFERER],
        remote: "203.0.113.9:9".parse().expect("an address"),
    };
    let unvalidated = Received::Dropped(Drop::Unvalidated);
    assert_eq!(network.deliver(OFFERER, stranger, &hello), unvalidated);
    network.connect();
    assert_eq!(network.deliver(OFFERER, stranger, &hello), unvalidated);
    assert_eq!(network.deliver(OFFERER, stranger, &rtp(1)), unvalidated);
    let friend = Route {
        remote: network.addresses[ANSWERER],
        ..stranger
    };
    let mut secured = Vec::new();
    network.peers[ANSWERER]
        .protect_rtp(&rtp(1), &mut secured)
        .expect("connected");
    // A forged first packet must not place the replay window.
    let mut forged = secured.clone();
    forged[2] = 0x50;
    let dropped = |reason| Received::Dropped(reason);
    assert_eq!(
        network.deliver(OFFERER, friend, &forged),
        dropped(Drop::SrtpForged)
    );
    assert_eq!(
        network.deliver(OFFERER, friend, &rtp(1)),
        dropped(Drop::SrtpForged)
    );
    assert_eq!(network.deliver(OFFERER, friend, &secured), Received::Rtp);
    assert_eq!(
        network.deliver(OFFERER, friend, &secured),
        dropped(Drop::SrtpReplayed)
    );
    // Thousands of forged streams, then the true one.
    for stream in 0..5_000_u32 {
        forged[8..12].copy_from_slice(&stream.to_be_bytes());
        assert_eq!(
            network.deliver(OFFERER, friend, &forged),
            dropped(Drop::SrtpForged)
        );
    }
    let mut sequence = 10;
    network.talk(&mut sequence, 2);
    assert_eq!(network.heard[OFFERER].len(), 3);
}

#[test]
fn rtcp_crosses_too() {
    let mut network = Network::new([false, false], CALM, 3);
    network.connect();
    let report = [0x80, 201, 0, 1, 1, 2, 3, 4];
    let mut secured = Vec::new();
    let route = network.peers[OFFERER]
        .protect_rtcp(&report, &mut secured)
        .expect("connected");
    assert_ne!(&secured[..8], &report[..0]);
    let arrival = Route {
        local: route.remote,
        remote: route.local,
    };
    assert_eq!(network.deliver(ANSWERER, arrival, &secured), Received::Rtcp);
    assert_eq!(network.heard[ANSWERER], [report]);
    let replayed = Received::Dropped(Drop::SrtpReplayed);
    assert_eq!(network.deliver(ANSWERER, arrival, &secured), replayed);
}
