//! Opus behind a small type of ours (RFC 6716; libopus does the coding).

use super::Error;
use super::steady_tone::SteadyTone;
use opus::{Application, Bitrate, Channels, Decoder, Encoder, Signal};

/// Octets that the longest packet of one frame can have (RFC 6716 section 3.2.1, 1275 and the
/// first octet), with room for the length octets of packets of several frames.
pub const MAXIMUM_PACKET: usize = 1_500;

/// Bit/s of voice at an 8 kHz rate. Below this many libopus has no room for FEC and silently leaves
/// it out.
const BITRATE: u32 = 24_000;
/// Bit/s of voice at higher rates (RFC 7587 section 3.1.1 has twice as many for wideband as for
/// narrowband).
const WIDEBAND_BITRATE: u32 = 32_000;
/// Bit/s that FEC needs besides.
const BITRATE_OF_FEC: u32 = 8_000;
/// Bit/s from which libopus changes from SILK to CELT in mid-stream at any complexity.
const BITRATE_OF_TONE: u32 = 32_000;
/// Loss from which FEC is worth its bits, and below which it is given up again.
const LOSS_FOR_FEC: f32 = 0.01;
const LOSS_WITHOUT_FEC: f32 = 0.005;

/// Decodes packets, and makes up lost ones.
#[derive(Debug)]
pub struct OpusDecoder {
    decoder: Decoder,
    sample_rate: u32,
}

impl OpusDecoder {
    /// A mono decoder whose output has `sample_rate` (8000, 12000, 16000, 24000 or 48000 Hz),
    /// whatever the packets have.
    pub fn new(sample_rate: u32) -> Result<Self, Error> {
        let decoder = Decoder::new(sample_rate, Channels::Mono).map_err(refused("new decoder"))?;
        Ok(OpusDecoder {
            decoder,
            sample_rate,
        })
    }

    /// Appends the packet's samples. On an error `samples` is as it was.
    pub fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) -> Result<usize, Error> {
        let count = packet_samples(packet, self.sample_rate)?;
        self.run(packet, count, false, samples, "decode")
    }

    /// Appends `count` samples (a multiple of 2.5 ms) made up from those before.
    pub fn conceal(&mut self, count: usize, samples: &mut Vec<i16>) -> Result<usize, Error> {
        self.run(&[], count, false, samples, "conceal")
    }

    /// Appends samples made up from those before: `count` of them, down to whole units of 2.5 ms,
    /// and silence where libopus refuses.
    pub(super) fn conceal_up_to(&mut self, count: usize, samples: &mut Vec<i16>) {
        let unit = (self.sample_rate / 400) as usize;
        if count >= unit && self.conceal(count - count % unit, samples).is_err() {
            samples.resize(samples.len() + count, 0);
        }
    }

    /// Appends `count` samples (a multiple of 2.5 ms) that come directly before `next`: the
    /// last of them from its in-band FEC where it has some ([`has_fec`]), others made up.
    pub fn recover(
        &mut self,
        next: &[u8],
        count: usize,
        samples: &mut Vec<i16>,
    ) -> Result<usize, Error> {
        self.run(next, count, true, samples, "recover")
    }

    /// Forgets the signal: another source begins.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.decoder.reset_state().map_err(refused("reset decoder"))
    }

    fn run(
        &mut self,
        packet: &[u8],
        count: usize,
        fec: bool,
        samples: &mut Vec<i16>,
        operation: &'static str,
    ) -> Result<usize, Error> {
        let start = samples.len();
        samples.resize(start + count, 0);
        let result = self.decoder.decode(packet, &mut samples[start..], fec);
        let decoded = *result.as_ref().unwrap_or(&0);
        samples.truncate(start + decoded);
        result.map_err(refused(operation))
    }
}

/// What shapes our encoder's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncoderSettings {
    /// 0-10.
    pub complexity: u8,
    /// What the receiver's `maxaveragebitrate` allows, bit/s.
    pub maximum_bitrate: Option<u32>,
    /// The receiver makes use of FEC (`useinbandfec=1`).
    pub inband_fec: bool,
    /// The receiver asked for a constant bit rate (`cbr=1`).
    pub constant_bitrate: bool,
}

