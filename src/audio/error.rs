//! What the audio library can refuse.

use crate::codec::Codec;

/// A coder that cannot be made or a packet that cannot be coded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libopus refused.
    #[error("opus {operation}: {source}")]
    Opus {
        /// What was asked of it.
        operation: &'static str,
        /// Its answer.
        source: opus::Error,
    },
    /// The coder does not work at the audio rate.
    #[error("{codec} has no audio rate of {audio_rate} Hz")]
    AudioRate {
        /// The codec.
        codec: Codec,
        /// The rate, hertz.
        audio_rate: u32,
    },
}
