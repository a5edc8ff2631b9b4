//! The probes of targets by OPTIONS, outside of any call (RFC 3261 section 11), and what their
//! outcome means for calls under way.

use std::time::{Duration, Instant};

use super::agent::UserAgent;
use super::contact::ContactUser;
use super::health::SOON;
use super::outbound::Outbound;
use super::owner::Owner;
use super::target_id::Watched;
use super::targets::put_routes;
use crate::sip::stack::address::{Address, sip_uri};
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::method::Method;
use crate::sip::stack::transaction::key::ClientKey;

/// A probe whose answer takes longer has failed.
const PROBE_LIMIT: Duration = Duration::from_secs(4);

impl UserAgent {
    /// Asks a destination whether it is there.
    pub(super) fn probe(&mut self, of: Watched, now: Instant) {
        let config = self.config.trunks[of.target.trunk].clone();
        let Some(health) = self.health_of(of).filter(|health| !health.is_probing) else {
            return;
        };
        health.is_probing = true;
        let uri = sip_uri("", &config.targets[of.target.target].target.host);
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
            contact: Some((ContactUser::default(), String::new())),
            give_up: PROBE_LIMIT,
            ..Outbound::new(request, self.way_to_watched(of), Owner::Probe(of))
        };
        self.send(outbound, now);
    }

    /// Takes the answer to a probe. Any answer says that the destination is there; where the trunk
    /// has others, a destination that says 503 (RFC 3261 section 21.5.4), or 408 of what is behind
    /// it, is left to its rest.
    pub(super) fn take_probe_answer(&mut self, of: Watched, status: u16, now: Instant) {
        let is_up = !matches!(status, 408 | 503) || !self.has_several(of.target);
        self.take_probe(of, is_up, now);
    }

    /// Takes the outcome of a probe.
    pub(super) fn take_probe(&mut self, of: Watched, is_up: bool, now: Instant) {
        let Some(check) = self.config.trunks[of.target.trunk].health else {
            return;
        };
        let Some(health) = self.health_of(of) else {
            return;
        };
        health.is_probing = false;
        let goes_on = health.next_probe.is_some();
        let next = |wait| goes_on.then_some(now + wait);
        if !is_up {
            if health.ignores_probes {
                health.next_probe = next(check.every);
                return self.arm_target(of.target);
            }
            health.failures = health.failures.saturating_add(1);
            health.next_probe = next(check.every.min(SOON));
            let (out, known) = (health.failures >= check.failures, health.answered);
            if out && goes_on {
                let why = match known || !check.by_default {
                    true => "probes failed",
                    false => "has answered no OPTIONS yet",
                };
                self.put_out(of, why);
            }
            self.arm_target(of.target);
            if known {
                self.leave_watched(of, now);
            }
            return;
        }
        health.failures = 0;
        health.answered = true;
        health.ignores_probes = false;
        health.back_at = None;
        health.next_probe = next(check.every);
        if let Some(destination) = of.destination {
            self.resolver.recover(destination);
        }
        self.put_back(of, "answers");
        self.arm_target(of.target);
    }

    /// An INVITE has had a 100 and nothing more for a while, and has somewhere else to go: is the
    /// destination still there?
    pub(super) fn doubt_target(&mut self, key: &ClientKey, now: Instant) {
        let Some(entry) = self.clients.get_mut(key) else {
            return;
        };
        entry.doubt_at = None;
        if let Some(of) = entry.outbound.way.watched()
            && !entry.progressed
            && self.config.trunks[of.target.trunk].health.is_some()
        {
            entry.doubt_at = Some(now + entry.outbound.way.try_timeout * 2);
            self.probe(of, now);
        }
        self.run_client(key);
    }

    /// INVITEs that nobody rings for yet go on elsewhere: their destination no longer answers.
    fn leave_watched(&mut self, of: Watched, now: Instant) {
        let mut stranded: Vec<ClientKey> = self
            .clients
            .iter()
            .filter(|(_, entry)| {
                matches!(entry.outbound.owner, Owner::Invite(_))
                    && entry.outbound.way.watched() == Some(of)
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
}
