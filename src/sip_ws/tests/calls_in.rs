//! The client is called.

use std::time::Duration;

use super::setup::{ANSWER, CONTACT, ENDPOINT, OFFER, RIGHT, Setup, answer, in_dialog, value};
use crate::call::EndReason;
use crate::call::message::{Command, Notice};
use crate::sip::stack::message::{Name, Request};

fn ended(reason: EndReason) -> Notice {
    Notice::Ended {
        reason,
        status: None,
    }
}

fn described() -> String {
    let length = ANSWER.len();
    format!("Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{ANSWER}")
}

/// A call that rings at alice; gives our INVITE.
fn ringing(setup: &mut Setup) -> Request {
    setup.ring("in-1");
    let invite = setup.request();
    setup.say(&answer(&invite, 180, ""));
    setup.is_silent();
    invite
}

fn established(setup: &mut Setup) -> Request {
    let invite = ringing(setup);
    setup.say(&answer(&invite, 200, &described()));
    assert_eq!(setup.request().method.as_str(), "ACK");
    assert!(matches!(setup.command(), (_, Command::Accept { .. })));
    invite
}

#[test]
fn call_rings_at_the_registered_contact_and_is_accepted() {
    let mut setup = Setup::registered();
    setup.ring("in-1");
    let invite = setup.request();
    assert_eq!(invite.method.as_str(), "INVITE");
    assert_eq!(invite.uri, "sip:k3v2@8fj2.invalid;transport=ws");
    assert_eq!(&invite.body[..], OFFER.as_bytes());
    let from = value(&invite.headers, &Name::FROM);
    assert!(
        from.starts_with("\"Bob \\\"B\\\"\" <sip:600@pbx.example>;tag="),
        "{from}"
    );
    assert_eq!(value(&invite.headers, &Name::TO), "<sip:alice@pbx.example>");
    assert_eq!(value(&invite.headers, &"X-Queue".into()), "sales");
    setup.say(&answer(&invite, 100, ""));
    setup.say(&answer(&invite, 180, ""));
    setup.say(&answer(&invite, 200, &described()));
    let ack = setup.request();
    assert_eq!(ack.method.as_str(), "ACK");
    assert_ne!(
        value(&ack.headers, &Name::VIA),
        value(&invite.headers, &Name::VIA)
    );
    let accept = Command::Accept {
        endpoint: ENDPOINT,
        sdp: ANSWER.to_owned(),
    };
    assert_eq!(setup.command(), ("in-1".to_owned(), accept));
    // What is repeated is acknowledged again, and accepted once.
    setup.say(&answer(&invite, 200, &described()));
    assert_eq!(setup.request().method.as_str(), "ACK");
    assert!(setup.commands.is_empty());
}

#[test]
fn refusals_leave_the_call_to_others_unless_a_person_declines() {
    let reject = |reason| Command::Reject {
        endpoint: ENDPOINT,
        reason,
    };
    let detach = |reason| Command::Detach {
        endpoint: ENDPOINT,
        reason,
    };
    for (status, expected) in [
        (486, reject(EndReason::Busy)),
        (600, reject(EndReason::Busy)),
        (603, reject(EndReason::Declined)),
        (480, detach(EndReason::NoAnswer)),
        (488, detach(EndReason::NoCommonCodec)),
        (404, detach(EndReason::Unavailable)),
        (500, detach(EndReason::Unavailable)),
    ] {
        let mut setup = Setup::registered();
        let invite = ringing(&mut setup);
        setup.say(&answer(&invite, status, ""));
        let ack = setup.request();
        assert_eq!(ack.method.as_str(), "ACK");
        assert_eq!(
            value(&ack.headers, &Name::VIA),
            value(&invite.headers, &Name::VIA)
        );
        assert_eq!(setup.command(), ("in-1".to_owned(), expected), "{status}");
    }
}

#[test]
fn call_that_another_endpoint_took_is_cancelled() {
    let mut setup = Setup::registered();
    let invite = ringing(&mut setup);
    setup.tell("in-1", ended(EndReason::AnsweredElsewhere));
    let cancel = setup.request();
    assert_eq!(cancel.method.as_str(), "CANCEL");
    assert_eq!(
        value(&cancel.headers, &Name::VIA),
        value(&invite.headers, &Name::VIA)
    );
    assert_eq!(value(&cancel.headers, &Name::CSEQ), "1 CANCEL");
    assert!(value(&cancel.headers, &Name::REASON).starts_with("SIP;cause=200;"));
    setup.say(&answer(&cancel, 200, ""));
    setup.say(&answer(&invite, 487, ""));
    assert_eq!(setup.request().method.as_str(), "ACK");
    assert!(setup.commands.is_empty());
    assert!(!setup.client.has_calls());
}

