//! Early dialogs of our INVITE: forks, PRACK, UPDATE and offers that the peer makes, as traces in
//! virtual time.

use std::time::Duration;

use bytes::Bytes;

use super::wire::*;
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);
const OTHER: &str = "v=0\r\no=- 2 1 IN IP4 192.0.2.3\r\ns=-\r\n";

/// Headers of a reliable provisional answer of the phone at this port.
fn reliable(number: u32, port: u16) -> String {
    format!(
        "Require: 100rel\r\nRSeq: {number}\r\nContact: <sip:600@192.0.2.2:{port}>\r\n\
         Record-Route: <sip:p{port}@192.0.2.2;lr>\r\nContent-Type: application/sdp\r\n"
    )
}

fn progress(status: u16, body: Option<&'static str>, fork: u32) -> Option<Event> {
    Some(Event::Progress {
        status,
        body: body.map(|body| Bytes::from_static(body.as_bytes())),
        fork,
    })
}

/// A request of the peer in the dialog of our INVITE that has this tag of its.
fn of_fork(invite: &Request, method: &str, sequence: u32, tag: &str, body: &str) -> String {
    let from = crate::sip::stack::address::Address::parse(value(&invite.headers, "From"))
        .expect("readable");
    let branch = format!("{method}{sequence}{tag}");
    request(method, sequence, &branch, from.tag().expect("a tag"), body)
        .replace("call-1@pbx", value(&invite.headers, "Call-ID"))
        .replace("tag=bt", &format!("tag={tag}"))
}

#[test]
fn each_reliable_answer_gets_one_prack_in_its_own_dialog() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    assert!(value(&invite.headers, "Supported").contains("100rel"));
    wire.answer_with(&invite, 183, "b1", &reliable(7, 5061), SDP);
    let first = wire.sent_request("PRACK");
    assert_eq!(value(&first.headers, "RAck"), "7 1 INVITE");
    assert_eq!(value(&first.headers, "CSeq"), "2 PRACK");
    assert_eq!(first.uri, "sip:600@192.0.2.2:5061");
    assert_eq!(value(&first.headers, "Route"), "<sip:p5061@192.0.2.2;lr>");
    assert!(value(&first.headers, "To").ends_with(";tag=b1"));
    assert_eq!(wire.event(), progress(183, Some(SDP), 0));

    // Another user agent numbers on its own.
    wire.answer_with(&invite, 183, "b2", &reliable(900, 5062), OTHER);
    let second = wire.sent_request("PRACK");
    assert_eq!(value(&second.headers, "RAck"), "900 1 INVITE");
    assert_eq!(value(&second.headers, "CSeq"), "2 PRACK");
    assert_eq!(second.uri, "sip:600@192.0.2.2:5062");
    assert_eq!(wire.event(), progress(183, Some(OTHER), 1));

    // Sent again: no second PRACK, nothing told.
    wire.answer_with(&invite, 183, "b1", &reliable(7, 5061), SDP);
    wire.quiet();
    assert_eq!(wire.event(), None);
    // Out of order: it will come again after the one before it.
    wire.answer_with(&invite, 180, "b1", &reliable(9, 5061), "");
    wire.quiet();
    assert_eq!(wire.event(), None);
    wire.answer_with(&invite, 180, "b1", &reliable(8, 5061), "");
    let third = wire.sent_request("PRACK");
    assert_eq!(value(&third.headers, "RAck"), "8 1 INVITE");
    assert_eq!(value(&third.headers, "CSeq"), "3 PRACK");
    assert_eq!(wire.event(), progress(180, None, 0));

    // An unanswered PRACK is repeated; the call does not depend on it.
    wire.advance(Duration::from_millis(600));
    for _ in 0..3 {
        wire.sent_request("PRACK");
    }
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
    let ack = wire.sent_request("ACK");
    assert_eq!(value(&ack.headers, "CSeq"), "1 ACK");
    assert!(matches!(
        wire.event(),
        Some(Event::Accepted { fork: 0, .. })
    ));
}

