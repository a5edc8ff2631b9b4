//! `[trunk.registration]`: how we register, the trunk's own account and the lines of users.

use serde::{Deserialize, Serialize};

use crate::settings::error::{Collector, Error};
use crate::settings::rules::Key;

/// The table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkRegistration {
    /// Seconds that a registration is asked for.
    pub expires: u32,
    /// The user part of the registered Contact; absent: `username`, with a token where several
    /// registrations have the same user.
    pub contact_user: Option<String>,
    /// Register with Outbound (RFC 5626).
    pub outbound: bool,
}

impl Default for TrunkRegistration {
    fn default() -> Self {
        TrunkRegistration {
            expires: 300,
            contact_user: None,
            outbound: true,
        }
    }
}

impl TrunkRegistration {
    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        if self.contact_user.as_deref() == Some("") {
            let expected = "a user part, or no such key";
            found.push(Error::value(key("registration.contact_user"), "", expected));
        }
    }
}
