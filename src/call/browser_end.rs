//! Where the browser's end of a call is: at endpoints that ring, at the one that has the call, or at
//! none for a while.

use std::time::{Duration, Instant};

use super::EndReason;
use super::ids::EndpointId;

/// The browser's end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrowserEnd {
    /// The call is offered to these endpoints of the user; one of them may take it.
    Ringing(Vec<EndpointId>),
    /// This endpoint has the call.
    Attached(EndpointId),
    /// The endpoint that had the call is lost. The call goes on, and another one may take it up.
    Detached {
        /// When the call ends for want of an endpoint.
        until: Instant,
        /// Why it ends then.
        reason: EndReason,
    },
}

/// What follows from a new endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attachment {
    /// It rings there too.
    Rings,
    /// It has the call, and this one has it no longer.
    Resumed(Option<EndpointId>),
}

impl BrowserEnd {
    /// Whether an endpoint is one of the call's.
    pub fn has(&self, endpoint: EndpointId) -> bool {
        match self {
            BrowserEnd::Ringing(endpoints) => endpoints.contains(&endpoint),
            BrowserEnd::Attached(attached) => *attached == endpoint,
            BrowserEnd::Detached { .. } => false,
        }
    }

    /// Whether no endpoint has the call, although one had it.
    pub const fn is_detached(&self) -> bool {
        matches!(self, BrowserEnd::Detached { .. })
    }

    /// One endpoint that rings takes the call; gives the others, which no longer ring.
    pub(super) fn select(&mut self, endpoint: EndpointId) -> Vec<EndpointId> {
        match std::mem::replace(self, BrowserEnd::Attached(endpoint)) {
            BrowserEnd::Ringing(mut endpoints) => {
                endpoints.retain(|other| *other != endpoint);
                endpoints
            }
            BrowserEnd::Attached(_) | BrowserEnd::Detached { .. } => Vec::new(),
        }
    }

    /// An endpoint that rings leaves the call to others; false where there are none.
    pub(super) fn leave(&mut self, endpoint: EndpointId) -> bool {
        let BrowserEnd::Ringing(endpoints) = self else {
            return false;
        };
        if endpoints.iter().all(|other| *other == endpoint) {
            return false;
        }
        endpoints.retain(|other| *other != endpoint);
        true
    }

    /// One more endpoint of the user rings, or takes the call up.
    pub(super) fn attach(&mut self, endpoint: EndpointId) -> Attachment {
        if let BrowserEnd::Ringing(endpoints) = self {
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
            return Attachment::Rings;
        }
        let before = std::mem::replace(self, BrowserEnd::Attached(endpoint));
        Attachment::Resumed(match before {
            BrowserEnd::Attached(before) if before != endpoint => Some(before),
            _ => None,
        })
    }

    /// An endpoint is lost. Gives the reason where the call ends with it: it was the last that rang,
    /// or it had the call and there is no `grace`.
    pub(super) fn detach(
        &mut self,
        endpoint: EndpointId,
        reason: EndReason,
        grace: Duration,
        now: Instant,
    ) -> Option<EndReason> {
        if !self.has(endpoint) || self.leave(endpoint) {
            return None;
        }
        // Only a connection can come back: a token that has expired gives no right to the call.
        let is_resumable = reason == EndReason::SignalingLost && !grace.is_zero();
        if matches!(self, BrowserEnd::Attached(_)) && is_resumable {
            let until = now + grace;
            *self = BrowserEnd::Detached { until, reason };
            return None;
        }
        Some(reason)
    }

    /// When [`BrowserEnd::handle_timeout`] wants to be called next.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        match self {
            BrowserEnd::Detached { until, .. } => Some(*until),
            BrowserEnd::Ringing(_) | BrowserEnd::Attached(_) => None,
        }
    }

    /// Time has passed: the reason where the call ends, since no endpoint came back.
    pub(super) fn handle_timeout(&self, now: Instant) -> Option<EndReason> {
        match self {
            BrowserEnd::Detached { until, reason } if *until <= now => Some(*reason),
            _ => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant serves")]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(45);
    const LOST: EndReason = EndReason::SignalingLost;
    const A: EndpointId = EndpointId(1);
    const B: EndpointId = EndpointId(2);

    #[test]
    fn last_ringing_endpoint_lost_ends_the_call_without_grace() {
        let mut end = BrowserEnd::Ringing(vec![A, B]);
        assert_eq!(end.detach(A, LOST, GRACE, Instant::now()), None);
        assert_eq!(end, BrowserEnd::Ringing(vec![B]));
        assert_eq!(end.detach(A, LOST, GRACE, Instant::now()), None);
        assert_eq!(end.detach(B, LOST, GRACE, Instant::now()), Some(LOST));
    }

    #[test]
    fn attached_endpoint_lost_ends_the_call_after_the_grace() {
        let now = Instant::now();
        let mut end = BrowserEnd::Attached(A);
        assert_eq!(end.detach(B, LOST, GRACE, now), None);
        assert_eq!(end, BrowserEnd::Attached(A), "another endpoint's loss");
        assert_eq!(end.detach(A, LOST, GRACE, now), None);
        assert_eq!(end.poll_timeout(), Some(now + GRACE));
        assert_eq!(end.handle_timeout(now + GRACE / 2), None);
        assert_eq!(end.handle_timeout(now + GRACE), Some(LOST));
    }

    #[test]
    fn loss_without_grace_or_by_expired_token_ends_the_call_at_once() {
        let now = Instant::now();
        let expired = EndReason::TokenExpired;
        for (reason, grace) in [(LOST, Duration::ZERO), (expired, GRACE)] {
            let mut end = BrowserEnd::Attached(A);
            assert_eq!(end.detach(A, reason, grace, now), Some(reason));
        }
    }

    #[test]
    fn endpoint_that_attaches_rings_or_takes_the_call_up() {
        let now = Instant::now();
        let mut end = BrowserEnd::Ringing(vec![A]);
        assert_eq!(end.attach(B), Attachment::Rings);
        assert_eq!(end.attach(B), Attachment::Rings);
        assert_eq!(end, BrowserEnd::Ringing(vec![A, B]));
        assert_eq!(end.select(B), [A]);
        assert_eq!(end.attach(B), Attachment::Resumed(None));
        assert_eq!(end.attach(A), Attachment::Resumed(Some(B)));
        assert_eq!(end.detach(A, LOST, GRACE, now), None);
        assert_eq!(end.attach(B), Attachment::Resumed(None));
        assert_eq!(end, BrowserEnd::Attached(B));
        assert_eq!(end.poll_timeout(), None);
    }

    #[test]
    fn only_ringing_endpoint_cannot_leave_the_call_to_others() {
        let mut end = BrowserEnd::Ringing(vec![A, B]);
        assert!(end.leave(A));
        assert!(!end.leave(B));
        assert!(!BrowserEnd::Attached(A).leave(A));
    }
}
