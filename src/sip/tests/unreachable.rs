//! What the network says of requests by UDP that reached nobody, as traces in virtual time.

use std::time::Duration;

use super::failover::{FIRST, SECOND_TARGET, call, group, rings, sent_to};
use super::wire::*;
use crate::sip::stack::message::{Message, Request};
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

/// ICMP for this request as sent to that address: so many requests end or move.
fn unreachable(wire: &mut Wire, request: &Request, address: &str) -> u64 {
    quoted(wire, &request.write(), address)
}

fn quoted(wire: &mut Wire, quote: &[u8], address: &str) -> u64 {
    let remote = address.parse().expect("an address");
    wire.agent.handle_unreachable(0, remote, quote, wire.now)
}

#[test]
fn a_target_whose_port_is_closed_is_left_at_once() {
    let mut wire = Wire::new(group());
    wire.agent.start(wire.now);
    call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    // As much as a router sends back.
    let quote = first.write().slice(..200);
    assert_eq!(quoted(&mut wire, &quote, FIRST), 1);
    let second = sent_to(&mut wire, "INVITE", SECOND_TARGET);
    assert_eq!(wire.elapsed(), Duration::ZERO);
    rings(&mut wire, &second);
    // The next call begins where somebody is.
    call(&mut wire);
    sent_to(&mut wire, "INVITE", SECOND_TARGET);
}

#[test]
fn everything_that_waits_there_moves_by_one_error() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    sent_to(&mut wire, "INVITE", FIRST);
    assert_eq!(unreachable(&mut wire, &first, FIRST), 2);
    for _ in 0..2 {
        sent_to(&mut wire, "INVITE", SECOND_TARGET);
    }
    wire.quiet();
}

#[test]
fn the_last_place_that_is_closed_ends_the_attempt_as_by_503() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    assert_eq!(unreachable(&mut wire, &invite, PEER), 1);
    assert!(matches!(
        wire.event(),
        Some(Event::Refused {
            status: 503,
            local: true,
            ..
        })
    ));
    wire.advance(64 * SECOND);
    assert_eq!((wire.agent.legs(), wire.agent.transactions()), (0, 0));
}

#[test]
fn an_invite_that_arrived_all_the_same_is_taken_back() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    unreachable(&mut wire, &first, FIRST);
    let second = sent_to(&mut wire, "INVITE", SECOND_TARGET);
    wire.answer(&first, 180, "late", "");
    sent_to(&mut wire, "CANCEL", FIRST);
    assert_eq!(wire.event(), None);
    rings(&mut wire, &second);
}

#[test]
fn an_error_without_a_branch_moves_a_call_and_never_ends_one() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    sent_to(&mut wire, "INVITE", FIRST);
    assert_eq!(quoted(&mut wire, b"", FIRST), 1);
    sent_to(&mut wire, "INVITE", SECOND_TARGET);
    // There is no third target: the timers decide.
    assert_eq!(quoted(&mut wire, b"", SECOND_TARGET), 0);
    wire.advance(SECOND / 2);
    let second = sent_to(&mut wire, "INVITE", SECOND_TARGET);
    assert_eq!(wire.rejections(), ["icmp_unmatched"]);
    rings(&mut wire, &second);
}

#[test]
fn errors_without_a_branch_are_heard_ten_times_a_second() {
    let mut wire = Wire::new(group());
    for _ in 0..12 {
        call(&mut wire);
        sent_to(&mut wire, "INVITE", FIRST);
        quoted(&mut wire, b"", FIRST);
        if let Some(transmit) = wire.agent.poll_transmit() {
            assert_eq!(transmit.flow.remote.to_string(), SECOND_TARGET);
        }
        // The next call begins at the first again.
        wire.advance(31 * SECOND);
        while wire.agent.poll_transmit().is_some() {}
    }
    assert_eq!(wire.rejections(), [""; 0], "far apart, all are heard");
    for _ in 0..25 {
        quoted(&mut wire, b"", FIRST);
    }
    let refused = wire.rejections();
    let count = |reason| refused.iter().filter(|one| **one == reason).count();
    assert_eq!((count("icmp_unmatched"), count("icmp_unproven")), (10, 15));
}

