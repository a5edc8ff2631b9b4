//! What can go wrong with a call that was begun.

/// An error of this folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call has ended or its task is not taking more.
    #[error("the call is gone")]
    Gone,
}
