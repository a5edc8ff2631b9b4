//! Traces of the whole user agent.

mod called;
mod calling;
mod digest;
mod early;
mod framing;
mod identity;
mod loopback;
mod messages;
mod reliable;
mod sessions;
mod wire;
