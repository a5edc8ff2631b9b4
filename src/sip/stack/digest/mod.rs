//! Digest authentication (RFC 7616, RFC 8760, RFC 3310): answers to challenges, challenges to
//! others, and the key of a subscriber.

mod aka;
mod client;
mod credentials;
mod server;

pub use aka::{Aka, Subscriber};
pub use client::{Authorizer, Subject};
pub use credentials::Credentials;
pub use server::{Answer, Verdict, Verifier};

#[cfg(test)]
pub use client::{Challenge, Hash, Proof, Protection, Unanswerable, challenges};
