//! RFC 3263 sections 4.1 and 4.2 over what is known of the names: either the list of destinations,
//! or what must be asked first.

use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;

use super::record::{DnsQuery, NaptrRecord, Records, SrvRecord};
use super::selection::arrange;
use crate::sip::stack::listen::{Listen, serves};
use crate::sip::stack::next_hop::NextHop;
use crate::sip::stack::transport_protocol::Transport;

/// Where a request can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Protocol.
    pub transport: Transport,
    /// Address and port.
    pub address: SocketAddr,
}

/// What names a transport in the DNS.
struct Service {
    transport: Transport,
    naptr: &'static str,
    srv: &'static str,
    port: u16,
}

/// In the order of our preference where nobody else has one: SIP's own default first (section
/// 4.1).
const SERVICES: &[Service] = &[
    Service {
        transport: Transport::Udp,
        naptr: "SIP+D2U",
        srv: "_sip._udp",
        port: 5060,
    },
    Service {
        transport: Transport::Tcp,
        naptr: "SIP+D2T",
        srv: "_sip._tcp",
        port: 5060,
    },
    Service {
        transport: Transport::Tls,
        naptr: "SIPS+D2T",
        srv: "_sips._tcp",
        port: 5061,
    },
];

/// Most records of one answer that are used, so that no zone makes us call hundreds of hosts.
const MOST_RECORDS: usize = 16;
/// Most destinations of one list.
const MOST_DESTINATIONS: usize = 32;

/// The transports and address families that we can send by, in order of preference.
#[derive(Debug, Clone)]
pub struct SupportedTransports(Vec<(Transport, bool)>);

impl SupportedTransports {
    /// What these listeners supported.
    pub fn of(listeners: &[Listen]) -> Self {
        let families = |index: usize, listen: &Listen| {
            // Of a listener of both families the older one comes first: more PBXs have it.
            [true, false]
                .into_iter()
                .filter(move |v4| serves(listeners, index, *v4))
                .map(|v4| (listen.transport, v4))
                .collect::<Vec<_>>()
        };
        let listeners = listeners.iter().enumerate();
        SupportedTransports(
            listeners
                .flat_map(|(index, listen)| families(index, listen))
                .collect(),
        )
    }

    fn has(&self, transport: Transport) -> bool {
        self.0.iter().any(|(reached, _)| *reached == transport)
    }

    /// The addresses that this transport reaches; those of the family of the first listener first.
    fn sort(&self, transport: Transport, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let rank = |address: &IpAddr| {
            self.0
                .iter()
                .position(|(reached, v4)| *reached == transport && *v4 == address.is_ipv4())
        };
        let mut ranked: Vec<(usize, IpAddr)> = addresses
            .iter()
            .filter_map(|address| Some((rank(address)?, *address)))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked
            .into_iter()
            .map(|(_, address)| address)
            .take(MOST_RECORDS)
            .collect()
    }
}

/// What is known of a name; `None` where it must be asked.
pub type Known<'a> = dyn FnMut(&DnsQuery) -> Option<Records> + 'a;

/// One run of the procedure.
pub struct Procedure<'a> {
    pub supported: &'a SupportedTransports,
    pub known: &'a mut Known<'a>,
    pub random: &'a mut StdRng,
    /// What must be asked before the list is whole.
    pub missing: Vec<DnsQuery>,
}

