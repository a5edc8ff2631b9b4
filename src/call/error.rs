//! What can go wrong before a call exists.

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
    /// The call has ended or its task is not taking more.
    #[error("the call is gone")]
    Gone,
}
