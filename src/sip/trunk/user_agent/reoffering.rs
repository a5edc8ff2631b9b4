//! Our own requests that change an answered call: re-INVITE, and UPDATE with an offer.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::commands::put_sdp;
use super::leg::{Offering, State, Termination};
use super::owner::Owner;
use super::refreshing::requested_interval;
use crate::sip::stack::envelope::{Envelope, sdp_body};
use crate::sip::stack::message::{Name, Response};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::SUPPORTED_VALUE;
use crate::sip::stack::transaction::ClientUser;
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{Event, LegId};

impl UserAgent {
    pub(super) fn reinvite(&mut self, id: LegId, body: Bytes, now: Instant) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "reinvite");
        let wait = self.glare_wait(id);
        let Some(leg) = self.legs.get_mut(&id) else {
            return Err(wrong);
        };
        let by_update = leg.rules.offer_by_update;
        let State::Established(established) = &mut leg.state else {
            return Err(wrong);
        };
        if established.termination != Termination::None {
            return Err(wrong);
        }
        if established.offering.is_some()
            || established.pending.is_some()
            || established.unacknowledged.is_some()
            || established.unconfirmed.is_some()
        {
            // An offer is under way already (RFC 3261 section 14.1).
            let refused = Event::ReinviteRefused {
                status: 491,
                retry_after: Some(wait),
            };
            self.notify_owner(id, refused);
            return Ok(());
        }
        established.offering = Some(Offering::Owner);
        if by_update && established.update_allowed {
            self.send_offer(id, Method::Update, body, now);
        } else {
            self.send_offer(id, Method::Invite, body, now);
        }
        Ok(())
    }

    /// Sends a re-INVITE, or an UPDATE with an offer.
    pub(super) fn send_offer(&mut self, id: LegId, method: Method, body: Bytes, now: Instant) {
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return;
        };
        let owner = match method {
            Method::Update => Owner::Offer(id),
            _ => Owner::Reinvite(id),
        };
        let mut request = established.dialog.request(method);
        if let Some(timer) = &established.timer {
            let value = timer.request_value();
            request.headers.insert(Name::SESSION_EXPIRES, value);
        }
        request.headers.insert(Name::ALLOW, Method::ALLOW);
        request.headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
        put_sdp(&mut request, body);
        self.send_in_dialog(id, owner, request, true, now);
    }

    pub(super) fn take_reinvite_response(
        &mut self,
        id: LegId,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) {
        if response.status < 200 {
            return;
        }
        let Some(invite) = self
            .transactions
            .client(key)
            .map(|entry| entry.user.request().clone())
        else {
            return;
        };
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return;
        };
        if response.status >= 300 {
            return self.take_offer_refusal(id, response, now);
        }
        let sequence = Envelope::read(&invite.headers).map_or(0, |envelope| envelope.sequence);
        if let Some(last) = established.acknowledgement.clone()
            && last.sequence == sequence
        {
            return self.acknowledge_again(id, last, now);
        }
        self.refreshed(id, response, requested_interval(&invite), now);
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return;
        };
        let offering = established.offering.take();
        established.body = invite.body.clone();
        let (dialog, nothing) = (established.dialog.clone(), Bytes::new());
        let owner = Owner::Acknowledge(id);
        self.acknowledge(owner, &dialog, sequence, &invite, nothing, now);
        // The answer to a refresh may differ from the last one: then it counts.
        let body = sdp_body(&response.headers, &response.body);
        if offering == Some(Offering::Owner) || body.is_some() {
            let body = body.unwrap_or_default();
            self.notify_owner(id, Event::ReinviteAnswered { body });
        }
        self.arm(id);
    }

    /// The answer to an UPDATE that carried our offer.
    pub(super) fn take_update_response(
        &mut self,
        id: LegId,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) {
        let Some(update) = self
            .transactions
            .client(key)
            .map(|entry| entry.user.request().clone())
        else {
            return;
        };
        match response.status {
            200..=299 => {
                self.refreshed(id, response, requested_interval(&update), now);
                if let Some(State::Established(established)) =
                    self.legs.get_mut(&id).map(|leg| &mut leg.state)
                {
                    established.offering = None;
                    established.body = update.body.clone();
                    let body = sdp_body(&response.headers, &response.body).unwrap_or_default();
                    self.notify_owner(id, Event::ReinviteAnswered { body });
                }
                self.arm(id);
            }
            // It cannot, or not without asking somebody (RFC 3311 section 5.2).
            405 | 501 | 504 => {
                if let Some(State::Established(established)) =
                    self.legs.get_mut(&id).map(|leg| &mut leg.state)
                {
                    established.update_allowed &= response.status == 504;
                }
                self.send_offer(id, Method::Invite, update.body.clone(), now);
            }
            _ => self.take_offer_refusal(id, response, now),
        }
    }

    fn take_offer_refusal(&mut self, id: LegId, response: &Response, now: Instant) {
        let retry_after = self.retry_wait(id, response);
        let offering = match self.legs.get_mut(&id).map(|leg| &mut leg.state) {
            Some(State::Established(established)) => established.offering.take(),
            _ => return,
        };
        match offering {
            Some(Offering::Owner) => {
                let refused = Event::ReinviteRefused {
                    status: response.status,
                    retry_after,
                };
                self.notify_owner(id, refused);
            }
            Some(Offering::Refresh) => self.refresh_refused(id, retry_after, now),
            None => {}
        }
        // The peer has forgotten the dialog (section 12.2.1.2).
        if matches!(response.status, 408 | 481) {
            return self.lose(id, now);
        }
        self.arm(id);
    }
}
