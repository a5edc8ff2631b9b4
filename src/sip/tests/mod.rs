//! Traces of the whole user agent.

mod called;
mod calling;
mod digest;
mod framing;
mod identity;
mod loopback;
mod messages;
mod registering;
mod wire;
