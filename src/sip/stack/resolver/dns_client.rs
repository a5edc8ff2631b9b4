//! The driver: one lookup by the system's name servers, or by those that the configuration names.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::rr::{Name as DomainName, RData, RecordType};

use super::record::{DnsQuery, DnsResponse, NaptrRecord, Records, SrvRecord};

/// Longest lookup, all servers and repetitions together.
const LIMIT: Duration = Duration::from_secs(5);
/// Wait for one server, which is then asked once more: both fit into [`LIMIT`].
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a negative answer counts that does not say.
const UNSAID: Duration = Duration::from_secs(60);
/// How long what the hosts file says counts: it has no times of its own.
const LONGEST: u32 = 86_400;

/// Asks name servers. Keeps nothing: what is known is the [`super::Resolver`]'s.
#[derive(Debug)]
pub struct DnsClient {
    inner: Option<TokioResolver>,
}

impl DnsClient {
    /// A resolver that asks `servers`; none: those of the system (`/etc/resolv.conf`). Names of the
    /// hosts file are known either way.
    pub fn new(servers: &[SocketAddr]) -> Self {
        let inner = build(servers).map_err(|error| {
            tracing::error!(%error, "no resolver: names of SIP targets cannot be looked up");
        });
        DnsClient { inner: inner.ok() }
    }

    /// Makes one lookup; takes five seconds at most.
    pub async fn ask(&self, query: &DnsQuery) -> DnsResponse {
        let Some(resolver) = &self.inner else {
            let why = "no resolver".to_owned();
            return DnsResponse::Failed { why };
        };
        match tokio::time::timeout(LIMIT, look_up(resolver, query)).await {
            Ok(answer) => answer,
            Err(_) => DnsResponse::Failed {
                why: "no answer in time".to_owned(),
            },
        }
    }
}

fn build(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "no name servers found in the system's configuration");
            TokioResolver::builder_with_config(
                ResolverConfig::from_name_servers(Vec::new()),
                provider,
            )
        })
    } else {
        let servers = servers.iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            config
        });
        TokioResolver::builder_with_config(
            ResolverConfig::from_name_servers(servers.collect()),
            provider,
        )
    };
    let options = builder.options_mut();
    options.timeout = PATIENCE;
    options.attempts = 2;
    options.cache_size = 0;
    builder.build()
}

async fn look_up(resolver: &TokioResolver, query: &DnsQuery) -> DnsResponse {
    let looked_up = match query {
        DnsQuery::Naptr(name) => match domain_name(name) {
            Ok(name) => resolver.lookup(name, RecordType::NAPTR).await,
            Err(error) => Err(error.into()),
        },
        DnsQuery::Srv(name) => match domain_name(name) {
            Ok(name) => resolver.lookup(name, RecordType::SRV).await,
            Err(error) => Err(error.into()),
        },
        DnsQuery::Addresses(name) => match domain_name(name) {
            Ok(name) => {
                let found = resolver.lookup_ip(name).await;
                found.map(|found| found.as_lookup().clone())
            }
            Err(error) => Err(error.into()),
        },
    };
    match looked_up {
        Ok(lookup) => read(query, &lookup),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => DnsResponse::Known {
            records: Records::Absent,
            ttl: none
                .negative_ttl
                .map_or(UNSAID, |seconds| Duration::from_secs(seconds.into())),
        },
        Err(error) => DnsResponse::Failed {
            why: error.to_string(),
        },
    }
}

/// A name to ask for. Equipment has names with `_` (RFC 2181 section 11 allows any octet), which
/// the rules for names in other scripts would refuse.
fn domain_name(written: &str) -> Result<DomainName, ProtoError> {
    match written.is_ascii() {
        true => DomainName::from_ascii(written),
        false => DomainName::from_utf8(written),
    }
}

fn read(query: &DnsQuery, lookup: &Lookup) -> DnsResponse {
    let data = || lookup.answers().iter().map(|record| &record.data);
    let records = match query {
        DnsQuery::Naptr(_) => Records::Naptr(data().filter_map(naptr).collect()),
        DnsQuery::Srv(_) => Records::Srv(data().filter_map(srv).collect()),
        DnsQuery::Addresses(_) => Records::Addresses(data().filter_map(RData::ip_addr).collect()),
    };
    let none = match &records {
        Records::Naptr(found) => found.is_empty(),
        Records::Srv(found) => found.is_empty(),
        Records::Addresses(found) => found.is_empty(),
        Records::Absent => true,
    };
    let ttl = lookup.answers().iter().map(|record| record.ttl).min();
    DnsResponse::Known {
        records: if none { Records::Absent } else { records },
        ttl: Duration::from_secs(ttl.unwrap_or(0).min(LONGEST).into()),
    }
}

fn naptr(data: &RData) -> Option<NaptrRecord> {
    let RData::NAPTR(record) = data else {
        return None;
    };
    Some(NaptrRecord {
        order: record.order,
        preference: record.preference,
        flags: String::from_utf8_lossy(&record.flags).into_owned(),
        services: String::from_utf8_lossy(&record.services).into_owned(),
        replacement: name(&record.replacement.to_ascii()),
    })
}

fn srv(data: &RData) -> Option<SrvRecord> {
    let RData::SRV(record) = data else {
        return None;
    };
    Some(SrvRecord {
        priority: record.priority,
        weight: record.weight,
        port: record.port,
        target: name(&record.target.to_ascii()),
    })
}

fn name(written: &str) -> String {
    written.trim_end_matches('.').to_owned()
}
