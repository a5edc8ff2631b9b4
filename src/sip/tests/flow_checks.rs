//! STUN keep-alives of registrations by UDP (RFC 5626 section 4.4.2), as traces in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use rtc_stun::message::{
    BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, CLASS_INDICATION, METHOD_BINDING,
    Message as Stun, MessageType, Setter,
};
use rtc_stun::xoraddr::XorMappedAddress;

use super::wire::*;
use crate::sip::*;

pub const SECOND: Duration = Duration::from_secs(1);
pub const OUTBOUND: &str = "Require: outbound\r\n";
pub const HERE: &str = "203.0.113.7:40000";
pub const ELSEWHERE: &str = "203.0.113.7:40001";

fn registering(change: impl FnOnce(&mut Trunk)) -> Wire {
    let mut own = Trunk {
        registration: Some(Registration {
            user: "gw".to_owned(),
            expires: 7_200,
            outbound: true,
        }),
        ..trunk("pbx")
    };
    change(&mut own);
    let mut wire = Wire::new(own);
    wire.agent.start(wire.now);
    wire
}

/// Registered at somebody who grants it with these headers.
fn registered(granted: &str, change: impl FnOnce(&mut Trunk)) -> Wire {
    let mut wire = registering(change);
    accept(&mut wire, granted);
    wire
}

/// Takes the REGISTER that has just left, and grants it; gives its Contact.
#[track_caller]
pub fn accept(wire: &mut Wire, granted: &str) -> String {
    let register = wire.sent_request("REGISTER");
    let contact = value(&register.headers, "Contact").to_owned();
    wire.answer(
        &register,
        200,
        "r",
        &format!("Contact: {contact}\r\n{granted}"),
    );
    contact
}

/// One datagram that left, after what time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    Check([u8; 12]),
    LineEnds,
    Register,
}

/// What leaves within this time.
pub fn leaving(wire: &mut Wire, span: Duration) -> Vec<(Duration, Sent)> {
    let (begin, end) = (wire.now, wire.now + span);
    let mut all = Vec::new();
    loop {
        while let Some(transmit) = wire.agent.poll_transmit() {
            let flow = Flow::new(Transport::Udp, 0, PEER.parse().expect("an address"));
            assert_eq!(transmit.flow, flow, "the registered way");
            let sent = match &transmit.bytes[..] {
                b"\r\n\r\n" => Sent::LineEnds,
                // RFC 8489 section 5, without attributes.
                [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, transaction @ ..] => {
                    Sent::Check(transaction.try_into().expect("nothing behind the header"))
                }
                other => {
                    assert!(other.starts_with(b"REGISTER "), "{other:02x?}");
                    Sent::Register
                }
            };
            all.push((wire.now - begin, sent));
        }
        match wire.agent.poll_timeout().filter(|at| *at <= end) {
            Some(at) => wire.advance(at.saturating_duration_since(wire.now)),
            None => break,
        }
    }
    wire.advance(end - wire.now);
    all
}

/// Waits for the next check: after what time, and its transaction.
#[track_caller]
pub fn check(wire: &mut Wire) -> (Duration, [u8; 12]) {
    let begin = wire.elapsed();
    loop {
        let step = wire.agent.poll_timeout().expect("a timer") - wire.now;
        let sent = leaving(wire, step);
        if let Some((_, first)) = sent.first() {
            let Sent::Check(transaction) = first else {
                panic!("a check expected, got {sent:?}");
            };
            return (wire.elapsed() - begin, *transaction);
        }
    }
}

/// A response without attributes, or with where we are seen.
fn response(kind: MessageType, transaction: [u8; 12], seen: Option<&str>) -> Vec<u8> {
    let mut message = Stun::new();
    message.typ = kind;
    message.transaction_id.0 = transaction;
    message.write_header();
    if let Some(seen) = seen {
        let seen: SocketAddr = seen.parse().expect("an address");
        let (ip, port) = (seen.ip(), seen.port());
        let mapped = XorMappedAddress { ip, port };
        mapped.add_to(&mut message).expect("it fits");
    }
    message.raw
}

pub fn sees(wire: &mut Wire, transaction: [u8; 12], seen: &str) {
    wire.receive_bytes(&response(BINDING_SUCCESS, transaction, Some(seen)));
}

