//! Where a request may go: hop after hop as written, destination after destination as found (RFC
//! 3263), and the requests that wait for names.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::agent::UserAgent;
use super::outbound::Outbound;
use super::target_id::{TargetId, Watched};
use super::timer_key::Wake;
use super::user_agent_event::UserAgentEvent;
use super::way::{Failed, Late, Way};
use crate::sip::stack::address::is_loose;
use crate::sip::stack::envelope::canonical;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::next_hop::NextHop;
use crate::sip::stack::resolver::{Destination, DnsQuery, DnsResponse, Resolution, arrange};

/// Most requests that wait for names.
const PARKED_LIMIT: usize = 1_000;
/// Longest wait for names; then what is known must do.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(5);
/// The names of trunks are kept known: their calls are recognised by their addresses.
const WARM_EVERY: Duration = Duration::from_secs(60);
/// Destinations and hosts held as failed.
const FAILED_LIMIT: usize = 1_000;

impl UserAgent {
    /// The way to a trunk: its proxy, or its targets by priority, by chance in proportion to weight
    /// within one; those that are out after all others.
    pub(super) fn way_to_trunk(&mut self, trunk: usize) -> Way {
        let config = &self.config.trunks[trunk];
        if let Some(proxy) = first_route(&config.routes) {
            return Way {
                try_timeout: config.try_timeout,
                ..Way::from(proxy)
            };
        }
        let items = config
            .targets
            .iter()
            .enumerate()
            .map(|(index, target)| (target.priority, target.weight, index))
            .collect();
        let mut ids: Vec<TargetId> = arrange(items, &mut self.random)
            .into_iter()
            .map(|target| TargetId { trunk, target })
            .collect();
        ids.sort_by_key(|id| self.is_out(*id));
        Way {
            hops: ids
                .into_iter()
                .map(|id| (self.hop_of(id), Some(id)))
                .collect(),
            try_timeout: self.config.trunks[trunk].try_timeout,
            ..Way::nowhere()
        }
    }

    /// The way of a request with these preloaded routes: the first of them, else that to the trunk.
    pub(super) fn way_by_routes(&mut self, trunk: usize, routes: &[String]) -> Way {
        match first_route(routes) {
            Some(first) => Way {
                try_timeout: self.config.trunks[trunk].try_timeout,
                ..Way::from(first)
            },
            None => self.way_to_trunk(trunk),
        }
    }

    /// The way to one destination of a target, or by the trunk's proxy.
    pub(super) fn way_to_watched(&self, of: Watched) -> Way {
        let proxy = first_route(&self.config.trunks[of.target.trunk].routes);
        let hop = proxy.unwrap_or_else(|| self.hop_of(of.target));
        match of.destination {
            Some(destination) => Way {
                destinations: VecDeque::from([destination]),
                hop: Some(hop),
                target: Some(of.target),
                ..Way::nowhere()
            },
            None => Way {
                hops: VecDeque::from([(hop, Some(of.target))]),
                ..Way::nowhere()
            },
        }
    }

    /// The destinations of a target, and whether they stay the same; `None` while its name is
    /// looked up.
    pub(super) fn destinations_of_target(
        &mut self,
        id: TargetId,
        now: Instant,
    ) -> Option<(Vec<Option<Destination>>, bool)> {
        if first_route(&self.config.trunks[id.trunk].routes).is_some() {
            return Some((vec![None], true));
        }
        let hop = self.hop_of(id);
        let located = self.locator.resolve(&hop, &mut self.random, now);
        self.ask();
        match located {
            Resolution::Destinations(destinations) => {
                let destinations = destinations.into_iter().map(Some).collect();
                Some((destinations, hop.address().is_some()))
            }
            Resolution::Pending => None,
        }
    }

    fn hop_of(&self, id: TargetId) -> NextHop {
        NextHop::from(&self.config.trunks[id.trunk].targets[id.target].target)
    }

    /// Where the next request to a trunk goes, by what is known of its names by now.
    pub fn address_of_trunk(&mut self, name: &str, now: Instant) -> Option<IpAddr> {
        let mut trunks = self.config.trunks.iter();
        let trunk = trunks.position(|trunk| trunk.name == name)?;
        let mut way = self.way_to_trunk(trunk);
        while let Some((hop, _)) = way.hops.pop_front() {
            let destinations = self.locator.resolve_now(&hop, &mut self.random, now);
            if let Some(destination) = destinations.first() {
                return Some(destination.address.ip());
            }
        }
        None
    }

