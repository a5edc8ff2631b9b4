//! Transfers, and calls that end while one is under way.

use super::*;

fn is_reported(actions: &[Action], status: u16) -> bool {
    actions.contains(&Action::ReportTransfer { status, last: true })
}

/// Both legs are ended and nothing is done beside: the SIP side tells who waits for a transfer.
#[track_caller]
fn ends_both(actions: &[Action], expected: EndReason) {
    let [Action::EndPbx { reason, .. }, Action::Finish { .. }] = actions else {
        panic!("{actions:?}");
    };
    assert_eq!((*reason, ended(actions)), (expected, Some(expected)));
}

/// A call whose page has asked the PBX for a transfer.
fn asked() -> Trace {
    let mut trace = Trace::established();
    let to = TransferTarget::Number {
        trunks: vec!["pbx".to_owned()],
        number: "700".to_owned(),
    };
    let actions = trace.asked(Command::Transfer { to: to.clone() });
    assert_eq!(actions, [Action::Refer { to }]);
    trace
}

/// A call that the PBX has sent on, to somebody who has not answered.
fn referred() -> Trace {
    let mut trace = Trace::established();
    let to = "700".to_owned();
    let actions = trace.happens(Event::Referred {
        to,
        attended: false,
    });
    assert!(matches!(actions[..], [Action::InviteReferTarget { .. }]));
    trace
}

fn transfer_leg(event: Event) -> Event {
    Event::TransferLeg(Box::new(event))
}

/// All that ends a call from this side, and what its reason is.
fn endings() -> [(Input, EndReason); 6] {
    let failed = Event::PeerFailed {
        reason: EndReason::IceFailed,
    };
    [
        (
            Input::Asked(Command::HangUp { reason: None }),
            EndReason::HangupLocal,
        ),
        (
            Input::Asked(Command::Detach {
                endpoint: CLIENT,
                reason: EndReason::SignalingLost,
            }),
            EndReason::SignalingLost,
        ),
        (Input::Asked(Command::ShutDown), EndReason::Shutdown),
        (Input::Happens(Event::MediaLost), EndReason::Internal),
        (Input::Happens(Event::PeerClosed), EndReason::HangupLocal),
        (Input::Happens(failed), EndReason::IceFailed),
    ]
}

enum Input {
    Asked(Command),
    Happens(Event),
}

impl Trace {
    fn takes(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Asked(command) => self.asked(command),
            Input::Happens(event) => self.happens(event),
        }
    }
}

#[test]
fn a_call_that_ends_here_before_its_transfer_was_not_transferred() {
    for (input, reason) in endings() {
        let mut trace = asked();
        ends_both(&trace.takes(input), reason);
        // What is told too late changes nothing.
        let late = Event::TransferTold {
            status: 200,
            last: true,
        };
        assert_eq!(trace.happens(late), []);
    }
}

#[test]
fn a_transfer_is_what_the_pbx_says_and_not_any_end() {
    for (event, reason) in [
        (
            Event::Ended {
                reason: EndReason::HangupRemote,
            },
            EndReason::HangupRemote,
        ),
        (
            Event::Ended {
                reason: EndReason::Transferred,
            },
            EndReason::Transferred,
        ),
        (
            Event::Ended {
                reason: EndReason::TrunkUnreachable,
            },
            EndReason::TrunkUnreachable,
        ),
        (
            Event::TransferTold {
                status: 200,
                last: true,
            },
            EndReason::Transferred,
        ),
    ] {
        ends_both(&asked().happens(event), reason);
    }
}

#[test]
fn a_call_that_ends_while_the_new_party_is_called_ends_both_legs() {
    let states: [fn() -> Trace; 3] = [
        referred,
        || {
            let mut trace = referred();
            let ringing = Event::Progressed {
                status: 180,
                sdp: None,
                fork: 0,
            };
            let told = trace.happens(transfer_leg(ringing));
            let status = 180;
            assert_eq!(
                told,
                [Action::ReportTransfer {
                    status,
                    last: false
                }]
            );
            trace
        },
        // The PBX has left: there is no way back.
        || {
            let mut trace = referred();
            let reason = EndReason::HangupRemote;
            assert_eq!(trace.happens(Event::Ended { reason }), []);
            trace
        },
    ];
    for state in states {
        for (input, reason) in endings() {
            ends_both(&state().takes(input), reason);
        }
    }
}

#[test]
fn an_answer_in_the_moment_of_the_end_is_taken_by_whichever_came_first() {
    let accepted = || {
        transfer_leg(Event::Accepted {
            sdp: Some(PBX_ANSWER.to_owned()),
            fork: 0,
        })
    };
    for (input, reason) in endings() {
        let mut trace = referred();
        let actions = trace.happens(accepted());
        assert!(is_reported(&actions, 200));
        ends_both(&trace.takes(input), reason);
    }
    for (input, reason) in endings() {
        let mut trace = referred();
        ends_both(&trace.takes(input), reason);
        assert_eq!(trace.happens(accepted()), []);
    }
}

#[test]
fn a_call_that_waits_for_its_ack_is_not_sent_on_and_says_so_at_once() {
    let (mut trace, _) = Trace::incoming(None);
    let accept = Command::Accept {
        endpoint: CLIENT,
        sdp: browser_answer(),
    };
    trace.asked(accept);
    let to = "700".to_owned();
    let actions = trace.happens(Event::Referred {
        to,
        attended: false,
    });
    assert!(is_reported(&actions, 491), "{actions:?}");
    let actions = trace.happens(Event::Confirmed {
        sdp: Some(PBX_ANSWER.to_owned()),
    });
    assert!(told(&actions, &Notice::Answered));
}
