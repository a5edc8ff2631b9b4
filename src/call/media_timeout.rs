//! The end of an answered call in which no audio arrives from either side for a configured time,
//! as dead calls do whose PBX has failed and whose client sends nothing.

use std::time::{Duration, Instant};

use super::message::Quality;

/// Since when nothing has arrived.
#[derive(Debug, Default)]
pub(super) struct MediaTimeout {
    /// RTP packets of both sides so far.
    packets: u64,
    /// When that number last changed, or the call was on hold.
    active_at: Option<Instant>,
}

impl MediaTimeout {
    /// Takes new figures; true when nothing has arrived for `timeout`. On hold nothing needs to.
    pub(super) fn measured(
        &mut self,
        quality: &Quality,
        on_hold: bool,
        timeout: Option<Duration>,
        now: Instant,
    ) -> bool {
        let packets = quality
            .browser
            .packets_in
            .saturating_add(quality.pbx.packets_in);
        let active = std::mem::replace(&mut self.packets, packets) != packets || on_hold;
        if active {
            self.active_at = Some(now);
        }
        let since = *self.active_at.get_or_insert(now);
        timeout.is_some_and(|timeout| now.saturating_duration_since(since) >= timeout)
    }
}
