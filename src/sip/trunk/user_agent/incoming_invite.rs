//! An INVITE that begins a call: a new leg.

use std::time::{Duration, Instant};

use super::agent::UserAgent;
use super::incoming_request::IncomingRequest;
use super::leg::{Leg, Reliable, Ringing, State, WhenReliable};
use super::parties::Parties;
use super::refreshing::screen_timer;
use super::user_agent_event::UserAgentEvent;
use crate::sip::stack::address::user_of;
use crate::sip::stack::dialog::Dialog;
use crate::sip::stack::dialog_rules::DialogRules;
use crate::sip::stack::digest::Authorizer;
use crate::sip::stack::envelope::sdp_body;
use crate::sip::stack::message::{Name, Request, header};
use crate::sip::stack::screening::Refusal;
use crate::sip::stack::tokens::random_token;
use crate::sip::trunk::event::{Event, Incoming, LegId};
use crate::sip::trunk::identity;
use crate::sip::trunk::network_headers::NetworkHeaders;

/// What an INVITE asks for that may be had.
struct Screened {
    rules: DialogRules,
    reliable: Reliable,
    /// The leg that it replaces (RFC 3891).
    replaced: Option<LegId>,
}

impl UserAgent {
    pub(super) fn handle_invite(&mut self, incoming: IncomingRequest, now: Instant) {
        let key = incoming.key;
        let screened = match self.screen_invite(&incoming) {
            Ok(screened) => screened,
            Err((reason, refusal)) => {
                self.reject(reason, incoming.source);
                return self.respond_refusal(&key, &incoming.request, &refusal, now);
            }
        };
        let trying = incoming.request.respond(100, None, None);
        self.respond(&key, &trying, now);

        let icid = || random_token(&mut self.random, 16);
        let policy = incoming.verified_trunk();
        let policy = policy.map(|index| &self.config.trunks[index].identity);
        let headers = &incoming.request.headers;
        let network = policy.map(|policy| NetworkHeaders::of_incoming(policy, headers, icid));
        let id = self.legs.next_id();
        let local_tag = self.token(8);
        let mut parties = self.parties(&incoming);
        let event = incoming_call(id, &incoming, &mut parties, &screened.reliable);
        let credentials = match parties.registration {
            _ if incoming.verified_trunk().is_none() => None,
            Some(entry) => entry.credentials.clone(),
            None => parties.trunk.and_then(|trunk| trunk.credentials.clone()),
        };
        // In the dialog we stay who we registered as.
        let contact_user = match parties.registration {
            Some(entry) => entry.contact_user.clone(),
            None => parties.requested.into(),
        };
        let (trunk, verified) = (incoming.trunk(), incoming.verified_trunk().is_some());
        let IncomingRequest {
            request,
            envelope,
            flow,
            ..
        } = incoming;
        if let Some(entry) = self.transactions.server_mut(&key) {
            entry.user.leg = Some(id);
        }
        let state = State::Ringing(Box::new(Ringing {
            server: key,
            dialog: Dialog::of_callee(&request, &envelope, &local_tag, flow),
            expires_at: expiry(&request).map(|seconds| now + seconds),
            request,
            flow,
            progress: None,
            reliable: screened.reliable,
            pending: None,
        }));
        let call_id = envelope.call_id.to_string();
        self.legs.insert(Leg {
            trunk,
            verified,
            authorizer: credentials.map(Authorizer::new),
            network: network.unwrap_or_default().of_dialog(),
            rules: screened.rules,
            ..Leg::new(id, call_id, local_tag, contact_user, state)
        });
        self.arm(id);
        match screened.replaced {
            Some(old) => self.notify_owner(
                old,
                Event::Replaced {
                    by: id,
                    from: event.from_user,
                    call_id: event.call_id,
                    body: event.body,
                },
            ),
            None => self.emit(UserAgentEvent::Incoming(Box::new(event))),
        }
    }

    /// What a call may have; the error is the reason of a counter and what to refuse with.
    fn screen_invite(
        &mut self,
        incoming: &IncomingRequest,
    ) -> Result<Screened, (&'static str, Refusal)> {
        if self.legs.len() >= self.config.limits.legs {
            return Err(("overload", Refusal::with(503, "Retry-After", "5")));
        }
        let request = &incoming.request;
        let rules = incoming.trunk().map_or(DialogRules::default(), |index| {
            self.config.trunks[index].dialogs
        });
        let first = (self.chance() * f64::from(1 << 20)) as u32;
        let reliable = screen_timer(&request.headers, &rules)
            .and_then(|()| Reliable::of_invite(request, rules.prack, first))
            .map_err(|refusal| (refusal.label(), refusal))?;
        let replaced = self
            .replaced_leg(request, incoming.verified_trunk())
            .map_err(|status| ("replaces", Refusal::plain(status)))?;
        Ok(Screened {
            rules,
            reliable,
            replaced,
        })
    }
}

/// What the owner of calls is told of one.
fn incoming_call(
    leg: LegId,
    incoming: &IncomingRequest,
    parties: &mut Parties,
    reliable: &Reliable,
) -> Incoming {
    let (request, envelope) = (&incoming.request, &incoming.envelope);
    let policy = parties.policy;
    Incoming {
        leg,
        trunk: parties.trunk.map(|trunk| trunk.name.clone()),
        request_user: std::mem::take(&mut parties.called.number),
        otherwise: parties.called.otherwise.take(),
        account: parties.account(),
        to_user: user_of(&envelope.to.uri),
        from_user: std::mem::take(&mut parties.caller.user),
        from_name: parties.caller.name.take(),
        diverted: policy.and_then(|_| identity::diversion(&request.headers)),
        headers: policy.map_or(Vec::new(), |policy| identity::passed(policy, request)),
        call_id: envelope.call_id.to_string(),
        source: incoming.source,
        body: sdp_body(&request.headers, &request.body),
        reliable: reliable.when == WhenReliable::Always,
    }
}

/// How long their INVITE may wait for its final answer (RFC 3261 section 13.3.1, step 1); what is
/// no number is ignored.
fn expiry(invite: &Request) -> Option<Duration> {
    let seconds: u32 = header(&invite.headers, &Name::EXPIRES)?.parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}
