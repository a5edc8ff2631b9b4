//! Registrations of trunks and of their accounts, as traces in virtual time.

use std::time::Duration;

use super::wire::*;
use crate::redacted::Redacted;
use crate::sip::stack::address::{Address, user_of};
use crate::sip::stack::message::Request;
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);
const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"1\", qop=\"auth\"\r\n";

fn account(user: &str, number: &str, registered: Registered) -> Account {
    Account {
        user: user.to_owned(),
        registration: Registration {
            user: number.to_owned(),
            expires: 300,
            outbound: true,
        },
        credentials: Some(Credentials {
            username: number.to_owned(),
            password: Redacted::new(format!("secret of {number}")),
        }),
        registered,
    }
}

fn with_accounts(accounts: Vec<Account>) -> Wire {
    let mut wire = Wire::new(Trunk {
        accounts,
        ..trunk("pbx")
    });
    wire.agent.start(wire.now);
    wire
}

fn with_own() -> Trunk {
    Trunk {
        credentials: credentials(),
        registration: Some(Registration {
            user: "gw".to_owned(),
            expires: 300,
            outbound: true,
        }),
        ..trunk("pbx")
    }
}

/// Grants what was asked.
fn accept(wire: &mut Wire, register: &Request, more: &str) {
    let contact = value(&register.headers, "Contact").to_owned();
    wire.answer(register, 200, "r", &format!("Contact: {contact}\r\n{more}"));
}

fn contact_uri(request: &Request) -> String {
    let contact = Address::parse(value(&request.headers, "Contact")).expect("readable");
    contact.uri
}

fn contact_user(request: &Request) -> String {
    user_of(&contact_uri(request))
}

/// A request outside of dialogs with this request URI.
fn to_contact(method: &str, uri: &str, body: &str) -> String {
    let text = request(method, 1, "inv1", "", body);
    let line = text.lines().next().expect("a request line").to_owned();
    text.replacen(&line, &format!("{method} {uri} SIP/2.0"), 1)
}

fn place(wire: &mut Wire, account: Option<&str>) -> Request {
    let outgoing = Outgoing {
        trunk: "pbx".to_owned(),
        to_user: "600".to_owned(),
        from_user: "somebody".to_owned(),
        body: SDP.into(),
        account: account.map(str::to_owned),
        ..Outgoing::default()
    };
    wire.agent.invite(outgoing, wire.now).expect("placed");
    wire.sent_request("INVITE")
}

fn states(wire: &Wire) -> Vec<RegistrationState> {
    let all = wire.agent.registrations();
    all.into_iter().map(|status| status.state).collect()
}

#[test]
fn each_user_registers_a_line_calls_under_it_and_is_called_by_it() {
    let mut wire = with_accounts(vec![
        account("alice", "1001", Registered::Always),
        account("bob", "1002", Registered::Always),
    ]);
    let (first, second) = (wire.sent_request("REGISTER"), wire.sent_request("REGISTER"));
    for (register, number) in [(&first, "1001"), (&second, "1002")] {
        let to = format!("<sip:{number}@pbx.example>");
        assert_eq!(value(&register.headers, "To"), to);
        wire.answer(register, 401, "r", CHALLENGE);
        let again = wire.sent_request("REGISTER");
        let answered = value(&again.headers, "Authorization");
        assert!(answered.contains(&format!("username=\"{number}\"")));
        accept(&mut wire, &again, "");
    }
    assert_ne!(
        value(&first.headers, "Call-ID"),
        value(&second.headers, "Call-ID")
    );
    assert_eq!(states(&wire), [RegistrationState::Registered; 2]);

    let invite = place(&mut wire, Some("bob"));
    assert!(value(&invite.headers, "From").contains("<sip:1002@pbx.example>"));
    assert_eq!(contact_user(&invite), contact_user(&second));
    wire.answer(&invite, 401, "r", CHALLENGE);
    wire.sent_request("ACK");
    let invite = wire.sent_request("INVITE");
    assert!(value(&invite.headers, "Authorization").contains("username=\"1002\""));
    let of_nobody = place(&mut wire, Some("carol"));
    assert!(value(&of_nobody.headers, "From").contains("<sip:somebody@pbx.example>"));

    let text = to_contact("INVITE", &contact_uri(&first), SDP);
    wire.receive(&text);
    wire.sent_status(100);
    let incoming = wire.incoming();
    assert_eq!(incoming.account.as_deref(), Some("alice"));
    assert_eq!(incoming.request_user, "1001");
}

