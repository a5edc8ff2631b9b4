//! What an IMS network and we tell each other beside a call (RFC 7315), and Security-Agreement,
//! which we do not do (RFC 3329).

use super::wire::*;
use crate::sip::trunk::network_headers::wants_security_agreement;
use crate::sip::*;

const ACCESS: &str = "IEEE-802.11;network-provided";
const NETWORKS: [&str; 3] = [
    "P-Access-Network-Info",
    "P-Visited-Network-ID",
    "P-Charging-Vector",
];

fn set(value: &str) -> Carriage {
    Carriage::Set(value.to_owned())
}

/// A trusted trunk that is told what the configuration says.
fn told() -> Trunk {
    trusting(NetworkPolicy {
        access: set(ACCESS),
        visited: set("\"Visited network number 1\""),
        charging: set("icid-generated-at=192.0.2.1;orig-ioi=home1.net"),
        called: CalledNumber::Automatic,
    })
}

fn trusting(network: NetworkPolicy) -> Trunk {
    Trunk {
        identity: IdentityPolicy {
            trusted: true,
            network,
            ..IdentityPolicy::default()
        },
        ..trunk("pbx")
    }
}

/// A call in which the owner has words of its own for each header.
fn place(wire: &mut Wire) -> crate::sip::stack::message::Request {
    let own = NETWORKS.map(|name| (name.to_lowercase(), "own;icid-value=1".to_owned()));
    let outgoing = Outgoing {
        trunk: "pbx".to_owned(),
        to_user: "600".to_owned(),
        from_user: "alice".to_owned(),
        body: SDP.into(),
        headers: own.to_vec(),
        ..Outgoing::default()
    };
    wire.agent.invite(outgoing, wire.now).expect("placed");
    wire.sent_request("INVITE")
}

fn icid(request: &crate::sip::stack::message::Request) -> String {
    let vector = value(&request.headers, "P-Charging-Vector");
    let (_, rest) = vector.split_once("icid-value=").expect("an identifier");
    rest.split(';').next().expect("it").to_owned()
}

/// Answers and takes the ACK.
fn answer(
    wire: &mut Wire,
    invite: &crate::sip::stack::message::Request,
) -> crate::sip::stack::message::Request {
    wire.answer_with(invite, 200, "b1", OK_EXTRA, SDP);
    wire.sent_request("ACK")
}

#[test]
fn a_trusted_trunk_is_told_what_is_set_and_one_that_is_not_trusted_nothing() {
    let mut wire = Wire::new(told());
    let invite = place(&mut wire);
    assert_eq!(value(&invite.headers, NETWORKS[0]), ACCESS);
    let visited = value(&invite.headers, NETWORKS[1]);
    assert_eq!(visited, "\"Visited network number 1\"");
    let vector = value(&invite.headers, NETWORKS[2]);
    let rest = format!(
        "icid-value={};icid-generated-at=192.0.2.1;orig-ioi=home1.net",
        icid(&invite)
    );
    assert_eq!(vector, rest);

    let mut unknown_source = told();
    unknown_source.identity.trusted = false;
    for silent in [
        unknown_source,
        trusting(NetworkPolicy::default()),
        trunk("pbx"),
    ] {
        let mut wire = Wire::new(silent);
        let invite = place(&mut wire);
        for name in NETWORKS {
            assert_eq!(value(&invite.headers, name), "", "{name}");
        }
    }
}

#[test]
fn what_is_passed_is_the_owners_and_an_owner_without_words_says_nothing() {
    let passing = || {
        trusting(NetworkPolicy {
            access: Carriage::Pass,
            visited: Carriage::Pass,
            charging: Carriage::Pass,
            called: CalledNumber::Automatic,
        })
    };
    let mut wire = Wire::new(passing());
    let invite = place(&mut wire);
    for name in NETWORKS {
        assert_eq!(value(&invite.headers, name), "own;icid-value=1", "{name}");
        assert_eq!(invite.headers.get_raw(&Name::from(name)).count(), 1);
    }
    let mut wire = Wire::new(passing());
    let (_, invite) = wire.call();
    for name in NETWORKS {
        assert_eq!(value(&invite.headers, name), "", "{name}");
    }
    assert_eq!(value(&invite.headers, "X-Call"), "1");
}

#[test]
fn a_dialog_is_charged_by_one_identifier_and_the_next_one_by_another() {
    let mut wire = Wire::new(told());
    let invite = place(&mut wire);
    let acknowledgement = answer(&mut wire, &invite);
    assert_eq!(value(&acknowledgement.headers, NETWORKS[2]), "");
    wire.agent.shut_down(wire.now);
    let bye = wire.sent_request("BYE");
    assert_eq!(icid(&bye), icid(&invite));
    assert_eq!(value(&bye.headers, NETWORKS[0]), ACCESS);
    assert_eq!(value(&bye.headers, NETWORKS[1]), "", "it is told once");
    wire.answer(&bye, 200, "b1", "");
    let next = place(&mut wire);
    assert_eq!(icid(&next).len(), 32);
    assert_ne!(icid(&next), icid(&invite));
}

