//! Transfers without a call around them: which leg is invited, adopted, released.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::sdp::offer_answer::OfferState;

const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0\r\n";

fn described() -> LegDescription {
    let address: SocketAddr = "198.51.100.7:20000".parse().expect("an address");
    LegDescription {
        local: address.into(),
        policy: TrunkPolicy::default(),
        session: SessionIds::new(40),
    }
}

/// A transfer, what it wants done, and the time at which a refer target was invited.
struct Trace {
    transfer: Transfer,
    actions: VecDeque<Action>,
    now: Instant,
}

impl Trace {
    #[expect(
        clippy::disallowed_methods,
        reason = "a trace begins somewhere in time"
    )]
    fn new() -> Self {
        Trace {
            transfer: Transfer::default(),
            actions: VecDeque::new(),
            now: Instant::now(),
        }
    }

    fn inviting() -> Self {
        let mut trace = Trace::new();
        trace.is_referred();
        let actions = trace.done();
        assert!(matches!(actions[..], [Action::InviteReferTarget { .. }]));
        trace
    }

    fn is_referred(&mut self) {
        let deadline = self.now + Duration::from_secs(60);
        let to = "700".to_owned();
        self.transfer
            .invite_refer_target(to, described(), deadline, &mut self.actions);
    }

    fn leg(&mut self, event: Event) -> Outcome {
        self.transfer.handle_leg(event, &mut self.actions)
    }

    fn accepted(&mut self, sdp: Option<&str>) -> Outcome {
        self.leg(Event::Accepted {
            sdp: sdp.map(Into::into),
            fork: 0,
        })
    }

    fn refused(&mut self, status: u16) -> Outcome {
        self.leg(Event::Refused {
            status,
            cause: None,
            from_pbx: true,
        })
    }

    fn replaced(&mut self, sdp: Option<&str>) -> Outcome {
        let from = "800".to_owned();
        self.transfer
            .replaced(from, sdp, described(), &mut self.actions)
    }

    fn done(&mut self) -> Vec<Action> {
        self.actions.drain(..).collect()
    }
}

fn reported(status: u16, last: bool) -> Action {
    Action::ReportTransfer { status, last }
}

#[test]
fn refer_target_that_answers_is_adopted() {
    let mut trace = Trace::inviting();
    assert_eq!(
        trace.transfer.poll_timeout(),
        Some(trace.now + Duration::from_secs(60))
    );
    let outcome = trace.leg(Event::Progressed {
        status: 180,
        sdp: None,
        fork: 0,
    });
    assert!(matches!(outcome, Outcome::Continue));
    let outcome = trace.accepted(Some(ANSWER));
    let Outcome::Adopt(leg) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((leg.to.as_str(), leg.session), ("700", SessionIds::new(41)));
    assert!(leg.negotiation.remote().is_some());
    assert_eq!(trace.done(), [reported(180, false), reported(200, true)]);
    assert_eq!(trace.transfer.poll_timeout(), None);
}

#[test]
fn refer_target_without_usable_answer_is_released() {
    for sdp in [None, Some("v=0"), Some(&ANSWER.replace("4000", "0")[..])] {
        let mut trace = Trace::inviting();
        assert!(matches!(trace.accepted(sdp), Outcome::Continue));
        assert_eq!(trace.done(), [Action::ReleaseLeg, reported(488, true)]);
        trace.is_referred();
        let again = trace.done();
        assert!(matches!(again[..], [Action::InviteReferTarget { .. }]));
    }
}

#[test]
fn refused_refer_target_leaves_the_call_its_leg() {
    let mut trace = Trace::inviting();
    assert!(matches!(trace.refused(486), Outcome::Continue));
    assert_eq!(trace.done(), [reported(486, true)]);
    assert!(!trace.transfer.leg_ended(), "nothing is waited for");
}

#[test]
fn call_without_another_leg_ends_with_the_refer_target() {
    let mut trace = Trace::inviting();
    assert!(trace.transfer.leg_ended());
    let outcome = trace.refused(486);
    assert!(matches!(outcome, Outcome::End(EndReason::Busy, Some(486))));
    let mut trace = Trace::inviting();
    assert!(trace.transfer.leg_ended());
    let late = trace.now + Duration::from_secs(60);
    let outcome = trace.transfer.handle_timeout(late, &mut trace.actions);
    assert!(matches!(outcome, Outcome::End(EndReason::NoAnswer, None)));
    assert_eq!(trace.done(), [Action::ReleaseLeg]);
}

