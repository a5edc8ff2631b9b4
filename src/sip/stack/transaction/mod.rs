//! The four transactions of RFC 3261 section 17, with the Accepted states of RFC 6026, as pure
//! state machines over bytes: `handle` takes what happened, `poll` gives what to do,
//! `poll_timeout` and `handle_timeout` carry the timers. They know neither sockets nor headers.
//! [`Transactions`] holds all of one user, with the keys that match messages to them ([`key`]) and
//! their timers.

mod action;
mod any_transaction;
mod client;
mod client_invite;
mod entries;
pub mod key;
mod same_branch;
mod server;
mod server_invite;
mod timers;
mod transactions;

#[cfg(test)]
mod tests;

pub use entries::{ClientEntry, ClientUser};
pub use same_branch::same_branch;
pub use timers::Timers;
pub use transactions::{Arrival, TimerKey, Transactions, Unmatched};
