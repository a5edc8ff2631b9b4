//! Registrations at trunks (RFC 3261 section 10, RFC 5626): one per trunk that asks for it, one per
//! account. [`Registrations`] is all of them with their transitions; what it wants sent and told
//! are [`RegistrationAction`]s.

mod action;
mod contact_index;
mod entry;
mod instance;
mod machine;
mod register_queues;
mod register_request;
#[expect(clippy::module_inception, reason = "the folder's own type")]
mod registrations;

#[cfg(test)]
mod tests;

pub use action::{RegistrationAction, RegistrationId};
pub use entry::RegistrationEntry;
pub use registrations::Registrations;
