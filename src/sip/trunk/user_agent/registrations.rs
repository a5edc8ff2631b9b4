//! All registrations: one per trunk that asks for it, one per account; found by trunk, by user and
//! by the contact that was registered.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use rand::rngs::StdRng;
use sha2::{Digest as _, Sha256};

use super::contact::{ContactUser, LINE};
use super::keep_alive::Way;
use super::tokens::random_token;
use crate::sip::stack::address::user_of;
use crate::sip::stack::digest::Authorizer;
use crate::sip::stack::digest::Credentials;
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::stack::uri::Uri;
use crate::sip::trunk::config::{Account, Config, Registered, Registration};
use crate::sip::trunk::event::{RegistrationState, RegistrationStatus};
use crate::sip::trunk::registration::Registering;

/// Names one registration as long as the user agent lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistrationId(pub usize);

/// REGISTERs under way at one trunk: a PBX with thousands of lines is not flooded, and a dead one
/// delays no other.
pub const IN_FLIGHT: usize = 50;

/// One registration and the names it goes by.
#[derive(Debug)]
pub struct RegistrationEntry {
    /// Index of its trunk.
    pub trunk: usize,
    /// The user whose account it is; `None` for the trunk's own.
    pub account: Option<String>,
    /// When it is registered.
    pub registered: Registered,
    pub machine: Registering,
    pub credentials: Option<Credentials>,
    pub authorizer: Option<Authorizer>,
    /// User part of the address of record.
    pub user: String,
    /// Our Contact: with a token that cannot be guessed, so that a call to it must come from the
    /// registrar.
    pub contact_user: ContactUser,
    /// `urn:uuid` of RFC 5626 section 4.1; `None` where Outbound is not wanted or was refused.
    pub instance: Option<String>,
    pub sequence: u32,
    pub call_id: String,
    pub tag: String,
    /// URIs of the preloaded routes of its calls (RFC 3608).
    pub service_route: Vec<String>,
    /// URIs that the registrar associated with it, the default one first (RFC 7315 section 4.1).
    pub associated: Vec<String>,
    /// The way of its last accepted REGISTER, where the registrar does Outbound (RFC 5626): protocol
    /// and peer.
    pub outbound_flow: Option<(Transport, SocketAddr)>,
    /// The way of its last accepted REGISTER, whatever the registrar does.
    pub way: Option<Way>,
    /// True while it waits in its trunk's lane.
    pub queued: bool,
    /// True while a REGISTER has no final answer.
    pub in_flight: bool,
}

/// REGISTERs of one trunk that wait for their turn.
#[derive(Debug, Default)]
pub struct Lane {
    pub waiting: VecDeque<RegistrationId>,
    pub in_flight: usize,
    /// True while it is being worked off: a send that fails at once comes back here.
    pub busy: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Registrations {
    entries: Vec<RegistrationEntry>,
    by_trunk: HashMap<usize, RegistrationId>,
    by_account: HashMap<String, Vec<RegistrationId>>,
    /// By the user part with its token.
    by_user: HashMap<String, RegistrationId>,
    /// By the token alone.
    by_line: HashMap<String, RegistrationId>,
    /// By trunk and user, where the user has no token.
    by_plain: HashMap<(usize, String), RegistrationId>,
    pub lanes: HashMap<usize, Lane>,
}

impl Registrations {
    /// What the trunks of `config` ask for.
    pub fn new(config: &Config, random: &mut StdRng) -> Self {
        let mut all = Registrations::default();
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
            let accounts = trunk.accounts.iter().map(|account: &Account| {
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
                all.add(RegistrationEntry {
                    trunk: index,
                    account,
                    registered,
                    machine: Registering::new(registration.expires),
                    authorizer: credentials
                        .clone()
                        .map(|own| Authorizer::new(own).with_subscriber(subscriber)),
                    credentials,
                    user: registration.user.clone(),
                    contact_user: ContactUser::of_registration(contact_user, plain, token),
                    instance,
                    sequence: 0,
                    call_id: random_token(random, 16),
                    tag: random_token(random, 8),
                    service_route: Vec::new(),
                    associated: Vec::new(),
                    outbound_flow: None,
                    way: None,
                    queued: false,
                    in_flight: false,
                });
            }
        }
        all
    }

