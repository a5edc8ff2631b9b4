//! What is known of names, for how long, and what is being asked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::procedure::{Destination, Procedure, SupportedTransports};
use super::record::{DnsQuery, DnsResponse, Records};
use crate::sip::stack::next_hop::NextHop;

/// Most names held.
const MOST_NAMES: usize = 2_048;
/// Most lookups under way.
const MOST_QUERIES: usize = 256;
/// Bounds on how long an answer is fresh: a zone that says 0 is not asked for every request.
const SHORTEST_FRESH: Duration = Duration::from_secs(1);
const LONGEST_FRESH: Duration = Duration::from_secs(24 * 3_600);
/// The same for the answer that there is nothing (RFC 2308 section 5 advises against more).
const LONGEST_ABSENT: Duration = Duration::from_secs(3 * 3_600);
/// A name whose lookup failed is asked again after this long (RFC 8767 section 5).
const FAILED_FOR: Duration = Duration::from_secs(30);
/// How long an answer serves beyond its time, while it is asked anew or nobody answers (RFC 8767
/// section 4).
const STALE_FOR: Duration = Duration::from_secs(24 * 3_600);

/// The names and what is known of them.
#[derive(Debug)]
pub struct DnsCache {
    supported: SupportedTransports,
    names: HashMap<DnsQuery, Known>,
    queries: VecDeque<DnsQuery>,
    /// Lookups under way.
    asked: HashSet<DnsQuery>,
}

#[derive(Debug)]
struct Known {
    records: Records,
    fresh_until: Instant,
    serves_until: Instant,
    used: Instant,
}

/// What came of [`DnsCache::resolve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Where to send, the first first; empty when the names lead nowhere.
    Destinations(Vec<Destination>),
    /// Answers are missing.
    Pending,
}

impl DnsCache {
    /// A cache that knows no name.
    pub fn new(supported: SupportedTransports) -> Self {
        DnsCache {
            supported,
            names: HashMap::new(),
            queries: VecDeque::new(),
            asked: HashSet::new(),
        }
    }

    /// The destinations of `hop` (RFC 3263 section 4). What is missing or no longer fresh is asked.
    pub fn resolve(&mut self, hop: &NextHop, random: &mut StdRng, now: Instant) -> Resolution {
        let (destinations, missing) = self.run(hop, random, now);
        let mut waits = false;
        for query in missing {
            waits |= self.ask(query);
        }
        if waits {
            Resolution::Pending
        } else {
            Resolution::Destinations(destinations)
        }
    }

    /// The destinations of `hop` from what is known by now, for a request that cannot wait longer.
    pub fn resolve_now(
        &mut self,
        hop: &NextHop,
        random: &mut StdRng,
        now: Instant,
    ) -> Vec<Destination> {
        self.run(hop, random, now).0
    }

    /// True when an address is one of those that `hop` was found at. Asks nothing.
    pub fn is_at(&self, hop: &NextHop, source: IpAddr) -> bool {
        // The order does not matter here.
        let mut random = StdRng::seed_from_u64(0);
        let mut known = |query: &DnsQuery| {
            self.names
                .get(query)
                .map(|known| known.records.clone())
                .or(Some(Records::Absent))
        };
        let mut procedure = Procedure {
            supported: &self.supported,
            known: &mut known,
            random: &mut random,
            missing: Vec::new(),
        };
        procedure
            .run(hop)
            .iter()
            .any(|destination| destination.address.ip().to_canonical() == source)
    }

    /// The next lookup to make; its answer comes by [`DnsCache::take`].
    pub fn poll_query(&mut self) -> Option<DnsQuery> {
        self.queries.pop_front()
    }

    /// Takes the answer to a query.
    pub fn take(&mut self, query: &DnsQuery, answer: DnsResponse, now: Instant) {
        if !self.asked.remove(query) {
            return;
        }
        let known = match answer {
            DnsResponse::Known { records, ttl } => {
                let longest = match records {
                    Records::Absent => LONGEST_ABSENT,
                    _ => LONGEST_FRESH,
                };
                let fresh_until = now + ttl.clamp(SHORTEST_FRESH, longest);
                Known {
                    records,
                    fresh_until,
                    serves_until: fresh_until + STALE_FOR,
                    used: now,
                }
            }
            // What an earlier lookup found goes on to serve.
            DnsResponse::Failed { .. } => {
                if let Some(known) = self.names.get_mut(query)
                    && known.serves_until > now
                {
                    known.fresh_until = now + FAILED_FOR;
                    return;
                }
                // A server that cannot do NAPTR or SRV must not make every call wait for it;
                // without an address there is nothing to do but wait.
                let serves = match query {
                    DnsQuery::Naptr(_) | DnsQuery::Srv(_) => STALE_FOR,
                    DnsQuery::Addresses(_) => FAILED_FOR,
                };
                Known {
                    records: Records::Absent,
                    fresh_until: now + FAILED_FOR,
                    serves_until: now + serves,
                    used: now,
                }
            }
        };
        if self.names.len() >= MOST_NAMES && !self.names.contains_key(query) {
            let oldest = self
                .names
                .iter()
                .min_by_key(|(_, known)| known.used)
                .map(|(query, _)| query.clone());
            if let Some(oldest) = oldest {
                self.names.remove(&oldest);
            }
        }
        self.names.insert(query.clone(), known);
    }

    /// Number of names held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.names.len()
    }

    fn run(
        &mut self,
        hop: &NextHop,
        random: &mut StdRng,
        now: Instant,
    ) -> (Vec<Destination>, Vec<DnsQuery>) {
        let mut stale = Vec::new();
        let names = &mut self.names;
        let mut known = |query: &DnsQuery| {
            let known = names.get_mut(query)?;
            if known.serves_until <= now {
                return None;
            }
            known.used = now;
            if known.fresh_until <= now {
                stale.push(query.clone());
            }
            Some(known.records.clone())
        };
        let mut procedure = Procedure {
            supported: &self.supported,
            known: &mut known,
            random,
            missing: Vec::new(),
        };
        let destinations = procedure.run(hop);
        let missing = procedure.missing;
        for query in stale {
            self.ask(query);
        }
        (destinations, missing)
    }

    /// Asks once; false when there is no room for another query.
    fn ask(&mut self, query: DnsQuery) -> bool {
        if self.asked.contains(&query) {
            return true;
        }
        if self.asked.len() >= MOST_QUERIES {
            return false;
        }
        self.asked.insert(query.clone());
        self.queries.push_back(query);
        true
    }
}
