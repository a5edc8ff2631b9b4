//! The health of trunks by itself, in virtual time.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a start")]

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::sip::stack::resolver::Destination;
use crate::sip::stack::target::Target;
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::trunk::config::{HealthCheck, Trunk, TrunkTarget};

const SECOND: Duration = Duration::from_secs(1);
const CHECK: HealthCheck = HealthCheck {
    every: Duration::from_secs(30),
    failures: 2,
    by_default: false,
};

struct Setup {
    health: TrunkHealth,
    random: StdRng,
    now: Instant,
}

impl Setup {
    /// One trunk with this many targets.
    fn new(targets: u8, check: Option<HealthCheck>) -> Self {
        let targets = (0..targets).map(|number| TrunkTarget {
            target: Target::at(at(number).address, Transport::Udp),
            priority: 1,
            weight: 1,
        });
        let mut trunk = Trunk::with_targets("pbx", targets.collect());
        trunk.health = check;
        let mut health = TrunkHealth::new(&[trunk]);
        health.start();
        Setup {
            health,
            random: StdRng::seed_from_u64(1),
            now: Instant::now(),
        }
    }

    /// The only target of its trunk, found at these destinations.
    fn found_at(hosts: &[u8], check: HealthCheck) -> Self {
        let mut setup = Setup::new(1, Some(check));
        setup.set(hosts);
        setup.take();
        setup
    }

    fn set(&mut self, hosts: &[u8]) {
        let found = hosts.iter().map(|host| Some(at(*host))).collect();
        let (random, now) = (&mut self.random, self.now);
        self.health
            .set_destinations(TARGET, Some((found, false)), random, now);
    }

    fn take(&mut self) -> Vec<HealthAction> {
        self.health.take_actions()
    }

    /// What is due within that time.
    fn pass(&mut self, time: Duration) -> Vec<HealthAction> {
        self.now += time;
        self.health.handle_timeout(self.now);
        self.take()
    }

    fn fail_probe(&mut self, host: u8) -> ProbeEffect {
        self.health.handle_probe_failure(of(host), self.now)
    }

    fn answer_probe(&mut self, host: u8, status: u16) -> ProbeEffect {
        self.health
            .handle_probe_response(of(host), status, self.now)
    }
}

const TARGET: TargetId = TargetId {
    trunk: 0,
    target: 0,
};

fn at(host: u8) -> Destination {
    Destination {
        transport: Transport::Udp,
        address: ([10, 0, 0, host], 5060).into(),
    }
}

fn of(host: u8) -> TargetDestination {
    TargetDestination {
        target: TARGET,
        destination: Some(at(host)),
    }
}

fn told(is_up: bool, host: u8, why: &'static str) -> HealthAction {
    HealthAction::TellTarget {
        target: TARGET,
        destination: Some(at(host)),
        is_up,
        why,
    }
}

fn counts(up: usize, out: usize) -> HealthAction {
    let target = TARGET;
    HealthAction::TellCounts { target, up, out }
}

#[test]
fn lone_target_without_probes_is_not_watched() {
    let mut setup = Setup::new(1, None);
    assert_eq!(setup.take(), []);
    setup.health.handle_request_failure(of(0), false, setup.now);
    assert!(!setup.health.is_out(TARGET));
}

#[test]
fn target_is_resolved_at_start_each_minute_and_while_pending() {
    let mut setup = Setup::new(1, Some(CHECK));
    let actions = setup.take();
    assert_eq!(actions.last(), Some(&HealthAction::Resolve(TARGET)));
    let (random, now) = (&mut setup.random, setup.now);
    setup.health.set_destinations(TARGET, None, random, now);
    let resolve = [HealthAction::Resolve(TARGET)];
    assert_eq!(setup.pass(SECOND), resolve);
    // That of an address alone stays the same.
    let found = Some((vec![None], true));
    let (random, now) = (&mut setup.random, setup.now);
    setup.health.set_destinations(TARGET, found, random, now);
    setup.take();
    assert!(!setup.pass(90 * SECOND).contains(&resolve[0]));
}

#[test]
fn destination_is_out_after_failed_probes_and_back_by_one() {
    let mut setup = Setup::found_at(&[1], CHECK);
    assert_eq!(setup.pass(2 * SECOND), [HealthAction::Probe(of(1))]);
    assert_eq!(setup.fail_probe(1), ProbeEffect::None, "it never answered");
    assert_eq!(setup.take(), []);
    assert_eq!(setup.pass(5 * SECOND), [HealthAction::Probe(of(1))]);
    setup.fail_probe(1);
    assert_eq!(
        setup.take(),
        [counts(0, 1), told(false, 1, "probes failed")]
    );
    assert!(setup.health.is_out(TARGET));
    assert!(setup.health.is_trunk_out(0));
    assert_eq!(setup.answer_probe(1, 404), ProbeEffect::Recovered);
    assert_eq!(setup.take(), [counts(1, 0), told(true, 1, "answers")]);
    assert!(!setup.health.is_out(TARGET));
}

