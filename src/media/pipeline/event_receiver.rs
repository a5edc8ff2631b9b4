//! The receiver of telephone events: many packets, one key press (RFC 4733 section 2.5).
//!
//! All packets of a press should have the timestamp of its beginning, and a press that is longer
//! than a duration can say goes on in another segment, which begins where the one before ends.
//! Equipment deviates: timestamps that advance with each packet of a key, several keys under one
//! timestamp, segments that begin elsewhere, durations on another clock than SDP says. Packets
//! arrive here in the order of their sequence numbers, so what differs was sent so.

use crate::rtp::{RtpTimestampExt, TelephoneEvent, scale};
use std::time::{Duration, Instant};

/// The longest segment of a long event (RFC 4733 section 2.5.1.3).
pub(super) const LONGEST_SEGMENT: u32 = 0xffff;
/// Rounding of timestamps between two clocks, ticks.
const ROUNDING: i64 = 8;
/// Longer than an update of any sender stays out; parts of a second.
const LONGEST_PACKET_PER_SECOND: i64 = 8;
/// The usual distance of two updates; parts of a second.
const PACKETS_PER_SECOND: i64 = 50;
/// Two ends further apart are of two presses: 40 ms of key and 30 ms of pause are the least that
/// senders have; parts of a second.
const END_REPETITIONS_PER_SECOND: i64 = 16;
/// A growth of the duration says something of its clock after this much time and this many
/// updates.
const CLOCK_EVIDENCE: (Duration, u32) = (Duration::from_millis(80), 4);

/// What a packet says about the press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// A press begins; `unfinished` is one before it whose end was never seen.
    Began { unfinished: Option<ReceivedEvent> },
    /// It lasts, or its end is repeated.
    Continues { ended: bool },
    /// It is over, for the first time.
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
    pub(super) marker: bool,
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
pub(super) struct ReceivedEvent {
    pub(super) event: u8,
    pub(super) volume: u8,
    /// Clock of the durations.
    pub(super) clock_rate: u32,
    /// Source, RTP timestamp of the present segment, and the clock of that.
    ssrc: u32,
    timestamp: u32,
    timestamp_rate: u32,
    /// The timestamp of the last packet: another one where timestamps advance.
    latest: u32,
    /// Ticks of segments before it.
    earlier: u32,
    duration: u16,
    phase: Phase,
    began: Instant,
    /// What the first packet said, and how many have come.
    first_duration: u16,
    packets: u32,
    updated: Instant,
}

impl ReceivedEvent {
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

/// A press that another one has followed, by its packets.
#[derive(Clone, Copy, Debug)]
struct Overtaken {
    event: u8,
    timestamp: u32,
    latest: u32,
}

/// The press that is going on, or was last.
#[derive(Debug, Default)]
pub(super) struct EventReceiver {
    present: Option<ReceivedEvent>,
    before: Option<Overtaken>,
    /// The source's events count by 8000 where SDP says 48000.
    counts_by_8000: Option<u32>,
}

impl EventReceiver {
    /// Takes an event whose durations count by `clock_rate`.
    pub(super) fn handle(
        &mut self,
        event: TelephoneEvent,
        stamp: Stamp,
        clock_rate: u32,
        now: Instant,
    ) -> Update {
        let Stamp {
            ssrc, timestamp, ..
        } = stamp;
        if let Some(press) = self.present.as_mut().filter(|press| press.ssrc == ssrc) {
            let overtaken = self.before.is_some_and(|before| {
                before.event == event.event
                    && timestamp.since(before.timestamp) >= 0
                    && timestamp.since(before.latest) <= 0
            });
            let update = match press.relation(event, stamp) {
                Relation::Same => Some(press.update(event, now)),
                Relation::NextSegment { earlier } => {
                    press.earlier = press.earlier.saturating_add(earlier);
                    press.timestamp = timestamp;
                    press.latest = timestamp;
                    press.duration = 0;
                    Some(press.update(event, now))
                }
                Relation::Advancing => {
                    press.latest = timestamp;
                    Some(press.update(event, now))
                }
                Relation::Another => overtaken.then_some(Update::Stale),
            };
            if let Some(update) = update {
                if update == Update::Ended {
                    let slow = press.clock_rate != clock_rate;
                    self.counts_by_8000 = slow.then_some(ssrc);
                }
                return update;
            }
        }
        let phase = if event.end {
            Phase::Released
        } else {
            Phase::Held
        };
        let slow = clock_rate == 48_000 && self.counts_by_8000 == Some(ssrc);
        let before = self.present.replace(ReceivedEvent {
            event: event.event,
            volume: event.volume,
            clock_rate: if slow { 8_000 } else { clock_rate },
            ssrc,
            timestamp,
            timestamp_rate: stamp.timestamp_rate,
            latest: timestamp,
            earlier: 0,
            duration: event.duration,
            phase,
            began: now,
            first_duration: event.duration,
            packets: 1,
            updated: now,
        });
        self.before = before
            .filter(|press| press.ssrc == ssrc && press.timestamp != timestamp)
            .map(|press| Overtaken {
                event: press.event,
                timestamp: press.timestamp,
                latest: press.latest,
            });
        Update::Began {
            unfinished: before.filter(|press| press.phase == Phase::Held),
        }
    }

