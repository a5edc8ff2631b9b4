//! What a transaction asks of the user agent above it.

use bytes::Bytes;
use smallvec::SmallVec;

/// What one input makes a transaction send.
pub type Ready = SmallVec<[Bytes; 2]>;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send these bytes where the transaction sends.
    Transmit(Bytes),
    /// The message just handled goes up: it is new to the user.
    Deliver,
    /// No final response came (timers B and F), or no ACK (timer H).
    TimedOut,
}

/// What is to do, the first first. One input asks for two things at most, and a transaction that
/// waits for its last timer holds no memory beside itself.
#[derive(Debug, Default)]
pub(super) struct Actions(SmallVec<[Action; 2]>);

impl Actions {
    /// Adds one after the others.
    pub(super) fn push_back(&mut self, action: Action) {
        self.0.push(action);
    }

    /// Takes the first.
    pub(super) fn pop_front(&mut self) -> Option<Action> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }
}

impl From<Action> for Actions {
    fn from(action: Action) -> Self {
        Actions(smallvec::smallvec![action])
    }
}
