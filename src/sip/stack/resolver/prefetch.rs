//! Next hops that are resolved before a request needs them.

use std::time::{Duration, Instant};

use crate::sip::stack::next_hop::NextHop;

/// The names that are kept known are resolved this often.
const PREFETCH_EVERY: Duration = Duration::from_secs(60);

/// Next hops that are kept resolved, and those whose DNS responses are missing.
#[derive(Debug, Default)]
pub struct Prefetch {
    /// Kept resolved.
    kept: Vec<NextHop>,
    next: Option<Instant>,
    /// Queries of these are under way.
    unresolved: Vec<NextHop>,
    /// Those of them that were never resolved so far, or found to have no records.
    first: Vec<NextHop>,
}

impl Prefetch {
    /// These names are kept known from now on.
    pub fn keep(&mut self, hops: Vec<NextHop>, now: Instant) {
        self.next = (!hops.is_empty()).then_some(now + PREFETCH_EVERY);
        self.kept = hops;
    }

    /// Those that are due, and sets the next time.
    pub fn take_due(&mut self, now: Instant) -> Vec<NextHop> {
        if self.next.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.next = Some(now + PREFETCH_EVERY);
        self.kept.clone()
    }

    /// DNS responses for this one are missing.
    pub fn wait(&mut self, hop: NextHop) {
        self.unresolved.push(hop);
    }

    /// Those that wait are the first ones: nothing is ready before they have been resolved once.
    pub fn require_first(&mut self) {
        self.first.clone_from(&self.unresolved);
    }

    /// Takes those that wait, to be resolved anew.
    pub fn take_unresolved(&mut self) -> Vec<NextHop> {
        std::mem::take(&mut self.unresolved)
    }

    /// Drops from the first ones what waits no longer.
    pub fn finish_first(&mut self) {
        let unresolved = &self.unresolved;
        self.first.retain(|hop| unresolved.contains(hop));
    }

    /// True while DNS responses for this one are missing.
    pub fn is_unresolved(&self, hop: &NextHop) -> bool {
        self.unresolved.contains(hop)
    }

    /// True once every kept name has been resolved, or missed, for the first time.
    pub const fn is_ready(&self) -> bool {
        self.first.is_empty()
    }

    /// When [`Prefetch::take_due`] is wanted.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}
