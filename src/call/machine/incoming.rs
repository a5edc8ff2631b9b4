//! The PBX calls a client: from the INVITE to the client's answer.

use std::time::Instant;

use super::established::{Basis, Established};
use super::{Call, Local, Rules, State, Step, refused_offer, warning};
use crate::call::EndReason;
use crate::call::browser_end::BrowserEnd;
use crate::call::ids::EndpointId;
use crate::call::message::{Action, Diverted, Event, Notice};
use crate::call::refusal::Refusal;
use crate::call::snapshot::{CallDirection, Parties};
use crate::codec::{AudioFormat, Direction};
use crate::sdp::{self, bridge};

/// What exists while endpoints ring.
#[derive(Debug)]
pub(super) struct Offering {
    browser_offer: sdp::BrowserLocalOffer,
    /// None where the INVITE came without a description.
    pbx_offer: Option<sdp::PbxOffer>,
    ours: Option<Ours>,
    pub(super) ring_deadline: Instant,
    /// For endpoints that ring later.
    pub(super) incoming: Notice,
}

/// Our offer in a reliable provisional response (RFC 3262), and the answer once it is there.
#[derive(Debug)]
struct Ours {
    offer: sdp::LocalOffer,
    agreed: Option<(sdp::RemoteMedia, AudioFormat)>,
}

/// What exists between our 2xx with an offer and its ACK with the answer.
#[derive(Debug)]
pub(super) struct Confirming {
    browser: AudioFormat,
    pbx_offer: sdp::LocalOffer,
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
        let parsed = invitation
            .offer
            .as_deref()
            .map(|offer| {
                // Without a codec that the trunk may use no client should ring.
                sdp::Offer::parse(offer)
                    .and_then(|offer| sdp::offer_answer::read_offer(&offer, &call.rules.trunk))
                    .and_then(|offer| {
                        bridge::common_pbx_codecs(&offer, &call.rules.trunk).map(|_| offer)
                    })
            })
            .transpose();
        let pbx_offer = match parsed {
            Ok(offer) => offer,
            Err(error) => {
                let reason = refused_offer(&error, EndReason::BadPbxDescription);
                call.warning = warning(&error);
                call.settle(Step::End(reason, None));
                return call;
            }
        };
        let mut policy = call.rules.browser.clone();
        if let Some(offer) = &pbx_offer {
            policy.codecs = bridge::offer_to_browser(offer, &call.rules.browser, &call.rules.trunk);
            policy.ptime = bridge::ptime_for_browser(offer, &policy, &call.rules.trunk);
        }
        let browser_offer = sdp::jsep::offer(
            &call.local.transport,
            &policy,
            bridge::audio_rate(&call.rules.trunk.codecs),
            call.local.browser_session,
        );
        let offer = browser_offer.offer.to_string();
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
        let ours = (pbx_offer.is_none() && invitation.reliable).then(|| Ours {
            offer: sdp::offer_answer::offer(
                call.local.rtp,
                &call.rules.trunk,
                call.local.pbx_session,
                Direction::SendRecv,
            ),
            agreed: None,
        });
        call.push(Action::Progress {
            status: 180,
            sdp: ours.as_ref().map(|ours| ours.offer.offer.to_string()),
        });
        let ring_deadline = now + call.rules.ring_timeout;
        call.begin(State::Offering(Box::new(Offering {
            browser_offer,
            pbx_offer,
            ours,
            ring_deadline,
            incoming,
        })));
        call
    }
}

