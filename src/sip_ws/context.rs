//! What the calls of one connection share: how messages leave, and what is asked of others.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::incoming::Incoming;
use super::output::Output;
use super::screening::{ALLOW, SUPPORTED_VALUE};
use super::tokens::Tokens;
use super::transactions::Transactions;
use crate::call::EndpointId;
use crate::call::message::Command;
use crate::sip::stack::address::sip_uri;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request, Response};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::Refusal;
use crate::sip::stack::transaction::key::ServerKey;

/// The host of our addresses until a client has named its domain.
const NO_DOMAIN: &str = "trunkline.invalid";

/// Seconds after which a client that met a limit may try again.
const RETRY_AFTER: &str = "5";

/// What is known of a connection from its beginning.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub endpoint: EndpointId,
    /// The connection itself.
    pub flow: Flow,
    /// For User-Agent and Server.
    pub product: &'static str,
    /// Calls that the client makes at once.
    pub most_calls: usize,
    /// How long the client may take to show credentials that are right.
    pub sign_in_within: Duration,
}

/// Shared by the calls of a connection.
#[derive(Debug)]
pub(super) struct Context {
    pub profile: Profile,
    pub transactions: Transactions,
    pub tokens: Tokens,
    /// The host of the user's address of record, as the client writes it.
    domain: String,
    outputs: VecDeque<Output>,
}

impl Context {
    /// `secrets`: of the transactions' keys, and of tokens.
    pub fn new(profile: Profile, secrets: [[u8; 16]; 2]) -> Self {
        Context {
            transactions: Transactions::new(profile.flow, &secrets[0]),
            tokens: Tokens::new(&secrets[1]),
            profile,
            domain: NO_DOMAIN.to_owned(),
            outputs: VecDeque::new(),
        }
    }

    pub fn domain(&self) -> &str {
        &self.domain
    }

    pub fn set_domain(&mut self, domain: &str) {
        domain.clone_into(&mut self.domain);
    }

    /// Our Contact. The client has no other way to us than its connection, whatever stands here.
    pub fn contact(&self) -> String {
        format!("<{};transport=ws>", sip_uri("", &self.domain))
    }

    pub fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Asks something of a call.
    pub fn command(&mut self, call: &str, command: Command) {
        self.push(Output::Command {
            call: call.to_owned(),
            command,
        });
    }

    /// Nothing can be written any more: of what is to do only that remains which calls and bindings
    /// are to be told.
    pub fn break_off(&mut self) {
        while self.transactions.poll_transmit().is_some() {}
        let is_told =
            |output: &Output| matches!(output, Output::Command { .. } | Output::Expire { .. });
        self.outputs.retain(is_told);
    }

    /// The next thing to do, messages in the order in which they were made.
    pub fn poll_output(&mut self) -> Option<Output> {
        let message = self.transactions.poll_transmit().map(Output::Send);
        message.or_else(|| self.outputs.pop_front())
    }

    /// Answers a request that is no INVITE.
    pub fn answer(&mut self, response: &Response) {
        let bytes = response.write_by(self.profile.product);
        self.transactions.send_once(bytes);
    }

    /// Answers an INVITE.
    pub fn answer_invite(&mut self, key: ServerKey, response: &Response, now: Instant) {
        let bytes = response.write_by(self.profile.product);
        self.transactions.respond(key, response.status, bytes, now);
    }

    /// A response to a request outside a dialog.
    pub fn response(&mut self, request: &Request, status: u16) -> Response {
        let tag = self.tokens.tag();
        request.respond(status, None, Some(&tag))
    }

    /// The response that refuses a request.
    pub fn refusal(&mut self, request: &Request, refusal: &Refusal) -> Response {
        let mut response = self.response(request, refusal.status);
        if let Some(reason) = &refusal.reason {
            reason.clone_into(&mut response.reason);
        }
        if let Some((name, value)) = &refusal.header {
            response.headers.insert(*name, value);
        }
        response
    }

    /// The response where a limit is met: a client may try again soon.
    pub fn overload(&mut self, request: &Request) -> Response {
        let refusal = Refusal::with(503, "Retry-After", RETRY_AFTER);
        self.refusal(request, &refusal)
    }

    /// A response inside a dialog, whose To has its tag.
    pub fn response_in_dialog(&self, incoming: &Incoming, status: u16) -> Response {
        incoming.request.respond(status, None, None)
    }

    /// Refuses a request inside a dialog; an INVITE has a transaction to be refused in.
    pub fn refuse_in_dialog(&mut self, incoming: &Incoming, status: u16, now: Instant) {
        let response = self.response_in_dialog(incoming, status);
        self.respond(incoming, &response, now);
    }

    /// Answers a request of any method.
    pub fn respond(&mut self, incoming: &Incoming, response: &Response, now: Instant) {
        let invite = (incoming.request.method == Method::Invite)
            .then(|| self.transactions.invite_of(&incoming.envelope));
        match invite.flatten() {
            Some(key) => self.answer_invite(key, response, now),
            None => self.answer(response),
        }
    }

    /// Adds what a response that makes or keeps a dialog says of us.
    pub fn describe_us(&self, response: &mut Response) {
        let headers = &mut response.headers;
        headers.insert(Name::CONTACT, self.contact());
        headers.insert(Name::ALLOW, ALLOW);
        headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
    }

    /// Adds Via to a request of ours; gives its branch.
    pub fn stamp(&mut self, request: &mut Request) -> String {
        let branch = self.tokens.branch();
        let transport = self.profile.flow.transport;
        let via = format!("SIP/2.0/{transport} {};branch={branch}", self.via_host());
        request.headers.insert_front(Name::VIA, via);
        branch
    }

    fn via_host(&self) -> String {
        let uri = sip_uri("", &self.domain);
        uri.trim_start_matches("sip:").to_owned()
    }
}
