//! Requests on their way out: next hop, Via and Contact, client transactions, digest retries, and
//! what follows when the transport fails.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::agent::UserAgent;
use super::client_context::ClientContext;
use super::leg::State;
use super::outbound::Outbound;
use super::owner::Owner;
use crate::sip::stack::digest::{Authorizer, Subject};
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request, Response, set};
use crate::sip::stack::method::Method;
use crate::sip::stack::resolver::Destination;
use crate::sip::stack::sips::{is_sips, wants_sips};
use crate::sip::stack::transaction::Timers;
use crate::sip::stack::transaction::key::{ClientKey, MAGIC_COOKIE};
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::stack::via::Via;

/// Requests above this many bytes go over TCP where they can (RFC 3261 section 18.1.1).
const DATAGRAM_LIMIT: usize = 1_300;
/// Longest wait for an answer that a trunk can be configured with.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// Challenges answered for one request.
pub(super) const ATTEMPTS: u8 = 4;

impl UserAgent {
    /// Sends a request to a destination of its way.
    pub(super) fn send_to(
        &mut self,
        mut outbound: Outbound,
        destination: Destination,
        now: Instant,
    ) {
        // Timer B runs from the moment the request was handed over.
        let waited = outbound.way.end_wait(now);
        outbound.give_up = outbound.give_up.saturating_sub(waited);
        let Destination {
            mut transport,
            address,
        } = destination;
        let branch = format!("{MAGIC_COOKIE}{}", self.token(12));
        let Some(mut bytes) = self.write(&mut outbound, transport, address, &branch) else {
            return self.fail_here(outbound, 503, now);
        };
        if let Some(large) = transport.for_large_requests()
            && bytes.len() > DATAGRAM_LIMIT
            && outbound.may_upgrade
            && outbound.way.last_flow_taken().is_none()
            && !self.resolver.has_refused_tcp(address, now)
            && self.local_addresses.listener_for(large, address).is_some()
            && let Some(larger) = self.write(&mut outbound, large, address, &branch)
        {
            transport = large;
            bytes = larger;
        }
        let Some(listener) = self.local_addresses.listener_for(transport, address) else {
            return self.fail_here(outbound, 503, now);
        };
        let mut flow = Flow::new(transport, listener, address);
        if let Some(last) = outbound.way.last_flow_taken() {
            flow = last;
        } else if let (true, Some(hop)) = (transport.is_secure(), outbound.way.hop().cloned()) {
            flow.domain = Some(self.domain_of(&hop, outbound.owner));
        } else if is_sips(&outbound.request.uri) {
            // RFC 3261 section 26.2.2: better no call than one that others can hear.
            tracing::warn!(%address, %transport, "sips request not sent without tls");
            return self.fail_here(outbound, 503, now);
        }
        self.begin(outbound, flow, &branch, bytes, now);
    }

    /// Sends a CANCEL the way its INVITE went, in the same branch (section 9.1).
    pub(super) fn send_in_branch(&mut self, outbound: Outbound, flow: Flow, now: Instant) {
        let via = outbound.request.headers.get_raw(&Name::VIA).next();
        let branch = via.and_then(|via| Some(Via::read(via)?.branch.to_owned()));
        if let Some(branch) = branch {
            let bytes = outbound.request.write();
            self.begin(outbound, flow, &branch, bytes, now);
        }
    }

    /// Starts the transaction, or sends an ACK, which has none.
    pub(super) fn begin(
        &mut self,
        outbound: Outbound,
        flow: Flow,
        branch: &str,
        bytes: Bytes,
        now: Instant,
    ) {
        if outbound.request.method == Method::Ack {
            return self.begin_acknowledgement(outbound, flow, branch, bytes, now);
        }
        let timers = Timers::new(flow.transport.is_reliable())
            .with_give_up(outbound.give_up.min(LONGEST_WAIT));
        let key = self
            .transactions
            .client_key(branch, &outbound.request.method);
        if let Owner::Invite(leg) = outbound.owner
            && let Some(leg) = self.legs.get_mut(&leg)
            && let State::Calling(calling) = &mut leg.state
        {
            calling.invite = Some(key);
        }
        // A caller is not kept waiting at a destination that says nothing, be it the last one.
        let is_call = matches!(outbound.owner, Owner::Invite(_));
        let try_timeout = outbound.way.try_timeout;
        let fail_over_at = (is_call || outbound.way.may_fail_over())
            .then_some(now + try_timeout)
            .filter(|_| try_timeout < outbound.give_up);
        let context = ClientContext {
            outbound,
            fail_over_at,
            suspect_at: None,
            progressed: false,
            cancelled: false,
        };
        let transactions = &mut self.transactions;
        transactions.begin_client(key, context, bytes, flow, timers, now);
        self.run_client(&key);
    }

