//! Odd and bad messages: what is understood, what is answered, what is dropped.

use bytes::Bytes;
use proptest::prelude::*;

use super::wire::*;
use crate::sip::stack::message::{Fault, Message, Unreadable};
use crate::sip::*;

fn read(text: &str) -> Result<Received, Unreadable> {
    Message::read(&Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn compact_forms_folds_and_odd_spacing_are_read() {
    let text = "\r\nINVITE sip:a%20b@[2001:db8::1]:5070;transport=tcp SIP/2.0\n\
        v :SIP / 2.0 / UDP  192.0.2.2 ; branch = z9hG4bKx ,\r\n SIP/2.0/TCP [::1]:5061;branch=z9hG4bKy\r\n\
        f: \"A \\\"quoted\\\" <name>, x\" <sip:bob@x;p=1>;tag=1\r\n\
        t: sip:carol@y;tag=2\r\n\
        i: abc\r\nCSeq: 0009\r\n  INVITE\r\nl: 2\r\nX-Latin: \u{e9}\r\n\r\nabcd";
    let received = read(text).expect("readable");
    assert_eq!(received.fault, None);
    let Message::Request(request) = received.message else {
        panic!("a request");
    };
    assert_eq!(&request.body[..], b"ab");
    let envelope = crate::sip::stack::envelope::Envelope::read(&request.headers).expect("placed");
    assert_eq!(envelope.branch, "z9hG4bKx");
    assert_eq!(
        envelope.from.name.as_deref(),
        Some("A \"quoted\" <name>, x")
    );
    assert_eq!(envelope.from.uri, "sip:bob@x;p=1");
    assert_eq!(envelope.to.tag(), Some("2"));
    assert_eq!(envelope.sequence, 9);
    let hop = NextHop::of_uri(&request.uri).expect("a hop");
    assert_eq!(
        (hop.host.as_str(), hop.port, hop.transport),
        ("2001:db8::1", Some(5070), Some(Transport::Tcp))
    );
    assert_eq!(crate::sip::stack::address::user_of(&request.uri), "a b");
    assert_eq!(
        crate::sip::stack::address::user_of("tel:+4930123;phone-context=x"),
        "+4930123"
    );
}

#[test]
fn what_is_no_message_is_told_apart_from_what_has_a_fault() {
    assert_eq!(read("").err(), Some(Unreadable::StartLine));
    assert_eq!(read("hello\r\n\r\n").err(), Some(Unreadable::StartLine));
    assert_eq!(
        read("BYE sip:a SIP/2.0\r\nVia: x\r\n").err(),
        Some(Unreadable::Truncated)
    );
    assert_eq!(
        read("SIP/2.0 99 x\r\n\r\n").err(),
        Some(Unreadable::StartLine)
    );
    for (text, fault) in [
        ("BYE sip:a SIP/7.0\r\n\r\n", Fault::Version),
        ("BYE sip:a b SIP/2.0\r\n\r\n", Fault::StartLine),
        ("BYE sip:a SIP/2.0\r\nno colon\r\n\r\n", Fault::HeaderLine),
        ("BYE sip:a SIP/2.0\r\nl: 9\r\n\r\nabc", Fault::BodyTooShort),
        (
            "BYE sip:a SIP/2.0\r\nl: -9\r\n\r\nabc",
            Fault::ContentLength,
        ),
    ] {
        assert_eq!(read(text).expect(text).fault, Some(fault), "{text}");
    }
    let many = format!("BYE sip:a SIP/2.0\r\n{}\r\n", "X: y\r\n".repeat(300));
    assert_eq!(read(&many).err(), Some(Unreadable::TooManyHeaders));
}

#[test]
fn requests_with_a_fault_are_answered_with_it() {
    let good = request("INVITE", 1, "b", "", SDP);
    let cases: [(&str, &str, u16, &str); 16] = [
        ("SIP/2.0\r\nVia", "SIP/3.0\r\nVia", 505, ""),
        ("INVITE sip:alice", "INVITEX sip:alice", 400, ""),
        ("CSeq: 1 INVITE", "CSeq: 1 BYE", 400, ""),
        ("CSeq: 1 INVITE", "CSeq: 4294967296 INVITE", 400, ""),
        ("Call-ID: call-1@pbx\r\n", "", 400, ""),
        ("From: ", "From: <sip:x>\r\nFrom: ", 400, ""),
        (";tag=bt", "", 400, ""),
        ("Max-Forwards: 70", "Max-Forwards: 0", 483, ""),
        ("Max-Forwards: 70", "Max-Forwards: x", 400, ""),
        ("INVITE sip:alice@", "INVITE mailto:alice@", 416, ""),
        ("application/sdp", "application/pdf", 415, "Accept"),
        (
            "Max-Forwards",
            "Content-Encoding: gzip\r\nMax-Forwards",
            415,
            "Accept-Encoding",
        ),
        (
            "Max-Forwards",
            "Require: 100rel, timer, x\r\nMax-Forwards",
            420,
            "Unsupported",
        ),
        ("Content-Length: ", "Content-Length: 9", 400, ""),
        (
            "To: <sip:alice@192.0.2.1>",
            "To: <sip:alice@192.0.2.1>;tag=gone",
            481,
            "",
        ),
        (
            "Max-Forwards",
            "Session-Expires: 30\r\nk: timer\r\nMax-Forwards",
            422,
            "Min-SE",
        ),
    ];
    for (from, to, status, header) in cases {
        let mut wire = Wire::new(trunk("pbx"));
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        wire.receive(&text);
        let response = wire.sent_status(status);
        if !header.is_empty() {
            assert_ne!(value(&response.headers, header), "", "{to}");
        }
        assert_eq!(wire.agent.legs(), 0);
    }
}

#[test]
fn methods_are_told_apart_as_whole_words() {
    for (method, status) in [
        ("INVITEX", 501),
        ("INFORM", 501),
        ("invite", 501),
        ("SUBSCRIBE", 405),
        ("REGISTER", 405),
        ("BYE", 481),
        ("OPTIONS", 200),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        wire.receive(&request(method, 1, "b", "", ""));
        let response = wire.sent_status(status);
        if matches!(status, 200 | 405 | 501) {
            assert_eq!(value(&response.headers, "Allow"), Method::ALLOW);
        }
    }
}

/// Found by the fuzz target `address`.
#[test]
fn an_address_that_is_written_is_read_as_the_same_address() {
    use crate::sip::Address;
    let unbalanced = "\"Jsip:joe@example.org>.org>;;;;";
    assert!(Address::parse(unbalanced).is_err());
    let nameless = Address::parse("\u{0}\u{0}<sip:127.0.0.1:5080>").expect("readable");
    assert_eq!(nameless.to_string(), "<sip:127.0.0.1:5080>");
}

#[test]
fn an_ack_is_never_answered() {
    let mut wire = Wire::new(trunk("pbx"));
    wire.receive(&request("ACK", 1, "b", "x", ""));
    wire.receive(&request("ACK", 1, "b", "x", "").replace("Call-ID", "Call ID"));
    wire.receive(&request("ACK", 1, "b", "x", "").replace("SIP/2.0\r\nVia", "SIP/4.0\r\nVia"));
    wire.quiet();
    assert_eq!(wire.agent.transactions(), 0);
}

#[test]
fn one_call_by_two_ways_is_a_loop() {
    let mut wire = Wire::new(trunk("pbx"));
    wire.called();
    wire.receive(&request("INVITE", 1, "otherway", "", SDP));
    wire.sent_status(482);
    assert_eq!(wire.agent.legs(), 1);
}

#[test]
fn too_many_transactions_are_refused_without_keeping_any() {
    let mut wire = Wire::new(trunk("pbx"));
    for number in 0..40 {
        let text = request("OPTIONS", number + 1, &format!("b{number}"), "", "")
            .replace("call-1", &format!("call-{number}"));
        wire.receive(&text);
        wire.sent_status(200);
    }
    assert_eq!(wire.agent.transactions(), 40);
    wire.advance(std::time::Duration::from_secs(33));
    assert_eq!(wire.agent.transactions(), 0);
}

#[test]
fn a_message_cut_anywhere_gets_at_most_one_answer() {
    for method in ["INVITE", "BYE", "OPTIONS", "CANCEL", "ACK"] {
        let text = request(method, 1, "b", "", SDP);
        for at in 0..text.len() {
            let mut wire = Wire::new(trunk("pbx"));
            wire.receive(&text[..at]);
            let answered = wire.agent.poll_transmit().is_some();
            assert!(
                !(answered && method == "ACK"),
                "ACK cut at {at} was answered"
            );
            wire.quiet();
            assert_eq!(wire.agent.legs(), 0, "{method} cut at {at}");
        }
    }
}

#[test]
fn responses_out_of_nowhere_are_dropped_and_counted() {
    let mut wire = Wire::new(trunk("pbx"));
    let text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnone\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n";
    wire.receive(text);
    wire.receive(&text.replace("CSeq: 1", "CSeq: one"));
    wire.quiet();
    let reasons: Vec<_> = std::iter::from_fn(|| wire.agent.poll_event())
        .map(|event| match event {
            UserAgentEvent::Rejected { reason, .. } => reason,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(reasons, ["stray_response", "malformed_response"]);
}

proptest! {
    #[test]
    fn damaged_messages_never_panic(
        method in prop::sample::select(vec!["INVITE", "BYE", "REGISTER", "CANCEL", "ACK", "INFO"]),
        damage in prop::collection::vec((0usize..500, any::<u8>()), 1..8),
    ) {
        let mut wire = Wire::new(trunk("pbx"));
        let (_, invite) = wire.call();
        let extra = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nSession-Expires: 90\r\n";
        let response = invite.respond(401, None, Some("b1")).write();
        let response = String::from_utf8_lossy(&response).replacen("CSeq", &format!("{extra}CSeq"), 1);
        for text in [request(method, 1, "b", "", SDP), response] {
            let mut bytes = text.into_bytes();
            for (at, byte) in &damage {
                let at = at % bytes.len();
                bytes[at] = *byte;
            }
            wire.receive_bytes(&bytes);
        }
        wire.advance(std::time::Duration::from_secs(3));
    }
}

#[test]
fn call_id_with_white_space_inside_is_not_read() {
    // `callid` is a word, or two around an `@` (RFC 3261 section 25.1). In a request 400 says so;
    // a response with one is none to us, whose Call-IDs have none, and is not guessed.
    let start_lines = ["OPTIONS sip:gateway SIP/2.0", "SIP/2.0 200 OK"];
    for start_line in start_lines {
        let envelope = |call_id: &str| {
            let text = format!(
                "{start_line}\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx\r\n\
                 From: <sip:a@x>;tag=1\r\nTo: <sip:b@y>;tag=2\r\nCall-ID: {call_id}\r\n\
                 CSeq: 1 OPTIONS\r\n\r\n"
            );
            let received = read(&text).expect("readable");
            let read = match &received.message {
                Message::Request(request) => {
                    crate::sip::stack::envelope::Envelope::read(&request.headers)
                }
                Message::Response(response) => {
                    crate::sip::stack::envelope::Envelope::read(&response.headers)
                }
            };
            read.map(|envelope| envelope.call_id.to_string())
        };
        for bad in ["a b", "a\tb", "a @b", "a@ b", "a\r\n b", "a\u{a0}b"] {
            let found = envelope(bad);
            assert_eq!(
                found,
                Err(crate::sip::stack::envelope::BadHeader("Call-ID")),
                "{bad:?}"
            );
        }
        // Around the value it is no part of it.
        for good in ["a@b", " a@b \t", "\r\n a@b"] {
            assert_eq!(envelope(good).as_deref(), Ok("a@b"), "{good:?}");
        }
    }
}
