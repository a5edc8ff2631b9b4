//! Which targets of the trunks are there: probed by OPTIONS, seen by the calls that failed. A
//! target that is out is tried after the others, never left out: when all are out, all are tried.

use std::time::{Duration, Instant};

use super::agent::{UserAgent, Wake};
use super::flow::Happening;
use super::sending::{Outbound, Owner};
use super::targets::{TargetId, put_routes};
use crate::sip::address::{Address, sip_uri};
use crate::sip::message::{Name, Request};
use crate::sip::method::Method;
use crate::sip::transaction::key::ClientKey;

/// How long a target that failed a call is out where nothing probes it.
const OUT_FOR: Duration = Duration::from_secs(30);
/// The next probe after one that failed, or after a call that did.
const SOON: Duration = Duration::from_secs(5);
/// The first probes are spread over this time.
const FIRST_WITHIN: Duration = Duration::from_secs(2);
/// A probe whose answer takes longer has failed.
const PROBE_LIMIT: Duration = Duration::from_secs(4);

/// What is known of one target.
#[derive(Debug, Default)]
pub struct Health {
    is_out: bool,
    /// Probes in a row that failed.
    failures: u32,
    /// It has answered a probe before, so that silence means something.
    answered: bool,
    is_probing: bool,
    next_probe: Option<Instant>,
    /// When it comes back by itself.
    back_at: Option<Instant>,
}

impl Health {
    fn poll_timeout(&self) -> Option<Instant> {
        let probe = self.next_probe.filter(|_| !self.is_probing);
        [probe, self.back_at].into_iter().flatten().min()
    }
}

impl UserAgent {
    /// Begins to watch the targets of the trunks that have several, or that are probed.
    pub(super) fn start_health(&mut self, now: Instant) {
        let mut watched = Vec::new();
        for (trunk, config) in self.config.trunks.iter().enumerate() {
            if config.targets.len() > 1 || config.health.is_some() {
                let ids = (0..config.targets.len()).map(|target| TargetId { trunk, target });
                watched.extend(ids.map(|id| (id, config.health.is_some())));
            }
        }
        for (id, is_probed) in watched {
            let first = now + FIRST_WITHIN.mul_f64(self.chance());
            let health = Health {
                next_probe: is_probed.then_some(first),
                ..Health::default()
            };
            self.health.insert(id, health);
            self.arm_target(id);
            self.tell_target(id, true, "assumed");
        }
    }

    /// True when others should be tried before this target.
    pub(super) fn is_out(&self, id: TargetId) -> bool {
        self.health.get(&id).is_some_and(|health| health.is_out)
    }

    /// True when every target of a trunk is out.
    pub(super) fn is_trunk_out(&self, trunk: usize) -> bool {
        (0..self.config.trunks[trunk].targets.len())
            .all(|target| self.is_out(TargetId { trunk, target }))
    }

    /// A call failed at every place of this target: it is out at once.
    pub(super) fn fail_target(&mut self, id: TargetId, now: Instant) {
        let is_probed = self.config.trunks[id.trunk].health.is_some();
        let Some(health) = self.health.get_mut(&id) else {
            return;
        };
        match (is_probed, &mut health.next_probe) {
            (true, Some(at)) => *at = (*at).min(now + SOON),
            _ => health.back_at = Some(now + OUT_FOR),
        }
        self.arm_target(id);
        self.put_out(id, "a call failed");
    }

    pub(super) fn handle_target_timeout(&mut self, id: TargetId, now: Instant) {
        let Some(health) = self.health.get_mut(&id) else {
            return;
        };
        if health.back_at.is_some_and(|at| at <= now) {
            health.back_at = None;
            self.put_back(id, "tried again");
        }
        if let Some(health) = self.health.get(&id)
            && health.next_probe.is_some_and(|at| at <= now)
        {
            self.probe(id, now);
        }
        self.arm_target(id);
    }

