//! The client calls.

use std::time::Duration;

use bytes::Bytes;

use super::setup::{ANSWER, OFFER, RIGHT, Setup, in_dialog, value};
use crate::call::EndReason;
use crate::call::message::{Command, Notice};
use crate::sip::stack::message::{Name, Response};
use crate::sip_ws::output::Output;

fn answer() -> Notice {
    Notice::Answer {
        sdp: ANSWER.to_owned(),
    }
}

fn ended(reason: EndReason) -> Notice {
    Notice::Ended {
        reason,
        status: None,
    }
}

const HANG_UP: Command = Command::HangUp { reason: None };

/// A call of alice that was answered; gives the 200, not yet acknowledged.
fn accepted(setup: &mut Setup) -> Response {
    setup.invite("a", "600", "Supported: timer\r\nSession-Expires: 90\r\n");
    setup.tell("out-1", answer());
    setup.tell("out-1", Notice::Answered);
    let statuses = [setup.response().status, setup.response().status];
    assert_eq!(statuses, [100, 183]);
    setup.response()
}

/// The same, acknowledged.
fn established(setup: &mut Setup) -> Response {
    let accepted = accepted(setup);
    setup.say(&in_dialog(&accepted, "ACK", 10, ""));
    setup.is_silent();
    accepted
}

#[test]
fn call_is_answered_once_in_183_and_the_same_in_200() {
    let mut setup = Setup::registered();
    setup.invite("a", "600", "");
    assert_eq!(setup.response().status, 100);
    let place = setup.placed.pop_front().expect("a call");
    assert_eq!((place.user.as_str(), place.to.as_str()), ("alice", "600"));
    assert_eq!((place.call.as_str(), place.sdp.as_str()), ("out-1", OFFER));
    assert_eq!(place.display_name.as_deref(), Some("Alice A."));
    assert!(!place.anonymous);
    setup.tell("out-1", answer());
    let progress = setup.response();
    assert_eq!(
        (progress.status, &progress.body[..]),
        (183, ANSWER.as_bytes())
    );
    setup.tell("out-1", Notice::Ringing);
    setup.tell("out-1", Notice::EarlyMedia);
    for status in [180, 183] {
        let ringing = setup.response();
        assert_eq!((ringing.status, ringing.body.len()), (status, 0));
        assert_eq!(
            value(&ringing.headers, &Name::TO),
            value(&progress.headers, &Name::TO)
        );
    }
    setup.tell("out-1", Notice::Answered);
    let accepted = setup.response();
    assert_eq!(
        (accepted.status, &accepted.body[..]),
        (200, ANSWER.as_bytes())
    );
    assert_eq!(
        value(&accepted.headers, &Name::CONTACT),
        "<sip:pbx.example;transport=ws>"
    );
}

#[test]
fn call_without_registration_is_challenged_first() {
    let mut setup = Setup::new();
    setup.invite("a", "600", "");
    let response = setup.response();
    assert_eq!(response.status, 401);
    assert!(setup.placed.is_empty());
    setup.say(&in_dialog(&response, "ACK", 10, "").replace("bKACK10", "bKa"));
    setup.invite("b", "600", RIGHT);
    assert_eq!(setup.response().status, 100);
    assert_eq!(setup.placed.len(), 1);
}

#[test]
fn client_hangs_up() {
    let mut setup = Setup::registered();
    let accepted = established(&mut setup);
    setup.say(&in_dialog(&accepted, "BYE", 11, ""));
    assert_eq!(setup.response().status, 200);
    assert_eq!(setup.command(), ("out-1".to_owned(), HANG_UP));
    setup.tell("out-1", ended(EndReason::HangupLocal));
    setup.is_silent();
    setup.say(&in_dialog(&accepted, "BYE", 12, ""));
    assert_eq!(setup.response().status, 481);
}

