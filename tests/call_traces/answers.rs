//! Answers that say something besides yes: on hold from the beginning, without what was asked for,
//! with keys that were not offered; and calls in which no audio flows.
#![expect(
    clippy::disallowed_methods,
    reason = "a trace begins somewhere in time"
)]

use super::*;

const ON_HOLD: [&str; 3] = ["a=sendonly", "a=inactive", "c=IN IP4 0.0.0.0"];

/// The description with which a PBX holds the call in this way.
fn held(how: &str) -> String {
    match how.starts_with("c=") {
        true => PBX_ANSWER.replace("c=IN IP4 192.0.2.9", how),
        false => PBX_ANSWER.replace("a=sendrecv", how),
    }
}

fn held_notices(actions: &[Action]) -> Vec<bool> {
    let on = |action: &Action| match action {
        Action::Notify(Notice::Held { on }) => Some(*on),
        _ => None,
    };
    actions.iter().filter_map(on).collect()
}

#[test]
fn first_answer_on_hold_is_told_and_resumed() {
    for how in ON_HOLD {
        let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
        let actions = trace.happens(Event::Accepted {
            sdp: Some(held(how)),
            fork: 0,
        });
        let answered = actions
            .iter()
            .position(|action| *action == Action::Notify(Notice::Answered));
        let told = actions
            .iter()
            .position(|action| *action == Action::Notify(Notice::Held { on: true }));
        assert!(answered.is_some() && answered < told, "{how}: {actions:?}");
        let actions = trace.happens(Event::Reoffered {
            sdp: Some(PBX_ANSWER.to_owned()),
            fork: None,
        });
        assert_eq!(held_notices(&actions), [false], "{how}");
    }
}

#[test]
fn first_offer_on_hold_is_told_when_answered() {
    for how in ON_HOLD {
        let (mut trace, actions) = Trace::incoming(Some(&held(how)));
        assert!(held_notices(&actions).is_empty(), "not while it rings");
        let accept = Command::Accept {
            endpoint: CLIENT,
            sdp: include_str!("../fixtures/sdp/chromium-answer.sdp").to_owned(),
        };
        let actions = trace.asked(accept);
        assert_eq!(held_notices(&actions), [true], "{how}: {actions:?}");
    }
    let answered = Trace::established().asked(Command::Hold { on: true });
    assert!(held_notices(&answered).is_empty(), "a hold of ours");
}

fn asked_for_an_offer() -> Trace {
    let mut trace = Trace::established();
    let actions = trace.happens(Event::Reoffered {
        sdp: None,
        fork: None,
    });
    assert!(matches!(actions[..], [Action::AnswerReoffer { .. }]));
    trace
}

fn takes_an_offer(trace: &mut Trace) {
    let actions = trace.happens(Event::Reoffered {
        sdp: Some(PBX_ANSWER.replace("4000", "4444")),
        fork: None,
    });
    let answered = |action: &Action| matches!(action, Action::AnswerReoffer { .. });
    assert!(actions.iter().any(answered), "{actions:?}");
    let actions = trace.asked(Command::Hold { on: true });
    let offered = |action: &Action| matches!(action, Action::Reoffer { .. });
    assert!(actions.iter().any(offered), "{actions:?}");
}

#[test]
fn ack_without_an_answer_keeps_the_old_session() {
    let mut trace = asked_for_an_offer();
    assert_eq!(trace.happens(Event::Confirmed { sdp: None }), []);
    takes_an_offer(&mut trace);
}

#[test]
fn ack_with_an_unusable_answer_keeps_the_old_session() {
    for bad in [
        "v=0\r\nnonsense".to_owned(),
        PBX_ANSWER.replace("m=audio 4000", "m=audio 0"),
        PBX_ANSWER.replace("RTP/AVP 0 101", "RTP/AVP 18"),
        String::new(),
    ] {
        let mut trace = asked_for_an_offer();
        let actions = trace.happens(Event::Confirmed { sdp: Some(bad) });
        assert_eq!(ended(&actions), None);
        takes_an_offer(&mut trace);
    }
}

#[test]
fn hold_asked_for_before_an_empty_ack_goes_out_after_it() {
    let mut trace = asked_for_an_offer();
    assert_eq!(trace.asked(Command::Hold { on: true }), []);
    let actions = trace.happens(Event::Confirmed { sdp: None });
    assert!(
        matches!(&actions[..], [Action::Reoffer { offer }] if offer.contains("a=sendonly")),
        "{actions:?}"
    );
}

#[test]
fn hold_in_an_unanswered_offer_goes_out_again() {
    let mut trace = Trace::established();
    trace.asked(Command::Hold { on: true });
    // Glare: the PBX asks for an offer while ours waits to be made again.
    trace.happens(Event::ReofferRefused {
        status: 491,
        retry_after: Some(Duration::from_secs(2)),
    });
    let actions = trace.happens(Event::Reoffered {
        sdp: None,
        fork: None,
    });
    assert!(
        matches!(&actions[..], [Action::AnswerReoffer { answer }] if answer.contains("a=sendonly"))
    );
    let actions = trace.happens(Event::Confirmed { sdp: None });
    assert!(
        matches!(&actions[..], [Action::Reoffer { offer }] if offer.contains("a=sendonly")),
        "{actions:?}"
    );
}

