//! How many of a kind one source holds, and all sources together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 host can draw addresses
/// from at will (RFC 4291 section 2.5.1).
pub(super) fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        address => address,
    }
}

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The one of all sources together.
    InAll,
    /// The one of this source.
    ThisSource,
}

/// Counts what is held, in all and by source. A source that holds nothing takes no memory.
#[derive(Debug, Default)]
pub(super) struct Occupancy(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// One of what is counted, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    occupancy: Arc<Occupancy>,
    /// None where only the sum counts.
    source: Option<IpAddr>,
}

impl Occupancy {
    /// One more of `address`, unless there are `most` in all or `most_of_one` of its source.
    /// Without `most_of_one` only the sum is counted.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        most: usize,
        most_of_one: Option<usize>,
    ) -> Result<Place, Full> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= most {
            return Err(Full::InAll);
        }
        let source = most_of_one.map(|_| source_of(address));
        if let (Some(source), Some(most)) = (source, most_of_one) {
            let held = counts.by_source.get(&source).copied().unwrap_or_default();
            if held >= most {
                return Err(Full::ThisSource);
            }
            counts.by_source.insert(source, held + 1);
        }
        counts.all += 1;
        Ok(Place {
            occupancy: Arc::clone(self),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let occupancy = &self.occupancy.0;
        let mut counts = occupancy.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        let Some(source) = self.source else {
            return;
        };
        if let Some(held) = counts.by_source.get_mut(&source) {
            *held -= 1;
            if *held == 0 {
                counts.by_source.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn sources(occupancy: &Occupancy) -> usize {
        let counts = occupancy.0.lock().expect("no test panics with it");
        counts.by_source.len()
    }

    #[test]
    fn one_source_at_its_limit_leaves_room_for_others() {
        let occupancy = Arc::new(Occupancy::default());
        let one = address("192.0.2.1");
        let two = address("192.0.2.2");
        let first = occupancy.admit(one, 3, Some(2)).expect("room");
        let _second = occupancy.admit(one, 3, Some(2)).expect("room");
        let refused = occupancy.admit(one, 3, Some(2)).expect_err("two at most");
        assert_eq!(refused, Full::ThisSource);
        let _third = occupancy.admit(two, 3, Some(2)).expect("room");
        let refused = occupancy.admit(two, 3, Some(2)).expect_err("three in all");
        assert_eq!(refused, Full::InAll);
        drop(first);
        assert!(occupancy.admit(two, 3, Some(2)).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_64_are_one_source() {
        let occupancy = Arc::new(Occupancy::default());
        let _held = occupancy
            .admit(address("2001:db8::1"), 9, Some(1))
            .expect("room");
        let neighbour = occupancy.admit(address("2001:db8::ffff:2"), 9, Some(1));
        assert_eq!(neighbour.expect_err("the same /64"), Full::ThisSource);
        assert!(
            occupancy
                .admit(address("2001:db8:0:1::1"), 9, Some(1))
                .is_ok()
        );
        let _mapped = occupancy
            .admit(address("::ffff:192.0.2.1"), 9, Some(1))
            .expect("room");
        let plain = occupancy.admit(address("192.0.2.1"), 9, Some(1));
        assert_eq!(plain.expect_err("the same host"), Full::ThisSource);
    }

    #[test]
    fn sources_that_are_refused_or_gone_take_no_memory() {
        let occupancy = Arc::new(Occupancy::default());
        let held = occupancy
            .admit(address("192.0.2.1"), 1, Some(1))
            .expect("room");
        for last in 0..200 {
            let refused = occupancy.admit(IpAddr::from([198, 51, 100, last]), 1, Some(1));
            assert!(refused.is_err());
        }
        assert_eq!(sources(&occupancy), 1);
        drop(held);
        assert_eq!(sources(&occupancy), 0);
    }

    #[test]
    fn without_a_limit_of_one_source_only_the_sum_counts() {
        let occupancy = Arc::new(Occupancy::default());
        let proxy = address("10.0.0.1");
        let held: Vec<_> = (0..5)
            .map(|_| occupancy.admit(proxy, 5, None).expect("room"))
            .collect();
        let refused = occupancy.admit(proxy, 5, None).expect_err("five in all");
        assert_eq!(refused, Full::InAll);
        drop(held);
        assert!(occupancy.admit(proxy, 5, None).is_ok());
    }
}
