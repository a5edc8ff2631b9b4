//! An endpoint as call control sees it: how events reach it, when it was last heard, and how many
//! incoming calls ring and are answered there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::client_event::EventSender;
use super::ids::EndpointId;

/// How many incoming calls one endpoint takes. Its outgoing calls are not among them.
#[derive(Clone, Copy, Debug)]
pub struct IncomingLimits {
    /// Calls that ring there at once.
    pub ringing: usize,
    /// Incoming calls answered there; with so many no further one rings.
    pub answered: usize,
}

/// One endpoint of a user.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name.
    pub id: EndpointId,
    /// How events reach it.
    pub sender: EventSender,
    /// What the endpoint and the calls that ring there share.
    pub state: Arc<EndpointState>,
}

impl Endpoint {
    /// An endpoint without calls that was never heard.
    pub fn new(id: EndpointId, sender: EventSender) -> Self {
        Endpoint {
            id,
            sender,
            state: Arc::default(),
        }
    }
}

/// What changes of an endpoint, without a lock.
#[derive(Debug, Default)]
pub struct EndpointState {
    last_heard: AtomicU64,
    ringing: AtomicUsize,
    answered: AtomicUsize,
}

impl EndpointState {
    /// Something came from the client, `at` milliseconds of a clock that all endpoints share.
    pub fn set_last_heard(&self, at: u64) {
        self.last_heard.store(at, Ordering::Relaxed);
    }

    /// When something last came, on that clock.
    pub fn last_heard(&self) -> u64 {
        self.last_heard.load(Ordering::Relaxed)
    }

    /// A place for one more call that rings, unless a limit is reached.
    pub(super) fn ring(self: &Arc<Self>, limits: IncomingLimits) -> Option<IncomingPlace> {
        if self.answered.load(Ordering::Acquire) >= limits.answered {
            return None;
        }
        let mut ringing = self.ringing.load(Ordering::Acquire);
        loop {
            if ringing >= limits.ringing {
                return None;
            }
            let more = self.ringing.compare_exchange_weak(
                ringing,
                ringing + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match more {
                Ok(_) => break,
                Err(now) => ringing = now,
            }
        }
        Some(IncomingPlace {
            state: Arc::clone(self),
            is_answered: false,
        })
    }
}

/// The place of one incoming call at an endpoint; free again when it is dropped.
#[derive(Debug)]
pub(super) struct IncomingPlace {
    state: Arc<EndpointState>,
    is_answered: bool,
}

impl IncomingPlace {
    /// The call is answered there: it rings no more.
    pub fn answer(&mut self) {
        if !self.is_answered {
            self.is_answered = true;
            self.state.answered.fetch_add(1, Ordering::AcqRel);
            self.state.ringing.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for IncomingPlace {
    fn drop(&mut self) {
        let counted = match self.is_answered {
            true => &self.state.answered,
            false => &self.state.ringing,
        };
        counted.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: IncomingLimits = IncomingLimits {
        ringing: 2,
        answered: 1,
    };

    #[test]
    fn ringing_calls_beyond_the_limit_get_no_place() {
        let state = Arc::<EndpointState>::default();
        let first = state.ring(LIMITS).expect("the first rings");
        let _second = state.ring(LIMITS).expect("the second rings");
        assert!(state.ring(LIMITS).is_none());
        drop(first);
        assert!(state.ring(LIMITS).is_some());
    }

    #[test]
    fn answered_call_leaves_its_ringing_place() {
        let state = Arc::<EndpointState>::default();
        let mut first = state.ring(LIMITS).expect("the first rings");
        let second = state.ring(LIMITS).expect("the second rings");
        first.answer();
        first.answer();
        assert!(state.ring(LIMITS).is_none(), "one answered call is allowed");
        drop(second);
        assert!(state.ring(LIMITS).is_none());
        drop(first);
        assert_eq!(state.ringing.load(Ordering::Acquire), 0);
        assert_eq!(state.answered.load(Ordering::Acquire), 0);
        assert!(state.ring(LIMITS).is_some());
    }

    #[test]
    fn limit_of_zero_lets_nothing_ring() {
        let state = Arc::<EndpointState>::default();
        let none = IncomingLimits {
            ringing: 0,
            ..LIMITS
        };
        assert!(state.ring(none).is_none());
    }
}
