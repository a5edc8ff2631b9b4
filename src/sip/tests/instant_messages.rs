//! MESSAGE both ways, outside dialogs and inside, as traces in virtual time (RFC 3428).

use std::time::Duration;

use super::wire::*;
use crate::sip::*;

const PLAIN: &str = "text/plain;charset=UTF-8";

/// A MESSAGE of the peer, outside a dialog when `to_tag` is empty.
fn text_with(sequence: u32, to_tag: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let text = request(
        "MESSAGE",
        sequence,
        &format!("m{sequence}{to_tag}"),
        to_tag,
        "",
    );
    let head = text
        .strip_suffix("Content-Length: 0\r\n\r\n")
        .expect("no body");
    let kind = match kind {
        "" => String::new(),
        kind => format!("Content-Type: {kind}\r\n"),
    };
    let head = format!("{head}{kind}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn text(sequence: u32, to_tag: &str, body: &str) -> Vec<u8> {
    text_with(sequence, to_tag, PLAIN, body.as_bytes())
}

fn arrived(wire: &mut Wire) -> Option<IncomingMessage> {
    loop {
        match wire.agent.poll_event()? {
            UserAgentEvent::Message(message) => return Some(*message),
            _ => continue,
        }
    }
}

fn rejections(wire: &mut Wire) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    while let Some(event) = wire.agent.poll_event() {
        if let UserAgentEvent::Rejected { reason, .. } = event {
            reasons.push(reason);
        }
    }
    reasons
}

fn answered(wire: &mut Wire) -> Option<(MessageId, u16, bool)> {
    loop {
        match wire.agent.poll_event()? {
            UserAgentEvent::MessageAnswered { id, outcome } => {
                return Some((id, outcome.status, outcome.local));
            }
            _ => continue,
        }
    }
}

fn to(user: &str, text: &str) -> OutgoingMessage {
    OutgoingMessage {
        trunk: "pbx".to_owned(),
        to_user: user.to_owned(),
        account: None,
        from_user: "alice".to_owned(),
        from_name: Some("Alice".to_owned()),
        text: text.to_owned(),
    }
}

fn send(wire: &mut Wire, user: &str, text: &str) -> MessageId {
    let now = wire.now;
    wire.agent
        .message(to(user, text), now)
        .expect("it is taken")
}

#[test]
fn a_text_of_theirs_waits_for_its_owners_word_and_repetitions_get_the_same() {
    let mut wire = Wire::new(trunk("pbx"));
    for (sequence, status) in [(1, 200), (2, 404), (3, 480)] {
        wire.receive_bytes(&text(sequence, "", "Grüße\r\n"));
        let message = arrived(&mut wire).expect("a text");
        assert_eq!(message.trunk.as_deref(), Some("pbx"));
        assert_eq!(message.request_user, "alice");
        assert_eq!(message.from_user, "bob");
        assert_eq!(message.from_name.as_deref(), Some("Bob"));
        assert_eq!(message.text, "Grüße\r\n");
        // Repeated by a sender that has no answer yet: no second text.
        wire.receive_bytes(&text(sequence, "", "Grüße\r\n"));
        wire.quiet();
        assert!(arrived(&mut wire).is_none());
        wire.agent.answer_message(message.id, status, wire.now);
        let response = wire.sent_status(status);
        assert_eq!(value(&response.headers, "Contact"), "");
        assert!(response.body.is_empty());
        assert_ne!(tag_of(&response), "");
        wire.receive_bytes(&text(sequence, "", "Grüße\r\n"));
        wire.sent_status(status);
        wire.agent.answer_message(message.id, 500, wire.now);
        wire.quiet();
        assert!(arrived(&mut wire).is_none());
    }
    wire.advance(Duration::from_secs(33));
    assert_eq!(wire.agent.transactions(), 0);
}

#[test]
fn a_text_is_plain_utf8_of_four_kibibytes_and_all_else_is_refused() {
    let mut wire = Wire::new(trunk("pbx"));
    let longest = vec![b'x'; LONGEST_TEXT];
    for (sequence, (kind, body)) in [
        ("text/plain", &b"x"[..]),
        ("Text/Plain; Charset=\"utf-8\"; format=flowed", b"x"),
        ("text/plain;charset=us-ascii", b"x"),
        (PLAIN, &longest),
    ]
    .into_iter()
    .enumerate()
    {
        wire.receive_bytes(&text_with(sequence as u32 + 1, "", kind, body));
        let message = arrived(&mut wire).expect(kind);
        assert_eq!(message.text.as_bytes(), body);
        wire.agent.answer_message(message.id, 200, wire.now);
        wire.sent_status(200);
    }
    let mut longer = longest;
    longer.push(b'x');
    for (sequence, (kind, body, status)) in [
        ("", &b"x"[..], 415),
        ("text/html", b"x", 415),
        ("text/plainer", b"x", 415),
        ("message/cpim", b"x", 415),
        ("text/plain;charset=ISO-8859-1", b"x", 415),
        (PLAIN, b"\xff\xfe", 415),
        (PLAIN, &longer, 413),
    ]
    .into_iter()
    .enumerate()
    {
        wire.receive_bytes(&text_with(sequence as u32 + 10, "", kind, body));
        let response = wire.sent_status(status);
        if status == 415 {
            assert_eq!(value(&response.headers, "Accept"), PLAIN, "{kind}");
        }
        assert_eq!(rejections(&mut wire), ["message_text"], "{kind}");
    }
}

