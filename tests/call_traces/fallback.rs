//! A route with several trunks: what one cannot, the next is asked for.
#![expect(
    clippy::disallowed_methods,
    reason = "a trace begins somewhere in time"
)]

use trunkline::call::TrunkAttempt;

use super::*;

/// A further trunk.
fn attempt(seed: u8, change: impl FnOnce(&mut Rules)) -> TrunkAttempt {
    let mut rules = rules(false);
    change(&mut rules);
    TrunkAttempt {
        rules,
        seed: sdp::KeySeed::new([seed; 32]),
        session: sdp::SessionIds::new(u64::from(seed)),
        rtp: None,
    }
}

fn calling(first: Rules, others: Vec<TrunkAttempt>) -> (Trace, Vec<Action>) {
    let now = Instant::now();
    let call =
        Call::outgoing(first, local(), client_offer(CHROMIUM_OFFER), now).with_fallback(others);
    let mut trace = Trace { call, now };
    let actions = trace.actions();
    (trace, actions)
}

fn refused(status: u16) -> Event {
    Event::Refused {
        status,
        cause: None,
        from_pbx: true,
    }
}

fn unheard(status: u16) -> Event {
    Event::Refused {
        status,
        cause: None,
        from_pbx: false,
    }
}

fn progress(status: u16, sdp: Option<&str>) -> Event {
    Event::Progressed {
        status,
        sdp: sdp.map(str::to_owned),
        fork: 0,
    }
}

/// The offer to the next trunk; `None` where it is not called.
fn next_offer(actions: &[Action]) -> Option<Option<&str>> {
    actions.iter().find_map(|action| match action {
        Action::InviteNext { offer, .. } => Some(offer.as_deref()),
        _ => None,
    })
}

fn notices(actions: &[Action]) -> Vec<&Notice> {
    let mut notices = Vec::new();
    for action in actions {
        if let Action::Notify(notice) = action {
            notices.push(notice);
        }
    }
    notices
}

#[test]
fn what_the_trunk_cannot_is_tried_by_the_next_and_what_the_callee_will_not_is_not() {
    for status in 300..=699 {
        let (mut trace, _) = calling(rules(false), vec![attempt(2, |_| {})]);
        let actions = trace.happens(refused(status));
        let goes_on = matches!(status, 408 | 500 | 502 | 503 | 504);
        assert_eq!(next_offer(&actions).is_some(), goes_on, "{status}");
        assert_eq!(ended(&actions).is_none(), goes_on, "{status}");
        if goes_on {
            assert_eq!(notices(&actions), Vec::<&Notice>::new(), "{status}");
            assert_eq!(
                ended(&trace.happens(refused(486))),
                Some(EndReason::Busy),
                "the end is what the last trunk said"
            );
        }
    }
    // No answer, no connection, no address.
    for status in [408, 503] {
        let (mut trace, _) = calling(rules(false), vec![attempt(2, |_| {})]);
        assert!(next_offer(&trace.happens(unheard(status))).is_some());
    }
}

#[test]
fn each_trunk_is_asked_once_and_the_last_failure_is_the_calls_end() {
    let others = vec![attempt(2, |_| {}), attempt(3, |_| {})];
    let (mut trace, _) = calling(rules(false), others);
    assert!(next_offer(&trace.happens(refused(503))).is_some());
    assert!(next_offer(&trace.happens(unheard(408))).is_some());
    let actions = trace.happens(refused(502));
    assert_eq!(next_offer(&actions), None);
    let end = actions.last();
    let expected = Action::Finish {
        reason: EndReason::TrunkUnreachable,
        status: Some(502),
    };
    assert_eq!(end, Some(&expected));
}

#[test]
fn the_browser_keeps_its_one_answer_and_hears_of_the_later_ringing() {
    let (mut trace, actions) = calling(rules(false), vec![attempt(2, |_| {})]);
    assert!(answer_of(&actions).is_some());
    let announced = trace.happens(progress(183, Some(PBX_ANSWER)));
    assert!(told(&announced, &Notice::EarlyMedia));
    let left = trace.happens(refused(503));
    assert!(next_offer(&left).is_some());
    assert_eq!(pbx_direction(&left), Some(Direction::Inactive));
    assert_eq!(notices(&left), Vec::<&Notice>::new());
    let ringing = trace.happens(progress(180, None));
    assert_eq!(notices(&ringing), [&Notice::Ringing]);
    let elsewhere = PBX_ANSWER.replace("4000", "4444");
    let answered = trace.happens(Event::Accepted {
        sdp: Some(elsewhere),
        fork: 0,
    });
    assert_eq!(notices(&answered), [&Notice::Answered]);
    assert_eq!(pbx_direction(&answered), Some(Direction::SendRecv));
    assert!(
        answered
            .iter()
            .any(|action| matches!(action, Action::SetRemoteRtp { rtp, .. } if rtp.port() == 4444))
    );
}

