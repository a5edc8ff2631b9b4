//! The 49 messages of RFC 4475 into a whole user agent, as datagrams and as a stream, and one
//! table of what became of each.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a start")]

mod beyond_parsing;
mod invalid;
mod message;
mod seeds;
mod table;
#[path = "../fixtures/user_agent.rs"]
mod user_agent;
mod valid;

use std::fmt::Write as _;
use std::time::Instant;

use bytes::Bytes;
use trunkline::sip::{Flow, Frame, Framer, Message, Transport, UserAgentEvent};

use crate::message::{Seen, look_up};
use crate::table::{Outcome, Row, Stream, messages};
use crate::user_agent::{PEER, user_agent};

fn flow(transport: Transport) -> Flow {
    let (listener, connection) = match transport {
        Transport::Udp => (0, None),
        _ => (1, Some(1)),
    };
    let peer = PEER.parse().expect("an address");
    Flow {
        connection,
        ..Flow::new(transport, listener, peer)
    }
}

/// What a fresh user agent makes of one message.
fn feed(bytes: &Bytes, transport: Transport) -> Seen {
    // Its only trunk is the sender of every message.
    let mut agent = user_agent(&[Transport::Udp, Transport::Tcp], 4475);
    let now = Instant::now();
    agent.handle_message(bytes, flow(transport), now);
    let mut seen = Seen::default();
    while let Some(event) = agent.poll_event() {
        match event {
            UserAgentEvent::Incoming(incoming) => seen.incoming = Some(*incoming),
            UserAgentEvent::Rejected { reason, .. } => seen.rejected = Some(reason),
            _ => {}
        }
    }
    while let Some(transmit) = agent.poll_transmit() {
        let sent = Message::read(&transmit.bytes).expect("we write readable messages");
        let Message::Response(response) = sent.message else {
            panic!("a request was sent: {:?}", transmit.bytes);
        };
        assert!(seen.response.is_none(), "two answers");
        seen.response = Some(response);
    }
    seen.held = agent.legs();
    seen
}

/// The differences between what a row expects and what was seen.
fn differences(row: &Row, bytes: &Bytes, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let status = seen.response.as_ref().map(|response| response.status);
    let expected = match row.outcome {
        Outcome::Rings => Some(100),
        Outcome::Answered(status) => Some(status),
        Outcome::Dropped(_) => None,
    };
    if status != expected {
        wrong.push(format!("answer {status:?} instead of {expected:?}"));
    }
    if seen.incoming.is_some() != matches!(row.outcome, Outcome::Rings) {
        wrong.push(format!("rings: {}", seen.incoming.is_some()));
    }
    if seen.held != usize::from(matches!(row.outcome, Outcome::Rings)) {
        wrong.push(format!("{} legs held", seen.held));
    }
    if let Outcome::Dropped(reason) = row.outcome
        && seen.rejected != Some(reason)
    {
        wrong.push(format!("counted as {:?}, not {reason}", seen.rejected));
    }
    for (key, value) in row.values {
        let found = look_up(key, bytes, seen);
        if found != *value {
            wrong.push(format!("{key} is {found:?}, not {value:?}"));
        }
    }
    // What every answer copies (RFC 3261 section 8.2.6.2), byte for byte.
    if seen.response.is_some() {
        for name in ["From", "Call-ID", "CSeq"] {
            let (asked, answered) = (
                look_up(&format!("header {name}"), bytes, seen),
                look_up(&format!("answer {name}"), bytes, seen),
            );
            if asked != answered {
                wrong.push(format!("{name} comes back as {answered:?}, was {asked:?}"));
            }
        }
        let (asked, answered) = (
            look_up("vias", bytes, seen),
            look_up("answer vias", bytes, seen),
        );
        if asked != answered {
            wrong.push(format!("{answered} Vias come back of {asked}"));
        }
    }
    wrong
}

/// The frames of a message that arrives as a stream, cut everywhere.
fn frames(bytes: &[u8]) -> (Vec<Bytes>, bool) {
    let mut framer = Framer::new(65_535);
    let mut frames = Vec::new();
    for byte in bytes.chunks(1) {
        framer.push(byte);
        loop {
            match framer.poll() {
                Ok(Some(Frame::Message(frame))) => frames.push(frame),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
    }
    (frames, true)
}

fn stream_differences(row: &Row, bytes: &Bytes) -> Vec<String> {
    let (frames, in_step) = frames(bytes);
    let wrong = |what: &str| vec![format!("as a stream: {what}, {} frames", frames.len())];
    if in_step == matches!(row.stream, Stream::Ends) {
        return wrong("in step when it cannot be, or out of step when it need not be");
    }
    match row.stream {
        Stream::Waits if frames.is_empty() => return Vec::new(),
        Stream::Waits => return wrong("a body came that was never sent"),
        Stream::Whole if frames.len() != 1 => return wrong("one message was sent"),
        // The second message of `dblreq` is shorter than its body: the rest is noise.
        Stream::Followed
            if !frames
                .get(1)
                .is_some_and(|second| second.starts_with(b"INVITE ")) =>
        {
            return wrong("two messages were sent");
        }
        _ if frames.is_empty() => return wrong("nothing came"),
        _ => {}
    }
    let seen = feed(&frames[0], Transport::Tcp);
    let answered = |seen: &Seen| seen.response.as_ref().map(|response| response.status);
    let datagram = feed(bytes, Transport::Udp);
    if answered(&seen) != answered(&datagram) {
        return wrong(&format!(
            "{:?} instead of {:?}",
            answered(&seen),
            answered(&datagram)
        ));
    }
    Vec::new()
}

#[test]
fn every_message_of_rfc_4475_is_handled_as_it_says() {
    let mut table = String::new();
    let mut failures = Vec::new();
    let _ = writeln!(
        table,
        "| message | section | the RFC expects | done here | stream | ok |\n|---|---|---|---|---|---|"
    );
    for row in messages() {
        let bytes = Bytes::from(message::fixture(row.name));
        let seen = feed(&bytes, Transport::Udp);
        let mut wrong = differences(row, &bytes, &seen);
        wrong.extend(stream_differences(row, &bytes));
        let done = match (&seen.response, seen.rejected) {
            (Some(response), _) if seen.incoming.is_some() => {
                format!("{} and the call rings", response.status)
            }
            (Some(response), _) => format!("{} {}", response.status, response.reason),
            (None, Some(reason)) => format!("dropped, counted {reason}"),
            (None, None) => "nothing".to_owned(),
        };
        let ok = if wrong.is_empty() { "ok" } else { "WRONG" };
        let _ = writeln!(
            table,
            "| {} | {} | {} | {done} | {} | {ok} |",
            row.name,
            row.section,
            row.expected,
            row.stream.as_str(),
        );
        failures.extend(wrong.iter().map(|wrong| format!("{}: {wrong}", row.name)));
    }
    let failed = failures.len();
    println!(
        "{table}\n{} messages, {failed} differences",
        messages().count()
    );
    assert_eq!(messages().count(), 49);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_fixture_has_its_row_and_every_row_values() {
    let mut fixtures = message::names();
    fixtures.sort();
    let mut rows: Vec<_> = messages().map(|row| row.name.to_owned()).collect();
    rows.sort();
    assert_eq!(fixtures, rows);
    for row in messages() {
        assert!(!row.values.is_empty(), "{} checks no value", row.name);
    }
}
