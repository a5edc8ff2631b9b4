//! What phones, PBXs and SBCs in the field were reported to send, as traces in virtual time.

use std::time::Duration;

use super::wire::*;
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

/// A request with one more header.
fn with_header(request: &str, header: &str) -> String {
    request.replacen("Max-Forwards", &format!("{header}\r\nMax-Forwards"), 1)
}

#[test]
fn cancel_completed_elsewhere_tells_the_owner() {
    for (reason, expected) in [
        (
            "Reason: SIP;cause=200;text=\"Call completed elsewhere\"",
            Event::AnsweredElsewhere,
        ),
        ("Reason: Q.850;cause=26", Event::AnsweredElsewhere),
        (
            "Reason: Q.850;cause=16\r\nReason: SIP;cause=200",
            Event::AnsweredElsewhere,
        ),
        ("Reason: Q.850;cause=16", Event::Cancelled),
        ("Reason: SIP;cause=487", Event::Cancelled),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        wire.called();
        wire.receive(&with_header(&request("CANCEL", 1, "inv1", "", ""), reason));
        wire.sent_status(200);
        wire.sent_status(487);
        assert_eq!(wire.event(), Some(expected), "{reason}");
        assert_eq!(wire.agent.legs(), 0);
    }
}

#[test]
fn early_bye_completed_elsewhere_tells_the_owner() {
    let mut wire = Wire::new(trunk("pbx"));
    let (incoming, _) = wire.called();
    let (status, body) = (180, None);
    wire.command(incoming.leg, Command::Progress { status, body });
    let tag = tag_of(&wire.sent_status(180));
    let bye = request("BYE", 2, "bye1", &tag, "");
    wire.receive(&with_header(&bye, "Reason: SIP;cause=200"));
    wire.sent_status(200);
    wire.sent_status(487);
    assert_eq!(wire.event(), Some(Event::AnsweredElsewhere));
}

#[test]
fn bye_of_the_losing_phone_is_answered_elsewhere() {
    for (reason, why) in [
        ("Reason: Q.850;cause=26", EndedBy::AnsweredElsewhere),
        (
            "Reason: SIP;cause=200;text=\"Call completed elsewhere\"",
            EndedBy::AnsweredElsewhere,
        ),
        ("Reason: SIP;cause=200;text=\"User hung up\"", EndedBy::Bye),
        ("Reason: Q.850;cause=16", EndedBy::Bye),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let (_, tag) = wire.answered_incoming();
        wire.receive(&with_header(&request("BYE", 2, "bye1", &tag, ""), reason));
        wire.sent_status(200);
        assert!(
            matches!(wire.event(), Some(Event::Ended { why: told, .. }) if told == why),
            "{reason}"
        );
    }
}

#[test]
fn timestamp_is_copied_into_100_only() {
    for value in ["54", "54.3", "0.5 1.2", "1718000000.123"] {
        let mut wire = Wire::new(trunk("pbx"));
        let invite = request("INVITE", 1, "inv1", "", SDP);
        wire.receive(&with_header(&invite, &format!("Timestamp: {value}")));
        assert_eq!(value_of(&wire.sent_status(100), "Timestamp"), value);
        let leg = wire.incoming().leg;
        wire.command(leg, Command::Accept { body: SDP.into() });
        assert_eq!(value_of(&wire.sent_status(200), "Timestamp"), "");
    }
    let mut wire = Wire::new(trunk("pbx"));
    wire.receive(&request("INVITE", 1, "inv1", "", SDP));
    assert_eq!(value_of(&wire.sent_status(100), "Timestamp"), "");
}

fn value_of(response: &crate::sip::stack::message::Response, name: &str) -> String {
    value(&response.headers, name).to_owned()
}

#[test]
fn invite_with_expires_gets_487_when_it_has_expired() {
    let mut wire = Wire::new(trunk("pbx"));
    let invite = with_header(&request("INVITE", 1, "inv1", "", SDP), "Expires: 30");
    wire.receive(&invite);
    wire.sent_status(100);
    let leg = wire.incoming().leg;
    let (status, body) = (180, None);
    wire.command(leg, Command::Progress { status, body });
    wire.sent_status(180);
    wire.advance(30 * SECOND - Duration::from_millis(1));
    wire.quiet();
    wire.advance(Duration::from_millis(1));
    wire.sent_status(487);
    assert_eq!(wire.event(), Some(Event::Cancelled));
    assert_eq!(wire.agent.legs(), 0);
}

#[test]
fn expires_ends_nothing_after_the_answer_or_when_unreadable() {
    for expires in [
        "Expires: 30",
        "Expires: soon",
        "Expires: -1",
        "Expires:",
        "X-Expires: 1",
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        wire.receive(&with_header(
            &request("INVITE", 1, "inv1", "", SDP),
            expires,
        ));
        wire.sent_status(100);
        let leg = wire.incoming().leg;
        if expires == "Expires: 30" {
            wire.command(leg, Command::Accept { body: SDP.into() });
            let tag = tag_of(&wire.sent_status(200));
            wire.receive(&request("ACK", 1, "ack1", &tag, ""));
        }
        wire.advance(300 * SECOND);
        assert!(wire.agent.has_leg(leg), "{expires}");
    }
}

