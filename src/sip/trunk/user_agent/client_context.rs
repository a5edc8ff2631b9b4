//! What a client transaction of the user agent belongs to: the request on its way out, and when it
//! goes elsewhere.

use std::time::Instant;

use super::outbound::Outbound;
use crate::sip::stack::message::Request;
use crate::sip::stack::transaction::{ClientEntry, ClientUser};

/// A client transaction of the user agent.
pub type Client = ClientEntry<ClientContext>;

/// What a client transaction belongs to.
#[derive(Debug)]
pub struct ClientContext {
    pub outbound: Outbound,
    /// When it fails over to another destination if no response has come by then.
    pub fail_over_at: Option<Instant>,
    /// When its target is probed, after a 100 and nothing more.
    pub suspect_at: Option<Instant>,
    /// A provisional response above 100 came.
    pub progressed: bool,
    /// It was abandoned, and cancelled since.
    pub cancelled: bool,
}

impl ClientUser for ClientContext {
    fn request(&self) -> &Request {
        &self.outbound.request
    }

    fn request_mut(&mut self) -> &mut Request {
        &mut self.outbound.request
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let both = [self.fail_over_at, self.suspect_at];
        both.into_iter().flatten().min()
    }
}
