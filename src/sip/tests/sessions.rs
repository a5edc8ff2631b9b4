//! Session timers (RFC 4028) and offers that cross, as traces in virtual time.

use std::time::Duration;

use super::wire::*;
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

fn timed(session_expires: u32, min: u32) -> Trunk {
    let mut trunk = trunk("pbx");
    trunk.dialogs.session_expires = session_expires;
    trunk.dialogs.min_session_expires = min;
    trunk
}

fn answered(wire: &mut Wire, extra: &str) -> (LegId, Request) {
    let (leg, invite) = wire.call();
    wire.answer_with(&invite, 200, "b1", &format!("{extra}{OK_EXTRA}"), SDP);
    wire.sent_request("ACK");
    assert!(matches!(wire.event(), Some(Event::Accepted { .. })));
    (leg, invite)
}

const ALLOW: &str = "Allow: INVITE, UPDATE\r\n";

#[test]
fn a_timer_is_asked_for_and_the_peer_refreshes() {
    let mut wire = Wire::new(timed(1_800, 90));
    let extra = format!("Session-Expires: 100;refresher=uas\r\nRequire: timer\r\n{ALLOW}");
    let (_, invite) = answered(&mut wire, &extra);
    assert_eq!(value(&invite.headers, "Session-Expires"), "1800");
    assert!(value(&invite.headers, "Supported").contains("timer"));
    let from = crate::sip::stack::address::Address::parse(value(&invite.headers, "From"))
        .expect("readable");
    let tag = from.tag().expect("a tag").to_owned();
    for round in 0..3 {
        wire.advance(60 * SECOND);
        wire.quiet();
        let update = request("UPDATE", 10 + round, &format!("up{round}"), &tag, "")
            .replace("call-1@pbx", value(&invite.headers, "Call-ID"))
            .replace("tag=bt", "tag=b1")
            .replace(
                "Max-Forwards",
                "Supported: timer\r\nSession-Expires: 100;refresher=uac\r\nMax-Forwards",
            );
        wire.receive(&update);
        let ok = wire.sent_status(200);
        assert_eq!(value(&ok.headers, "Session-Expires"), "100;refresher=uac");
        assert_eq!(value(&ok.headers, "Require"), "timer");
    }
    assert_eq!(wire.event(), None);
    // It stops: 32 s before the end the call is over.
    wire.advance(67 * SECOND);
    assert_eq!(wire.event(), None);
    wire.advance(2 * SECOND);
    wire.sent_request("BYE");
    let why = EndedBy::SessionTimeout;
    assert_eq!(wire.event(), Some(Event::Ended { cause: None, why }));
}

#[test]
fn a_longer_interval_is_asked_for_when_422_wants_it() {
    let mut wire = Wire::new(timed(120, 90));
    let (_, invite) = wire.call();
    wire.answer(&invite, 422, "x", "Min-SE: 600\r\n");
    wire.sent_request("ACK");
    let second = wire.sent_request("INVITE");
    assert_eq!(value(&second.headers, "Session-Expires"), "600");
    assert_eq!(value(&second.headers, "Min-SE"), "600");
    assert_eq!(value(&second.headers, "CSeq"), "2 INVITE");
    assert_eq!(
        value(&second.headers, "Call-ID"),
        value(&invite.headers, "Call-ID")
    );
    assert_eq!(wire.event(), None);
    // A 422 that wants no more than it got is a refusal.
    wire.answer(&second, 422, "x", "Min-SE: 600\r\n");
    wire.sent_request("ACK");
    assert!(matches!(
        wire.event(),
        Some(Event::Refused { status: 422, .. })
    ));
}

#[test]
fn an_interval_that_is_too_short_is_refused_to_who_understands_it() {
    let mut wire = Wire::new(timed(0, 90));
    let short = |extra: &str| {
        request("INVITE", 1, "inv1", "", SDP).replace(
            "Max-Forwards",
            &format!("Session-Expires: 30\r\n{extra}Max-Forwards"),
        )
    };
    wire.receive(&short("Supported: timer\r\n"));
    assert_eq!(value(&wire.sent_status(422).headers, "Min-SE"), "90");
    wire.receive(
        &short("")
            .replace("inv1", "inv2")
            .replace("call-1", "call-2"),
    );
    wire.sent_status(100);
    let leg = wire.incoming().leg;
    wire.command(leg, Command::Accept { body: SDP.into() });
    let ok = wire.sent_status(200);
    assert_eq!(value(&ok.headers, "Session-Expires"), "90;refresher=uas");
    assert_eq!(value(&ok.headers, "Require"), "");
}

