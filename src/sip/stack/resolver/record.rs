//! What is asked of the DNS and what it says, as far as SIP needs it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// One lookup. Names are in lower case and without a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DnsQuery {
    /// Which transports a domain prefers (RFC 3403).
    Naptr(String),
    /// Where a service is (RFC 2782).
    Srv(String),
    /// A and AAAA.
    Addresses(String),
}

impl DnsQuery {
    /// Of these kinds, one for a name as written.
    pub fn naptr(name: &str) -> Self {
        DnsQuery::Naptr(plain(name))
    }

    /// Likewise.
    pub fn srv(name: &str) -> Self {
        DnsQuery::Srv(plain(name))
    }

    /// Likewise.
    pub fn addresses(name: &str) -> Self {
        DnsQuery::Addresses(plain(name))
    }

    /// The name asked for.
    pub fn name(&self) -> &str {
        match self {
            DnsQuery::Naptr(name) | DnsQuery::Srv(name) | DnsQuery::Addresses(name) => name,
        }
    }

    /// Whether a name may be asked for at all: a host name with the underscores of services
    /// (RFC 1035 section 2.3.4 for the lengths).
    pub fn is_sound(&self) -> bool {
        let name = self.name();
        !name.is_empty()
            && name.len() <= 253
            && name.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            })
    }
}

impl fmt::Display for DnsQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            DnsQuery::Naptr(_) => "NAPTR",
            DnsQuery::Srv(_) => "SRV",
            DnsQuery::Addresses(_) => "A/AAAA",
        };
        write!(f, "{kind} {}", self.name())
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// One NAPTR record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NaptrRecord {
    /// Lowest first; records of another order than the first that fits do not count.
    pub order: u16,
    /// Lowest first within an order.
    pub preference: u16,
    /// `s`: the replacement is the name of SRV records.
    pub flags: String,
    /// `SIP+D2U` and so on.
    pub services: String,
    /// The next name.
    pub replacement: String,
}

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRecord {
    /// Lowest first.
    pub priority: u16,
    /// Share within a priority.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Name of the host; empty where the service is decidedly not there (`.` in the zone).
    pub target: String,
}

/// The records of one name, of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// Nothing of that kind.
    Absent,
    /// For [`DnsQuery::Naptr`].
    Naptr(Vec<NaptrRecord>),
    /// For [`DnsQuery::Srv`].
    Srv(Vec<SrvRecord>),
    /// For [`DnsQuery::Addresses`].
    Addresses(Vec<IpAddr>),
}

/// What came of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsResponse {
    /// The DNS has spoken: records, or that there are none, good for so long.
    Known {
        /// The records.
        records: Records,
        /// The shortest of their times to live, or that of the negative answer (RFC 2308).
        ttl: Duration,
    },
    /// No server answered, or none of them knew.
    Failed {
        /// For the log.
        why: String,
    },
}
