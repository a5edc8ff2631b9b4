//! The pure user agent: `handle_*` takes messages, commands, resolved names, failures and the
//! time; `poll_transmit` and `poll_event` give bytes to send and news; `poll_timeout` says when it
//! wants to be woken. No socket, clock or source of randomness of its own.

mod acknowledging;
mod admitting;
mod agent;
mod answering;
mod authentication;
mod client_side;
mod commands;
mod connections;
mod contact;
mod dialog_messages;
mod domains;
mod early;
mod ending;
mod failover;
mod flow;
mod health;
mod in_dialog;
mod informing;
mod invite_answers;
mod keep_alives;
mod leg;
mod leg_timers;
mod messaging;
mod origin;
mod own_address;
mod probing;
mod redirecting;
mod refreshing;
mod registering;
mod registrations;
mod reliable;
mod reoffering;
mod sending;
mod server_side;
mod targets;
mod their_offers;
mod transferring;
mod unreachable;
mod way_back;

pub use agent::UserAgent;
pub use domains::Domain;
pub use flow::{Flow, Happening, Transmit};