#[test]
fn texts_that_nobody_answers_are_bounded() {
    let mut wire = Wire::new(trunk("pbx"));
    let mut first = None;
    for sequence in 1..=64 {
        wire.receive_bytes(&text(sequence, "", "x"));
        let message = arrived(&mut wire).expect("there is room");
        first.get_or_insert(message.id);
    }
    wire.receive_bytes(&text(65, "", "x"));
    let refused = wire.sent_status(503);
    assert_eq!(value(&refused.headers, "Retry-After"), "5");
    assert_eq!(rejections(&mut wire), ["overload"]);
    let first = first.expect("some came");
    wire.agent.answer_message(first, 200, wire.now);
    wire.sent_status(200);
    wire.receive_bytes(&text(66, "", "x"));
    assert!(arrived(&mut wire).is_some());
}

#[test]
fn a_text_of_ours_has_the_trunks_identity_and_answers_its_challenge() {
    let mut wire = Wire::new(Trunk {
        credentials: credentials(),
        identity: IdentityPolicy {
            carried_by: CarriedBy::Asserted,
            ..IdentityPolicy::default()
        },
        ..trunk("pbx")
    });
    let id = send(&mut wire, "600", "Grüße");
    let first = wire.sent_request("MESSAGE");
    assert_eq!(first.uri, "sip:600@pbx.example");
    assert_eq!(value(&first.headers, "Content-Type"), PLAIN);
    assert_eq!(value(&first.headers, "Contact"), "");
    assert_eq!(
        value(&first.headers, "P-Asserted-Identity"),
        "\"Alice\" <sip:alice@pbx.example>"
    );
    assert_eq!(first.body, "Grüße".as_bytes());
    wire.answer(
        &first,
        401,
        "p1",
        "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"\r\n",
    );
    let second = wire.sent_request("MESSAGE");
    assert_eq!(value(&second.headers, "CSeq"), "2 MESSAGE");
    assert_eq!(
        value(&second.headers, "Call-ID"),
        value(&first.headers, "Call-ID")
    );
    assert!(value(&second.headers, "Authorization").contains("username=\"bob\""));
    assert_eq!(second.body, first.body);
    assert_eq!(answered(&mut wire), None);
    wire.answer(&second, 202, "p1", "");
    assert_eq!(answered(&mut wire), Some((id, 202, false)));
}

#[test]
fn texts_to_one_address_go_one_after_the_other_and_others_do_not_wait() {
    let mut wire = Wire::new(trunk("pbx"));
    let first = send(&mut wire, "600", "one");
    let request = wire.sent_request("MESSAGE");
    let second = send(&mut wire, "600", "two");
    let third = send(&mut wire, "600", "three");
    wire.quiet();
    send(&mut wire, "601", "elsewhere");
    assert_eq!(wire.sent_request("MESSAGE").body, "elsewhere".as_bytes());
    wire.answer(&request, 404, "p1", "");
    assert_eq!(answered(&mut wire), Some((first, 404, false)));
    let request = wire.sent_request("MESSAGE");
    assert_eq!(request.body, "two".as_bytes());
    // Nobody answers this one.
    wire.advance(Duration::from_secs(33));
    let mut outcomes = Vec::new();
    while let Some(outcome) = answered(&mut wire) {
        outcomes.push(outcome);
    }
    assert!(outcomes.contains(&(second, 408, true)), "{outcomes:?}");
    let mut sent = std::iter::from_fn(|| wire.sent());
    assert!(sent.any(
        |message| matches!(message, Message::Request(request) if request.body == "three".as_bytes())
    ));
    wire.advance(Duration::from_secs(33));
    assert_eq!(answered(&mut wire), Some((third, 408, true)));
}

