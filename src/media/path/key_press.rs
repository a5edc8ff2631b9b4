//! Key presses that arrive as telephone events: many packets, one press (RFC 4733 section 2.5).

use crate::rtp::{RtpTimestampExt, TelephoneEvent, scale};
use std::time::{Duration, Instant};

/// The longest segment of a long event (RFC 4733 section 2.5.1.3).
pub(super) const LONGEST_SEGMENT: u32 = 0xffff;

/// What a packet says about the press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// A press begins; `unfinished` is one before it whose end was never seen.
    Began { unfinished: Option<Press> },
    /// It lasts, or its end is told again.
    Goes { ended: bool },
    /// It is over, told for the first time.
    Ended,
    /// About a press that was given up or overtaken.
    Stale,
}

/// Where in its stream an event packet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) ssrc: u32,
    pub(super) timestamp: u32,
    /// The clock of the stream's timestamps, which is not that of the durations where an Opus
    /// stream carries `telephone-event/8000`.
    pub(super) timestamp_rate: u32,
}

/// How far a press has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Held,
    Released,
    /// No update came in time.
    GivenUp,
}

/// One press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Press {
    pub(super) event: u8,
    pub(super) volume: u8,
    /// Clock of the durations.
    pub(super) clock_rate: u32,
    /// Source, RTP timestamp of the present segment, and the clock of that.
    ssrc: u32,
    timestamp: u32,
    timestamp_rate: u32,
    /// Ticks of segments before it.
    earlier: u32,
    duration: u16,
    phase: Phase,
    updated: Instant,
}

impl Press {
    /// Ticks of its clock since the key went down.
    pub(super) fn ticks(&self) -> u32 {
        self.earlier.saturating_add(u32::from(self.duration))
    }

    /// The same as time.
    pub(super) fn lasted(&self) -> Duration {
        let rate = u64::from(self.clock_rate.max(1));
        Duration::from_millis(u64::from(self.ticks()) * 1_000 / rate)
    }
}

/// The press that is going on, or was last.
#[derive(Debug, Default)]
pub(super) struct KeyPresses {
    present: Option<Press>,
}

impl KeyPresses {
    /// Takes an event whose durations count by `clock_rate`.
    pub(super) fn handle(
        &mut self,
        event: TelephoneEvent,
        stamp: Stamp,
        clock_rate: u32,
        now: Instant,
    ) -> Update {
        let Stamp {
            ssrc,
            timestamp,
            timestamp_rate,
        } = stamp;
        if let Some(press) = self.present.as_mut().filter(|press| press.ssrc == ssrc) {
            if press.event == event.event && press.timestamp == timestamp {
                return press.update(event, now);
            }
            if timestamp.since(press.timestamp) < 0 {
                return Update::Stale;
            }
            if press.phase == Phase::Held && press.goes_on_in(event.event, timestamp) {
                press.earlier = press.earlier.saturating_add(LONGEST_SEGMENT);
                press.timestamp = timestamp;
                press.duration = 0;
                return press.update(event, now);
            }
        }
        let phase = if event.end {
            Phase::Released
        } else {
            Phase::Held
        };
        let before = self.present.replace(Press {
            event: event.event,
            volume: event.volume,
            clock_rate,
            ssrc,
            timestamp,
            timestamp_rate,
            earlier: 0,
            duration: event.duration,
            phase,
            updated: now,
        });
        Update::Began {
            unfinished: before.filter(|press| press.phase == Phase::Held),
        }
    }

    /// The press that is going on, or was last.
    pub(super) fn present(&self) -> Option<&Press> {
        self.present.as_ref()
    }

    /// Whether the press is over.
    pub(super) fn is_released(&self) -> bool {
        self.present.is_none_or(|press| press.phase != Phase::Held)
    }

    /// Whether the audio at `timestamp` is that of a press: while one is held all that is after
    /// its beginning, then what is before its end.
    pub(super) fn covers(&self, ssrc: u32, timestamp: u32) -> bool {
        self.present
            .filter(|press| press.ssrc == ssrc)
            .is_some_and(|press| {
                let since = i64::from(timestamp.since(press.timestamp));
                let length = i64::from(press.duration);
                let length = scale(length, press.clock_rate, press.timestamp_rate);
                since >= 0 && (press.phase == Phase::Held || since < length)
            })
    }

    /// When the held press is given up.
    pub(super) fn poll_timeout(&self, patience: Duration) -> Option<Instant> {
        let press = self.present.filter(|press| press.phase == Phase::Held)?;
        Some(press.updated + patience)
    }

    /// Gives up a held press that has had no update for `patience`.
    pub(super) fn give_up(&mut self, now: Instant, patience: Duration) -> Option<Press> {
        let press = self.present.as_mut()?;
        let due =
            press.phase == Phase::Held && now.saturating_duration_since(press.updated) >= patience;
        due.then(|| {
            press.phase = Phase::GivenUp;
            *press
        })
    }

    /// Another source begins: gives up a held press. It stays known by its source, for there
    /// are gateways that send keys and audio by turns as two sources.
    pub(super) fn interrupt(&mut self) -> Option<Press> {
        let press = self.present.as_mut()?;
        (press.phase == Phase::Held).then(|| {
            press.phase = Phase::GivenUp;
            *press
        })
    }
}

impl Press {
    fn update(&mut self, event: TelephoneEvent, now: Instant) -> Update {
        match (self.phase, event.end) {
            (Phase::GivenUp, _) | (Phase::Released, false) => Update::Stale,
            (Phase::Released, true) => Update::Goes { ended: true },
            (Phase::Held, end) => {
                self.duration = self.duration.max(event.duration);
                self.updated = now;
                if end {
                    self.phase = Phase::Released;
                    Update::Ended
                } else {
                    Update::Goes { ended: false }
                }
            }
        }
    }

    /// Whether a packet at `timestamp` is the next segment of this press: it begins exactly
    /// where the longest possible segment ends.
    fn goes_on_in(&self, event: u8, timestamp: u32) -> bool {
        let segment = scale(
            i64::from(LONGEST_SEGMENT),
            self.clock_rate,
            self.timestamp_rate,
        );
        let off = i64::from(timestamp.since(self.timestamp)) - segment;
        event == self.event && off.abs() <= 8
    }
}
