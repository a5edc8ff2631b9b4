//! A pure user agent and the other end of its wire: bytes in, bytes out, virtual time.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a start")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::redacted::Redacted;
use crate::sip::stack::message::{Message, Request, Response};
use crate::sip::*;
use crate::stun::begins_like_stun;

pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\n";
pub const PEER: &str = "192.0.2.2:5060";

pub fn trunk(name: &str) -> Trunk {
    let target = Target::at(PEER.parse().expect("address"), Transport::Udp);
    Trunk {
        domain: "pbx.example".to_owned(),
        ..Trunk::new(name, target)
    }
}

pub fn credentials() -> Option<Credentials> {
    Some(Credentials {
        username: "bob".to_owned(),
        password: Redacted::new("zanzibar".to_owned()),
    })
}

/// Listens by UDP and TCP.
pub fn config(trunk: Trunk) -> Config {
    let at = |transport| Listen {
        transport,
        address: "192.0.2.1:5060".parse().expect("address"),
    };
    Config {
        listen: vec![at(Transport::Udp), at(Transport::Tcp)],
        user_agent: "Trunkline".to_owned(),
        trunks: vec![trunk],
        ..Config::default()
    }
}

/// Alice's call to 600 through this trunk.
pub fn call_to(trunk: &str) -> Outgoing {
    Outgoing {
        trunk: trunk.to_owned(),
        to_user: "600".to_owned(),
        from_user: "alice".to_owned(),
        body: SDP.into(),
        ..Outgoing::default()
    }
}

pub struct Wire {
    pub agent: UserAgent,
    pub now: Instant,
    start: Instant,
}

impl Wire {
    pub fn new(trunk: Trunk) -> Self {
        Wire::with(config(trunk))
    }

    /// With a configuration of its own.
    pub fn with(config: Config) -> Self {
        let listeners = config.listen.clone();
        let agent = UserAgent::new(
            config,
            listeners,
            Box::new(|_| None),
            StdRng::seed_from_u64(7),
        )
        .expect("a listener is given");
        let now = Instant::now();
        Wire {
            agent,
            now,
            start: now,
        }
    }

    pub fn receive(&mut self, text: &str) {
        self.receive_bytes(text.as_bytes());
    }

    pub fn receive_bytes(&mut self, bytes: &[u8]) {
        self.receive_from(PEER, bytes);
    }

    /// Takes a datagram from somebody else than the trunk.
    pub fn receive_from(&mut self, source: &str, bytes: &[u8]) {
        let peer = source.parse::<SocketAddr>().expect("address");
        let flow = Flow::new(Transport::Udp, 0, peer);
        self.agent
            .handle_message(&Bytes::copy_from_slice(bytes), flow, self.now);
    }

