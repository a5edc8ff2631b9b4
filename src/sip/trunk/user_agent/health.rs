//! What the health of trunks asks for: addresses of targets, probes by OPTIONS outside of any call
//! (RFC 3261 section 11), news; and what the outcome of a probe means for calls under way.

use std::time::{Duration, Instant};

use super::agent::UserAgent;
use super::outbound::Outbound;
use super::owner::Owner;
use super::timer_key::Wake;
use super::user_agent_event::UserAgentEvent;
use crate::sip::stack::address::{Address, sip_uri};
use crate::sip::stack::message::Name;
use crate::sip::stack::method::Method;
use crate::sip::stack::request_outside_dialog::RequestOutsideDialog;
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::trunk::contact::ContactUser;
use crate::sip::trunk::health::{HealthAction, ProbeEffect, TargetDestination, TargetId};

/// A probe whose answer takes longer has failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);

impl UserAgent {
    /// Begins to watch the targets of trunks.
    pub(super) fn start_health(&mut self, now: Instant) {
        self.health.start();
        self.run_health(now);
    }

    pub(super) fn handle_health_timeout(&mut self, now: Instant) {
        self.health.handle_timeout(now);
        self.run_health(now);
    }

    /// Carries out what the health of trunks asks for.
    pub(super) fn run_health(&mut self, now: Instant) {
        loop {
            // A probe that cannot be sent comes back here: it finds no other action.
            let actions = self.health.take_actions();
            if actions.is_empty() {
                break;
            }
            for action in actions {
                self.run_health_action(action, now);
            }
        }
        let timeout = self.health.poll_timeout();
        self.deadlines.set(&Wake::Health, timeout);
    }

    fn run_health_action(&mut self, action: HealthAction, now: Instant) {
        match action {
            HealthAction::Resolve(target) => {
                let found = self.destinations_of_target(target, now);
                let random = &mut self.random;
                self.health.set_destinations(target, found, random, now);
            }
            HealthAction::Probe(of) => self.send_probe(of, now),
            HealthAction::TellTarget {
                target,
                destination,
                is_up,
                why,
            } => {
                let (trunk, target) = self.names_of(target);
                self.emit(UserAgentEvent::Target {
                    trunk,
                    target,
                    address: destination.map(|destination| destination.address),
                    is_up,
                    why,
                });
            }
            HealthAction::TellDestination {
                target,
                destination,
                is_up,
                why,
            } => {
                let (trunk, target) = self.names_of(target);
                self.emit(UserAgentEvent::TargetDestination {
                    trunk,
                    target,
                    destination,
                    is_up,
                    why,
                });
            }
            HealthAction::TellCounts { target, up, out } => {
                let (trunk, target) = self.names_of(target);
                self.emit(UserAgentEvent::TargetDestinations {
                    trunk,
                    target,
                    up,
                    out,
                });
            }
        }
    }

    /// The trunk's name, and the target as a URI.
    fn names_of(&self, id: TargetId) -> (String, String) {
        let trunk = &self.config.trunks[id.trunk];
        let target = trunk.targets[id.target].target.to_string();
        (trunk.name.clone(), target)
    }

    fn send_probe(&mut self, of: TargetDestination, now: Instant) {
        let config = self.config.trunks[of.target.trunk].clone();
        let uri = sip_uri("", &config.targets[of.target.target].target.host);
        let from = Address::new(sip_uri("", &config.domain)).with_tag(&self.token(8));
        let mut request = RequestOutsideDialog {
            method: Method::Options,
            uri: uri.clone(),
            from,
            to: uri,
            call_id: &self.token(16),
            sequence: 1,
            routes: &config.routes,
        }
        .request();
        request.headers.insert(Name::ACCEPT, "application/sdp");
        let outbound = Outbound {
            contact: Some((ContactUser::default(), String::new())),
            give_up: PROBE_TIMEOUT,
            ..Outbound::new(request, self.way_to_destination(of), Owner::Probe(of))
        };
        self.send(outbound, now);
    }

    /// A probe was answered.
    pub(super) fn take_probe_response(&mut self, of: TargetDestination, status: u16, now: Instant) {
        let effect = self.health.handle_probe_response(of, status, now);
        self.finish_probe(of, effect, now);
    }

    /// A probe was not answered, or could not be sent.
    pub(super) fn take_probe_failure(&mut self, of: TargetDestination, now: Instant) {
        let effect = self.health.handle_probe_failure(of, now);
        self.finish_probe(of, effect, now);
    }

    fn finish_probe(&mut self, of: TargetDestination, effect: ProbeEffect, now: Instant) {
        self.run_health(now);
        match effect {
            ProbeEffect::None => {}
            ProbeEffect::Recovered => {
                if let Some(destination) = of.destination {
                    self.resolver.recover(destination);
                }
            }
            ProbeEffect::Lost => self.abandon_destination(of, now),
        }
    }

    /// An INVITE has had a 100 and nothing more for a while, and has somewhere else to go: is the
    /// destination still there?
    pub(super) fn suspect_target(&mut self, key: &ClientKey, now: Instant) {
        let Some(entry) = self.transactions.client_mut(key) else {
            return;
        };
        entry.user.suspect_at = None;
        if let Some(of) = entry.user.outbound.way.target_destination()
            && !entry.user.progressed
            && self.health.is_probed(of.target.trunk)
        {
            entry.user.suspect_at = Some(now + entry.user.outbound.way.try_timeout * 2);
            self.health.suspect(of);
            self.run_health(now);
        }
        self.run_client(key);
    }

    /// INVITEs that nobody rings for yet go on elsewhere: their destination no longer answers.
    fn abandon_destination(&mut self, of: TargetDestination, now: Instant) {
        let mut stranded: Vec<ClientKey> = self
            .transactions
            .clients()
            .filter(|(_, entry)| {
                matches!(entry.user.outbound.owner, Owner::Invite(_))
                    && entry.user.outbound.way.target_destination() == Some(of)
                    && entry.user.outbound.way.may_fail_over()
                    && entry.transaction.is_waiting()
                    && !entry.user.progressed
            })
            .map(|(key, _)| *key)
            .collect();
        stranded.sort_unstable();
        for key in stranded {
            self.fail_over(&key, 408, now);
        }
    }
}
