//! What transport and transaction layers must get right, line by line, as far as one wire shows
//! it. docs/sip-conformance.md lists every line with its test, these and others.

use std::time::Duration;

use super::wire::*;
use crate::sip::stack::framing::{Frame, Framer, FramingError};
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

fn frames(stream: &[u8]) -> Vec<Result<Frame, FramingError>> {
    let mut framer = Framer::new(2_000);
    framer.push(stream);
    let mut found = Vec::new();
    loop {
        match framer.poll() {
            Ok(Some(frame)) => found.push(Ok(frame)),
            Ok(None) => return found,
            Err(error) => {
                found.push(Err(error));
                return found;
            }
        }
    }
}

fn message(bytes: &str) -> Result<Frame, FramingError> {
    Ok(Frame::Message(bytes.to_owned().into()))
}

#[test]
fn content_length_duplicate_huge_negative_spaced_or_missing() {
    let head = |lines: &str| format!("OPTIONS sip:a SIP/2.0\r\n{lines}\r\n");
    let next = "BYE sip:b SIP/2.0\r\nl:0\r\n\r\n";
    // In step: the next message is found.
    for (lines, body) in [
        ("Content-Length: 2\r\nContent-Length: 2\r\n", "ab"),
        ("Content-Length: 2\r\nl: 2\r\n", "ab"),
        ("Content-Length :\t2  \r\n", "ab"),
        ("Content-Length:\r\n 2\r\n", "ab"),
        ("CONTENT-LENGTH: 0002\r\n", "ab"),
        ("", ""),
    ] {
        let whole = head(lines) + body;
        let found = frames(format!("{whole}{next}").as_bytes());
        assert_eq!(found, [message(&whole), message(next)], "{lines:?}");
    }
    // Out of step: the head is there to be answered, nothing after it is believed.
    for lines in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: -2\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 2 2\r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 2, 2\r\n",
    ] {
        let whole = head(lines);
        let found = frames(format!("{whole}ab{next}").as_bytes());
        assert_eq!(
            found,
            [message(&whole), Err(FramingError::UnknownLength)],
            "{lines:?}"
        );
    }
    let found = frames(head("Content-Length: 999999999\r\n").as_bytes());
    assert_eq!(found, [Err(FramingError::BodyTooLong(999_999_999))]);
}

#[test]
fn a_body_longer_than_said_is_not_of_the_message_and_one_shorter_is_waited_for() {
    let whole = "OPTIONS sip:a SIP/2.0\r\nl: 2\r\n\r\nab";
    let next = "BYE sip:b SIP/2.0\r\nl: 0\r\n\r\n";
    let found = frames(format!("{whole}\r\n{next}").as_bytes());
    assert_eq!(found, [message(whole), message(next)]);
    assert_eq!(frames(&whole.as_bytes()[..whole.len() - 1]), []);
}

#[test]
fn a_datagram_of_65507_bytes_is_read() {
    let mut wire = Wire::new(trunk("pbx"));
    let head = request("OPTIONS", 1, "big", "", "").len();
    let padding = "x".repeat(65_507 - head - "X-Padding: \r\n".len());
    let text = request("OPTIONS", 1, "big", "", "").replace(
        "Max-Forwards",
        &format!("X-Padding: {padding}\r\nMax-Forwards"),
    );
    assert_eq!(text.len(), 65_507);
    wire.receive(&text);
    let answer = wire.sent_status(200);
    assert!(answer.write().len() < 1_000);
}

#[test]
fn keep_alives_stand_between_messages() {
    let one = "OPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n";
    let found = frames(format!("\r\n\r\n{one}\r\n\r\n\r\n{one}\r\n").as_bytes());
    let alive = Ok(Frame::KeepAlive);
    assert_eq!(found, [alive.clone(), message(one), alive, message(one)]);
}

#[test]
fn one_bad_message_does_not_end_a_stream_that_stays_in_step() {
    let good = "OPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n";
    let oversized = format!("INFO sip:a SIP/2.0\r\nl: 3000\r\n\r\n{}", "x".repeat(3_000));
    for bad in [
        "GARBAGE\r\n\r\n",
        "SIP/2.0 abc\r\nl:0\r\n\r\n",
        "\u{1}:\r\nl: 1\r\n\r\nx",
    ] {
        let found = frames(format!("{good}{bad}{good}").as_bytes());
        assert_eq!(found, [message(good), message(bad), message(good)]);
    }
    let found = frames(format!("{good}{oversized}{good}").as_bytes());
    assert_eq!(found, [message(good), Ok(Frame::Oversized), message(good)]);
}

