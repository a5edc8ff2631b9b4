//! What is known of one target and of its destinations.

use std::time::Instant;

use super::destination_health::DestinationHealth;
use crate::sip::stack::resolver::Destination;

/// What is known of one target.
#[derive(Debug, Default)]
pub struct TargetHealth {
    /// As it was told last.
    pub told_out: bool,
    /// How many of its destinations are in, and out, likewise.
    pub told_counts: (usize, usize),
    /// When its name is resolved again.
    pub resolve_at: Option<Instant>,
    /// At most those that a name may lead to.
    pub destinations: Vec<(Option<Destination>, DestinationHealth)>,
}

impl TargetHealth {
    pub fn destination(&self, named: Option<Destination>) -> Option<&DestinationHealth> {
        let found = self.destinations.iter().find(|(of, _)| *of == named);
        found.map(|(_, health)| health)
    }

    pub fn destination_mut(
        &mut self,
        named: Option<Destination>,
    ) -> Option<&mut DestinationHealth> {
        let found = self.destinations.iter_mut().find(|(of, _)| *of == named);
        found.map(|(_, health)| health)
    }

    /// It has these by now. What is known of those that stay is kept.
    pub fn set_destinations(&mut self, found: Vec<Option<Destination>>) {
        self.destinations.retain(|(held, _)| found.contains(held));
        for destination in found {
            if self.destination(destination).is_none() {
                let health = DestinationHealth::default();
                self.destinations.push((destination, health));
            }
        }
    }

    pub fn is_out(&self) -> bool {
        !self.destinations.is_empty() && self.destinations.iter().all(|(_, health)| health.is_out)
    }

    /// Those that are in, and those that are out.
    pub fn counts(&self) -> (usize, usize) {
        let out = self.destinations.iter().filter(|(_, health)| health.is_out);
        let out = out.count();
        (self.destinations.len() - out, out)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let destinations = self.destinations.iter();
        let destinations = destinations.filter_map(|(_, health)| health.poll_timeout());
        destinations.chain(self.resolve_at).min()
    }
}
