//! Transfers of an established call: the PBX sends us to somebody else, somebody else takes our
//! place's other end over, or the page asks the PBX to. The browser's side stays as it is; only
//! where RTP goes changes.

use std::time::Instant;

use super::{Basis, Established, Reoffer};
use crate::call::EndReason;
use crate::call::machine::{Call, State, Step, warning};
use crate::call::message::{Action, Event, Notice, TransferTarget};
use crate::call::refusal::Refusal;
use crate::codec::Direction;
use crate::sdp::{self, bridge};

/// What of a transfer is under way.
#[derive(Debug)]
pub(super) enum Transfer {
    /// Nothing.
    None,
    /// The PBX referred us: a second leg calls whom it named.
    Calling(Box<NewCall>),
    /// We asked the PBX.
    Asked,
}

/// The call that shall replace the one with the PBX.
#[derive(Debug)]
pub(super) struct NewCall {
    to: String,
    offer: sdp::LocalOffer,
    session: sdp::SessionIds,
    deadline: Instant,
    /// The leg that referred us has ended: there is no way back.
    alone: bool,
}

impl Established {
    /// When a new call has rung for too long.
    pub(in crate::call::machine) fn transfer_deadline(&self) -> Option<Instant> {
        match &self.transfer {
            Transfer::Calling(new) => Some(new.deadline),
            Transfer::None | Transfer::Asked => None,
        }
    }

    /// The page wants the other side to be connected elsewhere.
    pub(in crate::call::machine) fn ask_for_transfer(
        &mut self,
        call: &mut Call,
        to: TransferTarget,
    ) {
        if !matches!(self.transfer, Transfer::None) {
            call.notify(Notice::Refused {
                refusal: Refusal::BadState,
                message: "a transfer is under way".to_owned(),
            });
            return;
        }
        self.transfer = Transfer::Asked;
        call.push(Action::Refer { to });
    }

    /// What happened to a transfer.
    pub(super) fn handle_transfer(
        mut self: Box<Self>,
        call: &mut Call,
        event: Event,
        now: Instant,
    ) -> Step {
        match event {
            Event::TransferTold { status, last } => {
                if !matches!(self.transfer, Transfer::Asked) {
                    return Step::Stay(State::Established(self));
                }
                match (status, last) {
                    (_, false) => call.notify(Notice::Transferring { status }),
                    (200..=299, true) => return Step::End(EndReason::Transferred, None),
                    (_, true) => {
                        self.transfer = Transfer::None;
                        call.notify(Notice::TransferFailed { status });
                    }
                }
            }
            Event::Referred { to, .. } => self.call_instead(call, to, now),
            Event::Replaced { from, sdp } => self.be_taken_over(call, from, sdp),
            Event::NewLeg(event) => return self.handle_new_leg(call, *event),
            _ => {}
        }
        Step::Stay(State::Established(self))
    }

    /// The leg with the PBX has ended.
    pub(in crate::call::machine) fn lose_pbx(mut self: Box<Self>, reason: EndReason) -> Step {
        match &mut self.transfer {
            // The SIP side knows which ending is the transfer that was asked for.
            Transfer::None | Transfer::Asked => Step::End(reason, None),
            // Whoever asked us to call elsewhere need not wait for it (RFC 5589 section 6.1).
            Transfer::Calling(new) => {
                new.alone = true;
                Step::Stay(State::Established(self))
            }
        }
    }

    /// A new call has rung for too long.
    pub(in crate::call::machine) fn give_up_new_call(
        self: Box<Self>,
        call: &mut Call,
        now: Instant,
    ) -> Step {
        let expired = self.transfer_deadline().is_some_and(|at| at <= now);
        if !expired {
            return Step::Stay(State::Established(self));
        }
        call.push(Action::DropNewLeg);
        self.fail_new_call(call, 408, EndReason::NoAnswer, None)
    }

    /// Another session than any party of this call has seen, and with it other keys.
    fn new_session(&mut self, call: &Call) -> sdp::SessionIds {
        self.sessions += 1;
        sdp::SessionIds::new(call.local.pbx_session.id.wrapping_add(self.sessions))
    }

    fn call_instead(&mut self, call: &mut Call, to: String, now: Instant) {
        if !matches!(self.transfer, Transfer::None) {
            call.push(Action::ReportTransfer {
                status: Refusal::BadState.sip_status(),
                last: true,
            });
            return;
        }
        let mut policy = call.rules.trunk.clone();
        policy.codecs = bridge::answer_to_pbx(&self.browser, &call.rules.trunk);
        let session = self.new_session(call);
        let offer =
            sdp::offer_answer::offer(call.local.rtp.anew(), &policy, session, Direction::SendRecv);
        call.push(Action::InviteInstead {
            offer: offer.offer.to_string(),
        });
        self.transfer = Transfer::Calling(Box::new(NewCall {
            to,
            offer,
            session,
            deadline: now + call.rules.ring_timeout,
            alone: false,
        }));
    }

