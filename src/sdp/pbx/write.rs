//! What we say to a PBX.

use std::net::SocketAddr;

use crate::codec::{AudioFormat, Direction, EventFormat, ReceiveFormat};
use crate::sdp::section::MediaLines;
use crate::sdp::{Answer, Error, Offer, PbxOffer, Remote, SessionIds, TrunkPolicy};

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
    pub(in crate::sdp) local: SocketAddr,
    pub(in crate::sdp) lines: MediaLines,
}

impl LocalOffer {
    /// Our next offer in the same dialog, after this one was answered: the same lines, codecs
    /// and payload types with another direction (hold, resume). `session` is one version on.
    pub fn again(&self, session: SessionIds, direction: Direction) -> LocalOffer {
        let _ = (session, direction);
        unimplemented!()
    }
}

impl PbxOffer {
    /// Our first offer in a dialog that began with the PBX's: its lines and payload types, as
    /// far as `format` (what we answered) has them. `session` is one version on.
    pub fn turned(
        &self,
        local: SocketAddr,
        format: &AudioFormat,
        session: SessionIds,
        direction: Direction,
    ) -> LocalOffer {
        let _ = (local, format, session, direction);
        unimplemented!()
    }
}

/// Makes an offer to a PBX: `policy.codecs` in their order, at `local` (RTCP on the next port).
pub fn offer(
    local: SocketAddr,
    policy: &TrunkPolicy,
    session: SessionIds,
    direction: Direction,
) -> LocalOffer {
    let _ = (local, policy, session, direction);
    unimplemented!()
}

/// Answers a PBX's offer or re-offer with one codec, the first of `policy.codecs` that was
/// offered, and telephone events.
///
/// `direction` is what the call wants of this side; the answer has what is left of it after
/// the offer.
pub fn answer(
    offer: &PbxOffer,
    local: SocketAddr,
    policy: &TrunkPolicy,
    session: SessionIds,
    direction: Direction,
) -> Result<(Answer, Remote, AudioFormat), Error> {
    let _ = (offer, local, policy, session, direction);
    unimplemented!()
}
