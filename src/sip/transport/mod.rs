//! Sockets: UDP, TCP and TLS listeners, connections with their own writer and bounded queue, so that a
//! slow or dead peer delays nobody else.

mod connection;
pub(super) mod credentials;
mod datagrams;
mod icmp;
mod inbound;
pub(super) mod reloading;
mod sockets;

pub use credentials::check as check_certificates;
pub use datagrams::is_keep_alive;
pub use inbound::Inbound;
pub use sockets::{Transports, Unsent};