#[test]
fn a_late_answer_of_a_fork_that_was_pracked_gets_ack_and_a_bye_numbered_on() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call();
    wire.answer_with(&invite, 183, "b1", &reliable(1, 5061), SDP);
    wire.sent_request("PRACK");
    wire.answer_with(&invite, 183, "b2", &reliable(1, 5062), OTHER);
    let prack = wire.sent_request("PRACK");
    wire.answer(&prack, 200, "", "");
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
    wire.sent_request("ACK");
    wire.answer_with(&invite, 200, "b2", OK_EXTRA, OTHER);
    let ack = wire.sent_request("ACK");
    assert_eq!(value(&ack.headers, "CSeq"), "1 ACK");
    let bye = wire.sent_request("BYE");
    assert!(value(&bye.headers, "To").ends_with(";tag=b2"));
    assert_eq!(value(&bye.headers, "CSeq"), "3 BYE");
    wire.command(leg, Command::Hangup { cause: None });
    let bye = wire.sent_request("BYE");
    assert!(value(&bye.headers, "To").ends_with(";tag=b1"));
    assert_eq!(value(&bye.headers, "CSeq"), "3 BYE");
}

#[test]
fn more_forks_than_32_are_ignored_and_counted() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    for fork in 0..40 {
        wire.answer(&invite, 180, &format!("b{fork}"), "");
    }
    let mut heard = 0;
    let mut rejected = 0;
    while let Some(event) = wire.agent.poll_event() {
        match event {
            UserAgentEvent::Leg(_, Event::Progress { fork, .. }) => {
                assert_eq!(fork, heard);
                heard += 1;
            }
            UserAgentEvent::Leg(_, Event::PeerAddress { .. }) => {}
            UserAgentEvent::Rejected { reason, .. } => {
                assert_eq!(reason, "too_many_forks");
                rejected += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((heard, rejected), (32, 8));
    // Who answers is welcome all the same.
    wire.answer_with(&invite, 200, "b39", OK_EXTRA, SDP);
    wire.sent_request("ACK");
    assert!(matches!(wire.event(), Some(Event::Accepted { .. })));
}

#[test]
fn a_199_ends_one_early_dialog_only() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    wire.answer(&invite, 180, "b1", "");
    wire.answer(&invite, 180, "b2", "");
    wire.event();
    wire.event();
    wire.answer(&invite, 199, "b1", "");
    assert_eq!(wire.event(), Some(Event::ForkEnded { fork: 0 }));
    wire.receive(&of_fork(&invite, "UPDATE", 1, "b1", ""));
    wire.sent_status(481);
    wire.receive(&of_fork(&invite, "UPDATE", 1, "b2", ""));
    wire.sent_status(200);
}

#[test]
fn an_early_update_is_answered_in_its_fork_and_refreshes_its_target() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call();
    // Our offer has no answer yet that counts: their offer crosses it.
    wire.answer(&invite, 180, "b1", "");
    wire.event();
    wire.receive(&of_fork(&invite, "UPDATE", 1, "b1", OTHER));
    wire.sent_status(491);
    wire.answer_with(&invite, 183, "b1", &reliable(1, 5061), SDP);
    let prack = wire.sent_request("PRACK");
    wire.answer(&prack, 200, "", "");
    wire.event();
    let update = of_fork(&invite, "UPDATE", 2, "b1", OTHER)
        .replace("bob@192.0.2.2:5060>", "bob@192.0.2.2:5099>");
    wire.receive(&update);
    assert_eq!(
        wire.event(),
        Some(Event::Reinvited {
            body: Some(OTHER.into()),
            fork: Some(0)
        })
    );
    // A second one meanwhile comes too early.
    wire.receive(&of_fork(&invite, "UPDATE", 3, "b1", OTHER));
    let refused = wire.sent_status(500);
    let wait: u32 = value(&refused.headers, "Retry-After")
        .parse()
        .expect("seconds");
    assert!(wait <= 10);
    wire.command(leg, Command::AnswerReinvite { body: SDP.into() });
    let answered = wire.sent_status(200);
    assert_eq!(&answered.body[..], SDP.as_bytes());
    assert_eq!(value(&answered.headers, "CSeq"), "2 UPDATE");
    assert!(!value(&answered.headers, "Contact").is_empty());
    // A re-INVITE may not come before ours is answered.
    wire.receive(&of_fork(&invite, "INVITE", 4, "b1", OTHER));
    wire.sent_status(491);
    wire.receive(&of_fork(&invite, "INFO", 5, "b1", ""));
    wire.sent_status(200);
    wire.event();
    wire.answer_with(&invite, 183, "b1", &reliable(2, 5099), "");
    let prack = wire.sent_request("PRACK");
    assert_eq!(prack.uri, "sip:600@192.0.2.2:5099");
    assert_eq!(value(&prack.headers, "CSeq"), "3 PRACK");
    assert_eq!(wire.event(), progress(183, None, 0));
    // The numbers of the early dialog go on in the answered one.
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, "");
    wire.sent_request("ACK");
    assert_eq!(
        wire.event(),
        Some(Event::Accepted {
            body: None,
            fork: 0
        })
    );
    wire.receive(&of_fork(&invite, "INFO", 4, "b1", ""));
    wire.sent_status(500);
    wire.command(leg, Command::Hangup { cause: None });
    assert_eq!(value(&wire.sent_request("BYE").headers, "CSeq"), "4 BYE");
}

