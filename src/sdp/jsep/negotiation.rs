//! Offer and answer with the browser (RFC 9429): the signaling state, the open offer and the sections
//! that the last exchange agreed on.
//!
//! ```text
//!            create_offer                        set_remote_offer
//! have-local-offer <---------------  stable  ---------------> have-remote-offer
//!                  --------------->          <---------------
//!          accept_answer, rollback              create_answer, rollback
//! ```

use super::write::reoffer;
use super::{BrowserLocalOffer, BrowserOffer, accept_answer, answer, offer, read_offer};
use crate::codec::{AudioFormat, Codec, Direction};
use crate::sdp::sections::Sections;
use crate::sdp::{Answer, BrowserPolicy, Error, IceDtlsParameters, Offer, Section, SessionIds};

/// Where the exchange stands (RFC 9429 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalingState {
    /// No offer is open: either side may offer.
    Stable,
    /// Our offer has no answer yet.
    HaveLocalOffer,
    /// The browser's offer has no answer yet.
    HaveRemoteOffer,
}

/// The pending description (RFC 9429 sections 4.1.14 and 4.1.16).
#[derive(Clone, Debug)]
enum Pending {
    None,
    Local(Box<BrowserLocalOffer>),
    Remote(Box<BrowserOffer>),
}

/// What an answer of ours is made of.
#[derive(Clone, Copy, Debug)]
pub struct AnswerParameters<'a> {
    /// Our ICE and DTLS parameters.
    pub transport: &'a IceDtlsParameters,
    /// What browsers may use.
    pub policy: &'a BrowserPolicy,
    /// The codec that goes first.
    pub preferred: Option<Codec>,
    /// The audio rate that the other side has at most, hertz.
    pub audio_rate: u32,
    /// Ids of the description.
    pub session: SessionIds,
    /// What the call wants of this side.
    pub direction: Direction,
}

/// The negotiation with one browser.
#[derive(Clone, Debug)]
pub struct Negotiation {
    pending: Pending,
    /// The sections of the current descriptions; none before the first exchange.
    current: Option<Sections>,
}

impl Default for Negotiation {
    fn default() -> Self {
        Negotiation::new()
    }
}

impl Negotiation {
    /// That of a session in which nothing was said.
    pub const fn new() -> Self {
        Negotiation {
            pending: Pending::None,
            current: None,
        }
    }

    /// Where the exchange stands.
    pub const fn state(&self) -> SignalingState {
        match &self.pending {
            Pending::None => SignalingState::Stable,
            Pending::Local(_) => SignalingState::HaveLocalOffer,
            Pending::Remote(_) => SignalingState::HaveRemoteOffer,
        }
    }

    /// The browser's open offer.
    pub fn remote_offer(&self) -> Option<&BrowserOffer> {
        match &self.pending {
            Pending::Remote(offer) => Some(offer),
            Pending::None | Pending::Local(_) => None,
        }
    }

    /// The sections that were agreed on last, rejected ones among them; empty before the first
    /// exchange.
    pub fn sections(&self) -> &[Section] {
        self.current.as_ref().map_or(&[], Sections::as_slice)
    }

    /// What was agreed on for the audio.
    pub fn audio_format(&self) -> Option<&AudioFormat> {
        self.current.as_ref()?.audio()?.format.as_ref()
    }

    /// Offers: at first the codecs of `policy`, later the sections and payload types that are in use.
    /// An error while an offer is open.
    pub fn create_offer(
        &mut self,
        transport: &IceDtlsParameters,
        policy: &BrowserPolicy,
        audio_rate: u32,
        session: SessionIds,
    ) -> Result<&Offer, Error> {
        if self.state() != SignalingState::Stable {
            return Err(Error::OfferPending);
        }
        let made = match &self.current {
            Some(sections) => reoffer(sections, transport, policy, audio_rate, session),
            None => offer(transport, policy, audio_rate, session),
        };
        self.pending = Pending::Local(Box::new(made));
        match &self.pending {
            Pending::Local(made) => Ok(&made.offer),
            Pending::None | Pending::Remote(_) => Err(Error::NoOffer),
        }
    }

    /// Takes the browser's answer to our offer. One that cannot be used leaves our offer open.
    pub fn accept_answer(&mut self, answer: &Answer) -> Result<IceDtlsParameters, Error> {
        let Pending::Local(ours) = &mut self.pending else {
            return Err(Error::NoOffer);
        };
        let (transport, format) = accept_answer(ours, answer)?;
        ours.sections.agree_on_audio(format);
        if let Pending::Local(ours) = std::mem::replace(&mut self.pending, Pending::None) {
            self.current = Some(ours.sections);
        }
        Ok(transport)
    }

    /// Takes an offer of the browser. An error, without effect, where it cannot be used, where it moves
    /// a section from its place, and while an offer is open (RFC 9429 sections 3.2 and 5.6).
    pub fn set_remote_offer(&mut self, offer: &Offer) -> Result<&BrowserOffer, Error> {
        if self.state() != SignalingState::Stable {
            return Err(Error::OfferPending);
        }
        let read = read_offer(offer)?;
        if let Some(current) = &self.current
            && !current.are_kept_by(&read.sections)
        {
            return Err(Error::SectionsMoved);
        }
        self.pending = Pending::Remote(Box::new(read));
        self.remote_offer().ok_or(Error::NoOffer)
    }

    /// Answers the browser's open offer. An error leaves it open.
    pub fn create_answer(&mut self, parameters: &AnswerParameters<'_>) -> Result<Answer, Error> {
        let Pending::Remote(theirs) = &mut self.pending else {
            return Err(Error::NoOffer);
        };
        let (answer, format) = answer(
            theirs,
            parameters.transport,
            parameters.policy,
            parameters.preferred,
            parameters.audio_rate,
            parameters.session,
            parameters.direction,
        )?;
        theirs.sections.agree_on_audio(format);
        if let Pending::Remote(theirs) = std::mem::replace(&mut self.pending, Pending::None) {
            self.current = Some(theirs.sections);
        }
        Ok(answer)
    }

    /// The open offer, whosever it is, is taken back: the current descriptions hold (RFC 9429 section
    /// 4.1.10.2). An error where none is open.
    pub fn rollback(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.pending, Pending::None) {
            Pending::None => Err(Error::NoOffer),
            Pending::Local(_) | Pending::Remote(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