/// Encodes voice; DTX is never used.
///
/// A steady tone is encoded by CELT. SILK predicts a tone so well from what was decoded before
/// that a decoder which missed one packet never finds back: what it has wrong goes on for as long
/// as the tone does, and at some frequencies (1200 Hz for one) it grows up to full scale.
#[derive(Debug)]
pub struct OpusEncoder {
    encoder: Encoder,
    sample_rate: u32,
    settings: EncoderSettings,
    fec: bool,
    loss_percentage: i32,
    tone_detector: SteadyTone,
    /// What is encoded now is a steady tone.
    tone: bool,
}

impl OpusEncoder {
    /// A mono encoder whose input has `sample_rate` (as for [`OpusDecoder::new`]).
    pub fn new(sample_rate: u32, settings: EncoderSettings) -> Result<Self, Error> {
        let encoder = Encoder::new(sample_rate, Channels::Mono, Application::Voip)
            .map_err(refused("new encoder"))?;
        let mut encoder = OpusEncoder {
            encoder,
            sample_rate,
            settings,
            fec: false,
            loss_percentage: 0,
            tone_detector: SteadyTone::new(sample_rate),
            tone: false,
        };
        encoder.apply()?;
        Ok(encoder)
    }

    /// Takes other settings; the signal goes on.
    pub fn set_settings(&mut self, settings: EncoderSettings) -> Result<(), Error> {
        self.settings = settings;
        self.apply()
    }

    /// Takes the loss that the receiver reports, 0 to 1: from one per cent on FEC and the bits
    /// for it.
    pub fn set_loss(&mut self, fraction: f32) -> Result<(), Error> {
        let fec = fraction
            >= if self.fec {
                LOSS_WITHOUT_FEC
            } else {
                LOSS_FOR_FEC
            };
        let percentage = if fec {
            ((fraction * 100.0).round() as i32).clamp(1, 100)
        } else {
            0
        };
        if (fec, percentage) != (self.fec, self.loss_percentage) {
            self.fec = fec;
            self.loss_percentage = percentage;
            self.apply()?;
        }
        Ok(())
    }

    /// Whether FEC is sent now.
    pub fn sends_fec(&self) -> bool {
        self.fec && self.settings.inband_fec && !self.tone
    }

    /// Forgets the signal: what was encoded so far has not reached the decoder, and what comes
    /// must not build on it.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.tone_detector.reset();
        self.encoder.reset_state().map_err(refused("reset encoder"))
    }

    /// Encodes one frame (2.5 to 120 ms) and appends the packet.
    pub fn encode(&mut self, samples: &[i16], packet: &mut Vec<u8>) -> Result<usize, Error> {
        let tone = self.tone_detector.analyze(samples);
        if tone != self.tone {
            self.tone = tone;
            self.apply()?;
        }
        let start = packet.len();
        packet.resize(start + MAXIMUM_PACKET, 0);
        let result = self.encoder.encode(samples, &mut packet[start..]);
        let length = *result.as_ref().unwrap_or(&0);
        packet.truncate(start + length);
        result.map_err(refused("encode"))
    }

    fn apply(&mut self) -> Result<(), Error> {
        let wanted = match (self.tone, self.sends_fec()) {
            (true, _) => BITRATE_OF_TONE,
            (false, fec) => {
                let wideband = self.sample_rate > 8_000;
                let voice = if wideband { WIDEBAND_BITRATE } else { BITRATE };
                voice + if fec { BITRATE_OF_FEC } else { 0 }
            }
        };
        // RFC 7587 section 6.1: 6000 is the lowest that a receiver may ask for.
        let allowed = self.settings.maximum_bitrate.unwrap_or(wanted).max(6_000);
        let bitrate = Bitrate::Bits(wanted.min(allowed) as i32);
        let complexity = i32::from(self.settings.complexity.min(10));
        let (fec, vbr) = (self.sends_fec(), !self.settings.constant_bitrate);
        let signal = if self.tone {
            Signal::Music
        } else {
            Signal::Auto
        };
        let encoder = &mut self.encoder;
        encoder
            .set_bitrate(bitrate)
            .map_err(refused("set bit rate"))?;
        encoder
            .set_complexity(complexity)
            .map_err(refused("set complexity"))?;
        encoder.set_vbr(vbr).map_err(refused("set vbr"))?;
        encoder.set_dtx(false).map_err(refused("set dtx"))?;
        encoder.set_inband_fec(fec).map_err(refused("set fec"))?;
        encoder.set_signal(signal).map_err(refused("set signal"))?;
        // For receivers that allow too few bits for CELT: then at least SILK does not predict.
        encoder
            .set_prediction_disabled(self.tone)
            .map_err(refused("set prediction"))?;
        encoder
            .set_packet_loss_perc(self.loss_percentage)
            .map_err(refused("set loss"))
    }
}

