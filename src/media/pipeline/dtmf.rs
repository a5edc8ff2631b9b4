//! DTMF of a pipeline: keys of the source, as telephone events or tones, carried to the other side,
//! and digits of our own. Audio of the same time is suppressed.

use super::digit_reports::DigitReports;
use super::dtmf_sender::{self, DtmfSender};
use super::egress::Egress;
use super::event_receiver::{EventReceiver, ReceivedEvent, Stamp, Update};
use super::in_band_dtmf::InBandDtmf;
use super::receiver::Distance;
use super::sender::EventStream;
use super::{Config, PipelineEvent};
use crate::codec::{AudioFormat, Codec, EventFormat};
use crate::media::Error;
use crate::rtp::{Packet, TelephoneEvent, digit_of_event, event_of_digit, scale};
use std::time::{Duration, Instant};

/// The most that the first packet of a press says of its length: senders update every 20 to
/// 50 ms (RFC 4733 section 2.5.1.2).
const LONGEST_BEGINNING: Duration = Duration::from_millis(60);
/// Keys shorter than this are not recognised by receivers (RFC 4733 section 2.5.2.3).
const SHORTEST_DIGIT: Duration = Duration::from_millis(40);
/// Longer ones are a mistake.
const LONGEST_DIGIT: Duration = Duration::from_secs(10);

/// Packets of telephone events that were not taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EventDrops {
    pub(super) malformed: u64,
    pub(super) unknown_event: u64,
}

/// Receivers and sender of DTMF.
#[derive(Debug)]
pub(super) struct Dtmf {
    receiver: EventReceiver,
    /// The event that is being relayed as events.
    relayed: Option<EventStream>,
    /// Where keys are looked for in the audio.
    in_band: Option<Box<InBandDtmf>>,
    sender: DtmfSender,
    /// How the other side receives telephone events; none: as tones.
    events: Option<EventFormat>,
    timeout: Duration,
    reports: DigitReports,
    drops: EventDrops,
}

impl Dtmf {
    pub(super) fn new(config: &Config, to: &AudioFormat) -> Self {
        Dtmf {
            receiver: EventReceiver::default(),
            relayed: None,
            in_band: None,
            sender: DtmfSender::new(config.digit_pause),
            events: to.send_events,
            timeout: config.event_timeout,
            reports: DigitReports::new(),
            drops: EventDrops::default(),
        }
    }

    /// Takes new formats. What is being sent is cut off where the other side does not take it any
    /// more.
    pub(super) fn reconfigure(&mut self, to: &AudioFormat) {
        if !to.direction.sends() || self.events != to.send_events {
            self.sender.cancel();
            self.relayed = None;
            if let Some(in_band) = &mut self.in_band {
                in_band.set_events(to.send_events);
            }
        }
        self.events = to.send_events;
    }

    /// Detects keys in the audio of the source from now on.
    pub(super) fn detect_in_band(&mut self) {
        let events = self.events;
        self.in_band
            .get_or_insert_with(|| Box::new(InBandDtmf::new(events)));
    }

    pub(super) fn drops(&self) -> EventDrops {
        self.drops
    }

    /// Key presses of the source so far.
    pub(super) fn digits(&self) -> u64 {
        self.reports.digits()
    }

    /// The next digit to report.
    pub(super) fn poll_event(&mut self) -> Option<PipelineEvent> {
        self.reports.poll()
    }

