//! Calls that we place, registrations and names, as traces in virtual time.

use std::time::Duration;

use super::wire::*;
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_call_rings_is_answered_and_hung_up() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call();
    assert_eq!(invite.uri, "sip:600@pbx.example");
    assert_eq!(value(&invite.headers, "X-Call"), "1");
    assert!(
        value(&invite.headers, "From")
            .starts_with("\"Alice \\\"A\\\"\" <sip:alice@pbx.example>;tag=")
    );
    assert_eq!(
        value(&invite.headers, "Contact"),
        "<sip:alice@192.0.2.1:5060>"
    );
    wire.answer(&invite, 100, "", "");
    assert_eq!(wire.event(), None);
    wire.answer(&invite, 180, "b1", "");
    assert_eq!(
        wire.event(),
        Some(Event::Progress {
            status: 180,
            body: None,
            fork: 0
        })
    );
    wire.answer_with(&invite, 183, "b1", OK_EXTRA, SDP);
    assert_eq!(
        wire.event(),
        Some(Event::Progress {
            status: 183,
            body: Some(SDP.into()),
            fork: 0
        })
    );
    let routes = "Record-Route: <sip:p2@192.0.2.2;lr>, <sip:p1@192.0.2.2;lr>\r\n";
    wire.answer_with(&invite, 200, "b1", &format!("{routes}{OK_EXTRA}"), SDP);
    assert_eq!(
        wire.event(),
        Some(Event::Accepted {
            body: Some(SDP.into()),
            fork: 0
        })
    );
    let ack = wire.sent_request("ACK");
    assert_eq!(ack.uri, "sip:600@192.0.2.2:5060");
    let routes = crate::sip::stack::message::elements(&ack.headers, &Name::ROUTE);
    assert_eq!(routes, ["<sip:p1@192.0.2.2;lr>", "<sip:p2@192.0.2.2;lr>"]);
    assert_eq!(value(&ack.headers, "CSeq"), "1 ACK");
    // The ACK was lost: the 2xx comes again, and so does the ACK.
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
    assert_eq!(value(&wire.sent_request("ACK").headers, "CSeq"), "1 ACK");
    assert_eq!(wire.event(), None);

    wire.command(leg, Command::Hangup { cause: Some(16) });
    let bye = wire.sent_request("BYE");
    assert_eq!(value(&bye.headers, "Reason"), "Q.850;cause=16");
    assert_eq!(value(&bye.headers, "CSeq"), "2 BYE");
    wire.answer(&bye, 200, "", "");
    assert_eq!(
        wire.event(),
        Some(Event::Ended {
            cause: None,
            why: EndedBy::Bye
        })
    );
    wire.advance(40 * SECOND);
    wire.quiet();
    assert_eq!((wire.agent.legs(), wire.agent.transactions()), (0, 0));
}

#[test]
fn refusals_are_acknowledged_and_carry_their_cause() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    wire.answer(
        &invite,
        486,
        "b1",
        "Reason: SIP;cause=486, Q.850 ;cause=17;text=\"x\"\r\n",
    );
    let ack = wire.sent_request("ACK");
    assert_eq!(value(&ack.headers, "Via"), value(&invite.headers, "Via"));
    assert!(value(&ack.headers, "To").ends_with(";tag=b1"));
    assert_eq!(
        wire.event(),
        Some(Event::Refused {
            status: 486,
            reason: "Busy Here".to_owned(),
            cause: Some(17),
            local: false
        })
    );
}

#[test]
fn no_answer_at_all_is_a_408_of_our_own_after_timer_b() {
    let mut wire = Wire::new(Trunk {
        try_timeout: 32 * SECOND,
        ..trunk("pbx")
    });
    wire.call();
    wire.advance(31 * SECOND);
    assert_eq!(wire.event(), None);
    wire.advance(2 * SECOND);
    assert!(matches!(
        wire.event(),
        Some(Event::Refused {
            status: 408,
            local: true,
            ..
        })
    ));
    // Timer A: 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s.
    for _ in 0..6 {
        wire.sent_request("INVITE");
    }
    wire.quiet();
}

