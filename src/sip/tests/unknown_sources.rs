//! Requests from nobody we know, and more calls than we take.

use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::wire::*;
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

/// A wire whose user agent has these limits.
fn limited(change: impl FnOnce(&mut Limits)) -> Wire {
    let mut wire = Wire::new(trunk("pbx"));
    let listen = Listen {
        transport: Transport::Udp,
        address: "192.0.2.1:5060".parse().expect("address"),
    };
    let mut config = Config {
        listen: vec![listen],
        user_agent: "Trunkline".to_owned(),
        trunks: vec![trunk("pbx")],
        ..Config::default()
    };
    change(&mut config.limits);
    let random = StdRng::seed_from_u64(11);
    wire.agent = UserAgent::new(config, vec![listen], Box::new(|_| None), random)
        .expect("a listener is given");
    wire
}

/// A request of a new call, with everything of its own.
fn fresh(method: &str, number: usize) -> String {
    request(method, 1, &format!("s{number}"), "", SDP)
        .replace("call-1@pbx", &format!("call-{number}@nowhere"))
}

#[test]
fn ten_thousand_invites_of_unknown_sources_cost_no_state_while_a_call_goes_on() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    let mut answers = 0;
    for number in 0..10_000 {
        let held = wire.agent.transactions();
        let source = format!("198.51.100.{}:{}", number % 25, 1_024 + number);
        wire.receive_from(&source, fresh("INVITE", number).as_bytes());
        assert_eq!(wire.agent.transactions(), held);
        assert_eq!(wire.agent.legs(), 1);
        while let Some(transmit) = wire.agent.poll_transmit() {
            assert!(transmit.bytes.starts_with(b"SIP/2.0 403 "));
            answers += 1;
        }
        if number % 1_000 == 999 {
            // The call's own refresh is answered in between.
            let sequence = u32::try_from(number).expect("small") + 2;
            wire.receive(&request(
                "OPTIONS",
                sequence,
                &format!("o{number}"),
                &tag,
                "",
            ));
            wire.sent_status(200);
            wire.advance(33 * SECOND);
        }
    }
    // Ten bursts, 25 addresses, five answers to each.
    assert_eq!(answers, 1_250);
    assert!(
        wire.rejections()
            .iter()
            .all(|r| r.starts_with("unknown_source"))
    );
    wire.command(leg, Command::Hangup { cause: None });
    wire.sent_request("BYE");
}

#[test]
fn an_answer_to_an_unknown_source_is_never_longer_than_its_request() {
    let bare = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>;tag=1\r\n\
        To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n";
    let bad = bare.replace("CSeq: 1 INVITE", "CSeq: x");
    let broken = bare.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia");
    for text in [
        bare,
        &bad,
        &broken,
        &fresh("INVITE", 1),
        &fresh("OPTIONS", 2),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        wire.receive_from("198.51.100.7:4000", text.as_bytes());
        let sent = wire.agent.poll_transmit();
        if let Some(sent) = &sent {
            assert!(
                sent.bytes.len() <= text.len(),
                "{:?} for {text:?}",
                sent.bytes
            );
        }
        let reasons = wire.rejections();
        assert_eq!(
            sent.is_none(),
            reasons.contains(&"reflection"),
            "{reasons:?}"
        );
    }
    // The same bytes from a trunk are answered, whatever their length.
    let mut wire = Wire::new(trunk("pbx"));
    wire.receive(&bad);
    wire.sent_status(400);
}

#[test]
fn an_unknown_source_gets_a_few_answers_a_second_and_others_are_not_the_worse_for_it() {
    let mut wire = Wire::new(trunk("pbx"));
    let answered = |wire: &mut Wire, source: &str, numbers: std::ops::Range<usize>| {
        let mut count = 0;
        for number in numbers {
            wire.receive_from(source, fresh("INVITE", number).as_bytes());
            count += usize::from(wire.agent.poll_transmit().is_some());
        }
        count
    };
    assert_eq!(answered(&mut wire, "198.51.100.7:4000", 0..100), 5);
    assert_eq!(answered(&mut wire, "198.51.100.7:9999", 100..200), 0);
    assert_eq!(answered(&mut wire, "198.51.100.8:4000", 200..203), 3);
    wire.advance(SECOND);
    assert_eq!(answered(&mut wire, "198.51.100.7:4000", 300..400), 5);
    assert!(wire.rejections().contains(&"unknown_source_rate"));
}

