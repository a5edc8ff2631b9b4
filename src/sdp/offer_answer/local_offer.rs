//! Our offer to a PBX.

use super::LocalMedia;
use crate::codec::{Direction, EventFormat, ReceiveFormat};
use crate::sdp::crypto::CryptoLine;
use crate::sdp::sections::Sections;
use crate::sdp::{Offer, SrtpMode};

/// Our offer to a PBX, with what is needed to read its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalOffer {
    /// The offer to send.
    pub offer: Offer,
    /// The codecs in it, in order.
    pub codecs: Vec<ReceiveFormat>,
    /// The telephone-event payload types in it.
    pub events: Vec<EventFormat>,
    /// Which way audio may flow, seen from the gateway.
    pub direction: Direction,
    /// Milliseconds of audio in a packet that we would like.
    pub ptime: u8,
    /// The lines of keys in it.
    pub(in crate::sdp) crypto: Vec<CryptoLine>,
    pub(in crate::sdp) srtp: SrtpMode,
    pub(in crate::sdp) local: LocalMedia,
    pub(in crate::sdp) sections: Sections,
}
