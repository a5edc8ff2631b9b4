//! Our own requests that change or refresh an answered call: re-INVITE and UPDATE.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::commands::put_sdp;
use super::leg::*;
use super::sending::Owner;
use crate::sip::envelope::{Envelope, sdp_body};
use crate::sip::error::Error;
use crate::sip::event::{Event, LegId};
use crate::sip::message::{Name, Response};
use crate::sip::method::Method;
use crate::sip::screening::SUPPORTED_VALUE;
use crate::sip::session_timer::SessionTimer;
use crate::sip::transaction::key::ClientKey;

impl UserAgent {
    pub(super) fn reinvite(&mut self, id: LegId, body: Bytes, now: Instant) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "reinvite");
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return Err(wrong);
        };
        if established.goodbye != Goodbye::No {
            return Err(wrong);
        }
        if established.offering.is_some()
            || established.asked.is_some()
            || established.unacknowledged.is_some()
        {
            // An offer is under way already (RFC 3261 section 14.1).
            self.tell(id, Event::ReinviteRefused { status: 491 });
            return Ok(());
        }
        established.offering = Some(Offering::Asked);
        self.send_reinvite(id, body, now);
        Ok(())
    }

    pub(super) fn send_reinvite(&mut self, id: LegId, body: Bytes, now: Instant) {
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return;
        };
        let mut request = established.dialog.request(Method::Invite);
        if let Some(timer) = &established.timer {
            let value = timer.request_value();
            request.headers.insert(Name::SESSION_EXPIRES, value);
        }
        request.headers.insert(Name::ALLOW, Method::ALLOW);
        request.headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
        put_sdp(&mut request, body);
        self.send_in_dialog(id, Owner::Reinvite(id), request, true, now);
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
            .clients
            .get(key)
            .map(|entry| entry.outbound.request.clone())
        else {
            return;
        };
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let State::Established(established) = &mut leg.state else {
            return;
        };
        let sequence = Envelope::read(&invite.headers).map_or(0, |envelope| envelope.sequence);
        if (200..300).contains(&response.status) {
            if let Some((last, bytes, flow)) = established.acknowledgement.clone()
                && last == sequence
            {
                return self.transmit(flow, bytes, None);
            }
            established.dialog.refresh_target(&response.headers);
            let offering = established.offering.take();
            if let Some(timer) = SessionTimer::of_response(&response.headers, now) {
                established.timer = Some(timer);
            }
            established.refreshing = false;
            if offering == Some(Offering::Asked) {
                established.body = invite.body.clone();
            }
            let dialog = established.dialog.clone();
            self.acknowledge(Owner::Acknowledge(id), &dialog, sequence, &invite, now);
            if offering == Some(Offering::Asked) {
                let body = sdp_body(&response.headers, &response.body).unwrap_or_default();
                self.tell(id, Event::ReinviteAnswered { body });
            }
            return self.arm(id);
        }
        let offering = established.offering.take();
        established.refreshing = false;
        if offering == Some(Offering::Asked) {
            let status = response.status;
            self.tell(id, Event::ReinviteRefused { status });
        }
        // The peer has forgotten the dialog (section 12.2.1.2).
        if matches!(response.status, 408 | 481) {
            self.lose(id, now);
        }
    }

    pub(super) fn take_refresh_response(&mut self, id: LegId, response: &Response, now: Instant) {
        if matches!(response.status, 408 | 481) {
            return self.lose(id, now);
        }
        if let Some(leg) = self.legs.get_mut(&id)
            && let State::Established(established) = &mut leg.state
        {
            established.refreshing = false;
            if (200..300).contains(&response.status) {
                established.dialog.refresh_target(&response.headers);
                established.timer = SessionTimer::of_response(&response.headers, now);
            } else {
                // It will be tried as a re-INVITE next, half an interval on.
                established.update_allowed = false;
                if let Some(timer) = &mut established.timer {
                    timer.refused(now);
                }
            }
        }
        self.arm(id);
    }
}
