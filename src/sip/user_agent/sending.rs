//! Requests on their way out: next hop, Via and Contact, client transactions, digest retries, and
//! what happens when the way is closed.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::agent::{UserAgent, Wake};
use super::flow::{Flow, Happening};
use super::leg::State;
use crate::sip::address::{NextHop, is_sips, wants_sips};
use crate::sip::config::Transport;
use crate::sip::digest::{Authorizer, Subject};
use crate::sip::event::LegId;
use crate::sip::instant_message::MessageId;
use crate::sip::message::{Name, Request, Response, set};
use crate::sip::method::Method;
use crate::sip::transaction::key::{ClientKey, MAGIC_COOKIE};
use crate::sip::transaction::{Action, Client, ClientInvite, Timers};

/// A request to send and what is needed to send it again.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The request; Via and Contact are written when it leaves.
    pub request: Request,
    pub hop: NextHop,
    pub owner: Owner,
    /// User part and header parameters of our Contact, when the request has one.
    pub contact: Option<(String, String)>,
    /// Timers B and F.
    pub give_up: Duration,
    /// Challenges answered so far.
    pub attempts: u8,
    /// False once TCP was refused for this request.
    pub may_upgrade: bool,
}

/// Who hears of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The leg's first INVITE.
    Invite(LegId),
    /// Its re-INVITE.
    Reinvite(LegId),
    /// Its ACK; no answer comes.
    Acknowledge(LegId),
    /// Its BYE.
    Bye(LegId),
    /// Its INFO.
    Info(LegId),
    /// Its MESSAGE.
    DialogMessage(LegId),
    /// A MESSAGE outside dialogs.
    Message(MessageId),
    /// Its PRACK in the early dialog of that number.
    Prack(LegId, u32),
    /// Its REFER.
    Refer(LegId),
    /// Its UPDATE for the session timer.
    Refresh(LegId),
    /// Its UPDATE with an offer.
    Offer(LegId),
    /// The REGISTER of a trunk.
    Register(usize),
    /// Nobody: CANCEL, and BYE of a fork that we do not want.
    Nobody,
}

/// A client transaction and its surroundings.
#[derive(Debug)]
pub struct ClientEntry {
    pub machine: Machine,
    pub outbound: Outbound,
    pub flow: Flow,
    /// The stream that the request went by.
    pub connection: Option<u64>,
    /// True once it went a second time because the first stream ended.
    pub repeated: bool,
}

impl ClientEntry {
    /// True while no final response has come.
    pub fn is_waiting(&self) -> bool {
        self.machine.is_waiting()
    }
}

/// Either client transaction.
#[derive(Debug)]
pub enum Machine {
    Invite(ClientInvite),
    Other(Client),
}

impl Machine {
    fn poll(&mut self) -> Option<Action> {
        match self {
            Machine::Invite(machine) => machine.poll(),
            Machine::Other(machine) => machine.poll(),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Machine::Invite(machine) => machine.poll_timeout(),
            Machine::Other(machine) => machine.poll_timeout(),
        }
    }

    fn is_terminated(&self) -> bool {
        match self {
            Machine::Invite(machine) => machine.is_terminated(),
            Machine::Other(machine) => machine.is_terminated(),
        }
    }

    fn is_waiting(&self) -> bool {
        match self {
            Machine::Invite(machine) => machine.is_waiting(),
            Machine::Other(machine) => machine.is_waiting(),
        }
    }
}

/// A request that waits for the address of a name.
#[derive(Debug)]
pub struct Parked {
    pub outbound: Outbound,
    pub since: Instant,
}

/// Most requests that wait for names.
const PARKED_LIMIT: usize = 1_000;
/// An address is looked up again after this long; the old one serves meanwhile.
const RESOLVED_FRESH: Duration = Duration::from_secs(60);
/// A peer that refused TCP is not asked again for this long.
const TCP_REFUSED_FOR: Duration = Duration::from_secs(600);
/// Requests above this many bytes go over TCP where they can (RFC 3261 section 18.1.1).
const DATAGRAM_LIMIT: usize = 1_300;
/// Longest wait for an answer that a trunk can be configured with.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// Challenges answered for one request.
pub(super) const ATTEMPTS: u8 = 4;

