//! A server transaction as the user agent holds it.

use std::time::Instant;

use crate::sip::stack::flow::Flow;
use crate::sip::stack::next_hop::NextHop;
use crate::sip::stack::transaction::key::{CallKey, MergeKey};
use crate::sip::stack::transaction::{Action, Server, ServerInvite};
use crate::sip::trunk::event::LegId;

/// A server transaction and its surroundings.
#[derive(Debug)]
pub struct ServerEntry {
    pub machine: Machine,
    pub flow: Flow,
    /// When its timer runs.
    pub armed: Option<Instant>,
    /// The leg that a CANCEL of this INVITE ends.
    pub leg: Option<LegId>,
    /// The trunk that proved by digest who it is.
    pub trunk: Option<usize>,
    /// A branch that comes back with another call must not act on this one (RFC 3261 section
    /// 8.1.1.7).
    pub call: CallKey,
    /// Key in `merging`.
    pub merging: MergeKey,
    /// The way back by name, where the request came by a stream.
    pub response_destination: Option<Box<ResponseDestination>>,
}

/// Either server transaction.
#[derive(Debug)]
pub enum Machine {
    Invite(ServerInvite),
    Other(Server),
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
}

/// The name that a request wants its answer at.
#[derive(Debug)]
pub struct ResponseDestination {
    pub(super) hop: NextHop,
    /// The stream is gone: the name counts.
    pub(super) lost: bool,
}
