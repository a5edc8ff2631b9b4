//! Whose timer it is.

use crate::sip::trunk::event::LegId;

/// Whose timer it is, of everything but transactions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Wake {
    Leg(LegId),
    FlowProbes,
    Registrations,
    Resolver,
    Health,
}
