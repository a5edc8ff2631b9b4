//! Which targets are tried, and by which way, as traces in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use super::failover::{FIRST, SECOND_TARGET, call, group, rings, sent_to};
use super::wire::*;
use crate::sip::stack::message::{Message, Request};
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

/// The group with probes.
fn probed() -> Trunk {
    let mut trunk = group();
    trunk.health = Some(HealthCheck {
        every: 30 * SECOND,
        failures: 2,
        by_default: false,
    });
    trunk
}

/// What the driver was told of targets.
fn target_news(wire: &mut Wire) -> Vec<(String, bool, &'static str)> {
    let mut news = Vec::new();
    while let Some(event) = wire.agent.poll_event() {
        if let UserAgentEvent::Target {
            target, is_up, why, ..
        } = event
        {
            news.push((target, is_up, why));
        }
    }
    news
}

/// Lets time pass second by second; OPTIONS to these addresses are answered. Gives the INVITEs.
fn pass(wire: &mut Wire, seconds: u32, alive: &[&str]) -> Vec<(Request, SocketAddr)> {
    let mut invites = Vec::new();
    for _ in 0..seconds {
        wire.advance(SECOND);
        while let Some(transmit) = wire.agent.poll_transmit() {
            let message = Message::read(&transmit.bytes).expect("readable").message;
            let Message::Request(request) = message else {
                continue;
            };
            let to = transmit.flow.remote;
            match request.method.as_str() {
                "OPTIONS" if alive.contains(&to.to_string().as_str()) => {
                    wire.answer(&request, 404, "o", "");
                }
                "INVITE" => invites.push((request, to)),
                _ => {}
            }
        }
    }
    invites
}

fn name(address: &str) -> String {
    format!("sip:{address};transport=udp")
}

#[test]
fn probes_take_a_dead_target_out_and_bring_it_back() {
    let mut wire = Wire::new(probed());
    wire.agent.start(wire.now);
    assert_eq!(
        target_news(&mut wire),
        [
            (name(FIRST), true, "assumed"),
            (name(SECOND_TARGET), true, "assumed")
        ]
    );
    pass(&mut wire, 60, &[FIRST, SECOND_TARGET]);
    assert_eq!(target_news(&mut wire), [], "any answer is an answer");
    pass(&mut wire, 60, &[SECOND_TARGET]);
    assert_eq!(
        target_news(&mut wire),
        [(name(FIRST), false, "probes failed")]
    );
    call(&mut wire);
    sent_to(&mut wire, "INVITE", SECOND_TARGET);
    pass(&mut wire, 15, &[FIRST, SECOND_TARGET]);
    assert!(target_news(&mut wire).contains(&(name(FIRST), true, "answers")));
    call(&mut wire);
    sent_to(&mut wire, "INVITE", FIRST);
}

#[test]
fn when_all_are_out_all_are_tried() {
    let mut wire = Wire::new(probed());
    wire.agent.start(wire.now);
    pass(&mut wire, 60, &[]);
    assert_eq!(target_news(&mut wire).len(), 4);
    call(&mut wire);
    let invites = pass(&mut wire, 5, &[]);
    let tried: Vec<String> = invites.iter().map(|(_, to)| to.to_string()).collect();
    assert!(tried.contains(&FIRST.to_owned()), "{tried:?}");
    assert!(tried.contains(&SECOND_TARGET.to_owned()), "{tried:?}");
}

#[test]
fn a_target_that_failed_a_call_is_out_at_once_and_back_after_30_seconds() {
    let mut wire = Wire::new(group());
    wire.agent.start(wire.now);
    call(&mut wire);
    pass(&mut wire, 5, &[]);
    assert!(target_news(&mut wire).contains(&(name(FIRST), false, "a call failed")));
    call(&mut wire);
    let second = sent_to(&mut wire, "INVITE", SECOND_TARGET);
    wire.answer(&second, 486, "x", "");
    pass(&mut wire, 31, &[]);
    assert!(target_news(&mut wire).contains(&(name(FIRST), true, "tried again")));
    call(&mut wire);
    sent_to(&mut wire, "INVITE", FIRST);
}

