//! What the owner of a leg asks for: calls placed, commands carried out, timers of legs.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::leg::{Calling, Leg, State};
use super::outbound::Outbound;
use super::owner::Owner;
use super::refreshing::ask_for_timer;
use super::targets::put_routes;
use super::tokens::random_token;
use super::user_agent_event::UserAgentEvent;
use super::way::Way;
use crate::sip::stack::address::Address;
use crate::sip::stack::dialog_rules::Prack;
use crate::sip::stack::digest::Authorizer;
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::method::Method;
use crate::sip::stack::number::is_tel;
use crate::sip::stack::screening::SUPPORTED_VALUE;
use crate::sip::trunk::config::Registered;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{Command, LegId, Outgoing};
use crate::sip::trunk::identity::{self, is_header_name};
use crate::sip::trunk::network_headers::NetworkHeaders;
use crate::sip::trunk::redirection::Redirection;

impl UserAgent {
    /// Places a call. What comes of it is told by events of the returned leg.
    pub fn invite(&mut self, mut outgoing: Outgoing, now: Instant) -> Result<LegId, Error> {
        let index = self
            .config
            .trunks
            .iter()
            .position(|trunk| trunk.name == outgoing.trunk)
            .ok_or_else(|| Error::UnknownTrunk(outgoing.trunk.clone()))?;
        if outgoing.alternative && self.health.is_trunk_out(index) {
            return Err(Error::TrunkOut(outgoing.trunk));
        }
        if self.legs.len() >= self.config.limits.legs {
            return Err(Error::LimitReached {
                what: "legs",
                limit: self.config.limits.legs,
            });
        }
        for (name, value) in &outgoing.headers {
            if !is_header_name(name) || value.contains(|c: char| c.is_control()) {
                return Err(Error::BadHeader(name.clone()));
            }
        }
        let id = self.legs.next_id();
        let (call_id, local_tag) = match outgoing.call_id {
            Some(call_id)
                if call_id.is_empty() || !call_id.bytes().all(|b| b.is_ascii_alphanumeric()) =>
            {
                return Err(Error::BadHeader("Call-ID".to_owned()));
            }
            Some(call_id) => (call_id, self.token(8)),
            None => (self.token(16), self.token(8)),
        };
        let trunk = &self.config.trunks[index];
        let request_timeout = trunk.request_timeout;
        let uri = match outgoing.uri {
            // A trunk is asked for numbers in its own form.
            Some(uri) if !is_tel(&uri) => uri,
            _ => trunk.uri(&outgoing.to_user),
        };
        if uri.contains(|c: char| c.is_whitespace() || c.is_control() || "<>".contains(c)) {
            return Err(Error::BadHeader("To".to_owned()));
        }
        let registration = self
            .registrations
            .of_caller(index, outgoing.account.as_deref());
        let account = registration.filter(|entry| entry.account.is_some());
        let from_user = account.map_or(outgoing.from_user, |entry| entry.user.clone());
        let presented = identity::present(
            &trunk.identity,
            &from_user,
            outgoing.from_name.as_deref(),
            &trunk.domain,
            outgoing.anonymous,
            registration.and_then(|entry| entry.associated.first().map(String::as_str)),
        );
        let icid = || random_token(&mut self.random, 16);
        let network = NetworkHeaders::of_request(&trunk.identity, &mut outgoing.headers, icid);
        // A registered trunk knows us by the contact that we registered.
        let contact_user = match registration {
            Some(entry) if entry.registered != Registered::Never => entry.contact_user.clone(),
            _ if outgoing.anonymous => identity::ANONYMOUS.to_owned().into(),
            _ => from_user.into(),
        };
        let subscriber = (account.is_none() && trunk.aka.is_some()).then_some(index);
        let credentials = match account {
            Some(entry) => entry.credentials.clone(),
            None => trunk.credentials.clone(),
        };
        // What the registrar said is the way to it, behind our own proxy (RFC 3608 section 5).
        let served = registration.map_or(&[][..], |entry| &entry.service_route);
        let routes = [&trunk.routes, served].concat();
        let mut request = Request::new(Method::Invite, uri.clone());
        let headers = &mut request.headers;
        headers.insert(Name::MAX_FORWARDS, 70u32);
        headers.insert(Name::FROM, presented.from.with_tag(&local_tag).to_string());
        headers.insert(Name::TO, Address::new(uri).to_string());
        headers.insert(Name::CALL_ID, call_id.clone());
        headers.insert(Name::CSEQ, "1 INVITE");
        headers.insert(Name::ALLOW, Method::ALLOW);
        match trunk.dialogs.prack {
            Prack::Off => headers.insert(Name::SUPPORTED, "timer, replaces, norefersub"),
            Prack::Supported => headers.insert(Name::SUPPORTED, SUPPORTED_VALUE),
            Prack::Required => {
                headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
                headers.insert(Name::REQUIRE, "100rel");
            }
        }
        ask_for_timer(headers, &trunk.dialogs);
        for (name, value) in presented.headers {
            headers.insert(Name::from(name), value);
        }
        let mut page_headers = Vec::new();
        for (name, value) in outgoing.headers {
            let name = Name::from(name);
            page_headers.push(name.clone());
            headers.insert(name, value);
        }
        network.put(headers);
        put_routes(&mut request, &routes);
        put_sdp(&mut request, outgoing.body.clone());
        let state = State::Calling(Box::new(Calling::new(outgoing.body)));
        self.legs.insert(Leg {
            authorizer: credentials.map(|own| Authorizer::new(own).with_subscriber(subscriber)),
            trunk: Some(index),
            verified: true,
            redirection: Redirection::new(trunk, &request, page_headers),
            network: network.of_dialog(),
            rules: trunk.dialogs,
            ..Leg::new(id, call_id, local_tag, contact_user.clone(), state)
        });
        let way = self
            .way_by_routes(index, &routes)
            .or_elsewhere(outgoing.alternative);
        let outbound = Outbound {
            contact: Some((contact_user, String::new())),
            give_up: request_timeout,
            ..Outbound::new(request, way, Owner::Invite(id))
        };
        self.send(outbound, now);
        Ok(id)
    }

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
            Command::Info { content_type, body } => self.inform(leg, content_type, body, now),
            Command::Message { reference, text } => self.text(leg, reference, text, now),
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

    pub(super) fn emit_incoming(&mut self, incoming: crate::sip::trunk::event::Incoming) {
        self.emit(UserAgentEvent::Incoming(Box::new(incoming)));
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