#[test]
fn answer_with_a_suite_that_was_not_offered_ends_the_call() {
    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let answer = |suite: &str, tag: u32| {
        PBX_ANSWER.replace("RTP/AVP", "RTP/SAVP")
            + &format!("a=crypto:{tag} {suite} inline:{KEY}\r\n")
    };
    let secured = || {
        let mut rules = rules(false);
        rules.trunk.srtp = sdp::SrtpMode::Required;
        rules.trunk.crypto_suites = vec![trunkline::srtp_keys::CryptoSuite::Aes128CmSha1_80];
        let now = Instant::now();
        let call = Call::outgoing(rules, local(), client_offer(CHROMIUM_OFFER), now);
        let mut trace = Trace { call, now };
        trace.actions();
        trace
    };
    let wrong = [
        answer("AES_CM_128_HMAC_SHA1_32", 1),
        answer("AES_CM_128_HMAC_SHA1_80", 2),
        answer("AES_256_CM_HMAC_SHA1_80", 1),
        answer("F8_128_HMAC_SHA1_80", 1),
    ];
    let good = answer("AES_CM_128_HMAC_SHA1_80", 1);
    for wrong in wrong {
        let mut trace = secured();
        let actions = trace.happens(Event::Accepted {
            sdp: Some(wrong.clone()),
            fork: 0,
        });
        assert_eq!(ended(&actions), Some(EndReason::BadPbxDescription));
        // The same in the answer to a later offer: the PBX would send what nobody decrypts.
        let mut trace = secured();
        let actions = trace.happens(Event::Accepted {
            sdp: Some(good.clone()),
            fork: 0,
        });
        assert_eq!(ended(&actions), None);
        trace.asked(Command::Hold { on: true });
        let actions = trace.happens(Event::ReofferAnswered { sdp: wrong });
        assert_eq!(ended(&actions), Some(EndReason::BadPbxDescription));
    }
}

struct Flow(Trace, Quality);

impl Flow {
    fn new(timeout: Option<Duration>) -> Self {
        let mut rules = rules(false);
        rules.media_timeout = timeout;
        let now = Instant::now();
        let call = Call::outgoing(rules, local(), client_offer(CHROMIUM_OFFER), now);
        let mut trace = Trace { call, now };
        trace.happens(Event::PeerConnected);
        trace.happens(Event::Accepted {
            sdp: Some(PBX_ANSWER.to_owned()),
            fork: 0,
        });
        Flow(trace, Quality::default())
    }

    /// Lets so many seconds pass with a report each second and these packets in it.
    fn pass(&mut self, seconds: u32, browser: u64, pbx: u64) -> Option<EndReason> {
        for _ in 0..seconds {
            self.0.now += Duration::from_secs(1);
            self.1.browser.packets_in += browser;
            self.1.pbx.packets_in += pbx;
            let actions = self.0.happens(Event::Measured(Box::new(self.1)));
            if let Some(reason) = ended(&actions) {
                return Some(reason);
            }
        }
        None
    }
}

#[test]
fn media_timeout_ends_a_call_that_is_silent_both_ways() {
    let timeout = Some(Duration::from_secs(60));
    let mut flow = Flow::new(timeout);
    assert_eq!(flow.pass(100, 50, 50), None);
    assert_eq!(flow.pass(59, 0, 0), None);
    assert_eq!(flow.pass(2, 0, 0), Some(EndReason::MediaTimeout));
    for (browser, pbx) in [(50, 0), (0, 50), (1, 0)] {
        let mut flow = Flow::new(timeout);
        assert_eq!(flow.pass(300, browser, pbx), None, "one side is enough");
    }
    assert_eq!(Flow::new(None).pass(300, 0, 0), None, "off");
    let mut never = Flow::new(timeout);
    assert_eq!(never.pass(70, 0, 0), Some(EndReason::MediaTimeout));
}

#[test]
fn media_timeout_does_not_run_on_hold() {
    let mut flow = Flow::new(Some(Duration::from_secs(60)));
    flow.0.happens(Event::Reoffered {
        sdp: Some(held("a=inactive")),
        fork: None,
    });
    assert_eq!(flow.pass(300, 0, 0), None);
    flow.0.happens(Event::Reoffered {
        sdp: Some(PBX_ANSWER.to_owned()),
        fork: None,
    });
    assert_eq!(flow.pass(55, 0, 0), None, "the time begins with the resume");
    assert_eq!(flow.pass(10, 0, 0), Some(EndReason::MediaTimeout));
}
