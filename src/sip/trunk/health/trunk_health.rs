//! Which destinations of the trunks' targets are in. A target by name has a destination for each of
//! its addresses, and is out when all of them are. A destination that is out is tried after all
//! others, never left out: when all are out, all are tried.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use super::action::HealthAction;
use super::destination_health::DestinationHealth;
use super::target_health::TargetHealth;
use super::target_id::{TargetDestination, TargetId};
use crate::sip::stack::resolver::Destination;
use crate::sip::trunk::config::{HealthCheck, Trunk};
use crate::timer_queue::KeyedTimers;

/// The first probes are spread over this time.
const FIRST_PROBE_WITHIN: Duration = Duration::from_secs(2);
/// A name is resolved for new addresses this often, and while DNS responses are missing.
const RESOLVE_EVERY: Duration = Duration::from_secs(60);
const RESOLVE_AGAIN: Duration = Duration::from_secs(1);

/// What the outcome of a probe means for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeEffect {
    None,
    /// The destination answers: an earlier failure of it is over.
    Recovered,
    /// A destination that answered before does not: calls that nobody rings for yet go elsewhere.
    Lost,
}

/// The configuration of one trunk, as far as it matters here.
#[derive(Debug)]
struct Rules {
    check: Option<HealthCheck>,
    targets: usize,
}

impl Rules {
    /// Probes that the operator has not asked for.
    fn by_default(&self) -> bool {
        self.check.is_some_and(|check| check.by_default)
    }
}

/// The health of all trunks.
#[derive(Debug)]
pub struct TrunkHealth {
    trunks: Vec<Rules>,
    /// The targets that are watched.
    targets: BTreeMap<TargetId, TargetHealth>,
    timers: KeyedTimers<TargetId>,
    actions: Vec<HealthAction>,
}

impl TrunkHealth {
    /// Of these trunks, none watched yet.
    pub fn new(trunks: &[Trunk]) -> Self {
        let rules = trunks.iter().map(|trunk| Rules {
            check: trunk.health,
            targets: trunk.targets.len(),
        });
        TrunkHealth {
            trunks: rules.collect(),
            targets: BTreeMap::new(),
            timers: KeyedTimers::default(),
            actions: Vec::new(),
        }
    }

    /// Begins to watch the targets of the trunks that have several, or that are probed.
    pub fn start(&mut self) {
        for (trunk, rules) in self.trunks.iter().enumerate() {
            if rules.targets < 2 && rules.check.is_none() {
                continue;
            }
            for target in 0..rules.targets {
                let target = TargetId { trunk, target };
                self.targets.insert(target, TargetHealth::default());
                self.actions.push(HealthAction::TellTarget {
                    target,
                    destination: None,
                    is_up: true,
                    why: "assumed",
                });
                self.actions.push(HealthAction::Resolve(target));
            }
        }
    }

    /// What is to be done and told by now.
    pub fn take_actions(&mut self) -> Vec<HealthAction> {
        std::mem::take(&mut self.actions)
    }

    /// When [`TrunkHealth::handle_timeout`] is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Which destinations a target has, and whether they stay the same; `None` while DNS responses
    /// are missing. Begins to probe those that are new.
    pub fn set_destinations(
        &mut self,
        id: TargetId,
        found: Option<(Vec<Option<Destination>>, bool)>,
        random: &mut StdRng,
        now: Instant,
    ) {
        let Some(target) = self.targets.get_mut(&id) else {
            return;
        };
        let Some((destinations, last)) = found else {
            target.resolve_at = Some(now + RESOLVE_AGAIN);
            return self.arm(id);
        };
        target.resolve_at = (!last).then_some(now + RESOLVE_EVERY);
        target.set_destinations(destinations);
        if self.trunks[id.trunk].check.is_some() {
            for (_, health) in &mut target.destinations {
                health.probe_from(now + FIRST_PROBE_WITHIN.mul_f64(random.random::<f64>()));
            }
        }
        self.tell_counts(id, None, "looked up");
        self.arm(id);
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(id) = self.timers.expired(now) {
            self.handle_target_timeout(id, now);
        }
    }

    fn handle_target_timeout(&mut self, id: TargetId, now: Instant) {
        let Some(target) = self.targets.get_mut(&id) else {
            return;
        };
        if target.resolve_at.take_if(|at| *at <= now).is_some() {
            // Its probes follow when the destinations are known: some may be gone.
            return self.actions.push(HealthAction::Resolve(id));
        }
        for index in 0..target.destinations.len() {
            let Some((destination, health)) = self.at(id, index) else {
                continue;
            };
            let of = TargetDestination {
                target: id,
                destination: *destination,
            };
            let (is_back, is_due) = (health.take_back(now), health.begin_due_probe(now));
            if is_back {
                self.put_in(of, "tried again");
            }
            if is_due {
                self.actions.push(HealthAction::Probe(of));
            }
        }
        self.arm(id);
    }

    fn at(
        &mut self,
        id: TargetId,
        index: usize,
    ) -> Option<&mut (Option<Destination>, DestinationHealth)> {
        self.targets.get_mut(&id)?.destinations.get_mut(index)
    }

    /// True when others should be tried before this target.
    pub fn is_out(&self, id: TargetId) -> bool {
        self.targets.get(&id).is_some_and(TargetHealth::is_out)
    }

    /// True when others should be tried before this destination.
    pub fn is_destination_out(&self, of: TargetDestination) -> bool {
        let target = self.targets.get(&of.target);
        let health = target.and_then(|target| target.destination(of.destination));
        health.is_some_and(|health| health.is_out)
    }