    fn add(&mut self, entry: RegistrationEntry) {
        let id = RegistrationId(self.entries.len());
        match &entry.account {
            None => {
                self.by_trunk.insert(entry.trunk, id);
            }
            Some(user) => self.by_account.entry(user.clone()).or_default().push(id),
        }
        if entry.registered != Registered::Never {
            match &entry.contact_user.line {
                Some(line) => {
                    self.by_line.insert(line.clone(), id);
                    let plain = (entry.trunk, entry.contact_user.user.clone());
                    self.by_plain.insert(plain, id);
                }
                None => {
                    self.by_user.insert(entry.contact_user.user.clone(), id);
                }
            }
        }
        self.entries.push(entry);
    }

    /// One of them.
    pub fn get(&self, id: RegistrationId) -> Option<&RegistrationEntry> {
        self.entries.get(id.0)
    }

    /// One of them.
    pub fn get_mut(&mut self, id: RegistrationId) -> Option<&mut RegistrationEntry> {
        self.entries.get_mut(id.0)
    }

    /// The one that a call through `trunk` goes out under: the account that `user` has there, else
    /// the trunk's own.
    pub fn of_caller(&self, trunk: usize, user: Option<&str>) -> Option<&RegistrationEntry> {
        let account = user
            .and_then(|user| self.by_account.get(user))
            .and_then(|ids| ids.iter().find(|id| self.entries[id.0].trunk == trunk));
        let id = account.or_else(|| self.by_trunk.get(&trunk))?;
        self.entries.get(id.0)
    }

    /// The one whose Contact a request URI is, by its token.
    pub fn of_contact(&self, uri: &str) -> Option<&RegistrationEntry> {
        let line = Uri::read(uri).param(LINE);
        let by_line = line.and_then(|line| self.by_line.get(line));
        let id = by_line.or_else(|| self.by_user.get(&user_of(uri)))?;
        self.entries.get(id.0)
    }

    /// The one that a request of this trunk is for: by its token, or by its user where the
    /// registrar has dropped the token.
    pub fn called(&self, uri: &str, trunk: Option<usize>) -> Option<&RegistrationEntry> {
        self.of_contact(uri).or_else(|| {
            let id = self.by_plain.get(&(trunk?, user_of(uri)))?;
            self.entries.get(id.0)
        })
    }

    /// The one that has this Contact.
    pub fn with_contact(&self, contact: &ContactUser) -> Option<&RegistrationEntry> {
        let id = match &contact.line {
            Some(line) => self.by_line.get(line),
            None => self.by_user.get(&contact.user),
        };
        self.entries.get(id?.0)
    }

    /// The accounts of `user` that are registered while it is there.
    pub fn of_present(&self, user: &str) -> Vec<RegistrationId> {
        let ids = self.by_account.get(user).into_iter().flatten();
        ids.copied()
            .filter(|id| self.entries[id.0].registered == Registered::Present)
            .collect()
    }

    /// Every one with its name, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = (RegistrationId, &RegistrationEntry)> {
        let numbered = self.entries.iter().enumerate();
        numbered.map(|(index, entry)| (RegistrationId(index), entry))
    }

    /// True when no REGISTER is wanted or under way.
    pub fn is_quiet(&self) -> bool {
        self.entries.iter().all(|entry| entry.machine.is_quiet())
    }
}

impl RegistrationEntry {
    /// True where what leaves this way goes by the flow that was registered, and the registrar
    /// brings requests back on it.
    pub fn is_outbound(&self, transport: Transport, remote: SocketAddr) -> bool {
        self.outbound_flow == Some((transport, remote))
            && self.machine.state() == RegistrationState::Registered
    }

    /// As the operator sees it.
    pub fn status(&self, config: &Config) -> RegistrationStatus {
        RegistrationStatus {
            trunk: config.trunks[self.trunk].name.clone(),
            account: self.account.clone(),
            state: self.machine.state(),
        }
    }
}

/// The instance of one registration (RFC 5626 section 4.1): the same after a restart, because it
/// comes from what lasts alone; another for each gateway, because it is installed elsewhere or
/// listens elsewhere. A version 8 UUID (RFC 9562 section 5.8).
fn instance(config: &Config, trunk: &str, registration: &Registration) -> String {
    let mut hash = Sha256::new();
    for listen in &config.listen {
        hash.update(format!("{} {} ", listen.transport, listen.address));
    }
    hash.update(config.advertised.map_or(String::new(), |ip| ip.to_string()));
    let installation = config.installation.as_ref();
    let installation = installation.map_or("", |named| named.reveal().as_str());
    for part in [trunk, &registration.user, installation] {
        hash.update([0]);
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
