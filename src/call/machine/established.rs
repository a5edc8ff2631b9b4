//! Both sides are there: hold and resume from either side, new offers, transfers, the end.

mod directions;
mod transfer;

use std::time::Instant;

use directions::Directions;
use transfer::{AdoptedLeg, LegDescription, Outcome, Transfer};

use super::{Call, State, Step, warning};
use crate::call::EndReason;
use crate::call::media_timeout::MediaTimeout;
use crate::call::message::{Action, Event, Notice, Quality, TransferTarget};
use crate::call::refusal::Refusal;
use crate::call::snapshot::Held;
use crate::sdp::offer_answer::{Negotiation, OfferIn, OfferState};
use crate::sdp::{self, bridge, jsep};

/// How often an offer is made again that the PBX says it may be.
const MOST_TRIES: u8 = 8;

/// SIP status of a new offer while another is open (RFC 3261 section 14.2).
const REQUEST_PENDING: u16 = Refusal::BadState.sip_status();

/// What exists while both sides talk.
#[derive(Debug)]
pub(super) struct Established {
    browser: jsep::Negotiation,
    pbx: Negotiation,
    directions: Directions,
    /// After glare: when to offer again.
    retry_at: Option<Instant>,
    /// How often in a row.
    tries: u8,
    media_timeout: MediaTimeout,
    transfer: Transfer,
}

impl Established {
    /// The call is answered, and the client knows; `pbx` has negotiated. Where the PBX holds it from
    /// the beginning (its first description says so) the client is told that too.
    pub(super) fn new(call: &mut Call, browser: jsep::Negotiation, pbx: Negotiation) -> Self {
        let remote = pbx.remote().map(|remote| remote.direction);
        let directions = Directions::new(remote.unwrap_or_default());
        if directions.is_held_by_pbx() {
            call.notify(Notice::Held { on: true });
        }
        Established {
            browser,
            pbx,
            directions,
            retry_at: None,
            tries: 0,
            media_timeout: MediaTimeout::default(),
            transfer: Transfer::default(),
        }
    }

    /// Who holds the call.
    pub(super) fn held(&self) -> Held {
        Held {
            by_client: self.directions.is_hold_desired(),
            by_pbx: self.directions.is_held_by_pbx(),
        }
    }

