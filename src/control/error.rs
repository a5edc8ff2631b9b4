//! What can go wrong before a call begins.

use crate::call::{EndReason, Refusal};

/// An error of this folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A route's pattern is not a regular expression.
    #[error("pattern {pattern:?} is not a regular expression: {source}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What the parser says.
        #[source]
        source: regex::Error,
    },
    /// A template refers to a group that its pattern does not have.
    #[error(
        "${name} is no group of the pattern, which has {groups}; write ${{1}}x for group 1 before an x"
    )]
    Template {
        /// The group, without `$`.
        name: String,
        /// How many there are.
        groups: usize,
    },
    /// The call ends before it begins.
    #[error("{}", .0.ending().text)]
    Ends(EndReason),
    /// A client asked for a header that its trunk's list does not have.
    #[error("header {0:?} is not one that this trunk takes from clients")]
    HeaderNotAllowed(String),
    /// A client asked for a header with a value that cannot be.
    #[error("header {name:?} has a control character or more than {bytes} bytes")]
    BadHeaderValue {
        /// As asked for.
        name: String,
        /// The most.
        bytes: usize,
    },
    /// A client asked for too much in headers.
    #[error("more than {headers} headers or {bytes} bytes of them")]
    TooManyHeaders {
        /// The most.
        headers: usize,
        /// The most.
        bytes: usize,
    },
}

impl Error {
    /// How a client is refused for it; none where the call ends for it, or where no client caused it.
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Error::Pattern { .. } | Error::Template { .. } | Error::Ends(_) => None,
            Error::HeaderNotAllowed(_) => Some(Refusal::HeaderNotAllowed),
            Error::BadHeaderValue { .. } => Some(Refusal::BadHeader),
            Error::TooManyHeaders { .. } => Some(Refusal::TooManyHeaders),
        }
    }
}

impl From<EndReason> for Error {
    fn from(reason: EndReason) -> Self {
        Error::Ends(reason)
    }
}
