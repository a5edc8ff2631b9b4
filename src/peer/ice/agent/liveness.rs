//! Whether the other end is still there: silence, consent (RFC 7675), the end.

use std::time::{Duration, Instant};

use super::checks::MAX_UNANSWERED;
use super::{Agent, AgentEvent, Mode};
use crate::peer::Route;

/// Silence after which a full agent asks on its route, and a while later on every pair.
const ASK_AFTER: Duration = Duration::from_secs(2);
/// How often it asks while the silence lasts.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Without an answer for so long nothing may be sent any more (RFC 7675 section 5.1).
const CONSENT_EXPIRES: Duration = Duration::from_secs(30);

/// Where an agent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The other end's credentials are not known.
    Waiting,
    /// No route yet.
    Connecting { deadline: Instant },
    /// There is a route and it is heard.
    Connected,
    /// There is a route but nothing is heard.
    Disconnected,
    /// Given up.
    Failed,
}

impl Agent {
    /// Something authentic came this way: a check, an answer, DTLS or media. Cheap, for
    /// it is said of every packet. Whether that is news.
    pub(in crate::peer) fn heard(&mut self, route: Route, now: Instant) -> bool {
        self.last_heard = now;
        if self.route == Some(route) {
            self.route_heard = now;
            self.doubt = None;
            self.adrift = false;
        }
        if self.phase != Phase::Disconnected {
            return false;
        }
        self.phase = Phase::Connected;
        self.events.push_back(AgentEvent::Reconnected);
        true
    }

    pub(in crate::peer) fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Connecting { deadline } = self.phase
            && now >= deadline
        {
            self.fail();
        }
        if self.liveness_at.is_some_and(|at| at <= now) {
            self.look_for_life(now);
        }
        if self.phase == Phase::Failed {
            self.reschedule();
            return;
        }
        if let Some((since, until)) = self.doubt
            && now >= until
        {
            self.leave_route(since, now);
        }
        self.send_due_checks(now);
        self.reschedule();
    }

    fn look_for_life(&mut self, now: Instant) {
        let silence = now.saturating_duration_since(self.last_heard);
        let consent_expired = self.mode != Mode::Lite
            && self
                .route_pair()
                .and_then(|index| self.pairs[index].succeeded)
                .is_some_and(|at| now.saturating_duration_since(at) >= CONSENT_EXPIRES);
        if silence >= self.settings.failure_timeout || consent_expired {
            self.fail();
            return;
        }
        if silence >= self.settings.disconnect_timeout && self.phase == Phase::Connected {
            self.phase = Phase::Disconnected;
            self.adrift = true;
            self.events.push_back(AgentEvent::Disconnected);
        }
        if silence >= ASK_AFTER && self.mode != Mode::Lite {
            let on_every_pair = silence >= ASK_AFTER + ASK_EVERY;
            for pair in &mut self.pairs {
                if !on_every_pair && Some(pair.route) != self.route {
                    continue;
                }
                if pair.is_unproven() {
                    // What never answered is asked no more than seven times in all.
                    let more = pair.next_check.is_none() && pair.unanswered < MAX_UNANSWERED;
                    pair.waiting |= more;
                    continue;
                }
                pair.next_check = Some(now);
                // Beyond the first round only what ever answered.
                pair.unanswered = pair.unanswered.min(3);
            }
            if self.mode == (Mode::Full { controlling: true }) {
                self.doubt_route(now);
            }
        }
        self.plan_liveness(now);
    }

    /// When to look again: at the next time that means something, measured from what was heard
    /// last, so that a heard packet need not touch the timer.
    pub(super) fn plan_liveness(&mut self, now: Instant) {
        let silence_ends = [
            ASK_AFTER,
            self.settings.disconnect_timeout,
            self.settings.failure_timeout,
        ]
        .map(|after| self.last_heard + after)
        .into_iter()
        .filter(|at| *at > now)
        .min();
        let next = silence_ends.unwrap_or(now + ASK_EVERY);
        let asking = now.saturating_duration_since(self.last_heard) >= ASK_AFTER;
        self.liveness_at = Some(if asking {
            next.min(now + ASK_EVERY)
        } else {
            next
        });
    }

    fn fail(&mut self) {
        self.phase = Phase::Failed;
        self.route = None;
        self.stray = None;
        self.liveness_at = None;
        self.doubt = None;
        self.events.push_back(AgentEvent::Failed);
    }
}
