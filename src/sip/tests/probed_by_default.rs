//! Trunks that nobody has asked to probe: they are probed, and no call is lost by that. Traces in
//! virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use super::wire::*;
use crate::sip::stack::message::{Message, Request};
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

/// What a peer does with OPTIONS.
#[derive(Clone, Copy, PartialEq)]
enum Probes {
    Answered(u16),
    Dropped,
}

fn probed() -> Trunk {
    let mut trunk = trunk("pbx");
    trunk.health = Some(HealthCheck {
        every: 30 * SECOND,
        failures: 2,
        by_default: true,
    });
    trunk
}

fn started(trunk: Trunk) -> Wire {
    let mut wire = Wire::new(trunk);
    wire.agent.start(wire.now);
    news(&mut wire);
    wire
}

/// What was told of the target: its address, whether it is up, and why.
fn news(wire: &mut Wire) -> Vec<(Option<SocketAddr>, bool, &'static str)> {
    let mut told = Vec::new();
    while let Some(event) = wire.agent.poll_event() {
        if let UserAgentEvent::Target {
            address,
            is_up,
            why,
            ..
        } = event
        {
            told.push((address, is_up, why));
        }
    }
    told
}

/// Lets time pass. Gives the INVITEs that were sent.
fn pass(wire: &mut Wire, seconds: u32, probes: Probes) -> Vec<Request> {
    let mut invites = Vec::new();
    for _ in 0..seconds {
        wire.advance(SECOND);
        while let Some(message) = wire.sent() {
            let Message::Request(request) = message else {
                continue;
            };
            match (request.method.as_str(), probes) {
                ("OPTIONS", Probes::Answered(status)) => wire.answer(&request, status, "o", ""),
                ("INVITE", _) => invites.push(request),
                _ => {}
            }
        }
    }
    invites
}

/// A call whose owner knows another trunk.
fn call(wire: &mut Wire) -> Result<LegId, Error> {
    let outgoing = Outgoing {
        alternative: true,
        ..call_to("pbx")
    };
    wire.agent.invite(outgoing, wire.now)
}

fn peer() -> Option<SocketAddr> {
    PEER.parse().ok()
}

#[test]
fn any_answer_to_options_keeps_the_only_target_up() {
    for status in [200, 302, 401, 403, 404, 405, 408, 480, 500, 501, 503, 603] {
        let mut wire = started(probed());
        pass(&mut wire, 120, Probes::Answered(status));
        assert_eq!(news(&mut wire), [], "{status}");
        assert!(call(&mut wire).is_ok(), "{status}");
    }
}

#[test]
fn target_that_falls_silent_is_reported_with_its_address_and_comes_back() {
    let mut wire = started(probed());
    pass(&mut wire, 40, Probes::Answered(404));
    pass(&mut wire, 60, Probes::Dropped);
    assert_eq!(news(&mut wire), [(peer(), false, "probes failed")]);
    assert!(matches!(call(&mut wire), Err(Error::TrunkOut(_))));
    pass(&mut wire, 10, Probes::Answered(404));
    assert_eq!(news(&mut wire), [(peer(), true, "answers")]);
    assert!(call(&mut wire).is_ok());
}

#[test]
fn target_that_drops_options_still_takes_calls() {
    let mut wire = started(probed());
    pass(&mut wire, 60, Probes::Dropped);
    let told = [(peer(), false, "has answered no OPTIONS yet")];
    assert_eq!(news(&mut wire), told);
    // Reported, but not passed over: it may take calls.
    call(&mut wire).expect("it is tried");
    let invite = pass(&mut wire, 1, Probes::Dropped).remove(0);
    wire.answer(&invite, 180, "b1", "");
    assert_eq!(news(&mut wire), [(peer(), true, "answers calls")]);
    pass(&mut wire, 300, Probes::Dropped);
    assert_eq!(news(&mut wire), [], "its probes count no more");
    // Until one is answered.
    pass(&mut wire, 60, Probes::Answered(200));
    pass(&mut wire, 60, Probes::Dropped);
    assert_eq!(news(&mut wire), [(peer(), false, "probes failed")]);
}

#[test]
fn silent_call_takes_a_target_that_drops_options_out_for_a_while() {
    let mut wire = started(probed());
    call(&mut wire).expect("it is tried");
    pass(&mut wire, 5, Probes::Dropped);
    assert_eq!(news(&mut wire), [(peer(), false, "a call failed")]);
    assert!(matches!(call(&mut wire), Err(Error::TrunkOut(_))));
    pass(&mut wire, 31, Probes::Dropped);
    assert!(call(&mut wire).is_ok(), "tried again after 30 s");
}

#[test]
fn refused_call_leaves_the_only_target_up() {
    for status in [500, 502, 503, 504] {
        let mut wire = started(probed());
        pass(&mut wire, 40, Probes::Answered(200));
        call(&mut wire).expect("it is tried");
        let invite = pass(&mut wire, 1, Probes::Answered(200)).remove(0);
        wire.answer(&invite, status, "x", "");
        assert_eq!(news(&mut wire), [], "{status}");
        assert!(call(&mut wire).is_ok(), "{status}");
    }
}

#[test]
fn silent_only_target_fails_the_call_after_try_timeout() {
    for (try_timeout, transport) in [
        (4, Transport::Udp),
        (4, Transport::Tcp),
        (1, Transport::Udp),
        (10, Transport::Udp),
    ] {
        let mut trunk = trunk("pbx");
        trunk.try_timeout = try_timeout * SECOND;
        trunk.targets[0].target.transport = Some(transport);
        let mut wire = Wire::new(trunk);
        let (_, invite) = wire.call();
        wire.advance(try_timeout * SECOND - Duration::from_millis(1));
        assert_eq!(wire.event(), None);
        wire.advance(Duration::from_millis(1));
        let event = wire.event();
        assert!(
            matches!(
                event,
                Some(Event::Refused {
                    status: 408,
                    local: true,
                    ..
                })
            ),
            "{event:?}"
        );
        // Who rings late is taken back, who answers late is hung up.
        while wire.sent().is_some() {}
        wire.answer(&invite, 180, "b1", "");
        wire.sent_request("CANCEL");
        wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
        wire.sent_request("ACK");
        wire.sent_request("BYE");
    }
}

#[test]
fn other_requests_to_a_silent_target_keep_timer_f() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, _) = wire.answered_call();
    wire.command(leg, Command::Hangup { cause: None });
    wire.advance(31 * SECOND);
    assert!(wire.agent.has_leg(leg));
    wire.advance(2 * SECOND);
    assert!(!wire.agent.has_leg(leg));
}
