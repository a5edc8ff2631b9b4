//! Our reliable provisional answers (RFC 3262) as traces in virtual time.

use std::time::Duration;

use bytes::Bytes;

use super::wire::*;
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

/// A call of a peer that says this of 100rel.
fn called_with(wire: &mut Wire, header: &str, body: &str) -> LegId {
    let text = request("INVITE", 1, "inv1", "", body)
        .replace("Max-Forwards", &format!("{header}: 100rel\r\nMax-Forwards"));
    wire.receive(&text);
    wire.sent_status(100);
    wire.incoming().leg
}

fn ring(wire: &mut Wire, leg: LegId, status: u16, body: Option<&'static str>) {
    let body = body.map(|body| Bytes::from_static(body.as_bytes()));
    wire.command(leg, Command::Progress { status, body });
}

/// The PRACK for one of our answers.
fn prack(answer: &Response, sequence: u32, body: &str) -> String {
    let number = value(&answer.headers, "RSeq");
    let branch = format!("prack{sequence}");
    request("PRACK", sequence, &branch, &tag_of(answer), body).replace(
        "Max-Forwards",
        &format!("RAck: {number} 1 INVITE\r\nMax-Forwards"),
    )
}

#[test]
fn a_required_180_is_repeated_until_its_prack() {
    let mut wire = Wire::new(trunk("pbx"));
    let leg = called_with(&mut wire, "Require", SDP);
    ring(&mut wire, leg, 180, None);
    let ringing = wire.sent_status(180);
    assert_eq!(value(&ringing.headers, "Require"), "100rel");
    // T1, doubled each time and never capped: 0.5, 1.5, 3.5 s.
    wire.advance(4 * SECOND);
    for _ in 0..3 {
        let again = wire.sent_status(180);
        assert_eq!(
            value(&again.headers, "RSeq"),
            value(&ringing.headers, "RSeq")
        );
    }
    wire.quiet();
    wire.receive(&prack(&ringing, 2, "").replace("1 INVITE", "9 INVITE"));
    wire.sent_status(481);
    wire.receive(&prack(&ringing, 3, ""));
    wire.sent_status(200);
    assert_eq!(wire.event(), Some(Event::ProgressConfirmed { body: None }));
    // Said once more it matches nothing.
    wire.receive(&prack(&ringing, 4, ""));
    wire.sent_status(481);
    wire.advance(40 * SECOND);
    wire.quiet();
    wire.command(leg, Command::Accept { body: SDP.into() });
    let accepted = wire.sent_status(200);
    assert_eq!(&accepted.body[..], SDP.as_bytes());
}

#[test]
fn one_reliable_answer_at_a_time_and_the_last_wish_counts() {
    let mut wire = Wire::new(trunk("pbx"));
    let leg = called_with(&mut wire, "Require", SDP);
    ring(&mut wire, leg, 180, None);
    let first = wire.sent_status(180);
    ring(&mut wire, leg, 181, None);
    ring(&mut wire, leg, 182, None);
    wire.quiet();
    wire.receive(&prack(&first, 2, ""));
    wire.sent_status(200);
    let second = wire.sent_status(182);
    let number = |response: &Response| -> u32 {
        value(&response.headers, "RSeq").parse().expect("a number")
    };
    assert_eq!(number(&second), number(&first) + 1);
}

#[test]
fn a_200_waits_for_the_prack_of_the_answer_that_carried_sdp() {
    let mut wire = Wire::new(trunk("pbx"));
    let leg = called_with(&mut wire, "Supported", SDP);
    // Without SDP nothing is lost when it is.
    ring(&mut wire, leg, 180, None);
    assert_eq!(value(&wire.sent_status(180).headers, "RSeq"), "");
    ring(&mut wire, leg, 183, Some(SDP));
    let progress = wire.sent_status(183);
    wire.command(leg, Command::Accept { body: SDP.into() });
    wire.quiet();
    wire.receive(&prack(&progress, 2, ""));
    wire.sent_status(200);
    let accepted = wire.sent_status(200);
    assert_eq!(value(&accepted.headers, "CSeq"), "1 INVITE");
    assert!(accepted.body.is_empty(), "it was said reliably before");
    wire.receive(&request("ACK", 1, "ack1", &tag_of(&accepted), ""));
    wire.event();
    assert_eq!(wire.event(), Some(Event::Confirmed { body: None }));
}