impl Procedure<'_> {
    /// The destinations of `hop`, first the ones to try first. They count only when nothing is
    /// missing.
    pub fn run(&mut self, hop: &NextHop) -> Vec<Destination> {
        let mut destinations = self.destinations(hop);
        destinations.truncate(MOST_DESTINATIONS);
        destinations
    }

    fn destinations(&mut self, hop: &NextHop) -> Vec<Destination> {
        if !hop.can_be_reached() {
            return Vec::new();
        }
        if let Ok(ip) = hop.host.parse::<IpAddr>() {
            let service = service(hop.transport.unwrap_or(Transport::Udp));
            let port = hop
                .port
                .unwrap_or(service.map_or(5060, |service| service.port));
            let transport = hop.transport.unwrap_or(Transport::Udp);
            return vec![Destination {
                transport,
                address: (ip, port).into(),
            }];
        }
        match (hop.port, hop.transport) {
            // Section 4.2: a port rules SRV out.
            (Some(port), transport) => {
                self.hosts(&hop.host, port, transport.unwrap_or(Transport::Udp))
            }
            (None, Some(transport)) => match service(transport) {
                Some(service) => match self.services(&hop.host, &[service]) {
                    Some(destinations) => destinations,
                    None => self.hosts(&hop.host, service.port, transport),
                },
                None => Vec::new(),
            },
            (None, None) => self.domain(&hop.host),
        }
    }

    /// Neither port nor transport: the domain itself says which it wants (section 4.1).
    fn domain(&mut self, host: &str) -> Vec<Destination> {
        let supported: Vec<&'static Service> = SERVICES
            .iter()
            .filter(|service| self.supported.has(service.transport))
            .collect();
        let chosen = match self.ask(DnsQuery::naptr(host)) {
            Some(Records::Naptr(records)) => chosen_services(records, &supported),
            Some(_) => Vec::new(),
            None => {
                // Most domains have no NAPTR records: what comes next is asked meanwhile.
                self.services(host, &supported);
                self.ask(DnsQuery::addresses(host));
                return Vec::new();
            }
        };
        let mut destinations = Vec::new();
        for (service, replacement) in chosen {
            destinations.extend(self.service(&replacement, service).unwrap_or_default());
        }
        if !destinations.is_empty() || !self.missing.is_empty() {
            return destinations;
        }
        match self.services(host, &supported) {
            Some(destinations) => destinations,
            None => {
                let first = supported.first().copied().unwrap_or(&SERVICES[0]);
                self.hosts(host, first.port, first.transport)
            }
        }
    }

    /// The destinations of the SRV records that a domain has for these services; `None` when it has
    /// none at all.
    fn services(&mut self, host: &str, services: &[&'static Service]) -> Option<Vec<Destination>> {
        let mut found = None;
        for service in services {
            let name = format!("{}.{host}", service.srv);
            if let Some(destinations) = self.service(&name, service) {
                found.get_or_insert_with(Vec::new).extend(destinations);
            }
        }
        found
    }

    /// The destinations of the SRV records of one name; `None` when it has none.
    fn service(&mut self, name: &str, service: &Service) -> Option<Vec<Destination>> {
        let Records::Srv(records) = self.ask(DnsQuery::srv(name))? else {
            return None;
        };
        if records.is_empty() {
            return None;
        }
        let items = records
            .into_iter()
            // A lone `.` says that the service is decidedly not there (RFC 2782).
            .filter(|record| !record.target.is_empty() && record.port != 0)
            .take(MOST_RECORDS)
            .map(|record| (record.priority, record.weight, record))
            .collect();
        let ordered: Vec<SrvRecord> = arrange(items, self.random);
        let mut destinations = Vec::new();
        for record in ordered {
            destinations.extend(self.hosts(&record.target, record.port, service.transport));
        }
        Some(destinations)
    }

    /// The destinations of a host's addresses.
    fn hosts(&mut self, host: &str, port: u16, transport: Transport) -> Vec<Destination> {
        let addresses = match host.parse::<IpAddr>() {
            // Not allowed in SRV, and seen there.
            Ok(ip) => vec![ip],
            Err(_) => match self.ask(DnsQuery::addresses(host)) {
                Some(Records::Addresses(addresses)) => addresses,
                _ => Vec::new(),
            },
        };
        self.supported
            .sort(transport, &addresses)
            .into_iter()
            .map(|ip| Destination {
                transport,
                address: (ip, port).into(),
            })
            .collect()
    }

    fn ask(&mut self, query: DnsQuery) -> Option<Records> {
        if !query.is_sound() {
            return Some(Records::Absent);
        }
        let known = (self.known)(&query);
        if known.is_none() && !self.missing.contains(&query) {
            self.missing.push(query);
        }
        known
    }
}

fn service(transport: Transport) -> Option<&'static Service> {
    SERVICES
        .iter()
        .find(|service| service.transport == transport)
}

/// The services that a domain's NAPTR records name, in its order, as far as we speak them: those
/// of the first order that has any, by preference (RFC 3403 section 4.1).
fn chosen_services(
    mut records: Vec<NaptrRecord>,
    supported: &[&'static Service],
) -> Vec<(&'static Service, String)> {
    records.sort_by_key(|record| (record.order, record.preference));
    let mut usable = records.into_iter().filter_map(|record| {
        let service = supported
            .iter()
            .find(|service| service.naptr.eq_ignore_ascii_case(&record.services))?;
        let is_service = record.flags.eq_ignore_ascii_case("s") && !record.replacement.is_empty();
        is_service.then_some((record.order, *service, record.replacement))
    });
    let Some((order, service, name)) = usable.next() else {
        return Vec::new();
    };
    let rest = usable
        .take_while(|(other, ..)| *other == order)
        .map(|(_, service, name)| (service, name));
    std::iter::once((service, name))
        .chain(rest)
        .take(MOST_RECORDS)
        .collect()
}
