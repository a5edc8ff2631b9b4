//! One direction of a call's audio: RTP of one side in, RTP for the other side out.
//!
//! Pure: packets, times and identities are arguments. Packets are forwarded when they come, no
//! clock of our own re-times them; only the reorder window and digits of our own need
//! [`Path::poll_timeout`].

mod config;
mod forward;
mod statistics;

pub use config::{Config, PathEvent, StreamIdentity};
pub use forward::Path;
pub use statistics::{Dropped, PathStatistics};
