//! What can go wrong when media is set up or changed. Packets never make errors: what cannot
//! be used is dropped and counted.

use crate::audio;

/// A request that the media side cannot fulfil.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The audio library refused to make or set up a coder.
    #[error(transparent)]
    Coder(#[from] audio::Error),
    /// A character that is no key of a phone.
    #[error("digit {0:?} is none of 0-9, *, #, A-D, or a comma for a pause")]
    Digit(char),
    /// More digits than may wait.
    #[error("{requested} digits wait to be sent, at most {limit} may")]
    TooManyDigits {
        /// How many there would be.
        requested: usize,
        /// How many may wait.
        limit: usize,
    },
    /// The negotiated direction does not let us send.
    #[error("the stream's direction is {0}: nothing may be sent")]
    NotSending(&'static str),
}