    /// True when every target of a trunk is out, and that is certain: a destination that the
    /// operator has not asked to be probed and that has never answered a probe may take calls all
    /// the same.
    pub fn is_trunk_out(&self, trunk: usize) -> bool {
        let rules = &self.trunks[trunk];
        let by_default = rules.check.is_none_or(|check| check.by_default);
        (0..rules.targets).all(|target| {
            let target = self.targets.get(&TargetId { trunk, target });
            target.is_some_and(|target| {
                let mut destinations = target.destinations.iter();
                target.is_out() && destinations.all(|(_, health)| health.is_certain(by_default))
            })
        })
    }

    /// True where a trunk is probed.
    pub fn is_probed(&self, trunk: usize) -> bool {
        self.trunks[trunk].check.is_some()
    }

    /// True when its trunk has more than one destination by what is known.
    fn has_several(&self, id: TargetId) -> bool {
        let target = self.targets.get(&id);
        let destinations = target.map_or(0, |target| target.destinations.len());
        destinations.max(self.trunks[id.trunk].targets) > 1
    }

    /// A call failed at this destination, which is out at once; `refused` by a 503. That of the
    /// only destination of a trunk may be about that call alone (RFC 3261 section 21.5.4).
    pub fn handle_request_failure(&mut self, of: TargetDestination, refused: bool, now: Instant) {
        let several = self.has_several(of.target);
        let by_default = self.trunks[of.target.trunk].by_default();
        let Some(health) = self.destination_mut(of) else {
            return;
        };
        if refused && !several || !health.handle_request_failure(several, by_default, now) {
            return;
        }
        self.put_out(of, "a call failed");
        self.arm(of.target);
    }

    /// A destination has answered a request that was no probe: where it never answers those, that
    /// is all there is to know. True where that changes something.
    pub fn handle_response(&mut self, of: TargetDestination) -> bool {
        let changes = self
            .destination_mut(of)
            .is_some_and(DestinationHealth::handle_response);
        if changes {
            self.put_in(of, "answers calls");
            self.arm(of.target);
        }
        changes
    }

    /// A call has had a 100 and nothing more for a while: its destination is probed, if its trunk
    /// is probed at all.
    pub fn suspect(&mut self, of: TargetDestination) {
        if self
            .destination_mut(of)
            .is_some_and(DestinationHealth::begin_probe)
        {
            self.actions.push(HealthAction::Probe(of));
            self.arm(of.target);
        }
    }

    /// Takes the answer to a probe. Any answer says that the destination is there; where the trunk
    /// has others, a destination that says 503 (RFC 3261 section 21.5.4), or 408 of what is behind
    /// it, is left alone.
    pub fn handle_probe_response(
        &mut self,
        of: TargetDestination,
        status: u16,
        now: Instant,
    ) -> ProbeEffect {
        if matches!(status, 408 | 503) && self.has_several(of.target) {
            return self.handle_probe_failure(of, now);
        }
        let Some(check) = self.trunks[of.target.trunk].check else {
            return ProbeEffect::None;
        };
        let Some(health) = self.destination_mut(of) else {
            return ProbeEffect::None;
        };
        health.handle_probe_response(check, now);
        self.put_in(of, "answers");
        self.arm(of.target);
        ProbeEffect::Recovered
    }

    /// A probe was not answered, or could not be sent.
    pub fn handle_probe_failure(&mut self, of: TargetDestination, now: Instant) -> ProbeEffect {
        let Some(check) = self.trunks[of.target.trunk].check else {
            return ProbeEffect::None;
        };
        let Some(health) = self.destination_mut(of) else {
            return ProbeEffect::None;
        };
        let failed = health.handle_probe_failure(check, now);
        if let Some(why) = failed.out {
            self.put_out(of, why);
        }
        self.arm(of.target);
        match failed.lost {
            true => ProbeEffect::Lost,
            false => ProbeEffect::None,
        }
    }

    fn destination_mut(&mut self, of: TargetDestination) -> Option<&mut DestinationHealth> {
        let target = self.targets.get_mut(&of.target)?;
        target.destination_mut(of.destination)
    }

    fn put_out(&mut self, of: TargetDestination, why: &'static str) {
        if let Some(health) = self.destination_mut(of)
            && !std::mem::replace(&mut health.is_out, true)
        {
            self.tell_destination(of, false, why);
        }
    }

    fn put_in(&mut self, of: TargetDestination, why: &'static str) {
        if let Some(health) = self.destination_mut(of)
            && std::mem::replace(&mut health.is_out, false)
        {
            self.tell_destination(of, true, why);
        }
    }

    fn arm(&mut self, id: TargetId) {
        let timeout = self.targets.get(&id).and_then(TargetHealth::poll_timeout);
        self.timers.set(&id, timeout);
    }

    fn tell_destination(&mut self, of: TargetDestination, is_up: bool, why: &'static str) {
        let target = of.target;
        let held = self.targets.get(&target);
        let several = held.is_some_and(|held| held.destinations.len() > 1);
        if several && let Some(destination) = of.destination {
            self.actions.push(HealthAction::TellDestination {
                target,
                destination,
                is_up,
                why,
            });
        }
        self.tell_counts(target, of.destination, why);
    }

    /// Tells how many destinations of a target there are, and whether it is out, if that changed.
    fn tell_counts(&mut self, id: TargetId, destination: Option<Destination>, why: &'static str) {
        let Some(target) = self.targets.get_mut(&id) else {
            return;
        };
        let (up, out) = target.counts();
        let before = std::mem::replace(&mut target.told_counts, (up, out));
        let is_out = target.is_out();
        let was_out = std::mem::replace(&mut target.told_out, is_out);
        let target = id;
        if before != (up, out) {
            self.actions
                .push(HealthAction::TellCounts { target, up, out });
        }
        if was_out != is_out {
            self.actions.push(HealthAction::TellTarget {
                target,
                destination,
                is_up: !is_out,
                why,
            });
        }
    }
}
