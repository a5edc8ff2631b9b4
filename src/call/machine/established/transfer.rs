//! Transfers of an established call, and the leg that they bring: a part with a state of its own.
//!
//! The PBX refers us to a refer target, which a leg of our own invites (RFC 5589 section 6); another
//! leg replaces the one that the call has (RFC 3891); or the client asks the PBX to connect the
//! other side elsewhere (RFC 3515). A leg that takes the place of the call's own is adopted, any
//! other one is released. The browser's side stays as it is.

use std::collections::VecDeque;
use std::time::Instant;

use crate::call::EndReason;
use crate::call::machine::warning;
use crate::call::message::{Action, Event, Notice, TransferTarget};
use crate::call::refusal::Refusal;
use crate::codec::Direction;
use crate::sdp::offer_answer::{Negotiation, OfferIn};
use crate::sdp::{self, LocalMedia, SessionIds, TrunkPolicy};

/// Another transfer is under way (RFC 5589 leaves the status open; 491 says that later it may work).
const REQUEST_PENDING: u16 = Refusal::BadState.sip_status();

/// The transfer of one call.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    state: State,
    /// Legs that were described so far: each has a session, and with it keys, that none before had.
    sessions: u64,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing is under way.
    #[default]
    Idle,
    /// The client asked the PBX.
    Referring,
    /// The PBX referred us: a leg invites the refer target.
    Inviting(Box<TargetLeg>),
}

/// The leg with the refer target.
#[derive(Debug)]
struct TargetLeg {
    to: String,
    negotiation: Negotiation,
    session: SessionIds,
    deadline: Instant,
    /// The leg that referred us has ended: the call has no other.
    only_leg: bool,
}

/// What a new leg is described by.
#[derive(Debug)]
pub(super) struct LegDescription {
    /// Our end, with fresh keys: the other one does not know how far our streams have come.
    pub(super) local: LocalMedia,
    /// With the codecs that the browser's side leaves.
    pub(super) policy: TrunkPolicy,
    /// The ids in use.
    pub(super) session: SessionIds,
}

/// A leg that takes the place of the call's leg with the PBX.
#[derive(Debug)]
pub(super) struct AdoptedLeg {
    /// The party there, for people.
    pub(super) to: String,
    /// What was said there.
    pub(super) negotiation: Negotiation,
    /// The ids of our description there.
    pub(super) session: SessionIds,
}

/// What the call has to do.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing: it goes on.
    Continue,
    /// Adopt the leg with the refer target.
    Adopt(Box<AdoptedLeg>),
    /// Adopt the leg that replaces the call's own.
    Replace(Box<AdoptedLeg>),
    /// End, with the PBX's status where it gave one.
    End(EndReason, Option<u16>),
}