#[test]
fn hang_up_on_a_connection_that_breaks_reaches_the_call() {
    let mut setup = Setup::registered();
    let accepted = established(&mut setup);
    for sequence in [11, 12] {
        let bye = Bytes::from(in_dialog(&accepted, "BYE", sequence, ""));
        let taken = setup.client.handle_frame(&bye, setup.now);
        assert!(taken.is_ok());
    }
    // The first answer cannot be written.
    let answer = setup.client.poll_output();
    assert!(matches!(answer, Some(Output::Send(_))), "{answer:?}");
    setup.client.break_off();
    let hang_up = Output::Command {
        call: "out-1".to_owned(),
        command: HANG_UP,
    };
    assert_eq!(setup.client.poll_output(), Some(hang_up));
    assert_eq!(setup.client.poll_output(), None);
}

#[test]
fn far_end_hangs_up() {
    let mut setup = Setup::registered();
    established(&mut setup);
    setup.tell("out-1", ended(EndReason::HangupRemote));
    let bye = setup.request();
    assert_eq!(bye.method.as_str(), "BYE");
    assert_eq!(bye.uri, "sip:k3v2@8fj2.invalid;transport=ws;ob");
    assert!(value(&bye.headers, &Name::REASON).starts_with("Q.850;cause=16;"));
    assert!(setup.commands.is_empty());
}

#[test]
fn bye_waits_for_the_ack_of_the_2xx() {
    let mut setup = Setup::registered();
    let accepted = accepted(&mut setup);
    setup.tell("out-1", ended(EndReason::HangupRemote));
    setup.is_silent();
    setup.say(&in_dialog(&accepted, "ACK", 10, ""));
    assert_eq!(setup.request().method.as_str(), "BYE");
}

#[test]
fn call_ends_when_the_ack_does_not_come() {
    let mut setup = Setup::registered();
    accepted(&mut setup);
    setup.pass(Duration::from_secs(31));
    setup.is_silent();
    setup.pass(Duration::from_secs(1));
    assert_eq!(setup.request().method.as_str(), "BYE");
    assert_eq!(setup.command(), ("out-1".to_owned(), HANG_UP));
}

#[test]
fn client_cancels() {
    let mut setup = Setup::registered();
    setup.invite("a", "600", "");
    let trying = setup.response();
    assert_eq!(trying.status, 100);
    setup.tell("out-1", Notice::Ringing);
    assert_eq!(setup.response().status, 180);
    setup.say(&in_dialog(&trying, "CANCEL", 10, "").replace("bKCANCEL10", "bKa"));
    let mut statuses = [setup.response().status, setup.response().status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 487]);
    assert_eq!(setup.command(), ("out-1".to_owned(), HANG_UP));
    setup.say(&in_dialog(&trying, "CANCEL", 10, "").replace("bKCANCEL10", "bKb"));
    assert_eq!(setup.response().status, 481);
}

#[test]
fn cancel_after_the_final_response_has_no_effect_and_gets_200() {
    let mut setup = Setup::registered();
    let accepted = established(&mut setup);
    let cancel = in_dialog(&accepted, "CANCEL", 10, "").replace("bKCANCEL10", "bKa");
    setup.say(&cancel);
    assert_eq!(setup.response().status, 200);
    setup.is_silent();
    assert!(setup.commands.is_empty());
    // The transaction of the INVITE is gone after 64 * T1.
    setup.pass(Duration::from_secs(32));
    setup.say(&cancel);
    assert_eq!(setup.response().status, 481);
}

#[test]
fn ack_is_never_answered() {
    let mut setup = Setup::registered();
    let accepted = accepted(&mut setup);
    let ack = in_dialog(&accepted, "ACK", 10, "");
    setup.say(&ack.replace("10 ACK", "10 INVITE"));
    setup.say(&ack.replace("To: ", "Too: "));
    setup.is_silent();
}

#[test]
fn end_reasons_become_the_status_of_the_table() {
    for (reason, status) in [
        (EndReason::Busy, 486),
        (EndReason::NotFound, 404),
        (EndReason::Overload, 503),
        (EndReason::NoCommonCodec, 488),
    ] {
        let mut setup = Setup::registered();
        setup.invite("a", "600", "");
        setup.tell("out-1", ended(reason));
        assert_eq!(setup.response().status, 100);
        let refused = setup.response();
        assert_eq!(refused.status, status);
        let cause = format!("Q.850;cause={};", reason.ending().cause);
        assert!(value(&refused.headers, &Name::REASON).starts_with(&cause));
        setup.say(&in_dialog(&refused, "ACK", 10, "").replace("bKACK10", "bKa"));
        setup.is_silent();
    }
}

