//! Sequence numbers and timestamps of the stream that we send: one line for the pipeline's life.

use super::StreamIdentity;
use crate::rtp::{Header, RtpTimestampExt, scale};
use std::time::Instant;

/// Where our stream stands.
#[derive(Debug)]
pub(super) struct TimestampMapping {
    ssrc: u32,
    sequence: u16,
    /// Timestamp of the next sample of audio.
    position: u32,
    clock_rate: u32,
    /// Timestamp and time of the audio packet sent last.
    latest: Option<(u32, Instant)>,
    /// Digits have been sent up to here: audio goes on no earlier.
    floor: Option<u32>,
    /// The next audio packet begins a talkspurt and is marked (RFC 3551 section 4.1).
    talkspurt: bool,
}

impl TimestampMapping {
    pub(super) fn new(identity: StreamIdentity, clock_rate: u32) -> Self {
        TimestampMapping {
            ssrc: identity.ssrc,
            sequence: identity.first_sequence,
            position: identity.first_timestamp,
            clock_rate,
            latest: None,
            floor: None,
            talkspurt: true,
        }
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    pub(super) fn position(&self) -> u32 {
        self.position
    }

    pub(super) fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    pub(super) fn next_sequence(&self) -> u16 {
        self.sequence
    }

    /// Where digits that were sent end, until audio has gone on.
    pub(super) fn floor(&self) -> Option<u32> {
        self.floor
    }

    /// Another codec: timestamps go on from where they are, at its clock.
    pub(super) fn set_clock_rate(&mut self, clock_rate: u32) {
        if clock_rate != self.clock_rate
            && let Some((timestamp, _)) = &mut self.latest
        {
            *timestamp = self.position;
        }
        self.clock_rate = clock_rate;
    }

    /// Moves the position over time that is not sent, or over what was just sent.
    pub(super) fn advance(&mut self, ticks: i64) {
        self.position = self.position.wrapping_add(ticks as u32);
    }

    /// Leaves a hole in the sequence for packets that were lost on their way to us.
    pub(super) fn skip_sequence(&mut self, count: u64) {
        self.sequence = self.sequence.wrapping_add(count as u16);
    }

    pub(super) fn begin_talkspurt(&mut self) {
        self.talkspurt = true;
    }

    /// Called before audio is sent: after digits it goes on where they ended.
    pub(super) fn end_digits(&mut self) {
        if let Some(floor) = self.floor.take() {
            self.talkspurt = true;
            if floor.since(self.position) > 0 {
                self.position = floor;
            }
        }
    }

    /// Audio shall go on at `timestamp` or later.
    pub(super) fn raise_floor(&mut self, timestamp: u32) {
        if self.floor.is_none_or(|floor| timestamp.since(floor) > 0) {
            self.floor = Some(timestamp);
        }
    }

    /// Header of an audio packet at the position.
    pub(super) fn audio_header(&mut self, payload_type: u8, marker: bool, now: Instant) -> Header {
        let marker = std::mem::take(&mut self.talkspurt) || marker;
        self.latest = Some((self.position, now));
        self.header(payload_type, marker, self.position, now)
    }

    /// Header of a packet at `timestamp`; takes the next sequence number. Of digits only the
    /// very first tells where the stream is: their timestamps stand still while they last.
    pub(super) fn header(
        &mut self,
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        now: Instant,
    ) -> Header {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.latest.get_or_insert((timestamp, now));
        Header {
            marker,
            payload_type,
            sequence,
            timestamp,
            ssrc: self.ssrc,
        }
    }

    /// The timestamp of `now`, by the clock on the wall since the last audio.
    pub(super) fn timestamp_at(&self, now: Instant) -> Option<u32> {
        let (timestamp, sent) = self.latest?;
        let elapsed = now.saturating_duration_since(sent).as_micros() as i64;
        let ticks = scale(elapsed, 1_000_000, self.clock_rate);
        Some(timestamp.wrapping_add(ticks as u32))
    }

    /// Ticks by which the wall clock is ahead of the position; zero when it is not.
    pub(super) fn behind(&self, now: Instant) -> i64 {
        let ticks = self
            .timestamp_at(now)
            .map_or(0, |timestamp| timestamp.since(self.position));
        i64::from(ticks.max(0))
    }

    /// Where digits may begin: not before audio or digits already sent, nor in the past.
    pub(super) fn digits_begin(&self, now: Instant) -> u32 {
        let mut begin = self.position;
        for other in [self.timestamp_at(now), self.floor].into_iter().flatten() {
            if other.since(begin) > 0 {
                begin = other;
            }
        }
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::pipeline::tests::support::{
        FIRST_SEQUENCE, FIRST_TIMESTAMP, identity, ms, start,
    };

    #[test]
    fn audio_goes_on_where_digits_ended() {
        let now = start();
        let mut mapping = TimestampMapping::new(identity(), 8_000);
        let first = mapping.audio_header(0, false, now);
        assert_eq!(
            (first.sequence, first.timestamp),
            (FIRST_SEQUENCE, FIRST_TIMESTAMP)
        );
        assert!(first.marker);
        mapping.advance(160);
        // 100 ms later by the clock: the digits begin there.
        let digits = mapping.digits_begin(now + ms(100));
        assert_eq!(digits, FIRST_TIMESTAMP.wrapping_add(800));
        mapping.raise_floor(digits.wrapping_add(400));
        mapping.end_digits();
        let next = mapping.audio_header(0, false, now + ms(150));
        assert_eq!(next.timestamp, FIRST_TIMESTAMP.wrapping_add(1_200));
        assert!(next.marker, "a talkspurt begins");
    }

    #[test]
    fn timestamps_go_on_at_the_clock_of_another_codec() {
        let now = start();
        let mut mapping = TimestampMapping::new(identity(), 8_000);
        mapping.audio_header(0, false, now);
        mapping.advance(160);
        mapping.set_clock_rate(48_000);
        assert_eq!(mapping.position(), FIRST_TIMESTAMP.wrapping_add(160));
        let at = mapping.timestamp_at(now + ms(20));
        assert_eq!(at, Some(FIRST_TIMESTAMP.wrapping_add(160 + 960)));
        assert_eq!(mapping.behind(now + ms(20)), 960);
    }
}
