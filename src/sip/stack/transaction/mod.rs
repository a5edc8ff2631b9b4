//! The four transactions of RFC 3261 section 17, with the Accepted states of RFC 6026, as pure
//! state machines over bytes: `handle` takes what happened, `poll` gives what to do,
//! `poll_timeout` and `handle_timeout` carry the timers. They know neither sockets nor headers;
//! matching messages to them is [`key`]'s.

mod action;
mod client;
mod client_invite;
pub mod key;
mod server;
mod server_invite;
mod timers;

#[cfg(test)]
mod tests;

pub use action::{Action, Ready};
pub use client::Client;
pub use client_invite::ClientInvite;
pub use server::Server;
pub use server_invite::{ServerInvite, ServerInviteInput};
pub use timers::Timers;
