//! Called and calling numbers as carriers write them, as traces in virtual time.

use super::wire::*;
use crate::sip::*;

/// What the gateway reads of an INVITE and of a MESSAGE with this request URI and this To.
fn called(wire: &mut Wire, uri: &str, to: &str) -> [(String, Option<String>); 2] {
    let written = |method: &str, branch: &str, body: &str| {
        let text = request(method, 1, branch, "", body);
        let line = text.lines().next().expect("a request line").to_owned();
        let own = text.lines().find(|line| line.starts_with("To:"));
        let own = own.expect("a To").to_owned();
        text.replace(&line, &format!("{method} {uri} SIP/2.0"))
            .replace(&own, &format!("To: <{to}>"))
    };
    let branch = format!("b{:x}", uri.len() * 1_000 + to.len());
    wire.receive(&written("INVITE", &branch, SDP));
    let call = wire.incoming();
    let text = written("MESSAGE", &format!("m{branch}"), "hello");
    let text = text.replace("application/sdp", "text/plain");
    wire.receive(&text.replace("Call-ID: ", "Call-ID: m"));
    let mut messages = std::iter::from_fn(|| wire.agent.poll_event());
    let message = messages.find_map(|event| match event {
        UserAgentEvent::Message(message) => Some(*message),
        _ => None,
    });
    let message = message.expect("a text");
    [
        (call.request_user, call.otherwise),
        (message.request_user, message.otherwise),
    ]
}

#[test]
fn a_called_number_is_read_without_parameters_and_visual_separators() {
    for (uri, number) in [
        (
            "sip:+4930123;npdi;rn=+493099@192.0.2.1;user=phone",
            "+4930123",
        ),
        ("sip:+4930123;npdi;rn=+493099@192.0.2.1", "+4930123"),
        ("sip:1234;phone-context=+4930@192.0.2.1;user=phone", "1234"),
        ("sip:030123;isub=7@192.0.2.1", "030123"),
        ("sip:*21;postd=pp22@192.0.2.1", "*21"),
        ("sip:+49-(30)-12.3@192.0.2.1;user=phone", "+4930123"),
        ("sip:(030)%2012-3;isub=1@192.0.2.1;User=Phone", "030123"),
        ("tel:+49-30-(12)3;npdi", "+4930123"),
        // Names stay as they are.
        ("sip:john.doe@192.0.2.1;user=phone", "john.doe"),
        ("sip:alice;day=tuesday@192.0.2.1", "alice;day=tuesday"),
        ("sip:12-34@192.0.2.1", "12-34"),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        for (read, otherwise) in called(&mut wire, uri, "sip:9@192.0.2.1") {
            assert_eq!((read.as_str(), otherwise), (number, None), "{uri}");
        }
    }
}

#[test]
fn a_calling_number_is_read_without_parameters_and_visual_separators() {
    for (uri, number) in [
        ("sip:+49-30-77;npdi@a.example;user=phone", "+493077"),
        ("sip:+493077;rn=+4931@a.example", "+493077"),
        ("tel:+49.30.77", "+493077"),
        ("sip:j.doe@a.example;user=phone", "j.doe"),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let text = request("INVITE", 1, "inv1", "", SDP);
        let from = text.lines().find(|line| line.starts_with("From:"));
        let from = from.expect("a From").to_owned();
        wire.receive(&text.replace(&from, &format!("From: <{uri}>;tag=t1")));
        assert_eq!(wire.incoming().from_user, number, "{uri}");
    }
}

#[test]
fn the_page_sees_the_whole_request_uri_where_the_trunk_says_so() {
    let mut wire = Wire::new(Trunk {
        identity: IdentityPolicy {
            passed_headers: vec!["Request-URI".to_owned()],
            ..IdentityPolicy::default()
        },
        ..trunk("pbx")
    });
    let text = request("INVITE", 1, "inv1", "", SDP);
    let uri = "sip:+4930123;npdi;rn=+493099@192.0.2.1;user=phone";
    let line = text.lines().next().expect("a request line").to_owned();
    wire.receive(&text.replace(&line, &format!("INVITE {uri} SIP/2.0")));
    let expected = ("Request-URI".to_owned(), uri.to_owned());
    assert_eq!(wire.incoming().headers, [expected]);
}

/// A trunk that is registered, and its Contact.
fn registered(by: CalledNumber) -> (Wire, String) {
    let mut wire = Wire::new(Trunk {
        registration: Some(Registration {
            user: "acct1".to_owned(),
            expires: 300,
            outbound: true,
        }),
        identity: IdentityPolicy {
            network: NetworkPolicy {
                called: by,
                ..NetworkPolicy::default()
            },
            ..IdentityPolicy::default()
        },
        ..trunk("pbx")
    });
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    let contact = value(&register.headers, "Contact").to_owned();
    wire.answer(&register, 200, "r", &format!("Contact: {contact}\r\n"));
    let uri = Address::parse(&contact).expect("readable").uri;
    (wire, uri)
}

#[test]
fn a_call_to_the_registered_contact_is_for_the_number_in_to_or_else_for_the_registered_user() {
    let user = || Some("acct1".to_owned());
    for (by, to, number, otherwise) in [
        (
            CalledNumber::Automatic,
            "sip:+4930-5@c.example;user=phone",
            "+49305",
            user(),
        ),
        (CalledNumber::Automatic, "tel:+49305", "+49305", user()),
        // A name in To is the caller's word.
        (CalledNumber::Automatic, "sip:bob@c.example", "acct1", None),
        (
            CalledNumber::Automatic,
            "sip:acct1@c.example",
            "acct1",
            None,
        ),
        (CalledNumber::Request, "sip:+49305@c.example", "acct1", None),
        (
            CalledNumber::To,
            "sip:+49305;npdi@c.example",
            "+49305",
            None,
        ),
        (CalledNumber::To, "sip:sales@c.example", "sales", None),
        (CalledNumber::To, "sip:c.example", "acct1", None),
    ] {
        let (mut wire, contact) = registered(by);
        for read in called(&mut wire, &contact, to) {
            assert_eq!(read, (number.to_owned(), otherwise.clone()), "{by:?} {to}");
        }
    }
    // What is not for the Contact is for the request URI, whatever To says.
    let (mut wire, _) = registered(CalledNumber::Automatic);
    for read in called(&mut wire, "sip:+4930@192.0.2.1", "sip:+49305@c.example") {
        assert_eq!(read, ("+4930".to_owned(), None));
    }
}
