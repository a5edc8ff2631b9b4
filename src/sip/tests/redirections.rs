//! 3xx answers to our calls, passed and followed, as traces in virtual time.

use super::wire::*;
use crate::sip::*;

fn following() -> Wire {
    Wire::new(Trunk {
        redirect: RedirectPolicy::Follow,
        credentials: credentials(),
        ..trunk("pbx")
    })
}

fn refused(wire: &mut Wire) -> Option<u16> {
    match wire.event() {
        Some(Event::Refused { status, .. }) => Some(status),
        _ => None,
    }
}

/// Answers a request with a 3xx and takes the ACK.
fn move_to(wire: &mut Wire, invite: &crate::sip::stack::message::Request, contacts: &str) {
    wire.answer(invite, 302, "b1", &format!("Contact: {contacts}\r\n"));
    wire.sent_request("ACK");
}

#[test]
fn a_redirection_that_is_passed_names_the_new_address_and_ends_the_call() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    move_to(&mut wire, &invite, "\"New\" <sip:700@pbx.example>;q=0.5");
    let to = "sip:700@pbx.example".to_owned();
    assert_eq!(wire.event(), Some(Event::Redirected { to }));
    assert_eq!(refused(&mut wire), Some(302));
    wire.quiet();
}

#[test]
fn followed_addresses_are_tried_in_order_of_q_and_the_owner_sees_one_attempt() {
    let mut wire = following();
    let (_, first) = wire.call();
    let contacts = "<sip:701@pbx.example>;q=0.2, <sip:702@pbx.example?X=1>;q=0.9, \
        <tel:+49-30-7;ext=1>, <mailto:a@b>, <http://a>, <sip:600@PBX.example:5060;x=y>";
    move_to(&mut wire, &first, contacts);
    let mut tried = Vec::new();
    let mut last = first.clone();
    for _ in 0..3 {
        let next = wire.sent_request("INVITE");
        assert_eq!(
            value(&next.headers, "Call-ID"),
            value(&first.headers, "Call-ID")
        );
        assert_eq!(value(&next.headers, "From"), value(&first.headers, "From"));
        assert_eq!(value(&next.headers, "To"), value(&first.headers, "To"));
        assert_ne!(value(&next.headers, "Via"), value(&last.headers, "Via"));
        tried.push(next.uri.clone());
        wire.answer(&next, 180, "b2", "");
        assert!(matches!(
            wire.event(),
            Some(Event::Progress { status: 180, .. })
        ));
        wire.answer(&next, 486, "b2", "");
        wire.sent_request("ACK");
        last = next;
    }
    let expected = [
        "sip:+49307@pbx.example",
        "sip:702@pbx.example",
        "sip:701@pbx.example",
    ];
    assert_eq!(tried, expected);
    assert_eq!(value(&last.headers, "CSeq"), "4 INVITE");
    assert_eq!(refused(&mut wire), Some(486));
    wire.quiet();
    assert_eq!(wire.agent.legs(), 0);
}

#[test]
fn an_address_tried_before_is_not_tried_again_and_five_are_enough() {
    let mut wire = following();
    let (_, invite) = wire.call();
    move_to(&mut wire, &invite, "<sip:600@pbx.example>");
    assert!(matches!(wire.event(), Some(Event::Redirected { .. })));
    assert_eq!(refused(&mut wire), Some(302));
    wire.quiet();

    let (_, mut invite) = wire.call();
    for hop in 1..=5 {
        move_to(&mut wire, &invite, &format!("<sip:70{hop}@pbx.example>"));
        invite = wire.sent_request("INVITE");
    }
    move_to(&mut wire, &invite, "<sip:706@pbx.example>");
    assert!(matches!(wire.event(), Some(Event::Redirected { .. })));
    assert_eq!(refused(&mut wire), Some(302));
    wire.quiet();
}

