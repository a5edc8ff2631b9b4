//! Secrets of the configuration.

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::redacted::Redacted;

/// The name under which a secret asks to be read, so that errors do not show it.
pub(super) const SECRET: &str = "trunkline secret";

/// A credential: read as text, written as `***`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secret(pub Redacted<String>);

impl Secret {
    /// Whether nothing is there but blanks.
    pub fn is_empty(&self) -> bool {
        self.0.reveal().trim().is_empty()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Secret;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(Redacted::new(text.to_owned())))
            }
        }
        deserializer.deserialize_newtype_struct(SECRET, Text)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}
