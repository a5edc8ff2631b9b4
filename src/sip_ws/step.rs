//! What becomes of a call by one input.

use super::session::Session;

/// What becomes of an INVITE without a final response.
#[derive(Debug)]
pub(super) enum Step {
    /// It goes on.
    Stay,
    /// There was a 2xx.
    Established(Box<Session>),
    /// Nothing more is to be said or heard of it.
    Over,
}
