//! The resolver with requests that wait in it, in virtual time.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a start")]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::sip::stack::listen::Listen;
use crate::sip::stack::next_hop::NextHop;
use crate::sip::stack::transport_protocol::Transport;

const SECOND: Duration = Duration::from_secs(1);

struct Setup {
    resolver: Resolver<&'static str>,
    random: StdRng,
    now: Instant,
}

impl Setup {
    fn new() -> Self {
        let listen = Listen {
            transport: Transport::Udp,
            address: "192.0.2.1:5060".parse().expect("an address"),
        };
        Setup {
            resolver: Resolver::new(SupportedTransports::of(&[listen])),
            random: StdRng::seed_from_u64(3),
            now: Instant::now(),
        }
    }

    fn resolve(&mut self, hop: &NextHop) -> Resolution {
        self.resolver.resolve(hop, &mut self.random, self.now)
    }

    /// Responds to the next query, which must be for the addresses of this name.
    fn respond(&mut self, name: &str, addresses: &[[u8; 4]]) -> Vec<&'static str> {
        let query = DnsQuery::addresses(name);
        let event = self.resolver.poll_event();
        assert_eq!(event, Some(ResolverEvent::Query(query.clone())));
        let addresses: Vec<IpAddr> = addresses.iter().map(|ip| IpAddr::from(*ip)).collect();
        let response = DnsResponse::Known {
            records: match addresses.is_empty() {
                true => Records::Absent,
                false => Records::Addresses(addresses),
            },
            ttl: 300 * SECOND,
        };
        let (random, now) = (&mut self.random, self.now);
        self.resolver.handle_response(&query, response, random, now)
    }
}

/// A next hop by name and port, for which the addresses alone are queried.
fn hop(name: &str) -> NextHop {
    NextHop {
        host: name.to_owned(),
        port: Some(5060),
        transport: Some(Transport::Udp),
    }
}

fn at(host: u8) -> Destination {
    Destination {
        transport: Transport::Udp,
        address: ([10, 0, 0, host], 5060).into(),
    }
}

#[test]
fn pending_request_comes_back_with_the_dns_response() {
    let mut setup = Setup::new();
    assert_eq!(setup.resolve(&hop("pbx.example")), Resolution::Pending);
    assert_eq!(setup.resolver.hold("INVITE", setup.now), Ok(()));
    assert_eq!(
        setup.resolver.poll_timeout(),
        Some(setup.now + 5 * SECOND),
        "no request waits longer"
    );
    assert_eq!(setup.respond("pbx.example", &[[10, 0, 0, 2]]), ["INVITE"]);
    let found = Resolution::Destinations(vec![at(2)]);
    assert_eq!(setup.resolve(&hop("pbx.example")), found);
    assert_eq!(setup.resolver.poll_timeout(), None);
}

#[test]
fn pending_request_expires_alone_after_five_seconds() {
    let mut setup = Setup::new();
    let start = setup.now;
    setup.resolve(&hop("pbx.example"));
    assert_eq!(setup.resolver.hold("first", start), Ok(()));
    assert_eq!(setup.resolver.hold("second", start + SECOND), Ok(()));
    let at = |setup: &mut Setup, seconds| {
        let now = start + seconds * SECOND;
        setup.resolver.handle_timeout(&mut setup.random, now)
    };
    assert!(at(&mut setup, 4).is_empty());
    assert_eq!(at(&mut setup, 5), ["first"]);
    assert_eq!(setup.resolver.poll_timeout(), Some(start + 6 * SECOND));
    assert_eq!(at(&mut setup, 6), ["second"]);
}

#[test]
fn cancelled_request_does_not_come_back() {
    let mut setup = Setup::new();
    setup.resolve(&hop("pbx.example"));
    for request in ["INVITE", "MESSAGE"] {
        assert_eq!(setup.resolver.hold(request, setup.now), Ok(()));
    }
    setup.resolver.cancel(|request| *request == "INVITE");
    assert_eq!(setup.respond("pbx.example", &[]), ["MESSAGE"]);
}

