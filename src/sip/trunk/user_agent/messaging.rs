//! MESSAGE outside dialogs, both ways (RFC 3428).

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::incoming_request::IncomingRequest;
use super::outbound::Outbound;
use super::owner::Owner;
use super::pending_messages::Sent;
use super::user_agent_event::UserAgentEvent;
use crate::sip::stack::digest::Authorizer;
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::method::Method;
use crate::sip::stack::request_outside_dialog::RequestOutsideDialog;
use crate::sip::stack::screening::Refusal;
use crate::sip::stack::tokens::random_token;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::identity;
use crate::sip::trunk::instant_message::{
    CONTENT_TYPE, IncomingMessage, LONGEST_TEXT, MessageId, MessageOutcome, OutgoingMessage, text,
};
use crate::sip::trunk::network_headers::NetworkHeaders;

/// Theirs that wait for a status at the same time.
const MOST_RECEIVED: usize = 64;
/// Ours under way or waiting, in all and to one address.
const MOST_SENT: usize = 1_024;
const MOST_TO_ONE: usize = 16;

impl UserAgent {
    /// Sends a text. What comes of it is told by [`UserAgentEvent::MessageAnswered`].
    pub fn message(&mut self, outgoing: OutgoingMessage, now: Instant) -> Result<MessageId, Error> {
        let index = self
            .config
            .trunks
            .iter()
            .position(|trunk| trunk.name == outgoing.trunk)
            .ok_or_else(|| Error::UnknownTrunk(outgoing.trunk.clone()))?;
        if outgoing.text.len() > LONGEST_TEXT {
            return Err(Error::LimitReached {
                what: "bytes of a message",
                limit: LONGEST_TEXT,
            });
        }
        let trunk = self.config.trunks[index].clone();
        let uri = trunk.uri(&outgoing.to_user);
        if uri.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"".contains(c)) {
            return Err(Error::BadHeader("To".to_owned()));
        }
        let to_one = self.messaging.sent.values().filter(|sent| sent.uri == uri);
        let (to_one, in_all) = (to_one.count(), self.messaging.sent.len());
        if in_all >= MOST_SENT || to_one >= MOST_TO_ONE {
            return Err(Error::LimitReached {
                what: "messages under way",
                limit: if in_all >= MOST_SENT {
                    MOST_SENT
                } else {
                    MOST_TO_ONE
                },
            });
        }
        let registration = self
            .registrations
            .of_caller(index, outgoing.account.as_deref());
        let account = registration.filter(|entry| entry.account.is_some());
        let from_user = account.map_or(outgoing.from_user, |entry| entry.user.clone());
        let authorizer = match account {
            Some(entry) => entry.credentials.clone().map(Authorizer::new),
            None => trunk.authorizer(index),
        };
        // What the registrar said is the way to it, behind our own proxy (RFC 3608 section 5).
        let served = registration.map_or(&[][..], |entry| &entry.granted.service_route);
        let routes = [&trunk.routes, served].concat();
        let presented = identity::present(
            &trunk.identity,
            &from_user,
            outgoing.from_name.as_deref(),
            &trunk.domain,
            false,
            registration.and_then(|entry| entry.granted.associated.first().map(String::as_str)),
        );
        let icid = || random_token(&mut self.random, 16);
        let network = NetworkHeaders::of_request(&trunk.identity, &mut Vec::new(), icid);
        let (call_id, tag) = (self.token(16), self.token(8));
        // No Contact: a MESSAGE makes no dialog (RFC 3428 section 4).
        let mut request = RequestOutsideDialog {
            method: Method::Message,
            uri: uri.clone(),
            from: presented.from.with_tag(&tag),
            to: uri.clone(),
            call_id: &call_id,
            sequence: 1,
            routes: &routes,
        }
        .request();
        let headers = &mut request.headers;
        for (name, value) in presented.headers {
            headers.insert(Name::from(name), value);
        }
        network.put(headers);
        put_text(&mut request, &outgoing.text);
        let id = self.messaging.next();
        let sent = Sent {
            trunk: index,
            authorizer,
            sequence: 1,
            uri,
            waiting: (to_one > 0).then(|| request.clone()),
        };
        self.messaging.sent.insert(id, sent);
        if to_one == 0 {
            self.send_message(id, index, request, now);
        }
        Ok(id)
    }

    fn send_message(&mut self, id: MessageId, trunk: usize, request: Request, now: Instant) {
        let give_up = self.config.trunks[trunk].request_timeout;
        let way = self.way_to_trunk(trunk);
        let outbound = Outbound {
            give_up,
            ..Outbound::new(request, way, Owner::Message(id))
        };
        self.send(outbound, now);
    }

    /// One of ours has its final answer, or will never have one.
    pub(super) fn finish_message(&mut self, id: MessageId, outcome: MessageOutcome, now: Instant) {
        let Some(done) = self.messaging.sent.remove(&id) else {
            return;
        };
        self.emit(UserAgentEvent::MessageAnswered { id, outcome });
        let next = self.messaging.sent.iter_mut().find_map(|(id, sent)| {
            let request = sent.waiting.take_if(|_| sent.uri == done.uri)?;
            Some((*id, sent.trunk, request))
        });
        if let Some((id, trunk, request)) = next {
            self.send_message(id, trunk, request, now);
        }
    }

    /// A MESSAGE outside any dialog.
    pub(super) fn take_message(&mut self, incoming: IncomingRequest, now: Instant) {
        let (key, source) = (incoming.key, incoming.source);
        if self.messaging.received.len() >= MOST_RECEIVED {
            self.reject("overload", source);
            let refusal = Refusal::with(503, "Retry-After", "5");
            return self.respond_refusal(&key, &incoming.request, &refusal, now);
        }
        let text = match text(&incoming.request) {
            Ok(text) => text,
            Err(refusal) => {
                self.reject("message_text", source);
                return self.respond_refusal(&key, &incoming.request, &refusal, now);
            }
        };
        let parties = self.parties(&incoming);
        let account = parties.account();
        let trunk = parties.trunk.map(|trunk| trunk.name.clone());
        let (sender, called) = (parties.caller, parties.called);
        let id = self.messaging.next();
        self.messaging.received.insert(id, (key, incoming.request));
        self.emit(UserAgentEvent::Message(Box::new(IncomingMessage {
            id,
            trunk,
            request_user: called.number,
            otherwise: called.otherwise,
            account,
            from_user: sender.user,
            from_name: sender.name,
            call_id: incoming.envelope.call_id.to_string(),
            source,
            text,
        })));
    }

    /// Answers one of theirs; the second answer does nothing.
    pub fn answer_message(&mut self, id: MessageId, status: u16, now: Instant) {
        let Some((key, request)) = self.messaging.received.remove(&id) else {
            return;
        };
        self.respond_refusal(&key, &request, &Refusal::plain(status), now);
    }
}

/// Puts a text into a MESSAGE.
pub(super) fn put_text(request: &mut Request, text: &str) {
    request.headers.insert(Name::CONTENT_TYPE, CONTENT_TYPE);
    request.body = Bytes::copy_from_slice(text.as_bytes());
}
