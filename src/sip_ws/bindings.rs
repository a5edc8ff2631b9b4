//! The bindings of all users: which connection each contact is reached by, and until when
//! (RFC 3261 section 10.3, RFC 5626 section 6).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::registration::Contact;
use crate::call::EndpointId;

/// Bindings of one user.
const MOST_OF_USER: usize = 64;

/// How long a binding stays after its time: some clients refresh in its last second, and the
/// connection says by itself when the client is gone.
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// One binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    pub contact: Contact,
    /// The connection by which the contact is reached.
    pub endpoint: EndpointId,
    /// When it ends, by what the client was told.
    pub expires: Instant,
}

/// A binding as a client is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub contact: Contact,
    /// That are left.
    pub seconds: u64,
}

/// What a new binding changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The connections that it takes the contact from: those that registered the same instance and
    /// reg-id.
    pub replaced: Vec<EndpointId>,
    /// Its connection had none.
    pub is_new: bool,
}

/// The user has as many bindings as one may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// The bindings of all users. A user without bindings takes no memory.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    by_user: HashMap<String, Vec<Binding>>,
}

impl Bindings {
    /// Adds a binding, or refreshes that of its connection.
    pub fn bind(&mut self, user: &str, binding: Binding) -> Result<Change, TooMany> {
        let bindings = self.by_user.entry(user.to_owned()).or_default();
        let is_same = |known: &Binding| {
            known.endpoint == binding.endpoint
                || known.contact.instance.is_some()
                    && known.contact.instance == binding.contact.instance
        };
        let same = bindings.extract_if(.., |known| is_same(known));
        let mut replaced: Vec<EndpointId> = same.map(|known| known.endpoint).collect();
        if bindings.len() >= MOST_OF_USER {
            return Err(TooMany);
        }
        let before = replaced.len();
        replaced.retain(|endpoint| *endpoint != binding.endpoint);
        let is_new = replaced.len() == before;
        bindings.push(binding);
        Ok(Change { replaced, is_new })
    }

    /// Ends the binding of a connection; false where it has none.
    pub fn remove(&mut self, user: &str, endpoint: EndpointId) -> bool {
        let Some(bindings) = self.by_user.get_mut(user) else {
            return false;
        };
        let before = bindings.len();
        bindings.retain(|binding| binding.endpoint != endpoint);
        let removed = bindings.len() < before;
        if bindings.is_empty() {
            self.by_user.remove(user);
        }
        removed
    }

    /// Ends all bindings of a user; gives their connections.
    pub fn remove_all(&mut self, user: &str) -> Vec<EndpointId> {
        let bindings = self.by_user.remove(user).unwrap_or_default();
        bindings
            .into_iter()
            .map(|binding| binding.endpoint)
            .collect()
    }

    /// The bindings of a user, for the answer to a REGISTER.
    pub fn of(&self, user: &str, now: Instant) -> Vec<Bound> {
        let bindings = self.by_user.get(user).into_iter().flatten();
        bindings
            .map(|binding| Bound {
                contact: binding.contact.clone(),
                seconds: binding.expires.saturating_duration_since(now).as_secs(),
            })
            .collect()
    }
}