#[test]
fn texts_that_wait_for_one_address_are_bounded_and_so_is_their_length() {
    let mut wire = Wire::new(trunk("pbx"));
    for _ in 0..16 {
        send(&mut wire, "600", "x");
    }
    let refused = wire.agent.message(to("600", "x"), wire.now);
    assert!(matches!(
        refused,
        Err(Error::LimitReached { limit: 16, .. })
    ));
    let longer = "x".repeat(LONGEST_TEXT + 1);
    let refused = wire.agent.message(to("601", &longer), wire.now);
    assert!(matches!(
        refused,
        Err(Error::LimitReached {
            limit: LONGEST_TEXT,
            ..
        })
    ));
    let outgoing = OutgoingMessage {
        trunk: "nobody".to_owned(),
        ..to("600", "x")
    };
    let refused = wire.agent.message(outgoing, wire.now);
    assert!(matches!(refused, Err(Error::UnknownTrunk(_))));
}

#[test]
fn a_long_text_of_ours_goes_by_tcp() {
    let mut wire = Wire::new(trunk("pbx"));
    send(&mut wire, "600", &"x".repeat(1_300));
    let transmit = wire.agent.poll_transmit().expect("sent");
    assert_eq!(transmit.flow.transport, Transport::Tcp);
}

#[test]
fn texts_inside_a_call_go_up_and_what_is_no_text_is_refused() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    wire.receive_bytes(&text(2, &tag, "hello"));
    wire.sent_status(200);
    assert_eq!(
        wire.event(),
        Some(Event::Message {
            text: "hello".to_owned()
        })
    );
    wire.receive_bytes(&text_with(3, &tag, "text/html", b"<p>"));
    wire.sent_status(415);
    assert_eq!(rejections(&mut wire), ["message_text"]);
    wire.receive_bytes(&text_with(4, &tag, PLAIN, &[b'x'; LONGEST_TEXT + 1]));
    wire.sent_status(413);
    assert_eq!(rejections(&mut wire), ["message_text"]);
    wire.receive_bytes(&text(5, "unknown", "x"));
    wire.sent_status(481);
    assert!(wire.agent.has_leg(leg));
}

fn write(reference: &str) -> Command {
    Command::Message {
        reference: Some(reference.to_owned()),
        text: reference.to_owned(),
    }
}

fn told(reference: &str, status: u16, local: bool) -> Option<Event> {
    Some(Event::MessageAnswered {
        reference: Some(reference.to_owned()),
        outcome: MessageOutcome { status, local },
    })
}

#[test]
fn our_texts_inside_a_call_go_out_one_after_the_other_with_their_outcomes() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    wire.command(leg, write("one"));
    wire.command(leg, write("two"));
    let first = wire.sent_request("MESSAGE");
    wire.quiet();
    assert_eq!(first.uri, "sip:bob@192.0.2.2:5060");
    assert_eq!(value(&first.headers, "Content-Type"), PLAIN);
    assert_eq!(value(&first.headers, "Contact"), "");
    assert!(value(&first.headers, "From").contains(&tag));
    assert_eq!(first.body, "one".as_bytes());
    wire.answer(&first, 405, "", "");
    assert_eq!(wire.event(), told("one", 405, false));
    let second = wire.sent_request("MESSAGE");
    assert_eq!(second.body, "two".as_bytes());
    // A peer that does not answer a text may go on talking.
    wire.advance(Duration::from_secs(33));
    assert_eq!(wire.event(), told("two", 408, true));
    assert!(wire.agent.has_leg(leg));
    while wire.sent().is_some() {}
    // One that has forgotten the call does not.
    wire.command(leg, write("three"));
    let third = wire.sent_request("MESSAGE");
    wire.answer(&third, 481, "", "");
    assert_eq!(wire.event(), told("three", 481, false));
    assert!(matches!(wire.event(), Some(Event::Ended { .. })));
}

#[test]
fn our_texts_of_a_call_wait_in_a_bounded_queue_and_only_while_it_is_answered() {
    let mut wire = Wire::new(trunk("pbx"));
    let (ringing, _) = wire.call();
    let refused = wire.agent.handle_command(ringing, write("x"), wire.now);
    assert!(matches!(refused, Err(Error::WrongState { .. })));
    let (leg, _) = wire.answered_incoming();
    // One under way, and sixteen behind it.
    for _ in 0..17 {
        wire.command(leg, write("x"));
    }
    let refused = wire.agent.handle_command(leg, write("x"), wire.now);
    assert!(matches!(refused, Err(Error::LimitReached { .. })));
    wire.command(leg, Command::Hangup { cause: None });
    let refused = wire.agent.handle_command(leg, write("x"), wire.now);
    assert!(refused.is_err());
}

#[test]
fn messages_are_announced() {
    let mut wire = Wire::new(trunk("pbx"));
    wire.receive(&request("OPTIONS", 1, "o1", "", ""));
    let response = wire.sent_status(200);
    assert!(value(&response.headers, "Allow").ends_with(", MESSAGE"));
    assert!(value(&response.headers, "Accept").contains("text/plain"));
}
