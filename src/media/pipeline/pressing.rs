//! Key presses of the source carried to the other side.

use super::key_press::{Press, Stamp, Update};
use super::output::EventStream;
use super::{Pipeline, PipelineEvent};
use crate::codec::EventFormat;
use crate::rtp::{Packet, RtpTimestampExt, TelephoneEvent, digit_of_event, scale};
use std::time::{Duration, Instant};

/// The most that the first packet of a press says of its length: senders update every 20 to
/// 50 ms (RFC 4733 section 2.5.1.2).
const LONGEST_BEGINNING: Duration = Duration::from_millis(60);

impl Pipeline {
    pub(super) fn forward_event(&mut self, packet: &Packet<'_>, clock_rate: u32, now: Instant) {
        self.source.interrupt();
        let Ok(event) = TelephoneEvent::parse(packet.payload) else {
            self.statistics.dropped.malformed += 1;
            return;
        };
        let Some(digit) = digit_of_event(event.event) else {
            self.statistics.dropped.unknown_event += 1;
            return;
        };
        let stamp = Stamp {
            ssrc: packet.ssrc,
            timestamp: packet.timestamp,
            timestamp_rate: self.source.clock_rate().unwrap_or(clock_rate),
            marker: packet.marker,
        };
        let update = self.presses.handle(event, stamp, clock_rate, now);
        match update {
            Update::Stale => {}
            Update::Began { unfinished } => {
                if let Some(press) = unfinished {
                    self.finish(&press, true, now);
                }
                self.begin_press(event, digit, stamp, now);
                self.update_press(now);
            }
            Update::Goes { ended } => self.pass_press(ended, now),
            Update::Ended => self.update_press(now),
        }
    }

    /// Begins to pass a press on: as events, else as a tone. Where the first packet says more
    /// than can have happened since the packet before it, the source's timing is broken (three
    /// ends at once, or updates faster than the time), and the key is made anew by its length;
    /// likewise where keys are still being sent, after them.
    fn begin_press(&mut self, event: TelephoneEvent, digit: char, stamp: Stamp, now: Instant) {
        self.pressed = None;
        let stated = self
            .presses
            .present()
            .map(Press::lasted)
            .unwrap_or_default();
        let is_broken = event.end || stated > LONGEST_BEGINNING;
        match self.to_events {
            Some(format) if !is_broken && !self.sender.is_busy() => {
                let at = (stamp.timestamp, stamp.timestamp_rate);
                let stream = self.begin_events(format, event.event, event.volume, at, now);
                self.pressed = Some(stream);
            }
            events => {
                self.sender.press(digit, stated);
                self.sender.run(now, events, &mut self.output);
            }
        }
    }

    /// Begins events for a key that went down at a timestamp of the source, on that clock.
    pub(super) fn begin_events(
        &mut self,
        format: EventFormat,
        event: u8,
        volume: u8,
        (timestamp, clock_rate): (u32, u32),
        now: Instant,
    ) -> EventStream {
        self.output.flush(now);
        self.output.separate_events(now);
        let gap = self.gap_before(timestamp, clock_rate, now);
        let timeline = self.output.timeline();
        let begin = timeline.position().wrapping_add(gap as u32);
        let earliest = timeline.floor().unwrap_or(begin);
        let begin = if earliest.since(begin) > 0 {
            earliest
        } else {
            begin
        };
        self.output.event(format, event, volume, begin)
    }

    /// Passes on what the present press has come to.
    fn update_press(&mut self, now: Instant) {
        let Some(press) = self.presses.present().copied() else {
            return;
        };
        if self.presses.is_released() {
            self.finish(&press, false, now);
        } else {
            self.pass_press(false, now);
        }
    }

    fn pass_press(&mut self, end: bool, now: Instant) {
        let Some(press) = self.presses.present() else {
            return;
        };
        match &mut self.pressed {
            Some(stream) => {
                let ticks = converted(press, stream);
                self.output.send_event(stream, ticks, end, now);
            }
            None if !end => self.sender.hold(press.lasted()),
            None => {}
        }
    }

    /// A press is over. Its end is passed on as often as the source repeats it; when none was
    /// seen we say it three times ourselves (RFC 4733 section 2.5.1.4).
    pub(super) fn finish(&mut self, press: &Press, unseen: bool, now: Instant) {
        self.statistics.digits += 1;
        if self.pressed.is_none() {
            self.sender.release(press.lasted());
        }
        if let Some(stream) = &mut self.pressed {
            let ticks = converted(press, stream);
            for _ in 0..if unseen { 3 } else { 1 } {
                self.output.send_event(stream, ticks, true, now);
            }
            if unseen {
                self.pressed = None;
            }
        }
        if let Some(digit) = digit_of_event(press.event) {
            let duration_ms = press.lasted().as_millis().min(u128::from(u32::MAX)) as u32;
            self.tell(PipelineEvent::Digit { digit, duration_ms });
        }
    }
}

/// The press's length on the clock of the event that it is passed on as.
fn converted(press: &Press, stream: &EventStream) -> u32 {
    let ticks = i64::from(press.ticks());
    scale(ticks, press.clock_rate, stream.clock_rate()) as u32
}
