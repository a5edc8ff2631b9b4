//! A call's running media. [`path`] is one direction of it, pure; worker threads own the
//! sockets and the clock and carry packets to and from two paths a call.
//!
//! ```text
//! browser <=> SecureLeg <=> plain RTP -> Path -> endpoint <=> PBX
//!              (ICE, DTLS, SRTP)      <- Path <-
//! ```

mod endpoint;
mod error;
mod handle;
mod latching;
mod leg;
pub mod path;
mod ports;
mod statistics;
mod worker;

pub use endpoint::{Arrival, Endpoint};
pub use error::Error;
pub use handle::{CallKey, CloseReason, Command, MediaEvent, Side, WorkerConfig, WorkerHandle};
pub use latching::{Latching, RtpSources, SETTLE_PACKETS, SETTLE_TIME};
pub use leg::{Received, Route, SecureLeg};
pub use ports::{DEFAULT_DRAIN, Lease, Ports, PortsConfig, RtpSockets};
pub use statistics::{CallStatistics, Drops, SideStatistics};
