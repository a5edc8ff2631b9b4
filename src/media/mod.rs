//! A call's running media. [`pipeline`] is one direction of it, pure; worker threads own the
//! sockets and the clock and carry packets to and from two pipelines a call.
//!
//! ```text
//! browser <=> Peer <=> plain RTP -> Pipeline -> symmetric RTP <=> PBX
//!         (ICE, DTLS, SRTP)      <- Pipeline <-
//! ```

mod config;
mod error;
mod handle;
mod latching;
mod message;
pub mod pipeline;
mod ports;
mod statistics;
mod symmetric_rtp;
mod worker;

pub use config::WorkerConfig;
pub use error::Error;
pub use handle::WorkerHandle;
pub use latching::{Latching, RtpSources, SETTLE_PACKETS, SETTLE_TIME};
pub use message::{AudioCommand, CallKey, CloseReason, Command, MediaEvent, Side, StreamId};
pub use ports::{DEFAULT_DRAIN, Lease, Ports, PortsConfig, RtpSockets};
pub use statistics::{CallStatistics, Drops, SideStatistics};
pub use symmetric_rtp::{Arrival, SymmetricRtp};