#[test]
fn texts_go_and_come_by_a_users_line_as_calls_do() {
    let mut wire = with_accounts(vec![account("alice", "1001", Registered::Always)]);
    let register = wire.sent_request("REGISTER");
    accept(
        &mut wire,
        &register,
        "Service-Route: <sip:edge.example;lr>\r\n",
    );
    let outgoing = OutgoingMessage {
        trunk: "pbx".to_owned(),
        to_user: "600".to_owned(),
        account: Some("alice".to_owned()),
        from_user: "somebody".to_owned(),
        text: "hello".to_owned(),
        ..OutgoingMessage::default()
    };
    wire.agent.message(outgoing, wire.now).expect("taken");
    let message = wire.sent_request("MESSAGE");
    assert!(value(&message.headers, "From").contains("<sip:1001@pbx.example>"));
    assert_eq!(value(&message.headers, "Route"), "<sip:edge.example;lr>");
    wire.answer(&message, 401, "r", CHALLENGE);
    let again = wire.sent_request("MESSAGE");
    assert!(value(&again.headers, "Authorization").contains("username=\"1001\""));

    let text = to_contact("MESSAGE", &contact_uri(&register), "hello")
        .replace("application/sdp", "text/plain");
    wire.receive(&text);
    let arrived = std::iter::from_fn(|| wire.agent.poll_event());
    let arrived = arrived.filter_map(|event| match event {
        UserAgentEvent::Message(message) => Some(*message),
        _ => None,
    });
    let arrived: Vec<_> = arrived.collect();
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].account.as_deref(), Some("alice"));
    assert_eq!(arrived[0].request_user, "1001");
}

#[test]
fn an_account_that_never_registers_only_lends_its_name() {
    let mut wire = with_accounts(vec![account("alice", "1001", Registered::Never)]);
    wire.quiet();
    wire.agent.handle_presence("alice", true, wire.now);
    wire.quiet();
    let invite = place(&mut wire, Some("alice"));
    assert!(value(&invite.headers, "From").contains("<sip:1001@pbx.example>"));
    assert_eq!(contact_user(&invite), "1001");
}

#[test]
fn a_line_is_registered_while_its_user_is_there_and_half_a_minute_longer() {
    let mut wire = with_accounts(vec![account("alice", "1001", Registered::Present)]);
    wire.quiet();
    wire.agent.handle_presence("alice", true, wire.now);
    let register = wire.sent_request("REGISTER");
    accept(&mut wire, &register, "");
    wire.agent.handle_presence("alice", false, wire.now);
    wire.advance(29 * SECOND);
    wire.quiet();
    // The page was loaded anew.
    wire.agent.handle_presence("alice", true, wire.now);
    wire.advance(29 * SECOND);
    wire.quiet();
    wire.agent.handle_presence("alice", false, wire.now);
    wire.advance(30 * SECOND);
    let last = wire.sent_request("REGISTER");
    assert_eq!(value(&last.headers, "Expires"), "0");
    wire.answer(&last, 200, "r", "");
    assert_eq!(states(&wire), [RegistrationState::Unregistered]);
    wire.advance(600 * SECOND);
    wire.quiet();
}

#[test]
fn fifty_at_a_time_register_and_are_taken_back_and_all_get_their_turn() {
    let accounts = (0..120)
        .map(|n| account(&format!("u{n}"), &format!("1{n:03}"), Registered::Always))
        .collect();
    let mut wire = with_accounts(accounts);
    for expires in ["300", "0"] {
        let mut under_way: Vec<Request> = Vec::new();
        let mut seen = 0;
        loop {
            while let Some(Message::Request(register)) = wire.sent() {
                assert_eq!(value(&register.headers, "Expires"), expires);
                seen += 1;
                under_way.push(register);
            }
            assert!(under_way.len() <= 50, "{}", under_way.len());
            let Some(register) = under_way.pop() else {
                break;
            };
            accept(&mut wire, &register, "");
        }
        assert_eq!(seen, 120);
        if expires == "300" {
            assert!(
                states(&wire)
                    .iter()
                    .all(|s| *s == RegistrationState::Registered)
            );
            wire.agent.shut_down(wire.now);
            assert!(!wire.agent.is_idle());
        }
    }
    assert!(wire.agent.is_idle());
}

#[test]
fn a_registrar_that_cannot_be_reached_fails_all_without_a_flood() {
    let accounts = (0..2_000)
        .map(|n| account(&format!("u{n}"), &format!("1{n:04}"), Registered::Always))
        .collect();
    let mut trunk = Trunk {
        accounts,
        ..trunk("pbx")
    };
    // No listener of that family: every send fails at once.
    trunk.targets[0].target.host = "2001:db8::1".to_owned();
    let mut wire = Wire::new(trunk);
    wire.agent.start(wire.now);
    wire.quiet();
    let failed = RegistrationState::Failed { status: 503 };
    assert!(states(&wire).iter().all(|state| *state == failed));
    // They come back spread over the half minute before the first minute is over.
    let next = wire.agent.poll_timeout().expect("they are tried again");
    assert!(next >= wire.now + 30 * SECOND && next < wire.now + 32 * SECOND);
}