impl UserAgent {
    /// Sends a request, now or when its next hop has an address.
    pub(super) fn send(&mut self, outbound: Outbound, now: Instant) {
        if let Some(address) = outbound.hop.address() {
            return self.send_to(outbound, address, now);
        }
        let host = outbound.hop.host.clone();
        if let Some((addresses, since)) = self.resolved.get_mut(&host) {
            let chosen = addresses.iter().copied().find(|address| {
                self.listeners
                    .iter()
                    .any(|listen| listen.address.is_ipv4() == address.is_ipv4())
            });
            if *since + RESOLVED_FRESH <= now {
                *since = now;
                self.happen(Happening::Resolve { host });
            }
            return match chosen {
                Some(ip) => {
                    let port = outbound.hop.port_or_default();
                    self.send_to(outbound, (ip, port).into(), now);
                }
                None => self.fail_outbound(outbound, 503, now),
            };
        }
        if self.parked.len() >= PARKED_LIMIT {
            return self.fail_outbound(outbound, 503, now);
        }
        let asked = self.parked.iter().any(|p| p.outbound.hop.host == host);
        self.parked.push(Parked {
            outbound,
            since: now,
        });
        if !asked {
            self.happen(Happening::Resolve { host });
        }
    }

    /// Takes the addresses of a name that was asked for with [`Happening::Resolve`]; none when it
    /// has none.
    pub fn handle_resolved(&mut self, host: &str, addresses: Vec<IpAddr>, now: Instant) {
        let known = self.resolved.contains_key(host);
        // A lookup that fails does not take away what an earlier one found.
        if !addresses.is_empty() || !known {
            if self.resolved.len() >= PARKED_LIMIT && !known {
                self.resolved.clear();
            }
            self.resolved.insert(host.to_owned(), (addresses, now));
        }
        let (ready, waiting) = std::mem::take(&mut self.parked)
            .into_iter()
            .partition(|parked| parked.outbound.hop.host == host);
        self.parked = waiting;
        for Parked {
            mut outbound,
            since,
        } in ready
        {
            // Timer B runs from the moment the request was handed over.
            outbound.give_up = outbound.give_up.saturating_sub(now - since);
            self.send(outbound, now);
        }
        // Only a found name is worth keeping: the next call asks again.
        if self
            .resolved
            .get(host)
            .is_some_and(|(found, _)| found.is_empty())
        {
            self.resolved.remove(host);
        }
    }

    fn send_to(&mut self, mut outbound: Outbound, address: SocketAddr, now: Instant) {
        let mut transport = outbound.hop.transport.unwrap_or(Transport::Udp);
        let branch = format!("{MAGIC_COOKIE}{}", self.token(12));
        let Some(mut bytes) = self.write(&mut outbound, transport, address, &branch) else {
            return self.fail_outbound(outbound, 503, now);
        };
        if transport == Transport::Udp
            && bytes.len() > DATAGRAM_LIMIT
            && outbound.may_upgrade
            && !self.has_refused_tcp(address, now)
            && self.listener_for(Transport::Tcp, address).is_some()
            && let Some(larger) = self.write(&mut outbound, Transport::Tcp, address, &branch)
        {
            transport = Transport::Tcp;
            bytes = larger;
        }
        let Some(listener) = self.listener_for(transport, address) else {
            return self.fail_outbound(outbound, 503, now);
        };
        let mut flow = Flow::new(transport, listener, address);
        if transport == Transport::Tls {
            let trunk = self.trunk_of_owner(outbound.owner);
            flow.domain = Some(self.domain_of(&outbound.hop, trunk));
        } else if is_sips(&outbound.request.uri) {
            // RFC 3261 section 26.2.2: better no call than one that others can hear.
            tracing::warn!(%address, %transport, "sips request not sent without tls");
            return self.fail_outbound(outbound, 503, now);
        }
        self.begin(outbound, flow, &branch, bytes, now);
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
        if let Owner::Acknowledge(leg) = outbound.owner {
            self.remember_acknowledgement(leg, &outbound.request, &bytes, flow);
            return self.transmit(flow, bytes, None);
        }
        if outbound.request.method == Method::Ack {
            return self.transmit(flow, bytes, None);
        }
        let timers = Timers::new(flow.transport.is_reliable())
            .with_give_up(outbound.give_up.min(LONGEST_WAIT));
        let key = ClientKey::new(branch, &outbound.request.method);
        let machine = match outbound.request.method {
            Method::Invite => Machine::Invite(ClientInvite::new(bytes, timers, now)),
            _ => Machine::Other(Client::new(bytes, timers, now)),
        };
        if let Owner::Invite(leg) = outbound.owner
            && let Some(leg) = self.legs.get_mut(&leg)
            && let State::Calling(calling) = &mut leg.state
        {
            calling.invite = Some(key.clone());
        }
        let entry = ClientEntry {
            machine,
            outbound,
            flow,
            connection: None,
            repeated: false,
        };
        self.clients.insert(key.clone(), entry);
        self.run_client(&key);
    }

