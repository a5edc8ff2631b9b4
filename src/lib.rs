//! Trunkline, a WebRTC-to-SIP gateway: a back-to-back user agent between browsers and PBXs.
//!
//! The map, in dependency order (`tests/architecture.rs` enforces it):
//!
//! - [`codec`], [`redacted`]: vocabulary that every folder may use.
//! - [`rtp`]: packets, RTCP, sequence and timestamp arithmetic, telephone events.
//! - [`audio`]: coders: Opus, G.711, tones, concealment.
//! - [`sdp`]: offer and answer values and the functions that bridge them.
//! - [`peer`]: the WebRTC side of a call: ICE, DTLS, SRTP.
//! - [`sip`]: the SIP user agent.
//! - [`media`]: a call's running media and the workers that carry it.

#![forbid(unsafe_code)]

pub mod audio;
pub mod codec;
pub mod media;
pub mod peer;
pub mod redacted;
pub mod rtp;
pub mod sdp;
pub mod sip;
