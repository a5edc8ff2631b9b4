//! The user agent itself: what it holds, and the verbs its driver uses.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use super::acknowledgements::LargeAcknowledgements;
use super::client_context::ClientContext;
use super::dialogs::Dialogs;
use super::outbound::Outbound;
use super::pending_messages::Messaging;
use super::server_context::ServerContext;
use super::timer_key::Wake;
use super::user_agent_event::UserAgentEvent;
use crate::sip::stack::digest::{Subscriber, Verifier};
use crate::sip::stack::domain::Domains;
use crate::sip::stack::envelope::{Envelope, has_one_via, stamp_via};
use crate::sip::stack::flow::{Flow, Transmit};
use crate::sip::stack::flow_probes::FlowProbes;
use crate::sip::stack::listen::Listen;
use crate::sip::stack::local_addresses::{LocalAddress, LocalAddresses};
use crate::sip::stack::message::{Fault, Message, Received};
use crate::sip::stack::method::Method;
use crate::sip::stack::resolver::{Resolver, SupportedTransports};
use crate::sip::stack::screening::fault_refusal;
use crate::sip::stack::sips::wants_sips;
use crate::sip::stack::tokens::random_token;
use crate::sip::stack::transaction::key::{ClientKey, Matching};
use crate::sip::stack::transaction::{TimerKey, Transactions};
use crate::sip::trunk::admission::Admission;
use crate::sip::trunk::config::Config;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{Event, LegId, RegistrationStatus};
use crate::sip::trunk::health::TrunkHealth;
use crate::sip::trunk::registrations::Registrations;
use crate::stun::begins_like_stun;
use crate::timer_queue::KeyedTimers;

/// How long our BYE waits for the answer to a last NOTIFY when everything ends.
const LAST_WORD_OF_ALL: Duration = Duration::from_secs(1);

/// Everything the user agent knows.
pub struct UserAgent {
    pub(super) config: Config,
    /// Our listeners, and where peers reach them.
    pub(super) local_addresses: LocalAddresses,
    pub(super) random: StdRng,
    pub(super) transactions: Transactions<ClientContext, ServerContext>,
    pub(super) legs: Dialogs,
    pub(super) registrations: Registrations,
    /// Challenges of ours to requests of trunks that must prove who they are.
    pub(super) verifier: Verifier,
    /// Keys of the trunks that have one, by trunk index.
    pub(super) subscribers: HashMap<usize, Subscriber>,
    /// Which destinations of the trunks answer.
    pub(super) health: TrunkHealth,
    /// Finds where requests go (RFC 3263).
    pub(super) resolver: Resolver<Outbound>,
    pub(super) large_acknowledgements: LargeAcknowledgements,
    /// What limits the calls and answers of the present second.
    pub(super) admission: Admission,
    /// Makes the To tags of answers without state.
    pub(super) stateless_secret: u64,
    /// Flows to registrars that are kept open.
    pub(super) flow_probes: FlowProbes,
    /// Messages outside dialogs.
    pub(super) messaging: Messaging,
    /// Whom TLS connections must lead to.
    pub(super) domains: Domains,
    pub(super) deadlines: KeyedTimers<Wake>,
    outbox: VecDeque<Transmit>,
    events: VecDeque<UserAgentEvent>,
}

