//! Calls whose first target is not there, as traces in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use super::wire::*;
use crate::sip::stack::message::{Message, Request};
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);
pub const FIRST: &str = "192.0.2.11:5060";
pub const SECOND_TARGET: &str = "192.0.2.12:5060";

/// A trunk with two targets, the second of which is for the worst.
pub fn group() -> Trunk {
    let target = |address: &str, priority| TrunkTarget {
        target: Target::at(address.parse().expect("an address"), Transport::Udp),
        priority,
        weight: 1,
    };
    Trunk {
        targets: vec![target(FIRST, 1), target(SECOND_TARGET, 2)],
        ..trunk("pbx")
    }
}

/// The next request sent, where it went, and its transaction.
#[track_caller]
pub fn sent(wire: &mut Wire) -> (Request, SocketAddr, Option<ClientKey>) {
    let transmit = wire.agent.poll_transmit().expect("something is sent");
    let message = Message::read(&transmit.bytes).expect("readable").message;
    let Message::Request(request) = message else {
        panic!("a request was expected, got {message:?}");
    };
    (request, transmit.flow.remote, transmit.transaction)
}

#[track_caller]
pub fn sent_to(wire: &mut Wire, method: &str, address: &str) -> Request {
    let (request, remote, _) = sent(wire);
    assert_eq!(request.method.as_str(), method);
    assert_eq!(remote.to_string(), address);
    request
}

/// The repetitions of an INVITE.
fn skip_repetitions(wire: &mut Wire, address: &str, count: usize) {
    for _ in 0..count {
        sent_to(wire, "INVITE", address);
    }
}

pub fn call(wire: &mut Wire) -> LegId {
    let outgoing = call_to("pbx");
    wire.agent.invite(outgoing, wire.now).expect("placed")
}

pub fn rings(wire: &mut Wire, invite: &Request) {
    wire.answer(invite, 180, "b1", "");
    assert_eq!(
        wire.event(),
        Some(Event::Progress {
            status: 180,
            body: None,
            fork: 0,
        })
    );
}

#[test]
fn a_503_moves_the_call_on_with_a_new_branch_and_nothing_else_new() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    wire.answer(&first, 503, "x", "");
    sent_to(&mut wire, "ACK", FIRST);
    let second = sent_to(&mut wire, "INVITE", SECOND_TARGET);
    for header in ["Call-ID", "CSeq", "From", "To", "Contact"] {
        assert_eq!(
            value(&first.headers, header),
            value(&second.headers, header),
            "{header}"
        );
    }
    assert_ne!(value(&first.headers, "Via"), value(&second.headers, "Via"));
    assert_eq!(wire.event(), None, "the owner sees one attempt");
    rings(&mut wire, &second);
}

#[test]
fn the_last_503_is_the_peers_own() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    for address in [FIRST, SECOND_TARGET] {
        let invite = sent_to(&mut wire, "INVITE", address);
        wire.answer(&invite, 503, "x", "");
        sent_to(&mut wire, "ACK", address);
    }
    assert!(matches!(
        wire.event(),
        Some(Event::Refused {
            status: 503,
            local: false,
            ..
        })
    ));
}

#[test]
fn a_busy_party_is_busy_everywhere() {
    for status in [486, 500, 502, 504, 603] {
        let mut wire = Wire::new(group());
        call(&mut wire);
        let invite = sent_to(&mut wire, "INVITE", FIRST);
        wire.answer(&invite, status, "x", "");
        sent_to(&mut wire, "ACK", FIRST);
        wire.quiet();
        assert!(
            matches!(wire.event(), Some(Event::Refused { status: told, .. }) if told == status)
        );
    }
}

#[test]
fn silence_is_left_after_the_try_timeout_also_at_the_last_target() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    wire.advance(4 * SECOND - Duration::from_millis(1));
    // Timer A: 0, 0.5, 1.5, 3.5 s.
    skip_repetitions(&mut wire, FIRST, 4);
    wire.quiet();
    wire.advance(Duration::from_millis(1));
    sent_to(&mut wire, "INVITE", SECOND_TARGET);
    wire.quiet();
    wire.advance(4 * SECOND - Duration::from_millis(1));
    assert_eq!(wire.event(), None);
    wire.advance(Duration::from_millis(1));
    assert!(matches!(
        wire.event(),
        Some(Event::Refused {
            status: 408,
            local: true,
            ..
        })
    ));
    wire.advance(64 * SECOND);
    assert_eq!((wire.agent.legs(), wire.agent.transactions()), (0, 0));
}

#[test]
fn a_target_that_has_answered_is_not_left_for_silence() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    let invite = sent_to(&mut wire, "INVITE", FIRST);
    rings(&mut wire, &invite);
    wire.advance(100 * SECOND);
    wire.quiet();
    assert_eq!(wire.event(), None);
    // Nor for a 503 or a broken transport once it rings.
    wire.answer(&invite, 503, "b1", "");
    sent_to(&mut wire, "ACK", FIRST);
    wire.quiet();
    assert!(matches!(
        wire.event(),
        Some(Event::Refused { status: 503, .. })
    ));
}