    /// Carries out what a client transaction asks for. Returns whether a response goes up, and
    /// whether it timed out.
    pub(super) fn run_client(&mut self, key: &ClientKey) -> (bool, bool) {
        let Some(output) = self.transactions.poll_client(key) else {
            return (false, false);
        };
        for bytes in output.transmits {
            self.transmit(output.flow, bytes, Some(*key));
        }
        (output.deliver, output.timed_out)
    }

    pub(super) fn handle_client_timeout(&mut self, key: &ClientKey, now: Instant) {
        let Some(entry) = self.transactions.client(key) else {
            return;
        };
        if entry.user.fail_over_at.is_some_and(|at| at <= now) {
            return self.fail_over(key, 408, now);
        }
        if entry.user.suspect_at.is_some_and(|at| at <= now) {
            self.suspect_target(key, now);
        }
        self.transactions.handle_client_timeout(key, now);
        let (_, timed_out) = self.run_client(key);
        if timed_out && let Some(entry) = self.transactions.remove_client(key) {
            self.fail_here(entry.user.outbound, 408, now);
        }
        self.transactions.release_client(key);
    }

    /// Bytes of a transaction could not be sent (RFC 3261 section 17.1.4).
    pub fn handle_transport_failure(&mut self, key: &ClientKey, now: Instant) {
        let Some(entry) = self.transactions.client(key) else {
            return self.fall_back_acknowledgement(key, now);
        };
        if !entry.transaction.is_waiting() {
            return;
        }
        if entry.user.progressed {
            // The called party rang there: nobody is called elsewhere in its place.
            let outbound = entry.user.outbound.clone();
            self.transactions.remove_client(key);
            return self.fail_outbound(outbound, 503, now);
        }
        let destination = entry.user.outbound.way.here();
        let upgraded =
            destination.is_some_and(|destination| destination.transport != entry.flow.transport);
        if let (true, Some(destination)) = (upgraded, destination) {
            // Too large for a datagram in theory, but nobody listens on TCP: UDP it is.
            let mut outbound = entry.user.outbound.clone();
            outbound.may_upgrade = false;
            self.resolver.refuse_tcp(destination.address, now);
            self.transactions.remove_client(key);
            return self.send_to(outbound, destination, now);
        }
        self.fail_over(key, 503, now);
    }

    /// Answers a challenge with a new request; false when there is nothing to answer with.
    pub(super) fn retry_with_digest(
        &mut self,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) -> bool {
        let Some(entry) = self.transactions.client(key) else {
            return false;
        };
        if entry.user.outbound.attempts >= ATTEMPTS {
            return false;
        }
        let mut outbound = entry.user.outbound.clone();
        let client_nonce = self.token(12);
        let Some(authorizer) = self.authorizer(outbound.owner) else {
            return false;
        };
        // Its key is taken out while the authorizer is held.
        let index = authorizer.subscriber();
        let mut key = index.and_then(|index| self.subscribers.remove(&index));
        let Some(authorizer) = self.authorizer(outbound.owner) else {
            return false;
        };
        let accepted = authorizer.accept(response, &outbound.request.headers, key.as_mut());
        if accepted.is_ok() {
            authorize(authorizer, &mut outbound.request, &client_nonce);
        }
        if let (Some(index), Some(key)) = (index, key) {
            self.subscribers.insert(index, key);
        }
        if let Err(why) = accepted {
            tracing::debug!(%why, status = response.status, "digest challenge not answered");
            return false;
        }
        let Some(sequence) = self.next_sequence(outbound.owner) else {
            return false;
        };
        let method = outbound.request.method.clone();
        set(
            &mut outbound.request.headers,
            Name::CSEQ,
            format!("{sequence} {method}"),
        );
        outbound.attempts += 1;
        self.send_again(outbound, now);
        true
    }

