//! Both sides are there: hold and resume from either side, new offers, the end.

mod transferring;

use std::time::Instant;

use transferring::Transfer;

use super::{Call, State, Step, warning};
use crate::call::EndReason;
use crate::call::media_timeout::MediaTimeout;
use crate::call::message::{Action, Event, Notice, Quality};
use crate::call::refusal::Refusal;
use crate::call::snapshot::Held;
use crate::codec::{AudioFormat, Direction};
use crate::sdp::{self, bridge};

/// How often an offer is made again that the PBX says it may be.
const MOST_TRIES: u8 = 8;

/// SIP status of a new offer while another is open (RFC 3261 section 14.2).
const REQUEST_PENDING: u16 = Refusal::BadState.sip_status();

/// What exists while both sides talk.
#[derive(Debug)]
pub(super) struct Established {
    browser: AudioFormat,
    pbx: AudioFormat,
    basis: Box<Basis>,
    /// The page wishes the PBX to be held.
    hold_wished: bool,
    /// What the PBX was last told of it.
    hold_told: bool,
    held_by_pbx: bool,
    /// How often in a row.
    tries: u8,
    /// Where the PBX's audio goes, as far as we have heard.
    remote: Option<sdp::RemoteMedia>,
    reoffer: Reoffer,
    media_timeout: MediaTimeout,
    transfer: Transfer,
    /// Sessions begun with other parties.
    sessions: u64,
}

/// The description that the next offer of ours grows from, so that lines and payload types keep
/// their meaning (RFC 3264 section 8).
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "always behind a box")]
pub(super) enum Basis {
    /// We made the last offer.
    Ours(sdp::LocalOffer),
    /// The PBX did.
    Theirs(sdp::PbxOffer),
}

/// Our own new offer.
#[derive(Debug)]
enum Reoffer {
    None,
    Sent(Box<sdp::LocalOffer>),
    /// Our 2xx to a re-INVITE without description carried an offer; the ACK has the answer.
    InResponse {
        offer: Box<sdp::LocalOffer>,
        /// Whether the PBX was told of a hold before.
        told: bool,
    },
    /// Glare: again then.
    Waiting(Instant),
}

impl Established {
    /// The call is answered, and the page knows. Where the PBX holds it from the beginning (its
    /// first description says so) the page learns that too.
    pub(super) fn new(
        call: &mut Call,
        browser: AudioFormat,
        pbx: AudioFormat,
        basis: Basis,
        remote: sdp::RemoteMedia,
    ) -> Self {
        if remote.held {
            call.notify(Notice::Held { on: true });
        }
        Established {
            browser,
            pbx,
            basis: Box::new(basis),
            hold_wished: false,
            hold_told: false,
            held_by_pbx: remote.held,
            reoffer: Reoffer::None,
            tries: 0,
            remote: Some(remote),
            media_timeout: MediaTimeout::default(),
            transfer: Transfer::None,
            sessions: 0,
        }
    }

    /// Who holds the call.
    pub(super) fn held(&self) -> Held {
        Held {
            by_client: self.hold_wished,
            by_pbx: self.held_by_pbx,
        }
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self.reoffer {
            Reoffer::Waiting(at) => Some(at),
            _ => None,
        }
    }

    /// The page holds or resumes.
    pub(super) fn hold(&mut self, call: &mut Call, on: bool) {
        self.hold_wished = on;
        self.settle_hold(call);
    }

    /// Offers anew if the PBX does not know yet what the page wishes.
    fn settle_hold(&mut self, call: &mut Call) {
        if matches!(self.reoffer, Reoffer::None) && self.hold_wished != self.hold_told {
            self.offer(call);
        }
    }

    /// Takes new figures: a call without audio from either side ends after the configured time.
    pub(super) fn measured(
        mut self: Box<Self>,
        call: &Call,
        quality: &Quality,
        now: Instant,
    ) -> Step {
        let on_hold = self.held_by_pbx || self.hold_told || self.hold_wished;
        let timeout = call.rules.media_timeout;
        match self.media_timeout.measured(quality, on_hold, timeout, now) {
            true => Step::End(EndReason::MediaTimeout, None),
            false => Step::Stay(State::Established(self)),
        }
    }