    /// Carries out what a client transaction asks for. Returns whether a response goes up, and
    /// whether it timed out.
    pub(super) fn run_client(&mut self, key: &ClientKey) -> (bool, bool) {
        let (mut deliver, mut timed_out) = (false, false);
        let Some(entry) = self.clients.get_mut(key) else {
            return (false, false);
        };
        let flow = entry.flow;
        let mut ready = Vec::new();
        while let Some(action) = entry.machine.poll() {
            match action {
                Action::Transmit(bytes) => ready.push(bytes),
                Action::Deliver => deliver = true,
                Action::TimedOut => timed_out = true,
            }
        }
        let wake = Wake::Client(key.clone());
        self.deadlines.set(&wake, entry.machine.poll_timeout());
        for bytes in ready {
            self.transmit(flow, bytes, Some(key.clone()));
        }
        (deliver, timed_out)
    }

    /// Removes a transaction that has nothing more to do.
    pub(super) fn drop_finished_client(&mut self, key: &ClientKey) {
        if self
            .clients
            .get(key)
            .is_some_and(|entry| entry.machine.is_terminated())
        {
            self.clients.remove(key);
            self.deadlines.set(&Wake::Client(key.clone()), None);
        }
    }

    pub(super) fn handle_client_timeout(&mut self, key: &ClientKey, now: Instant) {
        let Some(entry) = self.clients.get_mut(key) else {
            return;
        };
        match &mut entry.machine {
            Machine::Invite(machine) => machine.handle_timeout(now),
            Machine::Other(machine) => machine.handle_timeout(now),
        }
        let (_, timed_out) = self.run_client(key);
        if timed_out && let Some(entry) = self.clients.remove(key) {
            self.deadlines.set(&Wake::Client(key.clone()), None);
            self.fail_outbound(entry.outbound, 408, now);
        }
        self.drop_finished_client(key);
    }

    /// Takes the news that bytes of a transaction could not be sent (RFC 3261 section 17.1.4).
    pub fn handle_transport_failure(&mut self, key: &ClientKey, now: Instant) {
        let Some(entry) = self.clients.get(key) else {
            return;
        };
        if !entry.machine.is_waiting() {
            return;
        }
        let Some(entry) = self.clients.remove(key) else {
            return;
        };
        self.deadlines.set(&Wake::Client(key.clone()), None);
        let mut outbound = entry.outbound;
        let upgraded =
            Some(entry.flow.transport) != outbound.hop.transport.or(Some(Transport::Udp));
        if upgraded {
            // Too large for a datagram in theory, but nobody listens on TCP: UDP it is.
            if self.tcp_refused.len() >= PARKED_LIMIT {
                self.tcp_refused.clear();
            }
            self.tcp_refused.insert(entry.flow.remote, now);
            outbound.may_upgrade = false;
            return self.send_to(outbound, entry.flow.remote, now);
        }
        self.fail_outbound(outbound, 503, now);
    }

    /// Answers a challenge with a new request; false when there is nothing to answer with.
    pub(super) fn retry_with_digest(
        &mut self,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) -> bool {
        let Some(entry) = self.clients.get(key) else {
            return false;
        };
        if entry.outbound.attempts >= ATTEMPTS {
            return false;
        }
        let mut outbound = entry.outbound.clone();
        let client_nonce = self.token(12);
        let Some(authorizer) = self.authorizer(outbound.owner) else {
            return false;
        };
        if let Err(why) = authorizer.accept(response, &outbound.request.headers) {
            tracing::debug!(%why, status = response.status, "digest challenge not answered");
            return false;
        }
        authorize(authorizer, &mut outbound.request, &client_nonce);
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
        self.send(outbound, now);
        true
    }