#[test]
fn a_description_of_the_trunk_that_was_left_is_no_answer_of_the_next() {
    let (mut trace, _) = calling(rules(false), vec![attempt(2, |_| {})]);
    trace.happens(progress(183, Some(PBX_ANSWER)));
    trace.happens(refused(503));
    let actions = trace.happens(Event::Accepted { sdp: None, fork: 0 });
    assert_eq!(ended(&actions), Some(EndReason::BadPbxDescription));
}

#[test]
fn who_has_rung_is_rung_again_only_where_the_trunk_itself_gave_up() {
    for (event, goes_on) in [
        (refused(503), true),
        (refused(500), true),
        (refused(408), false),
        (unheard(408), false),
        // It may ring on behind the broken connection.
        (unheard(503), false),
    ] {
        let (mut trace, _) = calling(rules(false), vec![attempt(2, |_| {})]);
        trace.happens(progress(180, None));
        let actions = trace.happens(event.clone());
        assert_eq!(next_offer(&actions).is_some(), goes_on, "{event:?}");
    }
}

#[test]
fn each_trunk_is_offered_its_own_codecs_and_keys_that_no_other_has_seen() {
    let keys = |offer: &str| -> Vec<String> {
        let inline = offer.lines().filter_map(|line| line.split_once("inline:"));
        inline.map(|(_, key)| key.to_owned()).collect()
    };
    let mut first = rules(false);
    first.trunk.srtp = sdp::SrtpMode::Required;
    let secured = attempt(2, |rules| {
        rules.trunk.srtp = sdp::SrtpMode::Required;
        rules.trunk.codecs = vec![Codec::Pcma];
    });
    let plain = attempt(3, |rules| rules.trunk.codecs = vec![Codec::Opus]);
    let (mut trace, actions) = calling(first, vec![secured, plain]);
    let offered = actions.iter().find_map(|action| match action {
        Action::Invite { offer } => offer.as_deref(),
        _ => None,
    });
    let offered = keys(offered.expect("an INVITE"));
    assert_eq!(offered.len(), 3);
    let actions = trace.happens(refused(503));
    let second = next_offer(&actions).flatten().expect("an offer");
    assert!(second.contains("RTP/SAVP 8 "), "{second}");
    assert!(second.contains("o=- 2 "), "{second}");
    assert_eq!(keys(second).len(), 3);
    assert!(keys(second).iter().all(|key| !offered.contains(key)));
    let actions = trace.happens(refused(503));
    let third = next_offer(&actions).flatten().expect("an offer");
    assert!(
        third.contains("RTP/AVP ") && third.contains("opus/48000/2"),
        "{third}"
    );
    assert_eq!(keys(third), Vec::<String>::new());
}

#[test]
fn a_trunk_that_wants_to_offer_is_asked_for_its_offer() {
    let (mut trace, actions) = calling(
        rules(true),
        vec![attempt(2, |rules| rules.delayed_offer = true)],
    );
    assert_eq!(
        answer_of(&actions),
        None,
        "the first trunk decides the codec"
    );
    let actions = trace.happens(refused(503));
    assert_eq!(next_offer(&actions), Some(None));
    // By this trunk's policy nothing is left to decide.
    assert!(answer_of(&actions).is_some());
    let actions = trace.happens(Event::Accepted {
        sdp: Some(PBX_ANSWER.to_owned()),
        fork: 0,
    });
    assert!(told(&actions, &Notice::Answered));
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Confirm { .. }))
    );
}

#[test]
fn who_hangs_up_in_between_calls_nobody_else() {
    let (mut trace, _) = calling(rules(false), vec![attempt(2, |_| {}), attempt(3, |_| {})]);
    assert!(next_offer(&trace.happens(refused(503))).is_some());
    let actions = trace.asked(Command::HangUp { reason: None });
    assert_eq!(ended(&actions), Some(EndReason::Cancelled));
    assert!(actions.contains(&Action::EndPbx {
        reason: EndReason::Cancelled,
        warning: None,
    }));
    assert_eq!(trace.happens(refused(503)), []);
}

#[test]
fn all_trunks_together_have_one_ring_timeout() {
    let (mut trace, _) = calling(rules(false), vec![attempt(2, |_| {})]);
    trace.happens(Event::PeerConnected);
    trace.now += Duration::from_secs(59);
    trace.happens(refused(503));
    let deadline = trace.call.poll_timeout().expect("it may not ring for ever");
    assert_eq!(deadline, trace.now + Duration::from_secs(1));
    trace.call.handle_timeout(deadline);
    assert_eq!(ended(&trace.actions()), Some(EndReason::NoAnswer));
}

#[test]
fn keys_of_the_page_go_by_the_policy_of_the_trunk_that_answered() {
    let relay = attempt(2, |rules| rules.digits = DigitsBy::InfoRelay);
    let (mut trace, _) = calling(rules(false), vec![relay]);
    trace.happens(refused(503));
    trace.happens(Event::Accepted {
        sdp: Some(PBX_ANSWER.to_owned()),
        fork: 0,
    });
    let actions = trace.asked(Command::SendDigits {
        digits: "5".to_owned(),
        duration: Duration::from_millis(100),
    });
    assert!(
        matches!(actions[..], [Action::SendInfo { .. }]),
        "{actions:?}"
    );
}
