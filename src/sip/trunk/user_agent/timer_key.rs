//! Whose timer it is.

use super::keep_alive::Way;
use super::registrations::RegistrationId;
use crate::sip::stack::transaction::key::{ClientKey, ServerKey};
use crate::sip::trunk::event::LegId;

/// Whose timer it is, of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Client(ClientKey),
    Server(ServerKey),
}

/// Whose timer it is, of everything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Wake {
    Leg(LegId),
    KeepAlive(Way),
    Registration(RegistrationId),
    Resolver,
    Health,
}