#[test]
fn refreshes_come_in_time_and_not_in_one_moment() {
    let accounts = (0..20)
        .map(|n| account(&format!("u{n}"), &format!("1{n:03}"), Registered::Always))
        .collect();
    let mut wire = with_accounts(accounts);
    while let Some(Message::Request(register)) = wire.sent() {
        accept(&mut wire, &register, "");
    }
    // 300 seconds were granted: from 162 to 180 on.
    wire.advance(161 * SECOND);
    wire.quiet();
    let mut moments = Vec::new();
    while moments.len() < 20 {
        let next = wire.agent.poll_timeout().expect("a refresh") - wire.now;
        wire.advance(next);
        while let Some(Message::Request(register)) = wire.sent() {
            moments.push(wire.elapsed());
            accept(&mut wire, &register, "");
        }
    }
    assert!(*moments.last().expect("twenty") <= 180 * SECOND);
    moments.dedup();
    assert!(moments.len() > 15, "{moments:?}");
}

#[test]
fn the_service_route_is_the_way_of_calls() {
    let mut wire = Wire::new(with_own());
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    assert!(value(&register.headers, "Supported").contains("path"));
    accept(
        &mut wire,
        &register,
        "Service-Route: <sip:edge@192.0.2.8:5070;lr>, <sip:home.example;lr>\r\n",
    );
    let outgoing = Outgoing {
        trunk: "pbx".to_owned(),
        to_user: "600".to_owned(),
        body: SDP.into(),
        ..Outgoing::default()
    };
    wire.agent.invite(outgoing, wire.now).expect("placed");
    let sent = wire.agent.poll_transmit().expect("sent");
    assert_eq!(sent.flow.remote.to_string(), "192.0.2.8:5070");
    let text = String::from_utf8(sent.bytes.to_vec()).expect("text");
    assert!(text.starts_with("INVITE sip:600@pbx.example "), "{text}");
    let routes: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Route: "))
        .collect();
    assert_eq!(
        routes,
        ["<sip:edge@192.0.2.8:5070;lr>", "<sip:home.example;lr>"]
    );
}

#[test]
fn the_instance_is_the_same_after_a_restart_and_each_line_has_its_own() {
    let instances = || {
        let mut wire = with_accounts(vec![
            account("alice", "1001", Registered::Always),
            account("bob", "1002", Registered::Always),
        ]);
        [(); 2].map(|()| {
            let register = wire.sent_request("REGISTER");
            let contact = Address::parse(value(&register.headers, "Contact")).expect("readable");
            assert_eq!(contact.param("reg-id"), Some("1"));
            contact.param("+sip.instance").expect("named").to_owned()
        })
    };
    let before = instances();
    assert!(before[0].starts_with("\"<urn:uuid:"), "{}", before[0]);
    assert_ne!(before[0], before[1]);
    assert_eq!(before, instances());
}

#[test]
fn two_installations_that_listen_alike_have_instances_of_their_own() {
    let instance = |installation: Option<&str>| {
        let mut wire = Wire::with(Config {
            installation: installation.map(|named| Redacted::new(named.to_owned())),
            ..config(with_own())
        });
        wire.agent.start(wire.now);
        let register = wire.sent_request("REGISTER");
        let contact = Address::parse(value(&register.headers, "Contact")).expect("readable");
        contact.param("+sip.instance").expect("named").to_owned()
    };
    let [one, other, none] = [Some("one"), Some("other"), None].map(instance);
    assert_ne!(one, other);
    assert_ne!(one, none);
    assert_eq!(one, instance(Some("one")));
}

#[test]
fn an_edge_without_outbound_is_asked_again_without_it() {
    let mut wire = Wire::new(with_own());
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    wire.answer(&register, 439, "r", "");
    let again = wire.sent_request("REGISTER");
    assert_eq!(value(&again.headers, "Supported"), "path");
    assert!(!value(&again.headers, "Contact").contains("reg-id"));
    wire.answer(&again, 439, "r", "");
    wire.quiet();
    assert_eq!(states(&wire), [RegistrationState::Failed { status: 439 }]);
}

