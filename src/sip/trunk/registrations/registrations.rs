//! All registrations with their transitions: one per trunk that asks for it, one per account.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;

use super::action::{RegistrationAction, RegistrationId};
use super::contact_index::ContactIndex;
use super::entry::{Granted, RegistrationEntry};
use super::instance::instance;
use super::machine::{Outcome, Registering};
use super::register_queues::RegisterQueues;
use super::register_request::RegisterRequests;
use crate::sip::stack::digest::Authorizer;
use crate::sip::stack::flow::{Flow, FlowKey};
use crate::sip::stack::message::{Name, Request, Response, header};
use crate::sip::stack::tokens::random_token;
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::trunk::config::{Config, Registered, Trunk};
use crate::sip::trunk::contact::ContactUser;
use crate::sip::trunk::event::{RegistrationState, RegistrationStatus};
use crate::sip::trunk::network_headers::NetworkHeaders;
use crate::timer_queue::KeyedTimers;

/// How long the account of a user who has gone stays registered: a page that is loaded again, or
/// changes its network, loses no call.
const GRACE: Duration = Duration::from_secs(30);

/// All of them.
#[derive(Debug)]
pub struct Registrations {
    entries: Vec<RegistrationEntry>,
    index: ContactIndex,
    queues: RegisterQueues,
    timers: KeyedTimers<RegistrationId>,
    actions: VecDeque<RegistrationAction>,
    /// True while the actions are carried out.
    is_busy: bool,
}

impl Registrations {
    /// What the trunks of `config` ask for, none begun.
    pub fn new(config: &Config, random: &mut StdRng) -> Self {
        let mut all = Registrations {
            entries: Vec::new(),
            index: ContactIndex::default(),
            queues: RegisterQueues::default(),
            timers: KeyedTimers::default(),
            actions: VecDeque::new(),
            is_busy: false,
        };
        let mut users: HashMap<&str, usize> = HashMap::new();
        for trunk in &config.trunks {
            let accounts = trunk.accounts.iter().map(|account| &account.registration);
            for registration in trunk.registration.iter().chain(accounts) {
                *users.entry(&registration.user).or_default() += 1;
            }
        }
        for (index, trunk) in config.trunks.iter().enumerate() {
            let own = trunk.registration.iter().map(|registration| {
                let credentials = trunk.credentials.clone();
                (None, registration, credentials, Registered::Always)
            });
            let accounts = trunk.accounts.iter().map(|account| {
                (
                    Some(account.user.clone()),
                    &account.registration,
                    account.credentials.clone(),
                    account.registered,
                )
            });
            for (account, registration, credentials, registered) in own.chain(accounts) {
                let instance = registration
                    .outbound
                    .then(|| instance(config, &trunk.name, registration));
                // Accounts have passwords: the key is the trunk's.
                let keyed = account.is_none() && trunk.aka.is_some();
                let subscriber = keyed.then_some(index);
                let token = random_token(random, 8);
                let named = trunk.contact_user.as_deref();
                let named = named.filter(|_| account.is_none());
                let plain = named.is_some() || users.get(registration.user.as_str()) == Some(&1);
                let contact_user = named.unwrap_or(&registration.user);
                let authorizer = credentials
                    .clone()
                    .map(|own| Authorizer::new(own).with_subscriber(subscriber));
                all.add(RegistrationEntry {
                    trunk: index,
                    account,
                    registered,
                    credentials,
                    user: registration.user.clone(),
                    contact_user: ContactUser::of_registration(contact_user, plain, token),
                    granted: Granted::default(),
                    requests: RegisterRequests {
                        authorizer,
                        instance,
                        sequence: 0,
                        call_id: random_token(random, 16),
                        tag: random_token(random, 8),
                    },
                    machine: Registering::new(registration.expires),
                    queued: false,
                    in_flight: false,
                });
            }
        }
        all
    }

    fn add(&mut self, entry: RegistrationEntry) {
        self.index.add(RegistrationId(self.entries.len()), &entry);
        self.entries.push(entry);
    }

    // === Which registration it is ===

    /// One of them.
    pub fn get(&self, id: RegistrationId) -> Option<&RegistrationEntry> {
        self.entries.get(id.0)
    }

