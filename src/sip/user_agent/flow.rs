//! Where bytes come from and go to, and what the user agent tells its driver.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::domains::{Domain, DomainId};
use crate::sip::config::Transport;
use crate::sip::event::{Event, Incoming, LegId, RegistrationState};
use crate::sip::instant_message::{IncomingMessage, MessageId, MessageOutcome};
use crate::sip::locating::{Place, Question};
use crate::sip::transaction::key::ClientKey;

/// One way between us and a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Protocol.
    pub transport: Transport,
    /// Index of the listener in use; for a connection that we opened, the one that the peer is
    /// told to answer to.
    pub listener: usize,
    /// The peer.
    pub remote: SocketAddr,
    /// The stream that a message arrived on.
    pub connection: Option<u64>,
    /// Where to connect when that connection is gone (RFC 3261 section 18.2.2).
    pub reconnect: Option<SocketAddr>,
    /// Where to connect when that fails too: the name in Via (RFC 3263 section 5).
    pub elsewhere: Option<SocketAddr>,
    /// Who must be at the other end of a TLS connection that is opened for this.
    pub domain: Option<DomainId>,
    /// True for what belongs to a `sips:` request: our Contact is one too (RFC 3261 section
    /// 12.1.1).
    pub sips: bool,
}

impl Flow {
    /// The way to or from `remote` by a listener; streams name their connection besides.
    pub const fn new(transport: Transport, listener: usize, remote: SocketAddr) -> Self {
        Flow {
            transport,
            listener,
            remote,
            connection: None,
            reconnect: None,
            elsewhere: None,
            domain: None,
            sips: false,
        }
    }
}

/// What one input makes a transaction send.
pub(super) type Ready = SmallVec<[Bytes; 2]>;

/// Bytes to send.
#[derive(Debug, Clone)]
pub struct Transmit {
    /// Where to.
    pub flow: Flow,
    /// One message.
    pub bytes: Bytes,
    /// The client transaction to tell when they cannot be sent.
    pub transaction: Option<ClientKey>,
    /// Who must be at the other end, for TLS.
    pub domain: Option<Arc<Domain>>,
}

/// News for the driver.
#[derive(Debug, Clone)]
pub enum Happening {
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
        /// Its place in [`UserAgent::registrations`](super::UserAgent::registrations).
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
        /// The place with which it came back, or the last one that failed, where that is known.
        address: Option<SocketAddr>,
        /// Whether it is tried in its turn.
        is_up: bool,
        /// In words; `assumed` at the start.
        why: &'static str,
    },
    /// One of several places of a target is there, or is not.
    TargetPlace {
        /// Name of the trunk.
        trunk: String,
        /// The target as a URI.
        target: String,
        /// The place.
        place: Place,
        /// Whether it is tried in its turn.
        is_up: bool,
        /// In words.
        why: &'static str,
    },
    /// How many places of a target are known.
    TargetPlaces {
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
        question: Question,
    },
    /// A host that a request should go to is at no address that we can send to.
    Unlocated {
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
