//! What can go wrong at the browser's doors.

/// An error of this folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No identity for what the page showed.
    #[error("the credentials are not right")]
    Unauthorized,
    /// The key for tokens is not usable.
    #[error("the key for tokens is not usable: {source}")]
    TokenKey {
        /// Why.
        #[source]
        source: jsonwebtoken::errors::Error,
    },
}
