//! Bytes from hostile networks: nothing panics, nothing that is not authentic has an effect.

#![expect(
    clippy::disallowed_methods,
    reason = "the simulation needs one real instant to begin at"
)]

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use trunkline::peer::{
    Certificate, CheckRate, Config, Drop, Event, Kind, LocalCandidate, Peer, Received, Role,
    classify, stun_username,
};

fn certificate() -> Arc<Certificate> {
    static ONE: OnceLock<Arc<Certificate>> = OnceLock::new();
    ONE.get_or_init(|| Arc::new(Certificate::generate().expect("a certificate")))
        .clone()
}

/// More rounds of questions and answers than a handshake takes, its repeats included.
const MOST_ROUNDS: usize = 1_000;

/// Two peers on a wire without delay.
struct Wire {
    now: Instant,
    peers: [Peer; 2],
    addresses: [SocketAddr; 2],
    connected: [bool; 2],
}

impl Wire {
    fn new() -> Self {
        let now = Instant::now();
        let addresses = [4000, 5000].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let peer = |address, role| {
            let candidate = LocalCandidate {
                bound: address,
                advertised: address,
            };
            Peer::new(
                &Config::new(
                    certificate(),
                    vec![candidate],
                    Arc::new(CheckRate::new(250, 500, Instant::now())),
                ),
                role,
                now,
            )
            .expect("a peer")
        };
        let mut peers = [
            peer(addresses[0], Role::Offerer),
            peer(addresses[1], Role::Answerer),
        ];
        let offer = peers[0].local_description();
        peers[1].set_remote(offer, now).expect("a good offer");
        let answer = peers[1].local_description();
        peers[0].set_remote(answer, now).expect("a good answer");
        Wire {
            now,
            peers,
            addresses,
            connected: [false; 2],
        }
    }

    fn deliver(&mut self, to: usize, datagram: &[u8]) -> Received {
        let mut plain = Vec::new();
        let (local, remote) = (self.addresses[to], self.addresses[1 - to]);
        self.peers[to].handle_datagram(local, remote, datagram, &mut plain, self.now)
    }

    /// Runs for a second; `bend` may change what crosses, or give false to lose it.
    fn run(&mut self, mut bend: impl FnMut(usize, &mut Vec<u8>) -> bool) {
        for _ in 0..100 {
            let mut rounds = 0;
            loop {
                rounds += 1;
                assert!(
                    rounds < MOST_ROUNDS,
                    "the peers answer each other without end"
                );
                let mut moved = false;
                for from in [0, 1] {
                    while let Some(mut transmit) = self.peers[from].poll_transmit() {
                        moved = true;
                        if bend(from, &mut transmit.payload) {
                            self.deliver(1 - from, &transmit.payload);
                        }
                    }
                    while let Some(event) = self.peers[from].poll_event() {
                        self.connected[from] |= matches!(event, Event::Connected { .. });
                    }
                }
                if !moved {
                    break;
                }
            }
            self.now += Duration::from_millis(10);
            for peer in &mut self.peers {
                if peer.poll_timeout().is_some_and(|at| at <= self.now) {
                    peer.handle_timeout(self.now);
                }
            }
        }
    }
}

fn seems_like(kind: u8, mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(first) = bytes.first_mut() {
        *first = kind;
    }
    if kind < 4 && bytes.len() >= 8 {
        bytes[4..8].copy_from_slice(&0x2112_a442_u32.to_be_bytes());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_do_nothing(
        datagrams in proptest::collection::vec(
            (
                prop_oneof![Just(0_u8), Just(1), 20_u8..27, Just(0x80), Just(0xbf), any::<u8>()],
                proptest::collection::vec(any::<u8>(), 0..200),
            ),
            1..20,
        ),
    ) {
        static CONNECTED: OnceLock<std::sync::Mutex<Wire>> = OnceLock::new();
        let connected = CONNECTED.get_or_init(|| {
            let mut wire = Wire::new();
            wire.run(|_, _| true);
            assert_eq!(wire.connected, [true, true]);
            std::sync::Mutex::new(wire)
        });
        let mut wire = connected.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut fresh = Wire::new();
        for (kind, bytes) in datagrams {
            let datagram = seems_like(kind, bytes);
            let _ = stun_username(&datagram);
            let unknown = classify(&datagram) == Kind::Unknown;
            for to in [0, 1] {
                let received = wire.deliver(to, &datagram);
                prop_assert!(!matches!(received, Received::Rtp | Received::Rtcp));
                prop_assert_eq!(unknown, received == Received::Dropped(Drop::Unknown));
                prop_assert!(matches!(fresh.deliver(to, &datagram), Received::Dropped(_)));
            }
        }
        for peer in &mut wire.peers {
            let mut secured = Vec::new();
            prop_assert!(peer.protect_rtp(&[0x80; 20], &mut secured).is_ok(), "still connected");
        }
    }

    #[test]
    fn a_bent_handshake_ends_without_panic(
        bends in proptest::collection::vec((any::<u16>(), 1_u8.., 0_u8..8), 30),
        dtls_only in any::<bool>(),
    ) {
        let mut wire = Wire::new();
        let mut bends = bends.into_iter();
        wire.run(|_, datagram| {
            if dtls_only && !(20..64).contains(&datagram[0]) {
                return true;
            }
            let Some((at, with, how)) = bends.next() else {
                return true;
            };
            let at = usize::from(at) % datagram.len();
            match how {
                0 | 1 => datagram[at] ^= with,
                2 => datagram.truncate(at),
                3 => datagram.push(with),
                4 => return false,
                _ => {}
            }
            true
        });
    }
}
