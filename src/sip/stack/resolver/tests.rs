//! RFC 3263 as tables: a zone, a destination as written, the destinations that come of it.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a start")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::dns_cache::DnsCache;
use super::*;
use crate::sip::stack::listen::Listen;
use crate::sip::stack::next_hop::NextHop;
use crate::sip::stack::transport_protocol::Transport;

const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(300);

/// A DNS of its own and a cache that asks it.
struct Zone {
    records: HashMap<DnsQuery, Records>,
    failing: bool,
    cache: DnsCache,
    random: StdRng,
    now: Instant,
    /// All that was asked, in order.
    asked: Vec<String>,
}

impl Zone {
    fn new(listeners: &[&str]) -> Self {
        let listeners: Vec<Listen> = listeners
            .iter()
            .map(|text| {
                let (transport, address) = text.split_once(' ').expect("two words");
                Listen {
                    transport: match transport {
                        "udp" => Transport::Udp,
                        _ => Transport::Tcp,
                    },
                    address: address.parse().expect("an address"),
                }
            })
            .collect();
        Zone {
            records: HashMap::new(),
            failing: false,
            cache: DnsCache::new(SupportedTransports::of(&listeners)),
            random: StdRng::seed_from_u64(5),
            now: Instant::now(),
            asked: Vec::new(),
        }
    }

    /// Both transports and both families, IPv4 first.
    fn dual() -> Self {
        Zone::new(&[
            "udp 192.0.2.1:5060",
            "tcp 192.0.2.1:5060",
            "udp [2001:db8::1]:5060",
            "tcp [2001:db8::1]:5060",
        ])
    }

    /// `NAME naptr ORDER PREFERENCE FLAGS SERVICES REPLACEMENT`, `NAME srv PRIORITY WEIGHT PORT
    /// TARGET`, `NAME a ADDRESS`.
    fn line(mut self, line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u16>().expect("a number");
        match words[1] {
            "naptr" => {
                let record = NaptrRecord {
                    order: number(2),
                    preference: number(3),
                    flags: words[4].to_owned(),
                    services: words[5].to_owned(),
                    replacement: words[6].to_owned(),
                };
                let held = self.records.entry(DnsQuery::naptr(words[0]));
                match held.or_insert(Records::Naptr(Vec::new())) {
                    Records::Naptr(records) => records.push(record),
                    other => panic!("{other:?}"),
                }
            }
            "srv" => {
                let record = SrvRecord {
                    priority: number(2),
                    weight: number(3),
                    port: number(4),
                    target: words[5].trim_end_matches('.').to_owned(),
                };
                let held = self.records.entry(DnsQuery::srv(words[0]));
                match held.or_insert(Records::Srv(Vec::new())) {
                    Records::Srv(records) => records.push(record),
                    other => panic!("{other:?}"),
                }
            }
            _ => {
                let address = words[2].parse().expect("an address");
                let held = self.records.entry(DnsQuery::addresses(words[0]));
                match held.or_insert(Records::Addresses(Vec::new())) {
                    Records::Addresses(records) => records.push(address),
                    other => panic!("{other:?}"),
                }
            }
        }
        self
    }

    /// Answers what is asked.
    fn answer(&mut self) {
        while let Some(query) = self.cache.poll_query() {
            self.asked.push(query.to_string());
            let answer = if self.failing {
                DnsResponse::Failed {
                    why: "no server".to_owned(),
                }
            } else {
                DnsResponse::Known {
                    records: self.records.get(&query).cloned().unwrap_or(Records::Absent),
                    ttl: TTL,
                }
            };
            self.cache.take(&query, answer, self.now);
        }
    }

    fn resolve(&mut self, uri: &str) -> Resolution {
        let hop = NextHop::of_uri(uri).expect("a readable URI");
        self.cache.resolve(&hop, &mut self.random, self.now)
    }

    /// The destinations of a URI, as text.
    fn destinations(&mut self, uri: &str) -> Vec<String> {
        for _ in 0..10 {
            if let Resolution::Destinations(destinations) = self.resolve(uri) {
                return destinations
                    .iter()
                    .map(|destination| format!("{} {}", destination.transport, destination.address))
                    .collect();
            }
            self.answer();
        }
        panic!("it never ends: {:?}", self.asked);
    }
}

