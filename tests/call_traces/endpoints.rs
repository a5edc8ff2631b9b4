//! Endpoints of a call: which one has it, what each is told, and what the loss of one means.

use std::time::Duration;

use trunkline::call::{CallDirection, CallState, EndSnapshot, Held, Snapshot};

use super::*;

const A: EndpointId = EndpointId(1);
const B: EndpointId = EndpointId(2);
const GRACE: Duration = Duration::from_secs(45);

/// A call that rings at these endpoints.
fn ringing(endpoints: &[EndpointId], grace: Duration) -> (Trace, Vec<Action>) {
    let now = Instant::now();
    let rules = Rules {
        detach_grace: grace,
        ..rules(false)
    };
    let invitation = Invitation {
        endpoints: endpoints.to_vec(),
        from: "1001".to_owned(),
        name: Some("Desk".to_owned()),
        to: "web-alice".to_owned(),
        offer: Some(PBX_ANSWER.to_owned()),
        ..Invitation::default()
    };
    let call = Call::incoming(rules, local(), invitation, now);
    let mut trace = Trace { call, now };
    let actions = trace.actions();
    (trace, actions)
}

/// An outgoing call of `CLIENT` that is answered.
fn answered(grace: Duration) -> Trace {
    let now = Instant::now();
    let rules = Rules {
        detach_grace: grace,
        ..rules(false)
    };
    let call = Call::outgoing(rules, local(), client_offer(CHROMIUM_OFFER), now);
    let mut trace = Trace { call, now };
    trace.happens(Event::PeerConnected);
    trace.happens(Event::Accepted {
        sdp: Some(PBX_ANSWER.to_owned()),
        fork: 0,
    });
    trace
}

fn accept(endpoint: EndpointId) -> Command {
    Command::Accept {
        endpoint,
        sdp: browser_answer(),
    }
}

fn reject(endpoint: EndpointId, reason: EndReason) -> Command {
    Command::Reject { endpoint, reason }
}

fn lose(endpoint: EndpointId) -> Command {
    Command::Detach {
        endpoint,
        reason: EndReason::SignalingLost,
    }
}

fn end_at(to: EndpointId, reason: EndReason) -> Action {
    let status = None;
    let notice = Notice::Ended { reason, status };
    Action::Tell { to, notice }
}

fn resumed(actions: &[Action], by: EndpointId) -> &Snapshot {
    let of = |action| match action {
        &Action::Resume {
            endpoint,
            ref snapshot,
        } if endpoint == by => Some(&**snapshot),
        _ => None,
    };
    actions.iter().find_map(of).expect("it is resumed")
}

#[test]
fn first_accept_selects_and_the_others_stop_ringing() {
    let (mut trace, _) = ringing(&[A, B, CLIENT], Duration::ZERO);
    let actions = trace.asked(accept(B));
    let elsewhere = EndReason::AnsweredElsewhere;
    assert_eq!(actions[0], end_at(A, elsewhere));
    assert_eq!(actions[1], end_at(CLIENT, elsewhere));
    assert_eq!(actions[2], Action::Select(B));
    assert!(told(&actions, &Notice::Answered));
    // What the others asked meanwhile comes too late.
    assert!(trace.asked(accept(A)).is_empty());
    assert!(trace.asked(reject(A, EndReason::Declined)).is_empty());
    assert!(trace.asked(lose(A)).is_empty());
    assert!(!trace.call.is_ended());
}

#[test]
fn busy_endpoint_leaves_the_call_to_the_others() {
    let (mut trace, _) = ringing(&[A, B], Duration::ZERO);
    let actions = trace.asked(reject(A, EndReason::Busy));
    assert_eq!(actions, [end_at(A, EndReason::Busy)]);
    assert!(trace.asked(accept(A)).is_empty(), "it has left");
    let actions = trace.asked(reject(B, EndReason::Busy));
    assert_eq!(ended(&actions), Some(EndReason::Busy));
}

#[test]
fn declined_call_ends_at_every_endpoint() {
    let (mut trace, _) = ringing(&[A, B], Duration::ZERO);
    let actions = trace.asked(reject(A, EndReason::Declined));
    assert_eq!(ended(&actions), Some(EndReason::Declined));
}

