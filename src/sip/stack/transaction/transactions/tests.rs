//! Traces of the tables: messages that find their transaction, and timers that find theirs.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a start")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::sip::stack::message::{Message, Request};
use crate::sip::stack::transport_protocol::Transport;

/// A request of ours that is looked after at a moment.
#[derive(Debug)]
struct Ours {
    request: Request,
    look_at: Option<Instant>,
}

impl ClientUser for Ours {
    fn request(&self) -> &Request {
        &self.request
    }

    fn request_mut(&mut self) -> &mut Request {
        &mut self.request
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.look_at
    }
}

struct Setup {
    all: Transactions<Ours, &'static str>,
    start: Instant,
}

fn flow(transport: Transport) -> Flow {
    let remote: SocketAddr = "192.0.2.2:5060".parse().expect("an address");
    Flow::new(transport, 0, remote)
}

/// A request and what is read of it.
fn request(method: &str, branch: &str, call: &str, to_tag: &str) -> (Request, Envelope) {
    let text = format!(
        "{method} sip:600@192.0.2.2 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\n\
         Route: <sip:192.0.2.2;lr>\r\n\
         From: <sip:1@192.0.2.1>;tag=a\r\nTo: <sip:600@192.0.2.2>{to_tag}\r\n\
         Call-ID: {call}\r\nCSeq: 7 {method}\r\nSubject: text\r\n\
         Content-Length: 4\r\n\r\nbody"
    );
    let received = Message::read(&Bytes::from(text)).expect("readable");
    let Message::Request(request) = received.message else {
        panic!("a request");
    };
    let envelope = Envelope::read(&request.headers).expect("an envelope");
    (request, envelope)
}

fn response(request: &Request, status: u16) -> (Response, Envelope) {
    let response = request.respond(status, None, Some("b"));
    let envelope = Envelope::read(&response.headers).expect("an envelope");
    (response, envelope)
}