/// What the operator hears of the way since the last look: failures, and that there is no STUN.
pub fn told(wire: &mut Wire) -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    while let Some(event) = wire.agent.poll_event() {
        match event {
            UserAgentEvent::FlowFailed { remote, why } => {
                assert_eq!(remote.to_string(), PEER);
                all.push(("failed", why));
            }
            UserAgentEvent::WithoutStun { why, first, .. } => {
                all.push((if first { "without" } else { "without again" }, why));
            }
            _ => {}
        }
    }
    all
}

pub fn count(sent: &[(Duration, Sent)], wanted: &Sent) -> usize {
    sent.iter().filter(|(_, one)| one == wanted).count()
}

#[test]
fn a_way_with_outbound_is_kept_open_by_stun_between_24_and_29_seconds() {
    for granted in [OUTBOUND, "Supported: path, Outbound\r\n"] {
        let mut wire = registered(granted, |_| {});
        let mut waits = Vec::new();
        let mut transactions = Vec::new();
        for _ in 0..20 {
            let (wait, transaction) = check(&mut wire);
            sees(&mut wire, transaction, HERE);
            waits.push(wait);
            transactions.push(transaction);
        }
        assert!(
            waits
                .iter()
                .all(|wait| (24 * SECOND..=29 * SECOND).contains(wait)),
            "{waits:?}"
        );
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 15, "{waits:?}");
        transactions.sort_unstable();
        transactions.dedup();
        assert_eq!(transactions.len(), 20);
        assert_eq!(told(&mut wire), []);
    }
}

#[test]
fn nobody_but_a_registrar_with_outbound_gets_stun() {
    for (granted, outbound) in [("Supported: path\r\n", true), (OUTBOUND, false)] {
        let mut wire = registered(granted, |trunk| {
            if let Some(registration) = &mut trunk.registration {
                registration.outbound = outbound;
            }
        });
        let sent = leaving(&mut wire, 120 * SECOND);
        assert_eq!(count(&sent, &Sent::LineEnds), 4, "{sent:?}");
        assert_eq!(sent.len(), 4);
    }
    let mut wire = registered(OUTBOUND, |trunk| trunk.keep_alive = Duration::ZERO);
    assert_eq!(leaving(&mut wire, 300 * SECOND), []);
}

#[test]
fn a_registrar_that_has_outbound_no_more_gets_no_more_stun() {
    let mut wire = registered(OUTBOUND, |trunk| {
        trunk.registration.as_mut().expect("there").expires = 100;
    });
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, HERE);
    // The refresh comes after 45 to 50 s.
    wire.advance(26 * SECOND);
    accept(&mut wire, "");
    while wire.sent().is_some() {}
    let sent = leaving(&mut wire, 26 * SECOND);
    assert!(
        sent.iter().all(|(_, one)| *one == Sent::LineEnds),
        "{sent:?}"
    );
    assert!(!sent.is_empty());
}

#[test]
fn the_flow_timer_and_the_configuration_only_hurry_stun_on() {
    let millis = Duration::from_millis;
    for (flow_timer, own, shortest, longest) in [
        (10, 25, millis(8_000), millis(10_000)),
        (25, 25, millis(20_000), millis(25_000)),
        (120, 25, millis(24_000), millis(29_000)),
        (120, 60, millis(24_000), millis(29_000)),
        (120, 5, millis(4_000), millis(5_000)),
        (120, 0, millis(24_000), millis(29_000)),
        (1, 25, millis(1_000), millis(1_000)),
    ] {
        let granted = format!("{OUTBOUND}Flow-Timer: {flow_timer}\r\n");
        let mut wire = registered(&granted, |trunk| {
            trunk.keep_alive = Duration::from_secs(own);
        });
        for _ in 0..10 {
            let (wait, transaction) = check(&mut wire);
            sees(&mut wire, transaction, HERE);
            assert!(
                (shortest..=longest).contains(&wait),
                "Flow-Timer {flow_timer}, keep_alive {own}: {wait:?}"
            );
        }
    }
}

