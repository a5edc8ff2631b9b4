//! Keys of SRTP in the descriptions of a call.
#![expect(
    clippy::disallowed_methods,
    reason = "a trace begins somewhere in time"
)]

use super::*;

#[test]
fn who_asks_for_our_offer_in_mid_call_is_offered_new_keys_and_who_is_held_the_one_in_use() {
    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| line.starts_with("a=crypto:"))
            .map(str::to_owned)
            .collect()
    };
    let mut rules = rules(false);
    rules.trunk.srtp = sdp::SrtpMode::Required;
    let now = Instant::now();
    let call = Call::outgoing(rules, local(), client_offer(CHROMIUM_OFFER), now);
    let mut trace = Trace { call, now };
    let offer = trace.actions().into_iter().find_map(|action| match action {
        Action::Invite { offer } => offer,
        _ => None,
    });
    let offered = lines(&offer.expect("an INVITE"));
    assert_eq!(offered.len(), 3);
    let answer = PBX_ANSWER.replace("RTP/AVP", "RTP/SAVP")
        + &format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n");
    trace.happens(Event::PeerConnected);
    let actions = trace.happens(Event::Accepted {
        sdp: Some(answer.clone()),
        fork: 0,
    });
    assert!(actions.iter().any(|action| matches!(
        action,
        Action::SetRemoteRtp {
            srtp_keys: Some(_),
            ..
        }
    )));
    let actions = trace.asked(Command::Hold { on: true });
    let held = actions.into_iter().find_map(|action| match action {
        Action::Reoffer { offer, .. } => Some(offer),
        _ => None,
    });
    assert_eq!(lines(&held.expect("a re-INVITE")), offered[..1]);
    trace.happens(Event::ReofferAnswered { sdp: answer });
    let actions = trace.happens(Event::Reoffered {
        sdp: None,
        fork: None,
    });
    let asked = actions.into_iter().find_map(|action| match action {
        Action::AnswerReoffer { answer, .. } => Some(answer),
        _ => None,
    });
    let new = lines(&asked.expect("our offer"));
    assert_eq!(new.len(), 3);
    assert!(new.iter().all(|line| !offered.contains(line)), "new keys");
}
