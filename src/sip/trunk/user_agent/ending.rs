//! How a leg ends from our side: CANCEL, BYE, and what is left when nobody answers.

use std::time::Instant;

use super::agent::UserAgent;
use super::intervals::LIFETIME;
use super::leg::{Cancel, State, Termination};
use super::outbound::Outbound;
use super::owner::Owner;
use super::way::Way;
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::method::Method;
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::stack::transaction::{ClientUser, same_branch};
use crate::sip::trunk::event::{EndedBy, Event, LegId};

impl UserAgent {
    /// Ends a leg in the way its state calls for.
    pub(super) fn hang_up(&mut self, id: LegId, cause: Option<u16>, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        match &mut leg.state {
            State::Calling(calling) => {
                if calling.cancel != Cancel::No {
                    return;
                }
                calling.cancel = Cancel::Wanted(cause);
                let invite = calling.invite;
                let Some(key) = invite.filter(|key| self.transactions.client(key).is_some()) else {
                    // The name of the next hop is still looked up: nothing was sent.
                    let is_invite = |pending: &Outbound| pending.owner == Owner::Invite(id);
                    self.resolver.cancel(is_invite);
                    return self.refuse_locally(id, 487, now);
                };
                let entry = self.transactions.client(&key);
                if entry.is_some_and(|entry| entry.transaction.is_proceeding()) {
                    self.send_cancel(id, &key, cause, now);
                }
            }
            State::Ringing(_) => {
                let refused = self.refuse(id, 480, None, cause, now);
                debug_assert!(refused.is_ok(), "a ringing leg can be refused");
            }
            State::Established(_) => self.send_bye(id, cause, now),
        }
    }

    /// Sends CANCEL in the INVITE's own branch (RFC 3261 section 9.1).
    pub(super) fn send_cancel(
        &mut self,
        id: LegId,
        invite: &ClientKey,
        cause: Option<u16>,
        now: Instant,
    ) {
        let Some(entry) = self.transactions.client(invite) else {
            return;
        };
        let mut request = same_branch(entry.user.request(), Method::Cancel);
        put_reason(&mut request, cause);
        let flow = entry.flow;
        if let Some(leg) = self.legs.get_mut(&id)
            && let State::Calling(calling) = &mut leg.state
        {
            calling.cancel = Cancel::Sent(now + LIFETIME);
        }
        let outbound = Outbound::new(request, Way::nowhere(), Owner::None);
        self.send_in_branch(outbound, flow, now);
        self.arm(id);
    }

    /// Sends BYE, once our 2xx is acknowledged (section 15) and the peer has heard how the transfer
    /// went that it asked for.
    pub(super) fn send_bye(&mut self, id: LegId, cause: Option<u16>, now: Instant) {
        self.abandon_refer(id);
        // The call that their REFER asked for ends with this one, and they wait for its outcome.
        self.notify_referrer(id, 487, true, now);
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let State::Established(established) = &mut leg.state else {
            return;
        };
        if established.termination == Termination::ByeSent {
            return;
        }
        if let Some((sequence, invite)) = established.unconfirmed.take() {
            // Our answer to their offer will never come: the ACK goes without it.
            let (dialog, nothing) = (established.dialog.clone(), bytes::Bytes::new());
            self.acknowledge(
                Owner::Acknowledge(id),
                &dialog,
                sequence,
                &invite,
                nothing,
                now,
            );
            return self.send_bye(id, cause, now);
        }
        if established.unacknowledged.is_some() {
            established.termination = Termination::AfterAcknowledgement(cause);
            return self.arm(id);
        }
        if leg.transfers.is_notifying() {
            established.termination = Termination::AfterNotify(cause);
            return self.arm(id);
        }
        established.termination = Termination::ByeSent;
        let mut request = established.dialog.request(Method::Bye);
        put_reason(&mut request, cause);
        self.send_in_dialog(id, Owner::Bye(id), request, false, now);
        self.arm(id);
    }

    /// Tells the last event of an established leg and forgets it.
    pub(super) fn end(&mut self, id: LegId, why: EndedBy, now: Instant) {
        self.abandon_refer(id);
        self.notify_owner(id, Event::Ended { cause: None, why });
        self.forget(id, now);
    }

    /// The peer has forgotten the call or cannot be reached: a last BYE in case it can, and over.
    pub(super) fn lose(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let State::Established(established) = &mut leg.state else {
            return;
        };
        if established.termination != Termination::ByeSent {
            established.termination = Termination::ByeSent;
            let request = established.dialog.request(Method::Bye);
            self.send_in_dialog(id, Owner::None, request, false, now);
        }
        self.end(id, EndedBy::TransportLost, now);
    }

    pub(super) fn finish_bye(&mut self, id: LegId, now: Instant) {
        if self.legs.contains(&id) {
            self.notify_owner(
                id,
                Event::Ended {
                    cause: None,
                    why: EndedBy::Bye,
                },
            );
            self.forget(id, now);
        }
    }
}

/// Puts a Q.850 cause into a request (RFC 3326).
pub(super) fn put_reason(request: &mut Request, cause: Option<u16>) {
    if let Some(cause) = cause {
        request
            .headers
            .insert(Name::REASON, format!("Q.850;cause={cause}"));
    }
}
