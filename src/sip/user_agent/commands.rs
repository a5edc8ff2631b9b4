//! What the owner of a leg asks for: calls placed, commands carried out, timers of legs.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::client_side::same_branch;
use super::flow::Happening;
use super::leg::{Calling, Cancel, Goodbye, LIFETIME, Leg, Offering, PROGRESS_EVERY, State, T2};
use super::sending::{Machine, Outbound, Owner};
use crate::sip::address::{Address, NextHop, sip_uri};
use crate::sip::config::Registered;
use crate::sip::digest::Authorizer;
use crate::sip::error::Error;
use crate::sip::event::{Command, EndedBy, Event, LegId, Outgoing};
use crate::sip::message::{Name, Request};
use crate::sip::method::Method;
use crate::sip::screening::SUPPORTED_VALUE;
use crate::sip::transaction::key::ClientKey;

impl UserAgent {
    /// Places a call. What comes of it is told by events of the returned leg.
    pub fn invite(&mut self, outgoing: Outgoing, now: Instant) -> Result<LegId, Error> {
        let index = self
            .config
            .trunks
            .iter()
            .position(|trunk| trunk.name == outgoing.trunk)
            .ok_or_else(|| Error::UnknownTrunk(outgoing.trunk.clone()))?;
        if self.legs.len() >= self.config.limits.legs {
            return Err(Error::LimitReached {
                what: "legs",
                limit: self.config.limits.legs,
            });
        }
        for (name, value) in &outgoing.headers {
            let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
            if name.is_empty()
                || !name.bytes().all(is_token)
                || value.contains(|c: char| c.is_control())
            {
                return Err(Error::BadHeader(name.clone()));
            }
        }
        let trunk = self.config.trunks[index].clone();
        let id = self.next_leg();
        let (call_id, local_tag) = match outgoing.call_id {
            Some(call_id)
                if call_id.is_empty() || !call_id.bytes().all(|b| b.is_ascii_alphanumeric()) =>
            {
                return Err(Error::BadHeader("Call-ID".to_owned()));
            }
            Some(call_id) => (call_id, self.token(8)),
            None => (self.token(16), self.token(8)),
        };
        let uri = sip_uri(&outgoing.to_user, &trunk.domain);
        let registration = self
            .registrations
            .of_caller(index, outgoing.account.as_deref());
        let account = registration.filter(|entry| entry.account.is_some());
        let from_user = account.map_or(outgoing.from_user, |entry| entry.user.clone());
        let mut from = Address::new(sip_uri(&from_user, &trunk.domain));
        from.name = outgoing.from_name.filter(|name| !name.is_empty());
        // A registered trunk knows us by the contact that we registered.
        let contact_user = match registration {
            Some(entry) if entry.registered != Registered::Never => entry.contact_user.clone(),
            _ => from_user,
        };
        let credentials = match account {
            Some(entry) => entry.credentials.clone(),
            None => trunk.credentials.clone(),
        };
        let mut request = Request::new(Method::Invite, uri.clone());
        let headers = &mut request.headers;
        let mut hop = NextHop {
            host: trunk.target.host,
            port: trunk.target.port,
            transport: trunk.target.transport,
        };
        if let Some(entry) = registration {
            // What the registrar said is the way to it (RFC 3608 section 5).
            let first = entry.service_route.first();
            if let Some(next) = first.and_then(|first| NextHop::of_uri(&first.uri)) {
                hop = next;
                for route in &entry.service_route {
                    headers.insert(Name::ROUTE, route.to_string());
                }
            }
        }
        headers.insert(Name::MAX_FORWARDS, 70u32);
        headers.insert(Name::FROM, from.with_tag(&local_tag).to_string());
        headers.insert(Name::TO, Address::new(uri).to_string());
        headers.insert(Name::CALL_ID, call_id.clone());
        headers.insert(Name::CSEQ, "1 INVITE");
        headers.insert(Name::ALLOW, Method::ALLOW);
        headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
        for (name, value) in outgoing.headers {
            headers.insert(Name::from(name), value);
        }
        put_sdp(&mut request, outgoing.body.clone());
        self.dialogs
            .insert((call_id.clone(), local_tag.clone()), id);
        self.legs.insert(
            id,
            Leg {
                id,
                authorizer: credentials.map(Authorizer::new),
                contact_user: contact_user.clone(),
                call_id,
                local_tag,
                state: State::Calling(Calling {
                    invite: None,
                    sequence: 1,
                    cancel: Cancel::No,
                    body: outgoing.body,
                }),
            },
        );
        let outbound = Outbound {
            request,
            hop,
            owner: Owner::Invite(id),
            contact: Some((contact_user, String::new())),
            give_up: trunk.request_timeout,
            attempts: 0,
            may_upgrade: true,
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
        if !self.legs.contains_key(&leg) {
            return Err(Error::UnknownLeg(leg));
        }
        match command {
            Command::Progress { status, body } => self.progress(leg, status, body, now),
            Command::Accept { body } => self.accept(leg, body, now),
            Command::Reject { status, reason } => {
                self.refuse(leg, status, reason.as_deref(), None, now)
            }
            Command::Hangup { cause } => {
                self.hang_up(leg, cause, now);
                Ok(())
            }
            Command::Reinvite { body } => self.reinvite(leg, body, now),
            Command::AnswerReinvite { body } => self.answer_reinvite(leg, body, now),
            Command::RefuseReinvite { status } => self.refuse_reinvite(leg, status, now),
            Command::Info { content_type, body } => self.inform(leg, &content_type, body, now),
        }
    }

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
                let invite = calling.invite.clone();
                let Some(key) = invite.filter(|key| self.clients.contains_key(key)) else {
                    // The name of the next hop is still looked up: nothing was sent.
                    self.parked
                        .retain(|parked| parked.outbound.owner != Owner::Invite(id));
                    return self.refuse_locally(id, 487);
                };
                let proceeding = matches!(
                    self.clients.get(&key).map(|entry| &entry.machine),
                    Some(Machine::Invite(machine)) if machine.is_proceeding()
                );
                if proceeding {
                    self.send_cancel(id, &key, cause, now);
                }
            }
            State::Ringing(_) => {
                let refused = self.refuse(id, 480, None, cause, now);
                debug_assert!(refused.is_ok(), "a ringing leg can be refused");
            }
            State::Established(_) => self.say_goodbye(id, cause, now),
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
        let Some(entry) = self.clients.get(invite) else {
            return;
        };
        let mut request = same_branch(&entry.outbound.request, Method::Cancel);
        put_reason(&mut request, cause);
        let (hop, flow) = (entry.outbound.hop.clone(), entry.flow);
        let branch = request
            .headers
            .get_named::<ezk_sip_types::header::typed::Via>()
            .ok()
            .and_then(|via| via.params.get_val("branch").map(ToString::to_string));
        if let Some(leg) = self.legs.get_mut(&id)
            && let State::Calling(calling) = &mut leg.state
        {
            calling.cancel = Cancel::Sent(now + LIFETIME);
        }
        if let Some(branch) = branch {
            let outbound = Outbound {
                request,
                hop,
                owner: Owner::Nobody,
                contact: None,
                give_up: LIFETIME,
                attempts: 0,
                may_upgrade: true,
            };
            let bytes = outbound.request.write();
            self.begin(outbound, flow, &branch, bytes, now);
        }
        self.arm(id);
    }

    /// Sends BYE, once our 2xx is acknowledged (section 15).
    pub(super) fn say_goodbye(&mut self, id: LegId, cause: Option<u16>, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let State::Established(established) = &mut leg.state else {
            return;
        };
        if established.goodbye == Goodbye::Said {
            return;
        }
        if established.unacknowledged.is_some() {
            established.goodbye = Goodbye::AfterAcknowledgement(cause);
            return self.arm(id);
        }
        established.goodbye = Goodbye::Said;
        let mut request = established.dialog.request(Method::Bye);
        put_reason(&mut request, cause);
        self.send_in_dialog(id, Owner::Bye(id), request, false, now);
        self.arm(id);
    }

    fn reinvite(&mut self, id: LegId, body: Bytes, now: Instant) -> Result<(), Error> {
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

    fn send_reinvite(&mut self, id: LegId, body: Bytes, now: Instant) {
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

    fn inform(
        &mut self,
        id: LegId,
        content_type: &str,
        body: Bytes,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "send info");
        if content_type.contains(|c: char| c.is_control()) {
            return Err(Error::BadHeader("Content-Type".to_owned()));
        }
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return Err(wrong);
        };
        if established.goodbye != Goodbye::No {
            return Err(wrong);
        }
        let mut request = established.dialog.request(Method::Info);
        request
            .headers
            .insert(Name::CONTENT_TYPE, content_type.to_owned());
        request.body = body;
        self.send_in_dialog(id, Owner::Info(id), request, false, now);
        Ok(())
    }

    /// Sends a request of an established leg.
    pub(super) fn send_in_dialog(
        &mut self,
        id: LegId,
        owner: Owner,
        mut request: Request,
        with_contact: bool,
        now: Instant,
    ) {
        self.authorize_early(owner, &mut request);
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        let State::Established(established) = &leg.state else {
            return;
        };
        let hop = established.dialog.next_hop();
        let contact = with_contact.then(|| (leg.contact_user.clone(), String::new()));
        let unreachable = hop.is_none();
        let outbound = Outbound {
            request,
            hop: hop.unwrap_or(NextHop {
                host: String::new(),
                port: 0,
                transport: crate::sip::config::Transport::Udp,
            }),
            owner,
            contact,
            give_up: LIFETIME,
            attempts: 0,
            may_upgrade: true,
        };
        if unreachable {
            self.fail_outbound(outbound, 503, now);
        } else {
            self.send(outbound, now);
        }
    }

    pub(super) fn wrong_state(&self, leg: LegId, command: &'static str) -> Error {
        let state = self.legs.get(&leg).map_or("ended", Leg::state_name);
        Error::WrongState {
            leg,
            command,
            state,
        }
    }

    pub(super) fn handle_leg_timeout(&mut self, id: LegId, now: Instant) {
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

    fn handle_established_timeout(&mut self, id: LegId, now: Instant) {
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

    /// Tells the last event of an established leg and forgets it.
    pub(super) fn end(&mut self, id: LegId, why: EndedBy) {
        self.tell(id, Event::Ended { cause: None, why });
        self.forget(id);
    }

    /// Number of calls that wait for a decision of ours, for a gauge.
    pub fn ringing(&self) -> usize {
        self.legs
            .values()
            .filter(|leg| matches!(leg.state, State::Ringing(_)))
            .count()
    }

    /// Tells the driver that an incoming call found no taker.
    pub fn refuse_unheard(&mut self, leg: LegId, now: Instant) {
        if self.refuse(leg, 503, None, None, now).is_err() {
            self.hang_up(leg, None, now);
        }
    }

    pub(super) fn happen_incoming(&mut self, incoming: crate::sip::event::Incoming) {
        self.happen(Happening::Incoming(incoming));
    }
}

/// Puts SDP into a request.
fn put_sdp(request: &mut Request, body: Bytes) {
    if !body.is_empty() {
        request
            .headers
            .insert(Name::CONTENT_TYPE, "application/sdp");
        request.body = body;
    }
}

/// Puts a Q.850 cause into a request (RFC 3326).
fn put_reason(request: &mut Request, cause: Option<u16>) {
    if let Some(cause) = cause {
        request
            .headers
            .insert(Name::from("Reason"), format!("Q.850;cause={cause}"));
    }
}
