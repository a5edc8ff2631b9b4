//! Payloads of the source into samples, lost ones made up.

use crate::audio::{self, Concealment, Law, OpusDecoder};
use crate::codec::{AudioFormat, Codec};

/// The rate at which audio is transcoded: one side is always G.711 then.
pub(super) const SAMPLE_RATE: u32 = 8_000;
/// 2.5 ms: the unit of everything that libopus makes up.
const OPUS_UNIT: usize = SAMPLE_RATE as usize / 400;

/// The law of a codec that has one.
pub(super) const fn law_of(codec: Codec) -> Option<Law> {
    match codec {
        Codec::Pcmu => Some(Law::Mu),
        Codec::Pcma => Some(Law::A),
        Codec::Opus => None,
    }
}

/// Ticks of the codec's clock that a payload lasts; `None` when it is nothing the codec knows.
pub(super) fn duration(codec: Codec, payload: &[u8]) -> Option<u32> {
    let ticks = match codec {
        Codec::Opus => audio::packet_samples(payload, Codec::Opus.clock_rate()).ok()?,
        Codec::Pcmu | Codec::Pcma => payload.len(),
    };
    (ticks > 0).then_some(ticks as u32)
}

/// A decoder for whichever codec the source uses.
#[derive(Debug, Default)]
pub(super) struct Decoding {
    opus: Option<OpusDecoder>,
    concealment: Concealment,
}

impl Decoding {
    /// Makes the decoder that these formats can need; one that is there stays.
    pub(super) fn prepare(
        &mut self,
        from: &AudioFormat,
        to: &AudioFormat,
    ) -> Result<(), audio::Error> {
        let arrives = from
            .receive
            .iter()
            .any(|format| format.codec == Codec::Opus);
        if arrives && to.send.codec != Codec::Opus {
            if self.opus.is_none() {
                self.opus = Some(OpusDecoder::new(SAMPLE_RATE)?);
            }
        } else {
            self.opus = None;
        }
        Ok(())
    }

    /// Another source or codec: what was heard before does not go on.
    pub(super) fn reset(&mut self) {
        self.concealment.reset();
        if let Some(opus) = &mut self.opus
            && opus.reset().is_err()
        {
            // libopus refuses this for a null state only, which the type excludes; a decoder
            // that kept its state would only sound wrong for a frame.
            debug_assert!(false, "opus decoder reset");
        }
    }

    /// Appends the payload's samples; false when it cannot be decoded.
    pub(super) fn decode(&mut self, codec: Codec, payload: &[u8], samples: &mut Vec<i16>) -> bool {
        match law_of(codec) {
            Some(law) => {
                let start = samples.len();
                audio::decode(law, payload, samples);
                self.concealment.receive(&mut samples[start..]);
                true
            }
            None => self
                .opus
                .as_mut()
                .is_some_and(|opus| opus.decode(payload, samples).is_ok()),
        }
    }

    /// Appends up to `count` made-up samples.
    pub(super) fn conceal(&mut self, codec: Codec, count: usize, samples: &mut Vec<i16>) {
        if law_of(codec).is_some() {
            self.concealment.conceal(count, samples);
        } else if let Some(opus) = &mut self.opus
            && count >= OPUS_UNIT
            && opus.conceal(count - count % OPUS_UNIT, samples).is_err()
        {
            samples.resize(samples.len() + count, 0);
        }
    }

    /// Appends `count` samples out of the FEC of `next`; false when there is none.
    pub(super) fn recover(&mut self, next: &[u8], count: usize, samples: &mut Vec<i16>) -> bool {
        self.opus
            .as_mut()
            .is_some_and(|opus| opus.recover(next, count, samples).is_ok())
    }

    /// A gap: nothing goes on from before it.
    pub(super) fn pause(&mut self) {
        self.concealment.reset();
    }
}
