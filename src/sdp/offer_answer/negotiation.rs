//! Offer and answer within one dialog with the PBX (RFC 3264): whose offer is open, and what the
//! last exchange negotiated.
//!
//! ```text
//!          create_offer                         set_remote_offer
//! have-local-offer <-----------------  stable  -----------------> have-remote-offer
//!                  ----------------->          <-----------------
//!          accept_answer, reject_offer          create_answer, reject_offer
//! ```

use super::{
    LocalMedia, LocalOffer, PbxOffer, RemoteMedia, answer, offer, read_answer, read_offer,
};
use crate::codec::{AudioFormat, Direction};
use crate::sdp::{Answer, Error, Offer, SessionIds, TrunkPolicy};

/// Where an offer of ours travels, and with it where its answer is: an answer in another place is not
/// for it (RFC 3261 section 13.2.1, RFC 6337 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferIn {
    /// In an INVITE or UPDATE of ours: the answer is in its response.
    Request,
    /// In our response to an INVITE without an offer: the answer is in ACK or PRACK.
    Response,
}

/// Whose offer is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferState {
    /// Nobody's: either side may offer.
    Stable,
    /// Ours has no answer yet.
    HaveLocalOffer(OfferIn),
    /// The PBX's has no answer yet.
    HaveRemoteOffer,
}

/// What offer and answer negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedMedia {
    /// The PBX's end.
    pub remote: RemoteMedia,
    /// What is sent and received there.
    pub format: AudioFormat,
}

/// An offer that has no answer yet.
#[derive(Clone, Debug)]
enum Pending {
    None,
    Local(Box<LocalOffer>, OfferIn),
    Remote(Box<PbxOffer>),
}

/// The offer that was negotiated last: the next offer of ours grows from it, so that sections and
/// payload types keep their meaning (RFC 3264 section 8).
#[derive(Clone, Debug)]
enum LastOffer {
    Local(Box<LocalOffer>),
    Remote(Box<PbxOffer>),
}

/// One dialog's offers and answers.
#[derive(Clone, Debug)]
pub struct Negotiation {
    pending: Pending,
    last: Option<LastOffer>,
    media: Option<NegotiatedMedia>,
}

impl Default for Negotiation {
    fn default() -> Self {
        Negotiation::new()
    }
}

impl Negotiation {
    /// That of a dialog in which nothing was said.
    pub const fn new() -> Self {
        Negotiation {
            pending: Pending::None,
            last: None,
            media: None,
        }
    }

    /// Whose offer is open.
    pub const fn state(&self) -> OfferState {
        match &self.pending {
            Pending::None => OfferState::Stable,
            Pending::Local(_, offer_in) => OfferState::HaveLocalOffer(*offer_in),
            Pending::Remote(_) => OfferState::HaveRemoteOffer,
        }
    }

    /// What the last exchange negotiated; none before the first one.
    pub const fn media(&self) -> Option<&NegotiatedMedia> {
        self.media.as_ref()
    }

    /// Our open offer.
    pub fn local_offer(&self) -> Option<&LocalOffer> {
        match &self.pending {
            Pending::Local(offer, _) => Some(offer),
            Pending::None | Pending::Remote(_) => None,
        }
    }

    /// The PBX's open offer.
    pub fn remote_offer(&self) -> Option<&PbxOffer> {
        match &self.pending {
            Pending::Remote(offer) => Some(offer),
            Pending::None | Pending::Local(..) => None,
        }
    }

    /// Whether the PBX made the offer that was negotiated last.
    pub const fn is_last_offer_remote(&self) -> bool {
        matches!(self.last, Some(LastOffer::Remote(_)))
    }

    /// Offers: at first the codecs of `policy`, later what was negotiated with another direction.
    /// `session` is one version on from the description before. An error while an offer is open.
    pub fn create_offer(
        &mut self,
        offer_in: OfferIn,
        local: LocalMedia,
        policy: &TrunkPolicy,
        session: SessionIds,
        direction: Direction,
    ) -> Result<&Offer, Error> {
        if !matches!(self.pending, Pending::None) {
            return Err(Error::OfferPending);
        }
        let made = self.next_offer(local, policy, session, direction);
        self.pending = Pending::Local(Box::new(made), offer_in);
        match &self.pending {
            Pending::Local(made, _) => Ok(&made.offer),
            Pending::None | Pending::Remote(_) => Err(Error::NoOffer),
        }
    }

