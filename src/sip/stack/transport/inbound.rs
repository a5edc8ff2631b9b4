//! What the sockets report to the user agent.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use super::credentials::Credentials;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::resolver::{DnsQuery, DnsResponse};
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::stack::transport_protocol::Transport;

/// What the sockets report.
#[derive(Debug)]
pub enum Inbound {
    /// A datagram or a frame of a stream.
    Message {
        /// The bytes.
        bytes: Bytes,
        /// Where they came from.
        flow: Flow,
        /// Dropped when the message has been handled: the connection may send its next.
        turn: Option<OwnedSemaphorePermit>,
    },
    /// A peer connected.
    Accepted {
        /// The connection.
        stream: TcpStream,
        /// What the listener speaks.
        transport: Transport,
        /// The peer.
        remote: SocketAddr,
        /// Index of the listener.
        listener: usize,
    },
    /// Certificates were read again: new handshakes use these.
    Credentials(Credentials),
    /// A connection ended, or could not be opened.
    Closed {
        /// The connection.
        connection: u64,
        /// Transactions whose message was never written.
        failed: Vec<ClientKey>,
    },
    /// A message could not be written.
    Failed {
        /// Its transaction.
        transaction: ClientKey,
    },
    /// The network says that a datagram of ours reached nobody.
    Unreachable {
        /// Index of the listener that it left by.
        listener: usize,
        /// Where it was sent to.
        remote: SocketAddr,
        /// As much of it as came back.
        quote: Bytes,
    },
    /// A lookup is over.
    Resolved {
        /// What was asked.
        query: DnsQuery,
        /// What came of it.
        response: DnsResponse,
    },
}

/// The peer of a socket of both families: an IPv4 address in IPv6 form is an IPv4 address.
pub fn canonical(remote: SocketAddr) -> SocketAddr {
    match remote.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, remote.port()),
        // With its scope.
        IpAddr::V6(_) => remote,
    }
}
