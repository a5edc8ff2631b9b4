//! Addresses (name-addr and addr-spec of RFC 3261 section 25.1).
//!
//! The URI is kept as it was written: route sets, targets and the From and To of a dialog must come
//! back to the peer byte for byte. [`Uri`] reads its parts when they are needed.

use std::fmt;
use std::net::IpAddr;

use super::escapes::{escape_user, unescape, unquote};
use super::lists::{find_outside_quotes, param_of, params_of};
use super::octets::shown;
use super::uri::Uri;
use crate::display_name::visible;

/// A From, To, Contact, Route or Record-Route value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Display name without quotes and escapes.
    pub name: Option<String>,
    /// URI as written, without angle brackets.
    pub uri: String,
    /// Header parameters in order, each as `;name=value`; names in lower case.
    params: String,
}

/// The parts of an address where they stand.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Display name, with its quotes.
    pub name: &'a str,
    /// URI without angle brackets.
    pub uri: &'a str,
    /// Header parameters from the first `;` on.
    pub params: &'a str,
}

/// Room for a tag of ours.
const TAG_LENGTH: usize = 24;

/// An address that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {0:?} cannot be read")]
pub struct BadAddress(pub String);

impl Address {
    /// An address with no name and no parameters.
    pub fn new(uri: impl Into<String>) -> Self {
        Address {
            name: None,
            uri: uri.into(),
            params: String::new(),
        }
    }

    /// Reads one address.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        Parts::find(text).map(Self::of)
    }

    /// Reads one address whose URI is only written back or looked at.
    pub fn parse_lenient(text: &str) -> Option<Self> {
        Parts::find_lenient(text).map(Self::of)
    }

    fn of(found: Parts<'_>) -> Self {
        let mut params = String::with_capacity(found.params.len() + TAG_LENGTH);
        for (name, value) in params_of(found.params) {
            params.push(';');
            params.extend(name.chars().map(|c| c.to_ascii_lowercase()));
            if let Some(value) = value {
                params.push('=');
                params.push_str(value);
            }
        }
        Address {
            name: unquote(found.name).filter(|name| !name.is_empty()),
            uri: found.uri.to_owned(),
            params,
        }
    }

    /// A parameter's value; empty for one without a value.
    pub fn param(&self, name: &str) -> Option<&str> {
        param_of(&self.params, name)
    }

    /// The tag parameter.
    pub fn tag(&self) -> Option<&str> {
        self.param("tag").filter(|tag| !tag.is_empty())
    }

    /// Adds a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.push_str(";tag=");
        self.params.push_str(tag);
        self
    }
}

impl<'a> Parts<'a> {
    /// Finds the parts of one address.
    pub fn find(text: &'a str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.chars().take(100).collect());
        let text = text.trim();
        let (name, uri, params) = match find_outside_quotes(text, '<') {
            Some(open) => {
                let close = open + text[open..].find('>').ok_or_else(bad)?;
                (
                    text[..open].trim(),
                    &text[open + 1..close],
                    &text[close + 1..],
                )
            }
            // Without brackets every parameter belongs to the header (section 20.10).
            None => {
                let end = text.find(';').unwrap_or(text.len());
                ("", &text[..end], &text[end..])
            }
        };
        let uri = uri.trim();
        if !uri.contains(':')
            || uri.contains(|c: char| {
                c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"')
            })
        {
            return Err(bad());
        }
        let params = params.trim();
        if !params.is_empty() && !params.starts_with(';') {
            return Err(bad());
        }
        Ok(Parts { name, uri, params })
    }

    /// Finds the parts of an address that a peer wants its requests at, however it is written: what
    /// stands between the brackets, or before the parameters, is the URI. Only control characters
    /// are refused, and what has no scheme: such a URI would become a request line (RFC 3261
    /// section 7.1) that ends or is misread within it, and an escaped one would be another URI than
    /// the peer's (section 12.2.1.1).
    pub fn find_lenient(text: &'a str) -> Option<Self> {
        if let Ok(found) = Self::find(text) {
            return Some(found);
        }
        let text = text.trim();
        let (name, uri, rest) = match find_outside_quotes(text, '<').or_else(|| text.find('<')) {
            Some(open) => {
                let inner = &text[open + 1..];
                let (uri, rest) = inner.split_once('>').unwrap_or((inner, ""));
                (text[..open].trim(), uri, rest)
            }
            None => {
                let user = text.find('@').unwrap_or(0);
                let end = text[user..].find(';').map_or(text.len(), |end| user + end);
                ("", &text[..end], &text[end..])
            }
        };
        let uri = uri.trim();
        let params = rest.find(';').map_or("", |at| &rest[at..]);
        let usable = uri.contains(':') && !uri.contains(|c: char| c.is_ascii_control());
        usable.then_some(Parts { name, uri, params })
    }

    /// The tag parameter.
    pub fn tag(&self) -> Option<&'a str> {
        param_of(self.params, "tag").filter(|tag| !tag.is_empty())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name.as_deref().and_then(visible) {
            f.write_str("\"")?;
            for c in name.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\" ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// User part of a URI, unescaped; the number of a `tel:` URI; empty when there is none.
pub fn user_of(uri: &str) -> String {
    let uri = Uri::read(uri);
    let read = uri.is_sip() || uri.is_tel();
    shown(unescape(uri.user().filter(|_| read).unwrap_or("")))
}

/// Writes a `sip:` URI.
pub fn sip_uri(user: &str, host: &str) -> String {
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    };
    if user.is_empty() {
        format!("sip:{host}")
    } else {
        format!("sip:{}@{host}", escape_user(user))
    }
}

/// True when a route URI carries `lr` (loose routing, RFC 3261 section 16.12).
pub fn is_loose(uri: &str) -> bool {
    Uri::read(uri).is_loose()
}
