//! The in-band DTMF detector: keys that come as tones in the audio of the source, carried to the
//! other side as telephone events.

use super::decoder_stage::samples_of;
use super::digit_reports::DigitReports;
use super::egress::Egress;
use super::receiver::Distance;
use super::sender::EventStream;
use crate::audio::{Decoder, DtmfDetector, DtmfTone};
use crate::codec::{Codec, EventFormat};
use crate::rtp::{event_of_digit, scale};
use std::time::{Duration, Instant};

/// The audio rate before the first packet, hertz.
const NARROWBAND: u32 = 8_000;
/// The longest packet, milliseconds.
const LONGEST_PACKET: u32 = 120;
/// Keys that one packet can begin or end.
const MOST_TONES: usize = 8;
/// How loud the events say that the keys are, dBm0 without the sign.
const VOLUME: u8 = 10;

/// A key that is down.
#[derive(Debug)]
struct Down {
    /// None where the other side hears the tone itself.
    stream: Option<EventStream>,
    /// How long it goes as events, ticks of their clock.
    ticks: u32,
    updated: Instant,
}

impl Down {
    fn is_held_back(down: Option<&Down>) -> bool {
        down.is_some_and(|down| down.stream.is_some())
    }
}

/// Detector and scratch space.
#[derive(Debug)]
pub(super) struct InBandDtmf {
    detector: DtmfDetector,
    /// Of the samples that the detector takes: that of the codec, since what is relayed has no
    /// other decoder.
    audio_rate: u32,
    decoder: Option<(Codec, Decoder)>,
    samples: Vec<i16>,
    down: Option<Down>,
    /// How the other side receives telephone events.
    events: Option<EventFormat>,
}

impl InBandDtmf {
    /// `events`: how the other side receives telephone events.
    pub(super) fn new(events: Option<EventFormat>) -> Self {
        InBandDtmf {
            detector: DtmfDetector::new(NARROWBAND),
            audio_rate: NARROWBAND,
            decoder: None,
            samples: Vec::with_capacity(samples_of(LONGEST_PACKET, NARROWBAND)),
            down: None,
            events,
        }
    }

    /// The other side receives other events from now on, or none: no more for the key that is down.
    pub(super) fn set_events(&mut self, events: Option<EventFormat>) {
        self.events = events;
        if let Some(down) = &mut self.down {
            down.stream = None;
        }
    }

    /// When a key that is down is given up.
    pub(super) fn poll_timeout(&self, timeout: Duration) -> Option<Instant> {
        self.down.as_ref().map(|down| down.updated + timeout)
    }

    /// Takes a payload of audio; true where it is held back, since its key goes as events.
    pub(super) fn handle_audio(
        &mut self,
        codec: Codec,
        payload: &[u8],
        distance: Distance,
        egress: &mut Egress,
        reports: &mut DigitReports,
        now: Instant,
    ) -> bool {
        if !self.decode(codec, payload) {
            return false;
        }
        let held_before = Down::is_held_back(self.down.as_ref());
        let mut tones = [None; MOST_TONES];
        let mut places = tones.iter_mut();
        self.detector.push(&self.samples, |tone| {
            if let Some(place) = places.next() {
                *place = Some(tone);
            }
        });
        let length = self.samples.len() as i64;
        if let Some(down) = &mut self.down {
            down.updated = now;
            if let Some(stream) = &mut down.stream {
                down.ticks += scale(length, self.audio_rate, stream.clock_rate()) as u32;
                egress.send_event(stream, down.ticks, false, now);
            }
        }
        for tone in tones.into_iter().flatten() {
            match tone {
                DtmfTone::Began(digit) => {
                    self.down = Some(self.begin(digit, length, distance, egress, now));
                }
                DtmfTone::Ended {
                    digit,
                    milliseconds,
                } => self.end(digit, milliseconds, egress, reports, now),
            }
        }
        held_before || Down::is_held_back(self.down.as_ref())
    }

    /// The audio does not go on: a key that is down is let go.
    pub(super) fn interrupt(
        &mut self,
        egress: &mut Egress,
        reports: &mut DigitReports,
        now: Instant,
    ) {
        let mut ended = None;
        self.detector.interrupt(|tone| ended = Some(tone));
        if let Some(DtmfTone::Ended {
            digit,
            milliseconds,
        }) = ended
        {
            self.end(digit, milliseconds, egress, reports, now);
        }
        self.down = None;
    }