#[test]
fn an_address_needs_no_lookup() {
    let mut zone = Zone::dual();
    for (uri, destination) in [
        ("sip:10.0.0.2", "UDP 10.0.0.2:5060"),
        ("sip:u@10.0.0.2:5070", "UDP 10.0.0.2:5070"),
        ("sip:10.0.0.2;transport=tcp", "TCP 10.0.0.2:5060"),
        ("sip:[2001:db8::2]", "UDP [2001:db8::2]:5060"),
        ("sip:pbx.example;maddr=10.0.0.3", "UDP 10.0.0.3:5060"),
    ] {
        assert_eq!(zone.destinations(uri), [destination], "{uri}");
    }
    assert!(zone.asked.is_empty(), "{:?}", zone.asked);
}

#[test]
fn a_port_rules_srv_out() {
    let mut zone = Zone::dual()
        .line("_sip._udp.pbx.example srv 1 1 5080 other.example")
        .line("pbx.example a 10.0.0.2");
    assert_eq!(
        zone.destinations("sip:pbx.example:5070"),
        ["UDP 10.0.0.2:5070"]
    );
    assert_eq!(
        zone.destinations("sip:pbx.example:5070;transport=tcp"),
        ["TCP 10.0.0.2:5070"]
    );
    assert_eq!(zone.asked, ["A/AAAA pbx.example"]);
}

#[test]
fn naptr_chooses_the_transport_and_srv_the_host() {
    let mut zone = Zone::dual()
        .line("pbx.example naptr 50 50 s SIPS+D2T _sips._tcp.pbx.example")
        .line("pbx.example naptr 90 60 s SIP+D2U _sip._udp.elsewhere.example")
        .line("pbx.example naptr 90 50 S sip+d2t _sip._tcp.pbx.example")
        .line("pbx.example naptr 100 1 s SIP+D2U never.example")
        .line("pbx.example naptr 10 1 u E2U+sip !^.*$!sip:x@y!")
        .line("_sip._tcp.pbx.example srv 2 0 5061 b.pbx.example")
        .line("_sip._tcp.pbx.example srv 1 0 5060 a.pbx.example")
        .line("_sip._udp.elsewhere.example srv 1 0 5099 c.pbx.example")
        .line("a.pbx.example a 10.0.0.1")
        .line("a.pbx.example a 2001:db8::10")
        .line("b.pbx.example a 10.0.0.2")
        .line("c.pbx.example a 10.0.0.3");
    assert_eq!(
        zone.destinations("sip:pbx.example"),
        [
            "TCP 10.0.0.1:5060",
            "TCP [2001:db8::10]:5060",
            "TCP 10.0.0.2:5061",
            "UDP 10.0.0.3:5099"
        ]
    );
}

#[test]
fn naptr_of_transports_that_we_do_not_speak_is_passed_over() {
    let mut zone = Zone::new(&["udp 192.0.2.1:5060"])
        .line("pbx.example naptr 1 1 s SIP+D2T _sip._tcp.pbx.example")
        .line("pbx.example naptr 2 1 s SIP+D2U _sip._udp.pbx.example")
        .line("_sip._tcp.pbx.example srv 1 0 5060 a.pbx.example")
        .line("_sip._udp.pbx.example srv 1 0 5070 a.pbx.example")
        .line("a.pbx.example a 2001:db8::10")
        .line("a.pbx.example a 10.0.0.1");
    assert_eq!(zone.destinations("sip:pbx.example"), ["UDP 10.0.0.1:5070"]);
}

#[test]
fn without_naptr_the_srv_records_of_every_transport_count() {
    let mut zone = Zone::dual()
        .line("_sip._tcp.pbx.example srv 1 0 5061 a.pbx.example")
        .line("_sip._udp.pbx.example srv 1 0 5060 a.pbx.example")
        .line("a.pbx.example a 10.0.0.1");
    assert_eq!(
        zone.destinations("sip:pbx.example"),
        ["UDP 10.0.0.1:5060", "TCP 10.0.0.1:5061"]
    );
    let mut zone = Zone::dual()
        .line("_sip._tcp.pbx.example srv 1 0 5061 a.pbx.example")
        .line("a.pbx.example a 10.0.0.1");
    assert_eq!(zone.destinations("sip:pbx.example"), ["TCP 10.0.0.1:5061"]);
}

