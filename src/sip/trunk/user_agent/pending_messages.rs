//! Messages outside dialogs (RFC 3428) that have no final answer yet.

use std::collections::{BTreeMap, HashMap};

use crate::sip::stack::digest::Authorizer;
use crate::sip::stack::message::Request;
use crate::sip::stack::transaction::key::ServerKey;
use crate::sip::trunk::instant_message::MessageId;

/// Messages of both directions that have no final answer yet.
#[derive(Debug, Default)]
pub struct Messaging {
    pub(super) last: u64,
    pub(super) received: HashMap<MessageId, (ServerKey, Request)>,
    pub(super) sent: BTreeMap<MessageId, Sent>,
}

/// One of ours.
#[derive(Debug)]
pub struct Sent {
    pub trunk: usize,
    pub authorizer: Option<Authorizer>,
    pub sequence: u32,
    pub(super) uri: String,
    /// One that waits for an older one to the same address (RFC 3428 section 8).
    pub(super) waiting: Option<Request>,
}

impl Messaging {
    pub(super) fn next(&mut self) -> MessageId {
        self.last += 1;
        MessageId(self.last)
    }

    /// One of ours.
    pub fn sent_mut(&mut self, id: MessageId) -> Option<&mut Sent> {
        self.sent.get_mut(&id)
    }

    /// The trunk of one of ours.
    pub fn trunk_of(&self, id: MessageId) -> Option<usize> {
        self.sent.get(&id).map(|sent| sent.trunk)
    }
}