#[test]
fn a_check_that_is_lost_is_sent_again_and_nothing_comes_of_it() {
    let mut wire = registered(OUTBOUND, |_| {});
    let (_, transaction) = check(&mut wire);
    let repeated = leaving(&mut wire, 2 * SECOND);
    let millis = Duration::from_millis;
    let again = |at| (millis(at), Sent::Check(transaction));
    assert_eq!(repeated, [again(500), again(1_500)]);
    sees(&mut wire, transaction, HERE);
    let (wait, next) = check(&mut wire);
    assert!((22 * SECOND..=27 * SECOND).contains(&wait), "{wait:?}");
    assert_ne!(next, transaction);
    // An answer that took longer than the pause: the next check follows at once.
    leaving(&mut wire, 30 * SECOND);
    sees(&mut wire, next, HERE);
    let (wait, _) = check(&mut wire);
    assert_eq!(wait, Duration::ZERO);
    assert_eq!(told(&mut wire), []);
}

#[test]
fn who_is_seen_elsewhere_registers_anew_at_once_under_the_new_contact() {
    let mut wire = registering(|_| {});
    let before = accept(&mut wire, OUTBOUND);
    assert!(before.contains("@192.0.2.1:5060;line="), "{before}");
    for seen in [HERE, HERE] {
        let (_, transaction) = check(&mut wire);
        sees(&mut wire, transaction, seen);
        wire.quiet();
    }
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, ELSEWHERE);
    assert_eq!(told(&mut wire), [("failed", "moved")]);
    let after = accept(&mut wire, OUTBOUND);
    assert!(after.contains("@203.0.113.7:40001;line="), "{after}");
    let reg_id = |contact: &str| {
        contact
            .split_once(";reg-id")
            .map(|(_, rest)| rest.to_owned())
    };
    assert_eq!(reg_id(&before), reg_id(&after), "the same binding");
    // From here on that is where we are.
    for _ in 0..5 {
        let (wait, transaction) = check(&mut wire);
        assert!(wait >= 24 * SECOND);
        sees(&mut wire, transaction, ELSEWHERE);
        wire.quiet();
    }
    assert_eq!(told(&mut wire), []);
}

#[test]
fn silence_of_one_who_has_answered_registers_anew_and_waits_for_the_registrar() {
    let mut wire = registered(OUTBOUND, |_| {});
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, HERE);
    let (_, transaction) = check(&mut wire);
    let sent = leaving(&mut wire, Duration::from_millis(39_499));
    assert_eq!(sent.len(), 6, "{sent:?}");
    assert_eq!(count(&sent, &Sent::Check(transaction)), 6);
    assert_eq!(told(&mut wire), []);
    wire.advance(Duration::from_millis(1));
    assert_eq!(told(&mut wire), [("failed", "silent")]);
    let register = wire.sent_request("REGISTER");
    // The registrar is out: REGISTER goes on, and STUN rests.
    let sent = leaving(&mut wire, 31 * SECOND);
    assert!(sent.len() > 5, "{sent:?}");
    assert_eq!(count(&sent, &Sent::Register), sent.len(), "{sent:?}");
    // It is back, and another NAT before it: that is no failure.
    wire.answer(&register, 200, "r", OUTBOUND);
    for _ in 0..3 {
        let (wait, transaction) = check(&mut wire);
        assert!((24 * SECOND..=29 * SECOND).contains(&wait), "{wait:?}");
        sees(&mut wire, transaction, ELSEWHERE);
        wire.quiet();
    }
    assert_eq!(told(&mut wire), []);
}

#[test]
fn calls_do_not_name_a_flow_that_has_failed() {
    let mut wire = registered(OUTBOUND, |_| {});
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, HERE);
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, ELSEWHERE);
    let register = wire.sent_request("REGISTER");
    let (_, invite) = wire.call();
    assert!(!value(&invite.headers, "Contact").contains(";ob"));
    wire.answer(&register, 200, "r", OUTBOUND);
    let (_, invite) = wire.call();
    assert!(value(&invite.headers, "Contact").contains(";ob"));
}