    /// Asks a target whether it is there, outside of any call.
    fn probe(&mut self, id: TargetId, now: Instant) {
        let config = self.config.trunks[id.trunk].clone();
        let Some(health) = self.health.get_mut(&id).filter(|health| !health.is_probing) else {
            return;
        };
        health.is_probing = true;
        let uri = sip_uri("", &config.targets[id.target].target.host);
        let from = Address::new(sip_uri("", &config.domain)).with_tag(&self.token(8));
        let mut request = Request::new(Method::Options, uri.clone());
        let headers = &mut request.headers;
        headers.insert(Name::MAX_FORWARDS, 70u32);
        headers.insert(Name::FROM, from.to_string());
        headers.insert(Name::TO, Address::new(uri).to_string());
        headers.insert(Name::CALL_ID, self.token(16));
        headers.insert(Name::CSEQ, "1 OPTIONS");
        headers.insert(Name::ACCEPT, "application/sdp");
        put_routes(&mut request, &config.routes);
        let outbound = Outbound {
            contact: Some((String::new(), String::new())),
            give_up: PROBE_LIMIT,
            ..Outbound::new(request, self.way_to_target(id), Owner::Probe(id))
        };
        self.send(outbound, now);
    }

    /// Takes the outcome of a probe: the status of the answer, 408 or 503 where none came.
    pub(super) fn take_probe(&mut self, id: TargetId, status: u16, now: Instant) {
        let Some(check) = self.config.trunks[id.trunk].health else {
            return;
        };
        let Some(health) = self.health.get_mut(&id) else {
            return;
        };
        health.is_probing = false;
        if matches!(status, 408 | 503) {
            health.failures = health.failures.saturating_add(1);
            health.next_probe = Some(now + check.every.min(SOON));
            let (out, known) = (health.failures >= check.failures, health.answered);
            self.arm_target(id);
            if out {
                self.put_out(id, "probes failed");
            }
            if known {
                self.leave_target(id, now);
            }
            return;
        }
        health.failures = 0;
        health.answered = true;
        health.back_at = None;
        health.next_probe = Some(now + check.every);
        self.arm_target(id);
        self.put_back(id, "answers");
    }

    /// An INVITE has had a 100 and nothing more for a while, and has somewhere else to go: is its
    /// target still there?
    pub(super) fn doubt_target(&mut self, key: &ClientKey, now: Instant) {
        let Some(entry) = self.clients.get_mut(key) else {
            return;
        };
        entry.doubt_at = None;
        let target = entry.outbound.way.target();
        if let Some(id) = target
            && !entry.progressed
            && self.config.trunks[id.trunk].health.is_some()
        {
            entry.doubt_at = Some(now + entry.outbound.way.try_timeout * 2);
            self.probe(id, now);
        }
        self.run_client(key);
    }

    /// INVITEs that nobody rings for yet go on elsewhere: their target no longer answers.
    fn leave_target(&mut self, id: TargetId, now: Instant) {
        let mut stranded: Vec<ClientKey> = self
            .clients
            .iter()
            .filter(|(_, entry)| {
                matches!(entry.outbound.owner, Owner::Invite(_))
                    && entry.outbound.way.target() == Some(id)
                    && entry.outbound.way.may_leave()
                    && entry.machine.is_waiting()
                    && !entry.progressed
            })
            .map(|(key, _)| *key)
            .collect();
        stranded.sort_unstable();
        for key in stranded {
            self.leave(&key, 408, now);
        }
    }

    fn put_out(&mut self, id: TargetId, why: &'static str) {
        if let Some(health) = self.health.get_mut(&id)
            && !std::mem::replace(&mut health.is_out, true)
        {
            self.tell_target(id, false, why);
        }
    }

    fn put_back(&mut self, id: TargetId, why: &'static str) {
        if let Some(health) = self.health.get_mut(&id)
            && std::mem::replace(&mut health.is_out, false)
        {
            self.tell_target(id, true, why);
        }
    }

    fn arm_target(&mut self, id: TargetId) {
        let timeout = self.health.get(&id).and_then(Health::poll_timeout);
        self.deadlines.set(&Wake::Target(id), timeout);
    }

    fn tell_target(&mut self, id: TargetId, is_up: bool, why: &'static str) {
        let trunk = &self.config.trunks[id.trunk];
        let happening = Happening::Target {
            trunk: trunk.name.clone(),
            target: trunk.targets[id.target].target.to_string(),
            is_up,
            why,
        };
        self.happen(happening);
    }
}
