//! Which way media goes. Controlled, it follows the other end's newest nomination; controlling,
//! it takes the first pair that works, and another one when that falls silent.

use std::time::{Duration, Instant};

use super::agent::{Agent, AgentEvent, Mode};
use super::liveness::Phase;

/// Media comes every 20 ms: a route quieter than this beside a new working pair is doubted.
const QUIET: Duration = Duration::from_millis(100);
/// How long a doubted route may leave its checks unanswered, besides its round trips.
const DOUBT: Duration = Duration::from_millis(250);

impl Agent {
    /// Reconsiders the route after something authentic happened on the pair at `index`.
    pub(super) fn select(&mut self, index: usize, now: Instant) {
        let works = self.mode == Mode::Lite || self.pairs[index].succeeded.is_some();
        if self.adrift && works {
            // The route was as good as dead: follow whoever speaks.
            self.take_route(index, now);
            return;
        }
        match self.mode {
            Mode::Full { controlling: true } => self.select_controlling(index, now),
            Mode::Lite | Mode::Full { controlling: false } => self.select_controlled(now),
        }
    }

    /// The pair of the newest nomination, once our own check on it was answered: a check can be
    /// replayed from elsewhere, an answer can not. A lite agent has no checks and believes.
    fn select_controlled(&mut self, now: Instant) {
        let lite = self.mode == Mode::Lite;
        let newest = (0..self.pairs.len())
            .filter(|index| lite || self.pairs[*index].succeeded.is_some())
            .filter(|index| self.pairs[*index].nominated.is_some())
            .max_by_key(|index| self.pairs[*index].nominated);
        if let Some(index) = newest {
            self.take_route(index, now);
        }
    }

    fn select_controlling(&mut self, index: usize, now: Instant) {
        if self.pairs[index].succeeded.is_none() {
            return;
        }
        if self.route.is_none() {
            self.take_route(index, now);
            return;
        }
        if self.route == Some(self.pairs[index].route) {
            return;
        }
        match self.doubt {
            Some((since, until)) if now >= until => self.leave_route(since, now),
            Some(_) => {}
            None if now.saturating_duration_since(self.route_heard) >= QUIET => {
                self.doubt_route(now);
            }
            None => {}
        }
    }

    /// Asks the route whether it lives.
    pub(super) fn doubt_route(&mut self, now: Instant) {
        let Some(index) = self.route_pair() else {
            return;
        };
        if self.doubt.is_none() {
            let patience = DOUBT + self.pairs[index].round_trip.unwrap_or_default() * 2;
            self.doubt = Some((now, now + patience));
            self.send_check(index, now);
        }
    }

    /// The route stayed silent since `since`: nominate the pair that answered last, if any did.
    pub(super) fn leave_route(&mut self, since: Instant, now: Instant) {
        let better = (0..self.pairs.len())
            .filter(|index| Some(self.pairs[*index].route) != self.route)
            .filter(|index| {
                // It answered after the doubt, or its answer raised the doubt.
                let answered = self.pairs[*index].succeeded;
                answered.is_some_and(|at| at >= since)
            })
            .max_by_key(|index| (self.pairs[*index].succeeded, self.pairs[*index].priority));
        match better {
            Some(index) => self.take_route(index, now),
            // None works: keep on asking until one does or the silence is called failure.
            None => self.doubt = Some((since, now + DOUBT)),
        }
    }

    fn take_route(&mut self, index: usize, now: Instant) {
        let route = self.pairs[index].route;
        if self.route == Some(route) {
            return;
        }
        let first = self.route.replace(route).is_none();
        self.doubt = None;
        self.adrift = false;
        self.route_heard = now;
        if first {
            self.phase = Phase::Connected;
            self.events.push_back(AgentEvent::Connected);
            self.plan_liveness(now);
        } else {
            self.events.push_back(AgentEvent::RouteChanged(route));
        }
        match self.mode {
            // Says USE-CANDIDATE.
            Mode::Full { controlling: true } => self.send_check(index, now),
            Mode::Full { controlling: false } => self.plan_next_check(index, now),
            Mode::Lite => {}
        }
    }
}
