//! Limits on guessing passwords and tokens (pure: told what is tried and when).
//!
//! Three budgets of failures, each of which is forgotten evenly over one window: of one source (an
//! IPv4 address, or an IPv6 /64), of one user at one source, and of one user at all sources
//! together. The first two refuse what exceeds them without a look at the credentials. The third
//! never refuses a source that has no failures for this user, so that nobody can shut a user out:
//! while it is exceeded, a source that has some waits until all of them are forgotten.
//!
//! A user that has signed in at a source before is not refused there for the passwords and tokens
//! of other users that are guessed at that source (several users behind one NAT).
//!
//! Renewals of sessions have a budget of their own, of one user at one source: only who has a
//! session of that user can use it up, so that no sign-in of others ends a session. Names of users
//! without a password, where guests have names too, have one of each source.

mod failures;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use self::failures::{Ageing, Budget, Failures};
use super::occupancy::source_of;

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
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub(super) struct Attempt {
    user: u64,
    source: IpAddr,
    charged: Charged,
    /// Whether a success forgives the user's earlier failures at this source. Not where the
    /// secret is that of all users: one's own token would pay for guesses of the key.
    forgives: bool,
}

/// What an attempt added to each budget, at most one failure each: less where it was used up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Charged {
    source: f64,
    pair: f64,
    user: f64,
    renewals: f64,
    names: f64,
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
    /// Of renewals that name the session's own user.
    renewals: Ageing<(u64, IpAddr), Failures>,
    /// Of names without a password.
    names: Ageing<IpAddr, Failures>,
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
            renewals: Ageing::new(),
            names: Ageing::new(),
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
        let mut charged = Charged {
            pair: self.pairs.entry(pair, none).add(of_pair, of_pair.most, now),
            user: self.charge_user(user, of_user, now),
            ..Charged::default()
        };
        if charges_source {
            charged.source = self.charge_source(source, of_source, now);
        }
        Ok(Attempt {
            user,
            source,
            charged,
            forgives: matches!(subject, Subject::Password(_)),
        })
    }

    /// The same for a token that is to renew a session of `user`; `claimed` is whom it names, empty
    /// where it names none. A token of another user cannot renew it: it is an attempt like any
    /// other. One that names `user` is looked at whatever others try at this source.
    pub(super) fn renewal(
        &mut self,
        user: &str,
        claimed: &str,
        address: IpAddr,
        is_shared: bool,
        now: Instant,
    ) -> Result<Attempt, Wait> {
        if claimed != user {
            return self.attempt(Subject::Token(claimed), address, is_shared, now);
        }
        self.age(now);
        let [of_source, of_pair, of_user] = self.budgets();
        let user = self.hashes.hash_one(Subject::Token(user));
        let source = source_of(address);
        let failures = self.renewals.entry((user, source), Failures::none(now));
        let retry_after = failures.wait(of_pair, now);
        if !retry_after.is_zero() {
            return Err(failures.refuse(retry_after));
        }
        let mut charged = Charged {
            renewals: failures.add(of_pair, of_pair.most, now),
            user: self.charge_user(user, of_user, now),
            ..Charged::default()
        };
        if !is_shared {
            charged.source = self.charge_source(source, of_source, now);
        }
        Ok(Attempt {
            user,
            source,
            charged,
            forgives: false,
        })
    }

    /// Whether a name without a password may be looked at, where an answer would tell whether it is
    /// a user's. Names have a budget apart, as large as that of the source: a client that asks for
    /// the password only then is no guess, and must not use up what its neighbours have.
    pub(super) fn name(
        &mut self,
        address: IpAddr,
        is_shared: bool,
        now: Instant,
    ) -> Result<Attempt, Wait> {
        self.age(now);
        let [of_source, ..] = self.budgets();
        let source = source_of(address);
        let mut charged = Charged::default();
        if !is_shared {
            let failures = self.names.entry(source, Failures::none(now));
            let retry_after = failures.wait(of_source, now);
            if !retry_after.is_zero() {
                return Err(failures.refuse(retry_after));
            }
            charged.names = failures.add(of_source, of_source.most, now);
        }
        Ok(Attempt {
            user: 0,
            source,
            charged,
            forgives: false,
        })
    }

    /// The credentials were right, and opened a session.
    pub(super) fn succeeded(&mut self, attempt: Attempt) {
        self.was_no_guess(attempt);
        let pair = (attempt.user, attempt.source);
        if attempt.forgives
            && let Some(failures) = self.pairs.find(&pair)
        {
            failures.clear();
        }
        self.signed_in.entry(pair, ());
    }

    /// Nobody guessed: a token that has expired, or that is right but another user's; a renewal; a
    /// guest's name.
    pub(super) fn was_no_guess(&mut self, attempt: Attempt) {
        let Attempt {
            user,
            source,
            charged,
            ..
        } = attempt;
        let pair = (user, source);
        for (failures, added) in [
            (self.pairs.find(&pair), charged.pair),
            (self.users.find(&user), charged.user),
            (self.sources.find(&source), charged.source),
            (self.renewals.find(&pair), charged.renewals),
            (self.names.find(&source), charged.names),
        ] {
            if let Some(failures) = failures {
                failures.take_back(added);
            }
        }
    }

    fn charge_source(&mut self, source: IpAddr, budget: Budget, now: Instant) -> f64 {
        let failures = self.sources.entry(source, Failures::none(now));
        failures.add(budget, budget.most, now)
    }

    /// Without a limit: no wait is taken from it, and the more sources guess the longer each of
    /// them has but one attempt.
    fn charge_user(&mut self, user: u64, budget: Budget, now: Instant) -> f64 {
        let failures = self.users.entry(user, Failures::none(now));
        failures.add(budget, f64::INFINITY, now)
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
            self.renewals.age();
            self.names.age();
        }
        self.aged = now;
    }
}

#[cfg(test)]
mod tests;