    /// Moves time on, running every timer on its way.
    pub fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.agent.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.agent.handle_timeout(self.now);
        }
        self.now = end;
    }

    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// The next message sent.
    pub fn sent(&mut self) -> Option<Message> {
        // Keep-alives are no messages: their tests look for themselves.
        let transmit = loop {
            let transmit = self.agent.poll_transmit()?;
            if &transmit.bytes[..] != b"\r\n\r\n" && !begins_like_stun(&transmit.bytes) {
                break transmit;
            }
        };
        let received = Message::read(&transmit.bytes).expect("we write readable messages");
        assert_eq!(received.fault, None);
        Some(received.message)
    }

    #[track_caller]
    pub fn sent_request(&mut self, method: &str) -> Request {
        match self.sent() {
            Some(Message::Request(request)) => {
                assert_eq!(request.method.as_str(), method);
                request
            }
            other => panic!("{method} expected, got {other:?}"),
        }
    }

    #[track_caller]
    pub fn sent_status(&mut self, status: u16) -> Response {
        match self.sent() {
            Some(Message::Response(response)) => {
                assert_eq!(response.status, status, "{}", response.reason);
                response
            }
            other => panic!("{status} expected, got {other:?}"),
        }
    }

    #[track_caller]
    pub fn quiet(&mut self) {
        if let Some(message) = self.sent() {
            panic!("nothing expected, got {message:?}");
        }
    }

    /// Why messages were refused or dropped since the last look.
    pub fn rejections(&mut self) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        while let Some(event) = self.agent.poll_event() {
            if let UserAgentEvent::Rejected { reason, .. } = event {
                reasons.push(reason);
            }
        }
        reasons
    }

    /// The next event of any leg.
    pub fn event(&mut self) -> Option<Event> {
        loop {
            match self.agent.poll_event()? {
                // Of interest to RTP alone; `peer_addresses.rs` has its tests.
                UserAgentEvent::Leg(_, Event::PeerAddress { .. }) => continue,
                UserAgentEvent::Leg(_, event) => return Some(event),
                _ => continue,
            }
        }
    }

    #[track_caller]
    pub fn incoming(&mut self) -> Incoming {
        loop {
            match self.agent.poll_event() {
                Some(UserAgentEvent::Incoming(incoming)) => return *incoming,
                Some(_) => continue,
                None => panic!("an incoming call was expected"),
            }
        }
    }

    pub fn call(&mut self) -> (LegId, Request) {
        self.call_with(SDP)
    }

    /// A call in which the peer is to offer.
    pub fn call_without_offer(&mut self) -> (LegId, Request) {
        self.call_with("")
    }

    fn call_with(&mut self, offer: &'static str) -> (LegId, Request) {
        let outgoing = Outgoing {
            from_name: Some("Alice \"A\"".to_owned()),
            body: Bytes::from_static(offer.as_bytes()),
            headers: vec![("X-Call".to_owned(), "1".to_owned())],
            ..call_to("pbx")
        };
        let leg = self.agent.invite(outgoing, self.now).expect("trunk exists");
        let invite = self.sent_request("INVITE");
        (leg, invite)
    }

    pub fn command(&mut self, leg: LegId, command: Command) {
        self.agent
            .handle_command(leg, command, self.now)
            .expect("the command fits");
    }

    /// Answers a request as the peer.
    pub fn answer(&mut self, request: &Request, status: u16, tag: &str, extra: &str) {
        self.answer_with(request, status, tag, extra, "");
    }

    pub fn answer_with(
        &mut self,
        request: &Request,
        status: u16,
        tag: &str,
        extra: &str,
        body: &str,
    ) {
        let response = request.respond(status, None, Some(tag).filter(|tag| !tag.is_empty()));
        let text = String::from_utf8(response.write().to_vec()).expect("text");
        let head = text
            .strip_suffix("Content-Length: 0\r\n\r\n")
            .expect("no body yet");
        let text = format!("{head}{extra}Content-Length: {}\r\n\r\n{body}", body.len());
        self.receive(&text);
    }

    /// A call that the peer has answered and we have acknowledged.
    pub fn answered_call(&mut self) -> (LegId, Request) {
        let (leg, invite) = self.call();
        self.answer_with(&invite, 200, "b1", OK_EXTRA, SDP);
        self.sent_request("ACK");
        assert!(matches!(self.event(), Some(Event::Accepted { .. })));
        (leg, invite)
    }

    /// A call from the peer; gives the leg and the text of the INVITE.
    pub fn called(&mut self) -> (Incoming, String) {
        let text = request("INVITE", 1, "inv1", "", SDP);
        self.receive(&text);
        self.sent_status(100);
        (self.incoming(), text)
    }

    /// A call from the peer that we have answered and it has acknowledged.
    pub fn answered_incoming(&mut self) -> (LegId, String) {
        let (incoming, _) = self.called();
        self.command(incoming.leg, Command::Accept { body: SDP.into() });
        let tag = tag_of(&self.sent_status(200));
        self.receive(&request("ACK", 1, "ack1", &tag, ""));
        assert_eq!(self.event(), Some(Event::Confirmed { body: None }));
        (incoming.leg, tag)
    }
}

pub const OK_EXTRA: &str = "Contact: <sip:600@192.0.2.2:5060>\r\nContent-Type: application/sdp\r\n";

/// A request of the peer, outside a dialog when `to_tag` is empty.
pub fn request(method: &str, sequence: u32, branch: &str, to_tag: &str, body: &str) -> String {
    let to_tag = if to_tag.is_empty() {
        String::new()
    } else {
        format!(";tag={to_tag}")
    };
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.2:5060;rport;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\n\
         From: \"Bob\" <sip:bob@pbx.example>;tag=bt\r\n\
         To: <sip:alice@192.0.2.1>{to_tag}\r\n\
         Call-ID: call-1@pbx\r\n\
         CSeq: {sequence} {method}\r\n\
         Contact: <sip:bob@192.0.2.2:5060>\r\n\
         {kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub fn tag_of(response: &Response) -> String {
    let to = crate::sip::stack::message::header(&response.headers, &Name::TO).expect("To");
    let to = crate::sip::stack::address::Address::parse(to).expect("readable");
    to.tag().expect("tagged").to_owned()
}

pub fn value<'a>(headers: &'a Headers, name: &str) -> &'a str {
    crate::sip::stack::message::header(headers, &Name::from(name)).unwrap_or("")
}
