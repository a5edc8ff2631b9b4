//! Transfers: REFER and NOTIFY both ways, and INVITEs that replace a call, as traces in virtual
//! time.

use std::time::Duration;

use super::wire::*;
use crate::sip::*;

/// A request of the peer inside the dialog of [`Wire::answered_incoming`].
pub(super) fn in_dialog(method: &str, sequence: u32, tag: &str, extra: &str, body: &str) -> String {
    let text = request(method, sequence, &format!("{method}{sequence}"), tag, "");
    let head = text
        .strip_suffix("Content-Length: 0\r\n\r\n")
        .expect("no body");
    format!("{head}{extra}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub(super) fn notify(sequence: u32, tag: &str, status: &str, state: &str) -> String {
    let extra = format!(
        "Event: refer\r\nSubscription-State: {state}\r\n\
         Content-Type: message/sipfrag;version=2.0\r\n"
    );
    in_dialog(
        "NOTIFY",
        sequence,
        tag,
        &extra,
        &format!("SIP/2.0 {status}\r\n"),
    )
}

/// Asks the peer to call this number; the REFER.
pub(super) fn refer(wire: &mut Wire, leg: LegId, to_user: &str) -> Request {
    let to_user = to_user.to_owned();
    let replaces = None;
    wire.command(leg, Command::Refer { to_user, replaces });
    wire.sent_request("REFER")
}

/// Asks the peer to replace the far end of another call; the REFER.
pub(super) fn join(wire: &mut Wire, leg: LegId, other: LegId) -> Request {
    let command = Command::Refer {
        to_user: String::new(),
        replaces: Some(other),
    };
    wire.command(leg, command);
    wire.sent_request("REFER")
}

pub(super) fn progress(status: u16, last: bool) -> Option<Event> {
    Some(Event::TransferProgress { status, last })
}

#[test]
fn a_blind_transfer_of_ours_is_told_from_notify_to_notify() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    let refer = refer(&mut wire, leg, "700");
    assert_eq!(value(&refer.headers, "Refer-To"), "<sip:700@pbx.example>");
    assert_eq!(
        value(&refer.headers, "Referred-By"),
        "<sip:alice@192.0.2.1>"
    );
    // One at a time.
    let again = Command::Refer {
        to_user: "701".to_owned(),
        replaces: None,
    };
    assert!(wire.agent.handle_command(leg, again, wire.now).is_err());
    // The first NOTIFY may be faster than the 202.
    wire.receive(&notify(2, &tag, "100 Trying", "active;expires=60"));
    wire.sent_status(200);
    assert_eq!(wire.event(), progress(100, false));
    wire.answer(&refer, 202, "", "");
    wire.receive(&notify(3, &tag, "180 Ringing", "active"));
    wire.sent_status(200);
    assert_eq!(wire.event(), progress(180, false));
    wire.receive(&notify(4, &tag, "200 OK", "terminated;reason=noresource"));
    wire.sent_status(200);
    assert_eq!(wire.event(), progress(200, true));
    wire.receive(&notify(5, &tag, "200 OK", "terminated"));
    wire.sent_status(481);
    assert_eq!(wire.event(), None);
}

#[test]
fn an_attended_transfer_names_the_other_dialog_as_its_peer_knows_it() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, _) = wire.answered_incoming();
    let (other, invite) = wire.answered_call();
    let refer = join(&mut wire, leg, other);
    let from = crate::sip::stack::message::header(&invite.headers, &Name::FROM).expect("From");
    let from = crate::sip::stack::address::Address::parse(from).expect("readable");
    let call_id = value(&invite.headers, "Call-ID");
    let expected = format!(
        "<sip:600@192.0.2.2:5060?Replaces={call_id}%3Bto-tag%3Db1%3Bfrom-tag%3D{}>",
        from.tag().expect("a tag")
    );
    assert_eq!(value(&refer.headers, "Refer-To"), expected);
}

#[test]
fn the_call_that_was_given_away_ends_as_transferred_unless_the_transfer_failed() {
    for (outcome, why) in [
        (None, EndedBy::GivenAway),
        (Some("200 OK"), EndedBy::GivenAway),
        (Some("503 Service Unavailable"), EndedBy::Bye),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let (given, tag) = wire.answered_incoming();
        let (leg, invite) = wire.answered_call();
        let refer = join(&mut wire, leg, given);
        wire.answer(&refer, 202, "", "");
        if let Some(status) = outcome {
            let notify = of_call(&invite, &notify(2, "TAG", status, "terminated"));
            wire.receive(&notify);
            wire.sent_status(200);
            assert!(matches!(
                wire.event(),
                Some(Event::TransferProgress { last: true, .. })
            ));
        }
        wire.receive(&in_dialog("BYE", 2, &tag, "", ""));
        wire.sent_status(200);
        let cause = None;
        assert_eq!(
            wire.event(),
            Some(Event::Ended { cause, why }),
            "{outcome:?}"
        );
    }
}

