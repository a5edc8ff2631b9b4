//! A call of ours: its INVITE, and the leg that waits for the responses.

use std::time::Instant;

use super::agent::UserAgent;
use super::commands::put_sdp;
use super::leg::{Calling, Leg, State};
use super::outbound::Outbound;
use super::owner::Owner;
use super::refreshing::ask_for_timer;
use crate::sip::stack::dialog_rules::Prack;
use crate::sip::stack::digest::Authorizer;
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::method::Method;
use crate::sip::stack::number::is_tel;
use crate::sip::stack::request_outside_dialog::RequestOutsideDialog;
use crate::sip::stack::screening::SUPPORTED_VALUE;
use crate::sip::stack::tokens::random_token;
use crate::sip::trunk::config::{Registered, Trunk};
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{LegId, Outgoing};
use crate::sip::trunk::identity::{self, Presented, is_header_name};
use crate::sip::trunk::network_headers::NetworkHeaders;
use crate::sip::trunk::redirection::Redirection;

impl UserAgent {
    /// Places a call. What comes of it is told by events of the returned leg.
    pub fn invite(&mut self, mut outgoing: Outgoing, now: Instant) -> Result<LegId, Error> {
        let index = self.trunk_for(&outgoing)?;
        let id = self.legs.next_id();
        let call_id = match outgoing.call_id {
            Some(call_id) if !is_call_id(&call_id) => {
                return Err(Error::BadHeader("Call-ID".to_owned()));
            }
            Some(call_id) => call_id,
            None => self.token(16),
        };
        let local_tag = self.token(8);
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
            registration.and_then(|entry| entry.granted.associated.first().map(String::as_str)),
        );
        let icid = || random_token(&mut self.random, 16);
        let network = NetworkHeaders::of_request(&trunk.identity, &mut outgoing.headers, icid);
        // A registered trunk knows us by the contact that we registered.
        let contact_user = match registration {
            Some(entry) if entry.registered != Registered::Never => entry.contact_user.clone(),
            _ if outgoing.anonymous => identity::ANONYMOUS.to_owned().into(),
            _ => from_user.into(),
        };
        let authorizer = match account {
            Some(entry) => entry.credentials.clone().map(Authorizer::new),
            None => trunk.authorizer(index),
        };
        // What the registrar said is the way to it, behind our own proxy (RFC 3608 section 5).
        let served = registration.map_or(&[][..], |entry| &entry.granted.service_route);
        let routes = [&trunk.routes, served].concat();
        let mut request = invite_request(trunk, uri, &call_id, &local_tag, presented, &routes);
        let mut client_headers = Vec::new();
        for (name, value) in outgoing.headers {
            let name = Name::from(name);
            client_headers.push(name.clone());
            request.headers.insert(name, value);
        }
        network.put(&mut request.headers);
        put_sdp(&mut request, outgoing.body.clone());
        let state = State::Calling(Box::new(Calling::new(outgoing.body)));
        self.legs.insert(Leg {
            authorizer,
            trunk: Some(index),
            verified: true,
            redirection: Redirection::new(trunk, &request, client_headers),
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

    /// The index of the trunk that a call may go to now.
    fn trunk_for(&self, outgoing: &Outgoing) -> Result<usize, Error> {
        let mut trunks = self.config.trunks.iter();
        let index = trunks
            .position(|trunk| trunk.name == outgoing.trunk)
            .ok_or_else(|| Error::UnknownTrunk(outgoing.trunk.clone()))?;
        if outgoing.alternative && self.health.is_trunk_out(index) {
            return Err(Error::TrunkOut(outgoing.trunk.clone()));
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
        Ok(index)
    }
}

fn is_call_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The INVITE with the headers that its trunk and its caller ask for.
fn invite_request(
    trunk: &Trunk,
    uri: String,
    call_id: &str,
    local_tag: &str,
    presented: Presented,
    routes: &[String],
) -> Request {
    let mut request = RequestOutsideDialog {
        method: Method::Invite,
        uri: uri.clone(),
        from: presented.from.with_tag(local_tag),
        to: uri,
        call_id,
        sequence: 1,
        routes,
    }
    .request();
    let headers = &mut request.headers;
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
    request
}
