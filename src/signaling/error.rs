//! What can go wrong at the browser's doors.

/// An error of this folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No identity for what the page showed.
    #[error("the credentials are not right")]
    Unauthorized,
    /// The token was right once.
    #[error("the token has expired")]
    TokenExpired,
    /// A secret for tokens that could be guessed.
    #[error(
        "a secret of at least 32 bytes (HS256, RFC 7518 section 3.2) or a PEM public key; this \
         has {bytes} bytes"
    )]
    ShortTokenKey {
        /// Its length.
        bytes: usize,
    },
    /// The key that signs tokens is not ours to have.
    #[error("a public key; this is a private one, which only the issuer of tokens needs")]
    PrivateTokenKey,
    /// The key for tokens is not usable.
    #[error("a PEM public key, RSA or ECDSA P-256 ({source})")]
    TokenKey {
        /// Why.
        #[source]
        source: jsonwebtoken::errors::Error,
    },
}

impl Error {
    /// A stable code for pages.
    pub const fn code(&self) -> &'static str {
        match self {
            Error::TokenExpired => "token-expired",
            _ => "unauthorized",
        }
    }
}
