//! The resolver of RFC 3263: from the host, port and transport of a URI to an ordered list of
//! destinations.
//!
//! [`Resolver`] is pure and the whole of it; `dns_cache` holds what is known of names, `procedure`
//! is sections 4.1 and 4.2 over that, `selection` the choice by priority and weight (RFC 2782),
//! `pending` the requests that wait, `prefetch` the names that are kept known,
//! `failed_destinations` what is tried last. [`DnsClient`] is the driver that queries name servers.

mod dns_cache;
mod dns_client;
mod failed_destinations;
mod pending;
mod prefetch;
mod procedure;
mod record;
#[expect(clippy::module_inception, reason = "the folder's own type")]
mod resolver;
mod selection;

#[cfg(test)]
mod resolver_tests;
#[cfg(test)]
mod tests;

pub use dns_cache::Resolution;
pub use dns_client::DnsClient;
pub use failed_destinations::Failure;
pub use procedure::{Destination, SupportedTransports};
pub use record::{DnsQuery, DnsResponse, NaptrRecord, Records, SrvRecord};
pub use resolver::{Resolver, ResolverEvent};
pub use selection::arrange;
