//! Failures that are forgotten evenly, and tables of them in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::Wait;

/// Entries of one generation of a table; a table has two.
pub(super) const GENERATION: usize = 16_384;

/// Failures that are as good as none: what a division leaves.
const NEGLIGIBLE: f64 = 1e-6;

/// How many failures are let pass, and how many are forgotten in a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) most: f64,
    pub(super) per_second: f64,
}

/// Failures that are not yet forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failures {
    /// At `since`.
    count: f64,
    since: Instant,
    /// Whether an attempt was refused since the last one that was looked at.
    is_refusing: bool,
}

impl Failures {
    pub(super) fn none(now: Instant) -> Self {
        Failures {
            count: 0.0,
            since: now,
            is_refusing: false,
        }
    }

    /// One more, and never more than `most`: what is charged though the budget is used up makes
    /// no wait longer than until all are forgotten. Gives what was added.
    pub(super) fn add(&mut self, budget: Budget, most: f64, now: Instant) -> f64 {
        let before = self.at(budget, now);
        let count = (before + 1.0).min(most).max(before);
        *self = Failures {
            count,
            ..Failures::none(now)
        };
        count - before
    }

    /// Takes back what [`Failures::add`] gave.
    pub(super) fn take_back(&mut self, added: f64) {
        self.count = (self.count - added).max(0.0);
    }

    pub(super) fn clear(&mut self) {
        self.count = 0.0;
    }

    pub(super) fn at(&self, budget: Budget, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.since).as_secs_f64();
        (self.count - elapsed * budget.per_second).max(0.0)
    }

    /// Until one more failure is within the budget.
    pub(super) fn wait(&self, budget: Budget, now: Instant) -> Duration {
        let excess = self.at(budget, now) + 1.0 - budget.most;
        if excess <= NEGLIGIBLE {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(excess / budget.per_second).unwrap_or(Duration::MAX)
    }

    pub(super) fn refuse(&mut self, retry_after: Duration) -> Wait {
        Wait {
            retry_after,
            is_first: !std::mem::replace(&mut self.is_refusing, true),
        }
    }
}

/// A table of two generations: what is used moves into the younger one, and when that is full the
/// older one is dropped.
#[derive(Debug)]
pub(super) struct Ageing<K, V> {
    pub(super) younger: HashMap<K, V>,
    pub(super) older: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Ageing<K, V> {
    pub(super) fn new() -> Self {
        Ageing {
            younger: HashMap::new(),
            older: HashMap::new(),
        }
    }

    pub(super) fn find(&mut self, key: &K) -> Option<&mut V> {
        let younger = self.younger.get_mut(key);
        younger.or_else(|| self.older.get_mut(key))
    }

    /// The value of `key`, `first` where there is none yet.
    pub(super) fn entry(&mut self, key: K, first: V) -> &mut V {
        let value = self.older.remove(&key).unwrap_or(first);
        if self.younger.len() >= GENERATION && !self.younger.contains_key(&key) {
            self.age();
        }
        self.younger.entry(key).or_insert(value)
    }

    pub(super) fn age(&mut self) {
        self.older = std::mem::take(&mut self.younger);
    }
}
