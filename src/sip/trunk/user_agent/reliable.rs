//! Our provisional answers, and what makes them reliable (RFC 3262 section 3): repeated until the
//! PRACK comes, and the 200 waits where they carried SDP.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::agent::UserAgent;
use super::answering::{copy_record_route, put_sdp};
use super::incoming_request::IncomingRequest;
use super::intervals::{LIFETIME, PROGRESS_EVERY, T1};
use super::leg::{Reliable, State, Unconfirmed, WhenReliable};
use crate::sip::stack::dialog_rules::Prack;
use crate::sip::stack::envelope::{Envelope, sdp_body};
use crate::sip::stack::message::{Name, Request, elements, header};
use crate::sip::stack::screening::Refusal;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{EndedBy, Event, LegId};

/// Repetition of a reliable provisional answer that has been confirmed (RFC 3262 section 3).
const RELIABLE_EVERY: Duration = Duration::from_secs(150);

impl Reliable {
    /// For an INVITE; refuses what the trunk's rules and the peer's abilities do not allow.
    pub(super) fn of_invite(request: &Request, prack: Prack, first: u32) -> Result<Self, Refusal> {
        let lists = |name| {
            elements(&request.headers, &name)
                .iter()
                .any(|option| option.eq_ignore_ascii_case("100rel"))
        };
        let required = lists(Name::REQUIRE);
        let supported = required || lists(Name::SUPPORTED);
        let when = match prack {
            Prack::Off if required => return Err(Refusal::with(420, "Unsupported", "100rel")),
            Prack::Required if !supported => {
                return Err(Refusal::with(421, "Require", "100rel"));
            }
            Prack::Off => WhenReliable::Never,
            _ if required => WhenReliable::Always,
            Prack::Required => WhenReliable::Always,
            Prack::Supported if supported => WhenReliable::WithDescription,
            Prack::Supported => WhenReliable::Never,
        };
        Ok(Reliable {
            when,
            number: first,
            waiting: None,
            next: None,
            accepting: None,
            agreed: false,
        })
    }

    fn applies(&self, described: bool) -> bool {
        match self.when {
            WhenReliable::Never => false,
            WhenReliable::WithDescription => described,
            WhenReliable::Always => true,
        }
    }
}