#[test]
fn one_that_never_answers_stun_gets_line_ends_and_is_not_registered_at_again() {
    let mut wire = registered(OUTBOUND, |_| {});
    let (_, transaction) = check(&mut wire);
    let sent = leaving(&mut wire, Duration::from_millis(39_500));
    assert_eq!(count(&sent, &Sent::Check(transaction)), 6);
    assert_eq!(
        sent.last(),
        Some(&(Duration::from_millis(39_500), Sent::LineEnds))
    );
    assert_eq!(told(&mut wire), [("without", "silent")]);
    // Nothing else for an hour, at the same pace.
    let sent = leaving(&mut wire, 3_570 * SECOND);
    assert_eq!(count(&sent, &Sent::LineEnds), sent.len(), "{sent:?}");
    assert!((120..=150).contains(&sent.len()), "{}", sent.len());
    // Then it is asked once more, and the log spared.
    let (_, transaction) = check_after_line_ends(&mut wire);
    let sent = leaving(&mut wire, 40 * SECOND);
    assert_eq!(count(&sent, &Sent::Check(transaction)), 6);
    assert_eq!(told(&mut wire), [("without again", "silent")]);
    assert_eq!(count(&sent, &Sent::Register), 0);
}

/// The first check after line ends.
fn check_after_line_ends(wire: &mut Wire) -> (Duration, [u8; 12]) {
    loop {
        let step = wire.agent.poll_timeout().expect("a timer") - wire.now;
        for (wait, sent) in leaving(wire, step) {
            if let Sent::Check(transaction) = sent {
                return (wait, transaction);
            }
        }
    }
}

#[test]
fn one_that_loses_its_stun_is_registered_at_once_more_and_then_left_in_peace() {
    let mut wire = registered(OUTBOUND, |_| {});
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, HERE);
    check(&mut wire);
    leaving(&mut wire, Duration::from_millis(39_499));
    wire.advance(Duration::from_millis(1));
    accept(&mut wire, OUTBOUND);
    check(&mut wire);
    let sent = leaving(&mut wire, 1_000 * SECOND);
    assert_eq!(count(&sent, &Sent::Register), 0, "{sent:?}");
    assert!(count(&sent, &Sent::LineEnds) > 30);
    assert_eq!(
        told(&mut wire),
        [("failed", "silent"), ("without", "silent")]
    );
}

#[test]
fn an_error_counts_as_silence_does_and_at_once() {
    let mut wire = registered(OUTBOUND, |_| {});
    let (_, transaction) = check(&mut wire);
    wire.receive_bytes(&response(BINDING_ERROR, transaction, None));
    assert_eq!(told(&mut wire), [("without", "refused")]);
    let sent = leaving(&mut wire, SECOND);
    assert_eq!(sent, [(Duration::ZERO, Sent::LineEnds)]);

    let mut wire = registered(OUTBOUND, |_| {});
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, HERE);
    let (_, transaction) = check(&mut wire);
    // A success that says nothing is none.
    wire.receive_bytes(&response(BINDING_SUCCESS, transaction, None));
    assert_eq!(told(&mut wire), [("failed", "refused")]);
    wire.sent_request("REGISTER");
}

#[test]
fn one_that_sees_us_at_another_place_each_time_is_believed_twice() {
    let mut wire = registered(OUTBOUND, |_| {});
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, "203.0.113.7:1");
    for port in 2..=3 {
        let (_, transaction) = check(&mut wire);
        sees(&mut wire, transaction, &format!("203.0.113.7:{port}"));
        accept(&mut wire, OUTBOUND);
    }
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, "203.0.113.7:4");
    let sent = leaving(&mut wire, 1_000 * SECOND);
    assert_eq!(count(&sent, &Sent::LineEnds), sent.len(), "{sent:?}");
    let moved = ("failed", "moved");
    assert_eq!(told(&mut wire), [moved, moved, ("without", "moved")]);
}

#[test]
fn who_moves_often_but_stands_still_in_between_is_believed_each_time() {
    let mut wire = registered(OUTBOUND, |_| {});
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, "203.0.113.7:1");
    for port in 2..=6 {
        let seen = format!("203.0.113.7:{port}");
        let (_, transaction) = check(&mut wire);
        sees(&mut wire, transaction, &seen);
        accept(&mut wire, OUTBOUND);
        let (_, transaction) = check(&mut wire);
        sees(&mut wire, transaction, &seen);
    }
    assert_eq!(told(&mut wire), [("failed", "moved"); 5]);
}