    pub(super) fn handle_timeout(&mut self, call: &mut Call, now: Instant) {
        if let Reoffer::Waiting(at) = self.reoffer
            && at <= now
        {
            self.reoffer = Reoffer::None;
            self.settle_hold(call);
        }
    }

    pub(super) fn handle(mut self: Box<Self>, call: &mut Call, event: Event, now: Instant) -> Step {
        match event {
            Event::Reoffered { sdp: Some(sdp), .. } => self.take_offer(call, &sdp),
            Event::Reoffered { sdp: None, .. } => {
                // Who asks for our offer may want to join us with another end, which does not know how
                // far our streams have come: it is offered new keys.
                let told = self.hold_told;
                let offer = self.make_offer(call, call.local.rtp.anew());
                call.push(Action::AnswerReoffer {
                    answer: offer.offer.to_string(),
                });
                self.reoffer = Reoffer::InResponse {
                    offer: Box::new(offer),
                    told,
                };
            }
            Event::ReofferAnswered { sdp } => {
                self.tries = 0;
                match std::mem::replace(&mut self.reoffer, Reoffer::None) {
                    Reoffer::Sent(offer) => {
                        if let Err(reason) = self.take_answer(call, *offer, &sdp) {
                            return Step::End(reason, None);
                        }
                    }
                    // The SIP side has refreshed its session with our last description.
                    Reoffer::None => self.take_refresh(call, &sdp),
                    other => self.reoffer = other,
                }
            }
            Event::Confirmed { sdp } => {
                match (std::mem::replace(&mut self.reoffer, Reoffer::None), sdp) {
                    (Reoffer::InResponse { offer, .. }, Some(sdp)) => {
                        if let Err(reason) = self.take_answer(call, *offer, &sdp) {
                            return Step::End(reason, None);
                        }
                    }
                    // An ACK without the answer that our 2xx asked for: the session stays as it
                    // was, and later offers of either side are taken (RFC 3261 section 14.2).
                    (Reoffer::InResponse { told, .. }, None) => {
                        self.hold_told = told;
                        self.settle_hold(call);
                    }
                    (other, _) => self.reoffer = other,
                }
            }
            // Glare, or the PBX asks for a moment.
            Event::ReofferRefused {
                retry_after: Some(wait),
                ..
            } if self.tries < MOST_TRIES => {
                self.tries += 1;
                self.hold_told = !self.hold_wished;
                self.reoffer = Reoffer::Waiting(now + wait);
            }
            Event::ReofferRefused { status, .. } => {
                self.reoffer = Reoffer::None;
                self.tries = 0;
                self.hold_told = !self.hold_told;
                self.hold_wished = self.hold_told;
                let message = format!("the PBX refused to change the call: {status}");
                call.notify(Notice::Refused {
                    refusal: Refusal::HoldRefused,
                    message,
                });
            }
            event => return self.handle_transfer(call, event, now),
        }
        Step::Stay(State::Established(self))
    }

    /// Another dialog takes the place of the one that knew of them.
    fn forget_offers(&mut self) {
        self.reoffer = Reoffer::None;
        self.hold_told = false;
    }

    /// What we are willing to do: nothing is taken from a party that the page holds.
    fn direction(&self) -> Direction {
        if self.hold_wished {
            Direction::SendOnly
        } else {
            Direction::SendRecv
        }
    }

    fn make_offer(&mut self, call: &mut Call, local: sdp::LocalMedia) -> sdp::LocalOffer {
        call.local.pbx_session = call.local.pbx_session.next();
        self.hold_told = self.hold_wished;
        let direction = self.direction();
        let policy = &call.rules.trunk;
        match &*self.basis {
            Basis::Ours(offer) => offer.again(local, policy, call.local.pbx_session, direction),
            Basis::Theirs(offer) => {
                offer.turned(local, policy, &self.pbx, call.local.pbx_session, direction)
            }
        }
    }

