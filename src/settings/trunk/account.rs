//! `[[trunk]]`: who we are there.

use serde::{Deserialize, Serialize};

use crate::settings::error::Collector;
use crate::settings::rules::{Key, no_guest, not_empty};
use crate::settings::secret::Secret;

/// Keys of `[[trunk]]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkAccount {
    /// The host part of From and To; absent: that of `target`.
    pub domain: Option<String>,
    /// The user who is registered, and the name for digest authentication; one with `@` is the
    /// latter only where `from_user` is given.
    pub username: Option<String>,
    /// The name for digest authentication; absent: `username`.
    pub auth_username: Option<String>,
    /// Likewise.
    pub password: Option<Secret>,
    /// Register `username` at the PBX.
    pub register: bool,
    /// The user part of From; absent: the client's user, or `username` where we register.
    pub from_user: Option<String>,
}

impl TrunkAccount {
    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        not_empty(key("password"), self.password.as_ref(), found);
        for (name, user) in [("username", &self.username), ("from_user", &self.from_user)] {
            if let Some(user) = user {
                no_guest(key(name), user, found);
            }
        }
    }
}
