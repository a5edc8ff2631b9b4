//! A whole gateway in this process, between an independent browser (the crate `webrtc`, with
//! tokio-tungstenite for signalling) and a PBX (a SIP user agent and plain RTP sockets). Audio
//! is judged by its frequency. Each behaviour is a module.

#![expect(
    clippy::disallowed_methods,
    reason = "real sockets, real time: reads the clock and starts tasks"
)]

mod browser;
mod page;
mod pbx;
mod setup;
mod sip_client;
mod sound;

mod bad_descriptions;
mod bad_frames;
mod bad_messages;
mod bad_sip;
mod built_in;
mod bursts;
mod call_in;
mod call_out;
mod delayed_offer;
mod digits;
mod drain;
#[cfg(target_os = "linux")]
mod dscp;
mod dual_stack;
mod early_media;
mod endings;
mod failover;
mod fallback;
mod field_reports;
mod forks;
mod guessing;
mod hold;
mod hostile_datagrams;
mod hostile_streams;
mod identity;
mod instant_messages;
mod limits;
mod lost_connection;
mod media_silence;
mod network_errors;
mod registration;
mod ringing_limits;
mod secure_sip;
mod session_end;
mod set_up_time;
mod shared_door;
mod sign_in;
mod silent_sockets;
mod sip_websocket;
mod srtp;
mod supervision;
mod third_party_candidates;
mod transfer;
mod transfer_endings;
mod unexpected_sources;
mod user_lines;