#[test]
fn a_call_of_the_trunk_goes_on_under_the_identifier_that_it_came_with() {
    for (theirs, ours) in [
        (
            "P-Charging-Vector: orig-ioi=a;ICID-value=abc.7@x;term-ioi=b\r\n",
            Some("abc.7@x"),
        ),
        ("P-Charging-Vector: orig-ioi=a\r\n", None),
        ("", None),
    ] {
        let mut wire = Wire::new(told());
        let extra = format!("{theirs}Contact:");
        wire.receive(&request("INVITE", 1, "inv1", "", SDP).replace("Contact:", &extra));
        wire.sent_status(100);
        let leg = wire.incoming().leg;
        wire.command(leg, Command::Accept { body: SDP.into() });
        let tag = tag_of(&wire.sent_status(200));
        wire.receive(&request("ACK", 1, "ack1", &tag, ""));
        wire.command(leg, Command::Hangup { cause: None });
        let bye = wire.sent_request("BYE");
        match ours {
            Some(expected) => assert_eq!(icid(&bye), expected),
            None => assert_eq!(icid(&bye).len(), 32, "{theirs}"),
        }
    }
}

#[test]
fn a_long_or_broken_identifier_of_the_trunk_is_not_repeated() {
    for theirs in ["x".repeat(257), "a b".to_owned(), String::new()] {
        let mut wire = Wire::new(told());
        let extra = format!("P-Charging-Vector: icid-value={theirs}\r\nContact:");
        wire.receive(&request("INVITE", 1, "inv1", "", SDP).replace("Contact:", &extra));
        wire.sent_status(100);
        let leg = wire.incoming().leg;
        wire.command(leg, Command::Accept { body: SDP.into() });
        let tag = tag_of(&wire.sent_status(200));
        wire.receive(&request("ACK", 1, "ack1", &tag, ""));
        wire.command(leg, Command::Hangup { cause: None });
        let icid = icid(&wire.sent_request("BYE"));
        assert!(icid.len() == 32 && icid != theirs, "{icid}");
    }
}

#[test]
fn a_redirection_to_somebody_else_takes_nothing_of_the_network_along() {
    let mut wire = Wire::new(Trunk {
        redirect: RedirectPolicy::Follow,
        ..told()
    });
    let invite = place(&mut wire);
    let contact = "Contact: <sip:700@198.51.100.9>\r\n";
    wire.answer(&invite, 302, "b1", contact);
    wire.sent_request("ACK");
    let abroad = wire.sent_request("INVITE");
    assert_eq!(abroad.uri, "sip:700@198.51.100.9");
    answer(&mut wire, &abroad);
    wire.agent.shut_down(wire.now);
    let bye = wire.sent_request("BYE");
    for request in [abroad, bye] {
        for name in NETWORKS {
            assert_eq!(value(&request.headers, name), "", "{name}");
        }
    }
}

/// Registers at such a trunk, which grants it with these headers.
fn registered(trunk: Trunk, extra: &str) -> (Wire, crate::sip::stack::message::Request) {
    let mut wire = Wire::new(Trunk {
        registration: Some(Registration {
            user: "gw".to_owned(),
            expires: 300,
            outbound: true,
        }),
        ..trunk
    });
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    let contact = value(&register.headers, "Contact").to_owned();
    wire.answer(
        &register,
        200,
        "r",
        &format!("Contact: {contact}\r\n{extra}"),
    );
    (wire, register)
}

fn associating(trusted: bool) -> Trunk {
    Trunk {
        identity: IdentityPolicy {
            carried_by: CarriedBy::Associated,
            trusted,
            ..IdentityPolicy::default()
        },
        ..trunk("pbx")
    }
}

#[test]
fn a_registration_and_a_text_tell_of_the_network_too() {
    let (mut wire, register) = registered(told(), "");
    assert_eq!(value(&register.headers, NETWORKS[0]), ACCESS);
    assert_eq!(icid(&register).len(), 32);
    let text = OutgoingMessage {
        trunk: "pbx".to_owned(),
        to_user: "600".to_owned(),
        from_user: "alice".to_owned(),
        text: "hello".to_owned(),
        ..OutgoingMessage::default()
    };
    wire.agent.message(text, wire.now).expect("sent");
    let message = wire.sent_request("MESSAGE");
    assert_eq!(value(&message.headers, NETWORKS[0]), ACCESS);
    assert_ne!(icid(&message), icid(&register));
}

