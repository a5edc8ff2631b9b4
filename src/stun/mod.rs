//! STUN (RFC 8489): the one reader and writer of Binding messages, for ICE, for SIP keep-alives and
//! for telling the protocols on one port apart. No sockets, no clock; of cryptography only what
//! MESSAGE-INTEGRITY needs.

mod address;
mod attributes;
mod builder;
mod error;
mod header;
mod integrity;
mod message;

#[cfg(test)]
mod tests;

pub use attributes::kind;
pub use builder::Builder;
pub use error::Error;
pub use header::{Class, HEADER_LENGTH, Header, TransactionId, begins_like_stun};
pub use integrity::IntegrityKey;
pub use message::{Fingerprint, IceRole, Message};
