//! A client's connection without sockets: a driver that knows one user, and the words of its SIP.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::call::EndpointId;
use crate::call::message::{Command, Notice};
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Message, Name, Request, Response, header};
use crate::sip::stack::transport_protocol::Transport;
use crate::sip_ws::bindings::{Binding, Bindings, TooMany};
use crate::sip_ws::client::Client;
use crate::sip_ws::context::Profile;
use crate::sip_ws::output::{Admission, Output, Place, User};
use crate::sip_ws::registration::Registration;

/// Values of the one challenge that this driver makes.
pub const CHALLENGES: [&str; 2] = ["Digest SHA-256", "Digest MD5"];
/// What it takes for the right answer of alice.
pub const RIGHT: &str = "Authorization: alice\r\n";
/// A wrong one, and one that is not looked at.
pub const WRONG: &str = "Authorization: wrong\r\n";
pub const TOO_MANY: &str = "Authorization: too many\r\n";

/// How long the client may take to show credentials.
pub const SIGN_IN_WITHIN: Duration = Duration::from_secs(10);

/// How long a refusal is held back.
pub const DELAY: Duration = Duration::from_secs(2);

pub const ENDPOINT: EndpointId = EndpointId(7);
pub const OFFER: &str = "v=0\r\no=browser\r\n";
pub const ANSWER: &str = "v=0\r\no=gateway\r\n";

/// The header that JsSIP registers with.
pub const CONTACT: &str = "<sip:k3v2@8fj2.invalid;transport=ws>;+sip.ice;reg-id=1;\
    +sip.instance=\"<urn:uuid:6d1f>\";expires=600";

/// One connection, and the time.
pub struct Setup {
    pub client: Client,
    pub bindings: Bindings,
    pub now: Instant,
    /// Messages that went to the client and were not looked at.
    sent: VecDeque<Message>,
    /// What was asked of calls.
    pub commands: VecDeque<(String, Command)>,
    pub placed: VecDeque<Place>,
    /// Users whose binding ended by time.
    pub expired: Vec<String>,
    /// The connection is to be closed.
    pub is_closed: bool,
    /// CSeq and branch of the next request.
    next: u32,
}

impl Setup {
    #[expect(
        clippy::disallowed_methods,
        reason = "where time begins does not matter"
    )]
    pub fn new() -> Self {
        let remote = ([192, 0, 2, 1], 5).into();
        let profile = Profile {
            endpoint: ENDPOINT,
            flow: Flow::new(Transport::Ws, 0, remote),
            product: "Trunkline/test",
            most_calls: 2,
            sign_in_within: SIGN_IN_WITHIN,
        };
        let now = Instant::now();
        Setup {
            client: Client::new(profile, [[1; 16], [2; 16]], now),
            bindings: Bindings::default(),
            now,
            sent: VecDeque::new(),
            commands: VecDeque::new(),
            placed: VecDeque::new(),
            expired: Vec::new(),
            is_closed: false,
            next: 0,
        }
    }

    /// A connection whose user is alice and registered.
    pub fn registered() -> Self {
        let mut setup = Setup::new();
        setup.register(&format!("Contact: {CONTACT}\r\n{RIGHT}"));
        assert_eq!(setup.response().status, 200);
        setup
    }

    pub fn say(&mut self, text: &str) {
        self.frame(Bytes::copy_from_slice(text.as_bytes()));
    }

    pub fn frame(&mut self, bytes: Bytes) {
        let _ = self.client.handle_frame(&bytes, self.now);
        self.act();
    }

    pub fn tell(&mut self, call: &str, notice: Notice) {
        self.client.handle_notice(call, notice, self.now);
        self.act();
    }

    /// A call from 600 rings.
    pub fn ring(&mut self, call: &str) {
        let notice = Notice::Incoming {
            from: "600".to_owned(),
            name: Some("Bob \"B\"".to_owned()),
            to: "alice".to_owned(),
            diverted: None,
            headers: vec![("X-Queue".to_owned(), "sales".to_owned())],
            offer: OFFER.to_owned(),
        };
        self.client.ring(call, notice, self.now);
        self.act();
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
            self.act();
        }
        self.now = end;
    }

    fn act(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Send(bytes) if bytes[..] == b"\r\n"[..] => {
                    self.sent.push_back(pong());
                }
                Output::Send(bytes) => {
                    let received = Message::read(&bytes).expect("we write SIP");
                    assert_eq!(received.fault, None, "{bytes:?}");
                    self.sent.push_back(received.message);
                }
                Output::Authenticate(question) => {
                    let admission = admission(&question.authorization);
                    self.client.admit(question.request, admission, self.now);
                }
                Output::Register {
                    request,
                    user,
                    registration,
                } => {
                    let changed = self.change(&user, registration);
                    let bound = changed.map(|()| self.bindings.of(&user, self.now));
                    self.client.registered(request, bound, self.now);
                }
                Output::Expire { user } => {
                    self.bindings.remove(&user, ENDPOINT);
                    self.expired.push(user);
                }
                Output::Place(place) => self.placed.push_back(place),
                Output::Command { call, command } => self.commands.push_back((call, command)),
                Output::CloseSilent => self.is_closed = true,
            }
        }
    }

    fn change(&mut self, user: &str, registration: Registration) -> Result<(), TooMany> {
        match registration {
            Registration::Query => {}
            Registration::Bind { contact, expires } => {
                let binding = Binding {
                    contact,
                    endpoint: ENDPOINT,
                    expires: self.now + expires,
                };
                self.bindings.bind(user, binding)?;
            }
            Registration::Remove => {
                self.bindings.remove(user, ENDPOINT);
            }
            Registration::RemoveAll => {
                self.bindings.remove_all(user);
            }
        }
        Ok(())
    }

    pub fn register(&mut self, lines: &str) {
        self.register_as("alice", lines);
    }

    pub fn register_as(&mut self, user: &str, lines: &str) {
        self.next += 1;
        let next = self.next;
        self.say(&format!(
            "REGISTER sip:pbx.example SIP/2.0\r\n\
             Via: SIP/2.0/WS 8fj2.invalid;branch=z9hG4bKr{next}\r\n\
             Max-Forwards: 69\r\n\
             To: <sip:{user}@pbx.example>\r\n\
             From: \"Alice\" <sip:{user}@pbx.example>;tag=reg\r\n\
             Call-ID: registrations\r\n\
             CSeq: {next} REGISTER\r\n\
             Supported: path,gruu,outbound\r\n\
             {lines}\r\n"
        ));
    }

    /// An INVITE with this branch; `lines` are more of its headers.
    pub fn invite(&mut self, branch: &str, to: &str, lines: &str) {
        self.say(&invite(branch, to, lines));
    }

    /// The next message to the client.
    pub fn message(&mut self) -> Message {
        self.sent.pop_front().expect("a message to the client")
    }

    pub fn response(&mut self) -> Response {
        match self.message() {
            Message::Response(response) => response,
            Message::Request(request) => panic!("a response was expected, not {request:?}"),
        }
    }

    pub fn request(&mut self) -> Request {
        match self.message() {
            Message::Request(request) => request,
            Message::Response(response) => panic!("a request was expected, not {response:?}"),
        }
    }

    /// Nothing more went to the client.
    pub fn is_silent(&mut self) {
        assert!(self.sent.is_empty(), "{:?}", self.sent);
    }

    pub fn command(&mut self) -> (String, Command) {
        self.commands.pop_front().expect("a command")
    }
}

