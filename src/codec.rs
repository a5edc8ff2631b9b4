//! Vocabulary: what a leg of a call sends and receives, in the terms of RTP payload formats.
//!
//! Values only. How they are negotiated is in [`crate::sdp`], how they are coded in
//! `crate::audio`, how they are carried in `crate::media`.

use std::fmt;
use std::str::FromStr;

/// An audio codec that both sides of the gateway can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Opus, RFC 6716, carried by RFC 7587.
    Opus,
    /// G.711 mu-law, RFC 3551 section 4.5.14.
    Pcmu,
    /// G.711 A-law, RFC 3551 section 4.5.14.
    Pcma,
}

impl Codec {
    /// Every codec, in the order of preference of the default configuration.
    pub const ALL: [Codec; 3] = [Codec::Opus, Codec::Pcmu, Codec::Pcma];

    /// The RTP timestamp clock in hertz. Opus is always 48000 (RFC 7587 section 4.1).
    pub const fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::Pcmu | Codec::Pcma => 8_000,
        }
    }

    /// The rate in hertz at which audio is handed to or taken from the coder. G.711 has no
    /// more than 8 kHz, and Opus codes at that rate itself: no resampler stands between.
    pub const fn sample_rate(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::Pcmu | Codec::Pcma => 8_000,
        }
    }

    /// The name in `a=rtpmap`, as registered.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }

    /// The payload type that RFC 3551 section 6 fixes, where there is one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Codec::Opus => None,
            Codec::Pcmu => Some(0),
            Codec::Pcma => Some(8),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec name that the gateway does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown codec {0:?}, expected one of opus, PCMU, PCMA")]
pub struct UnknownCodec(pub String);

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Codec::ALL
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownCodec(name.to_owned()))
    }
}

/// Which way audio flows, seen from the gateway (RFC 3264 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// The gateway sends only.
    SendOnly,
    /// The gateway receives only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// A direction from its two halves.
    pub const fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether the gateway sends.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the gateway receives.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same stream seen from the other end.
    pub const fn reversed(self) -> Self {
        Direction::new(self.receives(), self.sends())
    }

    /// What is left when both ends must agree.
    pub const fn intersect(self, other: Self) -> Self {
        Direction::new(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }

    /// The attribute name in SDP.
    pub const fn attribute(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }
}

/// What the other end asked of our Opus encoder by its `a=fmtp` (RFC 7587 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusParameters {
    /// `maxplaybackrate`, hertz.
    pub max_playback_rate: u32,
    /// `maxaveragebitrate`, bit/s.
    pub max_average_bitrate: Option<u32>,
    /// `useinbandfec`.
    pub inband_fec: bool,
    /// `usedtx`.
    pub dtx: bool,
    /// `cbr`.
    pub constant_bitrate: bool,
}

impl Default for OpusParameters {
    fn default() -> Self {
        OpusParameters {
            max_playback_rate: 48_000,
            max_average_bitrate: None,
            inband_fec: false,
            dtx: false,
            constant_bitrate: false,
        }
    }
}

/// How the gateway sends audio to one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendFormat {
    /// The codec.
    pub codec: Codec,
    /// The payload type that the other end gave the codec.
    pub payload_type: u8,
    /// Milliseconds of audio in one packet.
    pub ptime: u8,
    /// For Opus, what the other end asked of the encoder.
    pub opus: OpusParameters,
}

/// A payload type that may arrive, and the codec that it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveFormat {
    /// The codec.
    pub codec: Codec,
    /// The payload type.
    pub payload_type: u8,
}

/// A `telephone-event` payload type (RFC 4733), which has a clock of its own in SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFormat {
    /// The payload type.
    pub payload_type: u8,
    /// Its clock, hertz.
    pub clock_rate: u32,
}

/// What one side of a call agreed on for its one audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// What we send.
    pub send: SendFormat,
    /// What may arrive: every codec that was offered or answered, by payload type, since an
    /// end may change among them at any time (RFC 3264 section 7).
    pub receive: Vec<ReceiveFormat>,
    /// How we send digits, on the clock of the codec in `send` where the other end has one.
    pub send_events: Option<EventFormat>,
    /// The payload types on which digits may arrive.
    pub receive_events: Vec<EventFormat>,
    /// Which way audio flows, seen from the gateway.
    pub direction: Direction,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_reversed_twice_is_itself() {
        for direction in [
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ] {
            assert_eq!(direction.reversed().reversed(), direction);
            assert_eq!(direction.intersect(Direction::SendRecv), direction);
            assert_eq!(
                direction.intersect(Direction::Inactive),
                Direction::Inactive
            );
        }
    }

    #[test]
    fn codec_names_are_matched_without_regard_to_case() {
        assert_eq!("OPUS".parse(), Ok(Codec::Opus));
        assert_eq!("pcmu".parse(), Ok(Codec::Pcmu));
        assert!("G729".parse::<Codec>().is_err());
    }
}
