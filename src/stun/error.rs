//! What can go wrong with what is ours; received bytes never make errors.

/// A key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The provider of cryptography refused it.
    #[error("stun key not usable: {0}")]
    Key(String),
}