#[test]
fn the_same_request_of_an_unknown_source_gets_the_same_tag() {
    let mut wire = Wire::new(trunk("pbx"));
    let mut tags = Vec::new();
    for number in [1, 1, 2] {
        wire.receive_from("198.51.100.7:4000", fresh("INVITE", number).as_bytes());
        tags.push(tag_of(&wire.sent_status(403)));
    }
    assert_eq!(tags[0], tags[1]);
    assert_ne!(tags[0], tags[2]);
}

#[test]
fn unknown_sources_are_dropped_where_the_operator_says_so() {
    let mut wire = limited(|limits| limits.unknown_sources = UnknownSources::Drop);
    for method in [
        "INVITE",
        "OPTIONS",
        "REGISTER",
        "BYE",
        "CANCEL",
        "SUBSCRIBE",
    ] {
        wire.receive_from("198.51.100.7:4000", fresh(method, 1).as_bytes());
        wire.quiet();
        assert_eq!(wire.rejections(), ["unknown_source"], "{method}");
    }
}

#[test]
fn a_call_goes_on_from_another_address_of_its_peer() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, tag) = wire.answered_incoming();
    wire.receive_from(
        "198.51.100.7:4000",
        request("BYE", 2, "b", "guess", "").as_bytes(),
    );
    wire.sent_status(481);
    wire.receive_from(
        "198.51.100.7:4000",
        request("BYE", 2, "c", &tag, "").as_bytes(),
    );
    wire.sent_status(200);
    let ended = Event::Ended {
        cause: None,
        why: EndedBy::Bye,
    };
    assert_eq!(wire.event(), Some(ended));
}

#[test]
fn more_calls_than_the_limit_get_503_with_retry_after_and_leave_nothing() {
    let mut wire = limited(|limits| limits.new_calls_per_second = 3);
    for number in 0..10 {
        wire.receive(&fresh("INVITE", number));
        if number < 3 {
            wire.sent_status(100);
        } else {
            let refused = wire.sent_status(503);
            assert_eq!(value(&refused.headers, "Retry-After"), "2");
        }
    }
    assert_eq!((wire.agent.legs(), wire.agent.transactions()), (3, 3));
    assert_eq!(wire.rejections(), ["new_calls"; 7]);
    // An INVITE that is repeated is not a new call; another second takes others.
    wire.receive(&fresh("INVITE", 0));
    wire.sent_status(100);
    wire.advance(SECOND);
    wire.receive(&fresh("INVITE", 20));
    wire.sent_status(100);
}

#[test]
fn a_source_that_only_knows_our_contact_has_a_limit_of_its_own() {
    let mut registering = trunk("pbx");
    registering.registration = Some(Registration {
        user: "bob".to_owned(),
        expires: 300,
        outbound: false,
    });
    let mut wire = Wire::new(registering);
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    let contact = value(&register.headers, "Contact").to_owned();
    let uri = Address::parse(&contact).expect("readable").uri;
    let call = |number| fresh("INVITE", number).replacen("sip:alice@192.0.2.1", &uri, 1);
    let mut taken = 0;
    for number in 0..200 {
        wire.receive_from("198.51.100.7:5060", call(number).as_bytes());
        while let Some(transmit) = wire.agent.poll_transmit() {
            taken += usize::from(transmit.bytes.starts_with(b"SIP/2.0 100 "));
        }
    }
    assert_eq!(taken, 50);
    // The trunk's own address is not held to it.
    for number in 1_000..1_100 {
        wire.receive(&call(number));
        wire.sent_status(100);
    }
}

#[test]
fn an_unknown_source_on_a_stream_is_refused_too() {
    let mut wire = Wire::new(trunk("pbx"));
    let unknown_source = "198.51.100.7:4000".parse().expect("address");
    let flow = Flow {
        connection: Some(1),
        ..Flow::new(Transport::Tcp, 1, unknown_source)
    };
    let text = fresh("INVITE", 1).replace("/UDP", "/TCP");
    wire.agent
        .handle_message(&Bytes::from(text), flow, wire.now);
    wire.sent_status(403);
    assert_eq!((wire.agent.legs(), wire.agent.transactions()), (0, 0));
}

