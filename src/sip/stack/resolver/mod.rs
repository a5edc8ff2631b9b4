//! Finding the target (RFC 3263): from the host, port and transport of a URI to an ordered list of
//! addresses.
//!
//! [`DnsCache`] is pure: it holds what is known of names, says what to ask of the DNS, takes the
//! answers. `procedure` is sections 4.1 and 4.2 over what is known, `selection` the choice by
//! priority and weight (RFC 2782), `dns_client` the driver that asks.

mod dns_cache;
mod dns_client;
mod procedure;
mod record;
mod selection;

#[cfg(test)]
mod tests;

pub use dns_cache::{DnsCache, Resolution};
pub use dns_client::DnsClient;
pub use procedure::{Destination, SupportedTransports};
pub use record::{DnsQuery, DnsResponse, NaptrRecord, Records, SrvRecord};
pub use selection::arrange;
