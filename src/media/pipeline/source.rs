//! The receiving half of a pipeline: which stream it is, in which order, and what is missing.

use super::Config;
use crate::codec::{AudioFormat, Codec};
use crate::rtp::{Reception, Reorder, RtpTimestampExt};
use std::time::Instant;

/// Comfort noise has a payload type of its own at 8 kHz (RFC 3389).
const COMFORT_NOISE: u8 = 13;
/// A jump of the timestamp is believed when it is no longer than the time that really passed
/// and this many seconds.
const BELIEVED_JUMP: i64 = 1;

/// What a payload type means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    Audio(Codec),
    /// A telephone event, and the clock of its durations.
    Event(u32),
    ComfortNoise,
}

/// The time before a packet, by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distance {
    /// Ticks of the codec between the end of the last packet and this one.
    Ticks(i64),
    /// The timestamp does not say: another source, another clock, a new base.
    Unknown,
}

/// Audio that was forwarded last.
#[derive(Clone, Copy, Debug)]
struct LastAudio {
    /// Timestamp directly after it.
    end: u32,
    clock_rate: u32,
    ticks: u32,
    arrived: Instant,
}

/// How packets that were passed on are numbered on both sides, so that one that was overtaken
/// gets the number left free for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    /// The first packet numbered so.
    pub(super) first: u64,
    /// The last one, its timestamp, and the two that it was sent with.
    pub(super) number: u64,
    pub(super) timestamp: u32,
    pub(super) sent_sequence: u16,
    pub(super) sent_timestamp: u32,
}

#[derive(Debug)]
pub(super) struct Source {
    format: AudioFormat,
    pub(super) reception: Option<Reception>,
    pub(super) reorder: Reorder,
    depth: usize,
    /// Number of the last packet forwarded.
    last_number: Option<u64>,
    /// Packets missing since audio was forwarded last.
    pub(super) missing: u64,
    /// Something other than audio stood between: what is missing was not audio.
    pub(super) interrupted: bool,
    audio: Option<LastAudio>,
    pub(super) passed: Option<Passed>,
    /// Lost in streams before this one.
    lost_before: u64,
}

impl Source {
    pub(super) fn new(config: &Config, format: AudioFormat) -> Self {
        Source {
            format,
            reception: None,
            reorder: Reorder::new(config.reorder_depth, config.reorder_window),
            depth: config.reorder_depth,
            last_number: None,
            missing: 0,
            interrupted: false,
            audio: None,
            passed: None,
            lost_before: 0,
        }
    }

    pub(super) fn set_format(&mut self, format: &AudioFormat) {
        self.format.clone_from(format);
        self.passed = None;
    }

    pub(super) fn receives(&self) -> bool {
        self.format.direction.receives()
    }

    /// What `payload_type` means here.
    pub(super) fn payload(&self, payload_type: u8) -> Option<Payload> {
        let audio = self.format.receive.iter();
        let audio = audio.map(|one| (one.payload_type, Payload::Audio(one.codec)));
        let events = self.format.receive_events.iter();
        let events = events.map(|one| (one.payload_type, Payload::Event(one.clock_rate)));
        audio
            .chain(events)
            .chain([(COMFORT_NOISE, Payload::ComfortNoise)])
            .find_map(|(known, payload)| (known == payload_type).then_some(payload))
    }

    /// Whether the packet is of another stream than those before; then it begins anew, and
    /// only the first stream is no change.
    pub(super) fn change(&mut self, ssrc: u32) -> bool {
        let before = self.reception.as_ref().map(Reception::ssrc);
        if before == Some(ssrc) {
            return false;
        }
        self.lost_before = self.lost();
        self.reception = Some(Reception::new(ssrc));
        self.restart();
        before.is_some()
    }

    /// Numbers and timestamps begin anew.
    pub(super) fn restart(&mut self) {
        self.pause();
        self.audio = None;
    }

    /// What comes is not forwarded for a while: nothing that is missing then was lost.
    pub(super) fn pause(&mut self) {
        self.reorder.reset();
        self.last_number = None;
        self.missing = 0;
        self.passed = None;
    }

    /// A packet whose turn it is: counts those missing before it.
    pub(super) fn take_turn(&mut self, number: u64) {
        if let Some(last) = self.last_number {
            self.missing += number.saturating_sub(last + 1);
        }
        self.last_number = Some(number);
    }

    /// Whether early packets wait. Where packets are passed on, the far end puts them in order
    /// and conceals what is lost, and waiting would only cost time.
    pub(super) fn set_waiting(&mut self, waits: bool) {
        self.reorder.set_depth(if waits { self.depth } else { 1 });
    }

    /// The time between the last audio and a packet at `timestamp`.
    pub(super) fn distance(&self, timestamp: u32, clock_rate: u32, now: Instant) -> Distance {
        let Some(last) = self.audio.filter(|last| last.clock_rate == clock_rate) else {
            return Distance::Unknown;
        };
        let ticks = i64::from(timestamp.since(last.end));
        let elapsed = now.saturating_duration_since(last.arrived).as_secs() as i64;
        let believed = (elapsed + BELIEVED_JUMP + 1) * i64::from(clock_rate);
        if (0..=believed).contains(&ticks) {
            Distance::Ticks(ticks)
        } else {
            Distance::Unknown
        }
    }

    /// What the last audio packet lasted, ticks of its codec.
    pub(super) fn last_ticks(&self) -> Option<u32> {
        self.audio.map(|last| last.ticks)
    }

    /// The clock of the stream's timestamps, when audio has told.
    pub(super) fn clock_rate(&self) -> Option<u32> {
        self.audio.map(|last| last.clock_rate)
    }

    /// Audio was forwarded.
    pub(super) fn heard(&mut self, timestamp: u32, ticks: u32, clock_rate: u32, now: Instant) {
        self.audio = Some(LastAudio {
            end: timestamp.wrapping_add(ticks),
            clock_rate,
            ticks,
            arrived: now,
        });
        self.missing = 0;
        self.interrupted = false;
    }

    /// Something came that is not forwarded as audio.
    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
        self.missing = 0;
        self.passed = None;
    }

    /// Lost since the pipeline's beginning.
    pub(super) fn lost(&self) -> u64 {
        self.lost_before + self.reception.as_ref().map_or(0, Reception::lost)
    }
}