/// A request of the peer, moved into the dialog of a call of ours.
pub(super) fn of_call(invite: &Request, text: &str) -> String {
    let ours = value(&invite.headers, "From");
    let dialog = [
        ("Call-ID: ", value(&invite.headers, "Call-ID").to_owned()),
        ("To: ", ours.to_owned()),
        ("From: ", "<sip:600@pbx.example>;tag=b1".to_owned()),
    ];
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let lines = head.split("\r\n").map(|line| {
        let found = dialog.iter().find(|(name, _)| line.starts_with(name));
        found.map_or(line.to_owned(), |(name, value)| format!("{name}{value}"))
    });
    let head = lines.collect::<Vec<_>>().join("\r\n");
    format!("{head}\r\n\r\n{body}")
}

#[test]
fn a_refused_refer_and_one_without_news_are_failures_and_the_call_goes_on() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, _) = wire.answered_incoming();
    let sent = refer(&mut wire, leg, "700");
    wire.answer(&sent, 603, "", "");
    assert_eq!(wire.event(), progress(603, true));
    let sent = refer(&mut wire, leg, "700");
    wire.answer(&sent, 202, "", "");
    wire.advance(Duration::from_secs(179));
    assert_eq!(wire.event(), None);
    wire.advance(Duration::from_secs(2));
    assert_eq!(wire.event(), progress(408, true));
    // Without subscription (RFC 4488) the 202 is all there is.
    let sent = refer(&mut wire, leg, "700");
    wire.answer(&sent, 202, "", "Refer-Sub: false\r\n");
    assert_eq!(wire.event(), progress(202, true));
    assert!(wire.agent.has_leg(leg));
}

#[test]
fn a_notify_that_nobody_asked_for_is_refused() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, tag) = wire.answered_incoming();
    wire.receive(&notify(2, &tag, "200 OK", "terminated"));
    wire.sent_status(481);
    wire.receive(&in_dialog("NOTIFY", 3, &tag, "Event: presence\r\n", ""));
    let refused = wire.sent_status(489);
    assert_eq!(value(&refused.headers, "Allow-Events"), "refer");
    let outside = in_dialog("NOTIFY", 4, "unknown", "Event: refer\r\n", "");
    wire.receive(&outside);
    wire.sent_status(481);
    assert_eq!(wire.event(), None);
}

#[test]
fn a_subscription_that_ends_without_an_outcome_is_no_success() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    let refer = refer(&mut wire, leg, "700");
    wire.answer(&refer, 202, "", "");
    wire.receive(&notify(
        2,
        &tag,
        "100 Trying",
        "terminated;reason=noresource",
    ));
    wire.sent_status(200);
    assert_eq!(wire.event(), progress(408, true));
}

#[test]
fn their_refer_is_accepted_and_its_call_reported() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    let extra = "Refer-To: <sip:700@pbx.example;method=INVITE?Replaces=c%40x%3Bto-tag%3Dt1\
        %3Bfrom-tag%3Df1>\r\nReferred-By: <sip:bob@pbx.example>\r\n";
    wire.receive(&in_dialog("REFER", 2, &tag, extra, ""));
    wire.sent_status(202);
    let first = wire.sent_request("NOTIFY");
    assert_eq!(&first.body[..], b"SIP/2.0 100 Trying\r\n");
    assert_eq!(value(&first.headers, "Event"), "refer");
    assert_eq!(
        value(&first.headers, "Subscription-State"),
        "active;expires=180"
    );
    wire.answer(&first, 200, "", "");
    let Some(Event::Referred(referral)) = wire.event() else {
        panic!("a referral was expected");
    };
    assert_eq!(referral.user, "700");
    assert_eq!(referral.uri, "sip:700@pbx.example");
    assert_eq!(
        referral.replaces.as_deref(),
        Some("c@x;to-tag=t1;from-tag=f1")
    );
    assert_eq!(
        referral.referred_by.as_deref(),
        Some("<sip:bob@pbx.example>")
    );
    // A second one has to wait.
    wire.receive(&in_dialog("REFER", 3, &tag, extra, ""));
    wire.sent_status(491);

    for (status, last, state) in [
        (180, false, "active;expires=180"),
        (200, true, "terminated;reason=noresource"),
    ] {
        wire.command(leg, Command::ReportReferral { status, last });
        let notify = wire.sent_request("NOTIFY");
        assert_eq!(value(&notify.headers, "Subscription-State"), state);
        assert!(
            notify
                .body
                .starts_with(format!("SIP/2.0 {status} ").as_bytes())
        );
        wire.answer(&notify, 200, "", "");
    }
    let late = Command::ReportReferral {
        status: 200,
        last: true,
    };
    assert!(wire.agent.handle_command(leg, late, wire.now).is_err());
    // The next REFER of this dialog says which one its NOTIFYs mean.
    wire.receive(&in_dialog("REFER", 4, &tag, extra, ""));
    wire.sent_status(202);
    let named = wire.sent_request("NOTIFY");
    assert_eq!(value(&named.headers, "Event"), "refer;id=4");
}

