//! Trunkline, a WebRTC-to-SIP gateway: a back-to-back user agent between browsers and PBXs.
//!
//! The map, in dependency order (`tests/architecture.rs` enforces it):
//!
//! - [`codec`], [`redacted`], [`srtp_keys`], [`supervision`], [`guest`],
//!   [`display_name`], [`token_bucket`]: vocabulary that every folder may use.
//! - [`rtp`]: packets, RTCP, sequence and timestamp arithmetic, telephone events.
//! - [`audio`]: coders: Opus, G.711, tones, concealment.
//! - [`sdp`]: offer and answer values and the functions that bridge them.
//! - [`srtp`]: media packets protected, for both sides.
//! - [`peer`]: the WebRTC side of a call: ICE, DTLS.
//! - [`sip`]: the SIP user agent.
//! - [`media`]: a call's running media and the workers that carry it.
//! - [`call`]: the one place that decides what a call does: state machine, endings, one task per call.
//! - [`control`]: where calls begin: routing, limits, the location service, assembly of a call.
//! - [`signaling`]: the browser's doors.
//! - [`sip_ws`]: the door of user agents in browsers: SIP over WebSocket.
//! - [`built_in`]: the built-in numbers, a SIP user agent behind real SIP and RTP.
//! - [`settings`], [`telemetry`]: the configuration as written; logs and metrics.
//! - [`gateway`]: the composition root.

#![forbid(unsafe_code)]

pub mod audio;
pub mod built_in;
pub mod call;
pub mod codec;
pub mod control;
pub mod display_name;
pub mod dscp;
pub mod gateway;
pub mod guest;
pub mod media;
pub mod peer;
pub mod redacted;
pub mod rtp;
pub mod sdp;
pub mod settings;
pub mod signaling;
pub mod sip;
pub mod sip_ws;
pub mod srtp;
pub mod srtp_keys;
pub mod stun;
pub mod supervision;
pub mod telemetry;
pub mod timer_queue;
pub mod token_bucket;