#[test]
fn cancel_waits_for_the_first_provisional_answer() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call();
    wire.command(leg, Command::Hangup { cause: None });
    wire.quiet();
    wire.answer(&invite, 100, "", "");
    let cancel = wire.sent_request("CANCEL");
    assert_eq!(value(&cancel.headers, "Via"), value(&invite.headers, "Via"));
    assert_eq!(value(&cancel.headers, "CSeq"), "1 CANCEL");
    wire.answer(&cancel, 200, "b1", "");
    wire.answer(&invite, 487, "b1", "");
    wire.sent_request("ACK");
    assert!(matches!(
        wire.event(),
        Some(Event::Refused { status: 487, .. })
    ));
}

#[test]
fn an_answer_that_crosses_our_cancel_is_acknowledged_and_ended() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call();
    wire.answer(&invite, 180, "b1", "");
    wire.command(leg, Command::Hangup { cause: None });
    wire.sent_request("CANCEL");
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
    wire.sent_request("ACK");
    let bye = wire.sent_request("BYE");
    wire.answer(&bye, 200, "", "");
    assert!(matches!(wire.event(), Some(Event::Progress { .. })));
    assert!(matches!(wire.event(), Some(Event::Ended { .. })));
}

#[test]
fn a_cancelled_call_that_stays_silent_is_over_after_64_t1() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call();
    wire.answer(&invite, 100, "", "");
    wire.command(leg, Command::Hangup { cause: None });
    wire.advance(33 * SECOND);
    assert!(matches!(
        wire.event(),
        Some(Event::Refused {
            status: 487,
            local: true,
            ..
        })
    ));
    assert_eq!((wire.agent.legs(), wire.agent.transactions()), (0, 0));
}

#[test]
fn a_late_answer_of_another_fork_gets_ack_and_bye() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    wire.answer(&invite, 180, "b1", "");
    wire.answer(&invite, 180, "b2", "");
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
    wire.sent_request("ACK");
    let other = "Contact: <sip:other@192.0.2.2:5070>\r\n";
    wire.answer(&invite, 200, "b2", other);
    let ack = wire.sent_request("ACK");
    assert_eq!(ack.uri, "sip:other@192.0.2.2:5070");
    let bye = wire.sent_request("BYE");
    assert!(value(&bye.headers, "To").ends_with(";tag=b2"));
    assert_eq!(wire.agent.legs(), 1);
}

#[test]
fn challenges_of_proxy_and_server_are_both_answered() {
    let mut trunk = trunk("pbx");
    trunk.credentials = credentials();
    let mut wire = Wire::new(trunk);
    let (leg, invite) = wire.call();
    wire.answer(
        &invite,
        407,
        "p",
        "Proxy-Authenticate: Digest realm=\"p\", nonce=\"1\", qop=\"auth\"\r\n",
    );
    wire.sent_request("ACK");
    let second = wire.sent_request("INVITE");
    assert_eq!(value(&second.headers, "CSeq"), "2 INVITE");
    assert_eq!(
        value(&second.headers, "Call-ID"),
        value(&invite.headers, "Call-ID")
    );
    wire.answer(
        &second,
        401,
        "s",
        "WWW-Authenticate: Digest realm=\"s\", nonce=\"2\", algorithm=SHA-256\r\n",
    );
    wire.sent_request("ACK");
    let third = wire.sent_request("INVITE");
    assert!(value(&third.headers, "Proxy-Authorization").contains("nc=00000002"));
    assert!(value(&third.headers, "Authorization").contains("realm=\"s\""));
    assert_eq!(wire.event(), None);
    wire.answer_with(&third, 200, "b1", OK_EXTRA, SDP);
    let ack = wire.sent_request("ACK");
    assert_eq!(value(&ack.headers, "CSeq"), "3 ACK");
    assert_eq!(
        value(&ack.headers, "Authorization"),
        value(&third.headers, "Authorization")
    );
    wire.command(leg, Command::Hangup { cause: None });
    let bye = wire.sent_request("BYE");
    assert!(value(&bye.headers, "Proxy-Authorization").contains("nc=00000003"));
}

