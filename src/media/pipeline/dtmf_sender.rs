//! The DTMF sender: digits of our own, as telephone events where the other side has them, else as
//! tones.

use super::egress::Egress;
use super::sender::EventStream;
use crate::audio::{Tone, digit_frequencies};
use crate::codec::EventFormat;
use crate::rtp::{event_of_digit, scale};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Digits that may wait.
pub(super) const LIMIT: usize = 64;
/// A comma waits this long (as in WebRTC's `insertDTMF`).
const COMMA: Duration = Duration::from_secs(2);
/// A tone sounds at least so long: receivers need 40 ms (ITU-T Q.24) and lose some of it to the
/// codec.
const SHORTEST_TONE: Duration = Duration::from_millis(80);
/// A key that says less is made this long: receivers need 40 ms (RFC 4733 section 2.5.2.3).
const SHORTEST_EVENT: Duration = Duration::from_millis(40);
const USUAL_EVENT: Duration = Duration::from_millis(100);
/// After a key that was pressed; its sender has left a pause of its own.
const PAUSE_OF_PRESS: Duration = Duration::from_millis(40);
/// A press whose end never comes.
const LONGEST_TONE: Duration = Duration::from_secs(10);
/// The end is sent three times (RFC 4733 section 2.5.1.4).
const ENDS: u8 = 3;
/// Power of our events and tones, -dBm0: the low group 2 dB below the high one.
const EVENT_VOLUME: u8 = 7;
const LOW_LEVEL: f64 = -9.0;
const HIGH_LEVEL: f64 = -7.0;
/// Packets that one late wake-up makes up for.
const CATCH_UP: u32 = 10;

#[derive(Clone, Copy, Debug)]
struct Queued {
    /// `None`: a pause.
    digit: Option<char>,
    /// `None`: until the key is released.
    length: Option<Duration>,
    /// How long a key that is not released has been down, by its source.
    held: Duration,
}

#[derive(Debug)]
enum State {
    Idle,
    Event {
        stream: EventStream,
        format: EventFormat,
        length: Option<Duration>,
        held: Duration,
        /// A key of the source.
        pressed: bool,
        /// How much of it the packets sent so far report.
        reported: Duration,
        next: Instant,
        ends: u8,
    },
    /// A tone, and then as audio the silence after it: a receiver that knows nothing of RTP's
    /// timestamps would join two of the same key.
    Tone {
        tone: Tone,
        timestamp: u32,
        length: Option<Duration>,
        sounded: Duration,
        quiet: Duration,
        next: Instant,
    },
    /// No digit is sent for a while.
    Pause {
        until: Instant,
        /// When silence as audio separates the key before from one that waits.
        separate: Option<Instant>,
        /// A comma: long enough for the source's audio to go on.
        comma: bool,
    },
}

#[derive(Debug)]
pub(super) struct DtmfSender {
    queue: VecDeque<Queued>,
    state: State,
    pause: Duration,
}

impl DtmfSender {
    pub(super) fn new(pause: Duration) -> Self {
        DtmfSender {
            queue: VecDeque::with_capacity(LIMIT),
            state: State::Idle,
            pause,
        }
    }

    /// Queues digits (checked by the caller) of `length` each.
    pub(super) fn queue(&mut self, digits: &str, length: Duration) {
        self.queue.extend(digits.chars().map(|digit| match digit {
            ',' => Queued {
                digit: None,
                length: Some(COMMA),
                held: Duration::ZERO,
            },
            digit => Queued {
                digit: Some(digit),
                length: Some(length),
                held: Duration::ZERO,
            },
        }));
    }

    /// How many digits wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A key of the source went down, to be made anew; it has been down for `held`.
    pub(super) fn press(&mut self, digit: char, held: Duration) {
        if self.queue.len() < LIMIT {
            self.queue.push_back(Queued {
                digit: Some(digit),
                length: None,
                held,
            });
        }
    }

    /// That key has been down for `lasted`.
    pub(super) fn hold(&mut self, lasted: Duration) {
        match &mut self.state {
            State::Event {
                length: None, held, ..
            } => *held = lasted.min(LONGEST_TONE),
            State::Tone { length: None, .. } => {}
            _ => {
                let waiting = self.queue.iter_mut().find(|queued| queued.length.is_none());
                if let Some(queued) = waiting {
                    queued.held = lasted.min(LONGEST_TONE);
                }
            }
        }
    }