#[test]
fn request_beyond_the_limit_is_given_back() {
    let mut setup = Setup::new();
    let held = (0..1_001)
        .filter(|_| setup.resolver.hold("INVITE", setup.now).is_ok())
        .count();
    assert_eq!(held, 1_000);
    assert_eq!(setup.resolver.hold("BYE", setup.now), Err("BYE"));
}

#[test]
fn failed_destination_is_last_for_requests_only() {
    let mut setup = Setup::new();
    let pbx = hop("pbx.example");
    setup.resolve(&pbx);
    setup.respond("pbx.example", &[[10, 0, 0, 2], [10, 0, 0, 3]]);
    let failure = Failure {
        until: setup.now + 30 * SECOND,
        requested: false,
    };
    setup.resolver.fail(at(2), failure);
    let reversed = Resolution::Destinations(vec![at(3), at(2)]);
    assert_eq!(setup.resolve(&pbx), reversed);
    let (random, now) = (&mut setup.random, setup.now);
    let known = setup.resolver.look_up_known(&pbx, random, now);
    assert_eq!(known, [at(2), at(3)], "a probe sees the order of the DNS");
    setup.now += 30 * SECOND;
    let in_order = Resolution::Destinations(vec![at(2), at(3)]);
    assert_eq!(setup.resolve(&pbx), in_order);
}

#[test]
fn unresolvable_host_is_reported_once_until_found() {
    let mut setup = Setup::new();
    let pbx = hop("pbx.example");
    setup.resolve(&pbx);
    setup.respond("pbx.example", &[]);
    let reported = Some(ResolverEvent::Unresolvable {
        host: "pbx.example".to_owned(),
    });
    for expected in [&reported, &None] {
        assert_eq!(setup.resolve(&pbx), Resolution::Destinations(Vec::new()));
        assert_eq!(setup.resolver.poll_event(), *expected);
    }
    setup.now += 301 * SECOND;
    setup.resolve(&pbx);
    setup.respond("pbx.example", &[[10, 0, 0, 2]]);
    assert_eq!(setup.resolve(&pbx), Resolution::Destinations(vec![at(2)]));
    setup.now += 301 * SECOND;
    setup.resolve(&pbx);
    setup.respond("pbx.example", &[]);
    setup.resolve(&pbx);
    assert_eq!(setup.resolver.poll_event(), reported);
}

#[test]
fn resolver_is_ready_once_kept_names_were_queried() {
    let mut setup = Setup::new();
    assert!(setup.resolver.is_ready(), "there is no name to wait for");
    let kept = vec![hop("a.example"), hop("b.example")];
    let (random, now) = (&mut setup.random, setup.now);
    setup.resolver.keep_resolved(kept, random, now);
    assert!(setup.resolver.is_unresolved(&hop("a.example")));
    setup.respond("a.example", &[[10, 0, 0, 2]]);
    assert!(!setup.resolver.is_unresolved(&hop("a.example")));
    assert!(!setup.resolver.is_ready());
    setup.respond("b.example", &[]);
    assert!(setup.resolver.is_ready(), "no address is a response too");
}

#[test]
fn kept_name_is_queried_again_when_its_ttl_is_over() {
    let mut setup = Setup::new();
    let (random, now) = (&mut setup.random, setup.now);
    let kept = vec![hop("a.example")];
    setup.resolver.keep_resolved(kept, random, now);
    setup.respond("a.example", &[[10, 0, 0, 2]]);
    let mut queried = Vec::new();
    for minute in 1..=6 {
        setup.now += 60 * SECOND;
        assert_eq!(setup.resolver.poll_timeout(), Some(setup.now));
        setup.resolver.handle_timeout(&mut setup.random, setup.now);
        if setup.resolver.poll_event().is_some() {
            queried.push(minute);
        }
    }
    assert_eq!(queried, [5], "one query for a TTL of 300 s");
    assert!(setup.resolver.is_ready(), "the old response still serves");
}
