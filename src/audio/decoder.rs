//! The decoder of a codec. Here and in [`super::Encoder`] a codec gets its coder: nothing else
//! tells one codec from another but by the table of formats.

use super::Error;
use super::g711::{self, Law};
use super::opus::{self, OpusDecoder};
use crate::codec::{Codec, LossRepair};

/// A decoder of one codec at one audio rate.
#[derive(Debug)]
pub enum Decoder {
    /// By libopus.
    Opus(OpusDecoder),
    /// By table.
    G711(Law),
}

impl Decoder {
    /// A decoder that gives samples of `audio_rate` hertz.
    pub fn new(codec: Codec, audio_rate: u32) -> Result<Self, Error> {
        if !codec.format().has_audio_rate(audio_rate) {
            return Err(Error::AudioRate { codec, audio_rate });
        }
        Ok(match codec {
            Codec::Opus => Decoder::Opus(OpusDecoder::new(audio_rate)?),
            Codec::Pcmu => Decoder::G711(Law::Mu),
            Codec::Pcma => Decoder::G711(Law::A),
            #[cfg(test)]
            Codec::G722 => Decoder::G711(Law::Mu),
        })
    }

    /// Appends the payload's samples; false when it cannot be decoded.
    pub fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> bool {
        match self {
            Decoder::Opus(opus) => opus.decode(payload, samples).is_ok(),
            Decoder::G711(law) => {
                g711::decode(*law, payload, samples);
                true
            }
        }
    }

    /// Appends `count` samples out of the redundancy of the packet after them; false when there is
    /// none.
    pub fn recover(&mut self, next: &[u8], count: usize, samples: &mut Vec<i16>) -> bool {
        match self {
            Decoder::Opus(opus) => opus.recover(next, count, samples).is_ok(),
            Decoder::G711(_) => false,
        }
    }

    /// Appends up to `count` samples in place of lost ones, by the concealment of the codec; silence
    /// where it has none.
    pub fn conceal(&mut self, count: usize, samples: &mut Vec<i16>) {
        match self {
            Decoder::Opus(opus) => opus.conceal_up_to(count, samples),
            Decoder::G711(_) => samples.resize(samples.len() + count, 0),
        }
    }

    /// Another source begins.
    pub fn reset(&mut self) {
        if let Decoder::Opus(opus) = self
            && opus.reset().is_err()
        {
            // libopus refuses this for a null state only, which the type excludes; a decoder
            // that kept its state would only sound wrong for a frame.
            debug_assert!(false, "opus decoder reset");
        }
    }
}

/// Ticks of the RTP clock that a payload lasts; `None` where it is nothing that the codec knows.
pub fn payload_ticks(codec: Codec, payload: &[u8]) -> Option<u32> {
    let format = codec.format();
    let ticks = match format.constant_bitrate {
        Some(_) => format.ticks_of_octets(payload.len())?,
        // The configuration in its first octet (RFC 6716 section 3.1).
        None => opus::packet_samples(payload, format.clock_rate).ok()? as u32,
    };
    (ticks > 0).then_some(ticks)
}

/// Whether a payload carries redundancy of the packet before it.
pub fn has_redundancy(codec: Codec, payload: &[u8]) -> bool {
    codec.format().loss_repair == LossRepair::InBandFec && opus::has_fec(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoder_gives_the_samples_of_its_audio_rate() {
        let opus_of_20_ms = [0xf8, 0xff, 0xfe];
        for (codec, rate, payload, samples) in [
            (Codec::Pcmu, 8_000, &[0xff; 160][..], 160),
            (Codec::G722, 16_000, &[0xff; 320], 320),
            (Codec::Opus, 8_000, &opus_of_20_ms, 160),
            (Codec::Opus, 16_000, &opus_of_20_ms, 320),
        ] {
            let mut decoder = Decoder::new(codec, rate).expect("a rate of the table");
            let mut decoded = Vec::new();
            assert!(decoder.decode(payload, &mut decoded), "{codec} {rate}");
            decoder.conceal(samples, &mut decoded);
            assert_eq!(decoded.len(), 2 * samples, "{codec} {rate}");
            let ticks = codec.clock_rate() / 50;
            assert_eq!(payload_ticks(codec, payload), Some(ticks), "{codec}");
        }
    }

    #[test]
    fn rate_that_the_coder_does_not_have_is_an_error() {
        for (codec, rate) in [
            (Codec::Pcma, 16_000),
            (Codec::G722, 8_000),
            (Codec::Opus, 44_100),
        ] {
            let refused = Decoder::new(codec, rate).expect_err("no such rate");
            assert!(matches!(refused, Error::AudioRate { audio_rate, .. } if audio_rate == rate));
        }
    }

    #[test]
    fn payload_of_nothing_lasts_no_time() {
        for codec in Codec::ALL {
            assert_eq!(payload_ticks(codec, &[]), None, "{codec}");
        }
    }
}
