//! The resolver: what is known of names, which requests wait for DNS responses, which destinations
//! failed. Pure: it takes DNS responses and the time, gives DNS queries and the requests that can
//! go on.

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use rand::rngs::StdRng;

use super::dns_cache::{DnsCache, Resolution};
use super::failed_destinations::{FailedDestinations, Failure};
use super::pending::PendingResolutions;
use super::prefetch::Prefetch;
use super::procedure::{Destination, SupportedTransports};
use super::record::{DnsQuery, DnsResponse};
use crate::sip::stack::next_hop::NextHop;

/// Most hosts without an address that are remembered, so that each is reported once.
const UNRESOLVABLE_LIMIT: usize = 1_000;

/// What the resolver's owner is asked for, or told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolverEvent {
    /// A DNS query is wanted; its response goes to [`Resolver::handle_response`], in any case.
    Query(DnsQuery),
    /// A host that a request should go to has no address that we can send to.
    Unresolvable {
        /// Its name.
        host: String,
    },
}

/// The resolver, with requests of type `R` that wait in it.
#[derive(Debug)]
pub struct Resolver<R> {
    cache: DnsCache,
    pending: PendingResolutions<R>,
    prefetch: Prefetch,
    failed: FailedDestinations,
    /// Hosts that were reported.
    unresolvable: HashSet<String>,
    events: VecDeque<ResolverEvent>,
}

impl<R> Resolver<R> {
    /// A resolver that knows no name.
    pub fn new(supported: SupportedTransports) -> Self {
        Resolver {
            cache: DnsCache::new(supported),
            pending: PendingResolutions::new(),
            prefetch: Prefetch::default(),
            failed: FailedDestinations::default(),
            unresolvable: HashSet::new(),
            events: VecDeque::new(),
        }
    }

    /// The destinations of `hop` for a request, those that failed lately last. While responses are
    /// missing the request belongs into [`Resolver::hold`].
    pub fn resolve(&mut self, hop: &NextHop, random: &mut StdRng, now: Instant) -> Resolution {
        match self.look_up(hop, random, now) {
            Resolution::Destinations(found) => {
                Resolution::Destinations(self.for_request(hop, found, now))
            }
            Resolution::Pending => Resolution::Pending,
        }
    }

    /// The same from what is known by now, for a request that cannot wait longer.
    pub fn resolve_known(
        &mut self,
        hop: &NextHop,
        random: &mut StdRng,
        now: Instant,
    ) -> Vec<Destination> {
        let found = self.look_up_known(hop, random, now);
        self.for_request(hop, found, now)
    }

    /// The destinations of `hop` in the order of the DNS, whether they failed or not.
    pub fn look_up(&mut self, hop: &NextHop, random: &mut StdRng, now: Instant) -> Resolution {
        self.cache.resolve(hop, random, now)
    }

    /// The same from what is known by now.
    pub fn look_up_known(
        &mut self,
        hop: &NextHop,
        random: &mut StdRng,
        now: Instant,
    ) -> Vec<Destination> {
        self.cache.resolve_now(hop, random, now)
    }

    /// True when an address is one of those that `hop` was resolved to. Queries nothing.
    pub fn is_at(&self, hop: &NextHop, source: IpAddr) -> bool {
        self.cache.is_at(hop, source)
    }

    fn for_request(
        &mut self,
        hop: &NextHop,
        mut destinations: Vec<Destination>,
        now: Instant,
    ) -> Vec<Destination> {
        if destinations.is_empty() {
            if self.unresolvable.len() < UNRESOLVABLE_LIMIT
                && self.unresolvable.insert(hop.host.clone())
            {
                let host = hop.host.clone();
                self.events.push_back(ResolverEvent::Unresolvable { host });
            }
        } else if !self.unresolvable.is_empty() {
            self.unresolvable.remove(&hop.host);
        }
        self.failed.sort(&mut destinations, now);
        destinations
    }

    /// Holds a request whose next hop is not resolved, and that waits since then; gives it back
    /// when too many wait.
    pub fn hold(&mut self, request: R, since: Instant) -> Result<(), R> {
        self.pending.hold(request, since)
    }

    /// Drops the requests that nobody waits for any more.
    pub fn cancel(&mut self, is_cancelled: impl Fn(&R) -> bool) {
        self.pending.cancel(is_cancelled);
    }

    /// Keeps these next hops resolved from now on; until they are for the first time
    /// [`Resolver::is_ready`] is false.
    pub fn keep_resolved(&mut self, hops: Vec<NextHop>, random: &mut StdRng, now: Instant) {
        self.prefetch.keep(hops.clone(), now);
        self.prefetch(hops, random, now);
        self.prefetch.require_first();
    }

    /// Resolves these next hops before a request needs them.
    pub fn prefetch(&mut self, hops: Vec<NextHop>, random: &mut StdRng, now: Instant) {
        for hop in hops {
            if self.look_up(&hop, random, now) == Resolution::Pending {
                self.prefetch.wait(hop);
            }
        }
    }

    /// True while DNS responses for a prefetched next hop are missing.
    pub fn is_unresolved(&self, hop: &NextHop) -> bool {
        self.prefetch.is_unresolved(hop)
    }

    /// True once every next hop that is kept resolved was resolved, or missed, for the first time.
    pub const fn is_ready(&self) -> bool {
        self.prefetch.is_ready()
    }

    /// Takes the response to a query. Gives the requests that waited: each is to be resolved anew,
    /// and may have to wait again.
    pub fn handle_response(
        &mut self,
        query: &DnsQuery,
        response: DnsResponse,
        random: &mut StdRng,
        now: Instant,
    ) -> Vec<R> {
        self.cache.take(query, response, now);
        let unresolved = self.prefetch.take_unresolved();
        self.prefetch(unresolved, random, now);
        self.prefetch.finish_first();
        self.pending.take_all()
    }

    /// Resolves what is due to be kept resolved. Gives the requests that have waited too long: they
    /// go on by [`Resolver::resolve_known`].
    pub fn handle_timeout(&mut self, random: &mut StdRng, now: Instant) -> Vec<R> {
        let due = self.prefetch.take_due(now);
        self.prefetch(due, random, now);
        self.pending.take_expired(now)
    }

    /// When [`Resolver::handle_timeout`] is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let pending = self.pending.poll_timeout();
        [pending, self.prefetch.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next event, queries first.
    pub fn poll_event(&mut self) -> Option<ResolverEvent> {
        let query = self.cache.poll_query().map(ResolverEvent::Query);
        query.or_else(|| self.events.pop_front())
    }

    /// A destination failed: for a while others of its host come first.
    pub fn fail(&mut self, destination: Destination, failure: Failure) {
        self.failed.fail(destination, failure);
    }

    /// A destination answers again.
    pub fn recover(&mut self, destination: Destination) {
        self.failed.recover(destination);
    }

    /// A peer refused TCP for a request that is too large for a datagram.
    pub fn refuse_tcp(&mut self, peer: SocketAddr, now: Instant) {
        self.failed.refuse_tcp(peer, now);
    }

    /// True while large requests go to this peer by UDP.
    pub fn has_refused_tcp(&self, peer: SocketAddr, now: Instant) -> bool {
        self.failed.has_refused_tcp(peer, now)
    }
}
