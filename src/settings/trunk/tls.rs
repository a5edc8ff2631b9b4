//! `[trunk.tls]`: TLS with one trunk.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::settings::error::Collector;
use crate::settings::rules::{Key, together};

/// The table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkTls {
    /// Whether its certificate must bear its name.
    pub verify: bool,
    /// The name that its certificate must bear; absent: the host of `target`.
    pub name: Option<String>,
    /// A PEM certificate to show to it instead of `sip.tls.certificate`.
    pub certificate: Option<PathBuf>,
    /// Its PEM key.
    pub certificate_key: Option<PathBuf>,
}

impl Default for TrunkTls {
    fn default() -> Self {
        TrunkTls {
            verify: true,
            name: None,
            certificate: None,
            certificate_key: None,
        }
    }
}

impl TrunkTls {
    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        together(
            &key("tls.certificate"),
            self.certificate.is_some(),
            self.certificate_key.is_some(),
            "tls.certificate and tls.certificate_key together",
            found,
        );
    }
}
