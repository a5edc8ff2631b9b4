//! What a pipeline is given at its beginning, and its events.

use std::time::Duration;

/// Settings of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Complexity of our Opus encoder, 0-10: 5 costs two and a half times 0.
    pub opus_complexity: u8,
    /// How long a packet that came early waits for those before it.
    pub reorder_window: Duration,
    /// How many packets may wait so.
    pub reorder_depth: usize,
    /// The longest loss that is concealed; what is beyond stays a gap.
    pub concealment_limit: Duration,
    /// Silence between two digits that we send.
    pub digit_pause: Duration,
    /// How long an arriving key press may stay without an update before it counts as over.
    pub event_timeout: Duration,
    /// After how long without a packet to the PBX silence is sent (RFC 6263); zero: never.
    pub keep_alive: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            opus_complexity: 0,
            reorder_window: Duration::from_millis(40),
            reorder_depth: 3,
            concealment_limit: Duration::from_millis(100),
            digit_pause: Duration::from_millis(80),
            event_timeout: Duration::from_millis(250),
            keep_alive: Duration::from_secs(1),
        }
    }
}

/// Where a stream that we send begins. Random (RFC 3550 section 5.1), hence an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamIdentity {
    /// The synchronization source, for the pipeline's whole life.
    pub ssrc: u32,
    /// Sequence number of the first packet.
    pub first_sequence: u16,
    /// Timestamp of the first packet.
    pub first_timestamp: u32,
}

/// What happens in a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineEvent {
    /// The first audio packet came.
    FirstAudio,
    /// A key was pressed and let go: once per press, also when its last packets were lost.
    Digit {
        /// One of `0-9*#A-D`.
        digit: char,
        /// How long it was pressed, milliseconds.
        duration_ms: u32,
    },
}
