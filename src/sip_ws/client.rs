//! One connection of a client, pure: messages, the answers of its driver and the time in, messages
//! and questions out.

use std::time::Instant;

use bytes::Bytes;

use super::bindings::{Bound, GRACE, TooMany};
use super::called::Callee;
use super::calls::Calls;
use super::context::{Context, Profile};
use super::frame::{Frame, PONG};
use super::incoming::Incoming;
use super::output::{Admission, Output, Place, Question, User};
use super::registration::{Contact, Registration};
use super::screening::{because, screen};
use super::transactions::Arrival;
use crate::call::message::{Command, Notice};
use crate::call::{EndReason, Refusal as ClientRefusal};
use crate::sip::stack::address::user_of;
use crate::sip::stack::envelope::{Envelope, has_one_via, sdp_body};
use crate::sip::stack::message::{
    Message, Name, Received, Request, Response, Unreadable, elements,
};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::{Refusal, fault_refusal};
use crate::sip::stack::transaction::key::{KeyMap, ServerKey};
use crate::sip::stack::uri::Uri;

/// Requests that wait for an answer of the driver; more than one only while one is held back.
const MOST_PENDING: usize = 8;

/// A request that waits to be decided.
#[derive(Debug)]
struct Pending {
    incoming: Incoming,
    asked: Asked,
}

#[derive(Debug, Clone)]
enum Asked {
    Register(Registration),
    Call,
}

/// The refusal of a request that is held back: credentials were guessed.
#[derive(Debug)]
struct Held {
    request: ServerKey,
    challenge: Vec<String>,
    until: Instant,
}

/// The contact by which the client is called.
#[derive(Debug)]
struct Registered {
    contact: Contact,
    until: Instant,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    context: Context,
    calls: Calls,
    /// Who proved to be at the other end. Never another one as long as the connection lasts.
    user: Option<User>,
    /// When the connection is closed; none once the user is known.
    sign_in_by: Option<Instant>,
    registered: Option<Registered>,
    pending: KeyMap<ServerKey, Pending>,
    held: Option<Held>,
}

impl Client {
    /// `secrets` are two that nobody else has.
    pub fn new(profile: Profile, secrets: [[u8; 16]; 2], now: Instant) -> Self {
        Client {
            sign_in_by: Some(now + profile.sign_in_within),
            context: Context::new(profile, secrets),
            calls: Calls::default(),
            user: None,
            registered: None,
            pending: KeyMap::default(),
            held: None,
        }
    }

