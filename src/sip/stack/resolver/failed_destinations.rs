//! Destinations that failed lately: while others of the same host are left, those are tried first
//! (RFC 3263 section 4.3).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::procedure::Destination;

/// Most destinations held as failed.
const FAILED_LIMIT: usize = 1_000;
/// Most peers held as without TCP.
const WITHOUT_TCP_LIMIT: usize = 1_000;
/// A peer that refused TCP is not tried by TCP again for this long.
const WITHOUT_TCP_FOR: Duration = Duration::from_secs(600);

/// A destination that is tried after others.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    /// When it is tried in its turn again.
    pub until: Instant,
    /// It asked for this time itself (Retry-After): an answer to a probe does not end it.
    pub requested: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct FailedDestinations {
    failed: HashMap<Destination, Failure>,
    without_tcp: HashMap<SocketAddr, Instant>,
}

impl FailedDestinations {
    /// Notes a failure; of two the one that lasts longer counts.
    pub fn fail(&mut self, destination: Destination, failure: Failure) {
        if self.failed.len() >= FAILED_LIMIT {
            self.failed.clear();
        }
        let held = self.failed.entry(destination).or_insert(failure);
        if held.until < failure.until {
            *held = failure;
        }
    }

    /// The destination answers again: its failure is over, unless it asked for the time itself.
    pub fn recover(&mut self, destination: Destination) {
        let held = self.failed.get(&destination);
        if held.is_some_and(|failure| !failure.requested) {
            self.failed.remove(&destination);
        }
    }

    /// Puts those that failed behind all others.
    pub fn sort(&mut self, destinations: &mut [Destination], now: Instant) {
        if self.failed.is_empty() {
            return;
        }
        self.failed.retain(|_, failure| failure.until > now);
        destinations.sort_by_key(|destination| self.failed.contains_key(destination));
    }

    /// Notes that a peer refused TCP for a request that is too large for a datagram.
    pub fn refuse_tcp(&mut self, peer: SocketAddr, now: Instant) {
        if self.without_tcp.len() >= WITHOUT_TCP_LIMIT {
            self.without_tcp.clear();
        }
        self.without_tcp.insert(peer, now);
    }

    /// True while large requests go to this peer by UDP.
    pub fn has_refused_tcp(&self, peer: SocketAddr, now: Instant) -> bool {
        let since = self.without_tcp.get(&peer);
        since.is_some_and(|since| *since + WITHOUT_TCP_FOR > now)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time needs a start")]
mod tests {
    use super::*;
    use crate::sip::stack::transport_protocol::Transport;

    const SECOND: Duration = Duration::from_secs(1);

    fn destination(host: u8) -> Destination {
        Destination {
            transport: Transport::Udp,
            address: ([192, 0, 2, host], 5060).into(),
        }
    }

    fn order(failed: &mut FailedDestinations, now: Instant) -> Vec<Destination> {
        let mut both = vec![destination(1), destination(2)];
        failed.sort(&mut both, now);
        both
    }

    #[test]
    fn failed_destination_comes_last_until_its_time() {
        let now = Instant::now();
        let mut failed = FailedDestinations::default();
        let requested = false;
        let until = now + 30 * SECOND;
        failed.fail(destination(1), Failure { until, requested });
        // A shorter failure does not shorten it.
        let until = now + SECOND;
        failed.fail(destination(1), Failure { until, requested });
        let reversed = [destination(2), destination(1)];
        assert_eq!(order(&mut failed, now + 29 * SECOND), reversed);
        let given = [destination(1), destination(2)];
        assert_eq!(order(&mut failed, now + 30 * SECOND), given);
    }

    #[test]
    fn recovery_ends_a_failure_but_not_a_retry_after() {
        let now = Instant::now();
        let mut failed = FailedDestinations::default();
        for (host, requested) in [(1, true), (2, false)] {
            let until = now + 30 * SECOND;
            failed.fail(destination(host), Failure { until, requested });
            failed.recover(destination(host));
        }
        assert_eq!(order(&mut failed, now), [destination(2), destination(1)]);
    }

    #[test]
    fn tcp_refusal_holds_ten_minutes_for_its_peer_only() {
        let now = Instant::now();
        let mut failed = FailedDestinations::default();
        failed.refuse_tcp(destination(1).address, now);
        let at = |failed: &FailedDestinations, host, seconds| {
            failed.has_refused_tcp(destination(host).address, now + seconds * SECOND)
        };
        assert!(at(&failed, 1, 599));
        assert!(!at(&failed, 1, 600));
        assert!(!at(&failed, 2, 0));
    }

    #[test]
    fn failed_destinations_are_bounded() {
        let now = Instant::now();
        let mut failed = FailedDestinations::default();
        for number in 0..10_000_u32 {
            let destination = Destination {
                transport: Transport::Udp,
                address: (number.to_be_bytes(), 5060).into(),
            };
            let until = now + SECOND;
            let requested = false;
            failed.fail(destination, Failure { until, requested });
            failed.refuse_tcp(destination.address, now);
        }
        assert!(failed.failed.len() <= FAILED_LIMIT);
        assert!(failed.without_tcp.len() <= WITHOUT_TCP_LIMIT);
    }
}
