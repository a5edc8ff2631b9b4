//! The agent's state, what it is told by descriptions, and the checks of the other end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_crypto::RTCCryptoProvider;

mod checks;
mod liveness;
mod roaming;
mod selection;

use self::liveness::Phase;
use self::roaming::{Allowance, Stray};
use super::budget::{Budget, CheckRate, SuppressedChecks};
use super::credentials::IceCredentials;
use super::pair::{Pair, pair_priority};
use crate::peer::candidate::{RemoteCandidate, host_priority};
use crate::peer::{Drop, Error, LocalCandidate, Route, Transmit};
use crate::stun::{Builder, Class, IceRole, IntegrityKey, Message, TransactionId};

/// Remote candidates that are used; an honest browser has a dozen.
pub(in crate::peer) const MAX_CANDIDATES: usize = 32;
/// RFC 8445 section 6.1.2.5.
const MAX_PAIRS: usize = 100;
/// Addresses that authenticated checks came from and that are kept.
const MAX_VALIDATED: usize = 16;
/// Transaction ids remembered against replay from another address.
const MAX_SEEN: usize = 64;
const MAX_TRANSMITS: usize = 256;
/// Pause between first checks of pairs: Ta of RFC 8445 section 14.2.
const PACING: Duration = Duration::from_millis(50);
/// The shortest retransmission timeout of a first check (RFC 8445 section 14.3).
const MIN_RTO: Duration = Duration::from_millis(500);

/// What an agent is told at the start.
#[derive(Clone)]
pub(in crate::peer) struct Settings {
    pub credentials: IceCredentials,
    pub lite: bool,
    pub controlling: bool,
    pub local_candidates: Vec<LocalCandidate>,
    pub disconnect_timeout: Duration,
    pub failure_timeout: Duration,
    pub check_rate: Arc<CheckRate>,
}

/// What an agent tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::peer) enum AgentEvent {
    /// The first route.
    Connected(Route),
    /// The other end's first nomination took effect: it, too, takes the path for established.
    Nominated,
    RouteChanged(Route),
    /// A restart took effect: the route of the new session.
    Restarted(Route),
    Disconnected,
    Reconnected,
    Failed,
}

/// The other end's credentials.
pub(super) struct Remote {
    pub ufrag: String,
    pub key: IntegrityKey,
}

/// Whether we make checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// No: always controlled.
    Lite,
    /// Yes.
    Full { controlling: bool },
}

/// An ICE agent.
pub(in crate::peer) struct Agent {
    provider: Arc<dyn RTCCryptoProvider>,
    settings: Settings,
    local_key: IntegrityKey,
    remote: Option<Remote>,
    mode: Mode,
    tie_breaker: u64,
    candidates: Vec<RemoteCandidate>,
    pairs: Vec<Pair>,
    validated: VecDeque<SocketAddr>,
    seen: VecDeque<(TransactionId, SocketAddr)>,
    /// Counts the other end's checks with USE-CANDIDATE, to know the newest.
    nominations: u64,
    was_nominated: bool,
    route: Option<Route>,
    /// When the route was taken.
    route_since: Instant,
    phase: Phase,
    /// When anything authentic came last, from anywhere and from the route's other end.
    last_heard: Instant,
    route_heard: Instant,
    /// Since when and until when the route is doubted: it is silent, even when asked.
    doubt: Option<(Instant, Instant)>,
    /// Nothing was heard for the disconnect timeout, and nothing from the route's end since.
    adrift: bool,
    /// Where the newest media came from, if that is not the route.
    stray: Option<Stray>,
    allowance: Allowance,
    budget: Budget,
    next_first_check: Instant,
    liveness_at: Option<Instant>,
    deadline: Option<Instant>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<AgentEvent>,
}

impl Agent {
    pub(in crate::peer) fn new(
        settings: Settings,
        provider: Arc<dyn RTCCryptoProvider>,
        now: Instant,
    ) -> Result<Self, Error> {
        let mut tie_breaker = [0; 8];
        provider
            .random()
            .fill(&mut tie_breaker)
            .map_err(|error| Error::Crypto(error.to_string()))?;
        let mode = if settings.lite {
            Mode::Lite
        } else {
            Mode::Full {
                controlling: settings.controlling,
            }
        };
        let budget = Budget::new(Arc::clone(&settings.check_rate));
        let tie_breaker = u64::from_be_bytes(tie_breaker);
        Agent::with(settings, provider, mode, tie_breaker, budget, now)
    }