    /// Who is at the other end, once that is known.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|user| user.name.as_str())
    }

    pub fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Takes one WebSocket message.
    pub fn handle_frame(&mut self, bytes: &Bytes, now: Instant) -> Result<(), Unreadable> {
        match Frame::read(bytes)? {
            Frame::KeepAlive => self.context.push(Output::Send(PONG)),
            Frame::Nothing => {}
            Frame::Message(received) => self.take(*received, now),
        }
        Ok(())
    }

    /// A call rings at this client. `notice` is [`Notice::Incoming`].
    pub fn ring(&mut self, call: &str, notice: Notice, now: Instant) {
        let has_room = self.context.transactions.has_room();
        let (Some(user), Some(registered), true) = (&self.user, &self.registered, has_room) else {
            // It unregistered meanwhile, or no answer of it could be matched.
            let endpoint = self.context.profile.endpoint;
            let reason = EndReason::Unavailable;
            let command = Command::Detach { endpoint, reason };
            return self.context.command(call, command);
        };
        let callee = Callee {
            user: &user.name,
            contact: &registered.contact.uri,
        };
        self.calls
            .ring(&mut self.context, call, callee, notice, now);
    }

    /// Call control says something of a call.
    pub fn handle_notice(&mut self, call: &str, notice: Notice, now: Instant) {
        self.calls
            .handle_notice(&mut self.context, call, notice, now);
    }

    /// The answer to [`Output::Authenticate`].
    pub fn admit(&mut self, request: ServerKey, admission: Admission, now: Instant) {
        let Some(pending) = self.pending.remove(&request) else {
            return;
        };
        match admission {
            Admission::Admitted(user) => {
                let is_other = self
                    .user
                    .as_ref()
                    .is_some_and(|known| known.name != user.name);
                if is_other || !is_own(&pending, &user) {
                    let status = ClientRefusal::WrongUser.sip_status();
                    return self.refuse(&pending.incoming, &Refusal::plain(status), now);
                }
                if let Some(domain) = Uri::read(&pending.incoming.request.uri).host() {
                    self.context.set_domain(domain);
                }
                self.user = Some(user);
                self.sign_in_by = None;
                self.context.transactions.raise_limit();
                self.proceed(request, pending, now);
            }
            Admission::Challenged(challenge) => {
                self.challenge(&pending.incoming, &challenge, now);
            }
            Admission::Wrong { challenge, delay } => {
                self.pending.insert(request, pending);
                self.held = Some(Held {
                    request,
                    challenge,
                    until: now + delay,
                });
            }
            Admission::TooMany { retry_after } => {
                self.refuse_attempt(&pending.incoming, retry_after, now);
            }
        }
    }

    /// The answer to [`Output::Register`]: the bindings of the user.
    pub fn registered(
        &mut self,
        request: ServerKey,
        bindings: Result<Vec<Bound>, TooMany>,
        now: Instant,
    ) {
        let Some(Pending {
            incoming,
            asked: Asked::Register(registration),
        }) = self.pending.remove(&request)
        else {
            return;
        };
        let Ok(bindings) = bindings else {
            let response = self.context.overload(&incoming.request);
            return self.context.answer(&response);
        };
        let mut response = self.context.response(&incoming.request, 200);
        for bound in &bindings {
            response.headers.insert(Name::CONTACT, written(bound));
        }
        match registration {
            Registration::Query => {}
            Registration::Bind { contact, expires } => {
                let by_outbound = contact.instance.as_ref().is_some_and(|instance| {
                    instance.reg_id.is_some() && supports(&incoming.request, "outbound")
                });
                if by_outbound {
                    // RFC 5626 section 6.
                    response.headers.insert(Name::REQUIRE, "outbound");
                }
                self.registered = Some(Registered {
                    contact,
                    until: now + expires + GRACE,
                });
            }
            Registration::Remove | Registration::RemoveAll => self.registered = None,
        }
        self.context.answer(&response);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.context.poll_output()
    }

    /// The connection is broken: no message or question comes out any more, what was asked of calls
    /// does.
    pub fn break_off(&mut self) {
        self.context.break_off();
    }

    /// When [`Client::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.context.transactions.poll_timeout(),
            self.calls.poll_timeout(),
            self.held.as_ref().map(|held| held.until),
            self.sign_in_by.filter(|_| self.held.is_none()),
            self.registered.as_ref().map(|registered| registered.until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.calls.handle_timeout(&mut self.context, now);
        if let Some(held) = self.held.take_if(|held| held.until <= now) {
            if let Some(pending) = self.pending.remove(&held.request) {
                self.challenge(&pending.incoming, &held.challenge, now);
            }
            // While a refusal is held back the client cannot show other credentials; the limits on
            // wrong passwords bound how often one is.
            let within = self.context.profile.sign_in_within;
            self.sign_in_by = self.sign_in_by.map(|_| now + within);
        }
        let may_sign_in = self.held.is_none();
        let is_silent = |by: &mut Instant| may_sign_in && *by <= now;
        if self.sign_in_by.take_if(is_silent).is_some() {
            self.context.push(Output::CloseSilent);
        }
        let ended = self
            .registered
            .take_if(|registered| registered.until <= now);
        if let (Some(_), Some(user)) = (ended, &self.user) {
            let user = user.name.clone();
            self.context.push(Output::Expire { user });
        }
    }

    fn take(&mut self, received: Received, now: Instant) {
        let refusal = fault_refusal(&received);
        match received.message {
            Message::Request(request) => {
                let refusal = refusal.or_else(|| {
                    let envelope = Envelope::read(&request.headers);
                    envelope
                        .err()
                        .map(|bad| because(400, &format!("Bad {}", bad.0)))
                });
                match (refusal, Envelope::read(&request.headers)) {
                    (None, Ok(envelope)) => self.take_request(Incoming { request, envelope }, now),
                    // An ACK is never answered.
                    _ if request.method == Method::Ack => {}
                    (refusal, _) => {
                        let refusal = refusal.unwrap_or(Refusal::plain(400));
                        let response = self.context.refusal(&request, &refusal);
                        self.context.answer(&response);
                    }
                }
            }
            // Faults in responses cost the response (RFC 3261 section 8.1.3.3 for Via).
            Message::Response(response) if refusal.is_none() && has_one_via(&response.headers) => {
                self.take_response(&response, now);
            }
            Message::Response(_) => {}
        }
    }

    fn take_response(&mut self, response: &Response, now: Instant) {
        let Ok(envelope) = Envelope::read(&response.headers) else {
            return;
        };
        let about = self.context.transactions.receive(response, &envelope, now);
        if let Some(about) = about {
            self.calls
                .handle_response(&mut self.context, &about, response, &envelope, now);
        }
    }

    fn take_request(&mut self, incoming: Incoming, now: Instant) {
        if let Err(refusal) = screen(&incoming.request, &incoming.envelope) {
            // An ACK is never answered.
            if incoming.request.method == Method::Ack {
                return;
            }
            let response = self.context.refusal(&incoming.request, &refusal);
            return self.context.answer(&response);
        }
        let is_in_dialog = incoming.envelope.to.tag().is_some();
        match incoming.request.method {
            Method::Ack => {
                let envelope = &incoming.envelope;
                if !self.context.transactions.acknowledge(envelope, now) {
                    self.calls.acknowledge(&mut self.context, envelope, now);
                }
            }
            Method::Cancel => self.cancel(&incoming, now),
            Method::Invite => self.invite(incoming, is_in_dialog, now),
            Method::Register if !is_in_dialog => self.register(incoming, now),
            Method::Options if !is_in_dialog => {
                let mut response = self.context.response(&incoming.request, 200);
                self.context.describe_us(&mut response);
                self.context.answer(&response);
            }
            _ => {
                if !self.calls.handle_request(&mut self.context, &incoming, now) {
                    self.refuse(&incoming, &Refusal::plain(481), now);
                }
            }
        }
    }

    fn cancel(&mut self, incoming: &Incoming, now: Instant) {
        let Some(invite) = self.context.transactions.invite_of(&incoming.envelope) else {
            return self.refuse(incoming, &Refusal::plain(481), now);
        };
        if let Some(pending) = self.pending.remove(&invite) {
            let status = EndReason::Cancelled.ending().sip_status;
            self.refuse(&pending.incoming, &Refusal::plain(status), now);
        } else {
            // Without effect where the final response was sent, and answered all the same (section
            // 9.2).
            self.calls.cancel(&mut self.context, invite, now);
        }
        let response = self.context.response(&incoming.request, 200);
        self.context.answer(&response);
    }

    fn invite(&mut self, incoming: Incoming, is_in_dialog: bool, now: Instant) {
        let key = match self.context.transactions.invite(&incoming.envelope, now) {
            Arrival::New(key) => key,
            Arrival::Repeated => return,
            // By its transaction, which ends so; where the branch is another request's there is none.
            Arrival::Merged => return self.refuse(&incoming, &Refusal::plain(482), now),
            Arrival::Full => {
                let response = self.context.overload(&incoming.request);
                return self.context.answer(&response);
            }
        };
        if is_in_dialog {
            if !self.calls.handle_request(&mut self.context, &incoming, now) {
                self.refuse(&incoming, &Refusal::plain(481), now);
            }
            return;
        }
        let pending = Pending {
            incoming,
            asked: Asked::Call,
        };
        match self.user {
            Some(_) => self.proceed(key, pending, now),
            None => self.authenticate(key, pending, now),
        }
    }

    fn register(&mut self, incoming: Incoming, now: Instant) {
        let registration = match Registration::read(&incoming.request) {
            Ok(registration) => registration,
            Err(refusal) => return self.refuse(&incoming, &refusal, now),
        };
        let Some(key) = self.context.transactions.key(&incoming.envelope, now) else {
            return;
        };
        let has_credentials = incoming.headers().contains(&Name::AUTHORIZATION);
        let pending = Pending {
            incoming,
            asked: Asked::Register(registration),
        };
        match &self.user {
            // The connection is the client's: it need not say again who it is.
            Some(user) if !has_credentials && is_own(&pending, user) => {
                self.proceed(key, pending, now);
            }
            _ => self.authenticate(key, pending, now),
        }
    }

    /// Asks who sent a request.
    fn authenticate(&mut self, key: ServerKey, pending: Pending, now: Instant) {
        let incoming = &pending.incoming;
        let values = incoming.headers().get_raw(&Name::AUTHORIZATION);
        let authorization: Vec<String> = values.map(ToString::to_string).collect();
        if self.held.is_some() && !authorization.is_empty() {
            // One at a time: who asks on does not learn more for it.
            return self.refuse_attempt(&pending.incoming, 1, now);
        }
        if self.pending.len() >= MOST_PENDING {
            let response = self.context.overload(&incoming.request);
            return self.respond(&pending.incoming, &response, now);
        }
        self.context.push(Output::Authenticate(Question {
            request: key,
            authorization,
            method: incoming.request.method.as_str().to_owned(),
            uri: incoming.request.uri.clone(),
        }));
        self.pending.insert(key, pending);
    }

    /// Does what a request of the user asks for.
    fn proceed(&mut self, key: ServerKey, pending: Pending, now: Instant) {
        let Some(user) = self.user.clone() else {
            return;
        };
        match pending.asked.clone() {
            Asked::Register(registration) => {
                self.context.push(Output::Register {
                    request: key,
                    user: user.name,
                    registration,
                });
                self.pending.insert(key, pending);
            }
            Asked::Call => self.place(key, pending.incoming, user, now),
        }
    }

    fn place(&mut self, key: ServerKey, incoming: Incoming, user: User, now: Instant) {
        if self.calls.outgoing() >= self.context.profile.most_calls {
            let status = ClientRefusal::TooManyCalls.sip_status();
            return self.refuse(&incoming, &Refusal::plain(status), now);
        }
        let request = &incoming.request;
        let sdp = sdp_body(&request.headers, &request.body)
            .and_then(|body| String::from_utf8(body.into()).ok());
        let Some(sdp) = sdp else {
            let status = ClientRefusal::BadOffer.sip_status();
            return self.refuse(&incoming, &Refusal::plain(status), now);
        };
        let from = &incoming.envelope.from;
        let anonymous = is_anonymous(request, from.uri.as_str());
        let own_name = from.name.clone().filter(|_| !anonymous);
        let to = user_of(&request.uri);
        let call = self.calls.begin(&mut self.context, incoming, key, now);
        self.context.push(Output::Place(Place {
            user: user.name,
            display_name: own_name.or(user.display_name),
            call,
            to,
            sdp,
            anonymous,
        }));
    }

    fn challenge(&mut self, incoming: &Incoming, challenge: &[String], now: Instant) {
        let mut response = self.context.response(&incoming.request, 401);
        for value in challenge {
            response.headers.insert(Name::WWW_AUTHENTICATE, value);
        }
        self.respond(incoming, &response, now);
    }

    fn refuse_attempt(&mut self, incoming: &Incoming, retry_after: u64, now: Instant) {
        let status = ClientRefusal::TooManyAttempts.sip_status();
        let refusal = Refusal {
            reason: Some("Too Many Attempts".to_owned()),
            ..Refusal::with(status, "Retry-After", retry_after.to_string())
        };
        self.refuse(incoming, &refusal, now);
    }

    fn refuse(&mut self, incoming: &Incoming, refusal: &Refusal, now: Instant) {
        let response = self.context.refusal(&incoming.request, refusal);
        self.respond(incoming, &response, now);
    }

    fn respond(&mut self, incoming: &Incoming, response: &Response, now: Instant) {
        self.context.respond(incoming, response, now);
    }

    /// What is kept, for tests of its bounds.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.context.transactions.kept() + self.pending.len()
    }
}

