//! What can go wrong when packets are to be protected. What arrives never makes errors: see
//! [`super::Rejected`].

/// A key or packet of our own that the library does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Cryptography, or the key, is of no use.
    #[error("srtp key not usable: {0}")]
    Key(String),
    /// A packet of ours cannot be protected: it is none, or the key is used up (RFC 3711
    /// section 9.2).
    #[error("srtp packet not protected")]
    Packet,
}
