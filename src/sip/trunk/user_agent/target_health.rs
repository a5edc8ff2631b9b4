//! What is known of the targets of trunks and of their destinations.

use std::time::Instant;

use crate::sip::stack::resolver::Destination;

/// What is known of one target.
#[derive(Debug, Default)]
pub struct TargetHealth {
    /// As it was told last.
    pub(super) is_out: bool,
    /// How many of its destinations are there, and are not, likewise.
    pub(super) counts: (usize, usize),
    /// When its name is looked at again.
    pub(super) look_at: Option<Instant>,
    /// At most those that a name may lead to.
    pub(super) destinations: Vec<(Option<Destination>, Health)>,
}

impl TargetHealth {
    pub(super) fn destination_mut(
        &mut self,
        destination: Option<Destination>,
    ) -> Option<&mut Health> {
        let found = self
            .destinations
            .iter_mut()
            .find(|(of, _)| *of == destination);
        found.map(|(_, health)| health)
    }

    pub(super) fn all_out(&self) -> bool {
        !self.destinations.is_empty() && self.destinations.iter().all(|(_, health)| health.is_out)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let destinations = self
            .destinations
            .iter()
            .filter_map(|(_, h)| h.poll_timeout());
        destinations.chain(self.look_at).min()
    }
}

/// What is known of one destination.
#[derive(Debug, Default)]
pub struct Health {
    pub(super) is_out: bool,
    /// Probes in a row that failed.
    pub(super) failures: u32,
    /// It has answered a probe before, so that silence means something.
    pub(super) answered: bool,
    /// It answers other requests and no probes: some peers drop OPTIONS.
    pub(super) ignores_probes: bool,
    pub(super) is_probing: bool,
    pub(super) next_probe: Option<Instant>,
    /// When it comes back by itself.
    pub(super) back_at: Option<Instant>,
}

impl Health {
    /// Whether it is known that a call to this destination, which is out, would be in vain.
    pub(super) fn is_certain(&self, by_default: bool) -> bool {
        !by_default || self.answered || self.back_at.is_some()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let probe = self.next_probe.filter(|_| !self.is_probing);
        [probe, self.back_at].into_iter().flatten().min()
    }
}
