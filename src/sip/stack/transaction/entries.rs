//! A transaction and its surroundings: the flow, and what it belongs to, which is the user's own type.

use std::time::Instant;

use bytes::Bytes;

use super::any_transaction::Transaction;
use super::key::{CallKey, MergeKey};
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request};
use crate::timer_queue::TimerSlot;

/// What a client transaction belongs to.
pub trait ClientUser {
    /// The request as it was sent: its ACK and its CANCEL are made from it.
    fn request(&self) -> &Request;

    /// The same, to let go of what is not needed any more.
    fn request_mut(&mut self) -> &mut Request;

    /// When the user wants to be asked, beside the timers of the transaction.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// A client transaction.
#[derive(Debug)]
pub struct ClientEntry<U> {
    pub transaction: Transaction,
    pub user: U,
    pub flow: Flow,
    /// The stream that the request went by.
    pub connection: Option<u64>,
    pub(super) timer: TimerSlot,
    /// True once it went a second time because the first stream ended.
    pub(super) repeated: bool,
}

impl<U: ClientUser> ClientEntry<U> {
    /// The flow that its responses come by.
    pub fn response_flow(&self) -> Flow {
        Flow {
            connection: self.connection,
            reconnect: self.connection.map(|_| self.flow.remote),
            ..self.flow
        }
    }

    /// Lets go of what an INVITE with a final response needs no more: it is held for 32 s yet, for
    /// late responses of forks.
    pub(super) fn shrink(&mut self) {
        if self.transaction.is_client_invite() && !self.transaction.is_waiting() {
            let request = self.user.request_mut();
            request.body = Bytes::new();
            request.headers.keep(&KEPT_HEADERS);
        }
    }

    /// When something is to be done.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let both = [self.transaction.poll_timeout(), self.user.poll_timeout()];
        both.into_iter().flatten().min()
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

/// A server transaction.
#[derive(Debug)]
pub struct ServerEntry<U> {
    pub transaction: Transaction,
    pub user: U,
    /// Where its responses go.
    pub flow: Flow,
    pub(super) timer: TimerSlot,
    /// A branch that comes back with another call must not act on this one (RFC 3261 section
    /// 8.1.1.7).
    pub(super) call: CallKey,
    /// Its key among the requests outside dialogs.
    pub(super) merging: MergeKey,
}