    /// The agent of a new session under these credentials. Of the old session it takes the role
    /// (RFC 8445 section 9) and what may still be sent.
    pub(super) fn restarted(
        &mut self,
        credentials: IceCredentials,
        now: Instant,
    ) -> Result<Self, Error> {
        let settings = Settings {
            credentials,
            ..self.settings.clone()
        };
        let (provider, budget) = (Arc::clone(&self.provider), self.budget.take());
        Agent::with(settings, provider, self.mode, self.tie_breaker, budget, now)
    }

    fn with(
        settings: Settings,
        provider: Arc<dyn RTCCryptoProvider>,
        mode: Mode,
        tie_breaker: u64,
        budget: Budget,
        now: Instant,
    ) -> Result<Self, Error> {
        let pwd = settings.credentials.pwd.reveal();
        Ok(Agent {
            local_key: integrity_key(pwd, provider.as_ref())?,
            mode,
            provider,
            budget,
            settings,
            remote: None,
            tie_breaker,
            candidates: Vec::new(),
            pairs: Vec::new(),
            validated: VecDeque::new(),
            seen: VecDeque::new(),
            nominations: 0,
            was_nominated: false,
            route: None,
            route_since: now,
            phase: Phase::Waiting,
            last_heard: now,
            route_heard: now,
            doubt: None,
            adrift: false,
            stray: None,
            allowance: Allowance::new(now),
            next_first_check: now,
            liveness_at: None,
            deadline: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// Takes the other end's credentials; checks begin.
    pub(in crate::peer) fn set_remote(
        &mut self,
        credentials: &IceCredentials,
        lite: bool,
        now: Instant,
    ) -> Result<(), Error> {
        let key = integrity_key(credentials.pwd.reveal(), self.provider.as_ref())?;
        let ufrag = credentials.ufrag.clone();
        self.remote = Some(Remote { ufrag, key });
        if lite && let Mode::Full { controlling } = &mut self.mode {
            // A full agent controls a lite one, whoever offered (RFC 8445 section 6.1.1).
            *controlling = true;
        }
        if matches!(self.phase, Phase::Waiting) {
            self.phase = Phase::Connecting {
                deadline: now + self.settings.failure_timeout,
            };
        }
        // Pairs that the other end's checks made while its description was under way.
        for index in 0..self.pairs.len() {
            self.plan_first_check(index, now);
        }
        self.reschedule();
        Ok(())
    }

    /// Adds a candidate of the other end, which it described in `length` bytes. Whether there was
    /// room.
    pub(in crate::peer) fn add_candidate(
        &mut self,
        candidate: RemoteCandidate,
        length: usize,
        now: Instant,
    ) -> bool {
        if self
            .candidates
            .iter()
            .any(|c| c.address == candidate.address)
        {
            return true;
        }
        if self.candidates.len() == MAX_CANDIDATES {
            return false;
        }
        self.candidates.push(candidate);
        self.budget.credit(length);
        if self.mode == Mode::Lite {
            return true;
        }
        for local_index in 0..self.settings.local_candidates.len() {
            let route = Route {
                local: self.settings.local_candidates[local_index].bound,
                remote: candidate.address,
            };
            let one_sided_loopback =
                route.local.ip().is_loopback() != route.remote.ip().is_loopback();
            if route.local.is_ipv4() != route.remote.is_ipv4() || one_sided_loopback {
                continue;
            }
            let index = self.ensure_pair(route, candidate.priority, now);
            self.plan_first_check(index, now);
        }
        self.reschedule();
        true
    }

    fn plan_first_check(&mut self, index: usize, now: Instant) {
        let pair = &mut self.pairs[index];
        if self.mode == Mode::Lite || self.remote.is_none() || pair.next_check.is_some() {
            return;
        }
        if pair.checked.is_some() {
            // A triggered check that had to wait for the description.
            pair.next_check = Some(now);
        } else if pair.unanswered == 0 && self.route.is_none() {
            // With a route there is no need: a better address sends a check itself.
            pair.waiting = true;
        }
    }

    /// Sends the first check of the waiting pair of the highest priority, if it is time.
    pub(super) fn send_first_check(&mut self, now: Instant) {
        if now < self.next_first_check {
            return;
        }
        let best = (0..self.pairs.len())
            .filter(|index| self.pairs[*index].waiting)
            .max_by_key(|index| self.pairs[*index].priority);
        if let Some(index) = best {
            self.next_first_check = now + PACING;
            self.send_check(index, now);
        }
    }

    /// The retransmission timeout of a first check (RFC 8445 section 14.3).
    pub(super) fn rto(&self) -> Duration {
        let in_progress = |pair: &&Pair| pair.waiting || pair.next_check.is_some();
        let count = self.pairs.iter().filter(in_progress).count();
        MIN_RTO.max(PACING * u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Checks that were not sent, to spare addresses that do not answer.
    pub(in crate::peer) fn suppressed_checks(&self) -> SuppressedChecks {
        self.budget.suppressed()
    }

    /// The place of the pair for a route, which is made if need be.
    pub(super) fn ensure_pair(
        &mut self,
        route: Route,
        remote_priority: u32,
        now: Instant,
    ) -> usize {
        if let Some(index) = self.pairs.iter().position(|pair| pair.route == route) {
            return index;
        }
        if self.pairs.len() == MAX_PAIRS {
            let worst = (0..MAX_PAIRS)
                .filter(|index| Some(self.pairs[*index].route) != self.route)
                .min_by_key(|index| (self.pairs[*index].succeeded, self.pairs[*index].priority));
            self.pairs
                .swap_remove(worst.expect("all pairs but one are not the route"));
        }
        let local_index = self
            .settings
            .local_candidates
            .iter()
            .position(|candidate| candidate.bound == route.local)
            .unwrap_or(0);
        let ours = host_priority(local_index);
        let priority = match self.mode {
            Mode::Full { controlling: true } => pair_priority(ours, remote_priority),
            _ => pair_priority(remote_priority, ours),
        };
        self.pairs
            .push(Pair::new(route, local_index, priority, now));
        self.pairs.len() - 1
    }

    /// The old session that this one replaces ends: what it had to send still goes. `disconnected`:
    /// it was, and said so.
    pub(super) fn succeed(&mut self, old: Agent, disconnected: bool) {
        self.budget.add(&old.budget);
        for transmit in old.transmits.into_iter().rev() {
            self.transmits.push_front(transmit);
        }
        if disconnected {
            self.events.push_back(AgentEvent::Reconnected);
        }
    }

    /// A new session that never came into use ends.
    pub(super) fn take_over_budget(&mut self, abandoned: &Agent) {
        self.budget.add(&abandoned.budget);
    }

    /// Our credentials.
    pub(super) fn credentials(&self) -> &IceCredentials {
        &self.settings.credentials
    }

    /// Whether the other end's credentials are known and no route is.
    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. })
    }

    /// Whether a check of this transaction may still be answered.
    pub(super) fn has_sent(&self, transaction: &TransactionId) -> bool {
        let sent = |pair: &Pair| pair.outstanding(transaction).is_some();
        self.pairs.iter().any(sent)
    }

    /// Takes a STUN message.
    pub(in crate::peer) fn handle(
        &mut self,
        route: Route,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Drop> {
        let outcome = match message.class {
            Class::Request => self.handle_request(route, message, now),
            Class::Success | Class::Error => self.handle_response(route, message, now),
            Class::Indication => Err(Drop::StunMalformed),
        };
        self.reschedule();
        outcome
    }

    /// A check of the other end (RFC 8445 section 7.3).
    fn handle_request(
        &mut self,
        route: Route,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Drop> {
        let (ours, theirs) = message.username_halves().ok_or(Drop::StunUsername)?;
        if ours != self.settings.credentials.ufrag.as_bytes() {
            return Err(Drop::StunUsername);
        }
        if let Some(remote) = &self.remote
            && theirs != remote.ufrag.as_bytes()
        {
            return Err(Drop::StunUsername);
        }
        if !message.is_authentic(&mut self.local_key) {
            return Err(Drop::StunIntegrity);
        }
        // Retransmissions come from the same address; from another one it is a replay, or a
        // rebinding NAT, whose next check follows soon.
        match self.seen.iter().find(|(id, _)| *id == message.transaction) {
            Some((_, address)) if *address != route.remote => return Err(Drop::StunReplayed),
            Some(_) => {}
            None => {
                if self.seen.len() == MAX_SEEN {
                    self.seen.pop_front();
                }
                self.seen.push_back((message.transaction, route.remote));
            }
        }
        if self.resolve_role_conflict(message.role) {
            let response = Builder::new(Class::Error, message.transaction)
                .error_code(487, "Role Conflict")
                .finish(&mut self.local_key);
            self.transmit(route, response);
            return Ok(());
        }
        let response = Builder::new(Class::Success, message.transaction)
            .xor_mapped_address(route.remote)
            .finish(&mut self.local_key);
        self.transmit(route, response);

        self.budget.credit(message.length());
        self.validate(route.remote);
        self.heard(route, now);
        let known = self.candidates.iter().find(|c| c.address == route.remote);
        let priority = known.map_or(message.priority.unwrap_or(0), |c| c.priority);
        let index = self.ensure_pair(route, priority, now);
        self.pairs[index].checked = Some(now);
        self.pairs[index].newcomer = false;
        if message.use_candidate && self.mode != (Mode::Full { controlling: true }) {
            self.nominations += 1;
            self.pairs[index].nominated = Some(self.nominations);
            // Later and clearer than where media came from.
            self.stray = self.stray.filter(|stray| stray.route == route);
        }
        self.trigger_check(index, now);
        self.select(index, now);
        Ok(())
    }

    /// RFC 8445 section 7.3.1.1. Whether the other end has to change its role.
    fn resolve_role_conflict(&mut self, role: Option<IceRole>) -> bool {
        match (&mut self.mode, role) {
            // A lite agent can not control.
            (Mode::Lite, Some(IceRole::Controlled(_))) => true,
            (Mode::Full { controlling }, Some(IceRole::Controlling(theirs))) if *controlling => {
                *controlling = self.tie_breaker >= theirs;
                *controlling
            }
            (Mode::Full { controlling }, Some(IceRole::Controlled(theirs))) if !*controlling => {
                *controlling = self.tie_breaker >= theirs;
                !*controlling
            }
            _ => false,
        }
    }

    pub(super) fn validate(&mut self, remote: SocketAddr) {
        if self.validated.back() == Some(&remote) {
            return;
        }
        self.validated.retain(|address| *address != remote);
        if self.validated.len() == MAX_VALIDATED {
            let kept = self.route.map(|route| route.remote);
            if let Some(oldest) = self.validated.iter().position(|a| Some(*a) != kept) {
                self.validated.remove(oldest);
            }
        }
        self.validated.push_back(remote);
    }

    /// Whether an authenticated check came from this address.
    pub(in crate::peer) fn validated(&self, remote: SocketAddr) -> bool {
        self.route.is_some_and(|route| route.remote == remote) || self.validated.contains(&remote)
    }

    pub(in crate::peer) fn route(&self) -> Option<Route> {
        self.route
    }

    /// Round trip of the route's last check, where we make any.
    pub(in crate::peer) fn round_trip(&self) -> Option<Duration> {
        self.route_pair()
            .and_then(|index| self.pairs[index].round_trip)
    }

    pub(super) fn route_pair(&self) -> Option<usize> {
        let route = self.route?;
        self.pairs.iter().position(|pair| pair.route == route)
    }

    pub(super) fn transmit(&mut self, route: Route, payload: Vec<u8>) {
        // A driver takes these after every call; the bound is for one that does not.
        if self.transmits.len() == MAX_TRANSMITS {
            self.transmits.pop_front();
        }
        self.transmits.push_back(Transmit { route, payload });
    }

    pub(in crate::peer) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub(in crate::peer) fn poll_event(&mut self) -> Option<AgentEvent> {
        self.events.pop_front()
    }

    pub(in crate::peer) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Recomputes the deadline, so that asking for it costs nothing.
    pub(super) fn reschedule(&mut self) {
        let phase = match self.phase {
            Phase::Connecting { deadline } => Some(deadline),
            Phase::Failed => {
                self.deadline = None;
                return;
            }
            _ => None,
        };
        let checks = match self.remote {
            Some(_) => self.pairs.iter().filter_map(|pair| pair.next_check).min(),
            None => None,
        };
        let waiting = self.remote.is_some() && self.pairs.iter().any(|pair| pair.waiting);
        let first_check = waiting.then_some(self.next_first_check);
        self.deadline = [
            phase,
            checks,
            first_check,
            self.liveness_at,
            self.doubt.map(|(_, at)| at),
        ]
        .into_iter()
        .flatten()
        .min();
    }
}

/// The key of a password, for MESSAGE-INTEGRITY.
fn integrity_key(pwd: &str, provider: &dyn RTCCryptoProvider) -> Result<IntegrityKey, Error> {
    IntegrityKey::new(pwd, provider.crypto()).map_err(|error| Error::Crypto(error.to_string()))
}
