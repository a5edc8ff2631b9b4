//! Why a session description was refused.

use super::OfferedCodec;
use super::session::MAX_LENGTH;

/// Why a session description was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is longer than is worth parsing.
    #[error("session description has {0} bytes, the limit is {MAX_LENGTH}")]
    TooLong(usize),
    /// A line breaks the grammar of RFC 8866. Lines count from 1.
    #[error("malformed session description, line {line}: {reason}")]
    Malformed {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No `m=audio` line that can be used on this side.
    #[error("session description has no audio line that can be used")]
    NoAudio,
    /// The answer put port 0 in our audio line (RFC 3264 section 6).
    #[error("the audio line was rejected with port 0")]
    AudioRejected,
    /// A transport profile that this side does not speak.
    #[error("transport {0:?} is not supported for audio here")]
    UnsupportedTransport(String),
    /// No `a=fingerprint` that can be checked (RFC 8122).
    #[error("session description has no usable fingerprint")]
    NoFingerprint,
    /// `a=fingerprint` that is not a hash name and hexadecimal pairs (RFC 8122 section 5).
    #[error("malformed fingerprint {0:?}")]
    MalformedFingerprint(String),
    /// No `a=ice-ufrag` or `a=ice-pwd`, or one outside RFC 8839 section 5.4's lengths.
    #[error("session description has no usable ice-ufrag and ice-pwd")]
    NoIceCredentials,
    /// `a=setup` with an unknown value, or one that an answer may not have.
    #[error("setup {0:?} is not possible here")]
    UnsupportedSetup(String),
    /// RTCP on a port of its own, which the browser's side does not do (RFC 8834 section 4.5).
    #[error("session description does not multiplex rtp and rtcp")]
    NoRtcpMux,
    /// SRTP without a key that can be used; the reason holds no part of the line.
    #[error("session description has no usable key for srtp: {0}")]
    NoUsableKey(&'static str),
    /// Plain RTP where the trunk's policy requires SRTP.
    #[error("srtp is required here, the session description has plain rtp")]
    Unprotected,
    /// No codec that both sides can do.
    #[error("no common codec, the other end has {0:?}")]
    NoCommonCodec(String),
    /// No `c=` line for the audio (RFC 8866 section 5.7).
    #[error("session description has no connection address")]
    NoAddress,
    /// A `c=` line whose address is not a literal unicast IP address.
    #[error("connection address {0:?} is not a unicast IP address")]
    UnsupportedAddress(String),
}

impl Error {
    /// None of `offered` suits us.
    pub(super) fn no_common_codec(offered: &[OfferedCodec]) -> Self {
        let names: Vec<_> = offered.iter().map(|codec| codec.codec.name()).collect();
        Error::NoCommonCodec(names.join(", "))
    }
}
