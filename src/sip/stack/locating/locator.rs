//! What is known of names, for how long, and what is being asked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::procedure::{Place, Procedure, Reach};
use super::record::{Answer, Question, Records};
use crate::sip::stack::next_hop::NextHop;

/// Most names held.
const MOST_NAMES: usize = 2_048;
/// Most lookups under way.
const MOST_QUESTIONS: usize = 256;
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
pub struct Locator {
    reach: Reach,
    names: HashMap<Question, Known>,
    questions: VecDeque<Question>,
    /// Lookups under way.
    asked: HashSet<Question>,
}

#[derive(Debug)]
struct Known {
    records: Records,
    fresh_until: Instant,
    serves_until: Instant,
    used: Instant,
}

/// What came of [`Locator::locate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// Where to send, the first first; empty when the names lead nowhere.
    Places(Vec<Place>),
    /// Answers are missing.
    Unknown,
}

impl Locator {
    /// A locator that knows no name.
    pub fn new(reach: Reach) -> Self {
        Locator {
            reach,
            names: HashMap::new(),
            questions: VecDeque::new(),
            asked: HashSet::new(),
        }
    }

    /// The places of `hop` (RFC 3263 section 4). What is missing or no longer fresh is asked.
    pub fn locate(&mut self, hop: &NextHop, random: &mut StdRng, now: Instant) -> Located {
        let (places, missing) = self.run(hop, random, now);
        let mut waits = false;
        for question in missing {
            waits |= self.ask(question);
        }
        if waits {
            Located::Unknown
        } else {
            Located::Places(places)
        }
    }

    /// The places of `hop` from what is known by now, for a request that cannot wait longer.
    pub fn locate_at_once(
        &mut self,
        hop: &NextHop,
        random: &mut StdRng,
        now: Instant,
    ) -> Vec<Place> {
        self.run(hop, random, now).0
    }

    /// True when an address is one of those that `hop` was found at. Asks nothing.
    pub fn is_at(&self, hop: &NextHop, source: IpAddr) -> bool {
        // The order does not matter here.
        let mut random = StdRng::seed_from_u64(0);
        let mut known = |question: &Question| {
            self.names
                .get(question)
                .map(|known| known.records.clone())
                .or(Some(Records::Absent))
        };
        let mut procedure = Procedure {
            reach: &self.reach,
            known: &mut known,
            random: &mut random,
            missing: Vec::new(),
        };
        procedure
            .run(hop)
            .iter()
            .any(|place| place.address.ip().to_canonical() == source)
    }

    /// The next lookup to make; its answer comes by [`Locator::take`].
    pub fn poll_question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// Takes the answer to a question.
    pub fn take(&mut self, question: &Question, answer: Answer, now: Instant) {
        if !self.asked.remove(question) {
            return;
        }
        let known = match answer {
            Answer::Known { records, ttl } => {
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
            Answer::Failed { .. } => {
                if let Some(known) = self.names.get_mut(question)
                    && known.serves_until > now
                {
                    known.fresh_until = now + FAILED_FOR;
                    return;
                }
                // A server that cannot do NAPTR or SRV must not make every call wait for it; without
                // an address there is nothing to do but wait.
                let serves = match question {
                    Question::Naptr(_) | Question::Srv(_) => STALE_FOR,
                    Question::Addresses(_) => FAILED_FOR,
                };
                Known {
                    records: Records::Absent,
                    fresh_until: now + FAILED_FOR,
                    serves_until: now + serves,
                    used: now,
                }
            }
        };
        if self.names.len() >= MOST_NAMES && !self.names.contains_key(question) {
            let oldest = self
                .names
                .iter()
                .min_by_key(|(_, known)| known.used)
                .map(|(question, _)| question.clone());
            if let Some(oldest) = oldest {
                self.names.remove(&oldest);
            }
        }
        self.names.insert(question.clone(), known);
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
    ) -> (Vec<Place>, Vec<Question>) {
        let mut stale = Vec::new();
        let names = &mut self.names;
        let mut known = |question: &Question| {
            let known = names.get_mut(question)?;
            if known.serves_until <= now {
                return None;
            }
            known.used = now;
            if known.fresh_until <= now {
                stale.push(question.clone());
            }
            Some(known.records.clone())
        };
        let mut procedure = Procedure {
            reach: &self.reach,
            known: &mut known,
            random,
            missing: Vec::new(),
        };
        let places = procedure.run(hop);
        let missing = procedure.missing;
        for question in stale {
            self.ask(question);
        }
        (places, missing)
    }

    /// Asks once; false when there is no room for another question.
    fn ask(&mut self, question: Question) -> bool {
        if self.asked.contains(&question) {
            return true;
        }
        if self.asked.len() >= MOST_QUESTIONS {
            return false;
        }
        self.asked.insert(question.clone());
        self.questions.push_back(question);
        true
    }
}
