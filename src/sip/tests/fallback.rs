//! Calls of an owner who knows another trunk, as traces in virtual time.

use std::time::Duration;

use super::failover::sent_to;
use super::wire::*;
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

fn outgoing(alternative: bool) -> Outgoing {
    Outgoing {
        trunk: "pbx".to_owned(),
        to_user: "600".to_owned(),
        from_user: "alice".to_owned(),
        body: SDP.into(),
        alternative,
        ..Outgoing::default()
    }
}

fn call(wire: &mut Wire) -> LegId {
    let placed = wire.agent.invite(outgoing(true), wire.now);
    placed.expect("placed")
}

fn gave_up(event: Option<Event>, with: u16) -> bool {
    matches!(event, Some(Event::Refused { status, local: true, .. }) if status == with)
}

#[test]
fn a_silent_trunk_is_given_up_after_its_try_timeout() {
    let mut wire = Wire::new(trunk("pbx"));
    call(&mut wire);
    wire.advance(4 * SECOND - Duration::from_millis(1));
    assert_eq!(wire.event(), None);
    wire.advance(Duration::from_millis(1));
    assert!(gave_up(wire.event(), 408));
    assert_eq!(wire.agent.legs(), 0);
}

#[test]
fn who_rings_late_at_a_trunk_that_was_given_up_is_called_back() {
    let mut wire = Wire::new(trunk("pbx"));
    call(&mut wire);
    let invite = wire.sent_request("INVITE");
    wire.advance(4 * SECOND);
    assert!(gave_up(wire.event(), 408));
    while wire.sent().is_some() {}
    wire.answer(&invite, 180, "b1", "");
    wire.sent_request("CANCEL");
    wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
    wire.sent_request("ACK");
    wire.sent_request("BYE");
    assert_eq!(wire.event(), None);
}

#[test]
fn a_trunk_that_answers_100_in_time_is_not_given_up() {
    let mut wire = Wire::new(trunk("pbx"));
    call(&mut wire);
    let invite = wire.sent_request("INVITE");
    wire.answer(&invite, 100, "", "");
    wire.advance(60 * SECOND);
    assert_eq!(wire.event(), None);
}

#[test]
fn a_trunk_that_is_out_is_not_tried_where_another_one_is_there() {
    let mut probed = trunk("pbx");
    probed.health = Some(HealthCheck {
        every: 30 * SECOND,
        failures: 1,
        by_default: false,
    });
    let mut wire = Wire::new(probed);
    wire.agent.start(wire.now);
    wire.advance(10 * SECOND);
    while wire.sent().is_some() {}
    let refused = wire.agent.invite(outgoing(true), wire.now);
    assert!(matches!(refused, Err(Error::TrunkOut(name)) if name == "pbx"));
    wire.quiet();
    // Who has nowhere else to go is taken there all the same.
    let placed = wire.agent.invite(outgoing(false), wire.now);
    assert!(placed.is_ok());
    sent_to(&mut wire, "INVITE", PEER);
}

#[test]
fn a_trunk_that_falls_silent_after_its_100_is_probed_and_given_up() {
    let mut probed = trunk("pbx");
    probed.health = Some(HealthCheck {
        every: 30 * SECOND,
        failures: 2,
        by_default: false,
    });
    let mut wire = Wire::new(probed);
    wire.agent.start(wire.now);
    wire.advance(2 * SECOND);
    let probe = wire.sent_request("OPTIONS");
    wire.answer(&probe, 200, "o", "");
    // Its repetitions: when the first one went is drawn.
    while wire.sent().is_some() {}
    call(&mut wire);
    let invite = wire.sent_request("INVITE");
    wire.answer(&invite, 100, "", "");
    wire.advance(4 * SECOND);
    wire.sent_request("OPTIONS");
    wire.advance(4 * SECOND);
    let mut last = None;
    while let Some(event) = wire.event() {
        last = Some(event);
    }
    assert!(gave_up(last, 408));
}
