//! The PBX calls a client: from the INVITE to the client's answer.

use std::time::Instant;

use super::established::Established;
use super::{Call, Local, Rules, State, Step, refused_offer, warning};
use crate::call::EndReason;
use crate::call::browser_end::BrowserEnd;
use crate::call::ids::EndpointId;
use crate::call::message::{Action, Diverted, Event, Notice};
use crate::call::refusal::Refusal;
use crate::call::snapshot::{CallDirection, Parties};
use crate::codec::Direction;
use crate::sdp::offer_answer::{Negotiation, OfferIn, OfferState};
use crate::sdp::{self, bridge, jsep};

/// What exists while endpoints ring.
#[derive(Debug)]
pub(super) struct Offering {
    /// With our offer.
    browser: jsep::Negotiation,
    /// Has the PBX's offer; or ours, where the INVITE came without one and a reliable provisional
    /// response carries it (RFC 3262), then the answer.
    pbx: Negotiation,
    pub(super) ring_deadline: Instant,
    /// For endpoints that ring later.
    pub(super) incoming: Notice,
}

/// What exists between our 2xx with an offer and its ACK with the answer.
#[derive(Debug)]
pub(super) struct Confirming {
    browser: jsep::Negotiation,
    pbx: Negotiation,
}

/// Who calls whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invitation {
    /// The endpoints that ring.
    pub endpoints: Vec<EndpointId>,
    /// The caller's number.
    pub from: String,
    /// The caller's name.
    pub name: Option<String>,
    /// The called number.
    pub to: String,
    /// Whom the call was meant for before.
    pub diverted: Option<Diverted>,
    /// Headers for the client.
    pub headers: Vec<(String, String)>,
    /// The PBX's offer.
    pub offer: Option<String>,
    /// Our provisional responses are acknowledged; without an offer of the PBX they carry ours.
    pub reliable: bool,
}

impl Call {
    /// Begins a call from a PBX's INVITE.
    pub fn incoming(rules: Rules, local: Local, invitation: Invitation, now: Instant) -> Self {
        let parties = Parties {
            from: invitation.from.clone(),
            name: invitation.name.clone(),
            to: invitation.to.clone(),
        };
        let ringing = BrowserEnd::Ringing(invitation.endpoints);
        let seen = (CallDirection::Incoming, parties);
        let mut call = Call::new(rules, local, seen, ringing, now);
        let mut pbx = Negotiation::new();
        if let Some(offer) = &invitation.offer {
            // Without a codec that the trunk may use no client should ring.
            let read = sdp::Offer::parse(offer).and_then(|offer| {
                let offer = pbx.set_remote_offer(&offer, &call.rules.trunk)?;
                bridge::common_pbx_codecs(offer, &call.rules.trunk)
            });
            if let Err(error) = read {
                let reason = refused_offer(&error, EndReason::BadPbxDescription);
                call.warning = warning(&error);
                call.settle(Step::End(reason, None));
                return call;
            }
        }
        let mut policy = call.rules.browser.clone();
        if let Some(offer) = pbx.remote_offer() {
            policy.codecs = bridge::offer_to_browser(offer, &call.rules.browser, &call.rules.trunk);
            policy.ptime = bridge::ptime_for_browser(offer, &policy, &call.rules.trunk);
        }
        let mut browser = jsep::Negotiation::new();
        let offered = browser.create_offer(
            &call.local.transport,
            &policy,
            bridge::audio_rate(&call.rules.trunk.codecs),
            call.local.browser_session,
        );
        let Ok(offer) = offered.map(ToString::to_string) else {
            call.settle(Step::End(EndReason::Internal, None));
            return call;
        };
        call.keep_description(&offer);
        let incoming = Notice::Incoming {
            from: invitation.from,
            name: invitation.name,
            to: invitation.to,
            diverted: invitation.diverted,
            headers: invitation.headers,
            offer,
        };
        call.notify(incoming.clone());
        let ours = match pbx.state() {
            OfferState::Stable if invitation.reliable => offer_to_pbx(&call, &mut pbx),
            _ => None,
        };
        call.push(Action::Progress {
            status: 180,
            sdp: ours,
        });
        let ring_deadline = now + call.rules.ring_timeout;
        call.begin(State::Offering(Box::new(Offering {
            browser,
            pbx,
            ring_deadline,
            incoming,
        })));
        call
    }
}

/// Offers in a response to an INVITE without an offer.
fn offer_to_pbx(call: &Call, pbx: &mut Negotiation) -> Option<String> {
    let offer = pbx.create_offer(
        OfferIn::Response,
        call.local.rtp,
        &call.rules.trunk,
        call.local.pbx_session,
        Direction::SendRecv,
    );
    offer.ok().map(ToString::to_string)
}

