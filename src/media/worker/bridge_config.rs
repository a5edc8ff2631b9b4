//! Settings and randomness of one call.

use std::time::Duration;

use super::reporter::WallClock;
use crate::media::pipeline::{self, StreamIdentity};

/// Settings and randomness of one call.
#[derive(Clone, Debug)]
pub struct BridgeConfig {
    /// Settings of both paths.
    pub path: pipeline::Config,
    /// See [`crate::media::WorkerConfig::media_timeout`].
    pub media_timeout: Duration,
    /// See [`crate::media::WorkerConfig::report_interval`].
    pub report_interval: Duration,
    /// See [`crate::media::WorkerConfig::statistics_interval`].
    pub statistics_interval: Duration,
    /// The stream that we send to the browser.
    pub to_browser: StreamIdentity,
    /// The stream that we send to the PBX.
    pub to_pbx: StreamIdentity,
    /// Our canonical name in RTCP (RFC 7022): random, says nothing of the machine.
    pub cname: String,
    /// Spreads the reports.
    pub seed: u32,
    /// The worker's wall clock.
    pub clock: WallClock,
}