#[test]
fn a_200_that_overtakes_the_prack_stops_the_180_and_the_prack_is_still_answered() {
    let mut wire = Wire::new(trunk("pbx"));
    let leg = called_with(&mut wire, "Require", SDP);
    ring(&mut wire, leg, 180, None);
    let ringing = wire.sent_status(180);
    wire.command(leg, Command::Accept { body: SDP.into() });
    let accepted = wire.sent_status(200);
    wire.receive(&request("ACK", 1, "ack1", &tag_of(&accepted), ""));
    wire.advance(4 * SECOND);
    wire.quiet();
    wire.receive(&prack(&ringing, 2, ""));
    wire.sent_status(200);
}

#[test]
fn a_reliable_answer_that_is_never_confirmed_refuses_the_call() {
    let mut wire = Wire::new(trunk("pbx"));
    let leg = called_with(&mut wire, "Require", SDP);
    ring(&mut wire, leg, 180, None);
    wire.advance(33 * SECOND);
    // At once, then 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s.
    for _ in 0..7 {
        wire.sent_status(180);
    }
    wire.sent_status(504);
    assert_eq!(
        wire.event(),
        Some(Event::Ended {
            cause: None,
            why: EndedBy::AckMissing
        })
    );
    assert!(!wire.agent.has_leg(leg));
}

#[test]
fn our_offer_in_a_180_is_answered_in_the_prack_and_an_update_may_follow() {
    let mut wire = Wire::new(trunk("pbx"));
    let text = request("INVITE", 1, "inv1", "", "")
        .replace("Max-Forwards", "Require: 100rel\r\nMax-Forwards");
    wire.receive(&text);
    wire.sent_status(100);
    let incoming = wire.incoming();
    assert!(incoming.reliable && incoming.body.is_none());
    ring(&mut wire, incoming.leg, 180, Some(SDP));
    let ringing = wire.sent_status(180);
    // An offer while ours has no answer.
    wire.receive(&request("UPDATE", 2, "up1", &tag_of(&ringing), SDP));
    wire.sent_status(500);
    wire.receive(&prack(&ringing, 3, "v=0\r\nanswer"));
    wire.sent_status(200);
    let body = Some("v=0\r\nanswer".into());
    assert_eq!(wire.event(), Some(Event::ProgressConfirmed { body }));
    wire.receive(&request("UPDATE", 4, "up2", &tag_of(&ringing), SDP));
    assert!(matches!(
        wire.event(),
        Some(Event::Reinvited { fork: None, .. })
    ));
    let body = SDP.into();
    wire.command(incoming.leg, Command::AnswerReinvite { body });
    wire.sent_status(200);
    wire.command(incoming.leg, Command::Accept { body: Bytes::new() });
    assert!(wire.sent_status(200).body.is_empty());
}

#[test]
fn an_offer_in_the_prack_is_answered_in_its_200() {
    let mut wire = Wire::new(trunk("pbx"));
    let leg = called_with(&mut wire, "Supported", SDP);
    ring(&mut wire, leg, 183, Some(SDP));
    let progress = wire.sent_status(183);
    wire.receive(&prack(&progress, 2, "v=0\r\nmore"));
    assert_eq!(wire.event(), Some(Event::ProgressConfirmed { body: None }));
    assert!(matches!(
        wire.event(),
        Some(Event::Reinvited { body: Some(_), .. })
    ));
    wire.quiet();
    let body = "v=0\r\nfine".into();
    wire.command(leg, Command::AnswerReinvite { body });
    let answered = wire.sent_status(200);
    assert_eq!(value(&answered.headers, "CSeq"), "2 PRACK");
    assert_eq!(&answered.body[..], b"v=0\r\nfine");
}