    /// Whether digits are being sent: audio is held back until they are done.
    pub(super) fn is_sending(&self) -> bool {
        self.sender.is_busy()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let in_band = self.in_band.as_ref();
        [
            self.receiver.poll_timeout(self.timeout),
            self.sender.poll_timeout(),
            in_band.and_then(|in_band| in_band.poll_timeout(self.timeout)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has come: for a key whose end is lost, for digits of our own.
    pub(super) fn handle_timeout(&mut self, egress: &mut Egress, now: Instant) {
        if let Some(event) = self.receiver.give_up(now, self.timeout) {
            self.finish(&event, true, egress, now);
        }
        if let Some(in_band) = &mut self.in_band
            && in_band
                .poll_timeout(self.timeout)
                .is_some_and(|at| at <= now)
        {
            in_band.interrupt(egress, &mut self.reports, now);
        }
        self.sender.run(now, self.events, egress);
    }

    /// Another source begins: keys that are down are let go.
    pub(super) fn interrupt(&mut self, egress: &mut Egress, now: Instant) {
        if let Some(event) = self.receiver.interrupt() {
            self.finish(&event, true, egress, now);
        }
        if let Some(in_band) = &mut self.in_band {
            in_band.interrupt(egress, &mut self.reports, now);
        }
    }

    /// Sends digits (`0-9*#A-D`, a comma pauses 2 s), each for `duration`.
    pub(super) fn send_digits(
        &mut self,
        digits: &str,
        duration: Duration,
        egress: &mut Egress,
        now: Instant,
    ) -> Result<(), Error> {
        if let Some(direction) = egress.sender().refusal() {
            return Err(Error::NotSending(direction));
        }
        let unknown = |digit: &char| *digit != ',' && event_of_digit(*digit).is_none();
        if let Some(digit) = digits.chars().find(unknown) {
            return Err(Error::Digit(digit));
        }
        let requested = self.sender.waiting() + digits.chars().count();
        if requested > dtmf_sender::LIMIT {
            return Err(Error::TooManyDigits {
                requested,
                limit: dtmf_sender::LIMIT,
            });
        }
        let duration = duration.clamp(SHORTEST_DIGIT, LONGEST_DIGIT);
        self.sender.queue(digits, duration);
        self.sender.run(now, self.events, egress);
        Ok(())
    }

    /// Takes a packet of audio; true where it is not to be sent, since a key or a digit of ours
    /// has its time.
    ///
    /// A source that has sent telephone events is taken at its word: what sounds like a key in
    /// its audio is the same key again, or none.
    pub(super) fn suppresses(
        &mut self,
        codec: Codec,
        packet: &Packet<'_>,
        distance: Distance,
        egress: &mut Egress,
        now: Instant,
    ) -> bool {
        if self.sender.is_busy() || self.receiver.covers(packet.ssrc, packet.timestamp) {
            return true;
        }
        if self.receiver.present().is_some() {
            return false;
        }
        self.in_band.as_mut().is_some_and(|in_band| {
            let reports = &mut self.reports;
            in_band.handle_audio(codec, packet.payload, distance, egress, reports, now)
        })
    }

    /// Takes a packet of a telephone event whose durations count by `clock_rate`. `timestamp_rate`
    /// is the clock of its timestamp, `distance` the time since the audio before it.
    pub(super) fn handle_event(
        &mut self,
        packet: &Packet<'_>,
        (clock_rate, timestamp_rate): (u32, u32),
        distance: Distance,
        egress: &mut Egress,
        now: Instant,
    ) {
        let Ok(event) = TelephoneEvent::parse(packet.payload) else {
            self.drops.malformed += 1;
            return;
        };
        let Some(digit) = digit_of_event(event.event) else {
            self.drops.unknown_event += 1;
            return;
        };
        let stamp = Stamp {
            ssrc: packet.ssrc,
            timestamp: packet.timestamp,
            timestamp_rate,
            marker: packet.marker,
        };
        match self.receiver.handle(event, stamp, clock_rate, now) {
            Update::Stale => {}
            Update::Began { unfinished } => {
                if let Some(before) = unfinished {
                    self.finish(&before, true, egress, now);
                }
                self.begin(event, digit, distance, egress, now);
                self.update(egress, now);
            }
            Update::Continues { ended } => self.relay(ended, egress, now),
            Update::Ended => self.update(egress, now),
        }
    }

    /// Begins to relay an event: as events, else as a tone. Where the first packet says more than
    /// can have happened since the packet before it, the source's timing is broken (three ends at
    /// once, or updates faster than the time), and the key is made anew by its length; likewise
    /// where digits are still being sent, after them.
    fn begin(
        &mut self,
        event: TelephoneEvent,
        digit: char,
        distance: Distance,
        egress: &mut Egress,
        now: Instant,
    ) {
        self.relayed = None;
        let present = self.receiver.present();
        let stated = present.map(ReceivedEvent::lasted).unwrap_or_default();
        let is_broken = event.end || stated > LONGEST_BEGINNING;
        match self.events {
            Some(format) if !is_broken && !self.sender.is_busy() => {
                let stream = egress.begin_event(format, event.event, event.volume, distance, now);
                self.relayed = Some(stream);
            }
            events => {
                self.sender.press(digit, stated);
                self.sender.run(now, events, egress);
            }
        }
    }

    /// Relays what the present event has come to.
    fn update(&mut self, egress: &mut Egress, now: Instant) {
        let Some(event) = self.receiver.present().copied() else {
            return;
        };
        if self.receiver.is_released() {
            self.finish(&event, false, egress, now);
        } else {
            self.relay(false, egress, now);
        }
    }

    fn relay(&mut self, end: bool, egress: &mut Egress, now: Instant) {
        let Some(event) = self.receiver.present() else {
            return;
        };
        match &mut self.relayed {
            Some(stream) => egress.send_event(stream, converted(event, stream), end, now),
            None if !end => self.sender.hold(event.lasted()),
            None => {}
        }
    }

    /// An event is over. Its end is relayed as often as the source repeats it; when none was
    /// seen we say it three times ourselves (RFC 4733 section 2.5.1.4).
    fn finish(&mut self, event: &ReceivedEvent, unseen: bool, egress: &mut Egress, now: Instant) {
        self.reports.count();
        if self.relayed.is_none() {
            self.sender.release(event.lasted());
        }
        if let Some(stream) = &mut self.relayed {
            let ticks = converted(event, stream);
            for _ in 0..if unseen { 3 } else { 1 } {
                egress.send_event(stream, ticks, true, now);
            }
            if unseen {
                self.relayed = None;
            }
        }
        if let Some(digit) = digit_of_event(event.event) {
            let duration_ms = event.lasted().as_millis().min(u128::from(u32::MAX)) as u32;
            self.reports.report(digit, duration_ms);
        }
    }
}

/// The event's length on the clock of the event that it is relayed as.
fn converted(event: &ReceivedEvent, stream: &EventStream) -> u32 {
    let ticks = i64::from(event.ticks());
    scale(ticks, event.clock_rate, stream.clock_rate()) as u32
}
