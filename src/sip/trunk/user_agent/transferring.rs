//! Transfers (RFC 3515, 5589): our REFER and the NOTIFYs that tell how it goes, theirs and the
//! NOTIFYs that we owe them, and INVITEs that replace a call of ours (RFC 3891).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::agent::UserAgent;
use super::incoming_request::IncomingRequest;
use super::leg::{Leg, State, Termination};
use super::owner::Owner;
use super::transfers::{IncomingRefer, OutgoingRefer};
use crate::sip::stack::message::{Name, Request, Response, header, reason_phrase};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::{Refusal, SUPPORTED_VALUE};
use crate::sip::stack::transaction::key::ServerKey;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{Event, LegId};
use crate::sip::trunk::refer::{Referral, Replaces, fragment_status, refer_to};

/// How long the subscription of a REFER lives, ours and theirs.
const LONGEST: Duration = Duration::from_secs(180);

/// How long our BYE waits for the answer to the last NOTIFY, which it might overtake: the peer would
/// refuse the outcome of its REFER as of a dialog that is over.
const LAST_WORD: Duration = Duration::from_secs(4);

impl UserAgent {
    /// Asks the peer to call somebody else instead of us: a number, or the far end of another
    /// call of ours.
    pub(super) fn refer(
        &mut self,
        id: LegId,
        to_user: &str,
        replaces: Option<LegId>,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "refer");
        let to = match replaces {
            Some(other) => self.far_end(other).ok_or(Error::UnknownLeg(other))?,
            None => {
                let trunk = self.legs.get(&id).and_then(|leg| leg.trunk);
                let trunk = trunk.and_then(|index| self.config.trunks.get(index));
                let Some(trunk) = trunk else {
                    return Err(wrong);
                };
                (trunk.uri(to_user), None)
            }
        };
        let Some(leg) = self.legs.get_mut(&id) else {
            return Err(wrong);
        };
        let State::Established(established) = &mut leg.state else {
            return Err(wrong);
        };
        if established.termination != Termination::None || leg.transfers.outgoing.is_some() {
            return Err(wrong);
        }
        leg.transfers.outgoing = Some(OutgoingRefer {
            until: now + LONGEST,
            names: replaces,
            accepted: false,
            void: false,
        });
        let by = format!("<{}>", established.dialog.local.uri);
        let mut request = established.dialog.request(Method::Refer);
        let headers = &mut request.headers;
        headers.insert(Name::REFER_TO, refer_to(&to.0, to.1.as_ref()));
        headers.insert(Name::REFERRED_BY, by);
        headers.insert(Name::ALLOW, Method::ALLOW);
        headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
        if let Some(other) = replaces.and_then(|other| self.legs.get_mut(&other)) {
            other.transfers.named_by = Some(id);
        }
        self.send_in_dialog(id, Owner::Refer(id), request, true, now);
        self.arm(id);
        Ok(())
    }

    /// Where the far end of an answered call is, and how its dialog is named there.
    fn far_end(&self, id: LegId) -> Option<(String, Option<Replaces>)> {
        let State::Established(established) = &self.legs.get(&id)?.state else {
            return None;
        };
        let dialog = &established.dialog;
        let replaces = Replaces {
            call_id: dialog.call_id.clone(),
            to_tag: dialog.remote_tag().to_owned(),
            from_tag: dialog.local.tag().unwrap_or("").to_owned(),
            early_only: false,
        };
        Some((dialog.target.clone(), Some(replaces)))
    }

    /// The answer to our REFER.
    pub(super) fn take_refer_response(&mut self, id: LegId, response: &Response, now: Instant) {
        let status = response.status;
        let no_news = header(&response.headers, &Name::from("Refer-Sub"))
            .is_some_and(|value| value.to_ascii_lowercase().starts_with("false"));
        match status {
            ..=199 => {}
            200..=299 if !no_news => self.accept_refer(id, now),
            _ => self.finish_refer(id, status, now),
        }
        if status == 481 {
            self.lose(id, now);
        }
    }

    /// The peer does what our REFER asks for.
    fn accept_refer(&mut self, id: LegId, now: Instant) {
        if let Some(leg) = self.legs.get_mut(&id)
            && let Some(refer) = &mut leg.transfers.outgoing
            && !std::mem::replace(&mut refer.accepted, true)
            && let Some(other) = refer.names
            && is_talking(leg)
        {
            self.set_given(other, Some(now + LONGEST));
        }
    }

    fn set_given(&mut self, id: LegId, until: Option<Instant>) {
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.transfers.given = until;
        }
    }

    /// We end this leg, or have lost it: of a REFER that is open, its own or one that names it,
    /// nothing is known any more but what is still told.
    pub(super) fn abandon_refer(&mut self, id: LegId) {
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        let named_by = leg.transfers.named_by;
        if let Some(other) = leg.transfers.outgoing.and_then(|refer| refer.names) {
            self.set_given(other, None);
        }
        if let Some(by) = named_by.and_then(|by| self.legs.get_mut(&by))
            && let Some(refer) = &mut by.transfers.outgoing
            && refer.names == Some(id)
        {
            refer.void = true;
        }
    }

    /// Our REFER has its outcome.
    pub(super) fn finish_refer(&mut self, id: LegId, status: u16, now: Instant) {
        if let Some(leg) = self.legs.get_mut(&id)
            && let Some(refer) = leg.transfers.outgoing.take()
        {
            if let Some(other) = refer.names {
                let success = (200..=299).contains(&status);
                self.set_given(other, success.then(|| now + LONGEST));
            }
            self.notify_owner(id, Event::TransferProgress { status, last: true });
            self.arm(id);
        }
    }

    /// A NOTIFY: news of our REFER, or of nothing that we asked for.
    pub(super) fn take_notify(
        &mut self,
        id: LegId,
        key: &ServerKey,
        request: &Request,
        now: Instant,
    ) {
        let package = header(&request.headers, &Name::EVENT).unwrap_or("");
        let package = package.split(';').next().unwrap_or("").trim();
        let has_refer = self
            .legs
            .get(&id)
            .is_some_and(|leg| leg.transfers.outgoing.is_some());
        if !package.eq_ignore_ascii_case("refer") {
            let refusal = Refusal {
                header: Some(("Allow-Events", "refer".to_owned())),
                ..Refusal::plain(489)
            };
            return self.respond_refusal(key, request, &refusal, now);
        }
        if !has_refer {
            return self.respond_refusal(key, request, &Refusal::plain(481), now);
        }
        let state = header(&request.headers, &Name::SUBSCRIPTION_STATE).unwrap_or("");
        let over = state.trim().to_ascii_lowercase().starts_with("terminated");
        let status = fragment_status(&request.headers, &request.body);
        let response = request.respond(200, None, None);
        self.respond(key, &response, now);
        // It may overtake the 202 (section 2.4.4).
        self.accept_refer(id, now);
        match (status, over) {
            (Some(status @ 200..), _) => self.finish_refer(id, status, now),
            // It ended and nobody says how: no success that we know of.
            (_, true) => self.finish_refer(id, 408, now),
            (Some(status), false) => {
                self.notify_owner(
                    id,
                    Event::TransferProgress {
                        status,
                        last: false,
                    },
                );
            }
            (None, false) => {}
        }
    }

    /// A REFER of the peer.
    pub(super) fn take_refer(&mut self, id: LegId, incoming: &IncomingRequest, now: Instant) {
        let (key, request) = (&incoming.key, &incoming.request);
        let allowed = self.legs.get(&id).is_some_and(|leg| {
            let trunk = leg.trunk.and_then(|index| self.config.trunks.get(index));
            is_talking(leg) && leg.verified && trunk.is_some_and(|trunk| trunk.transfer)
        });
        let referral = match Referral::read(&request.headers) {
            Ok(referral) if allowed => referral,
            Ok(_) => return self.respond_refusal(key, request, &Refusal::plain(603), now),
            Err(reason) => {
                let refusal = Refusal {
                    reason: Some(reason.to_owned()),
                    ..Refusal::plain(400)
                };
                return self.respond_refusal(key, request, &refusal, now);
            }
        };
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if leg.transfers.incoming.is_some() {
            return self.respond_refusal(key, request, &Refusal::plain(491), now);
        }
        let silent = referral.silent;
        leg.transfers.incoming = Some(IncomingRefer {
            sequence: incoming.envelope.sequence,
            silent,
            until: now + LONGEST,
            named: leg.transfers.referred_before,
        });
        leg.transfers.referred_before = true;
        let user = leg.contact_user.clone();
        let mut response = request.respond(202, None, None);
        self.put_contact(&mut response, &user, incoming.flow);
        if silent {
            response.headers.insert(Name::from("Refer-Sub"), "false");
        }
        self.respond(key, &response, now);
        self.notify_referrer(id, 100, false, now);
        self.notify_owner(id, Event::Referred(Box::new(referral)));
        self.arm(id);
    }

    /// Tells the peer how the call that its REFER asked for goes.
    pub(super) fn report_referral(
        &mut self,
        id: LegId,
        status: u16,
        last: bool,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "report a referral");
        if self
            .legs
            .get(&id)
            .is_none_or(|leg| leg.transfers.incoming.is_none())
        {
            return Err(wrong);
        }
        self.notify_referrer(id, status, last, now);
        self.arm(id);
        Ok(())
    }

    /// Nothing where no REFER of theirs is open.
    pub(super) fn notify_referrer(&mut self, id: LegId, status: u16, last: bool, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let Some(incoming_refer) = leg.transfers.incoming else {
            return;
        };
        if last {
            leg.transfers.incoming = None;
        }
        let State::Established(established) = &mut leg.state else {
            return;
        };
        if incoming_refer.silent || established.termination == Termination::ByeSent {
            return;
        }
        let mut request = established.dialog.request(Method::Notify);
        let headers = &mut request.headers;
        let event = match incoming_refer.named {
            true => format!("refer;id={}", incoming_refer.sequence),
            false => "refer".to_owned(),
        };
        headers.insert(Name::EVENT, event);
        let state = match last {
            true => "terminated;reason=noresource".to_owned(),
            false => {
                let left = incoming_refer
                    .until
                    .saturating_duration_since(now)
                    .as_secs();
                format!("active;expires={left}")
            }
        };
        headers.insert(Name::SUBSCRIPTION_STATE, state);
        headers.insert(Name::CONTENT_TYPE, "message/sipfrag;version=2.0");
        request.body = Bytes::from(format!("SIP/2.0 {status} {}\r\n", reason_phrase(status)));
        let owner = match last {
            true => {
                leg.transfers.notifying = Some(now + LAST_WORD);
                Owner::Notify(id)
            }
            false => Owner::None,
        };
        self.send_in_dialog(id, owner, request, true, now);
    }

    /// The peer has answered our last NOTIFY, or had its time to: the BYE that waited for it goes.
    pub(super) fn notified(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        leg.transfers.notifying = None;
        if let State::Established(established) = &leg.state
            && let Termination::AfterNotify(cause) = established.termination
        {
            self.send_bye(id, cause, now);
        }
        self.arm(id);
    }

    /// Ends what has taken too long.
    pub(super) fn handle_transfer_timeout(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        if leg
            .transfers
            .outgoing
            .is_some_and(|refer| refer.until <= now)
        {
            self.finish_refer(id, 408, now);
        }
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        if leg.transfers.notifying.is_some_and(|until| until <= now) {
            self.notified(id, now);
        }
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        if leg
            .transfers
            .incoming
            .is_some_and(|incoming_refer| incoming_refer.until <= now)
        {
            self.notify_referrer(id, 408, true, now);
        }
    }

    /// The call of ours that an INVITE with Replaces takes over (RFC 3891 section 3); none for an
    /// INVITE without. The error is the status to refuse with.
    pub(super) fn replaced_leg(
        &self,
        request: &Request,
        trunk: Option<usize>,
    ) -> Result<Option<LegId>, u16> {
        let mut values = request.headers.get_raw(&Name::REPLACES);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(400);
        }
        let replaces = Replaces::parse(value).ok_or(400_u16)?;
        let found = self.legs.find(&replaces.call_id, &replaces.to_tag);
        let id = found.ok_or(481_u16)?;
        let leg = self.legs.get(&id).ok_or(481_u16)?;
        // An early dialog is replaced by who called, and those that called us did not.
        let State::Established(established) = &leg.state else {
            return Err(481);
        };
        if established.dialog.remote_tag() != replaces.from_tag {
            return Err(481);
        }
        // Who may take over a call: the trunk that it runs through.
        if trunk.is_none() || leg.trunk != trunk {
            return Err(403);
        }
        if trunk.is_some_and(|index| !self.config.trunks[index].transfer) {
            return Err(603);
        }
        if established.termination != Termination::None {
            return Err(603);
        }
        if replaces.early_only {
            return Err(486);
        }
        Ok(Some(id))
    }
}

/// An answered leg that nobody is ending.
fn is_talking(leg: &Leg) -> bool {
    matches!(&leg.state, State::Established(established) if established.termination == Termination::None)
}