#[test]
fn last_ringing_endpoint_lost_ends_the_call_at_once() {
    for grace in [Duration::ZERO, GRACE] {
        let (mut trace, _) = ringing(&[A, B], grace);
        assert!(trace.asked(lose(A)).is_empty());
        assert!(trace.asked(accept(A)).is_empty(), "overtaken by its loss");
        let actions = trace.asked(lose(B));
        assert_eq!(ended(&actions), Some(EndReason::SignalingLost));
    }
}

#[test]
fn endpoint_that_attaches_to_a_ringing_call_rings() {
    let (mut trace, actions) = ringing(&[A], Duration::ZERO);
    let incoming = actions.into_iter().find_map(|action| match action {
        Action::Notify(notice @ Notice::Incoming { .. }) => Some(notice),
        _ => None,
    });
    let notice = incoming.expect("the call is offered");
    let actions = trace.asked(Command::Attach { endpoint: B });
    assert_eq!(actions, [Action::Tell { to: B, notice }]);
    assert!(trace.asked(lose(A)).is_empty(), "it rings at the other one");
    let actions = trace.asked(accept(B));
    assert!(actions.contains(&Action::Select(B)));
}

#[test]
fn lost_endpoint_without_grace_ends_the_call_with_its_reason() {
    for reason in [EndReason::SignalingLost, EndReason::TokenExpired] {
        let mut trace = answered(Duration::ZERO);
        let endpoint = CLIENT;
        let actions = trace.asked(Command::Detach { endpoint, reason });
        assert_eq!(ended(&actions), Some(reason));
        let warning = None;
        assert!(actions.contains(&Action::EndPbx { reason, warning }));
    }
}

#[test]
fn expired_token_ends_the_call_without_grace() {
    let mut trace = answered(GRACE);
    let (endpoint, reason) = (CLIENT, EndReason::TokenExpired);
    let actions = trace.asked(Command::Detach { endpoint, reason });
    assert_eq!(ended(&actions), Some(reason));
}

#[test]
fn detached_call_goes_on_and_ends_after_the_grace() {
    let mut trace = answered(GRACE);
    let actions = trace.asked(lose(CLIENT));
    assert!(actions.is_empty(), "neither side notices: {actions:?}");
    let until = trace.call.poll_timeout().expect("the grace");
    assert_eq!(until, trace.now + GRACE);
    // The PBX is answered as before.
    let hold = PBX_ANSWER.replace("sendrecv", "sendonly");
    let (sdp, fork) = (Some(hold), None);
    let actions = trace.happens(Event::Reoffered { sdp, fork });
    assert_eq!(pbx_direction(&actions), Some(Direction::RecvOnly));
    trace.call.handle_timeout(until - Duration::from_millis(1));
    assert!(trace.actions().is_empty());
    trace.call.handle_timeout(until);
    let actions = trace.actions();
    let reason = EndReason::SignalingLost;
    assert_eq!(ended(&actions), Some(reason));
    let warning = None;
    assert!(actions.contains(&Action::EndPbx { reason, warning }));
}

#[test]
fn endpoint_within_the_grace_takes_the_call_up() {
    let mut trace = answered(GRACE);
    trace.now += Duration::from_secs(60);
    trace.asked(lose(CLIENT));
    let (sdp, fork) = (Some(PBX_ANSWER.replace("sendrecv", "sendonly")), None);
    trace.happens(Event::Reoffered { sdp, fork });
    let detached = trace.call.snapshot(trace.now).browser_end;
    assert_eq!(detached, EndSnapshot::Detached { left: GRACE });
    trace.now += GRACE / 2;
    let actions = trace.asked(Command::Attach { endpoint: A });
    assert_eq!(actions.len(), 1, "the PBX does not notice: {actions:?}");
    let snapshot = resumed(&actions, A);
    let expected = Snapshot {
        id: CallId::new(7),
        direction: CallDirection::Outgoing,
        state: CallState::Confirmed,
        parties: client_offer("").parties,
        held: Held {
            by_client: false,
            by_pbx: true,
        },
        age: Duration::from_secs(60) + GRACE / 2,
        answered: Some(Duration::from_secs(60) + GRACE / 2),
        browser_end: EndSnapshot::Attached(A),
        is_connected: true,
        description: snapshot.description.clone(),
    };
    assert_eq!(*snapshot, expected);
    let description = snapshot.description.as_deref().unwrap_or_default();
    assert!(description.contains("a=setup:passive"));
    assert_eq!(trace.call.poll_timeout(), None, "no grace runs any more");
    // The endpoint has all rights of the one before, which has none.
    assert!(trace.asked(lose(CLIENT)).is_empty());
    let held = trace.asked(Command::Hold { on: true });
    assert!(matches!(held[..], [Action::Reoffer { .. }]));
    let actions = trace.asked(Command::HangUp { reason: None });
    assert_eq!(ended(&actions), Some(EndReason::HangupLocal));
}

