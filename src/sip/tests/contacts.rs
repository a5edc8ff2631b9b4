//! The Contact that is registered, and calls to it, as traces in virtual time.

use super::wire::*;
use crate::sip::stack::message::Request;
use crate::sip::*;

fn registration(user: &str) -> Registration {
    Registration {
        user: user.to_owned(),
        expires: 300,
        outbound: false,
    }
}

fn account(user: &str, number: &str) -> Account {
    Account {
        user: user.to_owned(),
        registration: registration(number),
        credentials: None,
        registered: Registered::Always,
    }
}

/// The REGISTER of each registration of a trunk, each accepted.
fn registered(trunk: Trunk) -> (Wire, Vec<Request>) {
    let mut wire = Wire::new(trunk);
    wire.agent.start(wire.now);
    let count = wire.agent.registrations().len();
    let sent: Vec<Request> = (0..count).map(|_| wire.sent_request("REGISTER")).collect();
    for register in &sent {
        let contact = value(&register.headers, "Contact").to_owned();
        wire.answer(register, 200, "r", &format!("Contact: {contact}\r\n"));
    }
    (wire, sent)
}

fn contact(request: &Request) -> String {
    let contact = Address::parse(value(&request.headers, "Contact"));
    contact.expect("readable").uri
}

fn with_own(contact_user: Option<&str>) -> Trunk {
    Trunk {
        registration: Some(registration("4930")),
        contact_user: contact_user.map(str::to_owned),
        ..trunk("pbx")
    }
}

fn call(number: usize, uri: &str) -> String {
    request("INVITE", 1, &format!("c{number}"), "", SDP)
        .replace("call-1@", &format!("call-{number}@"))
        .replacen("INVITE sip:alice@192.0.2.1 ", &format!("INVITE {uri} "), 1)
}

#[test]
fn a_registered_contact_has_the_registered_user_and_its_token_beside_it() {
    for (named, user) in [(None, "4930"), (Some("desk 7"), "desk 7")] {
        let (mut wire, registers) = registered(with_own(named));
        let uri = contact(&registers[0]);
        assert_eq!(user_of(&uri), user);
        let (_, token) = uri.split_once(";line=").expect("a token");
        assert_eq!(token.len(), 16, "{uri}");
        // A call goes out under the same Contact, and one to it is the trunk's wherever it comes from.
        let (_, invite) = wire.call();
        assert_eq!(contact(&invite), uri);
        wire.receive_from("198.51.100.7:5060", call(1, &uri).as_bytes());
        wire.sent_status(100);
        let incoming = wire.incoming();
        assert_eq!(incoming.trunk.as_deref(), Some("pbx"));
        assert_eq!(incoming.request_user, "4930");
        let command = Command::Progress {
            status: 180,
            body: None,
        };
        wire.command(incoming.leg, command);
        let ringing = wire.sent_status(180);
        assert_eq!(value(&ringing.headers, "Contact"), format!("<{uri}>"));
        // Neither the user alone nor a wrong token is enough for a source that is not known.
        for wrong in [
            "sip:4930@192.0.2.1",
            "sip:4930@192.0.2.1;line=0000000000000000",
        ] {
            wire.receive_from("198.51.100.7:5060", call(2, wrong).as_bytes());
            wire.sent_status(403);
        }
    }
}

#[test]
fn a_registrar_that_drops_the_token_is_told_by_its_address_and_the_user() {
    let lines = Trunk {
        accounts: vec![account("alice", "1001"), account("bob", "1002")],
        accept_from: vec!["192.0.2.2/32".parse().expect("a range")],
        ..trunk("pbx")
    };
    let (mut wire, _) = registered(lines);
    wire.receive(&call(1, "sip:1002@192.0.2.1:5060"));
    wire.sent_status(100);
    assert_eq!(wire.incoming().account.as_deref(), Some("bob"));
    wire.receive(&call(2, "sip:1003@192.0.2.1:5060"));
    wire.sent_status(100);
    let other = wire.incoming();
    assert_eq!(
        (other.account, other.request_user),
        (None, "1003".to_owned())
    );
}

#[test]
fn registrations_of_the_same_user_have_the_token_in_the_user() {
    let (mut wire, registers) = registered(Trunk {
        accounts: vec![account("alice", "4930"), account("bob", "4931")],
        ..with_own(None)
    });
    let uris: Vec<String> = registers.iter().map(contact).collect();
    let users: Vec<String> = uris.iter().map(|uri| user_of(uri)).collect();
    assert!(users[0].starts_with("4930-") && users[1].starts_with("4930-"));
    assert_ne!(users[0], users[1]);
    assert_eq!(users[2], "4931");
    for (number, account) in [None, Some("alice"), Some("bob")].into_iter().enumerate() {
        wire.receive(&call(number, &uris[number]));
        wire.sent_status(100);
        assert_eq!(wire.incoming().account.as_deref(), account);
    }
}

#[test]
fn what_was_granted_is_read_from_our_own_binding() {
    for (theirs, refreshed_within) in [
        // Another device of the same user was registered before.
        ("<sip:4930@192.0.2.9>;expires=20, OWN;expires=200", 90..=100),
        // The registrar drops the token, or writes the parameter in another case.
        ("<sip:4930@192.0.2.1:5060>;expires=40", 10..=20),
        ("<sip:4930@192.0.2.1:5060;LINE=TOKEN>;expires=40", 10..=20),
        // It drops it, and two bindings have the user: Expires counts.
        (
            "<sip:4930@192.0.2.9>;expires=4, <sip:4930@192.0.2.1>;expires=4",
            25..=30,
        ),
    ] {
        let mut wire = Wire::new(with_own(None));
        wire.agent.start(wire.now);
        let register = wire.sent_request("REGISTER");
        let uri = contact(&register);
        let (_, token) = uri.split_once(";line=").expect("a token");
        let listed = theirs
            .replace("OWN", &format!("<{uri}>"))
            .replace("TOKEN", token);
        let extra = format!("Contact: {listed}\r\nExpires: 60\r\n");
        wire.answer(&register, 200, "r", &extra);
        let refresh = (1..=300u64).find(|_| {
            wire.advance(std::time::Duration::from_secs(1));
            std::iter::from_fn(|| wire.sent()).any(|message| {
                matches!(message, Message::Request(request) if request.method == Method::Register)
            })
        });
        assert!(
            refresh.is_some_and(|at| refreshed_within.contains(&at)),
            "{theirs}: {refresh:?}"
        );
    }
}