/// Whether a request is for the user's own address of record; a call is for others.
fn is_own(pending: &Pending, user: &User) -> bool {
    match pending.asked {
        Asked::Register(_) => user_of(&pending.incoming.envelope.to.uri) == user.name,
        Asked::Call => true,
    }
}

fn supports(request: &Request, option: &str) -> bool {
    let supported = elements(&request.headers, &Name::SUPPORTED);
    supported
        .iter()
        .any(|known| known.eq_ignore_ascii_case(option))
}

/// Whether the caller withholds the number (RFC 3323 sections 4.1.1.3 and 4.2).
fn is_anonymous(request: &Request, from: &str) -> bool {
    let host = Uri::read(from).host();
    let hides = |value: &str| {
        let mut words = value.split([';', ',']).map(str::trim);
        words.any(|word| {
            ["id", "user", "header"]
                .iter()
                .any(|w| word.eq_ignore_ascii_case(w))
        })
    };
    host.is_some_and(|host| host.eq_ignore_ascii_case("anonymous.invalid"))
        || request
            .headers
            .get_raw(&Name::PRIVACY)
            .any(|value| hides(value))
}

/// A binding as Contact in the answer to a REGISTER. Its `expires` is always there: without it some
/// clients refresh at once, and for ever.
fn written(bound: &Bound) -> String {
    let mut value = format!("<{}>", bound.contact.uri);
    if let Some(instance) = &bound.contact.instance {
        value.push_str(&format!(";+sip.instance=\"{}\"", instance.urn));
        if let Some(reg_id) = instance.reg_id {
            value.push_str(&format!(";reg-id={reg_id}"));
        }
    }
    value.push_str(&format!(";expires={}", bound.seconds));
    value
}
