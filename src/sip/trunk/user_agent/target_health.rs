//! What is known of the targets of trunks and of their places.

use std::time::Instant;

use crate::sip::stack::locating::Place;

/// What is known of one target.
#[derive(Debug, Default)]
pub struct TargetHealth {
    /// As it was told last.
    pub(super) is_out: bool,
    /// How many of its places are there, and are not, likewise.
    pub(super) counts: (usize, usize),
    /// When its name is looked at again.
    pub(super) look_at: Option<Instant>,
    /// At most those that a name may lead to.
    pub(super) places: Vec<(Option<Place>, Health)>,
}

impl TargetHealth {
    pub(super) fn place_mut(&mut self, place: Option<Place>) -> Option<&mut Health> {
        let found = self.places.iter_mut().find(|(of, _)| *of == place);
        found.map(|(_, health)| health)
    }

    pub(super) fn all_out(&self) -> bool {
        !self.places.is_empty() && self.places.iter().all(|(_, health)| health.is_out)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let places = self.places.iter().filter_map(|(_, h)| h.poll_timeout());
        places.chain(self.look_at).min()
    }
}

/// What is known of one place.
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
    /// Whether it is known that a call to this place, which is out, would be in vain.
    pub(super) fn is_certain(&self, by_default: bool) -> bool {
        !by_default || self.answered || self.back_at.is_some()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let probe = self.next_probe.filter(|_| !self.is_probing);
        [probe, self.back_at].into_iter().flatten().min()
    }
}