#[test]
fn the_trunks_credentials_and_assertions_stay_with_the_trunk() {
    let mut wire = Wire::new(Trunk {
        redirect: RedirectPolicy::Follow,
        credentials: credentials(),
        identity: IdentityPolicy {
            carried_by: CarriedBy::Asserted,
            ..IdentityPolicy::default()
        },
        ..trunk("pbx")
    });
    let (_, invite) = wire.call();
    assert_ne!(value(&invite.headers, "P-Asserted-Identity"), "");
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n";
    wire.answer(&invite, 401, "b1", challenge);
    wire.sent_request("ACK");
    let authorized = wire.sent_request("INVITE");
    assert_ne!(value(&authorized.headers, "Authorization"), "");
    move_to(
        &mut wire,
        &authorized,
        "<sip:700@198.51.100.9>, <sip:701@pbx.example>;q=0.1",
    );
    let abroad = wire.sent_request("INVITE");
    assert_eq!(abroad.uri, "sip:700@198.51.100.9");
    assert_eq!(value(&abroad.headers, "Authorization"), "");
    assert_eq!(value(&abroad.headers, "P-Asserted-Identity"), "");
    // A challenge from there is not answered: the next address has its turn, which is ours.
    wire.answer(&abroad, 401, "b2", challenge);
    wire.sent_request("ACK");
    let home = wire.sent_request("INVITE");
    assert_eq!(home.uri, "sip:701@pbx.example");
    wire.answer(&home, 401, "b3", challenge);
    wire.sent_request("ACK");
    let home = wire.sent_request("INVITE");
    assert_ne!(value(&home.headers, "Authorization"), "");
    wire.answer_with(&home, 200, "b4", OK_EXTRA, SDP);
    assert!(matches!(wire.event(), Some(Event::Accepted { .. })));
}

#[test]
fn a_call_that_was_given_up_or_refused_everywhere_is_not_sent_on() {
    let mut wire = following();
    let (leg, invite) = wire.call();
    wire.answer(&invite, 180, "b1", "");
    wire.event();
    wire.command(leg, Command::Hangup { cause: None });
    wire.sent_request("CANCEL");
    move_to(&mut wire, &invite, "<sip:700@pbx.example>");
    wire.quiet();

    let mut wire = following();
    let (_, invite) = wire.call();
    move_to(
        &mut wire,
        &invite,
        "<sip:700@pbx.example>, <sip:701@pbx.example>",
    );
    let next = wire.sent_request("INVITE");
    wire.answer(&next, 603, "b2", "");
    wire.sent_request("ACK");
    assert_eq!(refused(&mut wire), Some(603));
    wire.quiet();
}

const KEYS: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\na=sendrecv\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR\r\n\
    A=CRYPTO:2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj\r\n\
    a=ptime:20\r\n";

/// A call with keys and a page's header, refused by a 3xx to these Contacts.
fn moved_with_keys(change: impl FnOnce(&mut Trunk), contacts: &str) -> Wire {
    let mut own = Trunk {
        redirect: RedirectPolicy::Follow,
        ..trunk("pbx")
    };
    change(&mut own);
    let mut wire = Wire::new(own);
    let outgoing = Outgoing {
        body: KEYS.into(),
        headers: vec![("X-Account".to_owned(), "7".to_owned())],
        ..call_to("pbx")
    };
    wire.agent.invite(outgoing, wire.now).expect("trunk exists");
    let invite = wire.sent_request("INVITE");
    assert_eq!(&invite.body[..], KEYS.as_bytes());
    move_to(&mut wire, &invite, contacts);
    wire
}

/// Whether an INVITE has all or nothing of what the trunk alone was meant to see.
fn is_whole(invite: &crate::sip::stack::message::Request) -> bool {
    let body = String::from_utf8(invite.body.to_vec()).expect("text");
    let has_keys = body.to_ascii_lowercase().contains("crypto") || body.contains("inline");
    assert_eq!(has_keys, value(&invite.headers, "X-Account") == "7");
    assert!(body.ends_with("a=ptime:20\r\n") && body.contains("a=sendrecv\r\n"));
    has_keys
}

