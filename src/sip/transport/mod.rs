//! Sockets: UDP and TCP listeners, connections with their own writer and bounded queue, so that a
//! slow or dead peer delays nobody else.

mod connection;
mod sockets;

pub use sockets::{Inbound, Transports};
