//! The WebRTC side of a call: ICE, DTLS-SRTP, one peer per call, many peers on one UDP port.
//!
//! [`Peer`] does no input or output: its driver owns the sockets, tells the time, and finds the
//! peer of a datagram by [`stun_username`] for checks, by [`Peer::validated`] addresses for
//! everything else, and by the SSRC for media from an address that is new. This is the only folder that names the WebRTC crates;
//! `docs/decisions/0001-webrtc-parts.md` says which and why.

mod candidate;
mod certificate;
mod config;
mod demultiplex;
mod dtls;
mod error;
mod event;
mod ice;
mod remote_parameters;
mod session;

pub use candidate::{CandidateRejection, UnusedCandidates};
pub use certificate::Certificate;
pub use config::{CHECK_BURST, CHECKS_PER_SECOND, Config, LocalCandidate, Role};
pub use demultiplex::{Kind, classify, stun_username};
pub use error::Error;
pub use event::{Drop, Event, Failure, NotReady, Received, Route, Transmit};
pub use ice::{CheckRate, SuppressedChecks};
pub use session::Peer;
