//! A client transaction as the user agent holds it.

use std::time::Instant;

use bytes::Bytes;

use super::outbound::Outbound;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::Name;
use crate::sip::stack::transaction::{Action, Client, ClientInvite};

/// A client transaction and its surroundings.
#[derive(Debug)]
pub struct ClientEntry {
    pub machine: Machine,
    pub outbound: Outbound,
    pub flow: Flow,
    /// When its timer runs.
    pub armed: Option<Instant>,
    /// When it goes on to another destination if nothing has come by then.
    pub leave_at: Option<Instant>,
    /// When its target is asked whether it is still there, after a 100 and nothing more.
    pub doubt_at: Option<Instant>,
    /// A provisional answer above 100 came.
    pub progressed: bool,
    /// It was left, and taken back since.
    pub cancelled: bool,
    /// The stream that the request went by.
    pub connection: Option<u64>,
    /// True once it went a second time because the first stream ended.
    pub repeated: bool,
}

impl ClientEntry {
    /// True while no final response has come.
    pub fn is_waiting(&self) -> bool {
        self.machine.is_waiting()
    }

    /// The flow that its responses come by.
    pub fn way_of_response(&self) -> Flow {
        Flow {
            connection: self.connection,
            reconnect: self.connection.map(|_| self.flow.remote),
            ..self.flow
        }
    }

    /// Lets go of what an INVITE with a final response needs no more: it is held for 32 s yet, for
    /// late answers of forks.
    pub fn settle(&mut self) {
        if matches!(self.machine, Machine::Invite(_)) && !self.is_waiting() {
            let request = &mut self.outbound.request;
            request.body = Bytes::new();
            request.headers.keep(&KEPT_HEADERS);
        }
    }
}

/// What CANCEL, the ACK of a late 2xx and its BYE are made of.
const KEPT_HEADERS: [Name; 9] = [
    Name::VIA,
    Name::ROUTE,
    Name::MAX_FORWARDS,
    Name::FROM,
    Name::TO,
    Name::CALL_ID,
    Name::CSEQ,
    Name::AUTHORIZATION,
    Name::PROXY_AUTHORIZATION,
];

/// Either client transaction.
#[derive(Debug)]
pub enum Machine {
    Invite(ClientInvite),
    Other(Client),
}

impl Machine {
    pub(super) fn poll(&mut self) -> Option<Action> {
        match self {
            Machine::Invite(machine) => machine.poll(),
            Machine::Other(machine) => machine.poll(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Machine::Invite(machine) => machine.poll_timeout(),
            Machine::Other(machine) => machine.poll_timeout(),
        }
    }

    pub(super) fn is_terminated(&self) -> bool {
        match self {
            Machine::Invite(machine) => machine.is_terminated(),
            Machine::Other(machine) => machine.is_terminated(),
        }
    }

    pub fn is_waiting(&self) -> bool {
        match self {
            Machine::Invite(machine) => machine.is_waiting(),
            Machine::Other(machine) => machine.is_waiting(),
        }
    }

    pub fn is_unanswered(&self) -> bool {
        match self {
            Machine::Invite(machine) => machine.is_unanswered(),
            Machine::Other(machine) => machine.is_unanswered(),
        }
    }
}