/// A call that the peer has sent on, with success; its last NOTIFY.
fn sent_on(wire: &mut Wire) -> (LegId, String, Request) {
    let (leg, tag) = wire.answered_incoming();
    let extra = "Refer-To: <sip:700@pbx.example>\r\n";
    wire.receive(&in_dialog("REFER", 2, &tag, extra, ""));
    wire.sent_status(202);
    let trying = wire.sent_request("NOTIFY");
    wire.answer(&trying, 200, "", "");
    assert!(matches!(wire.event(), Some(Event::Referred(_))));
    let done = Command::ReportReferral {
        status: 200,
        last: true,
    };
    wire.command(leg, done);
    let last = wire.sent_request("NOTIFY");
    wire.command(leg, Command::Hangup { cause: None });
    wire.quiet();
    (leg, tag, last)
}

#[test]
fn our_bye_does_not_overtake_the_last_notify() {
    let over = Some(Event::Ended {
        cause: None,
        why: EndedBy::Bye,
    });
    for status in [200, 481] {
        let mut wire = Wire::new(trunk("pbx"));
        let (_, _, last) = sent_on(&mut wire);
        wire.answer(&last, 100, "", "");
        wire.quiet();
        wire.answer(&last, status, "", "");
        let bye = wire.sent_request("BYE");
        wire.answer(&bye, 200, "", "");
        assert_eq!(wire.event(), over);
        assert_eq!(wire.agent.legs(), 0);
    }
    // Whoever sent the call on ends it first, as RFC 5589 section 6.1 has it.
    let mut wire = Wire::new(trunk("pbx"));
    let (_, tag, _) = sent_on(&mut wire);
    wire.receive(&in_dialog("BYE", 3, &tag, "", ""));
    wire.sent_status(200);
    assert_eq!(wire.event(), over);
    assert_eq!(wire.agent.legs(), 0);
    // And whoever says nothing is not waited for.
    let mut wire = Wire::new(trunk("pbx"));
    let (_, _, last) = sent_on(&mut wire);
    let mut waited = Duration::ZERO;
    let bye = loop {
        wire.advance(Duration::from_millis(100));
        waited += Duration::from_millis(100);
        match wire.sent() {
            Some(Message::Request(again)) if again.method == Method::Notify => {
                assert_eq!(again.body, last.body);
            }
            Some(Message::Request(bye)) => break bye,
            _ => assert!(waited < Duration::from_secs(10), "no BYE"),
        }
    };
    assert_eq!(bye.method, Method::Bye);
    assert_eq!(waited, Duration::from_secs(4));
}

#[test]
fn their_refer_without_subscription_gets_no_notify() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    let extra = "Refer-To: <tel:+49-30-7>\r\nRefer-Sub: false\r\n";
    wire.receive(&in_dialog("REFER", 2, &tag, extra, ""));
    let accepted = wire.sent_status(202);
    assert_eq!(value(&accepted.headers, "Refer-Sub"), "false");
    assert!(matches!(wire.event(), Some(Event::Referred(_))));
    let done = Command::ReportReferral {
        status: 200,
        last: true,
    };
    wire.command(leg, done);
    wire.quiet();
}

