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
use crate::sdp::sections::Sections;
use crate::sdp::{Answer, Error, Offer, Section, SessionIds, TrunkPolicy};

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

impl LastOffer {
    const fn sections(&self) -> &Sections {
        match self {
            LastOffer::Local(offer) => &offer.sections,
            LastOffer::Remote(offer) => &offer.sections,
        }
    }

    const fn sections_mut(&mut self) -> &mut Sections {
        match self {
            LastOffer::Local(offer) => &mut offer.sections,
            LastOffer::Remote(offer) => &mut offer.sections,
        }
    }
}

/// One dialog's offers and answers.
#[derive(Clone, Debug)]
pub struct Negotiation {
    pending: Pending,
    last: Option<LastOffer>,
    remote: Option<RemoteMedia>,
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
            remote: None,
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

    /// The PBX's end, as the last exchange has it; none before the first one.
    pub const fn remote(&self) -> Option<&RemoteMedia> {
        self.remote.as_ref()
    }

    /// The sections that were negotiated last, rejected ones among them; empty before the first exchange.
    pub fn sections(&self) -> &[Section] {
        let last = self.last.as_ref();
        last.map_or(&[], |last| last.sections().as_slice())
    }

    /// What was negotiated for the audio.
    pub fn audio_format(&self) -> Option<&AudioFormat> {
        self.last.as_ref()?.sections().audio()?.format.as_ref()
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
    pub fn accept_answer(&mut self, offer_in: OfferIn, answer: &Answer) -> Result<(), Error> {
        match std::mem::replace(&mut self.pending, Pending::None) {
            Pending::Local(ours, travels) if travels == offer_in => {
                let (remote, format) = read_answer(&ours, answer)?;
                self.agree(LastOffer::Local(ours), remote, format);
                Ok(())
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
        self.agree(LastOffer::Remote(theirs), remote, format);
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
        let before = self.audio_format().map(|before| &before.send);
        if self.remote == Some(remote) && before == Some(&format.send) {
            return false;
        }
        if let Some(last) = &mut self.last {
            last.sections_mut().agree_on_audio(format);
        }
        self.remote = Some(remote);
        true
    }

    fn agree(&mut self, mut offer: LastOffer, remote: RemoteMedia, format: AudioFormat) {
        offer.sections_mut().agree_on_audio(format);
        self.last = Some(offer);
        self.remote = Some(remote);
    }

    fn next_offer(
        &self,
        local: LocalMedia,
        policy: &TrunkPolicy,
        session: SessionIds,
        direction: Direction,
    ) -> LocalOffer {
        match (&self.last, self.audio_format()) {
            (Some(LastOffer::Local(ours)), _) => ours.reoffer(local, policy, session, direction),
            (Some(LastOffer::Remote(theirs)), Some(format)) => {
                theirs.reversed(local, policy, format, session, direction)
            }
            (Some(LastOffer::Remote(_)) | None, _) => offer(local, policy, session, direction),
        }
    }
}

#[cfg(test)]
mod tests;