    /// Decodes a payload into `samples`; false where tones do not survive the codec.
    fn decode(&mut self, codec: Codec, payload: &[u8]) -> bool {
        let format = codec.format();
        if !format.keeps_tones {
            return false;
        }
        if self
            .decoder
            .as_ref()
            .is_none_or(|(known, _)| *known != codec)
        {
            let decoder = Decoder::new(codec, format.audio_rate).ok();
            self.decoder = decoder.map(|decoder| (codec, decoder));
        }
        if format.audio_rate != self.audio_rate {
            self.audio_rate = format.audio_rate;
            self.detector = DtmfDetector::new(format.audio_rate);
        }
        self.samples.clear();
        let Some((_, decoder)) = &mut self.decoder else {
            return false;
        };
        decoder.decode(payload, &mut self.samples)
    }

    /// A key began in a packet of `length` samples.
    fn begin(
        &self,
        digit: char,
        length: i64,
        distance: Distance,
        egress: &mut Egress,
        now: Instant,
    ) -> Down {
        let mut down = Down {
            stream: None,
            ticks: 0,
            updated: now,
        };
        if let (Some(format), Some(event)) = (self.events, event_of_digit(digit)) {
            let mut stream = egress.begin_event(format, event, VOLUME, distance, now);
            down.ticks = scale(length, self.audio_rate, stream.clock_rate()) as u32;
            egress.send_event(&mut stream, down.ticks, false, now);
            down.stream = Some(stream);
        }
        down
    }

    fn end(
        &mut self,
        digit: char,
        milliseconds: u32,
        egress: &mut Egress,
        reports: &mut DigitReports,
        now: Instant,
    ) {
        if let Some(mut down) = self.down.take()
            && let Some(stream) = &mut down.stream
        {
            // RFC 4733 section 2.5.1.4.
            for _ in 0..3 {
                egress.send_event(stream, down.ticks, true, now);
            }
        }
        reports.count();
        reports.report(digit, milliseconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Encoder, EncoderSettings, Tone};
    use crate::media::pipeline::Config;
    use crate::media::pipeline::tests::support::{EVENT_8, identity, side, start};
    use crate::rtp::Packet;

    /// Packets of 20 ms of the key 5 and of silence after it, given to a detector: which were held
    /// back, and the payload types that were sent.
    fn detected(codec: Codec, events: Option<EventFormat>) -> (Vec<bool>, Vec<u8>, DigitReports) {
        let (now, rate) = (start(), codec.format().audio_rate);
        let (from, to) = (side(codec), side(Codec::Pcmu));
        let mut egress =
            Egress::new(&Config::default(), &from, &to, 8_000, identity()).expect("libopus");
        let mut detector = InBandDtmf::new(events);
        let mut reports = DigitReports::new();
        let mut encoder = Encoder::new(codec, rate, EncoderSettings::default()).expect("its rate");
        let mut tone = Tone::new(&[(770.0, -9.0), (1_336.0, -7.0)], rate);
        let mut held = Vec::new();
        for number in 0..10 {
            let mut samples = vec![0; rate as usize / 50];
            if number < 5 {
                tone.fill(&mut samples);
            }
            let mut payload = Vec::new();
            assert!(encoder.encode(&samples, &mut payload));
            let distance = Distance::Ticks(0, codec.clock_rate());
            held.push(detector.handle_audio(
                codec,
                &payload,
                distance,
                &mut egress,
                &mut reports,
                now,
            ));
        }
        let (mut out, mut sent) = (Vec::new(), Vec::new());
        while egress.sender_mut().pop(&mut out) {
            sent.push(Packet::parse(&out).expect("RTP").payload_type);
        }
        (held, sent, reports)
    }

    #[test]
    fn key_in_the_audio_goes_as_events_and_is_held_back() {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
            let (held, sent, mut reports) = detected(codec, side(Codec::Pcmu).send_events);
            assert_eq!(reports.digits(), 1, "{codec}");
            let reported = reports.poll();
            let five = |event| {
                matches!(
                    event,
                    Some(crate::media::pipeline::PipelineEvent::Digit { digit: '5', .. })
                )
            };
            assert!(five(reported), "{codec} {reported:?}");
            assert!(held[2..5].iter().all(|held| *held), "{codec} {held:?}");
            assert!(!held[9], "{codec}");
            assert!(sent.iter().all(|payload_type| *payload_type == EVENT_8));
            assert!(sent.len() >= 5, "{codec} {sent:?}");
        }
    }

    #[test]
    fn key_stays_audio_where_the_other_side_has_no_events() {
        let (held, sent, reports) = detected(Codec::Pcmu, None);
        assert_eq!((reports.digits(), sent.len()), (1, 0));
        assert!(held.iter().all(|held| !held));
    }

    #[test]
    fn codec_that_distorts_tones_is_not_searched() {
        let (held, _, reports) = detected(Codec::Opus, None);
        assert_eq!(reports.digits(), 0);
        assert!(held.iter().all(|held| !held));
    }
}
