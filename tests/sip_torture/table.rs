//! What a row of the table says: what the RFC expects of a message, and what must come of it here.
//! The rows stand by the RFC's sections in `valid`, `invalid` and `beyond_parsing`.
//!
//! Where the RFC leaves a choice (reject, or be liberal), the column says so and the outcome is
//! the choice of this gateway. It is no registrar: REGISTER ends in 405 before anything else about
//! it matters, and the values show that it was read rightly.

use crate::{beyond_parsing, invalid, valid};

/// One message.
pub struct Row {
    pub name: &'static str,
    pub section: &'static str,
    pub expected: &'static str,
    pub outcome: Outcome,
    pub stream: Stream,
    /// Names of values (see `look_up`) and what they must be.
    pub values: &'static [(&'static str, &'static str)],
}

/// What comes of a message that a trunk sends.
pub enum Outcome {
    /// 100, and the call is told.
    Rings,
    /// This final answer.
    Answered(u16),
    /// No answer; counted under this reason.
    Dropped(&'static str),
}

/// What a stream makes of it.
pub enum Stream {
    /// One message, and nothing left over that is a message.
    Whole,
    /// A second message follows.
    Followed,
    /// More of the body is waited for.
    Waits,
    /// The next message cannot be found: the head is answered, the connection ends.
    Ends,
}

impl Stream {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Stream::Whole => "one message",
            Stream::Followed => "two messages",
            Stream::Waits => "waits for the body",
            Stream::Ends => "answered, then closed",
        }
    }
}

pub const fn row(
    name: &'static str,
    section: &'static str,
    expected: &'static str,
    outcome: Outcome,
    stream: Stream,
    values: &'static [(&'static str, &'static str)],
) -> Row {
    Row {
        name,
        section,
        expected,
        outcome,
        stream,
        values,
    }
}

/// The 49 messages in the order of the RFC.
pub fn messages() -> impl Iterator<Item = &'static Row> {
    [valid::MESSAGES, invalid::MESSAGES, beyond_parsing::MESSAGES]
        .into_iter()
        .flatten()
}
