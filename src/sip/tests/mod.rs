//! Traces of the whole user agent.

mod authentication;
mod bad_input;
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
mod multipart;
mod must_get_right;
mod own_address;
mod redirections;
mod registering;
mod reliable;
mod sessions;
mod strangers;
mod tls;
mod transfers;
mod wire;
