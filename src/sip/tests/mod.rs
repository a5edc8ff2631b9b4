//! Traces of the whole user agent.

mod called;
mod calling;
mod digest;
mod failover;
mod framing;
mod health;
mod identity;
mod loopback;
mod messages;
mod wire;
