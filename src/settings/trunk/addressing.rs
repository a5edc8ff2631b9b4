//! `[[trunk]]`: where it is, how it is watched, and how we name ourselves to it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::settings::error::{Collector, Error};
use crate::settings::rules::Key;

/// Keys of `[[trunk]]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkAddressing {
    /// `sip:HOST:PORT;transport=udp`, `tcp` or `tls`, or `sips:HOST:PORT`.
    pub target: String,
    /// Several in place of `target`.
    pub targets: Vec<TrunkTarget>,
    /// Seconds until a silent target is left for another one, or the call has failed.
    pub try_timeout: u64,
    /// Seconds between the probes of each address, 0 for none; absent: 30.
    pub health_check: Option<u64>,
    /// Probes in a row that must fail until a target is out.
    pub health_failures: u32,
    /// The proxy that requests go to, `sip:HOST;lr`.
    pub outbound_proxy: Option<String>,
    /// The Route headers of requests outside of calls, after that of `outbound_proxy`.
    pub routes: Vec<String>,
    /// Addresses, beside the target's own, whose calls belong to this trunk.
    pub accept_from: Vec<String>,
    /// The address to write into Via and Contact towards it, instead of `sip.advertise`.
    pub advertise: Option<IpAddr>,
    /// Seconds between keep-alives where we are registered by UDP; 0: none.
    pub keep_alive: u64,
}

/// One of `trunk.targets`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkTarget {
    /// As `trunk.target`.
    #[serde(default)]
    pub target: String,
    /// Lower ones are tried first.
    #[serde(default = "one")]
    pub priority: u16,
    /// Share of the calls among those of one priority.
    #[serde(default = "one")]
    pub weight: u16,
}

fn one() -> u16 {
    1
}

impl Default for TrunkAddressing {
    fn default() -> Self {
        TrunkAddressing {
            target: String::new(),
            targets: Vec::new(),
            try_timeout: 4,
            health_check: None,
            health_failures: 2,
            outbound_proxy: None,
            routes: Vec::new(),
            accept_from: Vec::new(),
            advertise: None,
            keep_alive: 25,
        }
    }
}

impl TrunkAddressing {
    /// Seconds between the probes of a target for which none are configured.
    const PROBED_EVERY: u64 = 30;

    /// Seconds between probes; 0: none.
    pub fn probed_every(&self) -> u64 {
        self.health_check.unwrap_or(Self::PROBED_EVERY)
    }

    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        if !(1..=32).contains(&self.try_timeout) {
            let written = self.try_timeout.to_string();
            found.push(Error::value(
                key("try_timeout"),
                &written,
                "1 to 32 seconds",
            ));
        }
        if self.probed_every() > 3_600 || self.health_failures == 0 {
            let written = self.probed_every().to_string();
            let expected = "0 to 3600 seconds, and 1 or more health_failures";
            found.push(Error::value(key("health_check"), &written, expected));
        }
    }
}
