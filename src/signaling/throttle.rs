//! Limits on guessing passwords and tokens (pure: told what is tried and when).
//!
//! Three budgets of failures, each of which is forgotten evenly over one window: of one source (an
//! IPv4 address, or an IPv6 /64), of one user at one source, and of one user at all sources
//! together. The first two refuse what exceeds them without a look at the credentials. The third
//! never refuses a source that has no failures for this user, so that nobody can shut a user out:
//! while it is exceeded, a source that has some waits until all of them are forgotten.
//!
//! A user that has signed in at a source before is not refused there for what others guess at that
//! source (several users behind one NAT).

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::occupancy::source_of;

/// Entries of one generation of a table; a table has two.
const GENERATION: usize = 16_384;

/// Failures that are as good as none: what a division leaves.
const NEGLIGIBLE: f64 = 1e-6;

/// How many failures are let pass, and for how long they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimits {
    /// Of one IPv4 address or IPv6 /64, at least 1.
    pub per_address: u32,
    /// Of one user at one such source, at least 1.
    pub per_user_and_address: u32,
    /// Of one user at all sources together, at least 1.
    pub per_user: u32,
    /// Until as many failures as a limit has are forgotten; longer than zero.
    pub window: Duration,
}

/// Whose credentials are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject<'a> {
    /// The password of the user of that name, whether there is one or not.
    Password(&'a str),
    /// A token that names that user, verified or not; empty where it names none.
    Token(&'a str),
}

/// An attempt that may be looked at. It counts as a failure until the table is told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Attempt {
    user: u64,
    source: IpAddr,
    /// Whether the budget of the source is charged.
    charges_source: bool,
}

/// An attempt that must not be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// Until another one may be looked at.
    pub(super) retry_after: Duration,
    /// Whether this is the first such answer since an attempt was looked at.
    pub(super) is_first: bool,
}

/// All failures that are not yet forgotten, in bounded memory.
#[derive(Debug)]
pub(super) struct Throttle {
    limits: AttemptLimits,
    /// Names are kept as keyed hashes: they may be long, and may be passwords.
    hashes: RandomState,
    sources: Ageing<IpAddr, Failures>,
    pairs: Ageing<(u64, IpAddr), Failures>,
    users: Ageing<u64, Failures>,
    /// Users and the sources at which they have signed in.
    signed_in: Ageing<(u64, IpAddr), ()>,
    aged: Instant,
}

impl Throttle {
    pub(super) fn new(limits: AttemptLimits, now: Instant) -> Self {
        Throttle {
            limits,
            hashes: RandomState::new(),
            sources: Ageing::new(),
            pairs: Ageing::new(),
            users: Ageing::new(),
            signed_in: Ageing::new(),
            aged: now,
        }
    }

    /// Whether credentials of `subject` from `address` may be looked at. An address that
    /// `is_shared` is that of a proxy that tells no clients: its own budget would be everybody's,
    /// and is not charged.
    pub(super) fn attempt(
        &mut self,
        subject: Subject<'_>,
        address: IpAddr,
        is_shared: bool,
        now: Instant,
    ) -> Result<Attempt, Wait> {
        self.age(now);
        let [of_source, of_pair, of_user] = self.budgets();
        let user = self.hashes.hash_one(subject);
        let source = source_of(address);
        let pair = (user, source);
        let has_signed_in = self.signed_in.find(&pair).is_some();

        let user_failures = self.users.find(&user);
        let is_user_guessed =
            user_failures.is_some_and(|failures| !failures.wait(of_user, now).is_zero());
        let of_pair_now = if is_user_guessed && !has_signed_in {
            Budget {
                most: 1.0,
                ..of_pair
            }
        } else {
            of_pair
        };
        if let Some(failures) = self.pairs.find(&pair) {
            let retry_after = failures.wait(of_pair_now, now);
            if !retry_after.is_zero() {
                return Err(failures.refuse(retry_after));
            }
        }
        let charges_source = !is_shared;
        if charges_source
            && !has_signed_in
            && let Some(failures) = self.sources.find(&source)
        {
            let retry_after = failures.wait(of_source, now);
            if !retry_after.is_zero() {
                return Err(failures.refuse(retry_after));
            }
        }
        let none = Failures::none(now);
        self.pairs.entry(pair, none).add(of_pair, now);
        self.users.entry(user, none).add(of_user, now);
        if charges_source {
            self.sources.entry(source, none).add(of_source, now);
        }
        Ok(Attempt {
            user,
            source,
            charges_source,
        })
    }

