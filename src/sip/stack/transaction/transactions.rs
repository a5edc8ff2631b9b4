//! All transactions of one user: which of them a message belongs to, and when the next of their
//! timers runs.
//!
//! `handle_*`, `receive` and `respond` take what happened to one of them; [`Transactions::poll_client`]
//! and [`Transactions::poll_server`] then give what it has to send and to deliver.

use std::time::Instant;

use bytes::Bytes;

use super::action::{Action, Ready};
use super::any_transaction::Transaction;
use super::entries::{ClientEntry, ClientUser, ServerEntry};
use super::key::{ClientKey, KeyMap, Matching, MergeKey, ServerKey};
use super::same_branch::{has_sent_by_of, refusal_acknowledgement};
use super::timers::Timers;
use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::Response;
use crate::sip::stack::method::Method;
use crate::timer_queue::{TimerQueue, TimerSlot};

/// The transactions of one user: `C` is what its client transactions belong to, `S` what its server
/// transactions do.
#[derive(Debug)]
pub struct Transactions<C, S> {
    matching: Matching,
    // Boxed, as a table has up to four times the places that it needs: it keeps half of them free,
    // and doubles when as many have been taken and left.
    clients: KeyMap<ClientKey, Box<ClientEntry<C>>>,
    servers: KeyMap<ServerKey, Box<ServerEntry<S>>>,
    /// Requests outside dialogs, to find merged ones (RFC 3261 section 8.2.2.2).
    merging: KeyMap<MergeKey, ServerKey>,
    timers: TimerQueue<TimerKey>,
}

/// Whose timer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKey {
    /// A client transaction's.
    Client(ClientKey),
    /// A server transaction's.
    Server(ServerKey),
}

/// What a transaction has to do.
#[derive(Debug)]
pub struct Output {
    /// Where to send.
    pub flow: Flow,
    /// What to send.
    pub transmits: Ready,
    /// The message just handled is new to the user.
    pub deliver: bool,
    /// No final response came.
    pub timed_out: bool,
}

/// What a request that is no ACK is to the transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// None of them knows it: [`Transactions::begin_server`] takes it under this key.
    New(ServerKey),
    /// This one has it: its response is repeated, if there is one.
    Repeated(ServerKey),
    /// It has the branch of another call's request (RFC 3261 section 8.1.1.7).
    BranchReused,
}

/// A response that no transaction takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// It belongs to no request that we hold.
    NoTransaction,
    /// Its topmost Via was not written by us (RFC 3261 section 18.1.2).
    SentBy,
}

impl<C: ClientUser, S> Transactions<C, S> {
    /// None yet; `matching` makes their keys.
    pub fn new(matching: Matching) -> Self {
        Transactions {
            matching,
            clients: KeyMap::default(),
            servers: KeyMap::default(),
            merging: KeyMap::default(),
            timers: TimerQueue::default(),
        }
    }

    /// How many there are, finished ones whose timer still runs among them.
    pub fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// When [`Transactions::poll_expired`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next one whose timer has run: `handle_client_timeout` or `handle_server_timeout` is for
    /// it.
    pub fn poll_expired(&mut self, now: Instant) -> Option<TimerKey> {
        self.timers.expired(now)
    }

    // === Requests of ours ===

    /// The key of a request of ours.
    pub fn client_key(&self, branch: &str, method: &Method) -> ClientKey {
        self.matching.client(branch, method)
    }

    /// Starts the transaction of a request of ours, which is no ACK; `bytes` are the request as it
    /// is sent by `flow`.
    pub fn begin_client(
        &mut self,
        key: ClientKey,
        user: C,
        bytes: Bytes,
        flow: Flow,
        timers: Timers,
        now: Instant,
    ) {
        let method = &user.request().method;
        let entry = ClientEntry {
            transaction: Transaction::client(method, bytes, timers, now),
            user,
            flow,
            connection: None,
            timer: TimerSlot::default(),
            repeated: false,
        };
        self.clients.insert(key, Box::new(entry));
    }

    /// A request of ours.
    pub fn client(&self, key: &ClientKey) -> Option<&ClientEntry<C>> {
        self.clients.get(key).map(|entry| &**entry)
    }

    /// The same, to change.
    pub fn client_mut(&mut self, key: &ClientKey) -> Option<&mut ClientEntry<C>> {
        self.clients.get_mut(key).map(|entry| &mut **entry)
    }

