//! How much an agent may send to addresses that have not answered, so that a candidate that names
//! a third party makes no flood there (RFC 8445 sections 14 and 19.5.1): a budget for the call,
//! measured by what the client sent, and a rate for all calls together.

use std::sync::Arc;
use std::time::Instant;

use crate::token_bucket::{Rate, SharedTokenBucket};

/// Bytes that one received byte allows; the same as in QUIC (RFC 9000 section 8.1).
const FACTOR: u64 = 3;
/// Allowed by the description alone: one without any candidate is longer than 500 bytes.
const DESCRIPTION_CREDIT: u64 = 500 * FACTOR;
/// Checks of one call to addresses that neither answered nor sent an authenticated check, however
/// many candidates there are. A call with a dozen candidates is connected after fewer.
const MAX_UNSOLICITED: u32 = 50;

/// The rate of checks to addresses that have not answered, shared by all calls of a gateway.
#[derive(Debug)]
pub struct CheckRate(SharedTokenBucket);

impl CheckRate {
    /// `per_second` checks sustained, `burst` at once. `now` is any time before the first check.
    pub const fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        CheckRate(SharedTokenBucket::new(Rate::new(per_second, burst), now))
    }
}

/// Checks that were not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SuppressedChecks {
    /// The budget of the call was used up.
    pub call_budget: u64,
    /// The rate of the gateway was used up: postponed.
    pub gateway_rate: u64,
}

impl SuppressedChecks {
    pub(super) const fn plus(self, other: Self) -> Self {
        SuppressedChecks {
            call_budget: self.call_budget + other.call_budget,
            gateway_rate: self.gateway_rate + other.gateway_rate,
        }
    }
}

/// What gave reason for a check to an address that has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A candidate of the description: anybody's address.
    Candidate,
    /// An authenticated check that came from there. Its source address may be forged.
    Check,
    /// Authentic media that came from there; `roaming` limits these checks.
    Media,
}

/// Why a check must not be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Never on this credit.
    Spent,
    /// Not before this time.
    Until(Instant),
}

/// What one call may still send to addresses that have not answered.
#[derive(Debug)]
pub(super) struct Budget {
    rate: Arc<CheckRate>,
    bytes: u64,
    unsolicited: u32,
    suppressed: SuppressedChecks,
}

impl Budget {
    pub(super) fn new(rate: Arc<CheckRate>) -> Self {
        Budget {
            rate,
            bytes: DESCRIPTION_CREDIT,
            unsolicited: MAX_UNSOLICITED,
            suppressed: SuppressedChecks::default(),
        }
    }

    /// So many bytes came from the client: a candidate, or an authenticated check.
    pub(super) fn credit(&mut self, received: usize) {
        let credit = FACTOR.saturating_mul(received as u64);
        self.bytes = self.bytes.saturating_add(credit);
    }

    /// Pays for a check of this length.
    pub(super) fn spend(
        &mut self,
        length: usize,
        reason: Reason,
        now: Instant,
    ) -> Result<(), Refusal> {
        let bytes = match reason {
            Reason::Candidate | Reason::Check => length as u64,
            Reason::Media => 0,
        };
        let unsolicited = u32::from(reason == Reason::Candidate);
        if self.bytes < bytes || self.unsolicited < unsolicited {
            self.suppressed.call_budget += 1;
            return Err(Refusal::Spent);
        }
        // What answers a check one for one needs no token: others could not use them up.
        if reason != Reason::Check
            && let Err(until) = self.rate.0.take(now)
        {
            self.suppressed.gateway_rate += 1;
            return Err(Refusal::Until(until));
        }
        self.bytes -= bytes;
        self.unsolicited -= unsolicited;
        Ok(())
    }

    /// Gives all that is left: an ICE restart refills nothing.
    pub(super) fn take(&mut self) -> Self {
        let empty = Budget {
            rate: Arc::clone(&self.rate),
            bytes: 0,
            unsolicited: 0,
            suppressed: SuppressedChecks::default(),
        };
        std::mem::replace(self, empty)
    }

