//! What the field writes into descriptions, and what each side is told of it.

use super::*;

/// A PBX's description with Opus and these further lines.
fn opus(lines: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP 107\r\na=rtpmap:107 opus/48000/2\r\n{lines}"
    )
}

#[test]
fn opus_passed_through_takes_the_packet_length_of_the_pbx_into_the_answer() {
    for (lines, ptime) in [
        ("a=ptime:60\r\n", 60),
        ("a=ptime:60\r\na=maxptime:40\r\n", 40),
        ("a=maxptime:10\r\n", 10),
        ("", 20),
    ] {
        let mut rules = rules(true);
        rules.trunk.codecs = vec![Codec::Opus, Codec::Pcmu];
        let now = Instant::now();
        let call = Call::outgoing(rules, local(), client_offer(CHROMIUM_OFFER), now);
        let mut trace = Trace { call, now };
        let actions = trace.actions();
        assert_eq!(answer_of(&actions), None, "it waits for the PBX's codec");
        let actions = trace.happens(Event::Accepted {
            sdp: Some(opus(lines)),
            fork: 0,
        });
        let answer = answer_of(&actions).expect("an answer");
        assert!(answer.contains(&format!("a=ptime:{ptime}\r\n")), "{answer}");
    }
}

/// The status of a refused INVITE with the code of its warning.
fn refused_with(actions: &[Action]) -> Option<(u16, u16)> {
    actions.iter().find_map(|action| match action {
        Action::EndPbx { reason, warning } => {
            let code = warning.as_ref().map_or(0, |warning| warning.code);
            Some((reason.ending().sip_status, code))
        }
        _ => None,
    })
}

#[test]
fn offer_that_cannot_be_used_is_refused_with_a_warning() {
    let with = |from: &str, to: &str| {
        let (_, actions) = Trace::incoming(Some(&PBX_ANSWER.replace(from, to)));
        refused_with(&actions)
    };
    assert_eq!(
        with("c=IN IP4 192.0.2.9", "c=IN IP6 2001:db8::9"),
        Some((488, 301))
    );
    assert_eq!(
        with("c=IN IP4 192.0.2.9", "c=IN IP7 192.0.2.9"),
        Some((488, 301))
    );
    assert_eq!(with("m=audio", "m=video"), Some((488, 304)));
    assert_eq!(with("AVP 0 101", "AVP 18 101"), Some((488, 305)));
    assert_eq!(with("c=IN IP4 192.0.2.9\r\n", ""), Some((488, 307)));
    assert_eq!(with("v=0", "v=0"), None);
}

#[test]
fn new_offer_in_another_family_is_refused_and_the_call_goes_on() {
    let mut trace = Trace::established();
    let elsewhere = PBX_ANSWER.replace("c=IN IP4 192.0.2.9", "c=IN IP6 2001:db8::9");
    let actions = trace.happens(Event::Reoffered {
        sdp: Some(elsewhere),
        fork: None,
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
    assert_eq!(warning.code, 301);
    // A hold by an unspecified address of the other family is one all the same.
    let held = PBX_ANSWER.replace("c=IN IP4 192.0.2.9", "c=IN IP6 ::");
    let actions = trace.happens(Event::Reoffered {
        sdp: Some(held),
        fork: None,
    });
    assert!(told(&actions, &Notice::Held { on: true }), "{actions:?}");
}

#[test]
fn new_offer_of_the_same_version_moves_the_media() {
    let mut trace = Trace::established();
    let moved = PBX_ANSWER.replace("m=audio 4000", "m=audio 4444");
    let actions = trace.happens(Event::Reoffered {
        sdp: Some(moved),
        fork: None,
    });
    let pointed = actions
        .iter()
        .any(|action| matches!(action, Action::SetRemoteRtp { rtp, .. } if rtp.port() == 4444));
    assert!(pointed, "{actions:?}");
}