impl UserAgent {
    /// A user agent behind `listeners`, which are `config.listen` with real ports.
    pub fn new(
        config: Config,
        listeners: Vec<Listen>,
        local_address: LocalAddress,
        mut random: StdRng,
    ) -> Result<Self, Error> {
        if listeners.is_empty() {
            return Err(Error::NoListener);
        }
        for (index, trunk) in config.trunks.iter().enumerate() {
            if config.trunks[..index].iter().any(|t| t.name == trunk.name) {
                return Err(Error::DuplicateTrunk(trunk.name.clone()));
            }
            if trunk.targets.is_empty() {
                return Err(Error::NoTarget(trunk.name.clone()));
            }
            let named = trunk.targets.iter().filter_map(|of| of.target.transport);
            if let Some(transport) = named.into_iter().find(|named| !named.can_connect_out()) {
                let trunk = trunk.name.clone();
                return Err(Error::CannotConnectOut { trunk, transport });
            }
        }
        let registrations = Registrations::new(&config, &mut random);
        let mut key = [0; 32];
        random.fill_bytes(&mut key);
        let subscribers = config
            .trunks
            .iter()
            .enumerate()
            .filter_map(|(index, trunk)| Some((index, Subscriber::new(trunk.aka.as_ref()?))))
            .collect();
        let stateless_secret = random.random();
        let mut matching_secret = [0; 16];
        random.fill_bytes(&mut matching_secret);
        let matching = Matching::new(&matching_secret);
        let resolver = Resolver::new(SupportedTransports::of(&listeners));
        let health = TrunkHealth::new(&config.trunks);
        Ok(UserAgent {
            admission: Admission::new(&config.limits),
            stateless_secret,
            config,
            local_addresses: LocalAddresses::new(listeners, local_address),
            random,
            transactions: Transactions::new(matching.clone()),
            legs: Dialogs::new(matching),
            registrations,
            verifier: Verifier::new(key),
            subscribers,
            health,
            resolver,
            large_acknowledgements: LargeAcknowledgements::default(),
            flow_probes: FlowProbes::new(),
            messaging: Messaging::default(),
            domains: Domains::default(),
            deadlines: KeyedTimers::default(),
            outbox: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// Numbers legs from here on, for a process with several user agents.
    pub fn number_legs_from(&mut self, first: u64) {
        self.legs.number_from(first);
    }

    /// Begins to register, and looks up the names of trunks so that their calls are recognised.
    pub fn start(&mut self, now: Instant) {
        self.prefetch_trunks(now);
        self.start_health(now);
        self.start_registrations(now);
    }

    /// Takes one datagram or one frame of a stream.
    pub fn handle_message(&mut self, bytes: &Bytes, mut flow: Flow, now: Instant) {
        let source = flow.remote;
        if begins_like_stun(bytes) && !flow.transport.is_reliable() {
            return self.handle_stun(bytes, flow, now);
        }
        let received = match Message::read(bytes) {
            Ok(received) => received,
            Err(_) => return self.reject("unreadable", source),
        };
        let has_lost_a_line = received.fault == Some(Fault::HeaderLine);
        let refusal = fault_refusal(&received);
        match received {
            Received {
                message: Message::Response(response),
                // A line that is no header costs that line only (sections 8.1.3 and 8.2).
                fault: None | Some(Fault::HeaderLine),
            } => match Envelope::read(&response.headers) {
                // Meant for somebody else (section 8.1.3.3).
                Ok(_) if !has_one_via(&response.headers) => self.reject("response_vias", source),
                Ok(envelope) => {
                    if has_lost_a_line {
                        self.reject("header_line", source);
                    }
                    self.handle_response(&response, &envelope, source, now);
                }
                Err(_) => self.reject("malformed_response", source),
            },
            Received {
                message: Message::Response(_),
                ..
            } => self.reject("malformed_response", source),
            Received {
                message: Message::Request(mut request),
                ..
            } => {
                let Some(answer_to) = stamp_via(&mut request.headers, source) else {
                    return self.reject("no_via", source);
                };
                let envelope = Envelope::read(&request.headers);
                match flow.connection {
                    None => flow.remote = answer_to,
                    Some(_) => {
                        // A broken connection is replaced by one to the Via's port (section
                        // 18.2.2).
                        let port = envelope.as_ref().ok().and_then(|e| e.sent_by_port);
                        let port = port.unwrap_or(flow.transport.default_port());
                        flow.reconnect = Some((source.ip(), port).into());
                        if flow.transport.is_secure() {
                            flow.domain = self.domain_to_answer(source.ip());
                        }
                    }
                }
                flow.sips = wants_sips(&request);
                match (refusal, envelope) {
                    (Some(_), _) | (None, Err(_)) if request.method == Method::Ack => {
                        self.reject("malformed_ack", source);
                    }
                    (Some(refusal), _) => {
                        self.reject("malformed_request", source);
                        self.refuse_without_state(&request, &refusal, flow, bytes.len(), now);
                    }
                    (None, Err(bad)) => {
                        self.reject("malformed_request", source);
                        let refusal = crate::sip::stack::screening::Refusal {
                            status: 400,
                            reason: Some(format!("Bad {} Header", bad.0)),
                            header: None,
                        };
                        self.refuse_without_state(&request, &refusal, flow, bytes.len(), now);
                    }
                    (None, Ok(envelope)) => {
                        if has_lost_a_line {
                            self.reject("header_line", source);
                        }
                        self.handle_request(request, envelope, flow, source, bytes.len(), now);
                    }
                }
            }
        }
    }

    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.transactions.poll_expired(now) {
            match timer {
                TimerKey::Client(key) => self.handle_client_timeout(&key, now),
                TimerKey::Server(key) => self.handle_server_timeout(&key, now),
            }
        }
        while let Some(wake) = self.deadlines.expired(now) {
            match wake {
                Wake::Leg(leg) => self.handle_leg_timeout(leg, now),
                Wake::FlowProbes => self.handle_flow_probe_timeout(now),
                Wake::Registrations => self.handle_registration_timeout(now),
                Wake::Resolver => self.handle_resolver_timeout(now),
                Wake::Health => self.handle_health_timeout(now),
            }
        }
    }

    /// When [`UserAgent::handle_timeout`] is wanted next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.transactions.poll_timeout(), self.deadlines.next()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop_front()
    }

    /// The next news.
    pub fn poll_event(&mut self) -> Option<UserAgentEvent> {
        self.events.pop_front()
    }

    /// State of every registration: by trunk in configuration order, the trunk's own first.
    pub fn registrations(&self) -> Vec<RegistrationStatus> {
        self.registrations.statuses(&self.config)
    }

    /// Takes registrations back and ends every leg; [`UserAgent::is_idle`] tells when it is done.
    pub fn shut_down(&mut self, now: Instant) {
        for id in self.legs.ids() {
            self.hang_up(id, None, now);
            if let Some(leg) = self.legs.get_mut(&id) {
                leg.transfers.hurry(now + LAST_WORD_OF_ALL);
            }
            self.arm(id);
        }
        self.stop_registrations(now);
    }

    /// True when no leg is left and no registration is under way.
    pub fn is_idle(&self) -> bool {
        self.legs.is_empty() && self.registrations.is_quiet()
    }

    /// Number of transactions held, for a gauge.
    pub fn transactions(&self) -> usize {
        self.transactions.len()
    }

    /// True until the leg has ended.
    pub fn has_leg(&self, leg: LegId) -> bool {
        self.legs.contains(&leg)
    }

    /// Number of legs held, for a gauge.
    pub fn legs(&self) -> usize {
        self.legs.len()
    }

    // === What the other files of this folder share ===

    pub(super) fn transmit(&mut self, flow: Flow, bytes: Bytes, transaction: Option<ClientKey>) {
        let domain = flow.domain.and_then(|id| self.domains.get(id)).cloned();
        self.outbox.push_back(Transmit {
            flow,
            bytes,
            transaction,
            domain,
        });
    }

    pub(super) fn emit(&mut self, event: UserAgentEvent) {
        self.events.push_back(event);
    }

    pub(super) fn notify_owner(&mut self, leg: LegId, event: Event) {
        self.events.push_back(UserAgentEvent::Leg(leg, event));
    }

    pub(super) fn reject(&mut self, reason: &'static str, source: SocketAddr) {
        self.emit(UserAgentEvent::Rejected { reason, source });
    }

    /// Removes a leg and everything that finds it.
    pub(super) fn forget(&mut self, leg: LegId, now: Instant) {
        if let Some(mut leg) = self.legs.remove(&leg) {
            if let Some(pending) = leg.take_pending() {
                // A request without an answer would be held for ever.
                self.refuse_pending(&pending, now);
            }
            self.deadlines.set(&Wake::Leg(leg.id), None);
        }
    }

    /// Arms the leg's timer anew.
    pub(super) fn arm(&mut self, leg: LegId) {
        if let Some(held) = self.legs.get(&leg) {
            self.deadlines.set(&Wake::Leg(leg), held.poll_timeout());
        }
    }

    /// A token of `bytes` random bytes in hexadecimal: tags, branches, Call-IDs, client nonces.
    pub(super) fn token(&mut self, bytes: usize) -> String {
        random_token(&mut self.random, bytes)
    }

    /// A number in 0..=1.
    pub(super) fn chance(&mut self) -> f64 {
        self.random.random::<f64>()
    }
}
