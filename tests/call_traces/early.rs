//! Before the answer: forks, early descriptions and UPDATEs, and offers that the PBX makes.
#![expect(
    clippy::disallowed_methods,
    reason = "a trace begins somewhere in time"
)]

use super::*;

fn pointed_at(actions: &[Action]) -> Option<u16> {
    actions.iter().rev().find_map(|action| match action {
        Action::SetRemoteRtp { rtp, .. } => Some(rtp.port()),
        _ => None,
    })
}

fn at_port(port: u16) -> String {
    PBX_ANSWER.replace("4000", &port.to_string())
}

#[test]
fn forks_move_the_rtp_side_and_the_browser_keeps_its_one_answer() {
    let (mut trace, actions) = Trace::outgoing(false, CHROMIUM_OFFER);
    assert!(answer_of(&actions).is_some());
    let mut told_early = 0;
    let mut says = |trace: &mut Trace, status, port: Option<u16>, fork| {
        let sdp = port.map(at_port);
        let actions = trace.happens(Event::Progressed { status, sdp, fork });
        assert_eq!(answer_of(&actions), None);
        told_early += u32::from(told(&actions, &Notice::EarlyMedia));
        pointed_at(&actions)
    };
    assert_eq!(says(&mut trace, 183, Some(4100), 0), Some(4100));
    // Ringing of the same and of another telephone leaves the announcement on.
    assert_eq!(says(&mut trace, 180, None, 0), None);
    assert_eq!(says(&mut trace, 180, None, 1), None);
    assert_eq!(says(&mut trace, 183, Some(4200), 1), Some(4200));
    // Repeated to stay alive: not a reason to switch back.
    assert_eq!(says(&mut trace, 183, Some(4100), 0), None);
    assert_eq!(says(&mut trace, 183, Some(4300), 2), Some(4300));
    // The one that is heard is out: the last of the others is heard.
    let actions = trace.happens(Event::ForkEnded { fork: 2 });
    assert_eq!(pointed_at(&actions), Some(4200));
    assert_eq!(told_early, 1);
    // The first answers, without a word on where: it was said before.
    let actions = trace.happens(Event::Accepted { sdp: None, fork: 0 });
    assert_eq!(pointed_at(&actions), Some(4100));
    assert!(told(&actions, &Notice::Answered));
    assert_eq!(answer_of(&actions), None);
}

#[test]
fn another_codec_in_the_2xx_of_another_fork_is_taken() {
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    trace.happens(Event::Progressed {
        status: 183,
        sdp: Some(at_port(4100)),
        fork: 0,
    });
    let pcma = at_port(4200)
        .replace("RTP/AVP 0 101", "RTP/AVP 8 101")
        .replace("0 PCMU/8000", "8 PCMA/8000");
    let actions = trace.happens(Event::Accepted {
        sdp: Some(pcma),
        fork: 1,
    });
    assert_eq!(pointed_at(&actions), Some(4200));
    assert!(actions.iter().any(
        |action| matches!(action, Action::SetFormats { pbx, .. } if pbx.send.codec == Codec::Pcma)
    ));
}

#[test]
fn an_update_before_the_answer_moves_its_fork_and_outlasts_the_old_description() {
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    trace.happens(Event::Progressed {
        status: 183,
        sdp: Some(at_port(4100)),
        fork: 0,
    });
    let actions = trace.happens(Event::Reoffered {
        sdp: Some(at_port(4111)),
        fork: Some(0),
    });
    assert_eq!(pointed_at(&actions), Some(4111));
    let answered = actions
        .iter()
        .any(|action| matches!(action, Action::AnswerReoffer { answer } if answer.contains("m=audio 20000")));
    assert!(answered, "{actions:?}");
    let actions = trace.happens(Event::Reoffered {
        sdp: Some("v=0".to_owned()),
        fork: Some(0),
    });
    let [
        Action::RefuseReoffer {
            status: 488,
            warning: Some(warning),
        },
    ] = actions.as_slice()
    else {
        panic!("{actions:?}");
    };
    assert_eq!(warning.code, 304);
    // The 2xx repeats the answer from before the UPDATE.
    let actions = trace.happens(Event::Accepted {
        sdp: Some(at_port(4100)),
        fork: 0,
    });
    assert_eq!(pointed_at(&actions), None);
    assert!(told(&actions, &Notice::Answered));
    // Held from then on with the lines of the PBX's offer.
    let actions = trace.asked(Command::Hold { on: true });
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Reoffer { .. }))
    );
}

fn delayed(passthrough: bool) -> Trace {
    let now = Instant::now();
    let rules = Rules {
        delayed_offer: true,
        ..rules(passthrough)
    };
    let call = Call::outgoing(rules, local(), client_offer(CHROMIUM_OFFER), now);
    let mut trace = Trace { call, now };
    let actions = trace.actions();
    assert!(actions.contains(&Action::Invite { offer: None }));
    trace
}

