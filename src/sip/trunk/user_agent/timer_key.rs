//! Whose timer it is.

use super::keep_alive::Way;
use super::registrations::RegistrationId;
use crate::sip::trunk::event::LegId;

/// Whose timer it is, of everything but transactions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Wake {
    Leg(LegId),
    KeepAlive(Way),
    Registration(RegistrationId),
    Resolver,
    Health,
}