#[test]
fn what_an_unknown_source_makes_up_changes_nothing() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    let text = String::from_utf8(first.write().to_vec()).expect("text");
    let branch = text
        .split_once("branch=")
        .and_then(|(_, rest)| rest.split_once("\r\n"))
        .expect("a branch")
        .0;
    let guessed = text.replace(branch, "z9hG4bKguessed");
    let other_method = text.replacen("INVITE", "OPTIONS", 1);
    for (quote, address) in [
        (guessed.as_str(), FIRST),
        (&other_method, FIRST),
        // The right branch, of another place.
        (&text, SECOND_TARGET),
        ("SIP/2.0 200 OK\r\n", FIRST),
        ("\r\n\r\n", FIRST),
    ] {
        assert_eq!(quoted(&mut wire, quote.as_bytes(), address), 0);
        assert_eq!(wire.rejections(), ["icmp_unmatched"], "{quote}");
    }
    let remote = FIRST.parse().expect("an address");
    let by_other_listener = wire
        .agent
        .handle_unreachable(1, remote, text.as_bytes(), wire.now);
    assert_eq!(by_other_listener, 0);
    wire.quiet();
    rings(&mut wire, &first);
}

#[test]
fn who_has_answered_with_100_is_there() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    wire.answer(&first, 100, "", "");
    assert_eq!(unreachable(&mut wire, &first, FIRST), 0);
    wire.quiet();
    rings(&mut wire, &first);
}

#[test]
fn a_call_that_stands_does_not_end_by_it() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, _) = wire.answered_call();
    wire.command(leg, Command::Reinvite { body: SDP.into() });
    let reinvite = wire.sent_request("INVITE");
    assert_eq!(unreachable(&mut wire, &reinvite, PEER), 0);
    assert_eq!(wire.event(), None);
    // It is sent again, and the PBX is back.
    wire.advance(SECOND);
    let again = wire.sent_request("INVITE");
    wire.answer_with(&again, 200, "b1", OK_EXTRA, SDP);
    wire.sent_request("ACK");
    assert!(matches!(wire.event(), Some(Event::ReinviteAnswered { .. })));
    // Its BYE has nobody to reach: it is over sooner than by Timer F.
    wire.command(leg, Command::Hangup { cause: None });
    let bye = wire.sent_request("BYE");
    assert_eq!(unreachable(&mut wire, &bye, PEER), 1);
    assert!(matches!(wire.event(), Some(Event::Ended { .. })));
}

#[test]
fn a_probe_that_is_refused_finds_a_dead_target_out_without_a_wait() {
    let mut trunk = group();
    trunk.health = Some(HealthCheck {
        every: 30 * SECOND,
        failures: 2,
        by_default: false,
    });
    let mut wire = Wire::new(trunk);
    wire.agent.start(wire.now);
    wire.advance(2 * SECOND);
    while let Some(Message::Request(probe)) = wire.sent() {
        wire.answer(&probe, 200, "o", "");
    }
    call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    wire.answer(&first, 100, "", "");
    // Dead now. It is doubted after the 4 seconds of `try_timeout`.
    wire.advance(4 * SECOND);
    let probe = sent_to(&mut wire, "OPTIONS", FIRST);
    assert_eq!(unreachable(&mut wire, &probe, FIRST), 1);
    sent_to(&mut wire, "CANCEL", FIRST);
    let second = sent_to(&mut wire, "INVITE", SECOND_TARGET);
    rings(&mut wire, &second);
}

#[test]
fn a_registrar_that_is_down_is_asked_again_later() {
    let mut trunk = trunk("pbx");
    trunk.registration = Some(Registration {
        user: "alice".to_owned(),
        expires: 300,
        outbound: false,
    });
    let mut wire = Wire::new(trunk);
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    assert_eq!(unreachable(&mut wire, &register, PEER), 1);
    assert_eq!(
        wire.agent.registrations()[0].state,
        RegistrationState::Failed { status: 503 }
    );
    wire.quiet();
    let again = (0..120).find_map(|_| {
        wire.advance(SECOND);
        wire.sent()
    });
    let Some(Message::Request(again)) = again else {
        panic!("it is tried again within two minutes");
    };
    wire.answer(&again, 200, "r", "");
    assert_eq!(
        wire.agent.registrations()[0].state,
        RegistrationState::Registered
    );
}