#[test]
fn a_named_transport_asks_for_its_srv_records_only() {
    let mut zone = Zone::dual()
        .line("pbx.example naptr 1 1 s SIP+D2U _sip._udp.pbx.example")
        .line("_sip._udp.pbx.example srv 1 0 5070 a.pbx.example")
        .line("_sip._tcp.pbx.example srv 1 0 5071 a.pbx.example")
        .line("a.pbx.example a 10.0.0.1");
    assert_eq!(
        zone.destinations("sip:pbx.example;transport=tcp"),
        ["TCP 10.0.0.1:5071"]
    );
    assert_eq!(
        zone.asked,
        [
            "SRV _sip._tcp.pbx.example",
            "A/AAAA pbx.example",
            "A/AAAA a.pbx.example"
        ],
        "the addresses of the name itself are asked meanwhile"
    );
}

#[test]
fn without_any_records_the_addresses_and_the_usual_port_are_left() {
    let mut zone = Zone::dual()
        .line("pbx.example a 2001:db8::2")
        .line("pbx.example a 10.0.0.2");
    assert_eq!(
        zone.destinations("sip:pbx.example"),
        ["UDP 10.0.0.2:5060", "UDP [2001:db8::2]:5060"]
    );
    // All four were asked at once, none twice.
    assert_eq!(
        zone.asked,
        [
            "NAPTR pbx.example",
            "SRV _sip._udp.pbx.example",
            "SRV _sip._tcp.pbx.example",
            "A/AAAA pbx.example"
        ]
    );
    assert_eq!(
        zone.destinations("sip:pbx.example;transport=tcp"),
        ["TCP 10.0.0.2:5060", "TCP [2001:db8::2]:5060"]
    );
}

#[test]
fn a_service_that_is_decidedly_not_there_is_not_looked_for_elsewhere() {
    let mut zone = Zone::dual()
        .line("_sip._udp.pbx.example srv 0 0 0 .")
        .line("pbx.example a 10.0.0.2");
    assert!(
        zone.destinations("sip:pbx.example;transport=udp")
            .is_empty()
    );
    assert!(zone.destinations("sip:pbx.example").is_empty());
}

#[test]
fn the_family_of_the_first_listener_comes_first_and_others_are_left_out() {
    let lines = |zone: Zone| {
        zone.line("pbx.example a 10.0.0.2")
            .line("pbx.example a 2001:db8::2")
    };
    let mut zone = lines(Zone::new(&["udp [2001:db8::1]:5060", "udp 192.0.2.1:5060"]));
    assert_eq!(
        zone.destinations("sip:pbx.example:5060"),
        ["UDP [2001:db8::2]:5060", "UDP 10.0.0.2:5060"]
    );
    let mut zone = lines(Zone::new(&["udp [2001:db8::1]:5060", "tcp 192.0.2.1:5060"]));
    assert_eq!(
        zone.destinations("sip:pbx.example:5060"),
        ["UDP [2001:db8::2]:5060"]
    );
}

#[test]
fn weights_share_calls_out_among_hosts() {
    let mut zone = Zone::dual()
        .line("_sip._udp.pbx.example srv 1 75 5060 a.pbx.example")
        .line("_sip._udp.pbx.example srv 1 25 5060 b.pbx.example")
        .line("_sip._udp.pbx.example srv 2 99 5060 c.pbx.example")
        .line("a.pbx.example a 10.0.0.1")
        .line("b.pbx.example a 10.0.0.2")
        .line("c.pbx.example a 10.0.0.3");
    let mut first = HashMap::new();
    for _ in 0..4_000 {
        let destinations = zone.destinations("sip:pbx.example;transport=udp");
        assert_eq!(destinations.len(), 3);
        assert_eq!(destinations[2], "UDP 10.0.0.3:5060");
        *first.entry(destinations[0].clone()).or_insert(0) += 1;
    }
    let share = f64::from(first["UDP 10.0.0.1:5060"]) / 40.0;
    assert!((share - 75.0).abs() < 4.0, "{share} %");
    assert_eq!(zone.asked.len(), 5, "known names are not asked again");
}