#[test]
fn malformed_header_in_a_response_costs_that_header_only() {
    for line in [
        "X-Call Info: 1",
        "P-Foo[0]: x",
        "no colon here",
        ": nothing",
        "X-Empty:",
        "RSeq: many",
        "Session-Expires: soon",
        "Record-Route: <<>",
        "Allow: ,,",
        "Server: \u{fc}",
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let (_, invite) = wire.call();
        wire.answer_with(&invite, 200, "b1", &format!("{line}\r\n{OK_EXTRA}"), SDP);
        wire.sent_request("ACK");
        assert!(
            matches!(wire.event(), Some(Event::Accepted { body: Some(_), .. })),
            "{line}"
        );
    }
}

#[test]
fn malformed_header_in_an_ack_or_bye_costs_that_header_only() {
    let mut wire = Wire::new(trunk("pbx"));
    let (incoming, _) = wire.called();
    wire.command(incoming.leg, Command::Accept { body: SDP.into() });
    let tag = tag_of(&wire.sent_status(200));
    let bad = |text: String| with_header(&text, "X-Call Info: 1");
    wire.receive(&bad(request("ACK", 1, "ack1", &tag, "")));
    assert_eq!(wire.event(), Some(Event::Confirmed { body: None }));
    wire.receive(&bad(request("BYE", 2, "bye1", &tag, "")));
    wire.sent_status(200);
}

#[test]
fn redirection_names_the_contact_of_the_highest_q() {
    for (contacts, expected) in [
        (
            "<sip:1@a>;q=0.2, <sip:2@a>;q=0.9, <sip:3@a>;q=0.5",
            "sip:2@a",
        ),
        ("<sip:1@a>;q=0.9\r\nContact: <sip:2@a>", "sip:2@a"),
        ("<sip:1@a>;q=0.5, <sip:2@a>;q=0.5", "sip:1@a"),
        ("<sip:1@a>;q=0, <sip:2@a>;Q=0.001", "sip:2@a"),
        (
            "\"q=1, a\" <sip:1@a>;q=0.3, <sip:2@a;q=0.1>;q=0.4",
            "sip:2@a;q=0.1",
        ),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let (_, invite) = wire.call();
        wire.answer(&invite, 300, "b1", &format!("Contact: {contacts}\r\n"));
        wire.sent_request("ACK");
        let to = expected.to_owned();
        assert_eq!(wire.event(), Some(Event::Redirected { to }), "{contacts}");
    }
}

#[test]
fn retry_after_491_with_the_same_cseq_is_taken() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    wire.command(leg, Command::Reinvite { body: SDP.into() });
    let ours = wire.sent_request("INVITE");
    wire.receive(&request("INVITE", 2, "glare1", &tag, SDP));
    wire.sent_status(491);
    // Its ACK is matched by the branch, whatever its number.
    wire.receive(&request("ACK", 3, "glare1", &tag, ""));
    wire.answer_with(&ours, 491, "", "", "");
    wire.sent_request("ACK");
    wire.event();
    wire.receive(&request("INVITE", 2, "glare2", &tag, SDP));
    wire.sent_status(100);
    assert!(matches!(wire.event(), Some(Event::Reinvited { .. })));
    wire.command(leg, Command::AnswerReinvite { body: SDP.into() });
    wire.sent_status(200);
    wire.receive(&request("ACK", 2, "glare3", &tag, ""));
    // Once only, and for that number only.
    wire.receive(&request("INVITE", 2, "glare4", &tag, SDP));
    wire.sent_status(500);
}

#[test]
fn ack_without_the_answer_leaves_the_session_usable() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    wire.receive(&request("INVITE", 2, "empty", &tag, ""));
    wire.sent_status(100);
    assert!(matches!(
        wire.event(),
        Some(Event::Reinvited { body: None, .. })
    ));
    wire.command(leg, Command::AnswerReinvite { body: SDP.into() });
    wire.sent_status(200);
    wire.receive(&request("ACK", 2, "emptyack", &tag, ""));
    assert_eq!(wire.event(), Some(Event::Confirmed { body: None }));
    for (number, method) in [(3, "INVITE"), (4, "UPDATE")] {
        wire.receive(&request(method, number, method, &tag, SDP));
        if method == "INVITE" {
            wire.sent_status(100);
        }
        assert!(matches!(wire.event(), Some(Event::Reinvited { .. })));
        wire.command(leg, Command::AnswerReinvite { body: SDP.into() });
        wire.sent_status(200);
        wire.receive(&request("ACK", number, "later", &tag, ""));
        wire.event();
    }
    wire.command(leg, Command::Reinvite { body: SDP.into() });
    wire.sent_request("INVITE");
}
