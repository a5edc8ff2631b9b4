//! The intervals of RFC 3261 and RFC 6026 that legs wait for.

use std::time::Duration;

/// T1 of RFC 3261.
pub const T1: Duration = Duration::from_millis(500);

/// T2 of RFC 3261.
pub const T2: Duration = Duration::from_secs(4);

/// 64 * T1: how long a 2xx waits for its ACK and a CANCEL for its effect.
pub const LIFETIME: Duration = Duration::from_secs(32);

/// Repetition of a provisional answer, so that no proxy on the way gives up (RFC 3261 section
/// 13.3.1.1).
pub const PROGRESS_EVERY: Duration = Duration::from_secs(60);
