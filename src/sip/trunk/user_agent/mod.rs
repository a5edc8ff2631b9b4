//! The pure user agent: `handle_*` takes messages, commands, resolved names, failures and the
//! time; `poll_transmit` and `poll_event` give bytes to send and news; `poll_timeout` says when it
//! wants to be woken. No socket, clock or source of randomness of its own.
//!
//! `agent` holds values and imports their files alone: `leg`, `way`, `outbound`, `client_context`,
//! `transfers` and their like, which know nothing of [`UserAgent`]. What it does with them stands
//! in the files with an `impl UserAgent` of their own, which import it.

mod acknowledgements;
mod acknowledging;
mod admitting;
mod agent;
mod answering;
mod authentication;
mod client_context;
mod client_side;
mod commands;
mod connections;
mod dialog_infos;
mod dialog_messages;
mod dialogs;
mod domains;
mod early;
mod ending;
mod failover;
mod health;
mod in_dialog;
mod incoming_invite;
mod incoming_request;
mod intervals;
mod invite_answers;
mod keep_alives;
mod leg;
mod leg_timers;
mod messaging;
mod origin;
mod outbound;
mod outgoing_invite;
mod own_address;
mod owner;
mod parties;
mod pending_messages;
mod redirecting;
mod refreshing;
mod registering;
mod reliable;
mod remote_offers;
mod reoffering;
mod response_destination;
mod sending;
mod server_context;
mod server_side;
mod targets;
mod timer_key;
mod transferring;
mod transfers;
mod unreachable;
mod user_agent_event;
mod waiting_requests;
mod way;

pub use agent::UserAgent;
pub use user_agent_event::UserAgentEvent;
