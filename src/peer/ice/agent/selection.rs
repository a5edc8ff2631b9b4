//! Which way media goes: the first pair that works, which a controlling agent nominates and a
//! controlled one leaves for the other end's newest nomination. Either leaves a route that fell
//! silent while another pair speaks.

use std::time::{Duration, Instant};

use super::liveness::Phase;
use super::{Agent, AgentEvent, Mode};

/// Media comes every 20 ms: a route quieter than this beside another working pair is doubted.
const QUIET: Duration = Duration::from_millis(100);
/// How long a doubted route may leave our checks unanswered, besides its round trips.
const DOUBT: Duration = Duration::from_millis(250);
/// The same for a lite agent, which can not ask: longer than the pauses of a silent speaker.
const DOUBT_OF_LITE: Duration = Duration::from_millis(500);

impl Agent {
    /// Reconsiders the route after something authentic happened on the pair at `index`.
    pub(super) fn select(&mut self, index: usize, now: Instant) {
        if self.mode != (Mode::Full { controlling: true }) {
            self.follow_nomination(now);
        }
        let Some(route) = self.route else {
            // Any pair that works may carry media until one is nominated (RFC 8445 section 12.1).
            // Chromium nominates to a lite agent up to a second after it sends media. Controlled,
            // a check of the other end shows that it has our description.
            let described = self.mode == (Mode::Full { controlling: true })
                || self.pairs[index].checked.is_some();
            if described && self.alive(index).is_some() {
                self.take_route(index, now);
            }
            return;
        };
        if self.pairs[index].route == route || self.alive(index).is_none() {
            return;
        }
        if self.adrift {
            // The route was as good as dead: follow whoever speaks.
            self.replace_route(index, now);
            return;
        }
        match self.doubt {
            Some((since, until)) if now >= until => self.leave_route(since, now),
            Some(_) => {}
            None if self.is_challenger(index, now) => {
                self.doubt_route(now);
                if self.alive(index) < Some(now) {
                    // It may have gone silent as well since.
                    self.send_check(index, now);
                }
            }
            None => {}
        }
    }

    /// When a pair last proved that it works: by the answer to a check of ours, for that can not
    /// be replayed from elsewhere. A lite agent makes no checks and believes the other end's.
    fn alive(&self, index: usize) -> Option<Instant> {
        match self.mode {
            Mode::Lite => self.pairs[index].checked,
            Mode::Full { .. } => self.pairs[index].succeeded,
        }
    }

    /// Whether a pair that spoke gives reason to doubt the route: always if it came after the
    /// route was taken, for then the other end may have moved, and a route that lives clears the
    /// doubt with its next packet; else if the route is quiet.
    fn is_challenger(&self, index: usize, now: Instant) -> bool {
        let quiet = now.saturating_duration_since(self.route_heard) >= QUIET;
        let newer = self.pairs[index].since >= self.route_since;
        newer || (quiet && self.may_replace_route(index))
    }

    /// Controlling, the choice is ours. Controlled, it is not, but browsers that move without
    /// knowing (their NAT does) do not nominate again: an address that was not there when the
    /// route was nominated may replace a silent one.
    fn may_replace_route(&self, index: usize) -> bool {
        self.mode == (Mode::Full { controlling: true })
            || self.pairs[index].since >= self.route_since
    }

    fn follow_nomination(&mut self, now: Instant) {
        let newest = (0..self.pairs.len())
            .filter(|index| self.pairs[*index].nominated.is_some() && self.alive(*index).is_some())
            .max_by_key(|index| self.pairs[*index].nominated);
        if let Some(index) = newest {
            self.take_route(index, now);
            if !self.was_nominated {
                self.was_nominated = true;
                self.events.push_back(AgentEvent::Nominated);
            }
        }
    }

    /// Asks the route whether it lives.
    pub(super) fn doubt_route(&mut self, now: Instant) {
        let Some(index) = self.route_pair() else {
            return;
        };
        if self.doubt.is_none() {
            let patience = match self.mode {
                Mode::Lite => DOUBT_OF_LITE,
                Mode::Full { .. } => DOUBT + self.pairs[index].round_trip.unwrap_or_default() * 2,
            };
            self.doubt = Some((now, now + patience));
            self.send_check(index, now);
        }
    }

    /// The route stayed silent since `since`: take the pair that spoke last, if any did.
    pub(super) fn leave_route(&mut self, since: Instant, now: Instant) {
        let better = (0..self.pairs.len())
            .filter(|index| Some(self.pairs[*index].route) != self.route)
            .filter(|index| self.may_replace_route(*index))
            // After the doubt began, or as it did: its answer raised the doubt.
            .filter(|index| self.alive(*index).is_some_and(|at| at >= since))
            .max_by_key(|index| (self.alive(*index), self.pairs[*index].priority));
        match better {
            Some(index) => self.replace_route(index, now),
            // None works: keep on asking until one does or the silence is called failure.
            None => self.doubt = Some((since, now + DOUBT)),
        }
    }

    /// Takes a pair that nobody nominated as if it were, or an older nomination would win the
    /// next time.
    pub(super) fn replace_route(&mut self, index: usize, now: Instant) {
        self.nominations += 1;
        self.pairs[index].nominated = Some(self.nominations);
        self.take_route(index, now);
    }

    /// With a route there is no need to ask addresses that only a candidate names (RFC 8445 section
    /// 8.1.2).
    fn stop_unproven(&mut self) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.is_unproven()) {
            pair.waiting = false;
            pair.next_check = None;
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
        self.stray = None;
        self.route_heard = now;
        self.route_since = now;
        if first {
            self.phase = Phase::Connected;
            self.stop_unproven();
            self.events.push_back(AgentEvent::Connected(route));
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
