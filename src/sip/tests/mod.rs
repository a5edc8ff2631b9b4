//! Traces of the whole user agent.

mod authentication;
mod called;
mod calling;
mod digest;
mod early;
mod failover;
mod framing;
mod health;
mod identity;
mod instant_messages;
mod limits;
mod loopback;
mod lost_streams;
mod messages;
mod own_address;
mod redirections;
mod registering;
mod reliable;
mod sessions;
mod tls;
mod transfers;
mod wire;