#[test]
fn destination_that_answered_before_is_lost_by_a_failed_probe() {
    let mut setup = Setup::found_at(&[1], CHECK);
    setup.pass(2 * SECOND);
    setup.answer_probe(1, 200);
    setup.pass(30 * SECOND);
    assert_eq!(setup.fail_probe(1), ProbeEffect::Lost);
    assert!(!setup.health.is_out(TARGET), "one failure of two");
}

#[test]
fn probe_503_counts_as_failure_beside_other_destinations_only() {
    let mut lone = Setup::found_at(&[1], CHECK);
    lone.pass(2 * SECOND);
    assert_eq!(lone.answer_probe(1, 503), ProbeEffect::Recovered);
    let mut several = Setup::found_at(&[1, 2], CHECK);
    several.pass(2 * SECOND);
    several.answer_probe(1, 200);
    assert_eq!(several.answer_probe(1, 503), ProbeEffect::Lost);
    assert_eq!(several.answer_probe(1, 408), ProbeEffect::Lost);
    assert!(several.health.is_destination_out(of(1)));
    assert!(!several.health.is_destination_out(of(2)));
}

#[test]
fn one_destination_has_one_probe_at_a_time() {
    let mut setup = Setup::found_at(&[1], CHECK);
    assert_eq!(setup.pass(2 * SECOND), [HealthAction::Probe(of(1))]);
    setup.health.suspect(of(1));
    assert_eq!(setup.take(), []);
    setup.answer_probe(1, 200);
    setup.health.suspect(of(1));
    assert_eq!(setup.take(), [HealthAction::Probe(of(1))]);
}

#[test]
fn failed_call_puts_a_target_out_for_thirty_seconds() {
    let mut setup = Setup::new(2, None);
    setup.set(&[1]);
    setup.take();
    setup.health.handle_request_failure(of(1), true, setup.now);
    assert_eq!(
        setup.take(),
        [counts(0, 1), told(false, 1, "a call failed")]
    );
    assert!(!setup.health.is_trunk_out(0), "the other target is in");
    assert_eq!(setup.pass(29 * SECOND), []);
    let back = [counts(1, 0), told(true, 1, "tried again")];
    assert_eq!(setup.pass(SECOND), back);
}

#[test]
fn call_503_of_the_only_destination_changes_nothing() {
    let mut setup = Setup::found_at(&[1], CHECK);
    setup.health.handle_request_failure(of(1), true, setup.now);
    assert!(!setup.health.is_out(TARGET));
    setup.health.handle_request_failure(of(1), false, setup.now);
    assert!(setup.health.is_out(TARGET));
}

#[test]
fn answered_call_brings_back_a_destination_that_ignores_probes() {
    let by_default = true;
    let mut setup = Setup::found_at(
        &[1],
        HealthCheck {
            by_default,
            ..CHECK
        },
    );
    for _ in 0..2 {
        setup.pass(5 * SECOND);
        setup.fail_probe(1);
    }
    assert!(setup.health.is_out(TARGET));
    assert!(
        !setup.health.is_trunk_out(0),
        "probes that the operator did not ask for prove nothing"
    );
    assert!(setup.health.handle_response(of(1)));
    assert!(!setup.health.is_out(TARGET));
    assert!(!setup.health.handle_response(of(1)), "known by now");
    for _ in 0..5 {
        setup.pass(30 * SECOND);
        assert_eq!(setup.fail_probe(1), ProbeEffect::None);
    }
    assert!(!setup.health.is_out(TARGET));
}

#[test]
fn destination_that_leaves_the_dns_is_forgotten() {
    let mut setup = Setup::found_at(&[1, 2], CHECK);
    for host in [1, 1, 2, 2] {
        setup.fail_probe(host);
    }
    assert!(setup.health.is_out(TARGET));
    setup.set(&[2, 3]);
    assert!(!setup.health.is_out(TARGET), "the new one is assumed");
    assert!(setup.health.is_destination_out(of(2)), "and 2 still out");
    assert!(!setup.health.is_destination_out(of(1)));
    // Its probe may still be answered.
    assert_eq!(setup.answer_probe(1, 200), ProbeEffect::None);
}