    /// All requests of ours.
    pub fn clients(&self) -> impl Iterator<Item = (&ClientKey, &ClientEntry<C>)> {
        self.clients.iter().map(|(key, entry)| (key, &**entry))
    }

    /// Takes a response to a request of ours.
    pub fn handle_response(
        &mut self,
        response: &Response,
        envelope: &Envelope,
        now: Instant,
    ) -> Result<ClientKey, Unmatched> {
        let key = self.matching.client(&envelope.branch, &envelope.method);
        let entry = self.clients.get_mut(&key).ok_or(Unmatched::NoTransaction)?;
        let request = entry.user.request();
        // What was not meant for us, or was changed on the way, is dropped.
        if !has_sent_by_of(envelope, request, entry.flow.transport) {
            return Err(Unmatched::SentBy);
        }
        let acknowledgement = || refusal_acknowledgement(request, response);
        let transaction = &mut entry.transaction;
        transaction.handle_response(response.status, acknowledgement, now);
        Ok(key)
    }

    /// Runs the timers of a request of ours that are due.
    pub fn handle_client_timeout(&mut self, key: &ClientKey, now: Instant) {
        if let Some(entry) = self.clients.get_mut(key) {
            entry.transaction.handle_timeout(now);
        }
    }

    /// What a request of ours has to do now; arms its timer.
    pub fn poll_client(&mut self, key: &ClientKey) -> Option<Output> {
        let entry = self.clients.get_mut(key)?;
        let output = Output::of(&mut entry.transaction, entry.flow);
        let timeout = entry.poll_timeout();
        let timer = TimerKey::Client(*key);
        self.timers.set(&mut entry.timer, &timer, timeout);
        Some(output)
    }

    /// Lets go of what a request of ours needs no more; of all of it when nothing can happen to it.
    pub fn release_client(&mut self, key: &ClientKey) {
        let Some(entry) = self.clients.get_mut(key) else {
            return;
        };
        if entry.transaction.is_terminated() {
            self.remove_client(key);
        } else {
            entry.shrink();
        }
    }

    /// Forgets a request of ours.
    pub fn remove_client(&mut self, key: &ClientKey) -> Option<Box<ClientEntry<C>>> {
        let mut entry = self.clients.remove(key)?;
        let timer = TimerKey::Client(*key);
        self.timers.set(&mut entry.timer, &timer, None);
        Some(entry)
    }

    /// The requests that were written on a connection which has ended, and have no final response:
    /// [`Transactions::send_again`] is for each. An INVITE comes before the CANCEL that takes it
    /// back.
    pub fn lost_with(&self, connection: u64) -> Vec<ClientKey> {
        let lost = |entry: &ClientEntry<C>| {
            entry.connection == Some(connection) && entry.transaction.is_waiting()
        };
        let mut lost: Vec<(bool, ClientKey)> = self
            .clients()
            .filter(|(_, entry)| lost(entry))
            .map(|(key, entry)| (!entry.transaction.is_client_invite(), *key))
            .collect();
        lost.sort_unstable();
        lost.into_iter().map(|(_, key)| key).collect()
    }

    /// Bytes and flow of a request that goes once more, by a new connection and in its own branch,
    /// so that a peer which has it already sees a repetition (RFC 3261 section 17.2.3). `None` when
    /// it has gone twice.
    pub fn send_again(&mut self, key: &ClientKey) -> Option<(Flow, Bytes)> {
        let entry = self.clients.get_mut(key)?;
        if entry.repeated {
            return None;
        }
        entry.repeated = true;
        entry.connection = None;
        let flow = Flow {
            connection: None,
            ..entry.flow
        };
        Some((flow, entry.user.request().write()))
    }

    // === Requests of peers ===

    /// Takes a request that is no ACK.
    pub fn receive(&mut self, envelope: &Envelope, now: Instant) -> Arrival {
        let key = self.matching.server(envelope);
        let Some(entry) = self.servers.get_mut(&key) else {
            return Arrival::New(key);
        };
        if entry.call != self.matching.call(envelope) {
            return Arrival::BranchReused;
        }
        entry.transaction.handle_repeated(now);
        Arrival::Repeated(key)
    }