#[test]
fn caller_may_withhold_the_number() {
    let mut setup = Setup::registered();
    setup.invite("a", "600", "Privacy: id\r\n");
    let place = setup.placed.pop_front().expect("a call");
    assert!(place.anonymous);
    assert_eq!(place.user, "alice");
}

#[test]
fn session_timer_is_the_clients_and_refreshed_by_update() {
    let mut setup = Setup::registered();
    let accepted = established(&mut setup);
    let agreed = value(&accepted.headers, &Name::SESSION_EXPIRES);
    assert_eq!(agreed, "90;refresher=uac");
    let lines = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    setup.say(&in_dialog(&accepted, "UPDATE", 11, lines));
    let refreshed = setup.response();
    assert_eq!(refreshed.status, 200);
    let agreed = value(&refreshed.headers, &Name::SESSION_EXPIRES);
    assert_eq!(agreed, "90;refresher=uac");
}

#[test]
fn renegotiation_is_refused_and_the_session_stays() {
    let mut setup = Setup::registered();
    let accepted = established(&mut setup);
    let described = format!(
        "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}",
        OFFER.len()
    );
    setup.say(&in_dialog(&accepted, "INVITE", 11, &described));
    let refused = setup.response();
    assert_eq!(refused.status, 488);
    setup.say(&in_dialog(&refused, "ACK", 11, "").replace("bKACK11", "bKINVITE11"));
    setup.say(&in_dialog(&accepted, "UPDATE", 12, &described));
    assert_eq!(setup.response().status, 488);
    setup.say(&in_dialog(&accepted, "OPTIONS", 13, ""));
    assert_eq!(setup.response().status, 200);
    setup.say(&in_dialog(&accepted, "OPTIONS", 13, ""));
    assert_eq!(setup.response().status, 500, "out of order");
    assert!(setup.commands.is_empty());
}

#[test]
fn digits_come_by_info() {
    let mut setup = Setup::registered();
    let accepted = established(&mut setup);
    let info = |kind: &str, body: &str| {
        let length = body.len();
        format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let body = info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
    setup.say(&in_dialog(&accepted, "INFO", 11, &body));
    assert_eq!(setup.response().status, 200);
    let command = Command::SendDigits {
        digits: "5".to_owned(),
        duration: Duration::from_millis(160),
    };
    assert_eq!(setup.command(), ("out-1".to_owned(), command));
    let bad = [
        info("application/dtmf-relay", "Signal=55"),
        info("text/plain", "5"),
    ];
    for (sequence, body) in (12..).zip(bad) {
        setup.say(&in_dialog(&accepted, "INFO", sequence, &body));
        assert_eq!(setup.response().status, 415);
    }
    assert!(setup.commands.is_empty());
}

#[test]
fn calls_of_one_connection_are_bounded() {
    let mut setup = Setup::registered();
    setup.invite("a", "600", "");
    setup.invite("b", "600", "");
    setup.invite("c", "600", "");
    let statuses: Vec<u16> = (0..3).map(|_| setup.response().status).collect();
    assert_eq!(statuses, [100, 100, 486]);
    assert_eq!(setup.placed.len(), 2);
}

#[test]
fn invite_with_what_we_cannot_do_is_refused() {
    for (lines, status) in [
        ("Require: 100rel\r\n", 420),
        ("Content-Type: text/plain\r\n", 415),
    ] {
        let mut setup = Setup::registered();
        let mut text = super::setup::invite("a", "600", "");
        if lines.starts_with("Content-Type") {
            text = text.replace("Content-Type: application/sdp\r\n", lines);
        } else {
            text = text.replace("Max-Forwards", &format!("{lines}Max-Forwards"));
        }
        setup.say(&text);
        assert_eq!(setup.response().status, status);
        assert!(setup.placed.is_empty());
    }
}
