//! One direction of a call's audio: RTP of one side in, RTP for the other side out.
//!
//! Pure: packets, times and identities are arguments. Packets are forwarded when they come, no
//! clock of our own re-times them; only the reorder window and digits of our own need
//! [`Pipeline::poll_timeout`].
//!
//! ```text
//! packet -> reception (order, loss, jitter) -> reorder -> forward -+- audio: pass or transcode -> output
//!                                                                  +- event: key press ---------> output
//!                                          digits asked for: digit sender ----------------------> output
//! ```

mod assembly;
mod audio_rate;
mod config;
mod decoder_stage;
mod digit_sender;
mod key_press;
mod outbox;
mod output;
mod pressing;
mod reporting;
mod source;
mod statistics;
mod timeline;

#[cfg(test)]
mod tests;

pub use assembly::Pipeline;
pub use config::{Config, PipelineEvent, StreamIdentity};
pub use statistics::{Dropped, PipelineStatistics};
