//! What is known of one destination, and what follows from each probe and each request.

use std::time::{Duration, Instant};

use crate::sip::trunk::config::HealthCheck;

/// How long a destination that failed a call is out where nothing probes it.
const OUT_FOR: Duration = Duration::from_secs(30);
/// The next probe after one that failed, or after a call that did.
const PROBE_AGAIN: Duration = Duration::from_secs(5);

/// What is known of one destination.
#[derive(Debug, Default)]
pub struct DestinationHealth {
    /// It is tried after all others.
    pub is_out: bool,
    /// Probes in a row that failed.
    failures: u32,
    /// It has answered a probe before, so that silence means something.
    answered: bool,
    /// It answers other requests and no probes: some peers drop OPTIONS.
    ignores_probes: bool,
    is_probing: bool,
    next_probe: Option<Instant>,
    /// When it comes back by itself.
    back_at: Option<Instant>,
}

/// What a failed probe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedProbe {
    /// The destination is out from now on, for this reason.
    pub out: Option<&'static str>,
    /// It has answered before: what waits for it goes elsewhere.
    pub lost: bool,
}

impl DestinationHealth {
    /// Probes begin at that time, unless they have begun.
    pub fn probe_from(&mut self, at: Instant) {
        self.next_probe.get_or_insert(at);
    }

    /// True where a probe may be sent now, which is under way then.
    pub fn begin_probe(&mut self) -> bool {
        !std::mem::replace(&mut self.is_probing, true)
    }

    /// True where a probe is due, which is under way then.
    pub fn begin_due_probe(&mut self, now: Instant) -> bool {
        self.next_probe.is_some_and(|at| at <= now) && self.begin_probe()
    }

    /// True when its time to come back by itself is over.
    pub fn take_back(&mut self, now: Instant) -> bool {
        self.back_at.take_if(|at| *at <= now).is_some()
    }

    /// A call failed here: true where the destination is out for it. `several` where its trunk has
    /// others.
    pub fn handle_request_failure(
        &mut self,
        several: bool,
        by_default: bool,
        now: Instant,
    ) -> bool {
        match &mut self.next_probe {
            Some(at) => {
                *at = (*at).min(now + PROBE_AGAIN);
                // A probe may never bring it back.
                if by_default && !self.answered {
                    self.back_at = Some(now + OUT_FOR);
                }
            }
            None if several => self.back_at = Some(now + OUT_FOR),
            // The only destination of its trunk, which nothing would bring back.
            None => return false,
        }
        true
    }

    /// A request that was no probe was answered: true where the destination turns out to ignore
    /// probes.
    pub fn handle_response(&mut self) -> bool {
        if self.answered || !self.is_out && self.failures == 0 {
            return false;
        }
        self.ignores_probes = true;
        self.failures = 0;
        self.back_at = None;
        true
    }

    /// A probe was answered.
    pub fn handle_probe_response(&mut self, check: HealthCheck, now: Instant) {
        self.is_probing = false;
        self.failures = 0;
        self.answered = true;
        self.ignores_probes = false;
        self.back_at = None;
        self.schedule(now + check.every);
    }

    /// A probe was not answered, or by what does not count.
    pub fn handle_probe_failure(&mut self, check: HealthCheck, now: Instant) -> FailedProbe {
        self.is_probing = false;
        if self.ignores_probes {
            self.schedule(now + check.every);
            return FailedProbe {
                out: None,
                lost: false,
            };
        }
        self.failures = self.failures.saturating_add(1);
        self.schedule(now + check.every.min(PROBE_AGAIN));
        let is_out = self.failures >= check.failures && self.next_probe.is_some();
        let why = match self.answered || !check.by_default {
            true => "probes failed",
            false => "has answered no OPTIONS yet",
        };
        FailedProbe {
            out: is_out.then_some(why),
            lost: self.answered,
        }
    }

    /// A destination that is not probed by itself, but on suspicion, stays so.
    fn schedule(&mut self, at: Instant) {
        if self.next_probe.is_some() {
            self.next_probe = Some(at);
        }
    }

    /// Whether it is known that a call to this destination, which is out, would be in vain.
    pub const fn is_certain(&self, by_default: bool) -> bool {
        !by_default || self.answered || self.back_at.is_some()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let probe = self.next_probe.filter(|_| !self.is_probing);
        [probe, self.back_at].into_iter().flatten().min()
    }
}
