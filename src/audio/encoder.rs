//! The encoder of a codec.

use super::Error;
use super::g711::{self, Law};
use super::opus::{EncoderSettings, OpusEncoder};
use crate::codec::Codec;

/// 20 ms of silence in one frame of Opus (RFC 6716 section 3.1).
const OPUS_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

/// An encoder of one codec at one audio rate.
#[derive(Debug)]
pub enum Encoder {
    /// By libopus.
    Opus(Box<OpusEncoder>),
    /// By table.
    G711(Law),
}

impl Encoder {
    /// An encoder that takes samples of `audio_rate` hertz.
    pub fn new(codec: Codec, audio_rate: u32, settings: EncoderSettings) -> Result<Self, Error> {
        if !codec.format().has_audio_rate(audio_rate) {
            return Err(Error::AudioRate { codec, audio_rate });
        }
        Ok(match codec {
            Codec::Opus => Encoder::Opus(Box::new(OpusEncoder::new(audio_rate, settings)?)),
            Codec::Pcmu => Encoder::G711(Law::Mu),
            Codec::Pcma => Encoder::G711(Law::A),
            #[cfg(test)]
            Codec::G722 => Encoder::G711(Law::Mu),
        })
    }

    /// Takes other settings; the signal goes on.
    pub fn set_settings(&mut self, settings: EncoderSettings) -> Result<(), Error> {
        match self {
            Encoder::Opus(opus) => opus.set_settings(settings),
            Encoder::G711(_) => Ok(()),
        }
    }

    /// Takes the loss that the receiver reports, 0 to 1.
    pub fn set_loss(&mut self, fraction: f32) {
        if let Encoder::Opus(opus) = self
            && opus.set_loss(fraction).is_err()
        {
            // libopus refuses values out of range only, and the encoder clamps them.
            debug_assert!(false, "opus encoder loss");
        }
    }

    /// What was encoded so far has not reached the decoder: what comes does not build on it.
    pub fn reset(&mut self) {
        if let Encoder::Opus(opus) = self
            && opus.reset().is_err()
        {
            debug_assert!(false, "opus encoder reset");
        }
    }

    /// Appends the payload of one packet; false when the samples cannot be encoded.
    pub fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) -> bool {
        match self {
            Encoder::Opus(opus) => opus.encode(samples, payload).is_ok(),
            Encoder::G711(law) => {
                g711::encode(*law, samples, payload);
                true
            }
        }
    }
}

/// A payload of silence that needs no encoder, where the codec has one.
pub fn silent_payload(codec: Codec) -> Option<&'static [u8]> {
    match codec {
        Codec::Opus => Some(&OPUS_SILENCE),
        Codec::Pcmu | Codec::Pcma => None,
        #[cfg(test)]
        Codec::G722 => None,
    }
}
