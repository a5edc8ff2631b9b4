//! What the audio library can refuse.

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
}