impl Transfer {
    /// When [`Transfer::handle_timeout`] wants to be called next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Inviting(leg) => Some(leg.deadline),
            State::Idle | State::Referring => None,
        }
    }

    /// Time has passed: a refer target that has rung for too long is given up.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        actions: &mut VecDeque<Action>,
    ) -> Outcome {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return Outcome::Continue;
        }
        actions.push_back(Action::ReleaseLeg);
        self.fail(408, EndReason::NoAnswer, None, actions)
    }

    /// The client wants the other side to be connected elsewhere.
    pub(super) fn refer(&mut self, to: TransferTarget, actions: &mut VecDeque<Action>) {
        if !matches!(self.state, State::Idle) {
            actions.push_back(Action::Notify(Notice::Refused {
                refusal: Refusal::BadState,
                message: "a transfer is under way".to_owned(),
            }));
            return;
        }
        self.state = State::Referring;
        actions.push_back(Action::Refer { to });
    }

    /// What the PBX says of the transfer that the client asked for.
    pub(super) fn notified(
        &mut self,
        status: u16,
        last: bool,
        actions: &mut VecDeque<Action>,
    ) -> Outcome {
        if !matches!(self.state, State::Referring) {
            return Outcome::Continue;
        }
        let notice = match (status, last) {
            (_, false) => Notice::Transferring { status },
            (200..=299, true) => return Outcome::End(EndReason::Transferred, None),
            (_, true) => {
                self.state = State::Idle;
                Notice::TransferFailed { status }
            }
        };
        actions.push_back(Action::Notify(notice));
        Outcome::Continue
    }

    /// The PBX refers us to `to`: a leg of our own invites it until `deadline`.
    pub(super) fn invite_refer_target(
        &mut self,
        to: String,
        described: LegDescription,
        deadline: Instant,
        actions: &mut VecDeque<Action>,
    ) {
        if !matches!(self.state, State::Idle) {
            let status = REQUEST_PENDING;
            actions.push_back(Action::ReportTransfer { status, last: true });
            return;
        }
        let session = self.next_session(described.session);
        let mut negotiation = Negotiation::new();
        let offer = negotiation.create_offer(
            OfferIn::Request,
            described.local,
            &described.policy,
            session,
            Direction::SendRecv,
        );
        let Ok(offer) = offer else {
            return;
        };
        let offer = offer.to_string();
        actions.push_back(Action::InviteReferTarget { offer });
        self.state = State::Inviting(Box::new(TargetLeg {
            to,
            negotiation,
            session,
            deadline,
            only_leg: false,
        }));
    }

    /// What happened on the leg with the refer target.
    pub(super) fn handle_leg(&mut self, event: Event, actions: &mut VecDeque<Action>) -> Outcome {
        let State::Inviting(leg) = &mut self.state else {
            return Outcome::Continue;
        };
        match event {
            Event::Accepted { sdp, .. } => {
                let answered = sdp.as_deref().map(|sdp| {
                    sdp::Answer::parse(sdp).and_then(|answer| {
                        let negotiation = &mut leg.negotiation;
                        negotiation.accept_answer(OfferIn::Request, &answer)
                    })
                });
                let Some(Ok(())) = answered else {
                    actions.push_back(Action::ReleaseLeg);
                    return self.fail(488, EndReason::BadPbxDescription, None, actions);
                };
                actions.push_back(Action::ReportTransfer {
                    status: 200,
                    last: true,
                });
                match std::mem::take(&mut self.state) {
                    State::Inviting(leg) => Outcome::Adopt(Box::new(AdoptedLeg {
                        to: leg.to,
                        negotiation: leg.negotiation,
                        session: leg.session,
                    })),
                    State::Idle | State::Referring => Outcome::Continue,
                }
            }
            Event::Refused {
                status,
                cause,
                from_pbx,
            } => {
                let reason = EndReason::from_refusal(status, cause);
                self.fail(status, reason, from_pbx.then_some(status), actions)
            }
            Event::Progressed { status, .. } => {
                let last = false;
                actions.push_back(Action::ReportTransfer { status, last });
                Outcome::Continue
            }
            _ => Outcome::Continue,
        }
    }

    /// Another leg shall replace the call's own (RFC 3891): with the offer of `from`, or with one of
    /// ours where it made none.
    pub(super) fn replaced(
        &mut self,
        from: String,
        sdp: Option<&str>,
        described: LegDescription,
        actions: &mut VecDeque<Action>,
    ) -> Outcome {
        if matches!(self.state, State::Inviting(_)) {
            actions.push_back(Action::RefuseReplacingLeg {
                status: REQUEST_PENDING,
                warning: None,
            });
            return Outcome::Continue;
        }
        let session = self.next_session(described.session);
        let mut negotiation = Negotiation::new();
        let LegDescription { local, policy, .. } = described;
        let direction = Direction::SendRecv;
        let written = match sdp {
            Some(sdp) => sdp::Offer::parse(sdp)
                .and_then(|offer| negotiation.set_remote_offer(&offer, &policy).map(drop))
                .and_then(|()| negotiation.create_answer(local, &policy, session, direction))
                .map(|answer| answer.to_string()),
            None => negotiation
                .create_offer(OfferIn::Response, local, &policy, session, direction)
                .map(ToString::to_string),
        };
        match written {
            Ok(sdp) => {
                actions.push_back(Action::AcceptReplacingLeg { sdp });
                self.state = State::Idle;
                Outcome::Replace(Box::new(AdoptedLeg {
                    to: from,
                    negotiation,
                    session,
                }))
            }
            Err(error) => {
                actions.push_back(Action::RefuseReplacingLeg {
                    status: Refusal::BadPbxDescription.sip_status(),
                    warning: warning(&error),
                });
                Outcome::Continue
            }
        }
    }

    /// The call's own leg has ended; whether the call waits for the refer target all the same: the
    /// transferor need not (RFC 5589 section 6.1).
    pub(super) fn leg_ended(&mut self) -> bool {
        match &mut self.state {
            State::Inviting(leg) => {
                leg.only_leg = true;
                true
            }
            // The SIP side knows which ending is the transfer that was asked for.
            State::Idle | State::Referring => false,
        }
    }

    /// The refer target was not reached: the call keeps its leg, if it still has one.
    fn fail(
        &mut self,
        status: u16,
        reason: EndReason,
        from_pbx: Option<u16>,
        actions: &mut VecDeque<Action>,
    ) -> Outcome {
        if let State::Inviting(leg) = std::mem::take(&mut self.state)
            && leg.only_leg
        {
            return Outcome::End(reason, from_pbx);
        }
        actions.push_back(Action::ReportTransfer { status, last: true });
        Outcome::Continue
    }

    /// Another session than any leg of this call had.
    fn next_session(&mut self, in_use: SessionIds) -> SessionIds {
        self.sessions += 1;
        SessionIds::new(in_use.id.wrapping_add(self.sessions))
    }
}

#[cfg(test)]
mod tests;
