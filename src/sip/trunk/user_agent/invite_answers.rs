//! What answers to our INVITE mean: progress, forks, the 2xx and its ACK, refusals.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::leg::{Cancel, Established, State};
use super::outbound::Outbound;
use super::owner::Owner;
use super::refreshing::requested_interval;
use super::way::Way;
use crate::sip::stack::dialog::Dialog;
use crate::sip::stack::envelope::{Envelope, q850_cause, sdp_body};
use crate::sip::stack::message::{Name, Request, Response, elements, reason_phrase};
use crate::sip::stack::method::Method;
use crate::sip::stack::session_timer::SessionTimer;
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{Event, LegId};

impl UserAgent {
    pub(super) fn take_invite_response(
        &mut self,
        id: LegId,
        key: &ClientKey,
        response: &Response,
        envelope: &Envelope,
        now: Instant,
    ) {
        match response.status {
            ..=199 => self.take_progress(id, key, response, envelope, now),
            200..=299 => self.take_invite_success(id, key, response, now),
            status => {
                let waiting = self
                    .legs
                    .get(&id)
                    .is_some_and(|leg| matches!(leg.state, State::Calling(_)));
                let outbound = self.transactions.client(key);
                let outbound = outbound.map(|entry| entry.user.outbound.clone());
                let sent_on = waiting
                    && outbound.is_some_and(|outbound| self.redirect(id, &outbound, response, now));
                if waiting && !sent_on {
                    self.notify_owner(
                        id,
                        Event::Refused {
                            status,
                            reason: response.reason.clone(),
                            cause: q850_cause(&response.headers),
                            local: false,
                        },
                    );
                    self.forget(id, now);
                }
            }
        }
    }

    pub(super) fn take_invite_success(
        &mut self,
        id: LegId,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) {
        let Some(entry) = self.transactions.client(key) else {
            return;
        };
        let request = entry.user.outbound.request.clone();
        let contact = entry.user.outbound.contact.clone();
        let flow = entry.response_flow();
        let Some(mut dialog) = Dialog::of_caller(&request, response, flow) else {
            return;
        };
        let sequence = dialog.local_sequence;
        let tag = dialog.remote_tag().to_owned();
        let Some(leg) = self.legs.get_mut(&id) else {
            return self.refuse_fork(&dialog, sequence, &request, now);
        };
        let calling = match &mut leg.state {
            State::Calling(calling) => calling,
            State::Established(established) if established.dialog.remote_tag() == tag => {
                // Our ACK was lost.
                if let Some(last) = established.acknowledgement.clone() {
                    self.acknowledge_again(id, last, now);
                }
                return;
            }
            State::Established(established) => {
                let used = established.forks.iter().find(|(fork, _)| *fork == tag);
                if let Some((_, number)) = used {
                    dialog.local_sequence = *number;
                }
                return self.refuse_fork(&dialog, sequence, &request, now);
            }
            State::Ringing(_) => return self.refuse_fork(&dialog, sequence, &request, now),
        };
        let (cancel, body) = (calling.cancel, calling.body.clone());
        let mut forks = std::mem::take(&mut calling.early);
        let own = forks
            .iter()
            .position(|early| early.dialog.remote_tag() == tag);
        let early = own.map(|place| forks.remove(place));
        let fork = early.as_ref().map_or(calling.forks, |early| early.fork);
        let agreed = early.as_ref().is_some_and(|early| early.agreed);
        if let Some(early) = early {
            // The numbers of the early dialog go on; its route is the answer's (section 13.2.2.4).
            dialog.local_sequence = early.dialog.local_sequence;
            dialog.remote_sequence = early.dialog.remote_sequence;
            dialog.keep_target_of(&early.dialog);
        }
        let pending = calling.take_pending_of(fork);
        let left_behind = calling.pending.take();
        let body_of_answer = sdp_body(&response.headers, &response.body);
        let confirmed_by_owner =
            body.is_empty() && !agreed && body_of_answer.is_some() && cancel == Cancel::No;
        let timer = SessionTimer::of_response(
            &response.headers,
            requested_interval(&request),
            &leg.rules,
            now,
        );
        leg.state = State::Established(Box::new(Established {
            update_allowed: allows_update(response),
            timer,
            pending,
            unconfirmed: confirmed_by_owner.then(|| (sequence, request.clone())),
            forks: forks
                .into_iter()
                .map(|early| {
                    let dialog = early.dialog;
                    (dialog.remote_tag().to_owned(), dialog.local_sequence)
                })
                .collect(),
            ..Established::new(dialog.clone(), body)
        }));
        if let Some((user, _)) = contact {
            leg.contact_user = user;
        }
        if let Some((_, pending)) = left_behind {
            self.refuse_pending(&pending, now);
        }
        if !confirmed_by_owner {
            let nothing = Bytes::new();
            self.acknowledge(
                Owner::Acknowledge(id),
                &dialog,
                sequence,
                &request,
                nothing,
                now,
            );
        }
        match cancel {
            Cancel::No => {
                let body = body_of_answer;
                self.notify_owner(id, Event::Accepted { body, fork });
                self.arm(id);
            }
            Cancel::Wanted(cause) => self.send_bye(id, cause, now),
            // The answer crossed our CANCEL.
            Cancel::Sent(_) => self.send_bye(id, None, now),
        }
    }

    /// The owner's answer to the offer of a 2xx goes out in its ACK.
    pub(super) fn confirm(&mut self, id: LegId, body: Bytes, now: Instant) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "confirm");
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return Err(wrong);
        };
        let Some((sequence, invite)) = established.unconfirmed.take() else {
            return Err(wrong);
        };
        established.body = body.clone();
        let dialog = established.dialog.clone();
        self.acknowledge(
            Owner::Acknowledge(id),
            &dialog,
            sequence,
            &invite,
            body,
            now,
        );
        Ok(())
    }

    /// A 2xx of a fork that came too late: ACK and BYE (RFC 3261 section 13.2.2.4).
    pub(super) fn refuse_fork(
        &mut self,
        dialog: &Dialog,
        sequence: u32,
        invite: &Request,
        now: Instant,
    ) {
        let mut dialog = dialog.clone();
        let nothing = Bytes::new();
        self.acknowledge(Owner::None, &dialog, sequence, invite, nothing, now);
        let request = dialog.request(Method::Bye);
        let way = Way::of_dialog(&dialog);
        self.send(Outbound::new(request, way, Owner::None), now);
    }

    /// Our call failed here.
    pub(super) fn refuse_locally(&mut self, id: LegId, status: u16, now: Instant) {
        let waiting = self
            .legs
            .get(&id)
            .is_some_and(|leg| matches!(leg.state, State::Calling(_)));
        if waiting {
            self.notify_owner(
                id,
                Event::Refused {
                    status,
                    reason: reason_phrase(status).to_owned(),
                    cause: None,
                    local: true,
                },
            );
            self.forget(id, now);
        }
    }
}

pub(super) fn allows_update(response: &Response) -> bool {
    elements(&response.headers, &Name::ALLOW).contains(&"UPDATE")
}
