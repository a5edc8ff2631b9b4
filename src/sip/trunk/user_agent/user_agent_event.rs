//! What the user agent tells its driver.

use std::net::SocketAddr;

use crate::sip::stack::resolver::{Destination, DnsQuery};
use crate::sip::trunk::event::{Event, Incoming, LegId, RegistrationState};
use crate::sip::trunk::instant_message::{IncomingMessage, MessageId, MessageOutcome};

/// What the driver is told.
#[derive(Debug, Clone)]
pub enum UserAgentEvent {
    /// A call arrived.
    Incoming(Box<Incoming>),
    /// Something happened to a leg.
    Leg(LegId, Event),
    /// A text arrived outside any dialog; answer it.
    Message(Box<IncomingMessage>),
    /// A text of ours outside any dialog has its outcome.
    MessageAnswered {
        /// Which.
        id: MessageId,
        /// What.
        outcome: MessageOutcome,
    },
    /// A registration changed.
    Registration {
        /// Its index in [`UserAgent::registrations`](super::UserAgent::registrations).
        index: usize,
        /// The state before.
        before: RegistrationState,
        /// Its new state.
        state: RegistrationState,
    },
    /// A target of a trunk is there, or is not.
    Target {
        /// Name of the trunk.
        trunk: String,
        /// The target as a URI.
        target: String,
        /// The destination with which it came back, or the last one that failed, where that is
        /// known.
        address: Option<SocketAddr>,
        /// Whether it is tried in its turn.
        is_up: bool,
        /// In words; `assumed` at the start.
        why: &'static str,
    },
    /// One of several destinations of a target is there, or is not.
    TargetDestination {
        /// Name of the trunk.
        trunk: String,
        /// The target as a URI.
        target: String,
        /// The destination.
        destination: Destination,
        /// Whether it is tried in its turn.
        is_up: bool,
        /// In words.
        why: &'static str,
    },
    /// How many destinations of a target are known.
    TargetDestinations {
        /// Name of the trunk.
        trunk: String,
        /// The target as a URI.
        target: String,
        /// Tried in their turn.
        up: usize,
        /// Tried after all others.
        out: usize,
    },
    /// The way to a registrar does not hold (RFC 5626 section 4.4.2): what was registered by it is
    /// registered anew.
    FlowFailed {
        /// The registrar, or the proxy before it.
        remote: SocketAddr,
        /// `silent`, `refused`, `moved` or `unreachable`.
        why: &'static str,
    },
    /// Somebody who does Outbound does not do STUN: double CRLF keeps the way open.
    WithoutStun {
        /// The registrar, or the proxy before it.
        remote: SocketAddr,
        /// As of a way that has failed.
        why: &'static str,
        /// False when it is found again, with no working STUN in between.
        first: bool,
    },
    /// A lookup is wanted; answer with `handle_resolved`, in any case.
    Resolve {
        /// What to ask.
        query: DnsQuery,
    },
    /// A host that a request should go to is at no address that we can send to.
    Unresolvable {
        /// Its name.
        host: String,
    },
    /// A message was refused or dropped.
    Rejected {
        /// Short name of the reason, for a counter.
        reason: &'static str,
        /// Who sent it.
        source: SocketAddr,
    },
}
