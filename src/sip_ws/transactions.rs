//! The transactions of one connection (RFC 3261 section 17), over a transport that loses nothing:
//! other requests than INVITE are answered once and leave nothing behind.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Request, Response};
use crate::sip::stack::method::Method;
use crate::sip::stack::transaction::key::{Matching, ServerKey};
use crate::sip::stack::transaction::{self, ClientUser, TimerKey, Timers};

/// Transactions that are kept. One lasts up to 32 s after its end.
const MOST: usize = 256;

/// The same of a connection whose user is not known: each may be as large as a message.
const MOST_WITHOUT_USER: usize = 8;

/// What becomes of an INVITE that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is new.
    New(ServerKey),
    /// It is known.
    Repeated,
    /// Its branch is another request's, or it came in another branch before (sections 8.1.1.7 and
    /// 8.2.2.2).
    Merged,
    /// There are too many.
    Full,
}

/// What the end of a client transaction, or a response in it, is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The call, by its name.
    pub call: String,
    pub method: Method,
}

/// A request of ours.
#[derive(Debug)]
struct Sent {
    call: String,
    request: Request,
}

impl ClientUser for Sent {
    fn request(&self) -> &Request {
        &self.request
    }

    fn request_mut(&mut self) -> &mut Request {
        &mut self.request
    }
}

/// All transactions of one connection.
#[derive(Debug)]
pub(super) struct Transactions {
    table: transaction::Transactions<Sent, ()>,
    flow: Flow,
    /// How many are kept.
    most: usize,
    outgoing: VecDeque<Bytes>,
}

impl Transactions {
    /// Of the connection `flow`; `secret` is none that the client knows.
    pub fn new(flow: Flow, secret: &[u8; 16]) -> Self {
        Transactions {
            table: transaction::Transactions::new(Matching::new(secret)),
            flow,
            most: MOST_WITHOUT_USER,
            outgoing: VecDeque::new(),
        }
    }

    /// The user of the connection is known.
    pub fn raise_limit(&mut self) {
        self.most = MOST;
    }

    /// The key of a request that leaves no transaction behind, for the time until it is answered.
    pub fn key(&mut self, envelope: &Envelope, now: Instant) -> Option<ServerKey> {
        match self.table.receive(envelope, now) {
            transaction::Arrival::New(key) => Some(key),
            _ => None,
        }
    }

    /// The INVITE whose branch a request has: itself, or that which it cancels.
    pub fn invite_of(&self, envelope: &Envelope) -> Option<ServerKey> {
        let (key, _) = self.table.cancelled_invite(envelope)?;
        Some(key)
    }

    /// An INVITE arrives.
    pub fn invite(&mut self, envelope: &Envelope, now: Instant) -> Arrival {
        let key = match self.table.receive(envelope, now) {
            transaction::Arrival::New(key) => key,
            transaction::Arrival::Repeated(key) => {
                self.poll_server(&key);
                return Arrival::Repeated;
            }
            transaction::Arrival::BranchReused => return Arrival::Merged,
        };
        if !self.has_room() {
            return Arrival::Full;
        }
        let merged = self
            .table
            .begin_server(key, &Method::Invite, envelope, self.flow, ());
        match merged {
            true => Arrival::Merged,
            false => Arrival::New(key),
        }
    }

    /// An ACK arrives. True where it ends the transaction of an INVITE that was refused; else it is
    /// for a dialog.
    pub fn acknowledge(&mut self, envelope: &Envelope, now: Instant) -> bool {
        let Some(key) = self.table.handle_acknowledgement(envelope, now) else {
            return false;
        };
        !self.poll_server(&key)
    }

    /// Answers an INVITE.
    pub fn respond(&mut self, key: ServerKey, status: u16, response: Bytes, now: Instant) {
        self.table.respond(&key, status, response, now);
        self.poll_server(&key);
    }

    /// Sends what belongs to no transaction that is kept: answers to other requests, and ACKs.
    pub fn send_once(&mut self, message: Bytes) {
        self.outgoing.push_back(message);
    }

    /// Whether a request whose answer matters can be sent.
    pub fn has_room(&self) -> bool {
        self.table.len() < self.most
    }

    /// Sends a request of a call; `branch` is that of its Via. Where there are too many its answer
    /// is not waited for.
    pub fn send(&mut self, request: Request, branch: &str, call: &str, now: Instant) {
        let bytes = request.write();
        if !self.has_room() {
            return self.send_once(bytes);
        }
        let key = self.table.client_key(branch, &request.method);
        let call = call.to_owned();
        let timers = Timers::new(self.flow.transport.is_reliable());
        let sent = Sent { call, request };
        self.table
            .begin_client(key, sent, bytes, self.flow, timers, now);
        if let Some(output) = self.table.poll_client(&key) {
            self.outgoing.extend(output.transmits);
        }
    }

    /// A response arrives; gives what it is about where it is new. The ACK of a refusal is sent here.
    pub fn receive(
        &mut self,
        response: &Response,
        envelope: &Envelope,
        now: Instant,
    ) -> Option<Delivery> {
        let key = self.table.handle_response(response, envelope, now).ok()?;
        let output = self.table.poll_client(&key)?;
        self.outgoing.extend(output.transmits);
        let about = output.deliver.then(|| self.table.client(&key)).flatten();
        let about = about.map(|entry| entry.user.about());
        self.table.release_client(&key);
        about
    }

    /// Ends the transaction of an INVITE of ours that was cancelled and has no final response
    /// (section 9.1); `branch` is that of its Via.
    pub fn give_up_invite(&mut self, branch: &str) {
        let key = self.table.client_key(branch, &Method::Invite);
        self.table.remove_client(&key);
    }

    /// Runs the timers that are due; gives the calls whose requests were not answered.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Delivery> {
        let mut unanswered = Vec::new();
        while let Some(expired) = self.table.poll_expired(now) {
            match expired {
                TimerKey::Server(key) => {
                    self.table.handle_server_timeout(&key, now);
                    self.poll_server(&key);
                }
                TimerKey::Client(key) => {
                    self.table.handle_client_timeout(&key, now);
                    let output = self.table.poll_client(&key);
                    if output.is_some_and(|output| output.timed_out)
                        && let Some(entry) = self.table.client(&key)
                    {
                        unanswered.push(entry.user.about());
                    }
                    self.table.release_client(&key);
                }
            }
        }
        unanswered
    }

    /// When [`Transactions::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.table.poll_timeout()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outgoing.pop_front()
    }

    /// Transactions that are kept, for tests of their bounds.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.table.len()
    }

    /// Takes what a server transaction sends; true where it delivers too.
    fn poll_server(&mut self, key: &ServerKey) -> bool {
        let Some(output) = self.table.poll_server(key) else {
            return false;
        };
        self.outgoing.extend(output.transmits);
        output.deliver
    }
}

impl Sent {
    fn about(&self) -> Delivery {
        Delivery {
            call: self.call.clone(),
            method: self.request.method.clone(),
        }
    }
}
