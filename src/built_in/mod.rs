//! The built-in numbers: the gateway answers them itself, so that it can be tried without a PBX.
//! A SIP user agent of their own, reached over real SIP and RTP on loopback, like any trunk.

mod audio;
mod number;
mod task;

pub use number::{BuiltInNumber, TRUNK};
pub use task::{BuiltIn, Error};