    /// Adds answers to challenges met before, so that most requests are not challenged again.
    pub(super) fn authorize_early(&mut self, owner: Owner, request: &mut Request) {
        let client_nonce = self.token(12);
        if let Some(authorizer) = self.authorizer(owner)
            && !authorizer.is_fresh()
        {
            authorize(authorizer, request, &client_nonce);
        }
    }

    /// Takes the nonce that a success announces for the next request.
    pub(super) fn take_next_nonce(&mut self, owner: Owner, response: &Response) {
        if let Some(authorizer) = self.authorizer(owner) {
            authorizer.take_next_nonce(&response.headers);
        }
    }

    fn authorizer(&mut self, owner: Owner) -> Option<&mut Authorizer> {
        match owner {
            Owner::Message(id) => self.messaging.sent_mut(id)?.authorizer.as_mut(),
            Owner::Register(id) => self.registrations.authorizer_mut(id),
            _ => self.legs.get_mut(&owner.leg()?)?.authorizer.as_mut(),
        }
    }

    /// Index of the trunk that a request belongs to.
    pub(super) fn trunk_of_owner(&self, owner: Owner) -> Option<usize> {
        match owner {
            Owner::Message(id) => self.messaging.trunk_of(id),
            Owner::Register(id) => Some(self.registrations.get(id)?.trunk),
            Owner::Probe(of) => Some(of.target.trunk),
            _ => self.legs.get(&owner.leg()?)?.trunk,
        }
    }

    pub(super) fn next_sequence(&mut self, owner: Owner) -> Option<u32> {
        let sequence = match owner {
            Owner::Message(id) => &mut self.messaging.sent_mut(id)?.sequence,
            Owner::Register(id) => return self.registrations.next_sequence(id),
            Owner::Prack(leg, fork) => {
                &mut self.legs.get_mut(&leg)?.dialog_mut(fork)?.local_sequence
            }
            _ => match &mut self.legs.get_mut(&owner.leg()?)?.state {
                State::Calling(calling) => &mut calling.sequence,
                State::Ringing(ringing) => &mut ringing.dialog.local_sequence,
                State::Established(established) => &mut established.dialog.local_sequence,
            },
        };
        *sequence += 1;
        Some(*sequence)
    }

    /// Writes Via and Contact for this way out and gives the bytes; `None` when no listener fits.
    fn write(
        &mut self,
        outbound: &mut Outbound,
        transport: Transport,
        address: SocketAddr,
        branch: &str,
    ) -> Option<Bytes> {
        let listener = self.local_addresses.listener_for(transport, address)?;
        let sent_by = self.sent_by(listener, address);
        // A large request that goes by TCP for its size leaves the Contact as it is.
        let ordinary = outbound.way.here().map_or(transport, |here| here.transport);
        let contact = match &outbound.contact {
            Some((user, params)) => {
                let sips = wants_sips(&outbound.request);
                let uri = self.contact_uri(user, ordinary, address, sips)?;
                // RFC 5626 section 4.3: the dialog's requests come back on this very flow.
                let is_register = outbound.request.method == Method::Register;
                let entry = self.registrations.with_contact(user);
                let returns = entry.is_some_and(|entry| entry.is_outbound(transport, address));
                let ob = if returns && !is_register { ";ob" } else { "" };
                Some(format!("<{uri}{ob}>{params}"))
            }
            None => None,
        };
        let headers = &mut outbound.request.headers;
        headers.remove(&Name::VIA);
        headers.insert_front(
            Name::VIA,
            format!("SIP/2.0/{transport} {sent_by};rport;branch={branch}"),
        );
        if let Some(contact) = contact {
            set(headers, Name::CONTACT, contact);
        }
        if !headers.contains(&Name::USER_AGENT) && !self.config.user_agent.is_empty() {
            headers.insert(Name::USER_AGENT, self.config.user_agent.clone());
        }
        Some(outbound.request.write())
    }
}

fn authorize(authorizer: &mut Authorizer, request: &mut Request, client_nonce: &str) {
    request.headers.remove(&Name::AUTHORIZATION);
    request.headers.remove(&Name::PROXY_AUTHORIZATION);
    let subject = Subject {
        method: request.method.as_str(),
        uri: &request.uri,
        body: &request.body,
    };
    for (name, value) in authorizer.headers(subject, client_nonce) {
        request.headers.insert(name, value);
    }
}
