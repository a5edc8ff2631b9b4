//! Which destinations of the trunks' targets are there: probed by OPTIONS, seen by the calls that
//! failed. A target by name has a destination for each of its addresses, and is out when all of
//! them are. A destination that is out is tried after all others, never left out: when all are out,
//! all are tried.

use std::time::{Duration, Instant};

use super::agent::UserAgent;
use super::target_health::{Health, TargetHealth};
use super::target_id::{TargetId, Watched};
use super::timer_key::Wake;
use super::user_agent_event::UserAgentEvent;
use crate::sip::stack::resolver::Destination;

/// How long a destination that failed a call is out where nothing probes it.
const OUT_FOR: Duration = Duration::from_secs(30);
/// The next probe after one that failed, or after a call that did.
pub(super) const SOON: Duration = Duration::from_secs(5);
/// The first probes are spread over this time.
const FIRST_WITHIN: Duration = Duration::from_secs(2);
/// A name is looked at for new addresses this often, and while it is looked up.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl UserAgent {
    /// Begins to watch the targets of the trunks that have several, or that are probed.
    pub(super) fn start_health(&mut self, now: Instant) {
        let mut watched = Vec::new();
        for (trunk, config) in self.config.trunks.iter().enumerate() {
            if config.targets.len() > 1 || config.health.is_some() {
                watched.extend((0..config.targets.len()).map(|target| TargetId { trunk, target }));
            }
        }
        for id in watched {
            self.health.insert(id, TargetHealth::default());
            self.tell_target(id, true, None, "assumed");
            self.look_at_target(id, now);
            self.arm_target(id);
        }
    }

    /// True when others should be tried before this target.
    pub(super) fn is_out(&self, id: TargetId) -> bool {
        self.health.get(&id).is_some_and(TargetHealth::all_out)
    }

    /// True when every target of a trunk is out, and that is certain: a destination that nobody has
    /// asked us to probe and that has never answered a probe may take calls all the same.
    pub(super) fn is_trunk_out(&self, trunk: usize) -> bool {
        let config = &self.config.trunks[trunk];
        let by_default = config.health.is_none_or(|check| check.by_default);
        (0..config.targets.len()).all(|target| {
            let target = self.health.get(&TargetId { trunk, target });
            target.is_some_and(|target| {
                let mut destinations = target.destinations.iter();
                target.all_out() && destinations.all(|(_, health)| health.is_certain(by_default))
            })
        })
    }

    /// True when others should be tried before this destination.
    pub(super) fn is_destination_out(&self, of: Watched) -> bool {
        let target = self.health.get(&of.target);
        target.is_some_and(|target| {
            let mut destinations = target.destinations.iter();
            destinations
                .any(|(destination, health)| *destination == of.destination && health.is_out)
        })
    }

    /// A call failed at this destination: it is out at once. A 503 of the only destination of a
    /// trunk may be about that call alone (RFC 3261 section 21.5.4).
    pub(super) fn fail_watched(&mut self, of: Watched, refused: bool, now: Instant) {
        let several = self.has_several(of.target);
        let check = self.config.trunks[of.target.trunk].health;
        let by_default = check.is_some_and(|check| check.by_default);
        let Some(health) = self.health_of(of) else {
            return;
        };
        if refused && !several {
            return;
        }
        match &mut health.next_probe {
            Some(at) => {
                *at = (*at).min(now + SOON);
                // No probe may ever bring it back.
                if by_default && !health.answered {
                    health.back_at = Some(now + OUT_FOR);
                }
            }
            None if several => health.back_at = Some(now + OUT_FOR),
            // The only destination of its trunk, which nothing would bring back.
            None => return,
        }
        self.put_out(of, "a call failed");
        self.arm_target(of.target);
    }

    /// A destination has answered a request that was no probe: where it never answers those, that
    /// is all there is to know.
    pub(super) fn hear_of_watched(&mut self, of: Watched) {
        if let Some(health) = self.health_of(of)
            && !health.answered
            && (health.is_out || health.failures > 0)
        {
            health.ignores_probes = true;
            health.failures = 0;
            health.back_at = None;
            self.put_back(of, "answers calls");
            self.arm_target(of.target);
        }
    }

    pub(super) fn handle_target_timeout(&mut self, id: TargetId, now: Instant) {
        let looks = self.health.get(&id).and_then(|target| target.look_at);
        if looks.is_some_and(|at| at <= now) {
            self.look_at_target(id, now);
        }
        let Some(target) = self.health.get(&id) else {
            return;
        };
        let destinations: Vec<Option<Destination>> = target
            .destinations
            .iter()
            .map(|(destination, _)| *destination)
            .collect();
        for destination in destinations {
            let of = Watched {
                target: id,
                destination,
            };
            if let Some(health) = self.health_of(of)
                && health.back_at.is_some_and(|at| at <= now)
            {
                health.back_at = None;
                self.put_back(of, "tried again");
            }
            if let Some(health) = self.health_of(of)
                && health.next_probe.is_some_and(|at| at <= now)
            {
                self.probe(of, now);
            }
        }
        self.arm_target(id);
    }

    /// Which destinations does the target have by now? What is known of those that stay is kept.
    fn look_at_target(&mut self, id: TargetId, now: Instant) {
        let destinations = self.destinations_of_target(id, now);
        let Some(target) = self.health.get_mut(&id) else {
            return;
        };
        let Some((destinations, last)) = destinations else {
            target.look_at = Some(now + LOOK_AGAIN);
            return;
        };
        target.look_at = (!last).then_some(now + LOOK_EVERY);
        target
            .destinations
            .retain(|(destination, _)| destinations.contains(destination));
        for destination in destinations {
            if target.destination_mut(destination).is_none() {
                target.destinations.push((destination, Health::default()));
            }
        }
        self.arrange_probes(id, now);
        self.tell_counts(id, None, "looked up");
    }

    /// Begins to probe the destinations that are new.
    fn arrange_probes(&mut self, id: TargetId, now: Instant) {
        if self.config.trunks[id.trunk].health.is_none() {
            return;
        }
        let count = self
            .health
            .get(&id)
            .map_or(0, |target| target.destinations.len());
        for index in 0..count {
            let first = now + FIRST_WITHIN.mul_f64(self.chance());
            let Some(target) = self.health.get_mut(&id) else {
                return;
            };
            target.destinations[index].1.next_probe.get_or_insert(first);
        }
    }

    /// True when its trunk has more than one destination by what is known.
    pub(super) fn has_several(&self, id: TargetId) -> bool {
        let destinations = self
            .health
            .get(&id)
            .map_or(0, |target| target.destinations.len());
        destinations.max(self.config.trunks[id.trunk].targets.len()) > 1
    }

    pub(super) fn health_of(&mut self, of: Watched) -> Option<&mut Health> {
        self.health
            .get_mut(&of.target)?
            .destination_mut(of.destination)
    }

    pub(super) fn put_out(&mut self, of: Watched, why: &'static str) {
        if let Some(health) = self.health_of(of)
            && !std::mem::replace(&mut health.is_out, true)
        {
            self.tell_destination(of, false, why);
        }
    }

    pub(super) fn put_back(&mut self, of: Watched, why: &'static str) {
        if let Some(health) = self.health_of(of)
            && std::mem::replace(&mut health.is_out, false)
        {
            self.tell_destination(of, true, why);
        }
    }

    pub(super) fn arm_target(&mut self, id: TargetId) {
        let timeout = self.health.get(&id).and_then(TargetHealth::poll_timeout);
        self.deadlines.set(&Wake::Target(id), timeout);
    }

    fn tell_destination(&mut self, of: Watched, is_up: bool, why: &'static str) {
        let id = of.target;
        let several = self
            .health
            .get(&id)
            .is_some_and(|t| t.destinations.len() > 1);
        if several && let Some(destination) = of.destination {
            let event = UserAgentEvent::TargetDestination {
                trunk: self.config.trunks[id.trunk].name.clone(),
                target: self.name_of(id),
                destination,
                is_up,
                why,
            };
            self.emit(event);
        }
        self.tell_counts(id, of.destination, why);
    }

    /// Tells how many destinations of a target there are, and whether it is there at all, if that
    /// changed.
    fn tell_counts(&mut self, id: TargetId, destination: Option<Destination>, why: &'static str) {
        let Some(target) = self.health.get_mut(&id) else {
            return;
        };
        let out = target
            .destinations
            .iter()
            .filter(|(_, health)| health.is_out);
        let out = out.count();
        let up = target.destinations.len() - out;
        let counts = std::mem::replace(&mut target.counts, (up, out));
        let is_out = target.all_out();
        let was_out = std::mem::replace(&mut target.is_out, is_out);
        if counts != (up, out) {
            let event = UserAgentEvent::TargetDestinations {
                trunk: self.config.trunks[id.trunk].name.clone(),
                target: self.name_of(id),
                up,
                out,
            };
            self.emit(event);
        }
        if was_out != is_out {
            self.tell_target(id, !is_out, destination, why);
        }
    }

    fn tell_target(
        &mut self,
        id: TargetId,
        is_up: bool,
        destination: Option<Destination>,
        why: &'static str,
    ) {
        let event = UserAgentEvent::Target {
            trunk: self.config.trunks[id.trunk].name.clone(),
            target: self.name_of(id),
            address: destination.map(|destination| destination.address),
            is_up,
            why,
        };
        self.emit(event);
    }

    fn name_of(&self, id: TargetId) -> String {
        self.config.trunks[id.trunk].targets[id.target]
            .target
            .to_string()
    }
}