#[test]
fn a_transport_that_breaks_moves_the_call_on_at_once() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    let (_, _, transaction) = sent(&mut wire);
    wire.agent
        .handle_transport_failure(&transaction.expect("named"), wire.now);
    let second = sent_to(&mut wire, "INVITE", SECOND_TARGET);
    assert_eq!(wire.elapsed(), Duration::ZERO);
    rings(&mut wire, &second);
}

#[test]
fn a_transport_that_breaks_after_100_takes_the_call_back_there() {
    let mut wire = Wire::new(group());
    call(&mut wire);
    let (first, _, transaction) = sent(&mut wire);
    wire.answer(&first, 100, "", "");
    wire.agent
        .handle_transport_failure(&transaction.expect("named"), wire.now);
    let cancel = sent_to(&mut wire, "CANCEL", FIRST);
    assert_eq!(value(&cancel.headers, "Via"), value(&first.headers, "Via"));
    let second = sent_to(&mut wire, "INVITE", SECOND_TARGET);
    wire.answer(&first, 487, "late", "");
    sent_to(&mut wire, "ACK", FIRST);
    rings(&mut wire, &second);
}

#[test]
fn late_answers_of_a_left_target_ring_and_connect_nobody() {
    let mut wire = Wire::new(group());
    let leg = call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    wire.advance(4 * SECOND);
    skip_repetitions(&mut wire, FIRST, 3);
    let second = sent_to(&mut wire, "INVITE", SECOND_TARGET);
    // It wakes up and rings: taken back once, whatever else it says.
    wire.answer(&first, 180, "late", "");
    let cancel = sent_to(&mut wire, "CANCEL", FIRST);
    assert_eq!(value(&cancel.headers, "Via"), value(&first.headers, "Via"));
    wire.answer(&first, 183, "late", "");
    wire.quiet();
    // Its answer crosses the CANCEL.
    let contact = "Contact: <sip:600@192.0.2.11:5060>\r\nContent-Type: application/sdp\r\n";
    wire.answer_with(&first, 200, "late", contact, SDP);
    let ack = sent_to(&mut wire, "ACK", FIRST);
    assert!(value(&ack.headers, "To").ends_with(";tag=late"));
    let bye = sent_to(&mut wire, "BYE", FIRST);
    wire.answer(&bye, 200, "", "");
    wire.answer(&cancel, 481, "late", "");
    assert_eq!(wire.event(), None);
    // The call goes on where it is.
    rings(&mut wire, &second);
    wire.answer_with(&second, 200, "b1", OK_EXTRA, SDP);
    sent_to(&mut wire, "ACK", PEER);
    assert!(matches!(wire.event(), Some(Event::Accepted { .. })));
    assert!(wire.agent.has_leg(leg));
}

#[test]
fn who_hangs_up_is_not_called_elsewhere() {
    let mut wire = Wire::new(group());
    let leg = call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    wire.command(leg, Command::Hangup { cause: None });
    wire.answer(&first, 503, "x", "");
    sent_to(&mut wire, "ACK", FIRST);
    wire.quiet();
    assert!(matches!(wire.event(), Some(Event::Refused { .. })));

    let leg = call(&mut wire);
    let (_, remote, _) = sent(&mut wire);
    wire.command(leg, Command::Hangup { cause: None });
    wire.advance(5 * SECOND);
    while let Some(transmit) = wire.agent.poll_transmit() {
        assert_eq!(transmit.flow.remote, remote);
    }
    assert!(matches!(wire.event(), Some(Event::Refused { .. })));
}

#[test]
fn a_challenge_is_answered_where_it_came_from() {
    let mut wire = Wire::new(Trunk {
        credentials: credentials(),
        ..group()
    });
    call(&mut wire);
    let first = sent_to(&mut wire, "INVITE", FIRST);
    wire.answer(
        &first,
        401,
        "s",
        "WWW-Authenticate: Digest realm=\"s\", nonce=\"1\"\r\n",
    );
    sent_to(&mut wire, "ACK", FIRST);
    let second = sent_to(&mut wire, "INVITE", FIRST);
    assert_eq!(value(&second.headers, "CSeq"), "2 INVITE");
    // Later failures still move on, with what was learnt.
    wire.answer(&second, 503, "s", "");
    sent_to(&mut wire, "ACK", FIRST);
    let third = sent_to(&mut wire, "INVITE", SECOND_TARGET);
    assert_eq!(value(&third.headers, "CSeq"), "2 INVITE");
}

