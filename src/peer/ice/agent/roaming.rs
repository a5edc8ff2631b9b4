//! Media that comes from elsewhere than the route leads: perhaps the other end's NAT gave it another
//! port, which its own checks would tell only seconds later (Chromium: 2.5 s). Media alone moves
//! nothing, for it can be caught and sent on from anywhere. It makes us ask, a few times and not
//! often, and only the answer to a check of ours moves the route. A lite agent can not ask.

use std::time::{Duration, Instant};

use super::{Agent, Mode};
use crate::peer::Route;
use crate::peer::candidate::peer_reflexive_priority;

/// Until the first answer a newcomer is asked this often ...
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// ... so many times; then it rests.
const PROBES: u32 = 4;
/// After so long it is asked again, if the newest media still comes from there.
const PROBE_AGAIN: Duration = Duration::from_millis(500);
/// Checks a second that media may cause, whatever it is and wherever it comes from.
const PROBES_PER_SECOND: u32 = 8;
/// Newcomers remembered. An honest end has one at a time.
const MAX_NEWCOMERS: usize = 4;
/// A route so young is not doubted for media: the other end may not know of it yet.
const SETTLING: Duration = Duration::from_millis(250);

/// Where the newest media came from, beside the route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stray {
    pub(super) route: Route,
    next_probe: Instant,
}

/// What is left of the checks that media may cause in this second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    since: Instant,
    spent: u32,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Allowance {
            since: now,
            spent: 0,
        }
    }

    /// Whether one more is allowed, which is then spent.
    fn spend(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Allowance::new(now);
        }
        self.spent += 1;
        self.spent <= PROBES_PER_SECOND
    }
}

impl Agent {
    /// Authentic media came this way; `newest` if nothing newer of its stream came before, so
    /// that it is the way the other end takes now. Whether that is news.
    pub(in crate::peer) fn heard_media(
        &mut self,
        route: Route,
        newest: bool,
        now: Instant,
    ) -> bool {
        if newest && self.route == Some(route) {
            self.stray = None;
        } else if newest {
            self.ask_stray(route, now);
        }
        self.heard(route, now)
    }

    fn ask_stray(&mut self, route: Route, now: Instant) {
        let settled = now.saturating_duration_since(self.route_since) >= SETTLING;
        if self.mode == Mode::Lite || self.remote.is_none() || self.route.is_none() || !settled {
            return;
        }
        if self
            .stray
            .is_some_and(|stray| stray.route == route && now < stray.next_probe)
        {
            return;
        }
        self.stray = Some(Stray {
            route,
            next_probe: now + PROBE_AGAIN,
        });
        let known = self.pairs.iter().position(|pair| pair.route == route);
        let index = known.unwrap_or_else(|| self.welcome(route, now));
        self.pairs[index].unanswered = 0;
        self.probe(index, now);
        self.reschedule();
    }

    /// Makes a pair for a route that is known by media alone.
    fn welcome(&mut self, route: Route, now: Instant) -> usize {
        let newcomers = || self.pairs.iter().filter(|pair| pair.newcomer);
        if newcomers().count() == MAX_NEWCOMERS {
            let oldest = newcomers().map(|pair| pair.since).min();
            self.pairs
                .retain(|pair| !pair.newcomer || Some(pair.since) != oldest);
        }
        let index = self.ensure_pair(route, peer_reflexive_priority(0), now);
        self.pairs[index].newcomer = true;
        index
    }

    /// Sends a check that only media gave reason for.
    pub(super) fn probe(&mut self, index: usize, now: Instant) {
        if !self.allowance.spend(now) {
            if self.pairs[index].newcomer {
                self.pairs[index].next_check = None;
            }
            return;
        }
        self.send_check(index, now);
        let pair = &mut self.pairs[index];
        if pair.newcomer {
            pair.next_check = (pair.unanswered < PROBES).then_some(now + PROBE_EVERY);
        }
    }

    /// Lets go of newcomers whose turn it is to be asked again though the newest media no longer
    /// comes from there.
    pub(super) fn forget_newcomers(&mut self, now: Instant) {
        let stray = self.stray.map(|stray| stray.route);
        self.pairs.retain(|pair| {
            !pair.newcomer || Some(pair.route) == stray || pair.next_check.is_none_or(|at| at > now)
        });
    }

    /// The pair at `index` answered: if the newest media comes that way, so shall ours go. Whether
    /// that is so.
    pub(super) fn follow_stray(&mut self, index: usize, now: Instant) -> bool {
        let route = self.pairs[index].route;
        let follows = self.stray.is_some_and(|stray| stray.route == route);
        if follows {
            self.replace_route(index, now);
        }
        follows
    }
}
