//! The pool of RTP ports: even for RTP, the odd one above for RTCP (RFC 3550 section 11).
//!
//! A pair that a call gave back rests for a while ("drains") before another call gets it. The
//! far end of the old call may still send: its BYE is on its way, or its last packets are in
//! flight. On a fresh call those packets would be heard, and symmetric RTP could settle on
//! their source. Two seconds cover a BYE that is lost twice (retransmitted after 0.5 s and again
//! after 1 s more, RFC 3261 section 17.1.2.2) and the answer's way back; pairs are also handed
//! out in the order in which they came back, so that in practice the rest is much longer.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: a lease that ends reads the clock, since its end is a drop"
)]

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Error;
use crate::dscp::Dscp;

/// How long a pair rests when the configuration does not say.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(2);

/// How many pairs that some other process holds one reservation skips before it gives up: a
/// bound on the system calls under the lock.
const SKIP_LIMIT: usize = 256;

/// Which ports, and how long they rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortsConfig {
    /// The local address that the sockets are bound to.
    pub address: IpAddr,
    /// The ports, both ends included; an odd first and an even last port stay unused.
    pub range: RangeInclusive<u16>,
    /// How long a pair rests after a call.
    pub drain: Duration,
    /// How RTP and RTCP are marked.
    pub dscp: Dscp,
}

impl PortsConfig {
    /// Packets that are not marked.
    pub fn new(address: IpAddr, range: RangeInclusive<u16>, drain: Duration) -> Self {
        PortsConfig {
            address,
            range,
            drain,
            dscp: Dscp::DEFAULT,
        }
    }
}

/// The pairs of a range: which are free, which rest. Pure; the sockets are [`Ports`]'s.
#[derive(Debug)]
struct Pairs {
    /// RTP ports that rest or are free, the longest unused at the front, each with the end of
    /// its rest.
    idle: VecDeque<(u16, Option<Instant>)>,
    drain: Duration,
}

impl Pairs {
    fn new(range: RangeInclusive<u16>, drain: Duration) -> Self {
        let last = *range.end();
        let idle = range
            .filter(|port| *port != 0 && port % 2 == 0 && *port < last)
            .map(|port| (port, None))
            .collect();
        Pairs { idle, drain }
    }

    /// The longest unused pair, if its rest is over. Rests end in the order in which they began,
    /// so that nobody behind the front can be ready earlier.
    fn take(&mut self, now: Instant) -> Option<u16> {
        let (_, rests_until) = self.idle.front()?;
        if rests_until.is_some_and(|until| now < until) {
            return None;
        }
        self.idle.pop_front().map(|(port, _)| port)
    }

    fn give_back(&mut self, port: u16, now: Instant) {
        self.idle.push_back((port, Some(now + self.drain)));
    }

    /// Puts back a pair that some other process holds: no rest, but the end of the queue.
    fn postpone(&mut self, port: u16, now: Instant) {
        let ready = self
            .idle
            .back()
            .and_then(|(_, until)| *until)
            .filter(|until| *until > now);
        self.idle.push_back((port, ready));
    }
}

/// The pool of RTP port pairs on one local address. Clones share it.
#[derive(Clone, Debug)]
pub struct Ports {
    address: IpAddr,
    dscp: Dscp,
    range: (u16, u16),
    pairs: Arc<Mutex<Pairs>>,
}

/// A pair in use; when it drops, the pair begins to rest.
#[derive(Debug)]
pub struct Lease {
    port: u16,
    pairs: Arc<Mutex<Pairs>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.pairs).give_back(self.port, Instant::now());
    }
}

/// The sockets of one call's PBX side. They do not block.
#[derive(Debug)]
pub struct RtpSockets {
    // The order matters: fields drop in it, and the sockets are to be closed before the lease
    // gives the pair back.
    /// Bound to [`RtpSockets::local`].
    pub rtp: UdpSocket,
    /// Bound to the port above.
    pub rtcp: UdpSocket,
    /// The address of RTP, for the SDP.
    pub local: SocketAddr,
    /// Keeps the pair out of the pool.
    pub lease: Lease,
}

impl Ports {
    /// A pool. Refuses a range without a single pair.
    pub fn new(config: &PortsConfig) -> Result<Self, Error> {
        let pairs = Pairs::new(config.range.clone(), config.drain);
        let range = (*config.range.start(), *config.range.end());
        if pairs.idle.is_empty() {
            return Err(Error::PortRange {
                first: range.0,
                last: range.1,
            });
        }
        Ok(Ports {
            address: config.address,
            dscp: config.dscp,
            range,
            pairs: Arc::new(Mutex::new(pairs)),
        })
    }