    /// Adds what is left of the budget of a session that ends.
    pub(super) fn add(&mut self, ended: &Budget) {
        self.bytes = self.bytes.saturating_add(ended.bytes);
        self.unsolicited += ended.unsolicited;
        self.suppressed = self.suppressed.plus(ended.suppressed);
    }

    pub(super) fn suppressed(&self) -> SuppressedChecks {
        self.suppressed
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests need one real instant to begin at"
)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn budget(rate: &Arc<CheckRate>) -> Budget {
        Budget::new(Arc::clone(rate))
    }

    #[test]
    fn gateway_rate_bounds_all_calls_together() {
        let now = Instant::now();
        let rate = Arc::new(CheckRate::new(10, 20, now));
        let mut calls: Vec<_> = (0..10).map(|_| budget(&rate)).collect();
        let mut sent = |now| {
            let mut sent = 0;
            for _ in 0..4 {
                for call in &mut calls {
                    sent += u32::from(call.spend(10, Reason::Candidate, now).is_ok());
                }
            }
            sent
        };
        assert_eq!(sent(now), 20, "the burst");
        assert_eq!(sent(now + Duration::from_secs(1)), 10, "then the rate");
        assert_eq!(sent(now + Duration::from_secs(60)), 20, "no more is saved");
        let until = budget(&rate).spend(10, Reason::Candidate, now + Duration::from_secs(60));
        let next = now + Duration::from_secs(60) + Duration::from_millis(100);
        assert_eq!(until, Err(Refusal::Until(next)));
    }

    #[test]
    fn gateway_rate_never_delays_replies_to_checks() {
        let now = Instant::now();
        let rate = Arc::new(CheckRate::new(1, 1, now));
        let mut call = budget(&rate);
        assert!(call.spend(10, Reason::Candidate, now).is_ok());
        assert!(call.spend(10, Reason::Candidate, now).is_err());
        assert!(call.spend(10, Reason::Check, now).is_ok());
        assert_eq!(call.suppressed().gateway_rate, 1);
    }

    #[test]
    fn call_budget_is_three_times_the_received_bytes() {
        let now = Instant::now();
        let rate = Arc::new(CheckRate::new(1_000_000, 1_000_000, now));
        let mut call = budget(&rate);
        call.credit(100);
        let mut bytes = 0;
        while call.spend(100, Reason::Check, now).is_ok() {
            bytes += 100;
        }
        assert_eq!(bytes, 1_800, "1,500 and 3 times 100");
        assert_eq!(call.suppressed().call_budget, 1);
        call.credit(34);
        assert!(call.spend(100, Reason::Check, now).is_ok());
    }

    #[test]
    fn budget_handed_on_is_the_same_in_all() {
        let now = Instant::now();
        let rate = Arc::new(CheckRate::new(1_000_000, 1_000_000, now));
        let mut old = budget(&rate);
        for _ in 0..30 {
            assert!(old.spend(10, Reason::Candidate, now).is_ok());
        }
        let mut new = old.take();
        assert!(old.spend(1, Reason::Check, now).is_err());
        let sent = (0..1_000)
            .filter(|_| new.spend(10, Reason::Candidate, now).is_ok())
            .count();
        assert_eq!(sent, 20);
        new.add(&old);
        assert!(new.spend(10, Reason::Candidate, now).is_err());
        assert_eq!(new.suppressed().call_budget, 1 + 980 + 1);
    }

    #[test]
    fn call_budget_counts_datagrams_whatever_was_received() {
        let now = Instant::now();
        let rate = Arc::new(CheckRate::new(1_000_000, 1_000_000, now));
        let mut call = budget(&rate);
        call.credit(usize::MAX);
        let sent = (0..1_000)
            .filter(|_| call.spend(100, Reason::Candidate, now).is_ok())
            .count();
        assert_eq!(sent, 50);
        assert!(call.spend(100, Reason::Check, now).is_ok());
    }
}
