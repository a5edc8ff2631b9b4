//! A user name and its password.

use crate::redacted::Redacted;

/// User name and password for digest authentication (RFC 8760).
#[derive(Debug, Clone)]
pub struct Credentials {
    /// User name as the challenge's realm knows it.
    pub username: String,
    /// Password in clear.
    pub password: Redacted<String>,
}