/// Samples at `sample_rate` in a packet, all its frames together (RFC 6716 section 3.1): at
/// most 120 ms.
pub fn packet_samples(packet: &[u8], sample_rate: u32) -> Result<usize, Error> {
    opus::packet::get_nb_samples(packet, sample_rate).map_err(refused("read packet"))
}

/// Whether the packet carries FEC of the one before it: the LBRR flag of its first frame
/// (RFC 6716 section 4.2.4), which only the SILK and hybrid modes have.
pub fn has_fec(packet: &[u8]) -> bool {
    let Some(first) = packet.first() else {
        return false;
    };
    let configuration = first >> 3;
    // Silk frames of 20 ms in one Opus frame: one VAD flag each stands before the LBRR flag.
    let silk_frames = match configuration {
        0..12 => match configuration & 0x03 {
            2 => 2,
            3 => 3,
            _ => 1,
        },
        12..16 => 1,
        _ => return false,
    };
    let Some(flags) = first_frame(packet).and_then(<[u8]>::first) else {
        return false;
    };
    let stereo = first & 0x04 != 0;
    let middle = flags >> (7 - silk_frames) & 1 != 0;
    let side = stereo && flags >> (6 - 2 * silk_frames) & 1 != 0;
    middle || side
}

/// The octets from the first frame on, unless that frame is empty (RFC 6716 section 3.2).
fn first_frame(packet: &[u8]) -> Option<&[u8]> {
    let body = &packet[1..];
    match packet[0] & 0x03 {
        0 | 1 => Some(body),
        2 => skip_length(body),
        _ => {
            let (count, mut rest) = body.split_first()?;
            if count & 0x40 != 0 {
                loop {
                    let (padding, after) = rest.split_first()?;
                    rest = after;
                    if *padding != 255 {
                        break;
                    }
                }
            }
            if count & 0x80 == 0 {
                return Some(rest);
            }
            // Variable sizes: one length less than frames, the first tells if it is empty.
            let lengths = (count & 0x3f).saturating_sub(1);
            let empty = lengths > 0 && rest.first() == Some(&0);
            for _ in 0..lengths {
                rest = skip_one_length(rest)?;
            }
            (!empty).then_some(rest)
        }
    }
}

fn skip_length(body: &[u8]) -> Option<&[u8]> {
    (*body.first()? != 0).then_some(())?;
    skip_one_length(body)
}

fn skip_one_length(body: &[u8]) -> Option<&[u8]> {
    body.get(if *body.first()? < 252 { 1 } else { 2 }..)
}

fn refused(operation: &'static str) -> impl Fn(opus::Error) -> Error {
    move |source| Error::Opus { operation, source }
}

#[cfg(test)]
mod tests {
    use super::super::{Law, Tone, decode, encode, measure};
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: EncoderSettings = EncoderSettings {
        complexity: 0,
        maximum_bitrate: None,
        inband_fec: true,
        constant_bitrate: false,
    };

