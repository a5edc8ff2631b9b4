//! `[trunk.aka]`: the subscriber of AKA digest (RFC 3310).

use serde::{Deserialize, Serialize};

use crate::settings::error::{Collector, Error};
use crate::settings::rules::{Key, not_empty};
use crate::settings::secret::Secret;

/// The table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkAka {
    /// Key of the subscriber: 32 hexadecimal digits, as `op` and `opc`.
    pub key: Option<Secret>,
    /// The operator's OP, where `opc` is not given.
    pub op: Option<Secret>,
    /// OPc.
    pub opc: Option<Secret>,
    /// AMF of resynchronisation: four hexadecimal digits.
    pub amf: String,
}

impl Default for TrunkAka {
    fn default() -> Self {
        TrunkAka {
            key: None,
            op: None,
            opc: None,
            amf: "0000".to_owned(),
        }
    }
}

impl TrunkAka {
    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        let operators = usize::from(self.op.is_some()) + usize::from(self.opc.is_some());
        if operators != usize::from(self.key.is_some()) {
            let expected = "aka.key and one of aka.op and aka.opc, or none of them";
            found.push(Error::secret(key("aka.key"), expected));
        }
        for (name, secret) in [
            ("aka.key", &self.key),
            ("aka.op", &self.op),
            ("aka.opc", &self.opc),
        ] {
            not_empty(key(name), secret.as_ref(), found);
        }
    }
}
