//! Names of the trunks' targets and of their destinations.

use crate::sip::stack::resolver::Destination;

/// One target of one trunk, by their indexes in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId {
    pub trunk: usize,
    pub target: usize,
}

/// One destination of a target; none is named where an outbound proxy leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetDestination {
    pub target: TargetId,
    pub destination: Option<Destination>,
}
