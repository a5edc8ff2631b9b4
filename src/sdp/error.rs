//! Why a session description was refused.

use std::net::IpAddr;

use super::OfferedCodec;

/// The longest text that is parsed, in bytes. Chromium with video, simulcast and every
/// extension writes about 10 KiB.
pub const MAX_LENGTH: usize = 64 * 1024;

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
    /// An offer while another one is open (RFC 3264 section 4).
    #[error("an offer has no answer yet")]
    OfferPending,
    /// An answer where no offer is open.
    #[error("an answer without an offer")]
    NoOffer,
    /// A later offer without a section that was there, or with one in use in another place (RFC 3264
    /// section 8).
    #[error("a media section is not in its place")]
    SectionsMoved,
    /// No `c=` line for the audio (RFC 8866 section 5.7).
    #[error("session description has no connection address")]
    NoAddress,
    /// A `c=` line whose address does not have the form of the family that it names.
    #[error("connection {0:?} is not a unicast IP address of the family that it names")]
    UnsupportedAddress(String),
    /// A `c=` line of another network than the Internet.
    #[error("connection {0:?} is not of the Internet")]
    UnsupportedNetwork(String),
    /// A `c=` line with a multicast address.
    #[error("connection address {0:?} is a multicast address")]
    Multicast(String),
    /// A `c=` line with a host name whose address is not known.
    #[error("host name {0:?} of the connection has no address of its family")]
    UnknownName(String),
    /// Audio at an address of a family that we have no RTP address of.
    #[error("no RTP address of the family of {0} here")]
    AddressFamily(IpAddr),
}

/// What is not acceptable in a description, as the Warning header of a refusal has it (RFC 3261
/// section 20.43).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// 300 to 399.
    pub code: u16,
    /// For people, in English.
    pub text: String,
}

impl Error {
    /// The warning of a refusal for this reason.
    pub fn warning(&self) -> Warning {
        Warning {
            code: self.warn_code(),
            text: self.to_string(),
        }
    }

    /// The warn-code of the Warning header that says so in a 488 or 606 (RFC 3261 section 20.43).
    pub const fn warn_code(&self) -> u16 {
        match self {
            Error::UnsupportedNetwork(_) => 300,
            Error::UnsupportedAddress(_) | Error::UnknownName(_) | Error::AddressFamily(_) => 301,
            Error::UnsupportedTransport(_) | Error::Unprotected => 302,
            Error::NoAudio | Error::AudioRejected => 304,
            Error::NoCommonCodec(_) => 305,
            Error::NoUsableKey(_)
            | Error::NoFingerprint
            | Error::MalformedFingerprint(_)
            | Error::NoIceCredentials
            | Error::UnsupportedSetup(_)
            | Error::NoRtcpMux => 306,
            Error::Malformed { .. } | Error::NoAddress => 307,
            Error::Multicast(_) => 330,
            Error::TooLong(_) | Error::OfferPending | Error::NoOffer | Error::SectionsMoved => 399,
        }
    }

    /// None of `offered` suits us.
    pub(super) fn no_common_codec(offered: &[OfferedCodec]) -> Self {
        let names: Vec<_> = offered.iter().map(|codec| codec.codec.name()).collect();
        Error::NoCommonCodec(names.join(", "))
    }
}
