//! What can go wrong when the transports are started.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::transport_protocol::Transport;

/// A listener or a certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A listener could not be opened.
    #[error("sip listener {transport} {address} cannot be opened: {source}")]
    Bind {
        /// Protocol of the listener.
        transport: Transport,
        /// Address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A certificate, key or list of authorities cannot be used.
    #[error("{file}: {why}")]
    Certificate {
        /// The PEM file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}
