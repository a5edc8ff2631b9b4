//! Whose timer it is.

use super::keep_alive::Way;
use super::registrations::RegistrationId;
use super::target_id::TargetId;
use crate::sip::event::LegId;
use crate::sip::transaction::key::{ClientKey, ServerKey};

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
    /// The requests that wait for names.
    LookUps,
    /// The names of trunks.
    Names,
    Target(TargetId),
}
