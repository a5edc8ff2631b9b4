//! The audio rate of a pipeline: every stage between decoder and encoder has it.

use crate::codec::{AudioFormat, Codec};

/// The rate where neither side needs one: only tones are made then, and DTMF ends at 1633 Hz.
const RATE_OF_TONES: u32 = 8_000;

/// The rate, hertz, at which what `from` sends is decoded and encoded for `to`: that of the codec
/// whose coder has one rate only, first of all the one that is sent. There is no resampler: the
/// other codec works at that rate itself, or is not decoded.
pub(super) fn audio_rate(from: &AudioFormat, to: &AudioFormat) -> u32 {
    let received = from.receive.iter().map(|format| format.codec);
    std::iter::once(to.send.codec)
        .chain(received)
        .map(Codec::format)
        .find(|format| format.has_one_audio_rate())
        .map_or(RATE_OF_TONES, |format| format.audio_rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::pipeline::tests::support::{any_codec, side};

    #[test]
    fn codec_with_one_rate_decides() {
        let rate = |from, to| audio_rate(&side(from), &side(to));
        assert_eq!(rate(Codec::Opus, Codec::Pcmu), 8_000);
        assert_eq!(rate(Codec::Pcma, Codec::Opus), 8_000);
        assert_eq!(rate(Codec::Opus, Codec::G722), 16_000);
        assert_eq!(rate(Codec::G722, Codec::Opus), 16_000);
        assert_eq!(rate(Codec::Opus, Codec::Opus), RATE_OF_TONES);
        let any = any_codec(Codec::Opus);
        assert_eq!(audio_rate(&any, &side(Codec::G722)), 16_000);
        assert_eq!(audio_rate(&any, &side(Codec::Opus)), 8_000);
    }
}
