//! Which transaction a message belongs to (RFC 3261 sections 17.1.3 and 17.2.3).

use crate::sip::envelope::Envelope;
use crate::sip::method::Method;

/// Start of every branch that is unique by itself (RFC 3261 section 8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// Key of a client transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientKey(String);

impl ClientKey {
    /// Of a request we send, or of a response to it.
    pub fn new(branch: &str, method: &Method) -> Self {
        ClientKey(format!("{branch} {method}"))
    }
}

/// Key of a server transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey(String);

impl ServerKey {
    /// Of a request that arrived: an ACK has its INVITE's key.
    pub fn of(envelope: &Envelope) -> Self {
        let method = match &envelope.method {
            Method::Ack => &Method::Invite,
            method => method,
        };
        Self::with_method(envelope, method)
    }

    /// Of the INVITE that a CANCEL takes back (section 9.2).
    pub fn of_cancelled(envelope: &Envelope) -> Self {
        Self::with_method(envelope, &Method::Invite)
    }

    fn with_method(envelope: &Envelope, method: &Method) -> Self {
        let sent_by = envelope.sent_by.to_ascii_lowercase();
        if envelope.branch.len() > MAGIC_COOKIE.len() && envelope.branch.starts_with(MAGIC_COOKIE) {
            return ServerKey(format!("{} {sent_by} {method}", envelope.branch));
        }
        // RFC 2543 branches repeat: the whole origin of the request tells it apart. The To tag is
        // left out, because the ACK carries the one that our response chose.
        ServerKey(format!(
            "{} {sent_by} {} {} {} {method}",
            envelope.branch,
            envelope.call_id,
            envelope.from.tag().unwrap_or(""),
            envelope.sequence,
        ))
    }
}
