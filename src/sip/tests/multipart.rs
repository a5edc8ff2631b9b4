//! Bodies of several parts (RFC 5621): the SDP is found, whatever stands beside it.

use super::wire::*;
use crate::sip::*;

fn invite(kind: &str, body: &str) -> String {
    request("INVITE", 1, "m1", "", body).replacen("application/sdp", kind, 1)
}

fn parts(parts: &[(&str, &str)]) -> String {
    let mut body = String::from("preamble\r\n");
    for (headers, content) in parts {
        body.push_str(&format!("--b1\r\n{headers}\r\n\r\n{content}\r\n"));
    }
    body + "--b1--\r\nepilogue"
}

/// The SDP that a call is told, or the status that the INVITE ends with.
fn outcome(kind: &str, body: &str) -> Result<String, u16> {
    let mut wire = Wire::new(trunk("pbx"));
    wire.receive(&invite(kind, body));
    match wire.sent() {
        Some(Message::Response(response)) if response.status == 100 => {
            let body = wire.incoming().body.expect("an offer");
            Ok(String::from_utf8(body.to_vec()).expect("text"))
        }
        Some(Message::Response(response)) => Err(response.status),
        other => panic!("{other:?}"),
    }
}

const MIXED: &str = "multipart/mixed;boundary=b1";
const OTHER: (&str, &str) = (
    "Content-Type: application/isup;version=itu-t92+",
    "\u{1}\u{10}--b\n",
);

#[test]
fn sdp_is_taken_from_a_mixture_wherever_it_stands() {
    let sdp = ("Content-Type: application/sdp", SDP);
    for kind in [MIXED, "Multipart/Mixed ; Boundary=\"b1\""] {
        assert_eq!(outcome(kind, &parts(&[sdp, OTHER])).as_deref(), Ok(SDP));
        assert_eq!(outcome(kind, &parts(&[OTHER, sdp])).as_deref(), Ok(SDP));
    }
    let disposed = (
        "c:application/sdp\r\nContent-Disposition: session;handling=required",
        SDP,
    );
    let optional = (
        "Content-Type: application/isup\r\nContent-Disposition: signal;handling=optional",
        "x",
    );
    assert_eq!(
        outcome(MIXED, &parts(&[optional, disposed])).as_deref(),
        Ok(SDP)
    );
}

#[test]
fn of_alternatives_the_last_is_the_best() {
    let better = SDP.replace("s=-", "s=better");
    let body = parts(&[
        ("Content-Type: application/sdp", SDP),
        ("Content-Type: application/sdp", &better),
        OTHER,
    ]);
    let kind = "multipart/alternative;boundary=b1";
    assert_eq!(outcome(kind, &body).as_deref(), Ok(better.as_str()));
    assert_eq!(outcome(MIXED, &body).as_deref(), Ok(SDP));
}

#[test]
fn without_usable_sdp_or_with_more_that_must_be_understood_it_is_415() {
    let sdp = ("Content-Type: application/sdp", SDP);
    let required = (
        "Content-Type: application/isup\r\nContent-Disposition: signal;handling=required",
        "x",
    );
    let encoded = (
        "Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64",
        "dj0wDQo=",
    );
    for (kind, body) in [
        (MIXED, parts(&[OTHER])),
        (MIXED, parts(&[sdp, required])),
        (MIXED, parts(&[encoded])),
        (MIXED, String::from("no boundary at all")),
        (MIXED, parts(&[sdp]).replace("--b1--", "cut off")),
        ("multipart/mixed", parts(&[sdp])),
        ("multipart/mixed;boundary=", parts(&[sdp])),
        ("multipart/mixed;boundary=b2", parts(&[sdp])),
    ] {
        assert_eq!(outcome(kind, &body), Err(415), "{kind} {body:?}");
    }
}