#[test]
fn an_offer_of_the_pbx_is_answered_in_the_ack() {
    for passthrough in [false, true] {
        let mut trace = delayed(passthrough);
        let actions = trace.happens(Event::Accepted {
            sdp: Some(PBX_ANSWER.to_owned()),
            fork: 0,
        });
        let confirmed = actions.iter().any(
            |action| matches!(action, Action::Confirm { answer } if answer.contains("m=audio 20000 RTP/AVP 0")),
        );
        assert!(confirmed, "{actions:?}");
        assert_eq!(pointed_at(&actions), Some(4000));
        assert!(told(&actions, &Notice::Answered));
    }
    let mut trace = delayed(false);
    let actions = trace.happens(Event::Accepted {
        sdp: Some(
            PBX_ANSWER
                .replace("RTP/AVP 0 101", "RTP/AVP 3")
                .replace("0 PCMU", "3 GSM"),
        ),
        fork: 0,
    });
    assert_eq!(ended(&actions), Some(EndReason::NoCommonCodec));
}

#[test]
fn an_offer_in_a_provisional_answer_is_answered_once() {
    let mut trace = delayed(false);
    let actions = trace.happens(Event::Progressed {
        status: 183,
        sdp: Some(PBX_ANSWER.to_owned()),
        fork: 4,
    });
    let answered = actions.iter().any(
        |action| matches!(action, Action::AnswerProgress { fork: 4, answer } if !answer.is_empty()),
    );
    assert!(answered, "{actions:?}");
    assert!(told(&actions, &Notice::EarlyMedia));
    let actions = trace.happens(Event::Accepted { sdp: None, fork: 4 });
    assert!(told(&actions, &Notice::Answered));
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Confirm { .. }))
    );
}

#[test]
fn an_invite_without_description_that_wants_reliable_answers_has_our_offer_in_the_180() {
    for prack_first in [true, false] {
        let now = Instant::now();
        let invitation = Invitation {
            from: "1001".to_owned(),
            to: "web-alice".to_owned(),
            endpoints: vec![CLIENT],
            reliable: true,
            ..Invitation::default()
        };
        let call = Call::incoming(rules(false), local(), invitation, now);
        let mut trace = Trace { call, now };
        let offered = trace.actions().iter().any(
            |action| matches!(action, Action::Progress { status: 180, sdp: Some(sdp) } if sdp.contains("m=audio 20000")),
        );
        assert!(offered);
        let confirmed = Event::ProgressConfirmed {
            sdp: Some(PBX_ANSWER.to_owned()),
        };
        let accept = Command::Accept {
            endpoint: CLIENT,
            sdp: browser_answer(),
        };
        let mut actions = Vec::new();
        if prack_first {
            assert!(trace.happens(confirmed).is_empty());
            actions.extend(trace.asked(accept));
        } else {
            actions.extend(trace.asked(accept));
            assert!(!told(&actions, &Notice::Answered));
            actions.extend(trace.happens(confirmed));
        }
        assert!(actions.contains(&Action::Accept { sdp: String::new() }));
        assert_eq!(pointed_at(&actions), Some(4000));
        assert!(told(&actions, &Notice::Answered));
        assert!(trace.happens(Event::Confirmed { sdp: None }).is_empty());
    }
}

#[test]
fn digits_go_out_as_the_trunk_wants_them() {
    for (digits, expected) in [
        (
            DigitsBy::InfoRelay,
            ("application/dtmf-relay", "Signal=#\r\nDuration=120\r\n"),
        ),
        (DigitsBy::Info, ("application/dtmf", "#")),
    ] {
        let now = Instant::now();
        let rules = Rules {
            digits,
            ..rules(false)
        };
        let call = Call::outgoing(rules, local(), client_offer(CHROMIUM_OFFER), now);
        let mut trace = Trace { call, now };
        trace.happens(Event::Accepted {
            sdp: Some(PBX_ANSWER.to_owned()),
            fork: 0,
        });
        let actions = trace.asked(Command::SendDigits {
            digits: "5#".to_owned(),
            duration: Duration::from_millis(120),
        });
        let (content_type, body) = expected;
        assert_eq!(actions.len(), 2);
        let last = Action::SendInfo {
            content_type,
            body: body.to_owned(),
        };
        assert_eq!(actions.last(), Some(&last));
        // INFO has no pauses.
        let actions = trace.asked(Command::SendDigits {
            digits: "5,#".to_owned(),
            duration: Duration::from_millis(120),
        });
        assert!(
            matches!(
                &actions[..],
                [Action::Notify(Notice::Refused {
                    refusal: Refusal::DtmfRefused,
                    ..
                })]
            ),
            "{actions:?}"
        );
    }
}

#[test]
fn digits_that_the_media_refuses_are_told_to_the_page() {
    let mut trace = Trace::established();
    let actions = trace.happens(Event::DigitsRefused {
        message: "65 digits would wait".to_owned(),
    });
    let refused = Notice::Refused {
        refusal: Refusal::DtmfRefused,
        message: "65 digits would wait".to_owned(),
    };
    assert!(told(&actions, &refused));
}

#[test]
fn a_page_that_closes_its_connection_has_hung_up() {
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    trace.happens(Event::PeerConnected);
    let actions = trace.happens(Event::PeerClosed);
    assert_eq!(ended(&actions), Some(EndReason::Cancelled));
    let (mut trace, _) = Trace::incoming(Some(PBX_ANSWER));
    let actions = trace.happens(Event::PeerClosed);
    assert_eq!(ended(&actions), Some(EndReason::Declined));
    let mut trace = Trace::established();
    let actions = trace.happens(Event::PeerClosed);
    assert_eq!(ended(&actions), Some(EndReason::HangupLocal));
}