    /// When [`Established::handle_timeout`] wants to be called next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let times = [self.retry_at, self.transfer.poll_timeout()];
        times.into_iter().flatten().min()
    }

    /// Time has passed.
    pub(super) fn handle_timeout(mut self: Box<Self>, call: &mut Call, now: Instant) -> Step {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.offer_direction(call);
        }
        let outcome = self.transfer.handle_timeout(now, &mut call.actions);
        self.after_transfer(call, outcome)
    }

    /// The client holds or resumes.
    pub(super) fn hold(&mut self, call: &mut Call, on: bool) {
        self.directions.hold(on);
        self.offer_direction(call);
    }

    /// The client wants the other side to be connected elsewhere.
    pub(super) fn refer(&mut self, call: &mut Call, to: TransferTarget) {
        self.transfer.refer(to, &mut call.actions);
    }

    /// Takes new figures: a call without audio from either side ends after the configured time.
    pub(super) fn measured(
        mut self: Box<Self>,
        call: &Call,
        quality: &Quality,
        now: Instant,
    ) -> Step {
        let on_hold = self.directions.is_held_by_pbx() || self.directions.is_pbx_held();
        let timeout = call.rules.media_timeout;
        match self.media_timeout.measured(quality, on_hold, timeout, now) {
            true => Step::End(EndReason::MediaTimeout, None),
            false => Step::Stay(State::Established(self)),
        }
    }

    /// The leg with the PBX has ended.
    pub(super) fn leg_ended(mut self: Box<Self>, reason: EndReason) -> Step {
        match self.transfer.leg_ended() {
            true => Step::Stay(State::Established(self)),
            false => Step::End(reason, None),
        }
    }

    pub(super) fn handle(mut self: Box<Self>, call: &mut Call, event: Event, now: Instant) -> Step {
        match event {
            Event::Reoffered { sdp, .. } => self.take_offer(call, sdp.as_deref()),
            Event::ReofferAnswered { sdp } => {
                self.tries = 0;
                match self.pbx.state() {
                    OfferState::HaveLocalOffer(OfferIn::Request) => {
                        if let Err(reason) = self.take_answer(call, OfferIn::Request, &sdp) {
                            return Step::End(reason, None);
                        }
                    }
                    OfferState::Stable => self.take_refresh(call, &sdp),
                    OfferState::HaveLocalOffer(OfferIn::Response) | OfferState::HaveRemoteOffer => {
                    }
                }
            }
            Event::Confirmed { sdp } => {
                if self.pbx.state() == OfferState::HaveLocalOffer(OfferIn::Response) {
                    let Some(sdp) = sdp else {
                        // An ACK without the answer that our 2xx asked for: the session stays as it
                        // was, and later offers of either side are taken (RFC 3261 section 14.2).
                        self.pbx.reject_offer();
                        self.directions.offer_rejected();
                        self.offer_direction(call);
                        return Step::Stay(State::Established(self));
                    };
                    if let Err(reason) = self.take_answer(call, OfferIn::Response, &sdp) {
                        return Step::End(reason, None);
                    }
                }
            }
            Event::ReofferRefused {
                status,
                retry_after,
            } => {
                self.pbx.reject_offer();
                match retry_after {
                    // Glare, or the PBX asks for a moment.
                    Some(wait) if self.tries < MOST_TRIES => {
                        self.tries += 1;
                        self.directions.offer_rejected();
                        self.retry_at = Some(now + wait);
                    }
                    _ => {
                        self.tries = 0;
                        self.directions.keep_agreed();
                        let message = format!("the PBX refused to change the call: {status}");
                        call.notify(Notice::Refused {
                            refusal: Refusal::HoldRefused,
                            message,
                        });
                    }
                }
            }
            event => return self.handle_transfer(call, event, now),
        }
        Step::Stay(State::Established(self))
    }

    fn handle_transfer(mut self: Box<Self>, call: &mut Call, event: Event, now: Instant) -> Step {
        let outcome = match event {
            Event::TransferTold { status, last } => {
                self.transfer.notified(status, last, &mut call.actions)
            }
            Event::Referred { to, .. } => {
                let described = self.leg_description(call);
                let deadline = now + call.rules.ring_timeout;
                let actions = &mut call.actions;
                self.transfer
                    .invite_refer_target(to, described, deadline, actions);
                Outcome::Continue
            }
            Event::Replaced { from, sdp } => {
                let described = self.leg_description(call);
                let actions = &mut call.actions;
                self.transfer
                    .replaced(from, sdp.as_deref(), described, actions)
            }
            Event::TransferLeg(event) => self.transfer.handle_leg(*event, &mut call.actions),
            _ => Outcome::Continue,
        };
        self.after_transfer(call, outcome)
    }

    fn after_transfer(mut self: Box<Self>, call: &mut Call, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Continue => {}
            Outcome::Adopt(leg) => {
                let to = self.adopt(call, *leg);
                self.apply(call);
                call.notify(Notice::Transferred { to });
                self.offer_direction(call);
            }
            Outcome::Replace(leg) => {
                let to = self.adopt(call, *leg);
                call.notify(Notice::Transferred { to });
                self.apply(call);
                self.offer_direction(call);
            }
            Outcome::End(reason, status) => return Step::End(reason, status),
        }
        Step::Stay(State::Established(self))
    }

    /// The leg is the call's own from now on: what was open on the one before is void.
    fn adopt(&mut self, call: &mut Call, leg: AdoptedLeg) -> String {
        call.push(Action::AdoptLeg {
            reason: EndReason::Transferred,
        });
        call.local.pbx_session = leg.session;
        self.pbx = leg.negotiation;
        self.retry_at = None;
        self.directions.begin_dialog();
        leg.to
    }

    fn leg_description(&self, call: &Call) -> LegDescription {
        LegDescription {
            local: call.local.rtp.with_fresh_keys(),
            policy: self.policy_for_pbx(call),
            session: call.local.pbx_session,
        }
    }

    /// The trunk's policy with the codecs that the browser's side leaves.
    fn policy_for_pbx(&self, call: &Call) -> sdp::TrunkPolicy {
        let mut policy = call.rules.trunk.clone();
        if let Some(browser) = self.browser.audio_format() {
            policy.codecs = bridge::answer_to_pbx(browser, &call.rules.trunk);
        }
        policy
    }

    /// Offers anew if the PBX does not know yet which direction the client wants.
    fn offer_direction(&mut self, call: &mut Call) {
        let stable = self.pbx.state() == OfferState::Stable && self.retry_at.is_none();
        if stable
            && self.directions.needs_offer()
            && let Some(offer) = self.make_offer(call, OfferIn::Request, call.local.rtp)
        {
            call.push(Action::Reoffer { offer });
        }
    }

    /// Our offer as it is sent; none while another one is open.
    fn make_offer(
        &mut self,
        call: &mut Call,
        offer_in: OfferIn,
        local: sdp::LocalMedia,
    ) -> Option<String> {
        let session = call.local.pbx_session.next();
        let direction = self.directions.desired();
        let policy = &call.rules.trunk;
        let offer = self
            .pbx
            .create_offer(offer_in, local, policy, session, direction)
            .ok()?;
        call.local.pbx_session = session;
        self.directions.offered();
        Some(offer.to_string())
    }

    /// An error is the reason to end the call: the PBX sends what we could not decrypt.
    fn take_answer(
        &mut self,
        call: &mut Call,
        offer_in: OfferIn,
        sdp: &str,
    ) -> Result<(), EndReason> {
        self.directions.offer_answered();
        let answered =
            sdp::Answer::parse(sdp).and_then(|answer| self.pbx.accept_answer(offer_in, &answer));
        match answered {
            Ok(()) => self.apply(call),
            Err(error) => {
                self.pbx.reject_offer();
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
        self.offer_direction(call);
        Ok(())
    }

    /// An answer that came without an offer of the call's: it changes something or it does not.
    fn take_refresh(&mut self, call: &mut Call, sdp: &str) {
        let Ok(answer) = sdp::Answer::parse(sdp) else {
            return;
        };
        let changed = self.pbx.refresh(
            &answer,
            call.local.rtp,
            &call.rules.trunk,
            call.local.pbx_session,
            self.directions.desired(),
        );
        if changed {
            self.apply(call);
        }
    }

    /// The PBX offers, or asks for our offer.
    fn take_offer(&mut self, call: &mut Call, sdp: Option<&str>) {
        if self.pbx.state() != OfferState::Stable {
            call.push(Action::RefuseReoffer {
                status: REQUEST_PENDING,
                warning: None,
            });
            return;
        }
        let Some(sdp) = sdp else {
            // A re-INVITE without an offer may come from a transfer to another end, which does not know how
            // far our streams have come: it is offered new keys.
            let local = call.local.rtp.with_fresh_keys();
            if let Some(answer) = self.make_offer(call, OfferIn::Response, local) {
                self.retry_at = None;
                call.push(Action::AnswerReoffer { answer });
            }
            return;
        };
        let policy = self.policy_for_pbx(call);
        let session = call.local.pbx_session.next();
        let (local, direction) = (call.local.rtp, self.directions.desired());
        let answered = sdp::Offer::parse(sdp)
            .and_then(|offer| self.pbx.set_remote_offer(&offer, &policy).map(drop))
            .and_then(|()| self.pbx.create_answer(local, &policy, session, direction));
        match answered {
            Ok(answer) => {
                call.local.pbx_session = session;
                self.directions.answered();
                call.push(Action::AnswerReoffer {
                    answer: answer.to_string(),
                });
                self.apply(call);
            }
            Err(error) => call.push(Action::RefuseReoffer {
                status: Refusal::BadPbxDescription.sip_status(),
                warning: warning(&error),
            }),
        }
    }

    /// What was negotiated with the PBX holds from now on.
    fn apply(&mut self, call: &mut Call) {
        let Some(remote) = self.pbx.remote() else {
            return;
        };
        call.apply_media(&self.browser, &self.pbx);
        if let Some(on) = self.directions.set_remote(remote.direction) {
            call.notify(Notice::Held { on });
        }
    }
}