/// A user agent whose only trunk is known by its name, just started, and what it asks.
fn by_name(unknown_sources: UnknownSources) -> (Wire, DnsQuery) {
    let mut wire = limited(|_| {});
    let listen = Listen {
        transport: Transport::Udp,
        address: "192.0.2.1:5060".parse().expect("address"),
    };
    let mut named = trunk("pbx");
    named.targets[0].target.host = "pbx.example".to_owned();
    let mut config = Config {
        listen: vec![listen],
        trunks: vec![named],
        ..Config::default()
    };
    config.limits.unknown_sources = unknown_sources;
    let random = StdRng::seed_from_u64(11);
    wire.agent = UserAgent::new(config, vec![listen], Box::new(|_| None), random)
        .expect("a listener is given");
    wire.agent.start(wire.now);
    let mut asked = None;
    while let Some(event) = wire.agent.poll_event() {
        if let UserAgentEvent::Resolve { query } = event {
            asked = Some(query);
        }
    }
    (wire, asked.expect("it looks its trunk up at once"))
}

fn found(wire: &mut Wire, query: &DnsQuery) {
    let records = Records::Addresses(vec!["192.0.2.2".parse().expect("ip")]);
    let ttl = 60 * SECOND;
    wire.agent
        .handle_resolved(query, DnsResponse::Known { records, ttl }, wire.now);
}

#[test]
fn a_call_before_the_trunks_name_is_found_is_put_off_and_not_refused() {
    let (mut wire, query) = by_name(UnknownSources::Reject);
    wire.receive(&fresh("INVITE", 1));
    let later = wire.sent_status(503);
    assert_eq!(value(&later.headers, "Retry-After"), "1");
    assert_eq!(wire.rejections(), ["before_dns_ready"]);
    assert_eq!((wire.agent.transactions(), wire.agent.legs()), (0, 0));
    found(&mut wire, &query);
    wire.receive(&fresh("INVITE", 2));
    wire.sent_status(100);
    assert_eq!(wire.incoming().trunk.as_deref(), Some("pbx"));
    // Who is not at the name is an unknown source from now on.
    wire.receive_from("198.51.100.7:5060", fresh("INVITE", 3).as_bytes());
    wire.sent_status(403);
}

#[test]
fn a_look_up_that_finds_nothing_ends_the_putting_off() {
    for answer in [
        DnsResponse::Failed {
            why: "no server answers".to_owned(),
        },
        DnsResponse::Known {
            records: Records::Absent,
            ttl: 60 * SECOND,
        },
    ] {
        let (mut wire, query) = by_name(UnknownSources::Reject);
        wire.agent.handle_resolved(&query, answer, wire.now);
        wire.receive(&fresh("INVITE", 1));
        wire.sent_status(403);
        // It is asked again later, without another pause for everybody.
        wire.advance(120 * SECOND);
        wire.receive(&fresh("INVITE", 2));
        wire.sent_status(403);
    }
}

#[test]
fn where_unknown_sources_get_nothing_a_datagram_that_is_too_early_waits_for_its_repetition() {
    let (mut wire, query) = by_name(UnknownSources::Drop);
    wire.receive(&fresh("INVITE", 1));
    wire.quiet();
    found(&mut wire, &query);
    wire.receive(&fresh("INVITE", 1));
    wire.sent_status(100);
    wire.incoming();
}

#[test]
fn a_trunk_known_by_its_address_does_not_wait_for_the_name_of_another() {
    let mut wire = limited(|_| {});
    let listen = Listen {
        transport: Transport::Udp,
        address: "192.0.2.1:5060".parse().expect("address"),
    };
    let mut named = trunk("other");
    named.targets[0].target.host = "other.example".to_owned();
    let config = Config {
        listen: vec![listen],
        trunks: vec![named, trunk("pbx")],
        ..Config::default()
    };
    let random = StdRng::seed_from_u64(11);
    wire.agent = UserAgent::new(config, vec![listen], Box::new(|_| None), random)
        .expect("a listener is given");
    wire.agent.start(wire.now);
    wire.receive(&fresh("INVITE", 1));
    wire.sent_status(100);
    assert_eq!(wire.incoming().trunk.as_deref(), Some("pbx"));
}