    /// Every hop that requests to a trunk may take.
    fn hops_of(&self, trunk: usize) -> impl Iterator<Item = NextHop> + '_ {
        let config = &self.config.trunks[trunk];
        let targets = config.targets.iter().map(|of| NextHop::from(&of.target));
        targets.chain(first_route(&config.routes))
    }

    /// Sends a request to the next destination of its way, now or when that destination is known.
    pub(super) fn send(&mut self, mut outbound: Outbound, now: Instant) {
        loop {
            if let Some(destination) = outbound.way.destinations.pop_front() {
                outbound.way.here = Some(destination);
                return self.send_to(outbound, destination, now);
            }
            let Some((hop, _)) = outbound.way.hops.front() else {
                if let Some(late) = outbound.way.late.pop_front() {
                    outbound.way.hop = Some(late.hop);
                    outbound.way.target = Some(late.target);
                    outbound.way.destinations = late.destinations;
                    continue;
                }
                if let (None, Some(flow)) = (outbound.way.here, outbound.way.last_flow) {
                    return self.send_by_last_flow(outbound, flow, now);
                }
                let status = outbound.failure;
                return self.fail_outbound(outbound, status, now);
            };
            let located = self.locator.resolve(hop, &mut self.random, now);
            self.ask();
            match located {
                Resolution::Destinations(destinations) => {
                    self.arrive(&mut outbound.way, destinations, now)
                }
                Resolution::Pending => return self.park(outbound, now),
            }
        }
    }

    /// Sends a request of a dialog whose URIs lead nowhere to where the last message of the peer
    /// came from.
    fn send_by_last_flow(&mut self, mut outbound: Outbound, flow: Flow, now: Instant) {
        let leg = outbound.owner.leg().and_then(|leg| self.legs.get_mut(&leg));
        let known = leg.is_some_and(|leg| std::mem::replace(&mut leg.by_last_flow, true));
        if !known {
            let uri = &outbound.request.uri;
            tracing::warn!(?uri, remote = %flow.remote, transport = %flow.transport,
                "target of a sip dialog cannot be read or found: requests go to where its last message came from");
        }
        let destination = Destination {
            transport: flow.transport,
            address: flow.remote,
        };
        outbound.way.here = Some(destination);
        outbound.way.by_last_flow = true;
        self.send_to(outbound, destination, now);
    }

    /// Sends a request once more to where it was sent last.
    pub(super) fn send_again(&mut self, outbound: Outbound, now: Instant) {
        match outbound.way.here {
            Some(destination) => self.send_to(outbound, destination, now),
            None => self.send(outbound, now),
        }
    }

    /// The next hop of a way has these destinations. Those that failed lately come last.
    fn arrive(&mut self, way: &mut Way, mut destinations: Vec<Destination>, now: Instant) {
        let Some((hop, target)) = way.hops.pop_front() else {
            return;
        };
        way.target = target;
        way.hop = Some(hop.clone());
        if destinations.is_empty() {
            if self.unresolvable.len() < FAILED_LIMIT && self.unresolvable.insert(hop.host.clone())
            {
                self.emit(UserAgentEvent::Unresolvable { host: hop.host });
            }
        } else if !self.unresolvable.is_empty() {
            self.unresolvable.remove(&hop.host);
        }
        if !self.failed_destinations.is_empty() {
            self.failed_destinations
                .retain(|_, failed| failed.until > now);
            destinations
                .sort_by_key(|destination| self.failed_destinations.contains_key(destination));
        }
        if let Some(target) = target {
            let (out, up): (Vec<Destination>, Vec<Destination>) =
                destinations.into_iter().partition(|destination| {
                    let destination = Some(*destination);
                    self.is_destination_out(Watched {
                        target,
                        destination,
                    })
                });
            if let (false, Some(hop)) = (out.is_empty(), way.hop.clone()) {
                let destinations = out.into();
                way.late.push_back(Late {
                    hop,
                    target,
                    destinations,
                });
            }
            destinations = up;
        }
        way.destinations = destinations.into();
    }

    fn park(&mut self, mut outbound: Outbound, now: Instant) {
        if self.parked.len() >= PARKED_LIMIT {
            return self.fail_outbound(outbound, 503, now);
        }
        outbound.way.waits_since.get_or_insert(now);
        self.parked.push(outbound);
        self.arm_look_ups();
    }

    fn arm_look_ups(&mut self) {
        let first = self.parked.iter().filter_map(|o| o.way.waits_since).min();
        self.deadlines
            .set(&Wake::LookUps, first.map(|since| since + LOOK_UP_LIMIT));
    }

    /// Takes the answer to a query that [`UserAgentEvent::Resolve`] asked.
    pub fn handle_resolved(&mut self, query: &DnsQuery, response: DnsResponse, now: Instant) {
        self.locator.take(query, response, now);
        let cold = std::mem::take(&mut self.cold);
        self.warm(cold, now);
        let cold = &self.cold;
        self.first_look_ups.retain(|hop| cold.contains(hop));
        for outbound in std::mem::take(&mut self.parked) {
            self.send(outbound, now);
        }
        self.arm_look_ups();
    }

    /// Who has waited too long goes where it can by what is known.
    pub(super) fn handle_look_up_timeout(&mut self, now: Instant) {
        for mut outbound in std::mem::take(&mut self.parked) {
            let waited = outbound
                .way
                .waits_since
                .is_none_or(|since| since + LOOK_UP_LIMIT <= now);
            if waited && let Some((hop, _)) = outbound.way.hops.front() {
                let destinations = self.locator.resolve_now(hop, &mut self.random, now);
                self.arrive(&mut outbound.way, destinations, now);
            }
            self.send(outbound, now);
        }
        self.arm_look_ups();
    }

    /// Looks up the names of trunks, and goes on doing so.
    pub(super) fn keep_warm(&mut self, now: Instant) {
        let hops: Vec<NextHop> = (0..self.config.trunks.len())
            .flat_map(|trunk| self.hops_of(trunk))
            .filter(|hop| hop.address().is_none())
            .collect();
        if !hops.is_empty() {
            self.warm(hops, now);
            self.deadlines.set(&Wake::Names, Some(now + WARM_EVERY));
        }
    }

    pub(super) fn warm(&mut self, hops: Vec<NextHop>, now: Instant) {
        for hop in hops {
            if self.locator.resolve(&hop, &mut self.random, now) == Resolution::Pending {
                self.cold.push(hop);
            }
        }
        self.ask();
    }

    fn ask(&mut self) {
        while let Some(query) = self.locator.poll_query() {
            self.emit(UserAgentEvent::Resolve { query });
        }
    }

    /// True when a trunk's target or proxy is at this address.
    pub(super) fn is_target(&self, trunk: usize, source: SocketAddr) -> bool {
        let config = &self.config.trunks[trunk];
        let (source, port) = (canonical(source.ip()), source.port());
        if config.exact_source {
            let mut targets = config.targets.iter().map(|of| &of.target);
            return targets.any(|target| {
                let address = target.host.parse::<IpAddr>();
                address.is_ok_and(|ip| canonical(ip) == source) && target.port == Some(port)
            });
        }
        let is_at = |hop: &NextHop| self.locator.is_at(hop, source);
        let mut targets = config.targets.iter().map(|of| &of.target);
        // For each request that comes: an address is compared without making anything.
        targets.any(|target| match target.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical() == source,
            Err(_) => is_at(&NextHop::from(target)),
        }) || first_route(&config.routes).is_some_and(|hop| match hop.address() {
            Some(address) => address.ip().to_canonical() == source,
            None => is_at(&hop),
        })
    }

    /// A destination did not do its part: for a while others of its host come first.
    pub(super) fn fail_destination(&mut self, destination: Destination, failed: Failed) {
        if self.failed_destinations.len() >= FAILED_LIMIT {
            self.failed_destinations.clear();
        }
        let held = self
            .failed_destinations
            .entry(destination)
            .or_insert(failed);
        if held.until < failed.until {
            *held = failed;
        }
    }

    /// A destination does its part again.
    pub(super) fn recover_destination(&mut self, destination: Destination) {
        if self
            .failed_destinations
            .get(&destination)
            .is_some_and(|f| !f.asked)
        {
            self.failed_destinations.remove(&destination);
        }
    }
}

fn first_route(routes: &[String]) -> Option<NextHop> {
    NextHop::of_uri(routes.first()?)
}

/// Puts a preloaded route set into a request outside of dialogs (RFC 3261 section 8.1.2). A first
/// route without `lr` wants itself as the request URI and the destination as the last route
/// (section 12.2.1.1).
pub(super) fn put_routes(request: &mut Request, routes: &[String]) {
    let Some((first, rest)) = routes.split_first() else {
        return;
    };
    let mut values: Vec<&str> = rest.iter().map(String::as_str).collect();
    let destination = request.uri.clone();
    if is_loose(first) {
        values.insert(0, first);
    } else {
        values.push(&destination);
        request.uri = first.clone();
    }
    for value in values {
        request.headers.insert(Name::ROUTE, format!("<{value}>"));
    }
}