#[test]
fn stun_that_comes_back_is_used_and_told_of_when_it_is_lost_again() {
    let mut wire = registered(OUTBOUND, |_| {});
    check(&mut wire);
    leaving(&mut wire, 40 * SECOND);
    assert_eq!(told(&mut wire), [("without", "silent")]);
    let (_, transaction) = check_after_line_ends(&mut wire);
    sees(&mut wire, transaction, HERE);
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, HERE);
    for told_of in [("failed", "silent"), ("without", "silent")] {
        check(&mut wire);
        leaving(&mut wire, Duration::from_millis(39_499));
        wire.advance(Duration::from_millis(1));
        assert_eq!(told(&mut wire), [told_of]);
        if told_of.0 == "failed" {
            accept(&mut wire, OUTBOUND);
        }
    }
}

#[test]
fn a_closed_port_fails_the_way_at_once_and_only_by_the_transaction_of_a_check() {
    let mut wire = registered(OUTBOUND, |_| {});
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, HERE);
    let (_, transaction) = check(&mut wire);
    let remote: SocketAddr = PEER.parse().expect("an address");
    let quote = response(BINDING_REQUEST, transaction, None);
    let forged = response(BINDING_REQUEST, [7; 12], None);
    for (quote, from) in [
        (&forged[..], PEER),
        (&quote[..8], PEER),
        (&quote[..], "192.0.2.9:5060"),
    ] {
        let from = from.parse().expect("an address");
        assert_eq!(wire.agent.handle_unreachable(0, from, quote, wire.now), 0);
    }
    assert_eq!(wire.rejections(), ["icmp_unmatched"; 3]);
    wire.quiet();
    assert_eq!(
        wire.agent.handle_unreachable(0, remote, &quote, wire.now),
        1
    );
    assert_eq!(told(&mut wire), [("failed", "unreachable")]);
    wire.sent_request("REGISTER");
}

#[test]
fn stun_that_nobody_asked_for_is_dropped_counted_and_never_answered() {
    let mut wire = registered(OUTBOUND, |_| {});
    // Before any check, and from unknown sources too.
    let indication = MessageType::new(METHOD_BINDING, CLASS_INDICATION);
    for (source, datagram, reason) in [
        (
            PEER,
            response(BINDING_REQUEST, [1; 12], None),
            "stun_request",
        ),
        (
            "192.0.2.9:1",
            response(BINDING_REQUEST, [1; 12], None),
            "stun_request",
        ),
        (PEER, response(indication, [1; 12], None), "stun_request"),
        (
            PEER,
            response(BINDING_SUCCESS, [1; 12], Some(HERE)),
            "stun_unmatched",
        ),
        (PEER, vec![0], "unreadable"),
        (PEER, vec![1; 200], "unreadable"),
        (
            PEER,
            [response(BINDING_SUCCESS, [1; 12], None), vec![0]].concat(),
            "unreadable",
        ),
    ] {
        wire.receive_from(source, &datagram);
        assert_eq!(wire.rejections(), [reason], "{datagram:02x?}");
        assert_eq!(leaving(&mut wire, Duration::ZERO), []);
    }
    let (_, transaction) = check(&mut wire);
    // Somebody else, another transaction, attributes that go beyond the end: it goes on waiting.
    let right = response(BINDING_SUCCESS, transaction, Some(HERE));
    wire.receive_from("192.0.2.2:5061", &right);
    wire.receive_bytes(&response(BINDING_SUCCESS, [1; 12], Some(HERE)));
    let mut bent = right.clone();
    bent[23] = 0xff;
    wire.receive_bytes(&bent);
    assert_eq!(
        wire.rejections(),
        ["stun_unmatched", "stun_unmatched", "stun_malformed"]
    );
    wire.receive_bytes(&right);
    assert_eq!(wire.rejections(), [""; 0]);
    // The answer to a repetition comes after that to the first.
    wire.receive_bytes(&response(BINDING_SUCCESS, transaction, Some(ELSEWHERE)));
    assert_eq!(wire.rejections(), ["stun_unmatched"]);
    wire.quiet();
}