    fn packets(rate: u32, loss: f32, frames: usize) -> Vec<Vec<u8>> {
        let mut encoder = OpusEncoder::new(rate, SETTINGS).expect("libopus");
        encoder.set_loss(loss).expect("libopus");
        let mut tone = Tone::new(&[(440.0, -16.0)], rate);
        let mut samples = vec![0; rate as usize / 50];
        (0..frames)
            .map(|frame| {
                tone.fill(&mut samples);
                // FEC is spent on speech: a tone that comes and goes counts as such.
                if loss > 0.0 && frame % 6 < 2 {
                    samples.fill(0);
                }
                let mut packet = Vec::new();
                encoder.encode(&samples, &mut packet).expect("20 ms");
                packet
            })
            .collect()
    }

    #[test]
    fn a_tone_comes_through_at_8_and_at_48_khz() {
        for (from, to) in [
            (8_000, 8_000),
            (8_000, 48_000),
            (48_000, 8_000),
            (48_000, 48_000),
        ] {
            let mut decoder = OpusDecoder::new(to).expect("libopus");
            let mut samples = Vec::new();
            for packet in packets(from, 0.0, 50) {
                let count = decoder.decode(&packet, &mut samples).expect("our packet");
                assert_eq!(count, to as usize / 50);
            }
            let heard = measure(&samples[to as usize / 2..], to);
            assert!((heard.frequency - 440.0).abs() < 2.0, "{heard:?}");
            assert!((heard.level + 16.0).abs() < 1.5, "{from} {to} {heard:?}");
        }
    }

    /// By how many dB the last half second of 2.5 s of a tone is louder for a decoder than for us.
    /// It comes from G.711. The decoder misses some packets, and makes up those after the first
    /// that it had.
    fn gain(frequency: f64, settings: EncoderSettings, missed: std::ops::Range<usize>) -> f64 {
        let mut encoder = OpusEncoder::new(8_000, settings).expect("libopus");
        let mut decoder = OpusDecoder::new(8_000).expect("libopus");
        let mut tone = Tone::new(&[(frequency, -8.9)], 8_000);
        let (mut samples, mut heard) = ([0; 160], Vec::new());
        for number in 0..125 {
            tone.fill(&mut samples);
            let (mut octets, mut line, mut packet) = (Vec::new(), Vec::new(), Vec::new());
            encode(Law::Mu, &samples, &mut octets);
            decode(Law::Mu, &octets, &mut line);
            encoder.encode(&line, &mut packet).expect("20 ms");
            if !missed.contains(&number) {
                decoder.decode(&packet, &mut heard).expect("our packet");
            } else if missed.start > 0 {
                decoder.conceal(160, &mut heard).expect("20 ms");
            }
        }
        let mut sent = [0; 4_000];
        tone.fill(&mut sent);
        let power = |samples: &[i16]| -> f64 {
            let squares = samples.iter().map(|sample| f64::from(*sample).powi(2));
            squares.sum()
        };
        10.0 * (power(&heard[heard.len() - 4_000..]) / power(&sent)).log10()
    }