    /// The one that a call through `trunk` goes out under: the account that `user` has there, else
    /// the trunk's own.
    pub fn of_caller(&self, trunk: usize, user: Option<&str>) -> Option<&RegistrationEntry> {
        let accounts = user.map_or(&[][..], |user| self.index.of_account(user));
        let account = accounts.iter().find(|id| self.entries[id.0].trunk == trunk);
        let id = account.copied().or_else(|| self.index.of_trunk(trunk))?;
        self.get(id)
    }

    /// The one whose Contact a request URI is, by its token.
    pub fn of_contact(&self, uri: &str) -> Option<&RegistrationEntry> {
        self.get(self.index.of_contact(uri)?)
    }

    /// The one that a request of this trunk is for: by its token, or by its user where the
    /// registrar has dropped the token.
    pub fn called(&self, uri: &str, trunk: Option<usize>) -> Option<&RegistrationEntry> {
        self.get(self.index.called(uri, trunk)?)
    }

    /// The one that has this Contact.
    pub fn with_contact(&self, contact: &ContactUser) -> Option<&RegistrationEntry> {
        self.get(self.index.with_contact(contact)?)
    }

    /// True where a registration came by this flow to a registrar that does Outbound.
    pub fn is_outbound_flow(&self, transport: Transport, remote: SocketAddr) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| entry.is_outbound(transport, remote))
    }

    /// True where a registration that holds came by this flow.
    pub fn is_registered_by(&self, key: FlowKey) -> bool {
        self.entries.iter().any(|entry| {
            entry.granted.flow == Some(key)
                && entry.machine.state() == RegistrationState::Registered
        })
    }

    /// State of each, in the order of the configuration.
    pub fn statuses(&self, config: &Config) -> Vec<RegistrationStatus> {
        let statuses = self.entries.iter().map(|entry| entry.status(config));
        statuses.collect()
    }

    /// True when no REGISTER is wanted or under way.
    pub fn is_quiet(&self) -> bool {
        self.entries.iter().all(|entry| entry.machine.is_quiet())
    }

    // === Transitions ===

    /// Begins those that are always registered.
    pub fn start(&mut self) {
        for index in 0..self.entries.len() {
            if self.entries[index].registered == Registered::Always {
                self.change(RegistrationId(index), Registering::start);
            }
        }
    }

    /// Takes all of them back.
    pub fn stop(&mut self) {
        for index in 0..self.entries.len() {
            self.change(RegistrationId(index), Registering::stop);
        }
    }

    /// `user` is there (has a client signed in), or has gone: the accounts that are registered
    /// while it is there follow.
    pub fn set_presence(&mut self, user: &str, present: bool, now: Instant) {
        let accounts = self.index.of_account(user).to_vec();
        for id in accounts {
            if self.entries[id.0].registered == Registered::Present {
                self.change(id, |machine| {
                    if present {
                        machine.start();
                    } else {
                        machine.release(now + GRACE);
                    }
                });
            }
        }
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(id) = self.timers.expired(now) {
            self.change(id, |machine| machine.handle_timeout(now));
        }
    }

    /// A REGISTER was accepted by this flow: gives for how many seconds it asked.
    pub fn accept_flow(
        &mut self,
        id: RegistrationId,
        flow: Flow,
        request: &Request,
        response: &Response,
    ) -> u32 {
        let expires = header(&request.headers, &Name::EXPIRES);
        let seconds = expires.and_then(|value| value.trim().parse().ok());
        let seconds = seconds.unwrap_or(0);
        if let Some(entry) = self.entries.get_mut(id.0) {
            entry.accept_flow(flow, seconds, response);
        }
        seconds
    }

    /// Takes the final answer to a REGISTER. `spread` in 0..=1 shortens a wait.
    pub fn handle_response(
        &mut self,
        id: RegistrationId,
        response: &Response,
        spread: f64,
        now: Instant,
    ) {
        let Some(entry) = self.entries.get_mut(id.0) else {
            return;
        };
        let headers = &response.headers;
        let seconds = |name: Name| {
            let value = header(headers, &name)?;
            // Retry-After may carry a comment and parameters.
            let digits = value.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        // An edge that cannot do Outbound (RFC 5626 section 6): once more without.
        let without_outbound = response.status == 439 && entry.requests.instance.take().is_some();
        if (200..300).contains(&response.status) {
            entry.granted.accept(headers);
        }
        let outcome = Outcome {
            status: response.status,
            granted: entry
                .contact_user
                .granted(headers)
                .or_else(|| seconds(Name::EXPIRES)),
            minimum: seconds(Name::MIN_EXPIRES),
            retry_after: seconds(Name::RETRY_AFTER),
        };
        self.finish(id);
        self.change(id, |machine| {
            if without_outbound {
                machine.again();
            } else {
                machine.handle(outcome, spread, now);
            }
        });
    }

    /// A REGISTER got no final answer (408) or could not be sent (503).
    pub fn handle_failure(&mut self, id: RegistrationId, status: u16, spread: f64, now: Instant) {
        self.finish(id);
        self.change(id, |machine| {
            machine.handle(Outcome::bare(status), spread, now);
        });
    }

    /// A flow to this peer has failed: what was registered by it is registered again (RFC 5626
    /// section 4.5).
    pub fn handle_flow_failure(&mut self, transport: Transport, remote: SocketAddr) {
        for index in 0..self.entries.len() {
            let granted = &mut self.entries[index].granted;
            let of_flow = |flow: &mut (Transport, SocketAddr)| *flow == (transport, remote);
            if granted.outbound_flow.take_if(of_flow).is_some() {
                self.change(RegistrationId(index), Registering::renew);
            }
        }
    }

    /// A REGISTER has its final answer: the next of its trunk may go.
    fn finish(&mut self, id: RegistrationId) {
        if let Some(entry) = self.entries.get_mut(id.0)
            && std::mem::take(&mut entry.in_flight)
        {
            self.queues.finish(entry.trunk);
        }
    }

    /// Applies a change, queues what it wants sent, tells of a new state.
    fn change(&mut self, id: RegistrationId, change: impl FnOnce(&mut Registering)) {
        let Some(entry) = self.entries.get_mut(id.0) else {
            return;
        };
        let trunk = entry.trunk;
        let before = entry.machine.state();
        change(&mut entry.machine);
        let queue = entry.machine.is_ready() && !entry.queued;
        entry.queued |= queue;
        let state = entry.machine.state();
        self.timers.set(&id, entry.machine.poll_timeout());
        if state != before {
            self.actions
                .push_back(RegistrationAction::Tell { id, before, state });
        }
        if queue {
            self.queues.push(trunk, id);
        }
        while let Some(id) = self.queues.pop(trunk) {
            let Some(entry) = self.entries.get_mut(id.0) else {
                continue;
            };
            entry.queued = false;
            // One that was stopped meanwhile wants nothing more.
            if let Some(expires) = entry.machine.poll() {
                entry.in_flight = true;
                self.queues.begin(trunk);
                self.actions
                    .push_back(RegistrationAction::Send { id, expires });
            }
        }
    }

    /// False while the actions are carried out already: a REGISTER that fails at once is followed
    /// by the next one of its trunk, and thousands of them must not nest.
    pub fn begin_actions(&mut self) -> bool {
        !std::mem::replace(&mut self.is_busy, true)
    }

    /// All actions have been carried out.
    pub fn end_actions(&mut self) {
        self.is_busy = false;
    }

    /// The next thing to do or to tell.
    pub fn poll_action(&mut self) -> Option<RegistrationAction> {
        self.actions.pop_front()
    }

    /// When [`Registrations::handle_timeout`] is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    // === Its requests ===

    /// The next REGISTER of one, and the parameters of its Contact.
    pub fn request(
        &mut self,
        id: RegistrationId,
        expires: u32,
        trunk: &Trunk,
        network: &NetworkHeaders,
    ) -> Option<(Request, String)> {
        let entry = self.entries.get_mut(id.0)?;
        let requests = &mut entry.requests;
        Some(requests.next(&entry.user, expires, trunk, network))
    }

    /// What answers the challenges to its REGISTERs.
    pub fn authorizer_mut(&mut self, id: RegistrationId) -> Option<&mut Authorizer> {
        self.entries.get_mut(id.0)?.requests.authorizer.as_mut()
    }

    /// The CSeq of its next REGISTER, where that is the last one once more.
    pub fn next_sequence(&mut self, id: RegistrationId) -> Option<u32> {
        let sequence = &mut self.entries.get_mut(id.0)?.requests.sequence;
        *sequence += 1;
        Some(*sequence)
    }
}
