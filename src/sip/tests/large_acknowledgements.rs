//! ACKs of a 2xx that are too large for a datagram (RFC 3261 section 18.1.1), at a PBX with TCP and
//! at one without.

use std::time::Duration;

use super::wire::*;
use crate::sip::*;

const AUDIO: &str = "Content-Type: application/sdp\r\n";

/// The next request of that method: its bytes and how it is sent.
#[track_caller]
fn sent(wire: &mut Wire, method: &str) -> (Transmit, Request) {
    let transmit = wire.agent.poll_transmit().expect("something is sent");
    let received = Message::read(&transmit.bytes).expect("we write readable messages");
    let Message::Request(request) = received.message else {
        panic!("a request: {:?}", received.message);
    };
    assert_eq!(request.method.as_str(), method);
    (transmit, request)
}

/// Headers of a 200 that make its ACK large.
fn large() -> [String; 2] {
    let long = "x".repeat(1_200);
    [
        format!("Contact: <sip:600@192.0.2.2:5060;x={long}>\r\n{AUDIO}"),
        format!("Record-Route: <sip:192.0.2.2;lr;x={long}>\r\n{OK_EXTRA}"),
    ]
}

#[track_caller]
fn goes_by(transmit: &Transmit, request: &Request, transport: Transport) {
    assert_eq!(transmit.flow.transport, transport);
    let via = value(&request.headers, "Via");
    assert!(via.starts_with(&format!("SIP/2.0/{transport} ")), "{via}");
    assert_eq!(transmit.flow.remote.to_string(), PEER);
}

#[test]
fn large_acknowledgement_refused_by_tcp_goes_by_udp_at_once() {
    for extra in large() {
        let mut wire = Wire::new(trunk("pbx"));
        let (leg, invite) = wire.call();
        wire.answer_with(&invite, 200, "b1", &extra, SDP);
        let (by_tcp, request) = sent(&mut wire, "ACK");
        goes_by(&by_tcp, &request, Transport::Tcp);
        let key = by_tcp.transaction.expect("its failure is told");
        wire.agent.handle_transport_failure(&key, wire.now);
        let (by_udp, request) = sent(&mut wire, "ACK");
        goes_by(&by_udp, &request, Transport::Udp);
        assert_eq!(value(&request.headers, "CSeq"), "1 ACK");
        // The failure of the second stream that held it is no news.
        wire.agent.handle_transport_failure(&key, wire.now);
        wire.quiet();
        // The 200 crossed it, and every later request knows that there is no TCP.
        wire.answer_with(&invite, 200, "b1", &extra, SDP);
        let (again, request) = sent(&mut wire, "ACK");
        goes_by(&again, &request, Transport::Udp);
        wire.command(leg, Command::Hangup { cause: None });
        let (bye, request) = sent(&mut wire, "BYE");
        goes_by(&bye, &request, Transport::Udp);
    }
}

#[test]
fn answer_that_comes_again_before_tcp_has_failed_is_acknowledged_by_udp() {
    for extra in large() {
        let mut wire = Wire::new(trunk("pbx"));
        let (_, invite) = wire.call();
        wire.answer_with(&invite, 200, "b1", &extra, SDP);
        let (by_tcp, _) = sent(&mut wire, "ACK");
        assert_eq!(by_tcp.flow.transport, Transport::Tcp);
        // A host that drops what comes for TCP: the connection is still being opened.
        for _ in 0..3 {
            wire.advance(Duration::from_millis(500));
            wire.answer_with(&invite, 200, "b1", &extra, SDP);
            let (again, request) = sent(&mut wire, "ACK");
            goes_by(&again, &request, Transport::Udp);
        }
    }
}

#[test]
fn large_acknowledgement_of_an_unwanted_fork_refused_by_tcp_goes_by_udp() {
    let [extra, _] = large();
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.answered_call();
    wire.answer_with(&invite, 200, "b2", &extra, SDP);
    let (by_tcp, _) = sent(&mut wire, "ACK");
    assert_eq!(by_tcp.flow.transport, Transport::Tcp);
    let (_, _) = sent(&mut wire, "BYE");
    let key = by_tcp.transaction.expect("its failure is told");
    wire.agent.handle_transport_failure(&key, wire.now);
    let (by_udp, request) = sent(&mut wire, "ACK");
    goes_by(&by_udp, &request, Transport::Udp);
}

#[test]
fn large_acknowledgement_of_a_trunk_by_tcp_stays_there() {
    let [extra, _] = large();
    let extra = extra.replace(":5060;x", ":5060;transport=tcp;x");
    let mut wire = Wire::new(trunk("pbx"));
    let (_, invite) = wire.call();
    wire.answer_with(&invite, 200, "b1", &extra, SDP);
    for _ in 0..2 {
        let (by_tcp, request) = sent(&mut wire, "ACK");
        goes_by(&by_tcp, &request, Transport::Tcp);
        assert!(by_tcp.transaction.is_none());
        wire.answer_with(&invite, 200, "b1", &extra, SDP);
    }
}
