//! Our own checks and their answers (RFC 8445 section 7.2).

use std::time::{Duration, Instant};

use super::{Agent, Mode};
use crate::peer::candidate::peer_reflexive_priority;
use crate::peer::ice::budget::Refusal;
use crate::peer::ice::pair::Check;
use crate::peer::{Drop, Route};
use crate::stun::{Builder, Class, IceRole, Message, TransactionId};

/// Consent checks of the route (RFC 7675 section 5.1): every 5 s, give or take a fifth.
const CONSENT_INTERVAL: Duration = Duration::from_secs(5);
/// Pairs that work but are not the route are kept warm.
const BACKUP_INTERVAL: Duration = Duration::from_secs(10);
/// Unanswered checks after which a pair beside the route is left alone: Rc of RFC 8489 section
/// 6.2.1.
pub(super) const MAX_UNANSWERED: u32 = 7;
/// A pair that answered so recently needs no triggered check.
const FRESH: Duration = Duration::from_secs(2);

impl Agent {
    /// Answers a check with one of ours on the same pair, also when one is under way already (RFC
    /// 8445 section 7.3.1.4): some agents nominate only on a check that comes after theirs was
    /// answered.
    pub(super) fn trigger_check(&mut self, index: usize, now: Instant) {
        let fresh = self.pairs[index]
            .succeeded
            .is_some_and(|at| now.saturating_duration_since(at) < FRESH);
        if self.mode == Mode::Lite || self.remote.is_none() || fresh {
            return;
        }
        self.pairs[index].unanswered = 0;
        self.send_check(index, now);
    }

    pub(super) fn send_check(&mut self, index: usize, now: Instant) {
        let Mode::Full { controlling } = self.mode else {
            return;
        };
        let rto = self.rto();
        let Some(remote) = &mut self.remote else {
            return;
        };
        let mut id = TransactionId::default();
        if self.provider.random().fill(&mut id).is_err() {
            // A predictable id could be forged: no check is better.
            self.pairs[index].next_check = Some(now + CONSENT_INTERVAL);
            return;
        }
        let pair = &mut self.pairs[index];
        let mut builder = Builder::new(Class::Request, id)
            .username(&remote.ufrag, &self.settings.credentials.ufrag)
            .priority(peer_reflexive_priority(pair.local_index))
            .role(if controlling {
                IceRole::Controlling(self.tie_breaker)
            } else {
                IceRole::Controlled(self.tie_breaker)
            });
        if controlling && self.route == Some(pair.route) {
            // Every check of the route says so, so that one lost says nothing.
            builder = builder.use_candidate();
        }
        let datagram = builder.finish(&mut remote.key);
        if let Some(reason) = pair.reason()
            && let Err(refusal) = self.budget.spend(datagram.len(), reason, now)
        {
            pair.waiting = false;
            pair.next_check = match refusal {
                Refusal::Spent => None,
                Refusal::Until(until) => Some(until),
            };
            return;
        }
        pair.waiting = false;
        pair.sent(Check {
            id,
            sent: now,
            controlling,
        });
        let is_route = self.route == Some(pair.route);
        let delay = match self.doubt {
            Some(_) if is_route => Duration::from_millis(60),
            _ => pair.retry_delay(rto),
        };
        let again = is_route || pair.unanswered < MAX_UNANSWERED;
        pair.next_check = again.then_some(now + delay);
        let route = pair.route;
        self.transmit(route, datagram);
    }

    /// Sends what is due.
    pub(super) fn send_due_checks(&mut self, now: Instant) {
        if self.remote.is_none() {
            return;
        }
        self.forget_newcomers(now);
        self.send_first_check(now);
        for index in 0..self.pairs.len() {
            if self.pairs[index].next_check.is_none_or(|at| at > now) {
                continue;
            }
            if self.pairs[index].newcomer {
                self.probe(index, now);
            } else {
                self.send_check(index, now);
            }
        }
    }

    /// An answer (RFC 8445 section 7.2.5): from where the check went, to one under way, authentic.
    pub(super) fn handle_response(
        &mut self,
        route: Route,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Drop> {
        let index = self
            .pairs
            .iter()
            .position(|pair| pair.route == route)
            .ok_or(Drop::StunUnexpected)?;
        let check = self.pairs[index]
            .outstanding(&message.transaction)
            .ok_or(Drop::StunUnexpected)?;
        let remote = self.remote.as_mut().ok_or(Drop::StunUnexpected)?;
        if !message.is_authentic(&mut remote.key) {
            return Err(Drop::StunIntegrity);
        }
        if message.class == Class::Error {
            if message.error_code == Some(487) {
                self.switch_role(&check, index, now);
            }
            // Any other error counts as no answer: the check is repeated in its time.
            return Ok(());
        }
        self.validate(route.remote);
        self.heard(route, now);
        self.pairs[index].answered(&check, now);
        self.plan_next_check(index, now);
        if !self.follow_stray(index, now) {
            self.select(index, now);
        }
        Ok(())
    }

    /// RFC 8445 section 7.2.5.1: take the role that the check did not claim, and try again.
    fn switch_role(&mut self, check: &Check, index: usize, now: Instant) {
        if let Mode::Full { controlling } = &mut self.mode {
            *controlling = !check.controlling;
            self.pairs[index].next_check = Some(now);
        }
    }

    /// After an answer: consent for the route, warmth for the others.
    pub(super) fn plan_next_check(&mut self, index: usize, now: Instant) {
        let interval = if self.route == Some(self.pairs[index].route) {
            let mut dice = [0];
            // Without randomness the checks are merely in step.
            let _ = self.provider.random().fill(&mut dice);
            CONSENT_INTERVAL * (80 + u32::from(dice[0]) * 40 / 255) / 100
        } else {
            BACKUP_INTERVAL
        };
        self.pairs[index].next_check = Some(now + interval);
    }
}