impl Setup {
    fn new() -> Self {
        Setup {
            all: Transactions::new(Matching::new(&[7; 16])),
            start: Instant::now(),
        }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    /// Sends a request.
    fn begin(&mut self, request: &Request, branch: &str, transport: Transport) -> ClientKey {
        let branch = format!("z9hG4bK{branch}");
        let key = self.all.client_key(&branch, &request.method);
        let user = Ours {
            request: request.clone(),
            look_at: None,
        };
        let timers = Timers::new(transport.is_reliable());
        let (bytes, flow) = (request.write(), flow(transport));
        self.all
            .begin_client(key, user, bytes, flow, timers, self.start);
        let sent = self.all.poll_client(&key).expect("it is there").transmits;
        assert_eq!(sent.as_slice(), [request.write()]);
        key
    }

    /// Takes a new request.
    fn arrive(&mut self, (request, envelope): &(Request, Envelope)) -> (ServerKey, bool) {
        let Arrival::New(key) = self.all.receive(envelope, self.start) else {
            panic!("it is new");
        };
        let flow = flow(Transport::Udp);
        let merged = self
            .all
            .begin_server(key, &request.method, envelope, flow, "theirs");
        (key, merged)
    }

    fn respond(&mut self, key: &ServerKey, status: u16) -> Bytes {
        let bytes = Bytes::from(format!("response {status}"));
        self.all.respond(key, status, bytes.clone(), self.start);
        let sent = self.all.poll_server(key).expect("it is there").transmits;
        assert_eq!(sent.first(), Some(&bytes));
        bytes
    }
}

#[test]
fn refused_invite_is_acknowledged_in_its_branch() {
    let mut setup = Setup::new();
    let (invite, _) = request("INVITE", "1", "c1", "");
    let key = setup.begin(&invite, "1", Transport::Udp);
    let (busy, envelope) = response(&invite, 486);
    let found = setup.all.handle_response(&busy, &envelope, setup.start);
    assert_eq!(found, Ok(key));
    let output = setup.all.poll_client(&key).expect("it is there");
    assert!(output.deliver && !output.timed_out);
    let [ack] = output.transmits.as_slice() else {
        panic!("an ACK: {:?}", output.transmits);
    };
    let ack = String::from_utf8(ack.to_vec()).expect("text");
    assert!(
        ack.starts_with("ACK sip:600@192.0.2.2 SIP/2.0\r\n"),
        "{ack}"
    );
    for line in [
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n",
        "Route: <sip:192.0.2.2;lr>\r\n",
        "To: <sip:600@192.0.2.2>;tag=b\r\n",
        "CSeq: 7 ACK\r\n",
    ] {
        assert!(ack.contains(line), "{line}: {ack}");
    }
}

#[test]
fn response_of_no_request_or_another_sender_is_unmatched() {
    let mut setup = Setup::new();
    let (options, _) = request("OPTIONS", "1", "c1", "");
    let key = setup.begin(&options, "1", Transport::Udp);
    let (other, _) = request("OPTIONS", "2", "c1", "");
    let (ok, envelope) = response(&other, 200);
    let found = setup.all.handle_response(&ok, &envelope, setup.start);
    assert_eq!(found, Err(Unmatched::NoTransaction));
    let (ok, mut envelope) = response(&options, 200);
    envelope.sent_by_port = Some(5090);
    let found = setup.all.handle_response(&ok, &envelope, setup.start);
    assert_eq!(found, Err(Unmatched::SentBy));
    assert!(!setup.all.poll_client(&key).expect("it waits").deliver);
}

#[test]
fn accepted_invite_keeps_what_late_responses_need() {
    let mut setup = Setup::new();
    let (invite, _) = request("INVITE", "1", "c1", "");
    let key = setup.begin(&invite, "1", Transport::Udp);
    setup.all.release_client(&key);
    let held = |setup: &Setup| {
        let request = &setup.all.client(&key).expect("held").user.request;
        (
            request.body.len(),
            request.headers.contains(&"Subject".into()),
        )
    };
    assert_eq!(held(&setup), (4, true));
    let (ok, envelope) = response(&invite, 200);
    let found = setup.all.handle_response(&ok, &envelope, setup.start);
    assert_eq!(found, Ok(key));
    assert!(setup.all.poll_client(&key).expect("held").deliver);
    setup.all.release_client(&key);
    assert_eq!(held(&setup), (0, false));
    // The 2xx of another fork comes while timer M runs.
    let (fork, envelope) = response(&invite, 200);
    let found = setup
        .all
        .handle_response(&fork, &envelope, setup.at(31_000));
    assert_eq!(found, Ok(key));
    assert!(setup.all.poll_client(&key).expect("held").deliver);
    assert_eq!(setup.all.poll_timeout(), Some(setup.at(32_000)));
}

#[test]
fn request_without_response_times_out_and_is_released() {
    let mut setup = Setup::new();
    let (options, _) = request("OPTIONS", "1", "c1", "");
    let key = setup.begin(&options, "1", Transport::Tcp);
    let give_up = setup.at(32_000);
    assert_eq!(setup.all.poll_timeout(), Some(give_up));
    assert_eq!(setup.all.poll_expired(setup.at(31_999)), None);
    let expired = setup.all.poll_expired(give_up);
    assert_eq!(expired, Some(TimerKey::Client(key)));
    setup.all.handle_client_timeout(&key, give_up);
    assert!(setup.all.poll_client(&key).expect("held").timed_out);
    setup.all.release_client(&key);
    assert_eq!((setup.all.len(), setup.all.poll_timeout()), (0, None));
}

#[test]
fn user_timer_runs_before_those_of_the_transaction() {
    let mut setup = Setup::new();
    let (invite, _) = request("INVITE", "1", "c1", "");
    let key = setup.begin(&invite, "1", Transport::Tcp);
    let look_at = setup.at(4_000);
    let entry = setup.all.client_mut(&key).expect("held");
    entry.user.look_at = Some(look_at);
    setup.all.poll_client(&key);
    assert_eq!(setup.all.poll_timeout(), Some(look_at));
    let expired = setup.all.poll_expired(look_at);
    assert_eq!(expired, Some(TimerKey::Client(key)));
    setup.all.handle_client_timeout(&key, look_at);
    setup.all.client_mut(&key).expect("held").user.look_at = None;
    assert!(!setup.all.poll_client(&key).expect("held").timed_out);
    assert_eq!(setup.all.poll_timeout(), Some(setup.at(32_000)));
}

#[test]
fn lost_connection_has_invite_then_cancel_sent_once_more() {
    let mut setup = Setup::new();
    let mut keys = Vec::new();
    for method in ["CANCEL", "INVITE", "OPTIONS"] {
        let branch = if method == "OPTIONS" { "2" } else { "1" };
        let (ours, _) = request(method, branch, "c1", "");
        keys.push(setup.begin(&ours, branch, Transport::Tcp));
        let entry = setup.all.client_mut(&keys[keys.len() - 1]).expect("held");
        entry.connection = Some(if method == "OPTIONS" { 2 } else { 1 });
    }
    assert_eq!(setup.all.lost_with(1), [keys[1], keys[0]]);
    let (flow, bytes) = setup.all.send_again(&keys[1]).expect("once more");
    assert_eq!(flow.connection, None);
    assert!(bytes.starts_with(b"INVITE ") && bytes.ends_with(b"\r\n\r\nbody"));
    // It is on no connection now, and the second loss is a failure of the transport.
    assert_eq!(setup.all.lost_with(1), [keys[0]]);
    assert_eq!(setup.all.send_again(&keys[1]), None);
}

#[test]
fn repeated_request_has_its_response_repeated() {
    let mut setup = Setup::new();
    let theirs = request("OPTIONS", "1", "c1", "");
    let (key, merged) = setup.arrive(&theirs);
    assert!(!merged);
    let again = setup.all.receive(&theirs.1, setup.start);
    assert_eq!(again, Arrival::Repeated(key));
    let output = setup.all.poll_server(&key).expect("held");
    assert!(output.transmits.is_empty(), "there is no response yet");
    let bytes = setup.respond(&key, 200);
    setup.all.receive(&theirs.1, setup.start);
    let output = setup.all.poll_server(&key).expect("held");
    assert_eq!(output.transmits.as_slice(), [bytes]);
    // Timer J.
    let end = setup.at(32_000);
    assert_eq!(setup.all.poll_expired(end), Some(TimerKey::Server(key)));
    setup.all.handle_server_timeout(&key, end);
    setup.all.poll_server(&key);
    assert_eq!(setup.all.len(), 0);
    assert_eq!(setup.all.receive(&theirs.1, end), Arrival::New(key));
}

#[test]
fn branch_of_another_call_is_reused() {
    let mut setup = Setup::new();
    setup.arrive(&request("OPTIONS", "1", "c1", ""));
    let (_, envelope) = request("OPTIONS", "1", "c2", "");
    let arrival = setup.all.receive(&envelope, setup.start);
    assert_eq!(arrival, Arrival::BranchReused);
}

#[test]
fn request_by_two_paths_is_merged_while_the_first_is_held() {
    let mut setup = Setup::new();
    let (first, merged) = setup.arrive(&request("MESSAGE", "1", "c1", ""));
    assert!(!merged);
    let (second, merged) = setup.arrive(&request("MESSAGE", "2", "c1", ""));
    assert!(merged, "another branch of the same request");
    // The end of the second leaves the mark of the first.
    for (key, is_merged) in [(second, true), (first, false)] {
        setup.respond(&key, 200);
        let end = setup.at(32_000);
        setup.all.handle_server_timeout(&key, end);
        setup.all.poll_server(&key);
        let branch = if is_merged { "4" } else { "5" };
        let (_, merged) = setup.arrive(&request("MESSAGE", branch, "c1", ""));
        assert_eq!(merged, is_merged);
    }
}

#[test]
fn request_of_a_dialog_is_never_merged() {
    let mut setup = Setup::new();
    for branch in ["1", "2"] {
        let (_, merged) = setup.arrive(&request("INFO", branch, "c1", ";tag=b"));
        assert!(!merged, "its number tells");
    }
}

#[test]
fn cancel_finds_the_invite_of_its_branch_and_call() {
    let mut setup = Setup::new();
    let (invite, _) = setup.arrive(&request("INVITE", "1", "c1", ""));
    let found = |branch, call| {
        let (_, envelope) = request("CANCEL", branch, call, "");
        let found = setup.all.cancelled_invite(&envelope);
        found.map(|(key, entry)| (key, entry.user))
    };
    assert_eq!(found("1", "c1"), Some((invite, "theirs")));
    assert_eq!(found("1", "c2"), None);
    assert_eq!(found("2", "c1"), None);
}

#[test]
fn ack_is_delivered_for_a_2xx_and_absorbed_for_a_refusal() {
    for (status, delivered) in [(200, true), (486, false)] {
        let mut setup = Setup::new();
        let (key, _) = setup.arrive(&request("INVITE", "1", "c1", ""));
        setup.respond(&key, status);
        let (_, ack) = request("ACK", "1", "c1", ";tag=b");
        let found = setup.all.handle_acknowledgement(&ack, setup.start);
        assert_eq!(found, Some(key));
        let output = setup.all.poll_server(&key).expect("held");
        assert_eq!(output.deliver, delivered, "{status}");
        let (_, of_another) = request("ACK", "1", "c2", ";tag=b");
        let found = setup.all.handle_acknowledgement(&of_another, setup.start);
        assert_eq!(found, None);
    }
}