#[test]
fn a_registration_moves_on_too() {
    let mut wire = Wire::new(Trunk {
        registration: Some(Registration {
            user: "alice".to_owned(),
            expires: 300,
            outbound: false,
        }),
        ..group()
    });
    wire.agent.start(wire.now);
    sent_to(&mut wire, "REGISTER", FIRST);
    wire.advance(4 * SECOND);
    let mut last = None;
    while let Some(transmit) = wire.agent.poll_transmit() {
        last = Some(transmit);
    }
    let last = last.expect("sent");
    assert_eq!(last.flow.remote.to_string(), SECOND_TARGET);
    let Message::Request(register) = Message::read(&last.bytes).expect("readable").message else {
        panic!("a request");
    };
    wire.answer(&register, 200, "r", "");
    assert_eq!(
        wire.agent.registrations()[0].state,
        RegistrationState::Registered
    );
}

/// Answers every query with these addresses for the names, and nothing for all else.
fn answer_questions(wire: &mut Wire, names: &[(&str, &[&str])]) {
    loop {
        let mut questions = Vec::new();
        while let Some(event) = wire.agent.poll_event() {
            if let UserAgentEvent::Resolve { query } = event {
                questions.push(query);
            }
        }
        if questions.is_empty() {
            return;
        }
        for query in questions {
            let addresses = names
                .iter()
                .find(|(name, _)| query == DnsQuery::addresses(name))
                .map(|(_, addresses)| {
                    let parse = |text: &&str| text.parse().expect("an address");
                    Records::Addresses(addresses.iter().map(parse).collect())
                });
            let answer = DnsResponse::Known {
                records: addresses.unwrap_or(Records::Absent),
                ttl: 60 * SECOND,
            };
            wire.agent.handle_resolved(&query, answer, wire.now);
        }
    }
}

#[test]
fn every_address_of_a_name_is_tried_and_the_one_that_failed_comes_last_for_a_while() {
    let mut trunk = trunk("pbx");
    trunk.targets[0].target = Target {
        host: "pbx.example".to_owned(),
        port: None,
        transport: None,
    };
    let mut wire = Wire::new(trunk);
    let names: [(&str, &[&str]); 1] = [("pbx.example", &["192.0.2.11", "192.0.2.12"])];
    call(&mut wire);
    answer_questions(&mut wire, &names);
    let (_, remote, transaction) = sent(&mut wire);
    assert_eq!(remote.to_string(), FIRST);
    wire.agent
        .handle_transport_failure(&transaction.expect("named"), wire.now);
    sent_to(&mut wire, "INVITE", SECOND_TARGET);
    call(&mut wire);
    sent_to(&mut wire, "INVITE", SECOND_TARGET);
    wire.advance(31 * SECOND);
    while wire.agent.poll_transmit().is_some() {}
    call(&mut wire);
    sent_to(&mut wire, "INVITE", FIRST);
}

#[test]
fn requests_inside_a_call_try_every_address_of_the_contact() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call();
    let contact = "Contact: <sip:600@media.example:5070>\r\nContent-Type: application/sdp\r\n";
    let names: [(&str, &[&str]); 1] = [("media.example", &["192.0.2.11", "192.0.2.12"])];
    wire.answer_with(&invite, 200, "b1", contact, SDP);
    answer_questions(&mut wire, &names);
    sent_to(&mut wire, "ACK", "192.0.2.11:5070");
    wire.command(leg, Command::Hangup { cause: None });
    sent_to(&mut wire, "BYE", "192.0.2.11:5070");
    wire.advance(4 * SECOND);
    let mut places = Vec::new();
    while let Some(transmit) = wire.agent.poll_transmit() {
        places.push(transmit.flow.remote.to_string());
    }
    assert_eq!(places.last().map(String::as_str), Some("192.0.2.12:5070"));
}

#[test]
fn names_that_lead_nowhere_fail_the_call_within_five_seconds() {
    let mut trunk = trunk("pbx");
    trunk.targets[0].target.host = "pbx.example".to_owned();
    let mut wire = Wire::new(trunk.clone());
    call(&mut wire);
    answer_questions(&mut wire, &[]);
    // answer_questions takes the news too: what is left is the silence.
    assert_eq!(wire.agent.legs(), 0, "refused as soon as the DNS says no");

    let mut wire = Wire::new(trunk);
    call(&mut wire);
    wire.advance(5 * SECOND - Duration::from_millis(1));
    assert_eq!(wire.event(), None);
    wire.advance(Duration::from_millis(1));
    assert!(matches!(
        wire.event(),
        Some(Event::Refused {
            status: 503,
            local: true,
            ..
        })
    ));
}

#[test]
fn weights_share_the_calls_of_a_trunk_out() {
    let mut shared = group();
    shared.targets[0].weight = 3;
    shared.targets[1].priority = 1;
    let mut wire = Wire::new(shared);
    let mut first = 0;
    for _ in 0..400 {
        call(&mut wire);
        let (_, remote, _) = sent(&mut wire);
        first += u32::from(remote.to_string() == FIRST);
    }
    assert!((260..340).contains(&first), "{first} of 400, expected 300");
}
