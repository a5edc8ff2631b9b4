//! Tokens that cannot be guessed: tags, branches and Call-IDs, each once.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use crate::sip::stack::transaction::key::MAGIC_COOKIE;

/// Hexadecimal digits of a tag.
const TAG_LENGTH: usize = 16;

/// Draws tokens from a secret: each is the keyed hash of its number.
#[derive(Debug)]
pub(super) struct Tokens {
    secret: SipHasher13,
    drawn: u64,
}

impl Tokens {
    pub fn new(secret: &[u8; 16]) -> Self {
        Tokens {
            secret: SipHasher13::new_with_key(secret),
            drawn: 0,
        }
    }

    /// For a Call-ID. Never one that the client chose: user agents take a Call-ID of their own that
    /// comes back for a loop (RFC 3261 section 8.2.2.2).
    pub fn call_id(&mut self) -> String {
        self.drawn += 1;
        let mut hasher = self.secret;
        hasher.write_u64(self.drawn);
        let digest = hasher.finish128();
        format!("{:016x}{:016x}", digest.h1, digest.h2)
    }

    /// For From and To (RFC 3261 section 19.3).
    pub fn tag(&mut self) -> String {
        let mut token = self.call_id();
        token.truncate(TAG_LENGTH);
        token
    }

    /// For Via (RFC 3261 section 8.1.1.7).
    pub fn branch(&mut self) -> String {
        format!("{MAGIC_COOKIE}{}", self.tag())
    }
}