#[test]
fn transport_closed_while_detached_does_not_end_the_call() {
    let failed = Event::PeerFailed {
        reason: EndReason::IceFailed,
    };
    for event in [Event::PeerClosed, failed] {
        let mut trace = answered(GRACE);
        trace.asked(lose(CLIENT));
        assert!(trace.happens(event).is_empty(), "a page is reloaded");
        let actions = trace.asked(Command::Attach { endpoint: A });
        assert!(!resumed(&actions, A).is_connected, "it needs a new one");
    }
}

#[test]
fn far_end_that_hangs_up_ends_a_detached_call() {
    let mut trace = answered(GRACE);
    trace.asked(lose(CLIENT));
    let reason = EndReason::HangupRemote;
    assert_eq!(ended(&trace.happens(Event::Ended { reason })), Some(reason));
    assert!(trace.asked(Command::Attach { endpoint: A }).is_empty());
    assert_eq!(trace.call.poll_timeout(), None);
}

#[test]
fn endpoint_takes_the_call_over_from_another() {
    let mut trace = answered(GRACE);
    let actions = trace.asked(Command::Attach { endpoint: A });
    assert_eq!(actions[0], end_at(CLIENT, EndReason::AnsweredElsewhere));
    assert_eq!(
        resumed(&actions, A).browser_end,
        EndSnapshot::Attached(A),
        "before its loss is noticed"
    );
    assert!(trace.asked(lose(CLIENT)).is_empty());
    assert_eq!(trace.call.poll_timeout(), None);
}

#[test]
fn call_that_rings_at_the_pbx_is_taken_up_and_answered() {
    let now = Instant::now();
    let rules = Rules {
        detach_grace: GRACE,
        ..rules(false)
    };
    let call = Call::outgoing(rules, local(), client_offer(CHROMIUM_OFFER), now);
    let mut trace = Trace { call, now };
    trace.actions();
    trace.asked(lose(CLIENT));
    let actions = trace.asked(Command::Attach { endpoint: A });
    let snapshot = resumed(&actions, A);
    assert_eq!(snapshot.state, CallState::Inviting);
    assert_eq!(snapshot.answered, None);
    assert!(snapshot.description.is_some(), "it may have missed it");
    let (sdp, fork) = (Some(PBX_ANSWER.to_owned()), 0);
    let actions = trace.happens(Event::Accepted { sdp, fork });
    assert!(told(&actions, &Notice::Answered));
}

#[test]
fn call_that_nobody_can_take_up_keeps_no_description() {
    let trace = answered(Duration::ZERO);
    assert_eq!(trace.call.snapshot(trace.now).description, None);
}

#[test]
fn the_caller_gives_up_or_the_page_rejects() {
    let (mut trace, _) = Trace::incoming(Some(PBX_ANSWER));
    assert_eq!(
        ended(&trace.happens(Event::Cancelled)),
        Some(EndReason::Cancelled)
    );
    let (mut trace, _) = Trace::incoming(Some(PBX_ANSWER));
    let actions = trace.asked(Command::Reject {
        endpoint: CLIENT,
        reason: EndReason::Busy,
    });
    assert_eq!(ended(&actions), Some(EndReason::Busy));
    let (mut trace, _) = Trace::incoming(Some(PBX_ANSWER));
    let accept = Command::Accept {
        endpoint: CLIENT,
        sdp: "v=0".to_owned(),
    };
    assert_eq!(ended(&trace.asked(accept)), Some(EndReason::BadAnswer));
}