#[test]
fn an_early_update_that_nobody_answers_is_not_held_after_the_call() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    wire.answer_with(&invite, 183, "b1", &reliable(1, 5061), SDP);
    let prack = wire.sent_request("PRACK");
    wire.answer(&prack, 200, "", "");
    wire.receive(&of_fork(&invite, "UPDATE", 2, "b1", OTHER));
    wire.answer(&invite, 486, "b1", "");
    wire.sent_request("ACK");
    wire.sent_status(487);
    wire.advance(40 * SECOND);
    assert_eq!((wire.agent.legs(), wire.agent.transactions()), (0, 0));
}

#[test]
fn an_offer_in_a_reliable_answer_is_answered_in_the_prack() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call_without_offer();
    assert!(invite.body.is_empty());
    // Without a promise it is no offer.
    wire.answer_with(&invite, 183, "b1", OK_EXTRA, SDP);
    assert_eq!(wire.event(), progress(183, None, 0));
    wire.answer_with(&invite, 183, "b1", &reliable(1, 5061), SDP);
    wire.quiet();
    assert_eq!(wire.event(), progress(183, Some(SDP), 0));
    let answer = Command::AnswerProgress {
        fork: 0,
        body: OTHER.into(),
    };
    wire.command(leg, answer);
    let prack = wire.sent_request("PRACK");
    assert_eq!(&prack.body[..], OTHER.as_bytes());
    wire.answer(&prack, 200, "", "");
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, "");
    assert!(wire.sent_request("ACK").body.is_empty());
    assert_eq!(
        wire.event(),
        Some(Event::Accepted {
            body: None,
            fork: 0
        })
    );
}

#[test]
fn an_offer_in_the_2xx_is_answered_in_the_ack() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call_without_offer();
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
    wire.quiet();
    assert!(matches!(
        wire.event(),
        Some(Event::Accepted { body: Some(_), .. })
    ));
    // It comes again while the owner thinks.
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
    wire.quiet();
    wire.command(leg, Command::Confirm { body: OTHER.into() });
    assert_eq!(&wire.sent_request("ACK").body[..], OTHER.as_bytes());
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
    assert_eq!(&wire.sent_request("ACK").body[..], OTHER.as_bytes());
    wire.command(leg, Command::Hangup { cause: None });
    wire.sent_request("BYE");
}

#[test]
fn a_2xx_whose_offer_is_not_wanted_gets_its_ack_before_the_bye() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call_without_offer();
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
    wire.command(leg, Command::Hangup { cause: None });
    assert!(wire.sent_request("ACK").body.is_empty());
    wire.sent_request("BYE");
}

#[test]
fn a_trunk_without_prack_does_not_speak_of_it() {
    let mut off = trunk("pbx");
    off.dialogs.prack = Prack::Off;
    let mut wire = Wire::new(off);
    let (_, invite) = wire.call();
    assert!(!value(&invite.headers, "Supported").contains("100rel"));
    let text = request("INVITE", 1, "inv1", "", SDP)
        .replace("Max-Forwards", "Require: 100rel\r\nMax-Forwards");
    wire.receive(&text);
    assert_eq!(
        value(&wire.sent_status(420).headers, "Unsupported"),
        "100rel"
    );

    let mut required = trunk("pbx");
    required.dialogs.prack = Prack::Required;
    let mut wire = Wire::new(required);
    let (_, invite) = wire.call();
    assert_eq!(value(&invite.headers, "Require"), "100rel");
    wire.receive(&request("INVITE", 1, "inv1", "", SDP));
    assert_eq!(value(&wire.sent_status(421).headers, "Require"), "100rel");
}
