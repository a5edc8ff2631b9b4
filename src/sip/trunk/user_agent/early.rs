//! Early dialogs of our INVITE: provisional answers, each in the dialog of its tag, and the PRACKs
//! for those that are sent reliably (RFC 3262 section 4).

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::commands::put_sdp;
use super::leg::{Calling, Cancel, Early, MOST_FORKS, PendingRequest, State};
use super::owner::Owner;
use super::way::Way;
use crate::sip::stack::dialog::{Dialog, contact};
use crate::sip::stack::dialog_rules::Prack;
use crate::sip::stack::envelope::{Envelope, sdp_body};
use crate::sip::stack::message::{Name, Response, elements, header};
use crate::sip::stack::method::Method;
use crate::sip::stack::transaction::ClientUser;
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{Event, LegId};

impl UserAgent {
    /// A provisional answer to our INVITE.
    pub(super) fn take_progress(
        &mut self,
        id: LegId,
        key: &ClientKey,
        response: &Response,
        envelope: &Envelope,
        now: Instant,
    ) {
        let Some(entry) = self.transactions.client(key) else {
            return;
        };
        let source = entry.flow.remote;
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let rules = leg.rules;
        let State::Calling(calling) = &mut leg.state else {
            return;
        };
        match calling.cancel {
            Cancel::Wanted(cause) => return self.send_cancel(id, key, cause, now),
            Cancel::Sent(_) => return,
            Cancel::No if response.status <= 100 => return,
            Cancel::No => {}
        }
        let tag = envelope.to.tag().unwrap_or("");
        if response.status == 199 {
            return self.end_fork(id, tag, now);
        }
        if calling.tagged_mut(tag).is_none() {
            if calling.early.len() >= MOST_FORKS {
                return self.reject("too_many_forks", source);
            }
            let flow = entry.response_flow();
            let Some(dialog) = Dialog::of_caller(entry.user.request(), response, flow) else {
                return;
            };
            calling.early.push(Early {
                fork: calling.forks,
                dialog,
                reliable: None,
                unanswered: None,
                agreed: false,
            });
            calling.forks += 1;
        }
        let offered = !calling.body.is_empty();
        let Some(early) = calling.tagged_mut(tag) else {
            return;
        };
        let number = (rules.prack != Prack::Off)
            .then(|| response_number(response))
            .flatten();
        if let Some(number) = number {
            match early.reliable {
                // Sent again: our PRACK is on its way.
                Some(last) if number <= last => return,
                Some(last) if number != last + 1 => return self.reject("rseq_order", source),
                _ => early.reliable = Some(number),
            }
        }
        if contact(&response.headers).is_some() {
            early.dialog.refresh_target(&response.headers);
        }
        let mut body = sdp_body(&response.headers, &response.body);
        if !offered && (number.is_none() || early.agreed) {
            // An offer comes reliably or not at all (RFC 3261 section 13.2.1).
            body = None;
        }
        let (fork, status) = (early.fork, response.status);
        let is_offer = !offered && body.is_some();
        if is_offer {
            early.unanswered = number;
        } else if body.is_some() && number.is_some() {
            early.agreed = true;
        }
        if let Some(number) = number.filter(|_| !is_offer) {
            self.confirm_progress(id, fork, number, Bytes::new(), now);
        }
        self.notify_owner(id, Event::Progress { status, body, fork });
    }

    /// An early dialog is over (RFC 6228, or a BYE in it).
    pub(super) fn end_fork(&mut self, id: LegId, tag: &str, now: Instant) {
        let Some(State::Calling(calling)) = self.legs.get_mut(&id).map(|leg| &mut leg.state) else {
            return;
        };
        let place = |early: &Early| early.dialog.remote_tag() == tag;
        let Some(place) = calling.early.iter().position(place) else {
            return;
        };
        let fork = calling.early.remove(place).fork;
        let pending = calling.take_pending_of(fork);
        if let Some(pending) = pending {
            self.refuse_pending(&pending, now);
        }
        self.notify_owner(id, Event::ForkEnded { fork });
    }

    /// Sends the PRACK for a reliable provisional answer.
    fn confirm_progress(&mut self, id: LegId, fork: u32, number: u32, body: Bytes, now: Instant) {
        let Some(State::Calling(calling)) = self.legs.get_mut(&id).map(|leg| &mut leg.state) else {
            return;
        };
        let sequence = calling.sequence;
        let Some(early) = calling.fork_mut(fork) else {
            return;
        };
        let mut request = early.dialog.request(Method::Prack);
        let acknowledged = format!("{number} {sequence} INVITE");
        request.headers.insert(Name::RACK, acknowledged);
        put_sdp(&mut request, body);
        let way = Way::of_dialog(&early.dialog);
        self.send_by(id, Owner::Prack(id, fork), request, way, false, now);
    }

    /// The owner's answer to an offer in a provisional answer.
    pub(super) fn answer_progress(
        &mut self,
        id: LegId,
        fork: u32,
        body: Bytes,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "answer a provisional offer");
        let waiting = match self.legs.get_mut(&id).map(|leg| &mut leg.state) {
            Some(State::Calling(calling)) => calling.fork_mut(fork).and_then(|early| {
                early.agreed = true;
                early.unanswered.take()
            }),
            _ => None,
        };
        let Some(number) = waiting else {
            return Err(wrong);
        };
        self.confirm_progress(id, fork, number, body, now);
        Ok(())
    }
}

impl Calling {
    /// Their waiting request, where it came in this early dialog.
    pub(super) fn take_pending_of(&mut self, fork: u32) -> Option<PendingRequest> {
        self.pending
            .take_if(|(of, _)| *of == fork)
            .map(|(_, pending)| pending)
    }
}

/// RSeq of a provisional answer that is sent reliably.
fn response_number(response: &Response) -> Option<u32> {
    let reliable = elements(&response.headers, &Name::REQUIRE)
        .iter()
        .any(|option| option.eq_ignore_ascii_case("100rel"));
    let number = header(&response.headers, &Name::RSEQ)?;
    number.parse().ok().filter(|number| reliable && *number > 0)
}
