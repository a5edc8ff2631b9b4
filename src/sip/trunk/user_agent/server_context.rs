//! What a server transaction of the user agent belongs to.

use crate::sip::stack::next_hop::NextHop;
use crate::sip::trunk::event::LegId;

/// What a server transaction belongs to.
#[derive(Debug)]
pub struct ServerContext {
    /// The leg that a CANCEL of this INVITE ends.
    pub leg: Option<LegId>,
    /// The response destination by name, where the request came by a stream.
    pub response_destination: Option<Box<ResponseDestination>>,
}

/// The name that a request wants its response at.
#[derive(Debug)]
pub struct ResponseDestination {
    pub(super) hop: NextHop,
    /// The stream is gone: the name counts.
    pub(super) lost: bool,
}