#[test]
fn a_peer_without_timers_is_refreshed_by_us_alone_and_never_ended_by_the_clock() {
    let mut wire = Wire::new(timed(100, 90));
    answered(&mut wire, "");
    for _ in 0..3 {
        wire.advance(50 * SECOND);
        let refresh = wire.sent_request("INVITE");
        assert_eq!(&refresh.body[..], SDP.as_bytes());
        assert_eq!(
            value(&refresh.headers, "Session-Expires"),
            "100;refresher=uac"
        );
        wire.answer_with(&refresh, 200, "", OK_EXTRA, SDP);
        wire.sent_request("ACK");
        assert!(matches!(wire.event(), Some(Event::ReinviteAnswered { .. })));
    }
    // It refuses from now on, and is called alive by that.
    for _ in 0..300 {
        wire.advance(SECOND);
        while let Some(message) = wire.sent() {
            let Message::Request(request) = message else {
                panic!("{message:?}")
            };
            if request.method == Method::Invite {
                wire.answer(&request, 488, "", "");
            }
        }
    }
    assert_eq!(wire.event(), None);
    assert_eq!(wire.agent.legs(), 1);
}

#[test]
fn a_refused_refresh_is_tried_again_and_only_408_and_481_end_the_call() {
    for (status, ends) in [
        (500, false),
        (503, false),
        (606, false),
        (408, true),
        (481, true),
    ] {
        let mut wire = Wire::new(timed(0, 90));
        let extra = format!("Session-Expires: 120;refresher=uac\r\n{ALLOW}");
        answered(&mut wire, &extra);
        wire.advance(60 * SECOND);
        let update = wire.sent_request("UPDATE");
        wire.answer(&update, status, "", "");
        if ends {
            let why = EndedBy::TransportLost;
            assert_eq!(wire.event(), Some(Event::Ended { cause: None, why }));
            wire.sent_request("BYE");
        } else {
            wire.advance(14 * SECOND);
            let again = wire.sent_request("UPDATE");
            wire.answer(&again, 200, "", "Session-Expires: 120;refresher=uac\r\n");
            wire.advance(59 * SECOND);
            wire.quiet();
            assert_eq!(wire.event(), None, "{status}");
        }
    }
}

#[test]
fn an_update_that_is_not_known_after_all_becomes_a_re_invite() {
    let mut wire = Wire::new(timed(0, 90));
    let extra = format!("Session-Expires: 120;refresher=uac\r\n{ALLOW}");
    answered(&mut wire, &extra);
    wire.advance(60 * SECOND);
    let update = wire.sent_request("UPDATE");
    wire.answer(&update, 501, "", "");
    wire.advance(Duration::from_millis(1));
    let refresh = wire.sent_request("INVITE");
    wire.answer(&refresh, 422, "", "Min-SE: 200\r\n");
    wire.sent_request("ACK");
    let longer = wire.sent_request("INVITE");
    assert_eq!(
        value(&longer.headers, "Session-Expires"),
        "200;refresher=uac"
    );
    wire.answer_with(
        &longer,
        200,
        "",
        &format!("Session-Expires: 200;refresher=uac\r\n{OK_EXTRA}"),
        SDP,
    );
    wire.sent_request("ACK");
    wire.advance(99 * SECOND);
    wire.quiet();
    wire.advance(2 * SECOND);
    wire.sent_request("INVITE");
}

