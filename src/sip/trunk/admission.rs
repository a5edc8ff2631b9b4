//! How many new calls are taken, and how many answers unknown sources get: token buckets, one for all
//! and one per source. Pure: the time is passed in, and the sources held are bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::config::Limits;
use crate::token_bucket::{Rate, TokenBucket};

/// Sources held in each of the two generations of [`Sources`].
const GENERATION: usize = 8_192;
/// Answers per second to one address that belongs to no trunk. A person who tries a setting needs
/// one; what is above serves a scanner, or a flood whose sender is forged.
const ANSWERS_TO_AN_UNKNOWN_SOURCE: u32 = 5;
/// Errors of the network per second that are heard without a proof that they are true.
const UNPROVEN: Rate = Rate::per_second(10);

/// The limits of one user agent, and what has been used of them.
#[derive(Debug)]
pub struct Admission {
    all: TokenBucket,
    all_rate: Option<Rate>,
    per_source: Sources,
    answers: Sources,
    unproven: TokenBucket,
}

/// Why a new call is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// More calls in all than this gateway takes.
    All,
    /// More calls from this source than one source may make.
    Source,
}

impl Turned {
    /// Counter label.
    pub const fn reason(self) -> &'static str {
        match self {
            Turned::All => "new_calls",
            Turned::Source => "new_calls_of_source",
        }
    }
}

impl Admission {
    /// Full buckets by these limits; a rate of 0 is no limit.
    pub fn new(limits: &Limits) -> Self {
        Admission {
            all: TokenBucket::default(),
            all_rate: limited(limits.new_calls_per_second),
            per_source: Sources::new(limits.new_calls_per_second_per_source),
            answers: Sources::new(ANSWERS_TO_AN_UNKNOWN_SOURCE),
            unproven: TokenBucket::default(),
        }
    }

    /// Whether a new call from `source` is taken. `trusted` sources, those of a trunk, have no
    /// limit of their own: the calls of a whole building come from one address.
    pub fn admit(&mut self, source: IpAddr, trusted: bool, now: Instant) -> Result<(), Turned> {
        // The source first: what it is refused must not use up what all others share.
        if !trusted && !self.per_source.take(source, now) {
            return Err(Turned::Source);
        }
        if self
            .all_rate
            .is_some_and(|rate| self.all.take(rate, now).is_err())
        {
            return Err(Turned::All);
        }
        Ok(())
    }

    /// Whether one more answer may go to an address that belongs to no trunk.
    pub fn answers_unknown_source(&mut self, source: IpAddr, now: Instant) -> bool {
        self.answers.take(source, now)
    }

    /// Whether one more error of the network is heard that proves nothing.
    pub fn hears_unproven(&mut self, now: Instant) -> bool {
        self.unproven.take(UNPROVEN, now).is_ok()
    }

    /// Sources remembered.
    #[cfg(test)]
    pub fn sources(&self) -> usize {
        self.per_source.held() + self.answers.held()
    }
}

/// 0 is no limit.
fn limited(per_second: u32) -> Option<Rate> {
    (per_second > 0).then(|| Rate::per_second(per_second))
}

/// A bucket per source, of which the least recently seen are forgotten: when the young generation
/// is full it becomes the old one, and the old one is dropped. A source seen in the old one comes
/// back to the young one with what it has taken.
#[derive(Debug)]
struct Sources {
    rate: Option<Rate>,
    young: HashMap<IpAddr, TokenBucket>,
    old: HashMap<IpAddr, TokenBucket>,
}

impl Sources {
    fn new(per_second: u32) -> Self {
        Sources {
            rate: limited(per_second),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let Some(rate) = self.rate else {
            return true;
        };
        let source = network(source);
        if !self.young.contains_key(&source) {
            if self.young.len() >= GENERATION {
                self.old = std::mem::take(&mut self.young);
            }
            let bucket = self.old.remove(&source).unwrap_or_default();
            self.young.insert(source, bucket);
        }
        self.young
            .get_mut(&source)
            .is_none_or(|bucket| bucket.take(rate, now).is_ok())
    }

    #[cfg(test)]
    fn held(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 host can draw addresses
/// from at will.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        address => address,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time needs a start")]
mod tests {
    use super::*;
    use std::time::Duration;

    fn admission(all: u32, per_source: u32) -> Admission {
        Admission::new(&Limits {
            new_calls_per_second: all,
            new_calls_per_second_per_source: per_source,
            ..Limits::default()
        })
    }

    fn source(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000_u32 + number).to_be_bytes())
    }

    #[test]
    fn a_second_gives_back_what_a_second_takes() {
        let mut admission = admission(10, 0);
        let now = Instant::now();
        let admitted = |admission: &mut Admission, now| {
            (0..100)
                .filter(|_| admission.admit(source(1), true, now).is_ok())
                .count()
        };
        assert_eq!(admitted(&mut admission, now), 10);
        assert_eq!(admitted(&mut admission, now), 0);
        assert_eq!(
            admitted(&mut admission, now + Duration::from_millis(500)),
            5
        );
        assert_eq!(
            admitted(&mut admission, now + Duration::from_secs(3_600)),
            10
        );
        // Time that seems to run back gives nothing, and takes nothing.
        assert_eq!(admitted(&mut admission, now), 0);
    }

    #[test]
    fn one_source_over_its_limit_takes_nothing_from_the_others() {
        let mut admission = admission(10, 3);
        let now = Instant::now();
        for attempt in 0..50 {
            let expected = if attempt < 3 {
                Ok(())
            } else {
                Err(Turned::Source)
            };
            assert_eq!(admission.admit(source(1), false, now), expected);
        }
        for _ in 0..7 {
            assert_eq!(admission.admit(source(2), true, now), Ok(()));
        }
        assert_eq!(admission.admit(source(2), true, now), Err(Turned::All));
    }

    #[test]
    fn zero_is_no_limit() {
        let mut admission = admission(0, 0);
        let now = Instant::now();
        assert!((0..10_000).all(|_| admission.admit(source(1), false, now).is_ok()));
    }

    #[test]
    fn a_million_sources_are_not_remembered() {
        let mut admission = admission(0, 1);
        let now = Instant::now();
        for number in 0..1_000_000 {
            assert_eq!(admission.admit(source(number), false, now), Ok(()));
            // One that keeps calling stays known through all of it.
            if number > 0 && number % 1_000 == 0 {
                assert_eq!(admission.admit(source(0), false, now), Err(Turned::Source));
            }
        }
        assert!(
            admission.sources() <= 2 * GENERATION,
            "{}",
            admission.sources()
        );
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let mut admission = admission(0, 1);
        let now = Instant::now();
        let one = "2001:db8:0:1::1".parse().expect("an address");
        let two = "2001:db8:0:1:ffff::2".parse().expect("an address");
        let other = "2001:db8:0:2::1".parse().expect("an address");
        assert_eq!(admission.admit(one, false, now), Ok(()));
        assert_eq!(admission.admit(two, false, now), Err(Turned::Source));
        assert_eq!(admission.admit(other, false, now), Ok(()));
        let mapped = "::ffff:10.0.0.1".parse().expect("an address");
        assert_eq!(admission.admit(mapped, false, now), Ok(()));
        assert_eq!(admission.admit(source(1), false, now), Err(Turned::Source));
    }
}