    fn offer(&mut self, call: &mut Call) {
        let offer = self.make_offer(call, call.local.rtp);
        call.push(Action::Reoffer {
            offer: offer.offer.to_string(),
        });
        self.reoffer = Reoffer::Sent(Box::new(offer));
    }

    /// An error is the reason to end the call: the PBX sends what we could not decrypt.
    fn take_answer(
        &mut self,
        call: &mut Call,
        offer: sdp::LocalOffer,
        sdp: &str,
    ) -> Result<(), EndReason> {
        let answered = sdp::Answer::parse(sdp)
            .and_then(|answer| sdp::offer_answer::read_answer(&offer, &answer));
        match answered {
            Ok((remote, pbx)) => {
                *self.basis = Basis::Ours(offer);
                self.apply(call, &remote, pbx);
            }
            Err(error) => {
                call.notify(Notice::Refused {
                    refusal: Refusal::BadPbxDescription,
                    message: error.to_string(),
                });
                // Keys that do not fit our offer mean silence both ways: better an end.
                if matches!(error, sdp::Error::NoUsableKey(_) | sdp::Error::Unprotected) {
                    return Err(EndReason::BadPbxDescription);
                }
                // Otherwise what was agreed before stays in force (RFC 3261 section 14.1).
            }
        }
        self.settle_hold(call);
        Ok(())
    }

    /// An answer that came without an offer of the call's: it changes something or it does not.
    fn take_refresh(&mut self, call: &mut Call, sdp: &str) {
        let offer = match &*self.basis {
            Basis::Ours(offer) => offer.clone(),
            Basis::Theirs(offer) => {
                let direction = self.direction();
                offer.turned(
                    call.local.rtp,
                    &call.rules.trunk,
                    &self.pbx,
                    call.local.pbx_session,
                    direction,
                )
            }
        };
        let answered = sdp::Answer::parse(sdp)
            .and_then(|answer| sdp::offer_answer::read_answer(&offer, &answer));
        if let Ok((remote, pbx)) = answered
            && (self.remote != Some(remote) || self.pbx.send != pbx.send)
        {
            self.apply(call, &remote, pbx);
        }
    }

    fn take_offer(&mut self, call: &mut Call, sdp: &str) {
        if matches!(self.reoffer, Reoffer::Sent(_) | Reoffer::InResponse { .. }) {
            call.push(Action::RefuseReoffer {
                status: REQUEST_PENDING,
                warning: None,
            });
            return;
        }
        let mut policy = call.rules.trunk.clone();
        policy.codecs = bridge::answer_to_pbx(&self.browser, &call.rules.trunk);
        let session = call.local.pbx_session.next();
        let answered = sdp::Offer::parse(sdp)
            .and_then(|offer| sdp::offer_answer::read_offer(&offer, &policy))
            .and_then(|offer| {
                sdp::offer_answer::answer(
                    &offer,
                    call.local.rtp,
                    &policy,
                    session,
                    self.direction(),
                )
                .map(|answered| (offer, answered))
            });
        match answered {
            Ok((offer, (answer, remote, pbx))) => {
                call.local.pbx_session = session;
                *self.basis = Basis::Theirs(offer);
                self.hold_told = self.hold_wished;
                call.push(Action::AnswerReoffer {
                    answer: answer.to_string(),
                });
                self.apply(call, &remote, pbx);
            }
            Err(error) => call.push(Action::RefuseReoffer {
                status: Refusal::BadPbxDescription.sip_status(),
                warning: warning(&error),
            }),
        }
    }

    fn apply(&mut self, call: &mut Call, remote: &sdp::RemoteMedia, pbx: AudioFormat) {
        call.point_rtp(remote);
        call.push(Action::SetFormats {
            browser: Box::new(self.browser.clone()),
            pbx: Box::new(pbx.clone()),
        });
        self.remote = Some(*remote);
        self.pbx = pbx;
        if self.held_by_pbx != remote.held {
            self.held_by_pbx = remote.held;
            call.notify(Notice::Held { on: remote.held });
        }
    }
}
