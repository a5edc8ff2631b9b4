//! Instant messages (RFC 3428): their vocabulary, and what of a MESSAGE is a text for people.

use std::net::SocketAddr;

use crate::sip::stack::message::{Name, Request, header};
use crate::sip::stack::screening::Refusal;

/// Most bytes of a text, both ways.
pub const LONGEST_TEXT: usize = 4_096;
/// Content-Type of our MESSAGEs.
pub const CONTENT_TYPE: &str = "text/plain;charset=UTF-8";

/// A MESSAGE outside any dialog, ours or theirs, unique in its user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u64);

/// A text to send to somebody behind a trunk.
#[derive(Debug, Clone, Default)]
pub struct OutgoingMessage {
    /// Name of the trunk.
    pub trunk: String,
    /// User part of the request URI and of To.
    pub to_user: String,
    /// Whose account at the trunk it goes by, where there is one.
    pub account: Option<String>,
    /// User part of From, without an account.
    pub from_user: String,
    /// Display name of From.
    pub from_name: Option<String>,
    /// At most [`LONGEST_TEXT`] bytes.
    pub text: String,
}

/// A text that arrived; it waits for a status.
#[derive(Debug, Clone)]
pub struct IncomingMessage {
    /// To answer it by.
    pub id: MessageId,
    /// The trunk it came from; `None` when the source is nobody we know.
    pub trunk: Option<String>,
    /// The called number, as [`Incoming::request_user`](crate::sip::Incoming).
    pub request_user: String,
    /// As [`Incoming::otherwise`](crate::sip::Incoming).
    pub otherwise: Option<String>,
    /// The user of ours whose registered account it is for.
    pub account: Option<String>,
    /// The sender's number or user, by the trunk's policy; `anonymous` where withheld.
    pub from_user: String,
    /// The sender's display name.
    pub from_name: Option<String>,
    /// Call-ID, for logs.
    pub call_id: String,
    /// Where it came from.
    pub source: SocketAddr,
    /// At most [`LONGEST_TEXT`] bytes.
    pub text: String,
}

/// What became of a text of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageOutcome {
    /// Status of the final answer; 408 when none came, 503 when it could not be sent.
    pub status: u16,
    /// True when no peer said so.
    pub local: bool,
}

impl MessageOutcome {
    /// True when the next hop has it (RFC 3428 section 7: 200, or 202 for one kept for later).
    pub const fn is_sent(self) -> bool {
        matches!(self.status, 200..=299)
    }
}

/// The text of a MESSAGE: `text/plain` in UTF-8 and nothing else.
pub fn text(request: &Request) -> Result<String, Refusal> {
    if request.body.len() > LONGEST_TEXT {
        return Err(Refusal::plain(413));
    }
    let kind = header(&request.headers, &Name::CONTENT_TYPE).unwrap_or("");
    let (media_type, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let readable = media_type.trim().eq_ignore_ascii_case("text/plain")
        && parameters.split(';').all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            // US-ASCII is what text/plain has by default, and UTF-8 holds all of it.
            !name.trim().eq_ignore_ascii_case("charset")
                || value.eq_ignore_ascii_case("UTF-8")
                || value.eq_ignore_ascii_case("US-ASCII")
        });
    let text = readable.then(|| std::str::from_utf8(&request.body));
    match text {
        Some(Ok(text)) => Ok(text.to_owned()),
        _ => Err(Refusal::with(415, "Accept", CONTENT_TYPE)),
    }
}
