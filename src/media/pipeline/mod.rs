//! One direction of a call's audio: RTP of one side in, RTP for the other side out.
//!
//! Pure: packets, times and identities are arguments. Packets are forwarded when they come, no
//! clock of our own re-times them; only the reorder window, telephone events, digits of our own and
//! the keep-alive need [`Pipeline::poll_timeout`].
//!
//! ```text
//! relay:      receiver ----------------------> sender
//! transcode:  receiver -> decoder -> encoder -> sender
//! DTMF:       receiver -> event receiver, in-band detector -> events: sender
//!             DTMF sender --------------------> tones: encoder -> sender
//! ```
//!
//! Which arrangement a packet takes depends on its codec. Each stage is a part with its own state:
//! `assembly` puts them together, `egress` is encoder and sender.

mod assembly;
mod audio_rate;
mod config;
mod decoder_stage;
mod digit_reports;
mod dtmf;
mod dtmf_sender;
mod egress;
mod encoder_stage;
mod event_receiver;
mod in_band_dtmf;
mod keep_alive;
mod receiver;
mod relay;
mod rtcp_reports;
mod send_queue;
mod sender;
mod statistics;
mod timestamp_mapping;
mod transcode;

#[cfg(test)]
mod tests;

pub use assembly::Pipeline;
pub use config::{Config, PipelineEvent, StreamIdentity};
pub use statistics::{Dropped, PipelineStatistics};
