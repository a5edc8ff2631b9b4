//! A request of ours on its way out.

use std::time::Duration;

use super::intervals::LIFETIME;
use super::owner::Owner;
use super::way::Way;
use crate::sip::stack::message::Request;
use crate::sip::trunk::contact::ContactUser;

/// A request to send and what is needed to send it again.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The request; Via and Contact are written when it leaves.
    pub request: Request,
    pub way: Way,
    pub owner: Owner,
    /// Our Contact and its header parameters, when the request has one.
    pub contact: Option<(ContactUser, String)>,
    /// Timers B and F.
    pub give_up: Duration,
    /// Challenges answered so far.
    pub attempts: u8,
    /// False once TCP was refused for this request.
    pub may_upgrade: bool,
    /// What the owner is told when no destination is left.
    pub failure: u16,
}

impl Outbound {
    /// A request without Contact that waits 64 * T1 for its answer.
    pub fn new(request: Request, way: impl Into<Way>, owner: Owner) -> Self {
        Outbound {
            request,
            way: way.into(),
            owner,
            contact: None,
            give_up: LIFETIME,
            attempts: 0,
            may_upgrade: true,
            failure: 503,
        }
    }
}
