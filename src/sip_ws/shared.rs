//! What stands behind all connections.

use std::sync::Arc;

use super::authenticator::Authenticator;
use super::registrar::Registrar;
use crate::signaling::Door;

/// Shared by all connections.
pub(super) struct Shared {
    /// What all doors share.
    pub door: Arc<Door>,
    pub authenticator: Authenticator,
    pub registrar: Registrar,
}