    /// The press that is going on, or was last.
    pub(super) fn present(&self) -> Option<&ReceivedEvent> {
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
    pub(super) fn give_up(&mut self, now: Instant, patience: Duration) -> Option<ReceivedEvent> {
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
    pub(super) fn interrupt(&mut self) -> Option<ReceivedEvent> {
        let press = self.present.as_mut()?;
        (press.phase == Phase::Held).then(|| {
            press.phase = Phase::GivenUp;
            *press
        })
    }
}

/// What a packet has to do with the press before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// It is of the present segment.
    Same,
    /// It begins another segment of it, after this many ticks.
    NextSegment { earlier: u32 },
    /// It is of the present segment, though its timestamp has advanced.
    Advancing,
    /// It is of another press.
    Another,
}

impl ReceivedEvent {
    fn relation(&self, event: TelephoneEvent, stamp: Stamp) -> Relation {
        if event.event != self.event {
            return Relation::Another;
        }
        if stamp.timestamp == self.timestamp {
            return match self.begins_anew(event, stamp.marker) {
                true => Relation::Another,
                false => Relation::Same,
            };
        }
        if stamp.marker {
            return Relation::Another;
        }
        let rate = i64::from(self.clock_rate);
        let since = |timestamp: u32| {
            let ticks = i64::from(stamp.timestamp.since(timestamp));
            scale(ticks, self.timestamp_rate, self.clock_rate)
        };
        let (advance, step) = (since(self.timestamp), since(self.latest));
        let (before, after) = (i64::from(self.duration), i64::from(event.duration));
        let is_near = |value: i64, other: i64| (value - other).abs() <= ROUNDING;
        let longest = i64::from(LONGEST_SEGMENT);
        let packet = rate / LONGEST_PACKET_PER_SECOND;
        if self.phase == Phase::Held && after <= before {
            // The segment was full, as far as its last packets have come. Chromium begins the
            // next one where its next packet begins, and counts from where the full one ended.
            let is_full = before >= longest - 2 * packet;
            let begins = (longest - ROUNDING..=longest + packet).contains(&advance);
            if is_full && begins {
                let exact = is_near(advance, longest) || is_near(advance, longest + after);
                let earlier = if exact { longest } else { advance };
                return Relation::NextSegment {
                    earlier: earlier as u32,
                };
            }
            // A sender with shorter segments.
            if step > 0 && is_near(advance, before) {
                return Relation::NextSegment {
                    earlier: before as u32,
                };
            }
        }
        let growth = after - before;
        let grows =
            growth > 0 && step > 0 && (step - growth).abs() <= rate / PACKETS_PER_SECOND + ROUNDING;
        let ends_again = self.phase == Phase::Released
            && event.end
            && growth == 0
            && (0..=rate / END_REPETITIONS_PER_SECOND).contains(&step);
        let goes_on = match self.phase {
            Phase::Held | Phase::GivenUp => grows,
            Phase::Released => ends_again || event.end && grows,
        };
        match goes_on {
            true => Relation::Advancing,
            false => Relation::Another,
        }
    }

