//! Flows that are kept open, in virtual time.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a start")]

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::flow_probe::{CRLF_KEEP_ALIVE, FlowFailure};
use super::*;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::transport_protocol::Transport;

const SECOND: Duration = Duration::from_secs(1);
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), 40_000);
const ELSEWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), 40_001);
const TERMS: KeepAliveTerms = KeepAliveTerms {
    interval: Some(Duration::from_secs(25)),
    flow_timer: None,
    expires: Duration::from_secs(3_600),
    by_stun: true,
};

struct Setup {
    probes: FlowProbes,
    random: StdRng,
    now: Instant,
}

impl Setup {
    fn new(terms: KeepAliveTerms) -> Self {
        let mut setup = Setup {
            probes: FlowProbes::new(),
            random: StdRng::seed_from_u64(1),
            now: Instant::now(),
        };
        setup.keep(terms);
        setup
    }

    fn keep(&mut self, terms: KeepAliveTerms) {
        self.probes.keep(flow(), terms, &mut self.random, self.now);
    }

    /// Waits for the next action.
    fn next(&mut self) -> Option<FlowAction> {
        loop {
            if let Some(action) = self.probes.poll_action() {
                return Some(action);
            }
            self.now = self.probes.poll_timeout()?;
            self.probes.handle_timeout(&mut self.random, self.now);
        }
    }

    /// Waits for the next probe; gives its transaction.
    #[track_caller]
    fn probe(&mut self) -> [u8; 12] {
        let Some(FlowAction::Send(to, bytes)) = self.next() else {
            panic!("a probe");
        };
        assert_eq!(to, flow());
        assert_eq!(bytes[..8], [[0, 1, 0, 0], COOKIE].concat());
        bytes[8..].try_into().expect("nothing behind the header")
    }

    fn answer(&mut self, transaction: [u8; 12], seen: SocketAddrV4) {
        let datagram = binding_success(transaction, seen);
        let taken = self.probes.handle_stun(&datagram, flow().key(), self.now);
        assert_eq!(taken, Ok(()));
    }
}

fn flow() -> Flow {
    let registrar = ([198, 51, 100, 9], 5060).into();
    Flow::new(Transport::Udp, 0, registrar)
}

/// RFC 8489 sections 5 and 14.2.
fn binding_success(transaction: [u8; 12], seen: SocketAddrV4) -> Bytes {
    let mut datagram = vec![1, 1, 0, 12];
    datagram.extend(COOKIE);
    datagram.extend(transaction);
    datagram.extend([0, 0x20, 0, 8, 0, 1]);
    datagram.extend((seen.port() ^ 0x2112).to_be_bytes());
    let octets = seen.ip().octets();
    datagram.extend(octets.iter().zip(COOKIE).map(|(octet, key)| octet ^ key));
    datagram.into()
}

#[test]
fn crlf_goes_at_the_interval_until_the_registration_expires() {
    let by_stun = false;
    let mut setup = Setup::new(KeepAliveTerms { by_stun, ..TERMS });
    let start = setup.now;
    let mut sent = 0;
    while let Some(action) = setup.next() {
        assert_eq!(action, FlowAction::Send(flow(), CRLF_KEEP_ALIVE));
        sent += 1;
        assert_eq!(setup.now, start + sent * 25 * SECOND);
    }
    assert_eq!(sent, 143, "3,600 s have 144 intervals, the last one over");
}

#[test]
fn flow_timer_makes_crlf_a_little_more_frequent() {
    let terms = KeepAliveTerms {
        interval: None,
        flow_timer: Some(20 * SECOND),
        by_stun: false,
        ..TERMS
    };
    let mut setup = Setup::new(terms);
    let start = setup.now;
    setup.next();
    let rounded = (setup.now - start).as_millis();
    assert_eq!(rounded, 18_000, "RFC 5626 section 4.4.1");
}