#[test]
fn cancel_waits_for_a_provisional_response() {
    let mut setup = Setup::registered();
    setup.ring("in-1");
    let invite = setup.request();
    setup.tell("in-1", ended(EndReason::Cancelled));
    setup.is_silent();
    setup.say(&answer(&invite, 180, ""));
    assert_eq!(setup.request().method.as_str(), "CANCEL");
    setup.pass(Duration::from_secs(33));
    assert!(
        !setup.client.has_calls(),
        "nothing is waited for any longer"
    );
    assert_eq!(setup.client.kept(), 0);
}

#[test]
fn cancelled_invite_without_final_response_is_forgotten() {
    let mut setup = Setup::registered();
    let invite = ringing(&mut setup);
    setup.tell("in-1", ended(EndReason::Cancelled));
    let cancel = setup.request();
    assert_eq!(cancel.method.as_str(), "CANCEL");
    setup.say(&answer(&cancel, 200, ""));
    setup.pass(Duration::from_millis(31_999));
    assert_eq!(setup.client.kept(), 1, "a 2xx may have met the CANCEL");
    setup.pass(Duration::from_millis(1));
    assert_eq!(setup.client.kept(), 0);
    setup.say(&answer(&invite, 487, ""));
    setup.is_silent();
}

#[test]
fn accepted_after_the_end_is_acknowledged_and_hung_up() {
    let mut setup = Setup::registered();
    let invite = ringing(&mut setup);
    setup.tell("in-1", ended(EndReason::Cancelled));
    assert_eq!(setup.request().method.as_str(), "CANCEL");
    setup.say(&answer(&invite, 200, &described()));
    let methods = [setup.request().method, setup.request().method];
    assert_eq!(
        methods.each_ref().map(|method| method.as_str()),
        ["ACK", "BYE"]
    );
    assert!(setup.commands.is_empty());
    assert!(!setup.client.has_calls());
}

#[test]
fn both_ends_hang_up() {
    let mut setup = Setup::registered();
    let invite = established(&mut setup);
    setup.tell("in-1", Notice::Answered);
    setup.tell("in-1", ended(EndReason::HangupRemote));
    let bye = setup.request();
    assert_eq!(bye.method.as_str(), "BYE");
    assert_eq!(value(&bye.headers, &Name::CSEQ), "2 BYE");
    setup.say(&answer(&bye, 200, ""));
    setup.is_silent();

    let mut setup = Setup::registered();
    established(&mut setup);
    // From and To as the client sees them.
    let mut dialog = Request::new(invite.method.clone(), "").respond(200, None, None);
    let remote = value(&invite.headers, &Name::FROM).to_owned();
    let local = format!("{};tag=theirs", value(&invite.headers, &Name::TO));
    dialog.headers.insert(Name::TO, remote);
    dialog.headers.insert(Name::FROM, local);
    let call_id = value(&invite.headers, &Name::CALL_ID).to_owned();
    dialog.headers.insert(Name::CALL_ID, call_id);
    setup.say(&in_dialog(&dialog, "BYE", 5, ""));
    assert_eq!(setup.response().status, 200);
    let hang_up = Command::HangUp { reason: None };
    assert_eq!(setup.command(), ("in-1".to_owned(), hang_up));
}

#[test]
fn client_that_answers_nothing_leaves_the_call_after_32_s() {
    let mut setup = Setup::registered();
    setup.ring("in-1");
    assert_eq!(setup.request().method.as_str(), "INVITE");
    setup.pass(Duration::from_secs(32));
    let detach = Command::Detach {
        endpoint: ENDPOINT,
        reason: EndReason::Unavailable,
    };
    assert_eq!(setup.command(), ("in-1".to_owned(), detach));
    assert!(!setup.client.has_calls());
}

#[test]
fn call_after_the_contact_has_gone_is_left_to_others() {
    let mut setup = Setup::registered();
    setup.register("Contact: <sip:x@y.invalid>;expires=0\r\n");
    assert_eq!(setup.response().status, 200);
    setup.ring("in-1");
    setup.is_silent();
    let detach = Command::Detach {
        endpoint: ENDPOINT,
        reason: EndReason::Unavailable,
    };
    assert_eq!(setup.command(), ("in-1".to_owned(), detach));
    setup.register(&format!("Contact: {CONTACT}\r\n{RIGHT}"));
    assert_eq!(setup.response().status, 200);
    setup.ring("in-2");
    assert_eq!(setup.request().method.as_str(), "INVITE");
}

#[test]
fn call_to_a_connection_without_room_is_left_to_others() {
    let mut setup = Setup::registered();
    // Two calls, and refusals that are not acknowledged.
    for number in 0..256 {
        setup.invite(&format!("n{number}"), "600", "");
        assert_ne!(setup.response().status, 503);
    }
    setup.ring("in-1");
    setup.is_silent();
    let detach = Command::Detach {
        endpoint: ENDPOINT,
        reason: EndReason::Unavailable,
    };
    assert_eq!(setup.command(), ("in-1".to_owned(), detach));
    setup.pass(Duration::from_secs(33));
    setup.ring("in-2");
    assert_eq!(setup.request().method.as_str(), "INVITE");
}
