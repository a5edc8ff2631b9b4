//! The built-in SIP user agent: numbers that the gateway answers itself, so that it can be
//! tried without a PBX. It is reached over real SIP and RTP on loopback, like any trunk.

mod number;
mod party;
mod task;

pub use number::{Number, TRUNK};
pub use task::{Agent, Error};