    /// That key was released after `lasted`.
    pub(super) fn release(&mut self, lasted: Duration) {
        let lasted = lasted.min(LONGEST_TONE);
        // The one that is being sent went down before those that wait.
        match &mut self.state {
            State::Event {
                length, reported, ..
            } if length.is_none() => {
                *length = Some(event_length(lasted).max(*reported));
            }
            State::Tone { length, .. } if length.is_none() => {
                *length = Some(lasted.max(SHORTEST_TONE));
            }
            _ => {
                let waiting = self.queue.iter_mut().find(|queued| queued.length.is_none());
                if let Some(queued) = waiting {
                    queued.held = lasted;
                    queued.length = Some(event_length(lasted));
                }
            }
        }
    }

    /// Whether digits are being sent: audio is held back until they are done.
    pub(super) fn is_busy(&self) -> bool {
        match self.state {
            State::Pause { comma: true, .. } => false,
            State::Idle | State::Pause { .. } => !self.queue.is_empty(),
            State::Event { .. } | State::Tone { .. } => true,
        }
    }

    /// Forgets what is being sent and what waits.
    pub(super) fn cancel(&mut self) {
        self.queue.clear();
        self.state = State::Idle;
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Event { next, .. } | State::Tone { next, .. } => Some(next),
            State::Pause {
                until, separate, ..
            } => (!self.queue.is_empty()).then_some(separate.unwrap_or(until)),
        }
    }

    /// Sends what is due.
    pub(super) fn run(&mut self, now: Instant, events: Option<EventFormat>, egress: &mut Egress) {
        let mut made = 0;
        loop {
            match &mut self.state {
                State::Idle => {
                    let Some(queued) = self.queue.pop_front() else {
                        return;
                    };
                    self.begin(queued, now, events, egress);
                }
                State::Pause {
                    until, separate, ..
                } if !self.queue.is_empty() && separate.is_some_and(|at| at <= now) => {
                    *separate = None;
                    if egress.separate_events(now) {
                        *until = (*until).max(now + egress.packet_time());
                    }
                }
                State::Pause { until, .. } if *until <= now => self.state = State::Idle,
                State::Event { next, .. } | State::Tone { next, .. } if *next <= now => {
                    made += 1;
                    if made > CATCH_UP {
                        *next = now + egress.packet_time();
                        return;
                    }
                    self.send(egress, now);
                }
                _ => return,
            }
        }
    }

    fn begin(
        &mut self,
        queued: Queued,
        now: Instant,
        events: Option<EventFormat>,
        egress: &mut Egress,
    ) {
        let Some(digit) = queued.digit else {
            self.state = State::Pause {
                until: now + queued.length.unwrap_or(COMMA),
                separate: None,
                comma: true,
            };
            return;
        };
        egress.flush(now);
        if events.is_some() && egress.separate_events(now) {
            self.queue.push_front(queued);
            self.state = State::Pause {
                until: now + egress.packet_time(),
                separate: None,
                comma: false,
            };
            return;
        }
        let timestamp = egress.sender().mapping().digits_begin(now);
        let event = event_of_digit(digit);
        self.state = match (events, queued.length, event, digit_frequencies(digit)) {
            (Some(format), length, Some(event), _) => State::Event {
                stream: EventStream::new(format, event, EVENT_VOLUME, timestamp),
                format,
                length,
                held: queued.held,
                pressed: length.is_none() || !queued.held.is_zero(),
                reported: Duration::ZERO,
                next: now,
                ends: 0,
            },
            (_, length, _, Some((low, high))) => State::Tone {
                tone: Tone::new(&[(low, LOW_LEVEL), (high, HIGH_LEVEL)], egress.audio_rate()),
                timestamp,
                length: length.map(|length| length.max(SHORTEST_TONE)),
                sounded: Duration::ZERO,
                quiet: Duration::ZERO,
                next: now,
            },
            // No key: the caller checks, so there is nothing to send.
            _ => State::Idle,
        };
    }

    fn send(&mut self, egress: &mut Egress, now: Instant) {
        let step = egress.packet_time();
        let pause = self.pause;
        match &mut self.state {
            State::Idle | State::Pause { .. } => {}
            State::Event {
                stream,
                format,
                length,
                held,
                pressed,
                reported,
                next,
                ends,
            } => {
                // No more than the source has said, until it says the end.
                *reported = (*reported + step).min(length.unwrap_or((*held).max(*reported)));
                let end = *length == Some(*reported);
                let ticks = scale(reported.as_micros() as i64, 1_000_000, format.clock_rate);
                if !reported.is_zero() {
                    egress.send_event(stream, ticks as u32, end, now);
                }
                *ends += u8::from(end);
                *next += step;
                let pause = if *pressed { PAUSE_OF_PRESS } else { pause };
                if *ends == ENDS {
                    // The pause runs from the end of the key, not from its last report.
                    let reported = step * u32::from(ENDS - 1);
                    let until = *next + pause.saturating_sub(reported);
                    let separate = until.checked_sub(step).unwrap_or(*next).max(*next);
                    self.state = State::Pause {
                        until: until.max(separate + step),
                        separate: Some(separate),
                        comma: false,
                    };
                }
            }
            State::Tone {
                tone,
                timestamp,
                length,
                sounded,
                quiet,
                next,
            } => {
                if *sounded < length.unwrap_or(LONGEST_TONE) {
                    *timestamp = egress.send_tone(tone, *timestamp, now);
                    *sounded += step;
                } else if *quiet < pause {
                    let mut silence = Tone::new(&[], egress.audio_rate());
                    *timestamp = egress.send_tone(&mut silence, *timestamp, now);
                    *quiet += step;
                } else {
                    // Only now: audio that came while the last of it lasts would be early.
                    self.state = State::Idle;
                    return;
                }
                *next += step;
            }
        }
    }
}