#[test]
fn what_has_run_out_serves_while_it_is_asked_anew_and_when_nobody_answers() {
    let mut zone = Zone::dual().line("pbx.example a 10.0.0.2");
    let uri = "sip:pbx.example:5060";
    zone.destinations(uri);
    zone.now += TTL - SECOND;
    zone.destinations(uri);
    zone.answer();
    assert_eq!(zone.asked.len(), 1, "fresh until its time is over");
    zone.now += 2 * SECOND;
    zone.failing = true;
    assert_eq!(zone.destinations(uri), ["UDP 10.0.0.2:5060"]);
    zone.answer();
    assert_eq!(zone.asked.len(), 2);
    // The lookup failed: the old answer goes on, and is asked for again after a while only.
    assert_eq!(zone.destinations(uri), ["UDP 10.0.0.2:5060"]);
    zone.answer();
    assert_eq!(zone.asked.len(), 2);
    zone.now += 31 * SECOND;
    zone.failing = false;
    zone.records.clear();
    zone = zone.line("pbx.example a 10.0.0.9");
    zone.destinations(uri);
    zone.answer();
    assert_eq!(zone.destinations(uri), ["UDP 10.0.0.9:5060"]);
    // A day after its time it no longer counts.
    zone.now += TTL + Duration::from_secs(24 * 3_600) + SECOND;
    assert_eq!(zone.resolve(uri), Resolution::Pending);
}

#[test]
fn a_name_that_is_gone_is_gone() {
    let mut zone = Zone::dual().line("pbx.example a 10.0.0.2");
    let uri = "sip:pbx.example:5060";
    zone.destinations(uri);
    zone.records.clear();
    zone.now += TTL + SECOND;
    zone.destinations(uri);
    zone.answer();
    assert!(zone.destinations(uri).is_empty(), "the DNS says so itself");
    assert_eq!(zone.asked.len(), 2);
}

#[test]
fn servers_that_know_no_naptr_and_srv_do_not_hide_the_addresses() {
    let mut zone = Zone::dual().line("pbx.example a 10.0.0.2");
    let uri = "sip:pbx.example";
    assert_eq!(zone.resolve(uri), Resolution::Pending);
    let now = zone.now;
    while let Some(query) = zone.cache.poll_query() {
        let answer = match zone.records.get(&query) {
            Some(records) => DnsResponse::Known {
                records: records.clone(),
                ttl: TTL,
            },
            None => DnsResponse::Failed {
                why: "SERVFAIL".to_owned(),
            },
        };
        zone.cache.take(&query, answer, now);
    }
    assert_eq!(zone.destinations(uri), ["UDP 10.0.0.2:5060"]);
    // Nor do they make a later call wait.
    zone.now += 40 * SECOND;
    assert_ne!(zone.resolve(uri), Resolution::Pending);
}

#[test]
fn who_cannot_wait_gets_what_is_known() {
    let mut zone = Zone::dual()
        .line("_sip._udp.pbx.example srv 1 0 5060 quick.example")
        .line("_sip._udp.pbx.example srv 2 0 5060 slow.example")
        .line("quick.example a 10.0.0.1");
    let uri = "sip:pbx.example;transport=udp";
    assert_eq!(zone.resolve(uri), Resolution::Pending);
    zone.answer();
    assert_eq!(zone.resolve(uri), Resolution::Pending);
    let query = zone.cache.poll_query().expect("quick.example");
    let records = zone.records[&query].clone();
    let answer = DnsResponse::Known { records, ttl: TTL };
    zone.cache.take(&query, answer, zone.now);
    assert_eq!(
        zone.resolve(uri),
        Resolution::Pending,
        "slow.example is out"
    );
    let hop = NextHop::of_uri(uri).expect("a readable URI");
    let destinations = zone.cache.resolve_now(&hop, &mut zone.random, zone.now);
    assert_eq!(destinations.len(), 1);
}

#[test]
fn hostile_names_and_zones_are_bounded() {
    let mut zone = Zone::dual();
    for host in [&"a".repeat(64), "a..b", "x_-.", &"a.".repeat(130)] {
        let hop = NextHop {
            host: host.to_string(),
            port: Some(5060),
            transport: None,
        };
        let resolution = zone.cache.resolve(&hop, &mut zone.random, zone.now);
        if host != "x_-." {
            assert_eq!(resolution, Resolution::Destinations(Vec::new()), "{host}");
        }
    }
    // Ten thousand names ask no more than the limit, and hold no more.
    for number in 0..10_000 {
        zone.resolve(&format!("sip:n{number}.example:5060"));
        if number % 100 == 0 {
            zone.answer();
        }
    }
    assert!(zone.cache.held() <= 2_048);
    let mut zone = Zone::dual();
    for number in 0..100 {
        zone = zone
            .line(&format!(
                "_sip._udp.big.example srv 1 1 5060 h{number}.big.example"
            ))
            .line(&format!("h{number}.big.example a 10.0.0.{number}"));
    }
    assert_eq!(zone.destinations("sip:big.example;transport=udp").len(), 16);
}