    /// Starts the transaction of a new request. True when the request has come by another path
    /// already (RFC 3261 section 8.2.2.2).
    pub fn begin_server(
        &mut self,
        key: ServerKey,
        method: &Method,
        envelope: &Envelope,
        flow: Flow,
        user: S,
    ) -> bool {
        let merging = self.matching.merged(envelope);
        let is_cancel = *method == Method::Cancel;
        let outside = envelope.to.tag().is_none();
        let merged = outside && !is_cancel && self.merging.contains_key(&merging);
        if !merged && !is_cancel {
            self.merging.insert(merging, key);
        }
        let timers = Timers::new(flow.transport.is_reliable());
        let entry = ServerEntry {
            transaction: Transaction::server(method, timers),
            user,
            flow,
            timer: TimerSlot::default(),
            call: self.matching.call(envelope),
            merging,
        };
        self.servers.insert(key, Box::new(entry));
        merged
    }

    /// A request of a peer.
    pub fn server(&self, key: &ServerKey) -> Option<&ServerEntry<S>> {
        self.servers.get(key).map(|entry| &**entry)
    }

    /// The same, to change.
    pub fn server_mut(&mut self, key: &ServerKey) -> Option<&mut ServerEntry<S>> {
        self.servers.get_mut(key).map(|entry| &mut **entry)
    }

    /// All requests of peers, to change.
    pub fn servers_mut(&mut self) -> impl Iterator<Item = &mut ServerEntry<S>> {
        self.servers.values_mut().map(|entry| &mut **entry)
    }

    /// The INVITE that a CANCEL is for (RFC 3261 section 9.2).
    pub fn cancelled_invite(&self, envelope: &Envelope) -> Option<(ServerKey, &ServerEntry<S>)> {
        let key = self.matching.invite(envelope);
        let entry = self.server(&key)?;
        (entry.call == self.matching.call(envelope)).then_some((key, entry))
    }

    /// True when an INVITE is held that a CANCEL names by its branch, of whichever call.
    pub fn has_invite_of(&self, envelope: &Envelope) -> bool {
        self.servers.contains_key(&self.matching.invite(envelope))
    }

    /// Takes an ACK; gives the transaction of its INVITE. Without one, or where
    /// [`Transactions::poll_server`] then delivers it, it acknowledges a 2xx.
    pub fn handle_acknowledgement(
        &mut self,
        envelope: &Envelope,
        now: Instant,
    ) -> Option<ServerKey> {
        let key = self.matching.server(envelope);
        let entry = self.servers.get_mut(&key)?;
        let same_call = entry.call == self.matching.call(envelope);
        (same_call && entry.transaction.handle_acknowledgement(now)).then_some(key)
    }

    /// Answers a request of a peer.
    pub fn respond(&mut self, key: &ServerKey, status: u16, response: Bytes, now: Instant) {
        if let Some(entry) = self.servers.get_mut(key) {
            entry.transaction.respond(status, response, now);
        }
    }

    /// Runs the timers of a request of a peer that are due.
    pub fn handle_server_timeout(&mut self, key: &ServerKey, now: Instant) {
        if let Some(entry) = self.servers.get_mut(key) {
            entry.transaction.handle_timeout(now);
        }
    }

    /// What a request of a peer has to do now; arms its timer, and forgets it when nothing can
    /// happen to it any more. That a refusal was not acknowledged is nobody's concern: its user has
    /// let go of it.
    pub fn poll_server(&mut self, key: &ServerKey) -> Option<Output> {
        let entry = self.servers.get_mut(key)?;
        let output = Output::of(&mut entry.transaction, entry.flow);
        let timer = TimerKey::Server(*key);
        let timeout = entry.transaction.poll_timeout();
        self.timers.set(&mut entry.timer, &timer, timeout);
        if entry.transaction.is_terminated()
            && let Some(entry) = self.servers.remove(key)
            && self.merging.get(&entry.merging) == Some(key)
        {
            self.merging.remove(&entry.merging);
        }
        Some(output)
    }
}

impl Output {
    fn of(transaction: &mut Transaction, flow: Flow) -> Self {
        let mut output = Output {
            flow,
            transmits: Ready::new(),
            deliver: false,
            timed_out: false,
        };
        while let Some(action) = transaction.poll() {
            match action {
                Action::Transmit(bytes) => output.transmits.push(bytes),
                Action::Deliver => output.deliver = true,
                Action::TimedOut => output.timed_out = true,
            }
        }
        output
    }
}

#[cfg(test)]
#[path = "transactions/tests.rs"]
mod tests;
