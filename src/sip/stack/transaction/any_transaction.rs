//! Any of the four transactions, as a table holds them.

use std::time::Instant;

use bytes::Bytes;

use super::action::Action;
use super::client::Client;
use super::client_invite::ClientInvite;
use super::server::Server;
use super::server_invite::{ServerInvite, ServerInviteInput};
use super::timers::Timers;
use crate::sip::stack::method::Method;

/// Any of the four. What does not happen to one of its side does nothing.
#[derive(Debug)]
pub enum Transaction {
    /// Of an INVITE of ours.
    ClientInvite(ClientInvite),
    /// Of another request of ours.
    Client(Client),
    /// Of an INVITE of a peer.
    ServerInvite(ServerInvite),
    /// Of another request of a peer.
    Server(Server),
}

impl Transaction {
    /// Starts the transaction of a request of ours: its bytes are the first thing to send.
    pub fn client(method: &Method, request: Bytes, timers: Timers, now: Instant) -> Self {
        match method {
            Method::Invite => Transaction::ClientInvite(ClientInvite::new(request, timers, now)),
            _ => Transaction::Client(Client::new(request, timers, now)),
        }
    }

    /// The transaction of a request that has just arrived.
    pub fn server(method: &Method, timers: Timers) -> Self {
        match method {
            Method::Invite => Transaction::ServerInvite(ServerInvite::new(timers)),
            _ => Transaction::Server(Server::new(timers)),
        }
    }

    /// Takes a response. `acknowledgement` writes the ACK for it, which an INVITE needs when it is
    /// refused (RFC 3261 section 17.1.1.3).
    pub fn handle_response(
        &mut self,
        status: u16,
        acknowledgement: impl FnOnce() -> Bytes,
        now: Instant,
    ) {
        match self {
            Transaction::ClientInvite(client) => {
                let acknowledgement = match status {
                    300.. => acknowledgement(),
                    _ => Bytes::new(),
                };
                client.handle(status, acknowledgement, now);
            }
            Transaction::Client(client) => client.handle(status, now),
            Transaction::ServerInvite(_) | Transaction::Server(_) => {}
        }
    }

    /// The request arrived again.
    pub fn handle_repeated(&mut self, now: Instant) {
        match self {
            Transaction::ServerInvite(server) => server.handle(ServerInviteInput::Repeated, now),
            Transaction::Server(server) => server.handle_repeated(),
            Transaction::ClientInvite(_) | Transaction::Client(_) => {}
        }
    }

    /// An ACK arrived; false when no INVITE of a peer waits here.
    pub fn handle_acknowledgement(&mut self, now: Instant) -> bool {
        let Transaction::ServerInvite(server) = self else {
            return false;
        };
        server.handle(ServerInviteInput::Acknowledged, now);
        true
    }

    /// The user answers. Outside INVITE there are final responses only.
    pub fn respond(&mut self, status: u16, response: Bytes, now: Instant) {
        match self {
            Transaction::ServerInvite(server) => {
                server.handle(ServerInviteInput::Respond(status, response), now);
            }
            Transaction::Server(server) => server.respond(response, now),
            Transaction::ClientInvite(_) | Transaction::Client(_) => {}
        }
    }

    /// Fails over from an INVITE of ours to another destination (RFC 3263 section 4.3): it
    /// sends nothing more, and takes late responses for 64 * T1.
    pub fn abandon(&mut self, now: Instant) {
        if let Transaction::ClientInvite(client) = self {
            client.abandon(now);
        }
    }

    /// Ends an INVITE of ours for which no answer is waited any more.
    pub fn fail(&mut self) {
        if let Transaction::ClientInvite(client) = self {
            client.fail();
        }
    }

    /// True for an INVITE of ours.
    pub fn is_client_invite(&self) -> bool {
        matches!(self, Transaction::ClientInvite(_))
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self {
            Transaction::ClientInvite(client) => client.handle_timeout(now),
            Transaction::Client(client) => client.handle_timeout(now),
            Transaction::ServerInvite(server) => server.handle_timeout(now),
            Transaction::Server(server) => server.handle_timeout(now),
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        match self {
            Transaction::ClientInvite(client) => client.poll(),
            Transaction::Client(client) => client.poll(),
            Transaction::ServerInvite(server) => server.poll(),
            Transaction::Server(server) => server.poll(),
        }
    }

    /// When [`Transaction::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Transaction::ClientInvite(client) => client.poll_timeout(),
            Transaction::Client(client) => client.poll_timeout(),
            Transaction::ServerInvite(server) => server.poll_timeout(),
            Transaction::Server(server) => server.poll_timeout(),
        }
    }

    /// True when nothing more can happen.
    pub fn is_terminated(&self) -> bool {
        match self {
            Transaction::ClientInvite(client) => client.is_terminated(),
            Transaction::Client(client) => client.is_terminated(),
            Transaction::ServerInvite(server) => server.is_terminated(),
            Transaction::Server(server) => server.is_terminated(),
        }
    }

    /// True while a request of ours has no final response.
    pub fn is_waiting(&self) -> bool {
        match self {
            Transaction::ClientInvite(client) => client.is_waiting(),
            Transaction::Client(client) => client.is_waiting(),
            Transaction::ServerInvite(_) | Transaction::Server(_) => false,
        }
    }

    /// True while a request of ours has no response at all.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Transaction::ClientInvite(client) => client.is_unanswered(),
            Transaction::Client(client) => client.is_unanswered(),
            Transaction::ServerInvite(_) | Transaction::Server(_) => false,
        }
    }

    /// True once an INVITE of ours has a provisional response and no final one: a CANCEL may go
    /// (RFC 3261 section 9.1).
    pub fn is_proceeding(&self) -> bool {
        matches!(self, Transaction::ClientInvite(client) if client.is_proceeding())
    }
}
