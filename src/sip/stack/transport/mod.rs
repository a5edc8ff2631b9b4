//! Sockets: UDP, TCP and TLS listeners, connections with their own writer and bounded queue, so that a
//! slow or dead peer delays nobody else.

mod config;
mod connection;
pub(in crate::sip) mod credentials;
mod datagrams;
mod icmp;
mod inbound;
pub(in crate::sip) mod reloading;
mod sockets;

pub use config::{Certificate, ConnectionLimits, PeerTls, Tls, TransportConfig};
pub use credentials::check as check_certificates;
pub use datagrams::is_keep_alive;
pub use inbound::Inbound;
pub use sockets::{Transports, Unsent};
