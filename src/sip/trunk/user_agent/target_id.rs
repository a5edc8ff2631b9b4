//! Names of the trunks' targets and of their places.

use crate::sip::stack::locating::Place;

/// One target of one trunk, by their places in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId {
    pub trunk: usize,
    pub target: usize,
}

/// One place of a target; none is named where an outbound proxy leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    pub target: TargetId,
    pub place: Option<Place>,
}