#[test]
fn the_first_associated_identity_is_preferred_and_a_refresh_replaces_it() {
    let preferred = |invite: &crate::sip::stack::message::Request| {
        let header = value(&invite.headers, "P-Preferred-Identity");
        header.to_owned()
    };
    let own = "\"Alice \\\"A\\\"\" <sip:alice@pbx.example>";
    let extra = "P-Associated-URI: <sip:+4930555@ims.example>, \"Desk\" <tel:+4930556>\r\n";
    let (mut wire, _) = registered(associating(false), extra);
    let (_, invite) = wire.call();
    let expected = "\"Alice \\\"A\\\"\" <sip:+4930555@ims.example>";
    assert_eq!(preferred(&invite), expected);
    answer(&mut wire, &invite);
    // Two minutes before its end it is refreshed, and nothing is associated any more.
    wire.advance(std::time::Duration::from_secs(180));
    let refresh = wire.sent_request("REGISTER");
    let contact = value(&refresh.headers, "Contact").to_owned();
    wire.answer(&refresh, 200, "r", &format!("Contact: {contact}\r\n"));
    // It may have been repeated on the way.
    while wire.sent().is_some() {}
    let (_, invite) = wire.call();
    assert_eq!(preferred(&invite), own);
    // Nothing that cannot be an identity is taken for one.
    let long = format!(
        "P-Associated-URI: <sip:{}@a>, nonsense\r\n",
        "x".repeat(300)
    );
    let (mut wire, _) = registered(associating(false), &long);
    let (_, invite) = wire.call();
    assert_eq!(preferred(&invite), own);
}

#[test]
fn an_anonymous_caller_has_no_associated_identity_for_a_trunk_that_is_not_trusted() {
    let extra = "P-Associated-URI: <sip:+4930555@ims.example>\r\n";
    for trusted in [false, true] {
        let (mut wire, _) = registered(associating(trusted), extra);
        let outgoing = Outgoing {
            trunk: "pbx".to_owned(),
            to_user: "600".to_owned(),
            from_user: "alice".to_owned(),
            anonymous: true,
            ..Outgoing::default()
        };
        wire.agent.invite(outgoing, wire.now).expect("placed");
        let invite = wire.sent_request("INVITE");
        let written = String::from_utf8(invite.write().to_vec()).expect("text");
        assert_eq!(written.contains("4930555"), trusted, "{written}");
    }
}

#[test]
fn a_call_is_for_the_called_party_where_the_trunk_says_so() {
    for (reads, extra, called) in [
        (
            true,
            "P-Called-Party-ID: \"S\" <sip:+4930-77@ims.example>;cause=1\r\n",
            "+4930-77",
        ),
        (true, "P-Called-Party-ID: <tel:+49-30-78>\r\n", "+493078"),
        (true, "P-Called-Party-ID: nonsense\r\n", "alice"),
        (true, "", "alice"),
        (
            false,
            "P-Called-Party-ID: <sip:mallory@ims.example>\r\n",
            "alice",
        ),
    ] {
        let mut wire = Wire::new(trusting(NetworkPolicy {
            called: match reads {
                true => CalledNumber::CalledPartyId,
                false => CalledNumber::Automatic,
            },
            ..NetworkPolicy::default()
        }));
        let text = request("INVITE", 1, "inv1", "", SDP);
        wire.receive(&text.replace("Contact:", &format!("{extra}Contact:")));
        assert_eq!(wire.incoming().request_user, called, "{extra}");
    }
}

#[test]
fn security_agreement_is_refused_by_its_option_tag() {
    let mut wire = Wire::new(told());
    let required = "Require: sec-agree\r\nProxy-Require: sec-agree\r\n\
        Security-Client: ipsec-3gpp;alg=hmac-sha-1-96\r\nContact:";
    wire.receive(&request("INVITE", 1, "inv1", "", SDP).replace("Contact:", required));
    let refused = wire.sent_status(420);
    assert_eq!(value(&refused.headers, "Unsupported"), "sec-agree");
    assert_eq!(wire.rejections(), ["extension"]);
    assert_eq!(wire.agent.legs(), 0);
}

#[test]
fn a_registrar_that_demands_security_agreement_is_named_as_out_of_scope() {
    let mut wire = Wire::new(Trunk {
        registration: Some(Registration {
            user: "gw".to_owned(),
            expires: 300,
            outbound: true,
        }),
        ..trunk("pbx")
    });
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    let extra = "Security-Server: ipsec-3gpp;q=0.1\r\n";
    wire.answer(&register, 494, "r", extra);
    let state = wire.agent.registrations()[0].state;
    assert_eq!(state, RegistrationState::Failed { status: 494 });
    let explanation = state.explanation().expect("it is explained");
    assert!(explanation.contains("RFC 3329") && explanation.contains("out of scope"));
    let other = RegistrationState::Failed { status: 403 };
    assert_eq!(other.explanation(), None);

    let mut required = register.respond(421, None, None);
    assert!(!wants_security_agreement(&required));
    required.headers.insert(Name::REQUIRE, "path, Sec-Agree");
    assert!(wants_security_agreement(&required));
}
