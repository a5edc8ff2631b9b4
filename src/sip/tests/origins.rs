//! Which trunk a request is taken for, and what it may do: by source, Contact and credentials.

use super::wire::*;
use crate::sip::*;

const ELSEWHERE: &str = "198.51.100.7:5060";

/// A trusted trunk that is registered, and the URI of its Contact.
fn registered(change: impl FnOnce(&mut Trunk)) -> (Wire, String) {
    let mut own = Trunk {
        credentials: credentials(),
        registration: Some(Registration {
            user: "bob".to_owned(),
            expires: 300,
            outbound: false,
        }),
        identity: IdentityPolicy {
            trusted: true,
            passed_headers: vec!["X-Account".to_owned()],
            ..IdentityPolicy::default()
        },
        ..trunk("pbx")
    };
    change(&mut own);
    let mut wire = Wire::new(own);
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    let contact = value(&register.headers, "Contact").to_owned();
    let uri = contact.trim_start_matches('<').split('>').next();
    let user = uri.expect("a URI").to_owned();
    let granted = format!("Contact: {contact};expires=300\r\n");
    wire.answer(&register, 200, "r", &granted);
    (wire, user)
}

/// An INVITE to our Contact that claims what only the trunk may say.
fn claiming(user: &str, call: &str, extra: &str) -> String {
    request("INVITE", 1, call, "", SDP)
        .replacen("sip:alice@192.0.2.1", user, 1)
        .replace("call-1@pbx", &format!("{call}@pbx"))
        .replacen(
            "CSeq:",
            &format!(
                "P-Asserted-Identity: \"Boss\" <sip:+491@pbx.example>\r\nX-Account: 7\r\n\
                Diversion: <sip:+492@pbx.example>;reason=unconditional\r\n{extra}CSeq:"
            ),
            1,
        )
}

#[test]
fn contact_alone_rings_as_an_unknown_source_and_passes_nothing() {
    let (mut wire, user) = registered(|_| {});
    wire.receive(&claiming(&user, "c1", ""));
    wire.sent_status(100);
    let of_trunk = wire.incoming();
    assert_eq!(of_trunk.from_user, "+491");
    assert_eq!(of_trunk.headers, [("X-Account".to_owned(), "7".to_owned())]);
    assert!(of_trunk.diverted.is_some());

    wire.receive_from(ELSEWHERE, claiming(&user, "c2", "").as_bytes());
    wire.sent_status(100);
    let unknown = wire.incoming();
    assert_ne!(unknown.from_user, "+491");
    assert_ne!(unknown.from_name.as_deref(), Some("Boss"));
    assert_eq!((unknown.headers, unknown.diverted), (vec![], None));
}

#[test]
fn registrar_at_another_address_than_the_target_is_the_trunk() {
    let (mut wire, user) = registered(|_| {});
    // The same host by another port, as proxies call.
    wire.receive_from("192.0.2.2:49152", claiming(&user, "c1", "").as_bytes());
    wire.sent_status(100);
    assert_eq!(wire.incoming().from_user, "+491");

    let accepting = |trunk: &mut Trunk| {
        trunk.accept_from = vec!["198.51.100.0/24".parse().expect("a range")];
    };
    let (mut wire, user) = registered(accepting);
    wire.receive_from(ELSEWHERE, claiming(&user, "c2", "").as_bytes());
    wire.sent_status(100);
    assert_eq!(wire.incoming().from_user, "+491");
}

#[test]
fn contact_alone_replaces_no_call_of_the_trunk() {
    for (source, status) in [(ELSEWHERE, 403), (PEER, 100)] {
        let (mut wire, user) = registered(|_| {});
        let (_, tag) = wire.answered_incoming();
        let first = request("BYE", 2, "x", &tag, "");
        let header = |name: &str| {
            let line = first.lines().find(|line| line.starts_with(name));
            line.expect("the header").to_owned()
        };
        let call_id = header("Call-ID: ").replace("Call-ID: ", "");
        let from = header("From: ");
        let theirs = from.split("tag=").nth(1).expect("a tag");
        let replaces = format!("Replaces: {call_id};to-tag={tag};from-tag={theirs}\r\n");
        let invite = claiming(&user, "c2", &replaces);
        wire.receive_from(source, invite.as_bytes());
        wire.sent_status(status);
    }
}

#[test]
fn contact_alone_refers_nobody_and_is_shown_no_credentials() {
    for (source, accepted) in [(ELSEWHERE, false), (PEER, true)] {
        let (mut wire, user) = registered(|_| {});
        wire.receive_from(source, claiming(&user, "call-1", "").as_bytes());
        wire.sent_status(100);
        let leg = wire.incoming().leg;
        wire.command(leg, Command::Accept { body: SDP.into() });
        let tag = tag_of(&wire.sent_status(200));
        let within = |method: &str, sequence: u32, extra: &str| {
            request(method, sequence, &format!("{method}{sequence}"), &tag, "").replacen(
                "CSeq:",
                &format!("{extra}CSeq:"),
                1,
            )
        };
        wire.receive_from(source, within("ACK", 1, "").as_bytes());
        let refer = within("REFER", 2, "Refer-To: <sip:900@pbx.example>\r\n");
        wire.receive_from(source, refer.as_bytes());
        if !accepted {
            wire.sent_status(603);
        }
        while wire.sent().is_some() {}
        wire.command(leg, Command::Hangup { cause: None });
        let Some(crate::sip::stack::message::Message::Request(bye)) = wire.sent() else {
            // The trunk's BYE waits for what was asked before.
            assert!(accepted);
            continue;
        };
        let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n";
        wire.answer(&bye, 401, "", challenge);
        let again = wire.sent();
        assert!(accepted || again.is_none(), "{again:?}");
    }
}

#[test]
fn text_to_the_contact_alone_has_no_asserted_sender() {
    for (source, sender) in [(ELSEWHERE, false), (PEER, true)] {
        let (mut wire, user) = registered(|_| {});
        let text = claiming(&user, "m1", "")
            .replace("INVITE", "MESSAGE")
            .replace("application/sdp", "text/plain");
        wire.receive_from(source, text.as_bytes());
        let mut asserted = None;
        while let Some(event) = wire.agent.poll_event() {
            if let UserAgentEvent::Message(message) = event {
                asserted = Some(message.from_user == "+491");
            }
        }
        assert_eq!(asserted, Some(sender), "{source}");
    }
}

#[test]
fn trunk_by_address_and_port_is_no_other_program_of_its_host() {
    let exact = Trunk {
        exact_source: true,
        ..trunk("pbx")
    };
    let mut wire = Wire::new(exact);
    for port in [5061, 1024, 65_535, 506] {
        let call = request("INVITE", 1, &format!("p{port}"), "", SDP)
            .replace("call-1@pbx", &format!("call-{port}@pbx"));
        wire.receive_from(&format!("192.0.2.2:{port}"), call.as_bytes());
        wire.sent_status(403);
    }
    assert_eq!(wire.rejections(), ["unknown_source"; 4]);
    wire.receive(&request("INVITE", 1, "own", "", SDP));
    wire.sent_status(100);
    assert_eq!(wire.incoming().trunk.as_deref(), Some("pbx"));
}
