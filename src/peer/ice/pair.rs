//! One candidate pair: its checks under way, its last answer, who nominated it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::budget::Reason;
use crate::peer::Route;
use crate::stun::TransactionId;

/// Checks of one pair that may still be answered.
const MAX_OUTSTANDING: usize = 8;

/// A check that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    pub id: TransactionId,
    pub sent: Instant,
    /// The role that the check claimed: a 487 asks for the other one.
    pub controlling: bool,
}

/// A candidate pair.
#[derive(Debug)]
pub(super) struct Pair {
    pub route: Route,
    /// Place of our candidate in the configuration.
    pub local_index: usize,
    /// RFC 8445 section 6.1.2.3.
    pub priority: u64,
    /// When the pair came to be.
    pub since: Instant,
    /// Known by media alone: no check came from there, and none of ours was answered yet.
    pub newcomer: bool,
    /// When the other end's last check came.
    pub checked: Option<Instant>,
    /// When the last check of ours was answered.
    pub succeeded: Option<Instant>,
    pub round_trip: Option<Duration>,
    /// The number of the other end's newest check on this pair with USE-CANDIDATE.
    pub nominated: Option<u64>,
    /// Checks sent since the last answer.
    pub unanswered: u32,
    /// When the next check is due. None: no check is planned.
    pub next_check: Option<Instant>,
    /// Waits for its first check, in the order of priority (RFC 8445 section 6.1.2.6).
    pub waiting: bool,
    outstanding: VecDeque<Check>,
}

impl Pair {
    pub(super) fn new(route: Route, local_index: usize, priority: u64, now: Instant) -> Self {
        Pair {
            route,
            local_index,
            priority,
            since: now,
            newcomer: false,
            checked: None,
            succeeded: None,
            round_trip: None,
            nominated: None,
            unanswered: 0,
            next_check: None,
            waiting: false,
            outstanding: VecDeque::new(),
        }
    }

    /// Remembers a check that goes out now.
    pub(super) fn sent(&mut self, check: Check) {
        if self.outstanding.len() == MAX_OUTSTANDING {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back(check);
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// The check that a response belongs to.
    pub(super) fn outstanding(&self, id: &TransactionId) -> Option<Check> {
        self.outstanding
            .iter()
            .find(|check| check.id == *id)
            .copied()
    }

    /// Takes an authentic answer to `check`.
    pub(super) fn answered(&mut self, check: &Check, now: Instant) {
        self.outstanding.retain(|other| other.id != check.id);
        self.round_trip = Some(now.saturating_duration_since(check.sent));
        self.succeeded = Some(now);
        self.unanswered = 0;
        self.newcomer = false;
    }

    /// Whether the address is known by a candidate alone: it neither answered nor sent a check.
    pub(super) fn is_unproven(&self) -> bool {
        self.succeeded.is_none() && self.checked.is_none() && !self.newcomer
    }

    /// What gave reason for a check that is not the route's. None: the address has answered before.
    pub(super) fn reason(&self) -> Option<Reason> {
        match self {
            Pair {
                succeeded: Some(_), ..
            } => None,
            Pair { newcomer: true, .. } => Some(Reason::Media),
            Pair {
                checked: Some(_), ..
            } => Some(Reason::Check),
            _ => Some(Reason::Candidate),
        }
    }

    /// How long to wait for an answer to the check just sent before the next, doubling each time.
    /// For an address that is known by a candidate alone it begins with `rto` (RFC 8445 section
    /// 14.3). One that proved to have the call's password is asked after 50 ms, as browsers do, up
    /// to every 1.6 s, and never faster than answers can come.
    pub(super) fn retry_delay(&self, rto: Duration) -> Duration {
        let repeats = self.unanswered.saturating_sub(1);
        if self.is_unproven() {
            return rto * (1 << repeats.min(6));
        }
        let delay = Duration::from_millis(50 << repeats.min(5));
        delay.max(self.round_trip.unwrap_or_default() * 2)
    }
}

/// RFC 8445 section 6.1.2.3, for the controlling agent's candidate priority first.
pub(super) fn pair_priority(controlling: u32, controlled: u32) -> u64 {
    let (low, high) = (controlling.min(controlled), controlling.max(controlled));
    (u64::from(low) << 32) + 2 * u64::from(high) + u64::from(controlling > controlled)
}
