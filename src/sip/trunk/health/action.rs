//! What the owner of a [`TrunkHealth`](super::TrunkHealth) does and tells.

use super::target_id::{TargetDestination, TargetId};
use crate::sip::stack::resolver::Destination;

/// Something to do, or to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthAction {
    /// Say which destinations the target has by now
    /// ([`TrunkHealth::set_destinations`](super::TrunkHealth::set_destinations)).
    Resolve(TargetId),
    /// Send OPTIONS there, and say what came of it.
    Probe(TargetDestination),
    /// A target is in, or is out.
    TellTarget {
        target: TargetId,
        /// The destination that made the difference, where one did.
        destination: Option<Destination>,
        is_up: bool,
        /// In words; `assumed` at the start.
        why: &'static str,
    },
    /// One of several destinations of a target is in, or is out.
    TellDestination {
        target: TargetId,
        destination: Destination,
        is_up: bool,
        /// In words.
        why: &'static str,
    },
    /// How many destinations of a target there are.
    TellCounts {
        target: TargetId,
        up: usize,
        out: usize,
    },
}
