//! The PBX's end of RTP.

use std::net::SocketAddr;

use crate::codec::Direction;
use crate::srtp_keys::SrtpKeys;

/// Where the PBX wants its media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpAddress {
    /// RTP. Its IP address may be unspecified (`c=0.0.0.0`, the old way to hold): then nothing
    /// may be sent.
    pub rtp: SocketAddr,
    /// RTCP: from `a=rtcp` (RFC 3605), else the next port; the same as `rtp` where the PBX
    /// offered to share the port (`a=rtcp-mux`, RFC 5761), which we then accept. `None` where
    /// there is no next port.
    pub rtcp: Option<SocketAddr>,
}

/// The PBX's end of the audio stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteMedia {
    /// Where its media goes.
    pub address: RtpAddress,
    /// Which way its description lets audio flow, seen from the gateway. An unspecified address takes
    /// nothing.
    pub direction: Direction,
    /// What protects its media once offer and answer are there; none: nothing, or an offer that
    /// is not answered yet.
    pub srtp_keys: Option<SrtpKeys>,
}

impl RemoteMedia {
    /// Whether the PBX puts us on hold: it does not want our audio (RFC 3264 section 8.4).
    pub const fn is_held(&self) -> bool {
        !self.direction.sends()
    }
}
