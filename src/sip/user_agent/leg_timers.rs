//! What a leg does when its time has come: repetitions, expiries, refreshes.

use std::time::Instant;

use super::agent::UserAgent;
use super::leg::*;
use super::sending::{Machine, Owner};
use crate::sip::event::{EndedBy, LegId};
use crate::sip::message::Name;
use crate::sip::method::Method;
use crate::sip::screening::SUPPORTED_VALUE;

impl UserAgent {
    pub(super) fn handle_leg_timeout(&mut self, id: LegId, now: Instant) {
        self.handle_transfer_timeout(id, now);
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        match &mut leg.state {
            State::Calling(calling) => {
                if matches!(calling.cancel, Cancel::Sent(give_up) if give_up <= now) {
                    // No answer to a cancelled INVITE (section 9.1): it is over.
                    if let Some(key) = calling.invite.clone()
                        && let Some(entry) = self.clients.get_mut(&key)
                    {
                        if let Machine::Invite(machine) = &mut entry.machine {
                            machine.fail();
                        }
                        self.drop_finished_client(&key);
                    }
                    return self.refuse_locally(id, 487);
                }
            }
            State::Ringing(ringing) => {
                if let Some((status, body, at)) = &mut ringing.progress
                    && *at <= now
                {
                    *at = now + PROGRESS_EVERY;
                    let (status, body) = (*status, body.clone());
                    let sent = self.progress(id, status, body, now);
                    debug_assert!(sent.is_ok(), "a ringing leg can progress");
                }
            }
            State::Established(_) => self.handle_established_timeout(id, now),
        }
        self.arm(id);
    }

    pub(super) fn handle_established_timeout(&mut self, id: LegId, now: Instant) {
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return;
        };
        if let Some(waiting) = &mut established.unacknowledged {
            if waiting.give_up <= now {
                established.unacknowledged = None;
                // Nobody confirmed: the owner hears of it now, the peer gets a BYE (section
                // 13.3.1.4).
                let request = established.dialog.request(Method::Bye);
                established.goodbye = Goodbye::Said;
                self.send_in_dialog(id, Owner::Nobody, request, false, now);
                return self.end(id, EndedBy::AckMissing);
            }
            if waiting.repeat_at <= now {
                waiting.repeat_at = now + waiting.interval;
                waiting.interval = (waiting.interval * 2).min(T2);
                let (flow, bytes) = (waiting.flow, waiting.response.clone());
                self.transmit(flow, bytes, None);
            }
            return;
        }
        let Some(timer) = established.timer else {
            return;
        };
        if established.goodbye != Goodbye::No {
            return;
        }
        if timer.expires_at() <= now {
            let request = established.dialog.request(Method::Bye);
            established.goodbye = Goodbye::Said;
            self.send_in_dialog(id, Owner::Nobody, request, false, now);
            return self.end(id, EndedBy::SessionTimeout);
        }
        if timer.refresh_at().is_some_and(|at| at <= now) && !established.refreshing {
            established.refreshing = true;
            if established.update_allowed {
                let mut request = established.dialog.request(Method::Update);
                let headers = &mut request.headers;
                headers.insert(Name::SESSION_EXPIRES, timer.request_value());
                headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
                self.send_in_dialog(id, Owner::Refresh(id), request, true, now);
            } else if established.offering.is_none() && established.asked.is_none() {
                established.offering = Some(Offering::Refresh);
                let body = established.body.clone();
                self.send_reinvite(id, body, now);
            } else {
                // The offer under way refreshes the session too.
                established.refreshing = false;
                if let Some(timer) = &mut established.timer {
                    timer.refused(now);
                }
            }
        }
    }
}
