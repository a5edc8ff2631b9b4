//! `[trunk.inbound_auth]`: what the trunk's own calls must prove by digest.

use serde::{Deserialize, Serialize};

use crate::settings::error::Collector;
use crate::settings::rules::{Key, not_empty, together};
use crate::settings::secret::Secret;

/// The table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkInboundAuth {
    /// The name that it must show.
    pub username: Option<String>,
    /// The password that it must know.
    pub password: Option<Secret>,
}

impl TrunkInboundAuth {
    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        together(
            &key("inbound_auth.username"),
            self.username.is_some(),
            self.password.is_some(),
            "username and password together",
            found,
        );
        let password = key("inbound_auth.password");
        not_empty(password, self.password.as_ref(), found);
    }
}