    #[test]
    fn a_tone_keeps_its_level_after_packets_are_lost() {
        for complexity in [0, 5] {
            let settings = EncoderSettings {
                complexity,
                ..SETTINGS
            };
            for frequency in [425.0, 700.0, 1_100.0, 1_200.0, 1_300.0, 2_400.0, 2_700.0] {
                for missed in [0..2, 3..4, 50..51, 60..63] {
                    let gain = gain(frequency, settings, missed.clone());
                    assert!(
                        gain.abs() < 1.0,
                        "{frequency} {complexity} {missed:?} {gain}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_tone_does_not_grow_where_few_bits_are_allowed() {
        let settings = EncoderSettings {
            maximum_bitrate: Some(16_000),
            ..SETTINGS
        };
        for frequency in [425.0, 1_200.0, 1_300.0, 2_400.0, 2_700.0] {
            let gain = gain(frequency, settings, 50..51);
            assert!(gain < 5.0, "{frequency} {gain}");
        }
    }

    #[test]
    fn after_a_reset_a_decoder_can_begin() {
        let mut encoder = OpusEncoder::new(8_000, SETTINGS).expect("libopus");
        let mut fresh = OpusEncoder::new(8_000, SETTINGS).expect("libopus");
        let mut tone = Tone::new(&[(1_200.0, -8.9)], 8_000);
        let mut samples = [0; 160];
        for number in 0..20 {
            tone.fill(&mut samples);
            let (mut packet, mut expected) = (Vec::new(), Vec::new());
            if number < 10 {
                encoder.encode(&samples, &mut packet).expect("20 ms");
                encoder.reset().expect("libopus");
                continue;
            }
            encoder.encode(&samples, &mut packet).expect("20 ms");
            fresh.encode(&samples, &mut expected).expect("20 ms");
            assert_eq!(packet, expected, "{number}");
        }
    }

    #[test]
    fn fec_is_sent_from_one_per_cent_of_loss_on() {
        let with = |loss| {
            packets(8_000, loss, 50)
                .iter()
                .filter(|packet| has_fec(packet))
                .count()
        };
        assert_eq!(with(0.0), 0);
        assert_eq!(with(0.009), 0);
        assert!(with(0.05) > 20, "{}", with(0.05));
    }

    #[test]
    fn fec_is_kept_until_the_loss_has_gone() {
        let mut encoder = OpusEncoder::new(8_000, SETTINGS).expect("libopus");
        for (loss, sends) in [(0.008, false), (0.012, true), (0.008, true), (0.004, false)] {
            encoder.set_loss(loss).expect("libopus");
            assert_eq!(encoder.sends_fec(), sends, "{loss}");
        }
        let settings = EncoderSettings {
            inband_fec: false,
            ..SETTINGS
        };
        encoder.set_settings(settings).expect("libopus");
        encoder.set_loss(0.2).expect("libopus");
        assert!(!encoder.sends_fec());
    }

    #[test]
    fn a_packet_with_fec_gives_back_the_one_before_it() {
        let packets = packets(8_000, 0.2, 60);
        let lost = 45;
        assert!(has_fec(&packets[lost + 1]));
        let run = |recover: fn(&mut OpusDecoder, &[u8], &mut Vec<i16>)| {
            let mut decoder = OpusDecoder::new(8_000).expect("libopus");
            let mut samples = Vec::new();
            for (number, packet) in packets.iter().enumerate() {
                if number == lost {
                    recover(&mut decoder, &packets[lost + 1], &mut samples);
                } else {
                    decoder.decode(packet, &mut samples).expect("our packet");
                }
            }
            samples
        };
        let whole = {
            let mut decoder = OpusDecoder::new(8_000).expect("libopus");
            let mut samples = Vec::new();
            for packet in &packets {
                decoder.decode(packet, &mut samples).expect("our packet");
            }
            samples
        };
        let recovered = run(|decoder, next, samples| {
            decoder.recover(next, 160, samples).expect("20 ms");
        });
        assert_eq!(whole.len(), recovered.len());
        let range = lost * 160..(lost + 1) * 160;
        let (whole, recovered) = (&whole[range.clone()], &recovered[range]);
        let power: f64 = whole.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        let error: f64 = whole
            .iter()
            .zip(recovered)
            .map(|(one, other)| (f64::from(*one) - f64::from(*other)).powi(2))
            .sum();
        let ratio = 10.0 * (power / error).log10();
        assert!(ratio > 10.0, "signal to error {ratio} dB");
    }

    proptest! {
        #[test]
        fn no_packet_makes_the_decoder_panic(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 1..8),
        ) {
            let mut decoder = OpusDecoder::new(8_000).expect("libopus");
            let mut samples = Vec::new();
            for packet in packets {
                samples.clear();
                has_fec(&packet);
                let _ = decoder.recover(&packet, 160, &mut samples);
                let _ = decoder.decode(&packet, &mut samples);
                prop_assert!(samples.len() <= 160 + 960);
            }
        }
    }
}
