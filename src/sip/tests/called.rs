//! Calls from the peer, and what happens inside a call, as traces in virtual time.

use std::time::Duration;

use super::wire::*;
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_call_from_the_trunk_rings_and_is_answered() {
    let mut wire = Wire::new(trunk("pbx"));
    let (incoming, invite) = wire.called();
    assert_eq!(incoming.trunk.as_deref(), Some("pbx"));
    assert_eq!(incoming.request_user, "alice");
    assert_eq!(incoming.from_user, "bob");
    assert_eq!(incoming.from_name.as_deref(), Some("Bob"));
    assert_eq!(incoming.body.as_deref(), Some(SDP.as_bytes()));
    let leg = incoming.leg;
    wire.command(
        leg,
        Command::Progress {
            status: 180,
            body: None,
        },
    );
    let ringing = wire.sent_status(180);
    assert!(value(&ringing.headers, "Via").contains(";received=192.0.2.2;rport=5060"));
    // The INVITE again: the 180 again, no second call.
    wire.receive(&invite);
    wire.sent_status(180);
    // A minute on, the 180 is repeated so that proxies stay patient.
    wire.advance(61 * SECOND);
    wire.sent_status(180);
    wire.command(leg, Command::Accept { body: SDP.into() });
    let accepted = wire.sent_status(200);
    assert_eq!(tag_of(&accepted), tag_of(&ringing));
    assert_eq!(
        value(&accepted.headers, "Contact"),
        "<sip:alice@192.0.2.1:5060>"
    );
    // No ACK: the 2xx is repeated, after T1 and then twice that.
    wire.advance(SECOND * 2);
    wire.sent_status(200);
    wire.sent_status(200);
    wire.quiet();
    wire.receive(&request("ACK", 1, "ack1", &tag_of(&accepted), ""));
    assert_eq!(wire.event(), Some(Event::Confirmed { body: None }));
    wire.advance(40 * SECOND);
    wire.quiet();
    wire.receive(&request("BYE", 2, "bye1", &tag_of(&accepted), ""));
    wire.sent_status(200);
    assert_eq!(
        wire.event(),
        Some(Event::Ended {
            cause: None,
            why: EndedBy::Bye
        })
    );
}

#[test]
fn an_answer_that_is_never_acknowledged_ends_with_bye() {
    let mut wire = Wire::new(trunk("pbx"));
    let (incoming, _) = wire.called();
    wire.command(incoming.leg, Command::Accept { body: SDP.into() });
    // A hang-up before the ACK waits for it.
    wire.command(incoming.leg, Command::Hangup { cause: None });
    wire.advance(33 * SECOND);
    let mut last = None;
    while let Some(message) = wire.sent() {
        last = Some(message);
    }
    assert!(matches!(last, Some(Message::Request(bye)) if bye.method == Method::Bye));
    assert_eq!(
        wire.event(),
        Some(Event::Ended {
            cause: None,
            why: EndedBy::AckMissing
        })
    );
    assert_eq!(wire.agent.legs(), 0);
}

#[test]
fn a_hang_up_before_the_ack_says_bye_after_it() {
    let mut wire = Wire::new(trunk("pbx"));
    let (incoming, _) = wire.called();
    wire.command(incoming.leg, Command::Accept { body: SDP.into() });
    let tag = tag_of(&wire.sent_status(200));
    wire.command(incoming.leg, Command::Hangup { cause: Some(31) });
    wire.quiet();
    wire.receive(&request("ACK", 1, "ack1", &tag, ""));
    assert_eq!(
        value(&wire.sent_request("BYE").headers, "Reason"),
        "Q.850;cause=31"
    );
}

#[test]
fn their_cancel_gets_200_and_the_invite_487() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.called();
    let cancel = request("CANCEL", 1, "inv1", "", "");
    wire.receive(&cancel);
    wire.sent_status(200);
    wire.sent_status(487);
    assert_eq!(wire.event(), Some(Event::Cancelled));
    wire.receive(&invite);
    wire.sent_status(487);
    wire.receive(&request("ACK", 1, "inv1", "x", ""));
    wire.advance(40 * SECOND);
    wire.quiet();
    assert_eq!((wire.agent.legs(), wire.agent.transactions()), (0, 0));
    wire.receive(&cancel);
    wire.sent_status(481);
}

#[test]
fn a_cancel_after_the_answer_changes_nothing() {
    let mut wire = Wire::new(trunk("pbx"));
    let (incoming, _) = wire.called();
    wire.command(incoming.leg, Command::Accept { body: SDP.into() });
    wire.sent_status(200);
    wire.receive(&request("CANCEL", 1, "inv1", "", ""));
    wire.sent_status(200);
    wire.quiet();
    assert_eq!(wire.event(), None);
}

#[test]
fn a_refusal_is_repeated_until_its_ack() {
    let mut wire = Wire::new(trunk("pbx"));
    let (incoming, _) = wire.called();
    wire.command(
        incoming.leg,
        Command::Reject {
            status: 404,
            reason: None,
            warning: None,
        },
    );
    wire.sent_status(404);
    wire.advance(Duration::from_millis(600));
    wire.sent_status(404);
    wire.receive(&request("ACK", 1, "inv1", "x", ""));
    wire.advance(40 * SECOND);
    wire.quiet();
    assert_eq!(wire.agent.transactions(), 0);
}

