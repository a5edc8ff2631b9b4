//! Calls that end while a transfer of theirs is under way, as traces in virtual time.

use std::time::Duration;

use super::transfers::{in_dialog, join, notify, of_call, progress, refer};
use super::wire::*;
use crate::sip::stack::message::{Message, Request};
use crate::sip::*;

/// Two calls, of which the second's far end is asked to replace the first: its REFER is out.
struct Joining {
    wire: Wire,
    /// Whose far end the REFER names.
    given: LegId,
    given_tag: String,
    /// Who was asked.
    asked: LegId,
    invite: Request,
    refer: Request,
}

impl Joining {
    fn new() -> Self {
        let mut wire = Wire::new(trunk("pbx"));
        let (given, given_tag) = wire.answered_incoming();
        let (asked, invite) = wire.answered_call();
        let refer = join(&mut wire, asked, given);
        Joining {
            wire,
            given,
            given_tag,
            asked,
            invite,
            refer,
        }
    }

    fn accepted() -> Self {
        let mut joining = Joining::new();
        joining.wire.answer(&joining.refer, 202, "", "");
        joining
    }

    fn notify(&mut self, status: &str, state: &str) {
        let notify = of_call(&self.invite, &notify(2, "TAG", status, state));
        self.wire.receive(&notify);
        self.wire.sent_status(200);
    }

    #[track_caller]
    fn hang_up(&mut self, leg: LegId) -> Request {
        self.wire.command(leg, Command::Hangup { cause: None });
        self.wire.sent_request("BYE")
    }

    /// The peer hangs up the call that was to be replaced.
    #[track_caller]
    fn given_ends(&mut self) -> EndedBy {
        let bye = in_dialog("BYE", 2, &self.given_tag, "", "");
        self.ended_by(&bye)
    }

    /// The peer hangs up the call in which it was asked.
    #[track_caller]
    fn asked_ends(&mut self) -> EndedBy {
        let bye = of_call(&self.invite, &in_dialog("BYE", 3, "TAG", "", ""));
        self.ended_by(&bye)
    }

    #[track_caller]
    fn ended_by(&mut self, bye: &str) -> EndedBy {
        self.wire.receive(bye);
        self.wire.sent_status(200);
        match self.wire.event() {
            Some(Event::Ended { why, .. }) => why,
            other => panic!("an end was expected, got {other:?}"),
        }
    }
}

#[test]
fn a_bye_is_the_transfers_once_the_refer_was_accepted_and_not_before() {
    // Nobody has said yet that it will be done: they hang up, as anybody may.
    assert_eq!(Joining::new().asked_ends(), EndedBy::Bye);
    assert_eq!(Joining::new().given_ends(), EndedBy::Bye);
    assert_eq!(Joining::accepted().asked_ends(), EndedBy::GivenAway);
    assert_eq!(Joining::accepted().given_ends(), EndedBy::GivenAway);
    // The first NOTIFY may come before the 202.
    let mut joining = Joining::new();
    joining.notify("100 Trying", "active;expires=60");
    assert_eq!(joining.wire.event(), progress(100, false));
    assert_eq!(joining.given_ends(), EndedBy::GivenAway);
    assert_eq!(joining.asked_ends(), EndedBy::GivenAway);
}

#[test]
fn a_number_is_no_different_from_a_call() {
    for (accepted, why) in [(false, EndedBy::Bye), (true, EndedBy::GivenAway)] {
        let mut wire = Wire::new(trunk("pbx"));
        let (leg, tag) = wire.answered_incoming();
        let refer = refer(&mut wire, leg, "700");
        if accepted {
            wire.answer(&refer, 202, "", "");
        }
        wire.receive(&in_dialog("BYE", 2, &tag, "", ""));
        wire.sent_status(200);
        let cause = None;
        assert_eq!(wire.event(), Some(Event::Ended { cause, why }));
    }
}

#[test]
fn the_other_call_is_not_given_away_by_a_refer_whose_call_we_hang_up() {
    let mut joining = Joining::accepted();
    let bye = joining.hang_up(joining.asked);
    joining.wire.answer(&bye, 200, "", "");
    assert!(matches!(joining.wire.event(), Some(Event::Ended { .. })));
    assert_eq!(joining.given_ends(), EndedBy::Bye);
    // The 202 may come after our BYE.
    let mut joining = Joining::new();
    joining.hang_up(joining.asked);
    let refer = joining.refer.clone();
    joining.wire.answer(&refer, 202, "", "");
    assert_eq!(joining.given_ends(), EndedBy::Bye);
}

