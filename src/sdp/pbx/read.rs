//! What a PBX said.

use std::net::SocketAddr;

use crate::codec::{AudioFormat, Direction, EventFormat};
use crate::sdp::section::MediaLines;
use crate::sdp::{Answer, Error, LocalOffer, Offer, OfferedCodec};

/// Where the PBX wants its media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpAddress {
    /// RTP. Its IP address may be unspecified (`c=0.0.0.0`, the old way to hold): then nothing
    /// may be sent.
    pub rtp: SocketAddr,
    /// RTCP: from `a=rtcp` (RFC 3605), else the next port. `None` when it shares the RTP port
    /// (`a=rtcp-mux`, RFC 5761).
    pub rtcp: Option<SocketAddr>,
}

/// The PBX's end of the audio stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where its media goes.
    pub address: RtpAddress,
    /// The PBX put us on hold: it does not want to hear us (`sendonly`, `inactive` or an
    /// unspecified address).
    pub held: bool,
}

/// A PBX's offer or re-offer, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PbxOffer {
    /// Its end of the stream.
    pub remote: Remote,
    /// The codecs that we know, in the PBX's order. Never empty.
    pub codecs: Vec<OfferedCodec>,
    /// Its telephone-event payload types, one per clock rate.
    pub events: Vec<EventFormat>,
    /// Which way audio may flow, seen from the gateway.
    pub direction: Direction,
    /// `a=ptime`, milliseconds.
    pub ptime: Option<u8>,
    /// `a=maxptime`, milliseconds.
    pub max_ptime: Option<u8>,
    /// Every media line in order, so that the answer has as many (RFC 3264 section 6).
    pub(in crate::sdp) lines: MediaLines,
}

/// Reads a PBX's offer or re-offer: its first audio line that can be used; other media lines
/// are remembered to be rejected in place.
pub fn read_offer(offer: &Offer) -> Result<PbxOffer, Error> {
    let _ = offer;
    unimplemented!()
}

/// Reads a PBX's answer to our offer: that of a 183 or of a 200, as often as they come.
pub fn read_answer(offer: &LocalOffer, answer: &Answer) -> Result<(Remote, AudioFormat), Error> {
    let _ = (offer, answer);
    unimplemented!()
}