#[test]
fn every_malformed_request_that_can_be_answered_is_answered() {
    let changed = |from: &str, to: &str| request("INVITE", 1, "bad", "", SDP).replacen(from, to, 1);
    for (text, status, name, expected) in [
        (changed("CSeq: 1", "CSeq: one"), 400, "Server", "Trunkline"),
        (changed("INVITE sip:", "INVITE  sip:"), 400, "", ""),
        (changed("Max-Forwards: 70", "Max-Forwards: x"), 400, "", ""),
        (changed("Call-ID: call-1@pbx\r\n", ""), 400, "", ""),
        (
            request("PUBLISH", 1, "bad", "", ""),
            405,
            "Allow",
            Method::ALLOW,
        ),
        (
            changed("application/sdp", "text/plain"),
            415,
            "Accept",
            "application/sdp",
        ),
        (
            changed("Max-Forwards", "Content-Encoding: gzip\r\nMax-Forwards"),
            415,
            "Accept-Encoding",
            "identity",
        ),
        (changed("INVITE sip:", "INVITE http:"), 416, "", ""),
        (
            changed("Max-Forwards", "Require: teleport\r\nMax-Forwards"),
            420,
            "Unsupported",
            "teleport",
        ),
        (request("BYE", 1, "bad", "nobody", ""), 481, "", ""),
        (request("CANCEL", 1, "bad", "", ""), 481, "", ""),
        (changed("Max-Forwards: 70", "Max-Forwards: 0"), 483, "", ""),
        (
            request("FROBNICATE", 1, "bad", "", ""),
            501,
            "Allow",
            Method::ALLOW,
        ),
        (changed("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), 505, "", ""),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        wire.receive(&text);
        let answer = wire.sent_status(status);
        assert!(!answer.reason.is_empty());
        if !name.is_empty() {
            assert_eq!(value(&answer.headers, name), expected, "{text}");
        }
        assert_eq!(wire.rejections().len(), 1, "{status} is counted once");
        assert_eq!(wire.agent.legs(), 0);
    }
}

#[test]
fn parameters_with_nothing_in_them_are_passed_over_and_list_elements_are_not() {
    let mut wire = Wire::new(trunk("pbx"));
    let odd = request("INVITE", 1, "odd", "", SDP)
        .replace(";rport;branch=z9hG4bKodd", ";; ;rport;branch=z9hG4bKodd;")
        .replace(";tag=bt", ";;tag=bt;")
        .replace("<sip:bob@192.0.2.2:5060>", "<sip:bob@192.0.2.2:5060>;;x;");
    wire.receive(&odd);
    wire.sent_status(100);
    let leg = wire.incoming().leg;
    wire.command(leg, Command::Accept { body: SDP.into() });
    let tag = tag_of(&wire.sent_status(200));
    wire.receive(&request("ACK", 1, "ack1", &tag, ""));
    assert_eq!(wire.event(), Some(Event::Confirmed { body: None }));
    wire.command(leg, Command::Hangup { cause: None });
    let bye = wire.sent_request("BYE");
    assert_eq!(bye.uri, "sip:bob@192.0.2.2:5060");
    // RFC 4475 section 3.1.2.1: no list.
    for (number, via) in [",", ",,", ";,", " ,;;,"].iter().enumerate() {
        let branch = format!("list{number}");
        let text = request("OPTIONS", 1, &branch, "", "");
        wire.receive(&text.replace(&branch, &format!("{branch}{via}")));
        wire.sent_status(400);
    }
}

#[test]
fn what_cannot_be_answered_is_dropped_and_counted() {
    let text = request("INVITE", 1, "bad", "", SDP);
    let via = text.lines().nth(1).expect("Via");
    for (text, reason) in [
        (text.replace(via, "X-Via: none"), "no_via"),
        (text.replace("INVITE sip:", "\u{7f} sip:"), "unreadable"),
        (
            text.split("\r\n\r\n").next().expect("a head").to_owned(),
            "unreadable",
        ),
        (request("ACK", 1, "bad", "nobody", ""), "stray_ack"),
        (
            request("ACK", 1, "bad", "nobody", "").replace("CSeq: 1", "CSeq: one"),
            "malformed_ack",
        ),
    ] {
        let mut wire = Wire::new(trunk("pbx"));
        wire.receive(&text);
        wire.quiet();
        assert_eq!(wire.rejections(), [reason]);
    }
}

#[test]
fn rfc_3581_answers_go_where_they_came_from_on_ipv4_and_ipv6() {
    for (source, via, answered_at, stamp) in [
        (
            "198.51.100.9:4444",
            "192.0.2.2:5060;rport",
            "198.51.100.9:4444",
            ";received=198.51.100.9;rport=4444",
        ),
        (
            "198.51.100.9:4444",
            "192.0.2.2:5070",
            "198.51.100.9:5070",
            ";received=198.51.100.9",
        ),
        ("198.51.100.9:4444", "198.51.100.9", "198.51.100.9:5060", ""),
        (
            "[2001:db8::9]:4444",
            "[2001:db8::2]:5060;rport",
            "[2001:db8::9]:4444",
            ";received=2001:db8::9;rport=4444",
        ),
        (
            "[2001:db8::9]:4444",
            "[2001:db8:0::9]:5070",
            "[2001:db8::9]:5070",
            "",
        ),
        (
            "[::ffff:198.51.100.9]:4444",
            "198.51.100.9:5070",
            "[::ffff:198.51.100.9]:5070",
            "",
        ),
    ] {
        let mut from_anywhere = trunk("pbx");
        from_anywhere.accept_from = ["0.0.0.0/0", "::/0"]
            .map(|n| n.parse().expect("a network"))
            .to_vec();
        let mut wire = Wire::new(from_anywhere);
        let text = request("OPTIONS", 1, "r", "", "").replace("192.0.2.2:5060;rport", via);
        wire.receive_from(source, text.as_bytes());
        let sent = wire.agent.poll_transmit().expect("an answer");
        assert_eq!(sent.flow.remote.to_string(), answered_at);
        let written = String::from_utf8(sent.bytes.to_vec()).expect("text");
        let written = written.lines().nth(1).expect("Via").to_owned();
        let host = via.trim_end_matches(";rport");
        assert_eq!(
            written,
            format!("Via: SIP/2.0/UDP {host};branch=z9hG4bKr{stamp}")
        );
    }
}

#[test]
fn nothing_is_held_for_a_peer_that_never_answers_beyond_timers_b_f_and_h() {
    let mut wire = Wire::new(trunk("pbx"));
    for _ in 0..100 {
        let (_, _) = wire.call();
    }
    for number in 0..100 {
        let text = request("INVITE", 1, &format!("n{number}"), "", SDP)
            .replace("call-1@pbx", &format!("n{number}@pbx"));
        wire.receive(&text);
        while wire.sent().is_some() {}
        let incoming = wire.incoming();
        let refusal = Command::Reject {
            status: 486,
            reason: None,
            warning: None,
        };
        wire.command(incoming.leg, refusal);
        wire.receive(
            &request("OPTIONS", 1, &format!("o{number}"), "", "")
                .replace("call-1@pbx", &format!("o{number}@pbx")),
        );
    }
    assert_eq!(wire.agent.transactions(), 300);
    // 64 * T1 is 32 s for each of the three; an INVITE that was given up after 4 s is remembered
    // for so long, in case that somebody answers.
    wire.advance(Duration::from_millis(36_600));
    while wire.sent().is_some() {}
    assert_eq!((wire.agent.legs(), wire.agent.transactions()), (0, 0));
    assert_eq!(wire.agent.poll_timeout(), None);
    wire.advance(SECOND);
    wire.quiet();
}

#[test]
fn timer_b_runs_from_when_the_request_is_handed_over_connecting_included() {
    let mut trunk = trunk("pbx");
    trunk.targets[0].target.transport = Some(Transport::Tcp);
    trunk.try_timeout = 32 * SECOND;
    let mut wire = Wire::new(trunk);
    let (_, invite) = wire.call();
    assert!(value(&invite.headers, "Via").starts_with("SIP/2.0/TCP "));
    // The transport never says whether it is connected: the time is over all the same.
    wire.advance(32 * SECOND - Duration::from_millis(1));
    assert_eq!(wire.event(), None);
    wire.advance(Duration::from_millis(1));
    assert!(matches!(
        wire.event(),
        Some(Event::Refused {
            status: 408,
            local: true,
            ..
        })
    ));
    assert_eq!((wire.agent.legs(), wire.agent.transactions()), (0, 0));
}
