//! Traces of the whole user agent.

mod bad_input;
mod called;
mod calling;
mod digest;
mod framing;
mod identity;
mod loopback;
mod messages;
mod multipart;
mod must_get_right;
mod strangers;
mod wire;