    /// Adds answers to challenges met before, so that most requests are not challenged again.
    pub(super) fn authorize_early(&mut self, owner: Owner, request: &mut Request) {
        let client_nonce = self.token(12);
        if let Some(authorizer) = self.authorizer(owner) {
            authorize(authorizer, request, &client_nonce);
        }
    }

    fn authorizer(&mut self, owner: Owner) -> Option<&mut Authorizer> {
        match owner {
            Owner::Invite(leg)
            | Owner::Reinvite(leg)
            | Owner::Acknowledge(leg)
            | Owner::Bye(leg)
            | Owner::Info(leg)
            | Owner::DialogMessage(leg)
            | Owner::Refer(leg)
            | Owner::Prack(leg, _)
            | Owner::Refresh(leg)
            | Owner::Offer(leg) => self.legs.get_mut(&leg)?.authorizer.as_mut(),
            Owner::Register(trunk) => self.registrations.get_mut(&trunk)?.authorizer.as_mut(),
            Owner::Message(id) => self.messaging.sent_mut(id)?.authorizer.as_mut(),
            Owner::Nobody => None,
        }
    }

    /// Index of the trunk that a request belongs to.
    pub(super) fn trunk_of_owner(&self, owner: Owner) -> Option<usize> {
        match owner {
            Owner::Invite(leg)
            | Owner::Reinvite(leg)
            | Owner::Acknowledge(leg)
            | Owner::Bye(leg)
            | Owner::Info(leg)
            | Owner::DialogMessage(leg)
            | Owner::Refer(leg)
            | Owner::Prack(leg, _)
            | Owner::Offer(leg)
            | Owner::Refresh(leg) => self.legs.get(&leg)?.trunk,
            Owner::Register(trunk) => Some(trunk),
            Owner::Message(id) => self.messaging.trunk_of(id),
            Owner::Nobody => None,
        }
    }

    pub(super) fn next_sequence(&mut self, owner: Owner) -> Option<u32> {
        let sequence = match owner {
            Owner::Register(trunk) => &mut self.registrations.get_mut(&trunk)?.sequence,
            Owner::Message(id) => &mut self.messaging.sent_mut(id)?.sequence,
            Owner::Invite(leg)
            | Owner::Reinvite(leg)
            | Owner::Acknowledge(leg)
            | Owner::Bye(leg)
            | Owner::Info(leg)
            | Owner::DialogMessage(leg)
            | Owner::Refer(leg)
            | Owner::Refresh(leg)
            | Owner::Offer(leg) => match &mut self.legs.get_mut(&leg)?.state {
                State::Calling(calling) => &mut calling.sequence,
                State::Ringing(ringing) => &mut ringing.dialog.local_sequence,
                State::Established(established) => &mut established.dialog.local_sequence,
            },
            Owner::Prack(leg, fork) => {
                &mut self.legs.get_mut(&leg)?.dialog_mut(fork)?.local_sequence
            }
            Owner::Nobody => return None,
        };
        *sequence += 1;
        Some(*sequence)
    }

    fn has_refused_tcp(&self, address: SocketAddr, now: Instant) -> bool {
        self.tcp_refused
            .get(&address)
            .is_some_and(|since| *since + TCP_REFUSED_FOR > now)
    }

    /// Writes Via and Contact for this way out and gives the bytes; `None` when no listener fits.
    fn write(
        &mut self,
        outbound: &mut Outbound,
        transport: Transport,
        address: SocketAddr,
        branch: &str,
    ) -> Option<Bytes> {
        let listener = self.listener_for(transport, address)?;
        let sent_by = self.reachable(listener, address);
        let contact = match &outbound.contact {
            Some((user, params)) => {
                let transport = outbound.hop.transport.unwrap_or(Transport::Udp);
                let sips = wants_sips(&outbound.request);
                let uri = self.contact_uri(user, transport, address, sips)?;
                Some(format!("<{uri}>{params}"))
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
