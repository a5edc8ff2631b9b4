//! What we say to a browser.

use crate::codec::{AudioFormat, Codec, Direction, EventFormat, ReceiveFormat};
use crate::sdp::{Answer, BrowserOffer, BrowserPolicy, Description, Error, Offer, SessionIds};

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
}

/// Answers a browser's offer.
///
/// `preferred` goes first among the codecs that both can do, `narrowband` says that the other
/// leg is G.711, `direction` is what the call wants of this side; the answer has what is left
/// of it after the offer. The `AudioFormat` is what now holds on this side.
pub fn answer(
    offer: &BrowserOffer,
    local: &Description,
    policy: &BrowserPolicy,
    preferred: Option<Codec>,
    narrowband: bool,
    session: SessionIds,
    direction: Direction,
) -> Result<(Answer, AudioFormat), Error> {
    let _ = (
        offer, local, policy, preferred, narrowband, session, direction,
    );
    unimplemented!()
}

/// Makes an offer to a browser: `policy.codecs` in their order. Always `sendrecv`.
pub fn offer(
    local: &Description,
    policy: &BrowserPolicy,
    narrowband: bool,
    session: SessionIds,
) -> BrowserLocalOffer {
    let _ = (local, policy, narrowband, session);
    unimplemented!()
}