#[test]
fn a_wrong_password_ends_after_one_try() {
    let mut trunk = trunk("pbx");
    trunk.credentials = credentials();
    let mut wire = Wire::new(trunk);
    let (_, invite) = wire.call();
    wire.answer(
        &invite,
        401,
        "s",
        "WWW-Authenticate: Digest realm=\"s\", nonce=\"1\"\r\n",
    );
    wire.sent_request("ACK");
    let second = wire.sent_request("INVITE");
    wire.answer(
        &second,
        401,
        "s",
        "WWW-Authenticate: Digest realm=\"s\", nonce=\"2\"\r\n",
    );
    wire.sent_request("ACK");
    wire.quiet();
    assert!(matches!(
        wire.event(),
        Some(Event::Refused {
            status: 401,
            local: false,
            ..
        })
    ));
}

#[test]
fn a_session_timer_of_theirs_is_refreshed_by_update_or_ends_the_call() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    let extra =
        format!("Session-Expires: 120;refresher=uac\r\nAllow: INVITE, UPDATE\r\n{OK_EXTRA}");
    wire.answer_with(&invite, 200, "b1", &extra, SDP);
    wire.sent_request("ACK");
    wire.event();
    wire.advance(60 * SECOND);
    let update = wire.sent_request("UPDATE");
    assert_eq!(
        value(&update.headers, "Session-Expires"),
        "120;refresher=uac"
    );
    wire.answer(&update, 200, "", "Session-Expires: 120;refresher=uas\r\n");
    wire.advance(80 * SECOND);
    assert_eq!(wire.event(), None);
    wire.advance(10 * SECOND);
    assert_eq!(
        wire.event(),
        Some(Event::Ended {
            cause: None,
            why: EndedBy::SessionTimeout
        })
    );
    wire.sent_request("BYE");
}

#[test]
fn registers_with_digest_refreshes_and_knows_calls_to_its_contact() {
    let mut trunk = trunk("pbx");
    trunk.credentials = credentials();
    trunk.targets[0].target.host = "198.51.100.9".to_owned();
    trunk.registration = Some(Registration {
        user: "alice".to_owned(),
        expires: 300,
        outbound: false,
    });
    let mut wire = Wire::new(trunk);
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    assert_eq!(register.uri, "sip:pbx.example");
    wire.answer(
        &register,
        401,
        "r",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"1\"\r\n",
    );
    let second = wire.sent_request("REGISTER");
    assert_eq!(value(&second.headers, "CSeq"), "2 REGISTER");
    let contact = value(&second.headers, "Contact").to_owned();
    let bindings = format!(
        "Contact: <sip:else@192.0.2.77>;expires=9, {}\r\n",
        contact.replace("=300", "=100")
    );
    wire.answer(&second, 200, "r", &bindings);
    assert_eq!(
        wire.agent.registrations(),
        [RegistrationStatus {
            trunk: "pbx".to_owned(),
            account: None,
            state: RegistrationState::Registered,
        }]
    );
    wire.advance(44 * SECOND);
    wire.quiet();
    let early = wire.agent.poll_timeout().expect("a refresh") - wire.now;
    assert!(early <= 6 * SECOND);
    wire.advance(early);
    let refresh = wire.sent_request("REGISTER");
    assert!(value(&refresh.headers, "Authorization").contains("nonce=\"1\""));
    wire.answer(&refresh, 200, "r", &bindings);
    // A call to the contact that only the registrar knows belongs to the trunk.
    let uri = crate::sip::stack::address::Address::parse(&contact)
        .expect("readable")
        .uri;
    let text = request("INVITE", 1, "inv1", "", SDP);
    let line = text.lines().next().expect("a request line").to_owned();
    let text = text.replacen(&line, &format!("INVITE {uri} SIP/2.0"), 1);
    wire.receive(&text);
    wire.sent_status(100);
    let incoming = wire.incoming();
    assert_eq!(incoming.trunk.as_deref(), Some("pbx"));
    assert_eq!(incoming.request_user, "alice");
    // One to the plain user from an unknown source does not.
    wire.receive(&request("INVITE", 5, "inv2", "", SDP));
    wire.sent_status(403);
    wire.agent.shut_down(wire.now);
    wire.sent_status(480);
    assert!(value(&wire.sent_request("REGISTER").headers, "Contact").ends_with(";expires=0"));
}

