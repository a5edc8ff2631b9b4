//! What the owner of a leg asks for: commands carried out, requests of its dialog.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::leg::{Leg, State};
use super::outbound::Outbound;
use super::owner::Owner;
use super::way::Way;
use crate::sip::stack::message::{Name, Request};
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{Command, LegId};

impl UserAgent {
    /// Carries out a command.
    pub fn handle_command(
        &mut self,
        leg: LegId,
        command: Command,
        now: Instant,
    ) -> Result<(), Error> {
        if !self.legs.contains(&leg) {
            return Err(Error::UnknownLeg(leg));
        }
        match command {
            Command::Progress { status, body } => self.progress(leg, status, body, now),
            Command::Accept { body } => self.accept(leg, body, now),
            Command::Reject {
                status,
                reason,
                warning,
            } => self.refuse_with(leg, status, reason.as_deref(), None, warning, now),
            Command::Hangup { cause } => {
                self.hang_up(leg, cause, now);
                Ok(())
            }
            Command::Reinvite { body } => self.reinvite(leg, body, now),
            Command::Refer { to_user, replaces } => self.refer(leg, &to_user, replaces, now),
            Command::ReportReferral { status, last } => {
                self.report_referral(leg, status, last, now)
            }
            Command::AnswerReinvite { body } => self.answer_reinvite(leg, body, now),
            Command::RefuseReinvite { status, warning } => {
                self.refuse_reinvite(leg, status, warning.as_ref(), now)
            }
            Command::AnswerProgress { fork, body } => self.answer_progress(leg, fork, body, now),
            Command::Confirm { body } => self.confirm(leg, body, now),
            Command::Info { content_type, body } => self.send_info(leg, content_type, body, now),
            Command::Message { reference, text } => {
                self.send_dialog_message(leg, reference, text, now)
            }
        }
    }

    /// Sends a request of an established leg.
    pub(super) fn send_in_dialog(
        &mut self,
        id: LegId,
        owner: Owner,
        request: Request,
        with_contact: bool,
        now: Instant,
    ) {
        if let Some(State::Established(established)) = self.legs.get(&id).map(|leg| &leg.state) {
            let way = Way::of_dialog(&established.dialog);
            self.send_by(id, owner, request, way, with_contact, now);
        }
    }

    /// Sends a request of a leg by the way of one of its dialogs.
    pub(super) fn send_by(
        &mut self,
        id: LegId,
        owner: Owner,
        mut request: Request,
        way: Way,
        with_contact: bool,
        now: Instant,
    ) {
        self.authorize_early(owner, &mut request);
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        leg.network.put(&mut request.headers);
        let contact = with_contact.then(|| (leg.contact_user.clone(), String::new()));
        let outbound = Outbound {
            contact,
            ..Outbound::new(request, way, owner)
        };
        self.send(outbound, now);
    }

    pub(super) fn wrong_state(&self, leg: LegId, command: &'static str) -> Error {
        let state = self.legs.get(&leg).map_or("ended", Leg::state_name);
        Error::WrongState {
            leg,
            command,
            state,
        }
    }

    /// Number of calls that wait for a decision of ours, for a gauge.
    pub fn ringing(&self) -> usize {
        self.legs.ringing()
    }

    /// Tells the driver that an incoming call found no taker.
    pub fn refuse_unheard(&mut self, leg: LegId, now: Instant) {
        if self.refuse(leg, 503, None, None, now).is_err() {
            self.hang_up(leg, None, now);
        }
    }
}

/// Puts SDP into a request.
pub(super) fn put_sdp(request: &mut Request, body: Bytes) {
    if !body.is_empty() {
        request
            .headers
            .insert(Name::CONTENT_TYPE, "application/sdp");
        request.body = body;
    }
}
