//! A request of the client with the headers that place it, read once.

use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::message::{Headers, Request};

/// A request that has passed the screening.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    pub request: Request,
    pub envelope: Envelope,
}

impl Incoming {
    pub fn headers(&self) -> &Headers {
        &self.request.headers
    }
}