#[test]
fn a_name_is_looked_up_and_its_time_counts() {
    let mut trunk = trunk("pbx");
    trunk.targets[0].target.host = "pbx.example".to_owned();
    let mut wire = Wire::new(trunk);
    let outgoing = Outgoing {
        trunk: "pbx".to_owned(),
        to_user: "1".to_owned(),
        from_user: "2".to_owned(),
        from_name: None,
        body: SDP.into(),
        ..Outgoing::default()
    };
    wire.agent
        .invite(outgoing.clone(), wire.now)
        .expect("placed");
    wire.quiet();
    let query = DnsQuery::addresses("pbx.example");
    assert!(
        matches!(wire.agent.poll_event(), Some(UserAgentEvent::Resolve { query: asked }) if asked == query)
    );
    let answer = DnsResponse::Known {
        records: Records::Addresses(vec!["192.0.2.2".parse().expect("ip")]),
        ttl: SECOND,
    };
    wire.agent.handle_resolved(&query, answer, wire.now);
    wire.sent_request("INVITE");
    assert!(wire.elapsed() < SECOND);

    let mut wire = Wire::new(super::wire::trunk("pbx"));
    assert!(
        wire.agent
            .invite(
                Outgoing {
                    trunk: "x".to_owned(),
                    ..outgoing
                },
                wire.now
            )
            .is_err()
    );
}

#[test]
fn a_large_request_goes_by_tcp_and_by_udp_when_that_is_refused() {
    let mut wire = Wire::new(trunk("pbx"));
    let outgoing = Outgoing {
        trunk: "pbx".to_owned(),
        to_user: "1".to_owned(),
        from_user: "2".to_owned(),
        from_name: None,
        body: vec![b'x'; 1_300].into(),
        ..Outgoing::default()
    };
    wire.agent
        .invite(outgoing.clone(), wire.now)
        .expect("placed");
    let first = wire.agent.poll_transmit().expect("sent");
    assert_eq!(first.flow.transport, Transport::Tcp);
    assert!(first.bytes.windows(13).any(|w| w == b"Via: SIP/2.0/"));
    wire.agent
        .handle_transport_failure(&first.transaction.expect("named"), wire.now);
    let second = wire.agent.poll_transmit().expect("sent again");
    assert_eq!(second.flow.transport, Transport::Udp);
    assert_eq!(wire.event(), None);
    wire.agent.invite(outgoing, wire.now).expect("placed");
    let third = wire.agent.poll_transmit().expect("sent");
    assert_eq!(
        third.flow.transport,
        Transport::Udp,
        "the refusal is remembered"
    );
}

#[test]
fn an_answered_call_of_ours_ends_by_their_bye() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.answered_call();
    let from = value(&invite.headers, "From").to_owned();
    let tag = crate::sip::stack::address::Address::parse(&from)
        .expect("readable")
        .tag()
        .expect("tag")
        .to_owned();
    let bye = request("BYE", 1, "bye", &tag, "")
        .replace("call-1@pbx", value(&invite.headers, "Call-ID"))
        .replace("tag=bt", "tag=b1");
    wire.receive(&bye.replace("tag=b1", "tag=unknown_source"));
    wire.sent_status(481);
    wire.receive(&bye.replace("branch=z9hG4bKbye", "branch=z9hG4bKbye2"));
    wire.sent_status(200);
    assert!(matches!(wire.event(), Some(Event::Ended { .. })));
}
