//! Requests whose next hop is not resolved yet.

use std::time::{Duration, Instant};

/// Most requests that wait.
const PENDING_LIMIT: usize = 1_000;
/// Longest wait; then the request goes where what is known by then leads.
const RESOLUTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The requests, in the order in which they came.
#[derive(Debug)]
pub struct PendingResolutions<R> {
    requests: Vec<(R, Instant)>,
}

impl<R> PendingResolutions<R> {
    /// None yet.
    pub const fn new() -> Self {
        PendingResolutions {
            requests: Vec::new(),
        }
    }

    /// Holds a request that waits since then; gives it back when too many wait.
    pub fn hold(&mut self, request: R, since: Instant) -> Result<(), R> {
        if self.requests.len() >= PENDING_LIMIT {
            return Err(request);
        }
        self.requests.push((request, since));
        Ok(())
    }

    /// Drops those.
    pub fn cancel(&mut self, is_cancelled: impl Fn(&R) -> bool) {
        self.requests.retain(|(request, _)| !is_cancelled(request));
    }

    /// Takes all of them: each is resolved anew.
    pub fn take_all(&mut self) -> Vec<R> {
        let all = std::mem::take(&mut self.requests);
        all.into_iter().map(|(request, _)| request).collect()
    }

    /// Takes those that have waited for the longest time allowed.
    pub fn take_expired(&mut self, now: Instant) -> Vec<R> {
        let all = std::mem::take(&mut self.requests);
        let (expired, waiting) = all
            .into_iter()
            .partition(|(_, since)| *since + RESOLUTION_TIMEOUT <= now);
        self.requests = waiting;
        let expired: Vec<(R, Instant)> = expired;
        expired.into_iter().map(|(request, _)| request).collect()
    }

    /// When the first of them has waited long enough.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let first = self.requests.iter().map(|(_, since)| *since).min();
        first.map(|since| since + RESOLUTION_TIMEOUT)
    }
}