#[test]
fn their_refer_is_refused_by_policy_by_form_and_out_of_time() {
    let to = "Refer-To: <sip:700@pbx.example>\r\n";
    let mut wire = Wire::new(Trunk {
        transfer: false,
        ..trunk("pbx")
    });
    let (_, tag) = wire.answered_incoming();
    wire.receive(&in_dialog("REFER", 2, &tag, to, ""));
    wire.sent_status(603);

    let mut wire = Wire::new(trunk("pbx"));
    let (_, tag) = wire.answered_incoming();
    for (sequence, extra) in [
        (2, String::new()),
        (3, format!("{to}{to}")),
        (4, "Refer-To: <http://a>\r\n".to_owned()),
        (5, "Refer-To: <sip:a@b;method=BYE>\r\n".to_owned()),
        (6, "Refer-To: <sip:a@b?Replaces=x>\r\n".to_owned()),
        (
            7,
            "Refer-To: <sip:a@b?Replaces=x%0d%0ay%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n".to_owned(),
        ),
        (8, format!("Refer-To: <sip:{}@b>\r\n", "a".repeat(2_000))),
    ] {
        wire.receive(&in_dialog("REFER", sequence, &tag, &extra, ""));
        wire.sent_status(400);
    }
    assert_eq!(wire.event(), None);
    wire.receive(&in_dialog("REFER", 9, &tag, to, ""));
    wire.sent_status(202);
    let trying = wire.sent_request("NOTIFY");
    wire.answer(&trying, 200, "", "");
    wire.advance(Duration::from_secs(181));
    let last = wire.sent_request("NOTIFY");
    assert!(value(&last.headers, "Subscription-State").starts_with("terminated"));
    assert_eq!(&last.body[..], b"SIP/2.0 408 Request Timeout\r\n");
}

/// An INVITE of a new call with this Replaces.
fn replacing(branch: &str, replaces: &str) -> String {
    request("INVITE", 1, branch, "", SDP)
        .replace("call-1@pbx", &format!("{branch}@pbx"))
        .replace(
            "Contact:",
            &format!("Require: replaces\r\nReplaces: {replaces}\r\nContact:"),
        )
}

#[test]
fn an_invite_that_replaces_a_call_of_ours_is_told_to_its_owner() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    wire.receive(&replacing(
        "new",
        &format!("call-1@pbx;from-tag=bt;to-tag={tag}"),
    ));
    wire.sent_status(100);
    let Some(Event::Replaced { by, from, body, .. }) = wire.event() else {
        panic!("the owner should hear of it");
    };
    assert_eq!((from.as_str(), body), ("bob", Some(SDP.into())));
    assert_ne!(by, leg);
    wire.command(by, Command::Accept { body: SDP.into() });
    wire.sent_status(200);
    wire.command(leg, Command::Hangup { cause: Some(16) });
    wire.sent_request("BYE");
}

#[test]
fn a_replaces_that_does_not_fit_is_refused_by_the_rules() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    for (branch, replaces, status) in [
        ("r1", "other@pbx;from-tag=bt;to-tag=x".to_owned(), 481),
        ("r2", format!("call-1@pbx;from-tag=other;to-tag={tag}"), 481),
        (
            "r3",
            format!("call-1@pbx;from-tag=bt;to-tag={tag};early-only"),
            486,
        ),
        ("r4", "call-1@pbx".to_owned(), 400),
        (
            "r5",
            format!("a;from-tag=1;to-tag=2\r\nReplaces: call-1@pbx;from-tag=bt;to-tag={tag}"),
            400,
        ),
    ] {
        wire.receive(&replacing(branch, &replaces));
        wire.sent_status(status);
    }
    // A call that is ending is not taken over.
    wire.command(leg, Command::Hangup { cause: None });
    wire.sent_request("BYE");
    wire.receive(&replacing(
        "r6",
        &format!("call-1@pbx;from-tag=bt;to-tag={tag}"),
    ));
    wire.sent_status(603);
    assert_eq!(wire.event(), None);
    assert_eq!(wire.agent.legs(), 1);
}

#[test]
fn a_ringing_call_of_theirs_and_a_call_of_another_trunk_are_not_replaced() {
    let mut wire = Wire::new(trunk("pbx"));
    let (incoming, _) = wire.called();
    let progress = Command::Progress {
        status: 180,
        body: None,
    };
    wire.command(incoming.leg, progress);
    let tag = tag_of(&wire.sent_status(180));
    wire.receive(&replacing(
        "r1",
        &format!("call-1@pbx;from-tag=bt;to-tag={tag}"),
    ));
    wire.sent_status(481);

    let mut wire = Wire::new(trunk("pbx"));
    let (_, tag) = wire.answered_incoming();
    let text = replacing("r2", &format!("call-1@pbx;from-tag=bt;to-tag={tag}"));
    let unknown_source = "203.0.113.66:5060".parse().expect("address");
    let flow = Flow::new(Transport::Udp, 0, unknown_source);
    let bytes = bytes::Bytes::from(text);
    wire.agent.handle_message(&bytes, flow, wire.now);
    wire.sent_status(403);
    assert_eq!(wire.event(), None);
}
