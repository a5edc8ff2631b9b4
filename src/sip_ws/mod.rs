//! SIP over WebSocket (RFC 7118) for user agents in browsers, at `/sip`: from SIP to
//! [`crate::call::Command`], from [`crate::call::Notice`] to SIP. Decides nothing about calls.
//!
//! [`route`] makes the door. Behind it a pure `client::Client` for each connection takes messages and
//! the time, and gives messages and questions; `connection` drives it. What connections share is in
//! `registrar` and `authenticator`.

mod authenticator;
mod bindings;
mod call_handles;
mod called;
mod calling;
mod calls;
mod client;
mod connection;
mod context;
mod digits;
mod frame;
mod incoming;
mod leg;
mod output;
mod reason;
mod registrar;
mod registration;
mod route;
mod screening;
mod session;
mod shared;
mod step;
mod tokens;
mod transactions;

#[cfg(test)]
mod tests;

pub use authenticator::{Account, Accounts};
pub use route::route;