#[test]
fn redirection_to_another_host_takes_no_keys_and_no_page_headers_along() {
    for contact in [
        "<sip:700@198.51.100.9>",
        "<sip:700@pbx.example;maddr=198.51.100.9>",
        "<sip:pbx.example@198.51.100.9:5070>",
        "<SIP:700@198.51.100.9;transport=UDP;x=pbx.example>",
    ] {
        let mut wire = moved_with_keys(|_| {}, contact);
        let invite = wire.agent.poll_transmit().expect("it is followed");
        assert_eq!(invite.flow.remote.ip().to_string(), "198.51.100.9");
        let text = String::from_utf8(invite.bytes.to_vec()).expect("text");
        assert!(text.starts_with("INVITE ") && text.contains("m=audio"));
        assert!(!text.contains("inline:"), "{contact}: {text}");
        assert!(!text.contains("X-Account"), "{contact}: {text}");
    }
}

#[test]
fn session_refresh_at_another_host_takes_no_keys_along() {
    let refreshing = |trunk: &mut Trunk| trunk.dialogs.session_expires = 600;
    let mut wire = moved_with_keys(refreshing, "<sip:700@198.51.100.9>");
    let abroad = wire.sent_request("INVITE");
    let extra = "Contact: <sip:700@198.51.100.9>\r\nContent-Type: application/sdp\r\n\
        Require: timer\r\nSession-Expires: 600;refresher=uac\r\nAllow: INVITE, ACK, BYE\r\n";
    wire.answer_with(&abroad, 200, "b2", extra, SDP);
    wire.sent_request("ACK");
    wire.advance(std::time::Duration::from_secs(301));
    let refresh = wire.sent_request("INVITE");
    let text = String::from_utf8(refresh.body.to_vec()).expect("text");
    assert!(
        text.contains("m=audio") && !text.contains("inline:"),
        "{text}"
    );
}

#[test]
fn redirection_back_to_the_trunk_has_keys_and_page_headers_again() {
    let contacts = "<sip:700@198.51.100.9>, <sip:701@pbx.example>;q=0.1";
    let mut wire = moved_with_keys(|_| {}, contacts);
    let abroad = wire.sent_request("INVITE");
    assert!(!is_whole(&abroad));
    wire.answer(&abroad, 486, "b2", "");
    wire.sent_request("ACK");
    let home = wire.sent_request("INVITE");
    assert_eq!(home.uri, "sip:701@pbx.example");
    assert!(is_whole(&home));
    assert_eq!(value(&home.headers, "CSeq"), "3 INVITE");
}

#[test]
fn redirection_to_an_allowed_host_takes_keys_and_page_headers_along() {
    for (allowed, whole) in [
        ("198.51.100.9", true),
        ("198.51.100.8", false),
        ("198.51.100", false),
    ] {
        let hosts = |trunk: &mut Trunk| trunk.redirect_hosts = vec![allowed.to_owned()];
        let mut wire = moved_with_keys(hosts, "<sip:700@198.51.100.9>");
        assert_eq!(is_whole(&wire.sent_request("INVITE")), whole, "{allowed}");
    }
}

#[test]
fn redirection_where_srtp_is_required_is_followed_to_allowed_hosts_only() {
    let required = |trunk: &mut Trunk| {
        trunk.srtp_required = true;
        trunk.redirect_hosts = vec!["198.51.100.8".to_owned()];
    };
    let contacts = "<sip:700@198.51.100.9>, <sip:701@198.51.100.8>;q=0.5, <tel:702>;q=0.1";
    let mut wire = moved_with_keys(required, contacts);
    for uri in ["sip:701@198.51.100.8", "sip:702@pbx.example"] {
        let invite = wire.sent_request("INVITE");
        assert_eq!(invite.uri, uri);
        assert!(is_whole(&invite));
        wire.answer(&invite, 486, "b2", "");
        wire.sent_request("ACK");
    }
    assert_eq!(refused(&mut wire), Some(486));

    let mut wire = moved_with_keys(required, "<sip:700@198.51.100.9>");
    let to = "sip:700@198.51.100.9".to_owned();
    assert_eq!(wire.event(), Some(Event::Redirected { to }));
    assert_eq!(refused(&mut wire), Some(302));
    wire.quiet();
}
