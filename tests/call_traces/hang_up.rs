//! How a page's hang-up is counted.

use super::{CHROMIUM_OFFER, PBX_ANSWER, Trace, ended};
use trunkline::call::{Action, Command, EndReason, Event};

const HANG_UP: Command = Command::HangUp { reason: None };

/// Answered by the PBX, while the browser's transport is not up.
fn answered_unconnected() -> Trace {
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    trace.happens(Event::Accepted {
        sdp: Some(PBX_ANSWER.to_owned()),
        fork: 0,
    });
    trace
}

#[test]
fn hangup_before_transport_is_up_is_ice_failed() {
    let mut trace = answered_unconnected();
    let actions = trace.asked(HANG_UP);
    assert_eq!(ended(&actions), Some(EndReason::IceFailed));
    assert!(actions.contains(&Action::EndPbx {
        reason: EndReason::IceFailed,
        warning: None,
    }));
}

#[test]
fn hangup_after_transport_was_up_is_hangup_local() {
    let mut trace = answered_unconnected();
    trace.happens(Event::PeerConnected);
    assert_eq!(ended(&trace.asked(HANG_UP)), Some(EndReason::HangupLocal));
}

#[test]
fn hangup_while_it_rings_is_cancelled_whatever_the_transport() {
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    assert_eq!(ended(&trace.asked(HANG_UP)), Some(EndReason::Cancelled));
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    trace.happens(Event::PeerConnected);
    assert_eq!(ended(&trace.asked(HANG_UP)), Some(EndReason::Cancelled));
}

#[test]
fn hangup_with_a_reason_ends_with_that_reason() {
    for reason in [
        EndReason::IceFailed,
        EndReason::DtlsFailed,
        EndReason::MediaTimeout,
        EndReason::BadAnswer,
    ] {
        let command = || Command::HangUp {
            reason: Some(reason),
        };
        let mut talking = Trace::established();
        assert_eq!(ended(&talking.asked(command())), Some(reason));
        let (mut ringing, _) = Trace::outgoing(false, CHROMIUM_OFFER);
        assert_eq!(ended(&ringing.asked(command())), Some(reason));
    }
}