#[test]
fn a_wrong_password_is_tried_once_a_turn_and_the_turns_grow_apart() {
    let mut wire = Wire::new(with_own());
    wire.agent.start(wire.now);
    let mut waits = Vec::new();
    for turn in 0..4 {
        let mut requests = 0;
        while let Some(Message::Request(register)) = wire.sent() {
            requests += 1;
            let challenge = format!(
                "WWW-Authenticate: Digest realm=\"r\", nonce=\"{turn}-{requests}\", qop=\"auth\"\r\n"
            );
            wire.answer(&register, 401, "r", &challenge);
        }
        assert_eq!(requests, 2);
        assert_eq!(states(&wire), [RegistrationState::Failed { status: 401 }]);
        let wait = wire.agent.poll_timeout().expect("a next turn") - wire.now;
        // Timer K of the answered transactions comes first.
        let wait = wait.max(6 * SECOND);
        wire.advance(wait);
        let next = wire.agent.poll_timeout().expect("a next turn") - wire.now;
        waits.push(wait + next);
        wire.advance(next);
    }
    for (turn, wait) in waits.into_iter().enumerate() {
        let longest = 60 * SECOND * 2u32.pow(u32::try_from(turn).expect("small"));
        assert!(wait >= longest / 2 && wait <= longest, "{turn}: {wait:?}");
    }
}

/// The Contact of a call placed at a registrar that granted the registration with these headers.
fn contact_of_call(granted: &str) -> (Wire, Request) {
    let mut wire = Wire::new(with_own());
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    assert!(!value(&register.headers, "Contact").contains(";ob"));
    accept(&mut wire, &register, granted);
    let invite = place(&mut wire, None);
    (wire, invite)
}

#[test]
fn a_dialog_on_an_outbound_flow_comes_back_on_it() {
    for granted in ["Require: outbound\r\n", "Supported: path, Outbound\r\n"] {
        let (mut wire, invite) = contact_of_call(granted);
        let contact = value(&invite.headers, "Contact");
        assert!(contact.contains("@192.0.2.1:5060;line="), "{contact}");
        assert!(contact.ends_with(";ob>"), "{contact}");
        // Its target stays what it is when it is told again.
        wire.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
        wire.sent_request("ACK");
        let mut answered = None;
        while let Some(event) = wire.agent.poll_event() {
            if let UserAgentEvent::Leg(leg, Event::Accepted { .. }) = event {
                answered = Some(leg);
            }
        }
        let leg = answered.expect("an answer");
        wire.command(leg, Command::Reinvite { body: SDP.into() });
        let again = wire.sent_request("INVITE");
        assert_eq!(value(&again.headers, "Contact"), contact);
        // A refresh registers the same contact as before.
        wire.answer_with(&again, 200, "b1", OK_EXTRA, SDP);
        wire.sent_request("ACK");
        wire.advance(180 * SECOND);
        let refresh = wire.sent_request("REGISTER");
        assert!(!value(&refresh.headers, "Contact").contains(";ob"));
    }
}

#[test]
fn a_registrar_without_outbound_sees_no_ob_and_neither_does_one_that_has_lost_us() {
    let (_, invite) = contact_of_call("");
    assert!(!value(&invite.headers, "Contact").contains(";ob"));
    let (_, invite) = contact_of_call("Supported: path\r\n");
    assert!(!value(&invite.headers, "Contact").contains(";ob"));

    let (mut wire, _) = contact_of_call("Require: outbound\r\n");
    wire.advance(180 * SECOND);
    while let Some(message) = wire.sent() {
        if let crate::sip::stack::message::Message::Request(refresh) = message
            && refresh.method.as_str() == "REGISTER"
        {
            wire.answer(&refresh, 403, "r", "");
            break;
        }
    }
    while wire.sent().is_some() {}
    let invite = place(&mut wire, None);
    assert!(!value(&invite.headers, "Contact").contains(";ob"));
}

#[test]
fn a_call_by_another_way_than_the_registered_flow_has_no_ob() {
    let mut own = with_own();
    let mut other = own.targets[0].clone();
    other.target = Target::at(
        "192.0.2.3:5060".parse().expect("an address"),
        Transport::Udp,
    );
    other.priority = 2;
    own.targets.push(other);
    let mut wire = Wire::new(own);
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    accept(&mut wire, &register, "Require: outbound\r\n");
    let invite = place(&mut wire, None);
    assert!(value(&invite.headers, "Contact").contains(";ob>"));
    wire.answer(&invite, 503, "r", "");
    wire.sent_request("ACK");
    let elsewhere = wire.sent_request("INVITE");
    assert!(!value(&elsewhere.headers, "Contact").contains(";ob"));
}
