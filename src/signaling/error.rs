//! What can go wrong at the browser's doors.

use crate::call::Refusal;

/// An error of this folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No identity for what the client showed.
    #[error("the credentials are not right")]
    Unauthorized,
    /// Neither password nor token, where no guests are admitted: what a client asks that wants to
    /// know how to sign in.
    #[error("a password or a token is needed: this gateway admits no guests")]
    NoCredentials,
    /// The token was right once.
    #[error("the token has expired")]
    TokenExpired,
    /// The digest was right, for a nonce that is too old or was used before (RFC 7616 section 3.4).
    #[error("the nonce is too old or was used before")]
    StaleNonce,
    /// A good token, but not of the user whose session it was to renew.
    #[error("the token is another user's")]
    WrongUser,
    /// The credentials were not looked at, since too many before them were wrong.
    #[error("too many wrong passwords or tokens; wait before the next one")]
    TooManyAttempts {
        /// How long.
        retry_after: std::time::Duration,
    },
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
    /// How a client is refused for it.
    pub const fn refusal(&self) -> Refusal {
        match self {
            Error::TokenExpired => Refusal::TokenExpired,
            Error::WrongUser => Refusal::WrongUser,
            Error::TooManyAttempts { .. } => Refusal::TooManyAttempts,
            _ => Refusal::Unauthorized,
        }
    }

    /// Seconds until another attempt is looked at, at least 1; none where that is no matter of time.
    pub fn retry_after(&self) -> Option<u64> {
        let Error::TooManyAttempts { retry_after } = self else {
            return None;
        };
        let begun = u64::from(retry_after.subsec_nanos() > 0);
        Some(retry_after.as_secs().saturating_add(begun).max(1))
    }
}
