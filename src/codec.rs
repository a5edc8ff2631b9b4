//! Vocabulary: what a leg of a call sends and receives, in the terms of RTP payload formats.
//!
//! Values only. How they are negotiated is in [`crate::sdp`], how they are coded in
//! `crate::audio`, how they are carried in `crate::media`.

mod format;

pub use format::{Codec, FORMATS, Format, FormatParameters, LossRepair, UnknownCodec};

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
}
