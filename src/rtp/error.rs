//! What can be wrong with bytes that should be RTP or RTCP.

/// Bytes from the network that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end before what they announce.
    #[error("packet of {length} bytes ends inside its {part}")]
    Truncated {
        /// Which part is cut.
        part: &'static str,
        /// Octets that there are.
        length: usize,
    },
    /// Not version 2 (RFC 3550 section 5.1).
    #[error("rtp version {0}, expected 2")]
    Version(u8),
    /// A padding count that is zero or exceeds the payload (RFC 3550 section 5.1).
    #[error("padding count {0} does not fit the payload")]
    Padding(u8),
}