#[test]
fn a_target_that_dies_after_its_100_is_found_out_and_the_next_rings() {
    let mut wire = Wire::new(probed());
    wire.agent.start(wire.now);
    pass(&mut wire, 10, &[FIRST, SECOND_TARGET]);
    call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    wire.answer(&first, 100, "", "");
    // Dead now: a probe after 4 seconds, given up after 4 more.
    let invites = pass(&mut wire, 9, &[SECOND_TARGET]);
    let (second, to) = invites.last().expect("it goes on");
    assert_eq!(to.to_string(), SECOND_TARGET);
    wire.answer(second, 180, "b1", "");
    assert!(matches!(
        wire.event(),
        Some(Event::Progress { status: 180, .. })
    ));
}

#[test]
fn a_target_that_takes_its_time_after_100_and_lives_is_kept() {
    let mut wire = Wire::new(probed());
    wire.agent.start(wire.now);
    pass(&mut wire, 10, &[FIRST, SECOND_TARGET]);
    call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    wire.answer(&first, 100, "", "");
    let invites = pass(&mut wire, 40, &[FIRST, SECOND_TARGET]);
    assert!(invites.is_empty(), "{invites:?}");
    rings(&mut wire, &first);
}

#[test]
fn an_outbound_proxy_carries_every_request_outside_of_calls() {
    let mut trunk = probed();
    trunk.registration = Some(Registration {
        user: "alice".to_owned(),
        expires: 300,
        outbound: false,
    });
    trunk.routes = vec![
        "sip:192.0.2.30:5080;lr".to_owned(),
        "sip:next.example;lr".to_owned(),
    ];
    let mut wire = Wire::new(trunk);
    wire.agent.start(wire.now);
    call(&mut wire);
    wire.advance(2 * SECOND);
    let mut seen = Vec::new();
    while let Some(transmit) = wire.agent.poll_transmit() {
        let message = Message::read(&transmit.bytes).expect("readable").message;
        let Message::Request(request) = message else {
            panic!("requests only");
        };
        assert_eq!(transmit.flow.remote.to_string(), "192.0.2.30:5080");
        assert_eq!(
            crate::sip::stack::message::elements(&request.headers, &Name::ROUTE),
            ["<sip:192.0.2.30:5080;lr>", "<sip:next.example;lr>"]
        );
        seen.push(format!("{} {}", request.method, request.uri));
    }
    for expected in [
        "REGISTER sip:pbx.example",
        "INVITE sip:600@pbx.example",
        "OPTIONS sip:192.0.2.11",
    ] {
        assert!(
            seen.contains(&expected.to_owned()),
            "{expected} in {seen:?}"
        );
    }
}

#[test]
fn a_strict_router_is_the_request_uri_and_the_destination_the_last_route() {
    let mut trunk = trunk("pbx");
    trunk.routes = vec![
        "sip:192.0.2.30".to_owned(),
        "sip:next.example;lr".to_owned(),
    ];
    let mut wire = Wire::new(trunk);
    call(&mut wire);
    let invite = sent_to(&mut wire, "INVITE", "192.0.2.30:5060");
    assert_eq!(invite.uri, "sip:192.0.2.30");
    assert_eq!(
        crate::sip::stack::message::elements(&invite.headers, &Name::ROUTE),
        ["<sip:next.example;lr>", "<sip:600@pbx.example>"]
    );
    // The ACK of a refusal goes the same way (section 17.1.1.3).
    wire.answer(&invite, 486, "x", "");
    let ack = sent_to(&mut wire, "ACK", "192.0.2.30:5060");
    assert_eq!(
        crate::sip::stack::message::elements(&ack.headers, &Name::ROUTE).len(),
        2
    );
}