    /// The local address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many pairs are in no call's hands, the resting ones included.
    pub fn idle(&self) -> usize {
        lock(&self.pairs).idle.len()
    }

    /// Takes the longest unused pair and binds it. Pairs that some other process holds are
    /// skipped.
    pub fn reserve(&self) -> Result<RtpSockets, Error> {
        let exhausted = Error::PortsExhausted {
            address: self.address,
            first: self.range.0,
            last: self.range.1,
        };
        let mut pairs = lock(&self.pairs);
        let attempts = pairs.idle.len().min(SKIP_LIMIT);
        for _ in 0..attempts {
            let Some(port) = pairs.take(Instant::now()) else {
                break;
            };
            match bind_pair(self.address, port, self.dscp) {
                Ok((rtp, rtcp)) => {
                    let lease = Lease {
                        port,
                        pairs: Arc::clone(&self.pairs),
                    };
                    let local = SocketAddr::new(self.address, port);
                    return Ok(RtpSockets {
                        rtp,
                        rtcp,
                        local,
                        lease,
                    });
                }
                Err(error) => {
                    pairs.postpone(port, Instant::now());
                    // Out of descriptors, no such address: the next pair fares no better.
                    if error.kind() != io::ErrorKind::AddrInUse
                        && error.kind() != io::ErrorKind::PermissionDenied
                    {
                        let address = SocketAddr::new(self.address, port);
                        return Err(Error::Socket {
                            address,
                            source: error,
                        });
                    }
                }
            }
        }
        Err(exhausted)
    }
}

fn bind_pair(address: IpAddr, port: u16, dscp: Dscp) -> io::Result<(UdpSocket, UdpSocket)> {
    let rtp = UdpSocket::bind((address, port))?;
    let rtcp = UdpSocket::bind((address, port + 1))?;
    // Best effort: audio without its mark is better than none.
    let _ = (dscp.mark(&rtp), dscp.mark(&rtcp));
    rtp.set_nonblocking(true)?;
    rtcp.set_nonblocking(true)?;
    Ok((rtp, rtcp))
}

/// Nothing under this lock can leave the queue half changed, so a panic elsewhere does not
/// spoil it.
fn lock(pairs: &Mutex<Pairs>) -> MutexGuard<'_, Pairs> {
    pairs.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(2);

    fn pool(range: RangeInclusive<u16>) -> Pairs {
        Pairs::new(range, DRAIN)
    }

    #[test]
    fn a_range_is_cut_to_whole_pairs_that_begin_even() {
        let ports = |range| {
            pool(range)
                .idle
                .iter()
                .map(|(port, _)| *port)
                .collect::<Vec<_>>()
        };
        assert_eq!(ports(10_001..=10_006), [10_002, 10_004]);
        assert_eq!(ports(10_000..=10_003), [10_000, 10_002]);
        assert!(ports(10_000..=10_000).is_empty());
        assert_eq!(ports(65_534..=65_535), [65_534]);
    }

    #[test]
    fn a_pair_rests_before_it_is_used_again() {
        let now = Instant::now();
        let mut pairs = pool(10_000..=10_001);
        assert_eq!(pairs.take(now), Some(10_000));
        assert_eq!(pairs.take(now), None);
        pairs.give_back(10_000, now);
        assert_eq!(pairs.take(now + DRAIN - Duration::from_millis(1)), None);
        assert_eq!(pairs.take(now + DRAIN), Some(10_000));
    }

    #[test]
    fn the_longest_unused_pair_comes_first() {
        let now = Instant::now();
        let mut pairs = pool(10_000..=10_005);
        assert_eq!(pairs.take(now), Some(10_000));
        assert_eq!(pairs.take(now), Some(10_002));
        pairs.give_back(10_002, now);
        pairs.give_back(10_000, now);
        let later = now + DRAIN * 2;
        assert_eq!(pairs.take(later), Some(10_004));
        assert_eq!(pairs.take(later), Some(10_002));
        assert_eq!(pairs.take(later), Some(10_000));
    }

    #[test]
    fn a_pair_of_another_process_neither_blocks_nor_jumps_the_queue() {
        let now = Instant::now();
        let mut pairs = pool(10_000..=10_003);
        assert_eq!(pairs.take(now), Some(10_000));
        pairs.postpone(10_000, now);
        assert_eq!(pairs.take(now), Some(10_002));
        assert_eq!(pairs.take(now), Some(10_000));
        pairs.give_back(10_002, now);
        pairs.postpone(10_000, now);
        assert_eq!(pairs.take(now), None);
        assert_eq!(pairs.take(now + DRAIN), Some(10_002));
        assert_eq!(pairs.take(now + DRAIN), Some(10_000));
    }
}