/// A CRLF in the place of a message.
fn pong() -> Message {
    Message::Request(Request::new(
        crate::sip::stack::method::Method::Unknown("CRLF".to_owned()),
        "",
    ))
}

fn admission(authorization: &[String]) -> Admission {
    let challenge = CHALLENGES.map(str::to_owned).to_vec();
    match authorization {
        [] => Admission::Challenged(challenge),
        [shown, ..] if shown == "wrong" => Admission::Wrong {
            challenge,
            delay: DELAY,
        },
        [shown, ..] if shown == "too many" => Admission::TooMany { retry_after: 30 },
        [name, ..] => Admission::Admitted(User {
            name: name.clone(),
            display_name: Some("Alice".to_owned()),
        }),
    }
}

pub fn invite(branch: &str, to: &str, lines: &str) -> String {
    format!(
        "INVITE sip:{to}@pbx.example SIP/2.0\r\n\
         Via: SIP/2.0/WS 8fj2.invalid;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 69\r\n\
         To: <sip:{to}@pbx.example>\r\n\
         From: \"Alice A.\" <sip:alice@pbx.example>;tag=t{branch}\r\n\
         Call-ID: call-{branch}\r\n\
         CSeq: 10 INVITE\r\n\
         Contact: <sip:k3v2@8fj2.invalid;transport=ws;ob>\r\n\
         Content-Type: application/sdp\r\n\
         {lines}\
         Content-Length: {}\r\n\r\n{OFFER}",
        OFFER.len()
    )
}

/// A request of the client inside the dialog that this response made.
pub fn in_dialog(response: &Response, method: &str, sequence: u32, rest: &str) -> String {
    let of = |name: &Name| header(&response.headers, name).expect("there").to_owned();
    format!(
        "{method} sip:gateway SIP/2.0\r\n\
         Via: SIP/2.0/WS 8fj2.invalid;branch=z9hG4bK{method}{sequence}\r\n\
         Max-Forwards: 69\r\n\
         To: {}\r\nFrom: {}\r\nCall-ID: {}\r\n\
         CSeq: {sequence} {method}\r\n{rest}\r\n",
        of(&Name::TO),
        of(&Name::FROM),
        of(&Name::CALL_ID),
    )
}

/// The client's answer to a request of ours; `rest` begins with further headers.
pub fn answer(request: &Request, status: u16, rest: &str) -> String {
    let of = |name: &Name| header(&request.headers, name).expect("there").to_owned();
    let to = of(&Name::TO);
    let tag = if to.contains(";tag=") {
        ""
    } else {
        ";tag=theirs"
    };
    format!(
        "SIP/2.0 {status} Any\r\nVia: {}\r\nTo: {to}{tag}\r\nFrom: {}\r\nCall-ID: {}\r\n\
         CSeq: {}\r\nContact: <sip:k3v2@8fj2.invalid;transport=ws>\r\n{rest}\r\n",
        of(&Name::VIA),
        of(&Name::FROM),
        of(&Name::CALL_ID),
        of(&Name::CSEQ),
    )
}

pub fn value<'a>(headers: &'a crate::sip::stack::message::Headers, name: &Name) -> &'a str {
    header(headers, name).unwrap_or_default()
}