impl Offering {
    pub(super) fn handle(mut self: Box<Self>, call: &mut Call, event: Event) -> Step {
        match event {
            Event::Cancelled => Step::End(EndReason::Cancelled, None),
            Event::ProgressConfirmed { sdp: Some(sdp) } => {
                if self.pbx.state() == OfferState::HaveLocalOffer(OfferIn::Response)
                    && !takes_answer(&mut self.pbx, &sdp)
                {
                    return Step::End(EndReason::BadPbxDescription, None);
                }
                Step::Stay(State::Offering(self))
            }
            // Nobody is there yet whom it could concern.
            Event::Reoffered { .. } => {
                call.push(Action::RefuseReoffer {
                    status: Refusal::BadPbxDescription.sip_status(),
                    warning: None,
                });
                Step::Stay(State::Offering(self))
            }
            _ => Step::Stay(State::Offering(self)),
        }
    }

    pub(super) fn accept(
        mut self: Box<Self>,
        call: &mut Call,
        endpoint: EndpointId,
        sdp: &str,
        now: Instant,
    ) -> Step {
        let answered =
            sdp::Answer::parse(sdp).and_then(|answer| self.browser.accept_answer(&answer));
        let transport = match answered {
            Ok(transport) => transport,
            Err(error) => {
                call.notify(Notice::Refused {
                    refusal: Refusal::BadAnswer,
                    message: error.to_string(),
                });
                return Step::End(EndReason::BadAnswer, None);
            }
        };
        call.select(endpoint);
        call.connect_peer(transport, now);
        if self.pbx.state() != OfferState::HaveRemoteOffer {
            return self.confirm(call);
        }
        let mut policy = call.rules.trunk.clone();
        if let Some(browser) = self.browser.audio_format() {
            policy.codecs = bridge::answer_to_pbx(browser, &call.rules.trunk);
        }
        let answered = self.pbx.create_answer(
            call.local.rtp,
            &policy,
            call.local.pbx_session,
            Direction::SendRecv,
        );
        match answered {
            Ok(answer) => {
                call.apply_media(&self.browser, &self.pbx);
                call.push(Action::Accept {
                    sdp: answer.to_string(),
                });
                call.notify(Notice::Answered);
                let established = Established::new(call, self.browser, self.pbx);
                Step::Stay(State::Established(Box::new(established)))
            }
            Err(error) => {
                call.warning = warning(&error);
                Step::End(refused_offer(&error, EndReason::BadPbxDescription), None)
            }
        }
    }
    /// Accepts with our offer, or after it: its answer comes with PRACK or ACK, or has come.
    fn confirm(mut self: Box<Self>, call: &mut Call) -> Step {
        let offered_before = self.pbx.state() != OfferState::Stable || self.pbx.remote().is_some();
        let sdp = match offered_before {
            true => String::new(),
            false => offer_to_pbx(call, &mut self.pbx).unwrap_or_default(),
        };
        call.push(Action::Accept { sdp });
        let confirming = Box::new(Confirming {
            browser: self.browser,
            pbx: self.pbx,
        });
        match confirming.pbx.remote() {
            Some(_) => confirming.establish(call),
            None => Step::Stay(State::Confirming(confirming)),
        }
    }
}

/// Whether the text is an answer to our offer that can be used.
fn takes_answer(pbx: &mut Negotiation, sdp: &str) -> bool {
    sdp::Answer::parse(sdp)
        .and_then(|answer| pbx.accept_answer(OfferIn::Response, &answer))
        .is_ok()
}

impl Confirming {
    pub(super) fn handle(mut self: Box<Self>, call: &mut Call, event: Event) -> Step {
        let sdp = match event {
            Event::Confirmed { sdp } => sdp,
            Event::ProgressConfirmed { sdp: Some(sdp) } => Some(sdp),
            _ => return Step::Stay(State::Confirming(self)),
        };
        match sdp.is_some_and(|sdp| takes_answer(&mut self.pbx, &sdp)) {
            true => self.establish(call),
            false => Step::End(EndReason::BadPbxDescription, None),
        }
    }

    fn establish(self: Box<Self>, call: &mut Call) -> Step {
        call.apply_media(&self.browser, &self.pbx);
        call.notify(Notice::Answered);
        let established = Established::new(call, self.browser, self.pbx);
        Step::Stay(State::Established(Box::new(established)))
    }
}
