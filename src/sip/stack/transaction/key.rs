//! Which transaction and which dialog a message belongs to (RFC 3261 sections 12, 17.1.3 and
//! 17.2.3).
//!
//! A key is a hash under a secret of the user agent's own: it is copied, compared and kept as one
//! number, while the text that it stands for is as long as the sender likes, and nobody who does
//! not know the secret can find two texts with one key.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::method::Method;

/// Start of every branch that is unique by itself (RFC 3261 section 8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

type Digest = (u64, u64);

/// Key of a client transaction: branch and method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(Digest);

/// Key of a server transaction: branch, sent-by and method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey(Digest);

/// What requests have in common that are one request on several ways (section 8.2.2.2): Call-ID,
/// From tag and CSeq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MergeKey(Digest);

/// What every request of one caller in one call has: Call-ID and From tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallKey(Digest);

/// Key of a dialog, early ones of one INVITE of ours together: Call-ID and our tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DialogKey(Digest);

/// A table by one of these keys.
pub type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<Hashed>>;

/// Makes keys.
#[derive(Debug, Clone)]
pub struct Matching {
    secret: SipHasher13,
}

impl Matching {
    /// Keys under this secret.
    pub fn new(secret: &[u8; 16]) -> Self {
        Matching {
            secret: SipHasher13::new_with_key(secret),
        }
    }

    /// Of a request we send, or of a response to it.
    pub fn client(&self, branch: &str, method: &Method) -> ClientKey {
        ClientKey(self.digest(|hasher| (branch, method.as_str()).hash(hasher)))
    }

    /// Of a request that arrived: an ACK has its INVITE's key.
    pub fn server(&self, envelope: &Envelope) -> ServerKey {
        match &envelope.method {
            Method::Ack => self.invite(envelope),
            method => self.with_method(envelope, method),
        }
    }

    /// Of the INVITE that an ACK or a CANCEL belongs to (section 9.2).
    pub fn invite(&self, envelope: &Envelope) -> ServerKey {
        self.with_method(envelope, &Method::Invite)
    }

    /// Of the request whichever way it came.
    pub fn merged(&self, envelope: &Envelope) -> MergeKey {
        MergeKey(self.digest(|hasher| {
            origin(envelope).hash(hasher);
            envelope.method.as_str().hash(hasher);
        }))
    }

    /// Of the call and who sends in it.
    pub fn call(&self, envelope: &Envelope) -> CallKey {
        let (call_id, tag, _) = origin(envelope);
        CallKey(self.digest(|hasher| (call_id, tag).hash(hasher)))
    }

    /// Of a dialog.
    pub fn dialog(&self, call_id: &str, local_tag: &str) -> DialogKey {
        DialogKey(self.digest(|hasher| (call_id, local_tag).hash(hasher)))
    }

    fn with_method(&self, envelope: &Envelope, method: &Method) -> ServerKey {
        let branch: &str = &envelope.branch;
        ServerKey(self.digest(|hasher| {
            (branch, method.as_str()).hash(hasher);
            for octet in envelope.sent_by_host.bytes() {
                hasher.write_u8(octet.to_ascii_lowercase());
            }
            envelope.sent_by_port.hash(hasher);
            if branch.len() <= MAGIC_COOKIE.len() || !branch.starts_with(MAGIC_COOKIE) {
                // RFC 2543 branches repeat: the whole origin of the request tells it apart. The
                // To tag is left out, because the ACK carries the one that our response chose.
                hasher.write_u8(0xff);
                origin(envelope).hash(hasher);
            }
        }))
    }

    fn digest(&self, write: impl FnOnce(&mut SipHasher13)) -> Digest {
        let mut hasher = self.secret;
        write(&mut hasher);
        let digest = hasher.finish128();
        (digest.h1, digest.h2)
    }
}

/// Call-ID, From tag and number of a request.
fn origin(envelope: &Envelope) -> (&str, &str, u32) {
    (
        &envelope.call_id,
        envelope.from.tag().unwrap_or(""),
        envelope.sequence,
    )
}

/// Hasher of what is a hash already.
#[derive(Debug, Default, Clone, Copy)]
pub struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for octet in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*octet);
        }
    }

    fn write_u64(&mut self, half: u64) {
        self.0 ^= half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