    /// Whether a packet with the timestamp and the key of this press is of another one: several
    /// keys under one timestamp.
    fn begins_anew(&self, event: TelephoneEvent, marker: bool) -> bool {
        let is_fresh = event.duration < self.duration;
        match self.phase {
            Phase::Released => is_fresh || marker && !event.end,
            Phase::Held | Phase::GivenUp => marker && is_fresh,
        }
    }

    fn update(&mut self, event: TelephoneEvent, now: Instant) -> Update {
        match (self.phase, event.end) {
            (Phase::GivenUp, _) | (Phase::Released, false) => Update::Stale,
            (Phase::Released, true) => Update::Continues { ended: true },
            (Phase::Held, end) => {
                self.duration = self.duration.max(event.duration);
                self.updated = now;
                self.packets = self.packets.saturating_add(1);
                self.check_clock(now);
                if end {
                    self.phase = Phase::Released;
                    Update::Ended
                } else {
                    Update::Continues { ended: false }
                }
            }
        }
    }

    /// Durations of `telephone-event/48000` that grow by a sixth of the time that passes count
    /// by 8000, as Asterisk's do.
    fn check_clock(&mut self, now: Instant) {
        if ![48_000, 8_000].contains(&self.clock_rate) || self.timestamp_rate != 48_000 {
            return;
        }
        let elapsed = now.saturating_duration_since(self.began);
        let (least, packets) = CLOCK_EVIDENCE;
        if elapsed < least || self.packets < packets || self.earlier > 0 {
            return;
        }
        let grown = i64::from(self.duration) - i64::from(self.first_duration);
        let passed = elapsed.as_millis() as i64 * 48;
        if self.clock_rate == 48_000 && grown * 4 < passed && grown * 9 > passed {
            self.clock_rate = 8_000;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::pipeline::tests::support::{ms, start};

    fn event(event: u8, duration: u16, end: bool) -> TelephoneEvent {
        TelephoneEvent {
            event,
            end,
            volume: 10,
            duration,
        }
    }

    fn at(timestamp: u32, marker: bool) -> Stamp {
        Stamp {
            ssrc: 7,
            timestamp,
            timestamp_rate: 8_000,
            marker,
        }
    }

    #[test]
    fn packets_of_one_timestamp_are_one_press() {
        let now = start();
        let mut receiver = EventReceiver::default();
        let mut take = |duration, end, marker| {
            receiver.handle(event(5, duration, end), at(1_000, marker), 8_000, now)
        };
        assert_eq!(take(160, false, true), Update::Began { unfinished: None });
        assert_eq!(take(320, false, false), Update::Continues { ended: false });
        assert_eq!(take(480, true, false), Update::Ended);
        assert_eq!(take(480, true, false), Update::Continues { ended: true });
        assert!(receiver.is_released());
        assert!(receiver.covers(7, 1_479) && !receiver.covers(7, 1_480));
    }

    #[test]
    fn timestamps_that_advance_with_the_key_are_one_press() {
        let now = start();
        let mut receiver = EventReceiver::default();
        receiver.handle(event(5, 160, false), at(1_000, true), 8_000, now);
        for step in 1..5 {
            let (duration, timestamp) = (160 * (step + 1), 1_000 + 160 * u32::from(step));
            let update =
                receiver.handle(event(5, duration, false), at(timestamp, false), 8_000, now);
            assert_eq!(update, Update::Continues { ended: false });
        }
    }

    #[test]
    fn press_without_an_end_is_given_up() {
        let now = start();
        let mut receiver = EventReceiver::default();
        receiver.handle(event(5, 160, false), at(1_000, true), 8_000, now);
        let due = receiver.poll_timeout(ms(250)).expect("a key is down");
        assert_eq!(due, now + ms(250));
        assert!(receiver.give_up(due - ms(1), ms(250)).is_none());
        assert!(receiver.give_up(due, ms(250)).is_some());
        assert_eq!(receiver.poll_timeout(ms(250)), None);
    }
}
