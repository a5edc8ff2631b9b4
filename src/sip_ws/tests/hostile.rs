//! Whatever a client sends: nothing panics, and what is kept is bounded.

use bytes::Bytes;
use proptest::prelude::*;

use super::setup::{CONTACT, RIGHT, Setup, invite, value};
use crate::sip::stack::message::Name;

/// Transactions, and requests that wait to be decided.
const MOST: usize = 256 + 8;
/// The same before the user is known.
const MOST_WITHOUT_USER: usize = 8 + 8;

/// Pieces that messages are made of.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("INVITE sip:600@pbx.example SIP/2.0\r\n".to_owned()),
        Just("REGISTER sip:pbx.example SIP/2.0\r\n".to_owned()),
        Just("BYE sip:x SIP/2.0\r\n".to_owned()),
        Just("ACK sip:x SIP/2.0\r\n".to_owned()),
        Just("CANCEL sip:x SIP/2.0\r\n".to_owned()),
        Just("SIP/2.0 200 OK\r\n".to_owned()),
        Just("SIP/2.0 180 x\r\n".to_owned()),
        Just("Via: SIP/2.0/WS a.invalid;branch=z9hG4bKa\r\n".to_owned()),
        Just("v: SIP/2.0/WSS a.invalid\r\n".to_owned()),
        Just("From: <sip:alice@pbx.example>;tag=t\r\n".to_owned()),
        Just("To: <sip:alice@pbx.example>\r\n".to_owned()),
        Just("To: <sip:alice@pbx.example>;tag=x\r\n".to_owned()),
        Just("Call-ID: c\r\n".to_owned()),
        "CSeq: [0-9]{1,10} (INVITE|BYE|ACK|CANCEL|REGISTER|X)\r\n",
        "Contact: .{0,40}\r\n",
        Just("Contact: *\r\n".to_owned()),
        "Expires: [0-9]{0,25}\r\n",
        Just(RIGHT.to_owned()),
        Just(format!("Contact: {CONTACT}\r\n")),
        "Content-Length: [0-9]{0,6}\r\n",
        Just("Content-Type: application/sdp\r\n".to_owned()),
        Just("Session-Expires: 4294967296\r\n".to_owned()),
        Just("\r\n".to_owned()),
        ".{0,30}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_octets_are_taken(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8)) {
        let mut setup = Setup::registered();
        for frame in frames {
            setup.frame(Bytes::from(frame));
        }
    }

    #[test]
    fn any_arrangement_of_headers_is_taken(
        frames in prop::collection::vec(prop::collection::vec(piece(), 0..14), 1..8),
        registered in any::<bool>(),
    ) {
        let mut setup = if registered { Setup::registered() } else { Setup::new() };
        for frame in frames {
            setup.frame(Bytes::from(frame.concat()));
        }
        setup.pass(std::time::Duration::from_secs(4_000));
    }

    #[test]
    fn any_damage_to_an_invite_is_taken(at in 0..400_usize, with in any::<u8>(), cut in 0..400_usize) {
        let mut setup = Setup::registered();
        let mut text = invite("a", "600", "").into_bytes();
        let length = text.len();
        text[at % length] = with;
        setup.frame(Bytes::from(text.clone()));
        text.truncate(cut);
        setup.frame(Bytes::from(text));
    }
}

#[test]
fn invites_without_end_are_kept_to_a_bound() {
    let mut setup = Setup::registered();
    for number in 0..1_000 {
        setup.invite(&format!("n{number}"), "600", "");
    }
    assert!(setup.client.kept() <= MOST, "{}", setup.client.kept());
    let mut setup = Setup::new();
    for number in 0..1_000 {
        setup.invite(&format!("n{number}"), "600", "Authorization: wrong\r\n");
    }
    let kept = setup.client.kept();
    assert!(kept <= MOST_WITHOUT_USER, "{kept}");
}

#[test]
fn ninth_invite_before_credentials_is_told_to_come_later() {
    let mut setup = Setup::new();
    for number in 0..8 {
        setup.invite(&format!("n{number}"), "600", "");
        assert_eq!(setup.response().status, 401);
    }
    setup.invite("n8", "600", RIGHT);
    let refused = setup.response();
    assert_eq!(refused.status, 503);
    assert!(!value(&refused.headers, &Name::RETRY_AFTER).is_empty());
    // REGISTER leaves no transaction, and raises the limit.
    setup.register(&format!("Contact: {CONTACT}\r\n{RIGHT}"));
    assert_eq!(setup.response().status, 200);
    setup.invite("n9", "600", "");
    assert_eq!(setup.response().status, 100);
}

#[test]
fn merged_invite_and_reused_branch_leave_nothing_behind() {
    let mut setup = Setup::registered();
    let first = invite("a", "600", "");
    setup.say(&first);
    assert_eq!(setup.response().status, 100);
    assert_eq!(setup.client.kept(), 1);
    // The same request in another branch, and another request in the same branch.
    setup.say(&first.replace("z9hG4bKa", "z9hG4bKb"));
    assert_eq!(setup.response().status, 482);
    assert_eq!(setup.client.kept(), 2, "until its ACK or timer H");
    setup.say(&first.replace("Call-ID: call-a", "Call-ID: call-c"));
    assert_eq!(setup.response().status, 482);
    setup.pass(std::time::Duration::from_secs(33));
    assert_eq!(setup.client.kept(), 1);
    setup.is_silent();
}