#[test]
fn refer_target_that_rings_too_long_is_released() {
    let mut trace = Trace::inviting();
    let early = trace.now + Duration::from_secs(59);
    let outcome = trace.transfer.handle_timeout(early, &mut trace.actions);
    assert!(matches!(outcome, Outcome::Continue) && trace.actions.is_empty());
    let late = trace.now + Duration::from_secs(60);
    let outcome = trace.transfer.handle_timeout(late, &mut trace.actions);
    assert!(matches!(outcome, Outcome::Continue));
    assert_eq!(trace.done(), [Action::ReleaseLeg, reported(408, true)]);
}

#[test]
fn replacing_leg_is_adopted_with_either_side_offering() {
    let mut trace = Trace::new();
    let outcome = trace.replaced(Some(ANSWER));
    let Outcome::Replace(leg) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(leg.to, "800");
    assert!(leg.negotiation.is_last_offer_remote());
    let outcome = trace.replaced(None);
    let Outcome::Replace(next) = outcome else {
        panic!("{outcome:?}");
    };
    let open = OfferState::HaveLocalOffer(OfferIn::Response);
    assert_eq!(next.negotiation.state(), open);
    assert_ne!(next.session, leg.session, "no session twice");
    let actions = trace.done();
    assert!(matches!(
        actions[..],
        [
            Action::AcceptReplacingLeg { .. },
            Action::AcceptReplacingLeg { .. }
        ]
    ));
}

#[test]
fn replacing_leg_without_usable_offer_is_refused() {
    let mut trace = Trace::new();
    let outcome = trace.replaced(Some(&ANSWER.replace("AVP 0", "AVP 18")));
    assert!(matches!(outcome, Outcome::Continue));
    let actions = trace.done();
    assert!(matches!(
        actions[..],
        [Action::RefuseReplacingLeg {
            status: 488,
            warning: Some(_)
        }]
    ));
}

#[test]
fn one_transfer_at_a_time() {
    let mut trace = Trace::inviting();
    trace.is_referred();
    assert_eq!(trace.done(), [reported(491, true)]);
    assert!(matches!(trace.replaced(Some(ANSWER)), Outcome::Continue));
    assert_eq!(
        trace.done(),
        [Action::RefuseReplacingLeg {
            status: 491,
            warning: None
        }]
    );
    let to = || TransferTarget::Dialog(crate::call::message::DialogId(1));
    trace.transfer.refer(to(), &mut trace.actions);
    let actions = trace.done();
    assert!(matches!(
        actions[..],
        [Action::Notify(Notice::Refused {
            refusal: Refusal::BadState,
            ..
        })]
    ));

    let mut trace = Trace::new();
    trace.transfer.refer(to(), &mut trace.actions);
    assert_eq!(trace.done(), [Action::Refer { to: to() }]);
    trace.is_referred();
    assert_eq!(trace.done(), [reported(491, true)]);
    // Whoever replaces our leg ends what was asked of it.
    assert!(matches!(trace.replaced(Some(ANSWER)), Outcome::Replace(_)));
    trace.done();
    let outcome = trace.transfer.notified(200, true, &mut trace.actions);
    assert!(matches!(outcome, Outcome::Continue));
}

#[test]
fn transfer_that_the_client_asked_for_ends_the_call_or_fails() {
    let to = || TransferTarget::Dialog(crate::call::message::DialogId(1));
    for (status, ends) in [(202, true), (603, false)] {
        let mut trace = Trace::new();
        trace.transfer.refer(to(), &mut trace.actions);
        let outcome = trace.transfer.notified(180, false, &mut trace.actions);
        assert!(matches!(outcome, Outcome::Continue));
        let outcome = trace.transfer.notified(status, true, &mut trace.actions);
        let ended = matches!(outcome, Outcome::End(EndReason::Transferred, None));
        assert_eq!(ended, ends, "{outcome:?}");
        let failed = Action::Notify(Notice::TransferFailed { status });
        assert_eq!(trace.done().contains(&failed), !ends);
    }
}
