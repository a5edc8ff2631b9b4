//! The timer values of RFC 3261 table 4.

use std::time::Duration;

/// T1, T2, T4 and what follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Estimate of the round trip.
    pub t1: Duration,
    /// Longest interval between retransmissions.
    pub t2: Duration,
    /// Longest time a message stays in the network.
    pub t4: Duration,
    /// Timers B and F: how long a client waits, 64 * T1 unless the peer's configuration says otherwise.
    pub give_up: Duration,
    /// True when the transport repeats what is lost.
    pub reliable: bool,
}

impl Timers {
    /// The values of RFC 3261 for one kind of transport.
    pub const fn new(reliable: bool) -> Self {
        Timers {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            give_up: Duration::from_secs(32),
            reliable,
        }
    }

    /// The same with another wait for answers.
    #[must_use]
    pub const fn with_give_up(mut self, give_up: Duration) -> Self {
        self.give_up = give_up;
        self
    }

    /// 64 * T1: timers H, J, L and M.
    pub fn lifetime(&self) -> Duration {
        self.t1 * 64
    }

    /// Zero on a reliable transport: timers D, I, J and K.
    pub fn unless_reliable(&self, wait: Duration) -> Duration {
        if self.reliable { Duration::ZERO } else { wait }
    }
}