#[test]
fn a_called_gateway_that_wants_a_timer_refreshes_who_does_not_ask() {
    let mut wire = Wire::new(timed(100, 90));
    let text = request("INVITE", 1, "inv1", "", SDP).replace(
        "Max-Forwards",
        "Supported: timer\r\nAllow: INVITE, UPDATE\r\nMax-Forwards",
    );
    wire.receive(&text);
    wire.sent_status(100);
    let leg = wire.incoming().leg;
    wire.command(leg, Command::Accept { body: SDP.into() });
    let ok = wire.sent_status(200);
    assert_eq!(value(&ok.headers, "Session-Expires"), "100;refresher=uas");
    wire.receive(&request("ACK", 1, "ack1", &tag_of(&ok), ""));
    wire.advance(50 * SECOND);
    let update = wire.sent_request("UPDATE");
    assert_eq!(
        value(&update.headers, "Session-Expires"),
        "100;refresher=uac"
    );
    wire.answer(&update, 200, "", "");
    wire.event();
    wire.advance(49 * SECOND);
    assert_eq!(wire.event(), None);
    // Nothing answers any more.
    wire.advance(40 * SECOND);
    let why = EndedBy::TransportLost;
    assert_eq!(wire.event(), Some(Event::Ended { cause: None, why }));
}

/// The waits after 491 of many calls.
fn glare_waits(caller: bool) -> Vec<Duration> {
    let mut wire = Wire::new(trunk("pbx"));
    let leg = match caller {
        true => wire.answered_call().0,
        false => wire.answered_incoming().0,
    };
    let mut waits = Vec::new();
    for _ in 0..60 {
        wire.command(leg, Command::Reinvite { body: SDP.into() });
        let offer = wire.sent_request("INVITE");
        wire.answer(&offer, 491, "", "");
        wire.sent_request("ACK");
        match wire.event() {
            Some(Event::ReinviteRefused {
                status: 491,
                retry_after: Some(wait),
            }) => waits.push(wait),
            other => panic!("{other:?}"),
        }
    }
    waits
}

#[test]
fn the_owner_of_the_call_id_waits_longer_after_glare() {
    let ours = glare_waits(true);
    assert!(
        ours.iter()
            .all(|wait| (2_100..=4_000).contains(&wait.as_millis()))
    );
    let theirs = glare_waits(false);
    assert!(theirs.iter().all(|wait| wait.as_millis() <= 2_000));
    for waits in [ours, theirs] {
        assert!(waits.iter().all(|wait| wait.as_millis() % 10 == 0));
        let first = waits[0];
        assert!(
            waits.iter().any(|wait| *wait != first),
            "drawn anew each time"
        );
    }
}

#[test]
fn a_moment_that_the_peer_asks_for_is_told() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, _) = wire.answered_call();
    for (header, expected) in [
        ("Retry-After: 4\r\n", Some(4)),
        ("Retry-After: 4000\r\n", None),
        ("", None),
    ] {
        wire.command(leg, Command::Reinvite { body: SDP.into() });
        let offer = wire.sent_request("INVITE");
        wire.answer(&offer, 500, "", header);
        wire.sent_request("ACK");
        let refused = Event::ReinviteRefused {
            status: 500,
            retry_after: expected.map(Duration::from_secs),
        };
        assert_eq!(wire.event(), Some(refused));
    }
}

#[test]
fn an_offer_goes_by_update_where_the_trunk_wants_it_and_the_peer_can() {
    let mut by_update = trunk("pbx");
    by_update.dialogs.offer_by_update = true;
    let mut wire = Wire::new(by_update);
    let (leg, _) = answered(&mut wire, ALLOW);
    wire.command(
        leg,
        Command::Reinvite {
            body: "v=0\r\nhold".into(),
        },
    );
    let update = wire.sent_request("UPDATE");
    assert_eq!(&update.body[..], b"v=0\r\nhold");
    wire.answer_with(&update, 200, "", OK_EXTRA, "v=0\r\nheld");
    let body = "v=0\r\nheld".into();
    assert_eq!(wire.event(), Some(Event::ReinviteAnswered { body }));
    wire.command(leg, Command::Reinvite { body: SDP.into() });
    let update = wire.sent_request("UPDATE");
    wire.answer(&update, 504, "", "");
    let offer = wire.sent_request("INVITE");
    assert_eq!(&offer.body[..], SDP.as_bytes());
    wire.answer_with(&offer, 200, "", OK_EXTRA, "v=0\r\nnew");
    wire.sent_request("ACK");
    let body = "v=0\r\nnew".into();
    assert_eq!(wire.event(), Some(Event::ReinviteAnswered { body }));
}
