//! A flow between us and a peer (RFC 5626 section 3), and bytes to send by it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::domain::{Domain, DomainId};
use super::transaction::key::ClientKey;
use super::transport_protocol::Transport;

/// One flow between us and a peer.
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
    /// The flow to or from `remote` by a listener; streams name their connection besides.
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

    /// What names the flow to others.
    pub const fn key(&self) -> FlowKey {
        FlowKey {
            listener: self.listener,
            remote: self.remote,
        }
    }
}

/// A flow by its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// Index of our listener.
    pub listener: usize,
    /// The peer.
    pub remote: SocketAddr,
}

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
