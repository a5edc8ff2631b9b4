//! Dialogs whose URIs no grammar allows, or that lead nowhere: each ACK, PRACK and BYE goes out,
//! its URI as it came (RFC 3261 section 12.2.1.1).

use super::wire::*;
use crate::sip::*;

/// The next request of that method, its URI and where it goes to.
fn sent(wire: &mut Wire, method: &str) -> (String, String, Request) {
    loop {
        let transmit = wire.agent.poll_transmit().expect("something is sent");
        let text = String::from_utf8(transmit.bytes.to_vec()).expect("text");
        let Some(rest) = text.strip_prefix(&format!("{method} ")) else {
            continue;
        };
        let (uri, _) = rest.split_once(" SIP/2.0").expect("a request line");
        let uri = uri.to_owned();
        let received = Message::read(&transmit.bytes).expect("we write readable messages");
        let Message::Request(request) = received.message else {
            panic!("a request: {text}");
        };
        return (uri, transmit.flow.remote.to_string(), request);
    }
}

const AUDIO: &str = "Content-Type: application/sdp\r\n";

#[test]
fn contact_out_of_grammar_is_kept_byte_for_byte_by_ack_and_bye() {
    for (contact, destination) in [
        ("sip:6#00@192.0.2.7:5070", "192.0.2.7:5070"),
        ("sip:a|b@192.0.2.7", "192.0.2.7:5060"),
        ("sip:u:p:q@192.0.2.7:5070", "192.0.2.7:5070"),
        ("sip:100%zz@192.0.2.7", "192.0.2.7:5060"),
        ("sip:6 00@192.0.2.7", "192.0.2.7:5060"),
        ("sip:600@192.0.2.7:", "192.0.2.7:5060"),
        (
            "sip:600@192.0.2.7;Transport=UDP;x=\"a<b\"",
            "192.0.2.7:5060",
        ),
        ("sip:600@unknown.invalid;MADDR=192.0.2.9", "192.0.2.9:5060"),
        ("sip:600@192.0.2.7;ob;+sip.x=%%;=", "192.0.2.7:5060"),
        ("SIP:600@192.0.2.7", "192.0.2.7:5060"),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let (leg, invite) = wire.call();
        let extra = format!("Contact: <{contact}>\r\n{AUDIO}");
        wire.answer_with(&invite, 200, "b1", &extra, SDP);
        let (uri, remote, _) = sent(&mut wire, "ACK");
        assert_eq!((uri.as_str(), remote.as_str()), (contact, destination));
        wire.command(leg, Command::Hangup { cause: None });
        let (uri, remote, bye) = sent(&mut wire, "BYE");
        assert_eq!((uri.as_str(), remote.as_str()), (contact, destination));
        wire.answer(&bye, 200, "b1", "");
        assert_eq!(wire.agent.legs(), 0, "{contact}");
    }
}

#[test]
fn record_route_out_of_grammar_is_routed_by_its_host_and_kept() {
    for (route, destination) in [
        ("sip:p|1@192.0.2.8:5080;lr", "192.0.2.8:5080"),
        ("sip:192.0.2.8;LR;ftag=a#b", "192.0.2.8:5060"),
        ("sip:192.0.2.8:;lr=on;did=x.%1", "192.0.2.8:5060"),
        ("sip:edge_1.invalid;lr;maddr=192.0.2.8", "192.0.2.8:5060"),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let (leg, invite) = wire.call();
        let extra = format!("Record-Route: <{route}>\r\n{OK_EXTRA}");
        wire.answer_with(&invite, 200, "b1", &extra, SDP);
        for method in ["ACK", "BYE"] {
            let (uri, remote, request) = sent(&mut wire, method);
            assert_eq!(uri, "sip:600@192.0.2.2:5060", "{route}");
            assert_eq!(remote, destination, "{route}");
            assert_eq!(value(&request.headers, "Route"), format!("<{route}>"));
            if method == "ACK" {
                wire.command(leg, Command::Hangup { cause: None });
            }
        }
    }
}

#[test]
fn prack_goes_to_a_contact_out_of_grammar() {
    for contact in [
        "sip:6#00@192.0.2.7",
        "sip:a:b:c@192.0.2.7",
        "sip:6|0@192.0.2.7",
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let (_, invite) = wire.call();
        let extra = format!("Contact: <{contact}>\r\nRequire: 100rel\r\nRSeq: 7\r\n");
        wire.answer(&invite, 180, "b1", &extra);
        let (uri, remote, prack) = sent(&mut wire, "PRACK");
        assert_eq!((uri.as_str(), remote.as_str()), (contact, "192.0.2.7:5060"));
        assert_eq!(value(&prack.headers, "RAck"), "7 1 INVITE");
    }
}

#[test]
fn contact_that_leads_nowhere_has_requests_go_where_the_last_message_came_from() {
    for contact in [
        "tel:+4930123",
        "sip:600@host_of_no_dns",
        "sip:",
        "urn:service:sos",
        "sip:600@[fe80::1%eth0",
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let (leg, invite) = wire.call();
        let extra = format!("Contact: <{contact}>\r\n{AUDIO}");
        wire.answer_with(&invite, 200, "b1", &extra, SDP);
        unresolved(&mut wire);
        let (uri, remote, _) = sent(&mut wire, "ACK");
        assert_eq!((uri.as_str(), remote.as_str()), (contact, PEER));
        wire.command(leg, Command::Hangup { cause: None });
        unresolved(&mut wire);
        let (uri, remote, _) = sent(&mut wire, "BYE");
        assert_eq!((uri.as_str(), remote.as_str()), (contact, PEER));
    }
}

