//! The way of one request: the hops and destinations that it may go to.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::sip::stack::dialog::Dialog;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::next_hop::NextHop;
use crate::sip::stack::resolver::Destination;
use crate::sip::stack::sips::is_sips;
use crate::sip::trunk::health::{TargetDestination, TargetId};

/// How long a destination that answers nothing is waited for where another one is left, inside
/// dialogs.
const TRY_TIMEOUT: Duration = Duration::from_secs(4);

/// The way of one request: where it is, and where it may go yet.
#[derive(Debug, Clone)]
pub struct Way {
    /// Not looked up yet, the next first.
    pub(super) hops: VecDeque<(NextHop, Option<TargetId>)>,
    /// Found for the hop looked up last, the next first.
    pub(super) destinations: VecDeque<Destination>,
    /// Found, and out: for when nothing else is left.
    pub(super) late: VecDeque<Late>,
    pub(super) here: Option<Destination>,
    /// As it was written: the name that TLS must prove.
    pub(super) hop: Option<NextHop>,
    pub(super) target: Option<TargetId>,
    /// How long a silent destination is waited for where another is left.
    pub try_timeout: Duration,
    /// Since when it waits for names.
    pub(super) waits_since: Option<Instant>,
    /// The owner knows another way, by another trunk.
    pub(super) alternative: bool,
    /// The flow of the peer's last message, for a dialog whose URIs lead nowhere.
    pub(super) last_flow: Option<Flow>,
    /// It goes by that flow.
    pub(super) by_last_flow: bool,
}

/// Destinations of a hop that are tried after all others.
#[derive(Debug, Clone)]
pub(super) struct Late {
    pub(super) hop: NextHop,
    pub(super) target: TargetId,
    pub(super) destinations: VecDeque<Destination>,
}

impl Way {
    /// A way that leads nowhere: for a request that follows another one's flow.
    pub fn nowhere() -> Self {
        Way {
            hops: VecDeque::new(),
            destinations: VecDeque::new(),
            late: VecDeque::new(),
            here: None,
            hop: None,
            target: None,
            try_timeout: TRY_TIMEOUT,
            waits_since: None,
            alternative: false,
            last_flow: None,
            by_last_flow: false,
        }
    }

    /// The way of a request inside a dialog: to its first route or its target (RFC 3261 section
    /// 12.2.1.1). Where that cannot be read or found, to where the last message of the peer came
    /// from.
    pub fn of_dialog(dialog: &Dialog) -> Self {
        // What is `sips:` goes by its own URI or not at all (section 26.2.2): the flow of a message
        // proves nothing of where the next one must go.
        let first = dialog.route_set.first().map_or(&dialog.target, |r| &r.uri);
        let secure = is_sips(first) || is_sips(&dialog.target);
        let mut way = Way {
            last_flow: dialog.last_flow.filter(|_| !secure),
            ..Way::nowhere()
        };
        let Some(hop) = dialog.next_hop() else {
            return way;
        };
        // A link-local address is one of a link (RFC 4007 section 6): that of the peer's messages.
        if let (Some(last), Some(named)) = (dialog.last_flow, hop.address())
            && let (IpAddr::V6(ip), SocketAddr::V6(mut zoned)) = (named.ip(), last.remote)
            && ip.is_unicast_link_local()
            && *zoned.ip() == ip
        {
            zoned.set_port(named.port());
            way.destinations.push_back(Destination {
                transport: hop.transport.unwrap_or(last.transport),
                address: zoned.into(),
            });
            way.hop = Some(hop);
            return way;
        }
        way.hops.push_back((hop, None));
        way
    }

    /// The flow of the peer's last message, where the request goes by it.
    pub fn last_flow_taken(&self) -> Option<Flow> {
        self.last_flow.filter(|_| self.by_last_flow)
    }

    /// The same way of an owner who may know another one.
    pub fn or_elsewhere(self, alternative: bool) -> Self {
        Way {
            alternative,
            ..self
        }
    }

    /// The destination that the request was sent to last.
    pub fn here(&self) -> Option<Destination> {
        self.here
    }

    /// The hop that this destination was found for.
    pub fn hop(&self) -> Option<&NextHop> {
        self.hop.as_ref()
    }

    /// This destination as one of a trunk's target.
    pub fn target_destination(&self) -> Option<TargetDestination> {
        self.target.map(|target| TargetDestination {
            target,
            destination: self.here,
        })
    }

    /// True when another destination is left, or may be found.
    pub fn has_more(&self) -> bool {
        !self.destinations.is_empty() || !self.hops.is_empty() || !self.late.is_empty()
    }

    /// True when a destination that says nothing is left before the request's own time is over.
    pub fn may_fail_over(&self) -> bool {
        self.alternative || self.has_more()
    }

    /// The wait that ends now.
    pub fn end_wait(&mut self, now: Instant) -> Duration {
        self.waits_since
            .take()
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

impl From<NextHop> for Way {
    fn from(hop: NextHop) -> Self {
        Way {
            hops: VecDeque::from([(hop, None)]),
            ..Way::nowhere()
        }
    }
}

impl From<Option<NextHop>> for Way {
    fn from(hop: Option<NextHop>) -> Self {
        hop.map_or_else(Way::nowhere, Way::from)
    }
}
