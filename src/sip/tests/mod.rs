//! Traces of the whole user agent.

mod digest;
mod framing;
mod loopback;
mod messages;
mod traces;
mod wire;
