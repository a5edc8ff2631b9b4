//! A network of two peers in virtual time, with weather.

#![expect(
    clippy::disallowed_methods,
    reason = "the simulation needs one real instant to begin at"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use trunkline::peer::{
    Certificate, CheckRate, Config, Drop, Event, LocalCandidate, NotReady, Peer, Received, Role,
    Route,
};

pub const OFFERER: usize = 0;
pub const ANSWERER: usize = 1;
/// Another address of the offerer's, where the test gives it one.
pub const SECOND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 4000);

/// One set of rolls per seed (xorshift64*).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed * 2 + 1)
    }

    pub fn roll(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

/// A datagram under way.
pub struct Flying {
    pub arrives: Instant,
    pub to: usize,
    pub route: Route,
    pub payload: Vec<u8>,
}

/// What the network does.
#[derive(Clone, Copy)]
pub struct Weather {
    pub loss: u64,
    pub duplication: u64,
    pub delay: Duration,
    pub jitter_ms: u64,
}

pub const CALM: Weather = Weather {
    loss: 0,
    duplication: 0,
    delay: Duration::from_millis(1),
    jitter_ms: 0,
};

pub struct Network {
    pub now: Instant,
    pub start: Instant,
    pub peers: [Peer; 2],
    pub addresses: [SocketAddr; 2],
    /// The address that each end's datagrams seem to come from.
    pub seen_as: [SocketAddr; 2],
    pub events: [Vec<(Duration, Event)>; 2],
    pub drops: [Vec<Drop>; 2],
    pub heard: [Vec<Vec<u8>>; 2],
    pub checks: [Vec<Instant>; 2],
    pub flying: Vec<Flying>,
    /// What went where nobody lives.
    pub astray: Vec<(Route, Vec<u8>)>,
    /// The end that makes no checks for a while, as browsers do between theirs.
    pub unchecking: Option<usize>,
    /// An address that no datagram reaches or leaves.
    pub dead: Option<SocketAddr>,
    pub weather: Weather,
    pub dice: Dice,
}

pub fn certificate() -> Arc<Certificate> {
    static ONE: OnceLock<Arc<Certificate>> = OnceLock::new();
    ONE.get_or_init(|| Arc::new(Certificate::generate().expect("a certificate")))
        .clone()
}

/// A rate that stands in no test's way.
pub fn check_rate() -> Arc<CheckRate> {
    Arc::new(CheckRate::new(1_000_000, 1_000_000, Instant::now()))
}

pub fn config(address: SocketAddr, lite: bool) -> Config {
    let candidate = LocalCandidate {
        bound: address,
        advertised: address,
    };
    Config {
        lite,
        ..Config::new(certificate(), vec![candidate], check_rate())
    }
}

impl Network {
    pub fn new(lite: [bool; 2], weather: Weather, seed: u64) -> Self {
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
            astray: Vec::new(),
            unchecking: None,
            dead: None,
            weather,
            dice: Dice::new(seed),
        }
    }

    /// Offer and answer, as signalling carries them.
    pub fn describe(&mut self) {
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

    pub fn collect(&mut self) {
        for from in [OFFERER, ANSWERER] {
            while let Some(transmit) = self.peers[from].poll_transmit() {
                self.send(from, transmit.route, transmit.payload);
            }
            while let Some(event) = self.peers[from].poll_event() {
                self.events[from].push((self.now - self.start, event));
            }
        }
    }

    pub fn send(&mut self, from: usize, route: Route, payload: Vec<u8>) {
        let to = 1 - from;
        if payload[..2] == [0, 1] {
            if self.unchecking == Some(from) {
                return;
            }
            self.checks[from].push(self.now);
        }
        let local = match route.remote {
            remote if remote == self.seen_as[to] => self.addresses[to],
            remote if remote == SECOND && to == OFFERER => SECOND,
            _ => return self.astray.push((route, payload)),
        };
        let remote = match route.local {
            local if local == self.addresses[from] => self.seen_as[from],
            local => local,
        };
        if self
            .dead
            .is_some_and(|dead| dead == local || dead == remote)
        {
            return;
        }
        let arrival = Route { local, remote };
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
    pub fn deliver(&mut self, to: usize, route: Route, payload: &[u8]) -> Received {
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
    pub fn run(&mut self, until: Duration, done: impl Fn(&Network) -> bool) -> bool {
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

    pub fn connected(&self, end: usize) -> Option<Duration> {
        let is_connected = |(_, event): &&(_, Event)| matches!(event, Event::Connected { .. });
        self.events[end]
            .iter()
            .find(is_connected)
            .map(|(at, _)| *at)
    }

    pub fn both_connected(&self) -> bool {
        self.connected(OFFERER).is_some() && self.connected(ANSWERER).is_some()
    }

    pub fn first_check(&self, end: usize, since: Instant) -> Option<Instant> {
        self.checks[end].iter().copied().find(|at| *at >= since)
    }

    pub fn connect(&mut self) {
        self.describe();
        assert!(
            self.run(Duration::from_secs(25), Network::both_connected),
            "not connected: {:?}",
            self.events
        );
    }

    pub fn say(&mut self, from: usize, sequence: u16) -> Result<(), NotReady> {
        let mut secured = Vec::new();
        let route = self.peers[from].protect_rtp(&rtp(sequence), &mut secured)?;
        self.send(from, route, secured);
        Ok(())
    }

    /// 50 packets a second from both ends.
    pub fn talk(&mut self, sequence: &mut u16, packets: u16) {
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

pub fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 111];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 9, 1, 2, 3, 4]);
    packet.extend_from_slice(b"speech");
    packet
}