    fn handle_new_leg(mut self: Box<Self>, call: &mut Call, event: Event) -> Step {
        let new = match std::mem::replace(&mut self.transfer, Transfer::None) {
            Transfer::Calling(new) => new,
            other => {
                self.transfer = other;
                return Step::Stay(State::Established(self));
            }
        };
        match event {
            Event::Accepted { sdp, .. } => {
                let answered = sdp.as_deref().map(|sdp| {
                    sdp::Answer::parse(sdp)
                        .and_then(|answer| sdp::offer_answer::read_answer(&new.offer, &answer))
                });
                let Some(Ok((remote, pbx))) = answered else {
                    call.push(Action::DropNewLeg);
                    self.transfer = Transfer::Calling(new);
                    return self.fail_new_call(call, 488, EndReason::BadPbxDescription, None);
                };
                call.push(Action::ReportTransfer {
                    status: 200,
                    last: true,
                });
                call.push(Action::TakeNewLeg {
                    reason: EndReason::Transferred,
                });
                call.local.pbx_session = new.session;
                *self.basis = Basis::Ours(new.offer);
                self.forget_offers();
                self.apply(call, &remote, pbx);
                call.notify(Notice::Transferred { to: new.to });
                self.settle_hold(call);
                Step::Stay(State::Established(self))
            }
            Event::Refused {
                status,
                cause,
                from_pbx,
            } => {
                self.transfer = Transfer::Calling(new);
                let reason = EndReason::from_refusal(status, cause);
                self.fail_new_call(call, status, reason, from_pbx.then_some(status))
            }
            Event::Progressed { status, .. } => {
                call.push(Action::ReportTransfer {
                    status,
                    last: false,
                });
                self.transfer = Transfer::Calling(new);
                Step::Stay(State::Established(self))
            }
            _ => {
                self.transfer = Transfer::Calling(new);
                Step::Stay(State::Established(self))
            }
        }
    }

    /// The new call came to nothing: the old one goes on, where it still is.
    fn fail_new_call(
        mut self: Box<Self>,
        call: &mut Call,
        status: u16,
        reason: EndReason,
        from_pbx: Option<u16>,
    ) -> Step {
        if let Transfer::Calling(new) = std::mem::replace(&mut self.transfer, Transfer::None)
            && new.alone
        {
            return Step::End(reason, from_pbx);
        }
        call.push(Action::ReportTransfer { status, last: true });
        Step::Stay(State::Established(self))
    }

    /// Somebody else's transfer ends at us: their INVITE replaces the dialog that we have.
    fn be_taken_over(&mut self, call: &mut Call, from: String, sdp: Option<String>) {
        if !matches!(self.transfer, Transfer::None | Transfer::Asked) {
            call.push(Action::RefuseNewLeg {
                status: Refusal::BadState.sip_status(),
                warning: None,
            });
            return;
        }
        let mut policy = call.rules.trunk.clone();
        policy.codecs = bridge::answer_to_pbx(&self.browser, &call.rules.trunk);
        let session = self.new_session(call);
        let Some(sdp) = sdp else {
            let offer = sdp::offer_answer::offer(
                call.local.rtp.anew(),
                &policy,
                session,
                Direction::SendRecv,
            );
            call.push(Action::AcceptNewLeg {
                sdp: offer.offer.to_string(),
            });
            self.switch(call, session, from);
            self.reoffer = Reoffer::InResponse {
                offer: Box::new(offer),
                told: false,
            };
            return;
        };
        let answered = sdp::Offer::parse(&sdp)
            .and_then(|offer| sdp::offer_answer::read_offer(&offer, &policy))
            .and_then(|offer| {
                sdp::offer_answer::answer(
                    &offer,
                    call.local.rtp.anew(),
                    &policy,
                    session,
                    Direction::SendRecv,
                )
                .map(|answered| (offer, answered))
            });
        match answered {
            Ok((offer, (answer, remote, pbx))) => {
                call.push(Action::AcceptNewLeg {
                    sdp: answer.to_string(),
                });
                *self.basis = Basis::Theirs(offer);
                self.switch(call, session, from);
                self.apply(call, &remote, pbx);
                self.settle_hold(call);
            }
            Err(error) => call.push(Action::RefuseNewLeg {
                status: Refusal::BadPbxDescription.sip_status(),
                warning: warning(&error),
            }),
        }
    }

    fn switch(&mut self, call: &mut Call, session: sdp::SessionIds, to: String) {
        call.push(Action::TakeNewLeg {
            reason: EndReason::Transferred,
        });
        call.local.pbx_session = session;
        self.transfer = Transfer::None;
        self.forget_offers();
        call.notify(Notice::Transferred { to });
    }
}
