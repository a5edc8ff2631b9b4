//! Where a request may go: hop after hop as written, destination after destination as the resolver
//! finds them (RFC 3263).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::agent::UserAgent;
use super::outbound::Outbound;
use super::timer_key::Wake;
use super::user_agent_event::UserAgentEvent;
use super::way::{Late, Way};
use crate::sip::stack::envelope::canonical;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::next_hop::NextHop;
use crate::sip::stack::resolver::{
    Destination, DnsQuery, DnsResponse, Resolution, ResolverEvent, arrange,
};
use crate::sip::trunk::health::{TargetDestination, TargetId};

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
        ids.sort_by_key(|id| self.health.is_out(*id));
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
    pub(super) fn way_to_destination(&self, of: TargetDestination) -> Way {
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
        let resolution = self.resolver.look_up(&hop, &mut self.random, now);
        self.take_resolver_events();
        match resolution {
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
            let destinations = self.resolver.look_up_known(&hop, &mut self.random, now);
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
            let resolution = self.resolver.resolve(hop, &mut self.random, now);
            self.take_resolver_events();
            match resolution {
                Resolution::Destinations(destinations) => {
                    self.arrive(&mut outbound.way, destinations)
                }
                Resolution::Pending => return self.wait_for_resolution(outbound, now),
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

    /// The next hop of a way has these destinations: those that are out come after all others.
    fn arrive(&mut self, way: &mut Way, mut destinations: Vec<Destination>) {
        let Some((hop, target)) = way.hops.pop_front() else {
            return;
        };
        way.target = target;
        way.hop = Some(hop);
        if let Some(target) = target {
            let (out, up): (Vec<Destination>, Vec<Destination>) =
                destinations.into_iter().partition(|destination| {
                    let destination = Some(*destination);
                    self.health.is_destination_out(TargetDestination {
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

    /// A request waits until its next hop is resolved.
    fn wait_for_resolution(&mut self, mut outbound: Outbound, now: Instant) {
        let since = *outbound.way.waits_since.get_or_insert(now);
        match self.resolver.hold(outbound, since) {
            Ok(()) => self.arm_resolver(),
            Err(outbound) => self.fail_outbound(outbound, 503, now),
        }
    }

    /// Takes the response to a query of [`UserAgentEvent::Resolve`].
    pub fn handle_resolved(&mut self, query: &DnsQuery, response: DnsResponse, now: Instant) {
        let random = &mut self.random;
        let pending = self.resolver.handle_response(query, response, random, now);
        self.take_resolver_events();
        for outbound in pending {
            self.send(outbound, now);
        }
        self.arm_resolver();
    }

    /// A request that has waited too long goes where it can by what is known.
    pub(super) fn handle_resolver_timeout(&mut self, now: Instant) {
        let expired = self.resolver.handle_timeout(&mut self.random, now);
        self.take_resolver_events();
        for mut outbound in expired {
            if let Some((hop, _)) = outbound.way.hops.front() {
                let destinations = self.resolver.resolve_known(hop, &mut self.random, now);
                self.take_resolver_events();
                self.arrive(&mut outbound.way, destinations);
            }
            self.send(outbound, now);
        }
        self.arm_resolver();
    }

    /// Keeps the names of trunks resolved: their calls are recognised by their addresses.
    pub(super) fn prefetch_trunks(&mut self, now: Instant) {
        let hops: Vec<NextHop> = (0..self.config.trunks.len())
            .flat_map(|trunk| self.hops_of(trunk))
            .filter(|hop| hop.address().is_none())
            .collect();
        self.resolver.keep_resolved(hops, &mut self.random, now);
        self.take_resolver_events();
        self.arm_resolver();
    }

    fn arm_resolver(&mut self) {
        let timeout = self.resolver.poll_timeout();
        self.deadlines.set(&Wake::Resolver, timeout);
    }

    /// Passes on what the resolver asks for.
    pub(super) fn take_resolver_events(&mut self) {
        while let Some(event) = self.resolver.poll_event() {
            self.emit(match event {
                ResolverEvent::Query(query) => UserAgentEvent::Resolve { query },
                ResolverEvent::Unresolvable { host } => UserAgentEvent::Unresolvable { host },
            });
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
        let is_at = |hop: &NextHop| self.resolver.is_at(hop, source);
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
}

fn first_route(routes: &[String]) -> Option<NextHop> {
    NextHop::of_uri(routes.first()?)
}