/// No name that is asked for exists.
fn unresolved(wire: &mut Wire) {
    let none = DnsResponse::Failed {
        why: "no such name".to_owned(),
    };
    while let Some(event) = wire.agent.poll_event() {
        if let UserAgentEvent::Resolve { query } = event {
            wire.agent.handle_resolved(&query, none.clone(), wire.now);
        }
    }
}

#[test]
fn response_with_the_sent_by_of_another_is_dropped() {
    for (ours, theirs) in [
        ("192.0.2.1:5060", "192.0.2.66:5060"),
        ("192.0.2.1:5060", "192.0.2.1:5090"),
        ("192.0.2.1:5060", "pbx.example:5060"),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        let (_, invite) = wire.call();
        let text = |status| {
            let response = invite.respond(status, None, Some("b1"));
            String::from_utf8(response.write().to_vec()).expect("text")
        };
        let foreign = text(486).replacen(ours, theirs, 1);
        assert_ne!(foreign, text(486), "our Via has {ours}");
        wire.receive(&foreign);
        assert_eq!(wire.rejections(), ["response_sent_by"], "{theirs}");
        wire.quiet();
        // The real one still counts.
        wire.receive(&text(486));
        wire.sent_request("ACK");
        assert!(wire.event().is_some());
    }
}

/// Answers without a Contact that can be written back into a request line.
const WITHOUT_CONTACT: [&str; 7] = [
    "",
    "Contact: *\r\n",
    "Contact: <sip:6\r00@192.0.2.9>\r\n",
    "Contact: <sip:6\x1b[2J00@192.0.2.9>\r\n",
    "Contact: <sip:6\t00@192.0.2.9>\r\n",
    "Contact: <>\r\n",
    "Contact: nonsense\r\n",
];

#[test]
fn answer_without_a_usable_contact_has_requests_go_where_it_came_from() {
    let port = "192.0.2.2:5090";
    for contact in WITHOUT_CONTACT {
        let mut trunk = trunk("pbx");
        trunk.targets[0].target.port = Some(5090);
        let mut wire = Wire::new(trunk);
        let (leg, invite) = wire.call();
        let response = invite.respond(200, None, Some("b1"));
        let text = String::from_utf8(response.write().to_vec()).expect("text");
        let text = text.replacen("Content-Length", &format!("{contact}Content-Length"), 1);
        wire.receive_from(port, text.as_bytes());
        let (uri, remote, _) = sent(&mut wire, "ACK");
        assert_eq!(
            (uri.as_str(), remote.as_str()),
            (invite.uri.as_str(), port),
            "{contact:?}"
        );
        wire.command(leg, Command::Hangup { cause: None });
        let (uri, remote, _) = sent(&mut wire, "BYE");
        assert_eq!(
            (uri.as_str(), remote.as_str()),
            (invite.uri.as_str(), port),
            "{contact:?}"
        );
    }
}

#[test]
fn answer_without_contact_keeps_that_of_its_early_dialog() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    wire.answer(&invite, 180, "b1", "Contact: <sip:600@192.0.2.7:5070>\r\n");
    wire.answer_with(&invite, 200, "b1", AUDIO, SDP);
    let (uri, remote, _) = sent(&mut wire, "ACK");
    assert_eq!(
        (uri.as_str(), remote.as_str()),
        ("sip:600@192.0.2.7:5070", "192.0.2.7:5070")
    );
}

#[test]
fn answer_without_contact_goes_by_its_route() {
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    let extra = format!("Record-Route: <sip:192.0.2.8:5080;lr>\r\n{AUDIO}");
    wire.answer_with(&invite, 200, "b1", &extra, SDP);
    let (uri, remote, _) = sent(&mut wire, "ACK");
    assert_eq!(
        (uri.as_str(), remote.as_str()),
        (invite.uri.as_str(), "192.0.2.8:5080")
    );
}

#[test]
fn caller_without_a_usable_contact_is_hung_up_where_it_called_from() {
    for contact in ["", "Contact: <sip:6\x1b00@192.0.2.9>\r\n"] {
        let mut wire = Wire::new(trunk("pbx"));
        let text = request("INVITE", 1, "inv1", "", SDP);
        let at = text.find("Contact:").expect("a Contact");
        let end = at + text[at..].find("\r\n").expect("its end") + 2;
        let text = format!("{}{contact}{}", &text[..at], &text[end..]);
        wire.receive(&text);
        let Some(Message::Response(first)) = wire.sent() else {
            panic!("an answer is expected");
        };
        assert_eq!(first.status, 100, "{contact:?}");
        let incoming = wire.incoming();
        wire.command(incoming.leg, Command::Accept { body: SDP.into() });
        let tag = tag_of(&wire.sent_status(200));
        wire.receive(&request("ACK", 1, "ack1", &tag, ""));
        wire.command(incoming.leg, Command::Hangup { cause: None });
        let (_, remote, _) = sent(&mut wire, "BYE");
        assert_eq!(remote, PEER, "{contact:?}");
    }
}

#[test]
fn call_id_with_white_space_is_refused() {
    for call_id in ["a user=boss call=99", "a\tb", "a @b"] {
        let mut wire = Wire::new(trunk("pbx"));
        let text = request("INVITE", 1, "inv1", "", SDP);
        let at = text.find("Call-ID: ").expect("a Call-ID");
        let end = at + text[at..].find("\r\n").expect("its end");
        let text = format!("{}Call-ID: {call_id}{}", &text[..at], &text[end..]);
        wire.receive(&text);
        wire.sent_status(400);
        wire.quiet();
    }
}