impl UserAgent {
    /// Sends a provisional answer.
    pub(super) fn progress(
        &mut self,
        id: LegId,
        status: u16,
        body: Option<Bytes>,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "progress");
        let Some(leg) = self.legs.get_mut(&id) else {
            return Err(wrong);
        };
        let State::Ringing(ringing) = &mut leg.state else {
            return Err(wrong);
        };
        if ringing.reliable.accepting.is_some() {
            return Err(wrong);
        }
        let status = status.clamp(101, 199);
        let described = body.is_some();
        let reliably = ringing.reliable.applies(described);
        if reliably && ringing.reliable.waiting.is_some() {
            // One at a time; of what queues up only the last matters.
            ringing.reliable.next = Some((status, body));
            return Ok(());
        }
        let (key, flow) = (ringing.server, ringing.flow);
        let (user, tag) = (leg.contact_user.clone(), leg.local_tag.clone());
        let mut response = ringing.request.respond(status, None, Some(&tag));
        copy_record_route(&ringing.request, &mut response);
        if reliably {
            ringing.reliable.number += 1;
            let number = ringing.reliable.number;
            response.headers.insert(Name::REQUIRE, "100rel");
            response.headers.insert(Name::RSEQ, number);
            // SDP that was agreed on is not said twice.
            ringing.progress = Some((status, None, now + RELIABLE_EVERY));
        } else {
            ringing.progress = Some((status, body.clone(), now + PROGRESS_EVERY));
        }
        self.put_contact(&mut response, &user, flow);
        put_sdp(&mut response, body.unwrap_or_default());
        let response = self.respond(&key, &response, now);
        if reliably
            && let Some(State::Ringing(ringing)) = self.legs.get_mut(&id).map(|leg| &mut leg.state)
        {
            ringing.reliable.waiting = Some(Unconfirmed {
                response,
                described,
                repeat_at: now + T1,
                interval: T1 * 2,
                give_up: now + LIFETIME,
            });
        }
        self.arm(id);
        Ok(())
    }

    /// A PRACK in the early dialog of their INVITE, or just after our 200.
    pub(super) fn take_prack(&mut self, id: LegId, incoming: IncomingRequest, now: Instant) {
        let (key, request) = (incoming.key, &incoming.request);
        let confirmed = header(&request.headers, &Name::RACK).and_then(read_confirmation);
        let matched = match self.legs.get_mut(&id).map(|leg| &mut leg.state) {
            Some(State::Ringing(ringing)) => {
                let sequence = Envelope::read(&ringing.request.headers).map_or(0, |e| e.sequence);
                let ours = Some((ringing.reliable.number, sequence));
                ringing.reliable.waiting.take_if(|_| confirmed == ours)
            }
            Some(State::Established(established)) => {
                let ours = established
                    .overtaken
                    .take_if(|number| confirmed.is_some_and(|(said, _)| said == *number));
                if ours.is_some() {
                    let response = request.respond(200, None, None);
                    self.respond(&key, &response, now);
                    return;
                }
                None
            }
            _ => None,
        };
        let Some(waiting) = matched else {
            self.reject("prack_unmatched", incoming.flow.remote);
            return self.respond_refusal(&key, request, &Refusal::plain(481), now);
        };
        let body = sdp_body(&request.headers, &request.body);
        let Some(State::Ringing(ringing)) = self.legs.get_mut(&id).map(|leg| &mut leg.state) else {
            return;
        };
        let was_agreed = ringing.reliable.agreed;
        let offered_by_us = sdp_body(&ringing.request.headers, &ringing.request.body).is_none();
        ringing.reliable.agreed |= waiting.described;
        if body.is_some() && (was_agreed || (waiting.described && !offered_by_us)) {
            // A further offer (RFC 3262 section 5): our owner answers it in the 200.
            ringing.pending = Some(incoming.into());
            self.notify_owner(id, Event::ProgressConfirmed { body: None });
            self.notify_owner(id, Event::Reinvited { body, fork: None });
        } else {
            let response = request.respond(200, None, None);
            self.respond(&key, &response, now);
            self.notify_owner(id, Event::ProgressConfirmed { body });
        }
        self.go_on_after_prack(id, now);
        self.arm(id);
    }

    /// What waited for the PRACK.
    fn go_on_after_prack(&mut self, id: LegId, now: Instant) {
        let Some(State::Ringing(ringing)) = self.legs.get_mut(&id).map(|leg| &mut leg.state) else {
            return;
        };
        let next = ringing.reliable.next.take();
        if let Some(body) = ringing.reliable.accepting.take() {
            let accepted = self.accept(id, body, now);
            debug_assert!(accepted.is_ok(), "a ringing leg can be answered");
        } else if let Some((status, body)) = next {
            let sent = self.progress(id, status, body, now);
            debug_assert!(sent.is_ok(), "a ringing leg can progress");
        }
    }

    /// The timers of a leg that rings.
    pub(super) fn handle_ringing_timeout(&mut self, id: LegId, now: Instant) {
        let Some(State::Ringing(ringing)) = self.legs.get_mut(&id).map(|leg| &mut leg.state) else {
            return;
        };
        if ringing.expires_at.is_some_and(|at| at <= now) && !ringing.is_accepting() {
            let refused = self.refuse(id, 487, None, None, now);
            debug_assert!(refused.is_ok(), "a ringing leg can be refused");
            return self.notify_owner(id, Event::Cancelled);
        }
        if let Some(waiting) = &mut ringing.reliable.waiting {
            if waiting.give_up <= now {
                let refused = self.refuse(id, 504, None, None, now);
                debug_assert!(refused.is_ok(), "a ringing leg can be refused");
                let why = EndedBy::AckMissing;
                return self.notify_owner(id, Event::Ended { cause: None, why });
            }
            if waiting.repeat_at <= now {
                waiting.repeat_at = now + waiting.interval;
                waiting.interval *= 2;
                let (flow, bytes) = (ringing.flow, waiting.response.clone());
                self.transmit(flow, bytes, None);
            }
            return;
        }
        if let Some((status, body, at)) = &mut ringing.progress
            && *at <= now
        {
            *at = now + PROGRESS_EVERY;
            let (status, body) = (*status, body.clone());
            if ringing.reliable.accepting.is_none() {
                let sent = self.progress(id, status, body, now);
                debug_assert!(sent.is_ok(), "a ringing leg can progress");
            }
        }
    }
}

/// RSeq and CSeq number of a RAck header that is about an INVITE.
fn read_confirmation(value: &str) -> Option<(u32, u32)> {
    let mut parts = value.split_ascii_whitespace();
    let numbers = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next()? == "INVITE").then_some(numbers)
}
