//! Health of trunks: which destinations of their targets answer, by OPTIONS probes (RFC 3261
//! section 11) and by the calls that failed. It decides; the probes themselves and the addresses of
//! the targets are its owner's ([`HealthAction`]).

mod action;
mod destination_health;
mod target_health;
mod target_id;
mod trunk_health;

#[cfg(test)]
mod tests;

pub use action::HealthAction;
pub use target_id::{TargetDestination, TargetId};
pub use trunk_health::{ProbeEffect, TrunkHealth};