#[test]
fn a_success_that_crosses_our_bye_counts() {
    let mut joining = Joining::accepted();
    joining.hang_up(joining.asked);
    joining.notify("200 OK", "terminated;reason=noresource");
    assert_eq!(joining.wire.event(), progress(200, true));
    assert_eq!(joining.given_ends(), EndedBy::GivenAway);
}

#[test]
fn a_refer_whose_named_call_we_hang_up_succeeds_only_if_told_so() {
    let mut joining = Joining::accepted();
    let bye = joining.hang_up(joining.given);
    joining.wire.answer(&bye, 200, "", "");
    assert!(matches!(joining.wire.event(), Some(Event::Ended { .. })));
    assert_eq!(joining.asked_ends(), EndedBy::Bye);

    let mut joining = Joining::accepted();
    joining.hang_up(joining.given);
    joining.notify("200 OK", "terminated;reason=noresource");
    assert_eq!(joining.wire.event(), progress(200, true));
}

#[test]
fn a_call_that_is_lost_gives_nothing_away() {
    let mut joining = Joining::accepted();
    let info = Command::Info {
        content_type: "application/dtmf".to_owned(),
        body: "1".into(),
    };
    joining.wire.command(joining.asked, info);
    let info = joining.wire.sent_request("INFO");
    joining.wire.answer(&info, 481, "", "");
    joining.wire.sent_request("BYE");
    let why = EndedBy::TransportLost;
    let cause = None;
    assert_eq!(joining.wire.event(), Some(Event::Ended { cause, why }));
    assert_eq!(joining.given_ends(), EndedBy::Bye);
}

/// A call that the peer has sent on, and nobody has answered yet.
fn referred(extra: &str) -> (Wire, LegId, String) {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, tag) = wire.answered_incoming();
    let extra = format!("Refer-To: <sip:700@pbx.example>\r\n{extra}");
    wire.receive(&in_dialog("REFER", 2, &tag, &extra, ""));
    wire.sent_status(202);
    (wire, leg, tag)
}

fn told_trying(wire: &mut Wire) {
    let trying = wire.sent_request("NOTIFY");
    wire.answer(&trying, 200, "", "");
    assert!(matches!(wire.event(), Some(Event::Referred(_))));
}

#[track_caller]
fn last_word(wire: &mut Wire, fragment: &[u8]) -> Request {
    let last = wire.sent_request("NOTIFY");
    assert_eq!(&last.body[..], fragment);
    assert_eq!(
        value(&last.headers, "Subscription-State"),
        "terminated;reason=noresource"
    );
    last
}

#[test]
fn who_sent_a_call_on_that_we_hang_up_is_told_before_the_bye() {
    let (mut wire, leg, _) = referred("");
    told_trying(&mut wire);
    wire.command(leg, Command::Hangup { cause: Some(16) });
    let last = last_word(&mut wire, b"SIP/2.0 487 Request Terminated\r\n");
    wire.quiet();
    wire.answer(&last, 200, "", "");
    let bye = wire.sent_request("BYE");
    assert_eq!(value(&bye.headers, "Reason"), "Q.850;cause=16");
    wire.answer(&bye, 200, "", "");
    assert_eq!(wire.agent.legs(), 0);
    // Nothing is told to who wanted no news.
    let (mut wire, leg, _) = referred("Refer-Sub: false\r\n");
    wire.command(leg, Command::Hangup { cause: None });
    wire.sent_request("BYE");
    wire.quiet();
}

#[test]
fn who_sent_a_call_on_and_leaves_is_told_that_its_outcome_is_open() {
    let (mut wire, _, tag) = referred("");
    told_trying(&mut wire);
    wire.receive(&in_dialog("BYE", 3, &tag, "", ""));
    wire.sent_status(200);
    let last = last_word(&mut wire, b"SIP/2.0 100 Trying\r\n");
    let why = EndedBy::Bye;
    assert_eq!(wire.event(), Some(Event::Ended { cause: None, why }));
    // It has forgotten the dialog, which is nobody's loss.
    wire.answer(&last, 481, "", "");
    wire.advance(Duration::from_secs(40));
    wire.quiet();
    assert_eq!((wire.event(), wire.agent.transactions()), (None, 0));
}

#[test]
fn a_last_notify_that_nobody_answers_does_not_cost_the_bye_when_everything_ends() {
    let (mut wire, _, _) = referred("");
    told_trying(&mut wire);
    wire.agent.shut_down(wire.now);
    last_word(&mut wire, b"SIP/2.0 487 Request Terminated\r\n");
    wire.quiet();
    wire.advance(Duration::from_secs(1));
    let sent: Vec<_> = std::iter::from_fn(|| wire.sent()).collect();
    let bye = sent.iter().any(
        |message| matches!(message, Message::Request(request) if request.method == Method::Bye),
    );
    assert!(bye, "{sent:?}");
}
