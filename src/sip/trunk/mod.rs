//! Trunks: the user agent towards PBXs and carriers on top of [`super::stack`], with registrations,
//! routing to targets, failover, health and identity.

pub(crate) mod admission;
pub(crate) mod called;
pub(crate) mod config;
pub(crate) mod contact;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod handle;
pub(crate) mod health;
pub(crate) mod identity;
pub(crate) mod instant_message;
pub(crate) mod network_headers;
pub(crate) mod policy;
pub(crate) mod redirection;
pub(crate) mod refer;
pub(crate) mod registrations;
pub(crate) mod task;
pub(crate) mod user_agent;
