//! A trunk behind one name with several addresses, each watched by itself, as traces in virtual
//! time.

use std::time::Duration;

use super::failover::{call, rings};
use super::wire::*;
use crate::sip::stack::message::{Message, Request};
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);
const A: &str = "192.0.2.11:5060";
const B: &str = "192.0.2.12:5060";
const C: &str = "192.0.2.13:5060";

/// A user agent, the name server that it asks, and the hosts that answer OPTIONS.
struct Zone {
    wire: Wire,
    /// Priority and address of each host behind `pbx.example`.
    hosts: Vec<(u16, &'static str)>,
    alive: Vec<&'static str>,
    /// What changed: `192.0.2.11:5060 out: probes failed`, or `target out: ...`.
    news: Vec<String>,
    invites: Vec<(Request, String)>,
    probed: Vec<String>,
    /// Destinations in use and destinations out, as told last.
    counts: (usize, usize),
}

fn named() -> Trunk {
    let mut trunk = trunk("pbx");
    trunk.targets[0].target = Target {
        host: "pbx.example".to_owned(),
        port: None,
        transport: Some(Transport::Udp),
    };
    trunk.health = Some(HealthCheck {
        every: 30 * SECOND,
        failures: 2,
        by_default: true,
    });
    trunk
}

impl Zone {
    fn new(trunk: Trunk, hosts: &[(u16, &'static str)]) -> Self {
        let mut zone = Zone::unknown(trunk, hosts);
        zone.pass(10);
        assert_eq!(std::mem::take(&mut zone.news), ["target up: assumed"]);
        zone
    }

    /// The same at the very start.
    fn unknown(trunk: Trunk, hosts: &[(u16, &'static str)]) -> Self {
        let mut wire = Wire::new(trunk);
        wire.agent.start(wire.now);
        Zone {
            wire,
            hosts: hosts.to_vec(),
            alive: hosts.iter().map(|(_, address)| *address).collect(),
            news: Vec::new(),
            invites: Vec::new(),
            probed: Vec::new(),
            counts: (0, 0),
        }
    }

    fn answer(&self, query: &DnsQuery) -> Records {
        let ip = |address: &str| address.split(':').next().expect("an address").to_owned();
        match query {
            DnsQuery::Srv(name) if name == "_sip._udp.pbx.example" => Records::Srv(
                self.hosts
                    .iter()
                    .map(|(priority, address)| SrvRecord {
                        priority: *priority,
                        weight: 1,
                        port: 5060,
                        target: format!("host-{}.example", ip(address)),
                    })
                    .collect(),
            ),
            DnsQuery::Addresses(name) => name
                .strip_prefix("host-")
                .and_then(|rest| rest.strip_suffix(".example"))
                .map_or(Records::Absent, |ip| {
                    Records::Addresses(vec![ip.parse().expect("an address")])
                }),
            _ => Records::Absent,
        }
    }

    /// Lets time pass second by second.
    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.settle();
            self.wire.advance(SECOND);
        }
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let news = self.wire.agent.poll_event();
            let sent = self.wire.agent.poll_transmit();
            match (&news, &sent) {
                (None, None) => return,
                _ => {
                    news.into_iter().for_each(|news| self.hear(news));
                    sent.into_iter().for_each(|sent| self.take(&sent));
                }
            }
        }
    }

    fn hear(&mut self, news: UserAgentEvent) {
        let state = |is_up| if is_up { "up" } else { "out" };
        match news {
            UserAgentEvent::Resolve { query } => {
                let answer = DnsResponse::Known {
                    records: self.answer(&query),
                    ttl: 20 * SECOND,
                };
                let now = self.wire.now;
                self.wire.agent.handle_resolved(&query, answer, now);
            }
            UserAgentEvent::Target { is_up, why, .. } => {
                self.news.push(format!("target {}: {why}", state(is_up)));
            }
            UserAgentEvent::TargetDestination {
                destination,
                is_up,
                why,
                ..
            } => self
                .news
                .push(format!("{} {}: {why}", destination.address, state(is_up))),
            UserAgentEvent::TargetDestinations { up, out, .. } => self.counts = (up, out),
            _ => {}
        }
    }

    fn take(&mut self, sent: &Transmit) {
        let Message::Request(request) = Message::read(&sent.bytes).expect("readable").message
        else {
            return;
        };
        let to = sent.flow.remote.to_string();
        match request.method.as_str() {
            "OPTIONS" => {
                if self.alive.contains(&to.as_str()) {
                    self.wire.answer(&request, 200, "o", "");
                }
                self.probed.push(to);
            }
            "INVITE" => self.invites.push((request, to)),
            _ => {}
        }
    }

    /// The destinations that a call tries while nobody answers, each once, in their order.
    fn order(&mut self) -> Vec<String> {
        self.invites.clear();
        let leg = call(&mut self.wire);
        self.pass(20);
        assert!(!self.wire.agent.has_leg(leg), "all were silent");
        let mut order: Vec<String> = Vec::new();
        for (_, to) in self.invites.drain(..) {
            if !order.contains(&to) {
                order.push(to);
            }
        }
        order
    }

    /// The destination that a call tries first.
    fn first(&mut self) -> String {
        self.invites.clear();
        let leg = call(&mut self.wire);
        self.settle();
        let (invite, to) = self.invites.pop().expect("sent");
        self.wire.answer(&invite, 486, "x", "");
        assert!(!self.wire.agent.has_leg(leg), "busy");
        self.settle();
        to
    }
}

#[test]
fn a_dead_address_of_a_name_is_found_out_and_comes_back() {
    let mut zone = Zone::new(named(), &[(1, A), (2, B)]);
    assert_eq!(zone.first(), A);
    assert_eq!(zone.counts, (2, 0));
    zone.alive = vec![B];
    zone.pass(60);
    assert_eq!(
        std::mem::take(&mut zone.news),
        [format!("{A} out: probes failed")],
        "the target itself is there"
    );
    assert_eq!(zone.counts, (1, 1));
    assert_eq!(zone.first(), B);
    zone.alive = vec![A, B];
    zone.pass(10);
    assert_eq!(std::mem::take(&mut zone.news), [format!("{A} up: answers")]);
    assert_eq!(zone.first(), A, "at once");
}

#[test]
fn an_address_that_asked_to_be_left_alone_is_although_it_answers_probes() {
    let mut zone = Zone::new(named(), &[(1, A), (2, B)]);
    call(&mut zone.wire);
    zone.settle();
    let (first, _) = zone.invites.pop().expect("sent");
    zone.wire.answer(&first, 503, "x", "Retry-After: 100\r\n");
    zone.pass(60);
    assert!(zone.news.contains(&format!("{A} up: answers")));
    assert_eq!(zone.first(), B);
    zone.pass(50);
    assert_eq!(zone.first(), A);
}

#[test]
fn a_name_all_of_whose_addresses_are_out_is_out_and_still_tried() {
    let mut zone = Zone::new(named(), &[(1, A), (2, B)]);
    zone.alive = Vec::new();
    zone.pass(60);
    let news = std::mem::take(&mut zone.news);
    assert_eq!(news.len(), 3, "{news:?}");
    assert_eq!(news[2], "target out: probes failed");
    let mut tried = zone.order();
    tried.sort_unstable();
    assert_eq!(tried, [A, B]);
    zone.alive = vec![B];
    zone.pass(10);
    assert!(zone.news.contains(&"target up: answers".to_owned()));
    assert_eq!(zone.first(), B);
}

#[test]
fn dead_addresses_of_one_target_come_after_the_other_targets() {
    let mut trunk = named();
    trunk.targets.push(TrunkTarget {
        target: Target::at(C.parse().expect("an address"), Transport::Udp),
        priority: 2,
        weight: 1,
    });
    trunk.targets[0].priority = 1;
    let mut zone = Zone::unknown(trunk, &[(1, A), (2, B)]);
    zone.alive = vec![B, C];
    zone.pass(60);
    let news = format!("{A} out: has answered no OPTIONS yet");
    assert!(zone.news.contains(&news), "{:?}", zone.news);
    assert_eq!(zone.order(), [B, C, A]);
}

#[test]
fn a_call_whose_address_dies_after_its_100_goes_on_to_the_next_address() {
    let mut zone = Zone::new(named(), &[(1, A), (2, B)]);
    call(&mut zone.wire);
    zone.settle();
    let (first, to) = zone.invites.pop().expect("sent");
    assert_eq!(to, A);
    zone.wire.answer(&first, 100, "", "");
    zone.alive = vec![B];
    // A probe after 4 seconds, given up after 4 more.
    zone.pass(9);
    let (second, to) = zone.invites.pop().expect("it goes on");
    assert_eq!(to, B);
    assert!(zone.news.contains(&format!("{A} out: a call failed")));
    rings(&mut zone.wire, &second);
}

#[test]
fn an_address_that_fails_a_call_is_out_at_once() {
    let mut zone = Zone::new(named(), &[(1, A), (2, B)]);
    call(&mut zone.wire);
    zone.settle();
    let (first, _) = zone.invites.pop().expect("sent");
    zone.wire.answer(&first, 503, "x", "");
    zone.settle();
    assert_eq!(zone.news, [format!("{A} out: a call failed")]);
    let (second, to) = zone.invites.pop().expect("it goes on");
    assert_eq!(to, B);
    rings(&mut zone.wire, &second);
}

#[test]
fn addresses_that_come_and_go_in_the_dns_are_watched_and_forgotten() {
    let mut zone = Zone::new(named(), &[(1, A), (2, B)]);
    zone.hosts = vec![(1, B), (2, C)];
    zone.alive = vec![B];
    zone.pass(150);
    zone.probed.clear();
    zone.pass(60);
    assert!(!zone.probed.contains(&A.to_owned()), "{:?}", zone.probed);
    assert!(zone.probed.contains(&B.to_owned()));
    assert_eq!(zone.counts, (1, 1));
    let news = format!("{C} out: has answered no OPTIONS yet");
    assert!(zone.news.contains(&news), "{:?}", zone.news);
    // One is left.
    zone.hosts = vec![(1, B)];
    zone.pass(150);
    zone.probed.clear();
    zone.pass(100);
    assert!(
        zone.probed.iter().all(|probed| probed == B),
        "{:?}",
        zone.probed
    );
    assert_eq!(zone.counts, (1, 0));
}

#[test]
fn name_with_one_address_is_probed() {
    let mut zone = Zone::new(named(), &[(1, A)]);
    zone.pass(100);
    assert!(zone.probed.len() >= 3 && zone.news.is_empty());
    let mut trunk = named();
    trunk.health = trunk.health.map(|check| HealthCheck {
        by_default: false,
        ..check
    });
    let mut zone = Zone::new(trunk, &[(1, A)]);
    zone.alive = Vec::new();
    zone.pass(100);
    assert_eq!(zone.news, ["target out: probes failed"]);
}

#[test]
fn the_only_address_is_not_out_for_a_call_that_failed() {
    let mut zone = Zone::new(named(), &[(1, A)]);
    call(&mut zone.wire);
    zone.settle();
    let (first, _) = zone.invites.pop().expect("sent");
    zone.wire.answer(&first, 503, "x", "");
    zone.settle();
    assert_eq!(zone.news, [""; 0]);
    assert_eq!(zone.counts, (1, 0));
}
