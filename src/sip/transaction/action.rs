//! What a transaction asks of the user agent above it.

use bytes::Bytes;

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
