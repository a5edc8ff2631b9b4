//! Which registration a trunk, a user or a Contact belongs to.

use std::collections::HashMap;

use super::action::RegistrationId;
use super::entry::RegistrationEntry;
use crate::sip::stack::address::user_of;
use crate::sip::stack::uri::Uri;
use crate::sip::trunk::config::Registered;
use crate::sip::trunk::contact::{ContactUser, LINE};

/// The names of all registrations.
#[derive(Debug, Default)]
pub struct ContactIndex {
    by_trunk: HashMap<usize, RegistrationId>,
    by_account: HashMap<String, Vec<RegistrationId>>,
    /// By the user part with its token.
    by_user: HashMap<String, RegistrationId>,
    /// By the token alone.
    by_line: HashMap<String, RegistrationId>,
    /// By trunk and user, where the user has no token.
    by_plain: HashMap<(usize, String), RegistrationId>,
}

impl ContactIndex {
    /// Takes the names of one registration.
    pub fn add(&mut self, id: RegistrationId, entry: &RegistrationEntry) {
        match &entry.account {
            None => {
                self.by_trunk.insert(entry.trunk, id);
            }
            Some(user) => self.by_account.entry(user.clone()).or_default().push(id),
        }
        if entry.registered == Registered::Never {
            return;
        }
        let contact = &entry.contact_user;
        match &contact.line {
            Some(line) => {
                self.by_line.insert(line.clone(), id);
                let plain = (entry.trunk, contact.user.clone());
                self.by_plain.insert(plain, id);
            }
            None => {
                self.by_user.insert(contact.user.clone(), id);
            }
        }
    }

    /// That of a trunk itself.
    pub fn of_trunk(&self, trunk: usize) -> Option<RegistrationId> {
        self.by_trunk.get(&trunk).copied()
    }

    /// The accounts of a user.
    pub fn of_account(&self, user: &str) -> &[RegistrationId] {
        self.by_account.get(user).map_or(&[], Vec::as_slice)
    }

    /// The one whose Contact a request URI is, by its token.
    pub fn of_contact(&self, uri: &str) -> Option<RegistrationId> {
        let line = Uri::read(uri).param(LINE);
        let by_line = line.and_then(|line| self.by_line.get(line));
        by_line.or_else(|| self.by_user.get(&user_of(uri))).copied()
    }

    /// The one that a request of this trunk is for: by its token, or by its user where the
    /// registrar has dropped the token.
    pub fn called(&self, uri: &str, trunk: Option<usize>) -> Option<RegistrationId> {
        self.of_contact(uri)
            .or_else(|| self.by_plain.get(&(trunk?, user_of(uri))).copied())
    }

    /// The one that has this Contact.
    pub fn with_contact(&self, contact: &ContactUser) -> Option<RegistrationId> {
        match &contact.line {
            Some(line) => self.by_line.get(line).copied(),
            None => self.by_user.get(&contact.user).copied(),
        }
    }
}