#[test]
fn their_reinvite_is_answered_by_the_owner() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    wire.receive(&request("INVITE", 2, "re1", &tag, "v=0\r\nhold"));
    wire.sent_status(100);
    assert_eq!(
        wire.event(),
        Some(Event::Reinvited {
            body: Some("v=0\r\nhold".into()),
            fork: None
        })
    );
    // Another one while this one waits: 500 with Retry-After.
    wire.receive(&request("INVITE", 3, "re2", &tag, SDP));
    assert!(!value(&wire.sent_status(500).headers, "Retry-After").is_empty());
    wire.command(
        leg,
        Command::AnswerReinvite {
            body: "v=0\r\nheld".into(),
        },
    );
    let response = wire.sent_status(200);
    assert_eq!(&response.body[..], b"v=0\r\nheld");
    wire.receive(&request("ACK", 2, "ack2", &tag, ""));
    assert_eq!(wire.event(), Some(Event::Confirmed { body: None }));
    // An old request comes late.
    wire.receive(&request("INFO", 2, "info", &tag, ""));
    wire.sent_status(500);
    wire.receive(&request("INVITE", 4, "re3", &tag, SDP));
    wire.sent_status(100);
    wire.event();
    wire.command(
        leg,
        Command::RefuseReinvite {
            status: 488,
            warning: None,
        },
    );
    wire.sent_status(488);
    assert_eq!(wire.agent.legs(), 1);
}

#[test]
fn offers_that_cross_are_refused_with_491() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    wire.command(leg, Command::Reinvite { body: SDP.into() });
    let ours = wire.sent_request("INVITE");
    assert_eq!(ours.uri, "sip:bob@192.0.2.2:5060");
    wire.receive(&request("INVITE", 2, "re1", &tag, SDP));
    wire.sent_status(491);
    wire.answer(&ours, 491, "", "");
    wire.sent_request("ACK");
    assert!(matches!(
        wire.event(),
        Some(Event::ReinviteRefused { status: 491, .. })
    ));
    wire.command(leg, Command::Reinvite { body: SDP.into() });
    let again = wire.sent_request("INVITE");
    wire.answer_with(&again, 200, "", OK_EXTRA, "v=0\r\nnew");
    wire.sent_request("ACK");
    assert_eq!(
        wire.event(),
        Some(Event::ReinviteAnswered {
            body: "v=0\r\nnew".into()
        })
    );
}

#[test]
fn an_update_is_answered_at_once_without_sdp_and_by_the_owner_with_it() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    wire.receive(&request("UPDATE", 2, "up1", &tag, ""));
    wire.sent_status(200);
    assert_eq!(wire.event(), None);
    wire.receive(&request("UPDATE", 3, "up2", &tag, SDP));
    assert!(matches!(wire.event(), Some(Event::Reinvited { .. })));
    wire.command(leg, Command::AnswerReinvite { body: SDP.into() });
    wire.sent_status(200);
    wire.advance(2 * SECOND);
    wire.quiet();
}

/// An INFO with this type of body.
fn info(sequence: u32, tag: &str, kind: &str, body: &str) -> String {
    request("INFO", sequence, &format!("in{sequence}"), tag, body)
        .replace("Content-Type: application/sdp", kind)
}

#[test]
fn an_info_goes_up_and_what_is_not_understood_is_refused() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, tag) = wire.answered_incoming();
    let relay = "Content-Type: Application/DTMF-Relay; x=1";
    wire.receive(&info(2, &tag, relay, "Signal=1"));
    wire.sent_status(200);
    assert!(matches!(wire.event(), Some(Event::Info { body, .. }) if &body[..] == b"Signal=1"));
    wire.receive(&info(3, &tag, "", ""));
    wire.sent_status(200);
    wire.receive(&info(
        4,
        &tag,
        "Content-Type: application/media_control+xml",
        "<x/>",
    ));
    assert!(value(&wire.sent_status(415).headers, "Accept").contains("application/dtmf"));
    let package =
        info(5, &tag, relay, "Signal=1").replace("Max-Forwards", "Info-Package: x\r\nMax-Forwards");
    wire.receive(&package);
    assert!(
        wire.sent_status(469)
            .headers
            .contains(&Name::from("Recv-Info"))
    );
    assert_eq!(wire.event(), None);
}

#[test]
fn our_infos_go_out_one_after_the_other() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, _) = wire.answered_incoming();
    let press = |digit: &str| Command::Info {
        content_type: "application/dtmf-relay".to_owned(),
        body: format!("Signal={digit}").into(),
    };
    for digit in ["2", "3", "4"] {
        wire.command(leg, press(digit));
    }
    for (digit, status) in [("2", 200), ("3", 415), ("4", 481)] {
        let info = wire.sent_request("INFO");
        wire.quiet();
        assert_eq!(
            value(&info.headers, "Content-Type"),
            "application/dtmf-relay"
        );
        assert_eq!(info.body, format!("Signal={digit}"));
        wire.answer(&info, status, "", "");
    }
    assert_eq!(
        wire.event(),
        Some(Event::Ended {
            cause: None,
            why: EndedBy::TransportLost
        })
    );
    // In case it is still there after all.
    wire.sent_request("BYE");
}
