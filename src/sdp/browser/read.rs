//! What a browser said.

use crate::codec::{AudioFormat, Direction, EventFormat};
use crate::sdp::section::MediaLines;
use crate::sdp::{Answer, BrowserLocalOffer, Description, Error, Offer, OfferedCodec};

/// A browser's offer, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserOffer {
    /// Its ICE and DTLS parameters.
    pub transport: Description,
    /// The codecs that we know, in the browser's order. Never empty.
    pub codecs: Vec<OfferedCodec>,
    /// Its telephone-event payload types, one per clock rate.
    pub events: Vec<EventFormat>,
    /// The audio line's `a=mid`.
    pub mid: Option<String>,
    /// Which way audio may flow, seen from the gateway: `sendonly` in the offer is `RecvOnly`
    /// here.
    pub direction: Direction,
    /// `a=ptime`, milliseconds.
    pub ptime: Option<u8>,
    /// `a=maxptime`, milliseconds.
    pub max_ptime: Option<u8>,
    /// Every media line in order, so that the answer has as many (RFC 3264 section 6).
    pub(in crate::sdp) lines: MediaLines,
}

/// Reads a browser's offer: its first audio line that can be used; other media lines are
/// remembered to be rejected in place.
pub fn read_offer(offer: &Offer) -> Result<BrowserOffer, Error> {
    let _ = offer;
    unimplemented!()
}

/// Reads a browser's answer to our offer.
pub fn accept_answer(
    offer: &BrowserLocalOffer,
    answer: &Answer,
) -> Result<(Description, AudioFormat), Error> {
    let _ = (offer, answer);
    unimplemented!()
}
