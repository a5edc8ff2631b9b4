//! A lean ICE agent (RFC 8445) for one component on a shared port: full or lite, one stream, host
//! candidates, trickle, consent freshness (RFC 7675), and media that follows nomination.
//! `docs/decisions/0001-webrtc-parts.md` says why it is ours.

mod agent;
mod budget;
mod credentials;
mod pair;
mod transport;

pub(super) use agent::{AgentEvent, Settings};
pub use budget::{CheckRate, SuppressedChecks};
pub(super) use credentials::IceCredentials;
pub(super) use transport::IceTransport;