/// How long a key that was pressed for `lasted` is made.
fn event_length(lasted: Duration) -> Duration {
    if lasted < SHORTEST_EVENT {
        USUAL_EVENT
    } else {
        lasted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::media::pipeline::Config;
    use crate::media::pipeline::tests::support::{EVENT_8, PCMU, identity, ms, side, start};
    use crate::rtp::{Packet, TelephoneEvent};

    fn egress() -> Egress {
        let pcmu = side(Codec::Pcmu);
        Egress::new(&Config::default(), &pcmu, &pcmu, 8_000, identity()).expect("libopus")
    }

    /// Runs the sender until it has no more to do: milliseconds, payload type and payload of each
    /// packet.
    fn sent(sender: &mut DtmfSender, events: Option<EventFormat>) -> Vec<(u64, u8, Vec<u8>)> {
        let begin = start();
        let (mut now, mut egress, mut all) = (begin, egress(), Vec::new());
        let mut out = Vec::new();
        loop {
            sender.run(now, events, &mut egress);
            while egress.sender_mut().pop(&mut out) {
                let packet = Packet::parse(&out).expect("the sender writes RTP");
                let at = (now - begin).as_millis() as u64;
                all.push((at, packet.payload_type, packet.payload.to_vec()));
            }
            match sender.poll_timeout() {
                Some(next) => now = next,
                None => return all,
            }
        }
    }

    #[test]
    fn digit_is_an_event_whose_end_is_sent_three_times() {
        let mut sender = DtmfSender::new(ms(80));
        sender.queue("5", ms(100));
        assert!(sender.is_busy());
        let sent = sent(&mut sender, side(Codec::Pcmu).send_events);
        let events: Vec<_> = sent
            .iter()
            .map(|(_, payload_type, payload)| {
                assert_eq!(*payload_type, EVENT_8);
                TelephoneEvent::parse(payload).expect("an event")
            })
            .collect();
        let durations: Vec<_> = events.iter().map(|event| event.duration).collect();
        assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
        let ends = events.iter().filter(|event| event.end).count();
        assert_eq!(ends, 3);
        assert!(!sender.is_busy());
    }

    #[test]
    fn digit_is_a_tone_and_silence_without_events() {
        let mut sender = DtmfSender::new(ms(80));
        sender.queue("5", ms(100));
        let sent = sent(&mut sender, None);
        assert!(
            sent.iter()
                .all(|(_, payload_type, _)| *payload_type == PCMU)
        );
        let silent = |payload: &[u8]| payload.iter().all(|octet| *octet == 0xff);
        let tones = sent
            .iter()
            .filter(|(_, _, payload)| !silent(payload))
            .count();
        assert_eq!((tones, sent.len()), (5, 9));
    }

    #[test]
    fn comma_pauses_for_two_seconds() {
        let mut sender = DtmfSender::new(ms(80));
        sender.queue("1,2", ms(100));
        let sent = sent(&mut sender, side(Codec::Pcmu).send_events);
        let of_two = sent.iter().find(|(_, payload_type, payload)| {
            *payload_type == EVENT_8 && payload.first() == Some(&2)
        });
        let at = of_two.map(|(at, ..)| *at).expect("a 2 is sent");
        assert!((2_100..2_400).contains(&at), "{at}");
    }
}