#[test]
fn stun_answered_at_the_same_address_holds_the_flow() {
    let mut setup = Setup::new(TERMS);
    let mut last = setup.now;
    for _ in 0..10 {
        let transaction = setup.probe();
        let pause = setup.now - last;
        assert!((24 * SECOND..=29 * SECOND).contains(&pause), "{pause:?}");
        last = setup.now;
        setup.answer(transaction, HERE);
        assert_eq!(setup.probes.poll_action(), None);
    }
}

#[test]
fn moved_reflexive_address_fails_the_flow_until_registered() {
    let mut setup = Setup::new(TERMS);
    let transaction = setup.probe();
    setup.answer(transaction, HERE);
    let transaction = setup.probe();
    setup.answer(transaction, ELSEWHERE);
    let failed = FlowAction::Failed {
        flow: flow(),
        why: FlowFailure::Moved,
        reflexive: Some(ELSEWHERE.into()),
    };
    assert_eq!(setup.next(), Some(failed));
    setup.keep(TERMS);
    let transaction = setup.probe();
    setup.answer(transaction, ELSEWHERE);
    assert_eq!(setup.probes.poll_action(), None);
}

#[test]
fn failed_flow_sends_nothing_until_its_registration_expires() {
    let mut setup = Setup::new(TERMS);
    let start = setup.now;
    let transaction = setup.probe();
    setup.answer(transaction, HERE);
    let transaction = setup.probe();
    let key = flow().key();
    assert!(setup.probes.handle_unreachable(key, transaction, setup.now));
    assert!(matches!(
        setup.next(),
        Some(FlowAction::Failed {
            why: FlowFailure::Unreachable,
            reflexive: None,
            ..
        })
    ));
    assert_eq!(setup.next(), None);
    assert_eq!(setup.now, start + TERMS.expires);
    assert!(!setup.probes.is_probed(key), "it is forgotten");
}

#[test]
fn far_end_that_never_answers_stun_gets_crlf() {
    let mut setup = Setup::new(TERMS);
    let transaction = setup.probe();
    for _ in 1..7 {
        assert_eq!(setup.probe(), transaction, "repeated (RFC 8489 6.2.1)");
    }
    let without = |first| FlowAction::WithoutStun {
        flow: flow(),
        why: FlowFailure::Silent,
        first,
    };
    assert_eq!(setup.next(), Some(without(true)));
    let found_at = setup.now;
    let crlf = Some(FlowAction::Send(flow(), CRLF_KEEP_ALIVE));
    assert_eq!(setup.next(), crlf);
    assert_eq!(setup.now, found_at, "the NAT has seen nothing for long");
    assert!(setup.probes.is_probed(flow().key()), "and again in an hour");
}

#[test]
fn stun_that_is_no_answer_of_ours_is_rejected() {
    let mut setup = Setup::new(TERMS);
    let transaction = setup.probe();
    let key = flow().key();
    let now = setup.now;
    let mut reject = |datagram: &[u8]| setup.probes.handle_stun(datagram, key, now);
    let mut request = binding_success(transaction, HERE).to_vec();
    request[0] = 0;
    assert_eq!(reject(&request), Err("stun_request"));
    assert_eq!(reject(&[1, 1, 0]), Err("unreadable"));
    let other = binding_success([7; 12], HERE);
    assert_eq!(reject(&other), Err("stun_unmatched"));
    let mut malformed = binding_success(transaction, HERE).to_vec();
    malformed[23] = 200;
    assert_eq!(reject(&malformed), Err("stun_malformed"));
    let elsewhere: SocketAddr = ([198, 51, 100, 10], 5060).into();
    let key = Flow::new(Transport::Udp, 0, elsewhere).key();
    let answer = binding_success(transaction, HERE);
    let taken = setup.probes.handle_stun(&answer, key, now);
    assert_eq!(taken, Err("stun_unmatched"), "from another address");
}

#[test]
fn refreshed_registration_keeps_the_pace_of_its_flow() {
    let mut setup = Setup::new(TERMS);
    let due = setup.probes.poll_timeout();
    setup.now += 10 * SECOND;
    setup.keep(TERMS);
    assert_eq!(setup.probes.poll_timeout(), due, "no probe is put off");
    setup.probes.stop(flow().key());
    assert_eq!(setup.probes.poll_timeout(), None);
}