    /// The credentials were right.
    pub(super) fn succeeded(&mut self, attempt: Attempt) {
        self.was_no_guess(attempt);
        let pair = (attempt.user, attempt.source);
        if let Some(failures) = self.pairs.find(&pair) {
            failures.count = 0.0;
        }
        self.signed_in.entry(pair, ());
    }

    /// The credentials were not right, but nobody guessed: a token that has expired.
    pub(super) fn was_no_guess(&mut self, attempt: Attempt) {
        let pair = self.pairs.find(&(attempt.user, attempt.source));
        let user = self.users.find(&attempt.user);
        let source = attempt.charges_source.then_some(&attempt.source);
        let source = source.and_then(|source| self.sources.find(source));
        for failures in [pair, user, source].into_iter().flatten() {
            failures.count = (failures.count - 1.0).max(0.0);
        }
    }

    fn budgets(&self) -> [Budget; 3] {
        let limits = &self.limits;
        [
            limits.per_address,
            limits.per_user_and_address,
            limits.per_user,
        ]
        .map(|most| {
            let most = f64::from(most);
            Budget {
                most,
                per_second: most / limits.window.as_secs_f64(),
            }
        })
    }

    /// Drops failures that are all forgotten: those of a whole window without an attempt.
    fn age(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.aged);
        if since < self.limits.window {
            return;
        }
        let generations = if since < 2 * self.limits.window { 1 } else { 2 };
        for _ in 0..generations {
            self.sources.age();
            self.pairs.age();
            self.users.age();
        }
        self.aged = now;
    }
}

/// How many failures are let pass, and how many are forgotten in a second.
#[derive(Clone, Copy, Debug)]
struct Budget {
    most: f64,
    per_second: f64,
}

/// Failures that are not yet forgotten.
#[derive(Clone, Copy, Debug)]
struct Failures {
    /// At `since`.
    count: f64,
    since: Instant,
    /// Whether an attempt was refused since the last one that was looked at.
    is_refusing: bool,
}

impl Failures {
    fn none(now: Instant) -> Self {
        Failures {
            count: 0.0,
            since: now,
            is_refusing: false,
        }
    }

    /// One more.
    fn add(&mut self, budget: Budget, now: Instant) {
        *self = Failures {
            count: self.at(budget, now) + 1.0,
            ..Failures::none(now)
        };
    }

    fn at(&self, budget: Budget, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.since).as_secs_f64();
        (self.count - elapsed * budget.per_second).max(0.0)
    }

    /// Until one more failure is within the budget.
    fn wait(&self, budget: Budget, now: Instant) -> Duration {
        let excess = self.at(budget, now) + 1.0 - budget.most;
        if excess <= NEGLIGIBLE {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(excess / budget.per_second).unwrap_or(Duration::MAX)
    }

    fn refuse(&mut self, retry_after: Duration) -> Wait {
        Wait {
            retry_after,
            is_first: !std::mem::replace(&mut self.is_refusing, true),
        }
    }
}

/// A table of two generations: what is used moves into the younger one, and when that is full the
/// older one is dropped.
#[derive(Debug)]
struct Ageing<K, V> {
    younger: HashMap<K, V>,
    older: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Ageing<K, V> {
    fn new() -> Self {
        Ageing {
            younger: HashMap::new(),
            older: HashMap::new(),
        }
    }

    fn find(&mut self, key: &K) -> Option<&mut V> {
        let younger = self.younger.get_mut(key);
        younger.or_else(|| self.older.get_mut(key))
    }

    /// The value of `key`, `first` where there is none yet.
    fn entry(&mut self, key: K, first: V) -> &mut V {
        let value = self.older.remove(&key).unwrap_or(first);
        if self.younger.len() >= GENERATION && !self.younger.contains_key(&key) {
            self.age();
        }
        self.younger.entry(key).or_insert(value)
    }

    fn age(&mut self) {
        self.older = std::mem::take(&mut self.younger);
    }
}

#[cfg(test)]
mod tests;
