//! The seed corpus of the fuzz targets, made of the fixtures.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use trunkline::sip::{Message, Outgoing, Request, Transport};

use crate::message::{fixture, names};
use crate::user_agent::user_agent;

/// Between the datagrams of one run of the target `user_agent`.
const NEXT: &[u8] = b"\n%%\n";
const TO_US: &str = "sip:alice@192.0.2.1";

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("written");
}

/// The INVITE that the target's user agent has sent before the first datagram comes: its random
/// numbers are always the same.
fn our_invite() -> Request {
    let mut agent = user_agent(&[Transport::Udp], 7);
    let outgoing = Outgoing {
        trunk: "pbx".to_owned(),
        to_user: "600".to_owned(),
        from_user: "alice".to_owned(),
        call_id: Some("ours".to_owned()),
        ..Outgoing::default()
    };
    agent
        .invite(outgoing, Instant::now())
        .expect("the trunk is there");
    let sent = agent.poll_transmit().expect("an INVITE");
    match Message::read(&sent.bytes).expect("readable").message {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

/// Answers to our INVITE, in an order that a peer may choose.
fn answers(statuses: &[u16], extra: &str, body: &str) -> Vec<u8> {
    let invite = our_invite();
    let mut datagrams = Vec::new();
    for status in statuses {
        let response = invite.respond(*status, None, Some("b1")).write();
        let text = String::from_utf8(response.to_vec()).expect("text");
        let head = text
            .strip_suffix("Content-Length: 0\r\n\r\n")
            .expect("no body");
        let text = format!(
            "{head}Contact: <sip:600@192.0.2.2>\r\nRecord-Route: <sip:192.0.2.3;lr>\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        datagrams.push(text.into_bytes());
    }
    datagrams.join(NEXT)
}

fn request(method: &str, sequence: u32, extra: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {TO_US} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;rport;branch=z9hG4bK{method}{sequence}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:bob@pbx.example>;tag=bt\r\nTo: <{TO_US}>\r\n\
         Call-ID: theirs\r\nCSeq: {sequence} {method}\r\nContact: <sip:bob@192.0.2.2>\r\n{extra}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn descriptions() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sdp");
    let files = fs::read_dir(folder)
        .expect("the fixtures are there")
        .flatten();
    files
        .filter(|file| file.path().extension().is_some_and(|kind| kind == "sdp"))
        .map(|file| {
            let bytes = fs::read(file.path()).expect("readable");
            (file.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect()
}

#[test]
#[ignore = "writes fuzz/seeds for fuzz/run, checks nothing"]
fn write_the_seeds_of_the_fuzz_targets() {
    for name in names() {
        let bytes = fixture(&name);
        write("message", &name, &bytes);
        write("user_agent", &name, &bytes);
        write("framing", &name, &[&[7], bytes.as_slice()].concat());
        write(
            "framing",
            &format!("{name}-twice"),
            &[&[1], bytes.as_slice(), &bytes].concat(),
        );
        if let Ok(received) = Message::read(&Bytes::from(bytes)) {
            let (headers, uri) = match received.message {
                Message::Request(request) => (request.headers, request.uri),
                Message::Response(response) => (response.headers, String::new()),
            };
            write("address", &format!("{name}-uri"), uri.as_bytes());
            for header in ["From", "To", "Contact", "Route", "Record-Route", "Via"] {
                for value in headers.get_raw(&header.into()).take(1) {
                    write("address", &format!("{name}-{header}"), value.as_bytes());
                }
            }
        }
    }
    let mut offer = String::new();
    for (name, bytes) in descriptions() {
        if name == "asterisk-offer.sdp" {
            offer = String::from_utf8(bytes.clone()).expect("text");
        }
        write("sdp", &name, &bytes);
    }
    let sdp = "Content-Type: application/sdp\r\n";
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth,auth-int\"\r\n\
        Session-Expires: 90;refresher=uas\r\nMin-SE: 90\r\nRequire: 100rel\r\nRSeq: 1\r\n";
    write(
        "user_agent",
        "our-call",
        &answers(&[100, 180, 183, 200, 200], sdp, &offer),
    );
    write(
        "user_agent",
        "our-call-refused",
        &answers(&[180, 401, 407, 422, 486], challenge, ""),
    );
    write(
        "user_agent",
        "our-call-moved",
        &answers(&[302, 503], challenge, ""),
    );
    let call = [
        request("INVITE", 1, sdp, &offer),
        request("ACK", 1, "", ""),
        request("INVITE", 2, sdp, &offer),
        request("UPDATE", 3, "Session-Expires: 90\r\n", ""),
        request(
            "INFO",
            4,
            "Content-Type: application/dtmf-relay\r\n",
            "Signal=5\r\n",
        ),
        request("PRACK", 5, "RAck: 1 1 INVITE\r\n", ""),
        request(
            "REFER",
            6,
            "Refer-To: <sip:601@pbx.example?Replaces=a%3Bto-tag%3Db>\r\n",
            "",
        ),
        request(
            "NOTIFY",
            7,
            "Event: refer\r\nSubscription-State: active\r\n",
            "",
        ),
        request("OPTIONS", 8, "", ""),
        request("CANCEL", 1, "", ""),
        request("BYE", 9, "Reason: Q.850;cause=16\r\n", ""),
    ];
    write("user_agent", "their-call", &call.join(NEXT));
}