impl Offering {
    pub(super) fn handle(mut self: Box<Self>, call: &mut Call, event: Event) -> Step {
        match event {
            Event::Cancelled => Step::End(EndReason::Cancelled, None),
            Event::ProgressConfirmed { sdp: Some(sdp) } => {
                if let Some(ours) = &mut self.ours {
                    let answered = sdp::Answer::parse(&sdp)
                        .and_then(|answer| sdp::offer_answer::read_answer(&ours.offer, &answer));
                    let Ok(agreed) = answered else {
                        return Step::End(EndReason::BadPbxDescription, None);
                    };
                    ours.agreed = Some(agreed);
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
        self: Box<Self>,
        call: &mut Call,
        endpoint: EndpointId,
        sdp: &str,
        now: Instant,
    ) -> Step {
        let answered = sdp::Answer::parse(sdp)
            .and_then(|answer| sdp::jsep::accept_answer(&self.browser_offer, &answer));
        let (description, browser) = match answered {
            Ok(answered) => answered,
            Err(error) => {
                call.notify(Notice::Refused {
                    refusal: Refusal::BadAnswer,
                    message: error.to_string(),
                });
                return Step::End(EndReason::BadAnswer, None);
            }
        };
        call.select(endpoint);
        call.connect_peer(description, now);
        if let Some(ours) = self.ours {
            call.push(Action::Accept { sdp: String::new() });
            let confirming = Box::new(Confirming {
                browser,
                pbx_offer: ours.offer,
            });
            return match ours.agreed {
                Some((remote, pbx)) => confirming.agree(call, &remote, pbx),
                // The 2xx waits for the PRACK, which carries the answer.
                None => Step::Stay(State::Confirming(confirming)),
            };
        }
        let Some(pbx_offer) = self.pbx_offer else {
            let pbx_offer = sdp::offer_answer::offer(
                call.local.rtp,
                &call.rules.trunk,
                call.local.pbx_session,
                Direction::SendRecv,
            );
            call.push(Action::Accept {
                sdp: pbx_offer.offer.to_string(),
            });
            return Step::Stay(State::Confirming(Box::new(Confirming {
                browser,
                pbx_offer,
            })));
        };
        let mut policy = call.rules.trunk.clone();
        policy.codecs = bridge::answer_to_pbx(&browser, &call.rules.trunk);
        let answered = sdp::offer_answer::answer(
            &pbx_offer,
            call.local.rtp,
            &policy,
            call.local.pbx_session,
            Direction::SendRecv,
        );
        match answered {
            Ok((answer, remote, pbx)) => {
                call.point_rtp(&remote);
                call.push(Action::SetFormats {
                    browser: Box::new(browser.clone()),
                    pbx: Box::new(pbx.clone()),
                });
                call.push(Action::Accept {
                    sdp: answer.to_string(),
                });
                call.notify(Notice::Answered);
                let basis = Basis::Theirs(pbx_offer);
                let established = Established::new(call, browser, pbx, basis, remote);
                Step::Stay(State::Established(Box::new(established)))
            }
            Err(error) => {
                call.warning = warning(&error);
                Step::End(refused_offer(&error, EndReason::BadPbxDescription), None)
            }
        }
    }
}

impl Confirming {
    pub(super) fn handle(self: Box<Self>, call: &mut Call, event: Event) -> Step {
        let sdp = match event {
            Event::Confirmed { sdp } => sdp,
            Event::ProgressConfirmed { sdp: Some(sdp) } => Some(sdp),
            _ => return Step::Stay(State::Confirming(self)),
        };
        let answered = sdp.as_deref().map(|sdp| {
            sdp::Answer::parse(sdp)
                .and_then(|answer| sdp::offer_answer::read_answer(&self.pbx_offer, &answer))
        });
        let Some(Ok((remote, pbx))) = answered else {
            return Step::End(EndReason::BadPbxDescription, None);
        };
        self.agree(call, &remote, pbx)
    }

    fn agree(
        self: Box<Self>,
        call: &mut Call,
        remote: &sdp::RemoteMedia,
        pbx: AudioFormat,
    ) -> Step {
        call.point_rtp(remote);
        call.push(Action::SetFormats {
            browser: Box::new(self.browser.clone()),
            pbx: Box::new(pbx.clone()),
        });
        call.notify(Notice::Answered);
        let basis = Basis::Ours(self.pbx_offer);
        let established = Established::new(call, self.browser, pbx, basis, *remote);
        Step::Stay(State::Established(Box::new(established)))
    }
}
