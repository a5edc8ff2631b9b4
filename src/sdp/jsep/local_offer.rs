//! Our offer to a browser.

use crate::codec::{Direction, EventFormat, ReceiveFormat};
use crate::sdp::Offer;
use crate::sdp::sections::Sections;

/// Our offer to a browser, with what is needed to read its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserLocalOffer {
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
    /// Every section in order.
    pub(in crate::sdp) sections: Sections,
}