    /// Takes the answer to our offer. Where it cannot be used, what was negotiated before stays
    /// (RFC 3261 section 14.1).
    pub fn accept_answer(
        &mut self,
        offer_in: OfferIn,
        answer: &Answer,
    ) -> Result<&NegotiatedMedia, Error> {
        match std::mem::replace(&mut self.pending, Pending::None) {
            Pending::Local(ours, travels) if travels == offer_in => {
                let (remote, format) = read_answer(&ours, answer)?;
                self.last = Some(LastOffer::Local(ours));
                Ok(self.media.insert(NegotiatedMedia { remote, format }))
            }
            other => {
                self.pending = other;
                Err(Error::NoOffer)
            }
        }
    }

    /// Takes an offer of the PBX, to be answered or rejected. An error where it cannot be used, or
    /// while an offer is open: while ours is, that is glare (RFC 3261 section 14.2, RFC 3311 section
    /// 5.2).
    pub fn set_remote_offer(
        &mut self,
        offer: &Offer,
        policy: &TrunkPolicy,
    ) -> Result<&PbxOffer, Error> {
        if !matches!(self.pending, Pending::None) {
            return Err(Error::OfferPending);
        }
        let read = read_offer(offer, policy)?;
        self.pending = Pending::Remote(Box::new(read));
        self.remote_offer().ok_or(Error::NoOffer)
    }

    /// Answers the PBX's open offer. An error rejects it: what was negotiated before stays.
    pub fn create_answer(
        &mut self,
        local: LocalMedia,
        policy: &TrunkPolicy,
        session: SessionIds,
        direction: Direction,
    ) -> Result<Answer, Error> {
        let theirs = match std::mem::replace(&mut self.pending, Pending::None) {
            Pending::Remote(theirs) => theirs,
            other => {
                self.pending = other;
                return Err(Error::NoOffer);
            }
        };
        let (answer, remote, format) = answer(&theirs, local, policy, session, direction)?;
        self.last = Some(LastOffer::Remote(theirs));
        self.media = Some(NegotiatedMedia { remote, format });
        Ok(answer)
    }

    /// The open offer, whosever it is, comes to nothing: what was negotiated before stays (RFC 3261
    /// section 14.1).
    pub fn reject_offer(&mut self) {
        self.pending = Pending::None;
    }

    /// Takes the answer to a refresh of the session by our last description (RFC 4028), which was sent
    /// without the call; whether it changes anything.
    pub fn refresh(
        &mut self,
        answer: &Answer,
        local: LocalMedia,
        policy: &TrunkPolicy,
        session: SessionIds,
        direction: Direction,
    ) -> bool {
        let answered = match &self.last {
            Some(LastOffer::Local(ours)) => read_answer(ours, answer),
            Some(LastOffer::Remote(_)) => {
                read_answer(&self.next_offer(local, policy, session, direction), answer)
            }
            None => return false,
        };
        let Ok((remote, format)) = answered else {
            return false;
        };
        let same =
            |media: &NegotiatedMedia| media.remote == remote && media.format.send == format.send;
        if self.media.as_ref().is_some_and(same) {
            return false;
        }
        self.media = Some(NegotiatedMedia { remote, format });
        true
    }

    fn next_offer(
        &self,
        local: LocalMedia,
        policy: &TrunkPolicy,
        session: SessionIds,
        direction: Direction,
    ) -> LocalOffer {
        match (&self.last, &self.media) {
            (Some(LastOffer::Local(ours)), _) => ours.reoffer(local, policy, session, direction),
            (Some(LastOffer::Remote(theirs)), Some(media)) => {
                theirs.reversed(local, policy, &media.format, session, direction)
            }
            (Some(LastOffer::Remote(_)) | None, _) => offer(local, policy, session, direction),
        }
    }
}

#[cfg(test)]
mod tests;
