//! Addresses (name-addr and addr-spec of RFC 3261 section 25.1) and lists of them.
//!
//! The URI is kept as it was written: route sets, targets and the From and To of a dialog must come
//! back to the peer byte for byte. [`Uri`] reads its parts when they are needed.

use std::fmt;
use std::net::IpAddr;

use super::config::{Target, Transport};
use super::message::{Name, Request, first_element};
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

/// The elements of a list: what stands between commas outside quotes and angle brackets.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find_comma(text);
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim())
    })
    .filter(|element| !element.is_empty())
}

/// The same, collected.
pub fn split_list(text: &str) -> Vec<&str> {
    list(text).collect()
}

fn find_comma(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped, mut bracket) = (false, false, false);
    text.bytes().position(|octet| {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !bracket => quoted = !quoted,
            b'<' if !quoted => bracket = true,
            b'>' if !quoted => bracket = false,
            b',' => return !quoted && !bracket,
            _ => {}
        }
        false
    })
}

/// The pairs of `;name=value;name`, as they stand.
pub fn params_of(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find_outside_quotes(text, ';');
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim())
    })
    .filter(|part| !part.is_empty())
    .map(|part| match part.split_once('=') {
        Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
        None => (part, None),
    })
}

/// The value of the first parameter of that name; empty for one without a value.
fn param_of<'a>(params: &'a str, name: &str) -> Option<&'a str> {
    params_of(params)
        .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.unwrap_or(""))
}

/// Splits `;name=value;name` into pairs with lower-case names.
pub fn split_params(text: &str) -> Vec<(String, Option<String>)> {
    params_of(text)
        .map(|(name, value)| (name.to_ascii_lowercase(), value.map(str::to_owned)))
        .collect()
}

/// Byte position of the first `wanted`, an ASCII character, that stands outside quotes.
pub fn find_outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|octet| {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            octet => return !quoted && char::from(octet) == wanted,
        }
        false
    })
}

/// A display name without its quotes and escapes.
pub fn unquote(text: &str) -> Option<String> {
    unquoted(text).map(shown)
}

fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return Some(text.trim_matches('"').to_owned());
    };
    let (mut plain, mut escaped) = (String::with_capacity(inner.len()), false);
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    Some(plain)
}

/// User part of a URI, unescaped; the number of a `tel:` URI; empty when there is none.
pub fn user_of(uri: &str) -> String {
    let uri = Uri::read(uri);
    let read = uri.is_sip() || uri.is_tel();
    shown(unescape(uri.user().filter(|_| read).unwrap_or("")))
}

/// A text without its %-escapes.
pub fn unescape(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Escapes a user part (RFC 3261 section 25.1, `user`).
pub fn escape_user(user: &str) -> String {
    let mut escaped = String::with_capacity(user.len());
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            escaped.push(byte as char);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
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

/// Where a request goes next, read from a URI or a trunk's target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// IP address without brackets, or name.
    pub host: String,
    /// Port, where one is written.
    pub port: Option<u16>,
    /// Protocol, where one is written.
    pub transport: Option<Transport>,
}

impl NextHop {
    /// The next hop a `sip:` URI names by host, port, `maddr` and `transport` alone (RFC 3261
    /// section 19.1); `None` where it names none.
    pub fn of_uri(uri: &str) -> Option<NextHop> {
        let uri = Uri::read(uri);
        let over_udp = || {
            let transport = uri.param("transport");
            transport.is_some_and(|named| named.eq_ignore_ascii_case("udp"))
        };
        // Every `sips:` hop is TLS, whatever runs below it; there is none over UDP.
        if !uri.is_sip() || uri.has_bad_port() || uri.is_sips() && over_udp() {
            return None;
        }
        Some(NextHop {
            host: uri.destination_host()?.to_owned(),
            port: uri.port(),
            transport: uri.transport(),
        })
    }

    /// The address, when the host is one.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some((ip, self.port_or_default()).into())
    }

    /// The port, or the one that its protocol has (RFC 3261 section 19.1.2).
    pub fn port_or_default(&self) -> u16 {
        let transport = self.transport.unwrap_or(Transport::Udp);
        self.port.unwrap_or(transport.default_port())
    }
}

impl From<&Target> for NextHop {
    fn from(target: &Target) -> Self {
        NextHop {
            host: target.host.clone(),
            port: target.port,
            transport: target.transport,
        }
    }
}

/// True for a URI that a Route header can carry: one that leads somewhere.
pub fn is_route(uri: &str) -> bool {
    !uri.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,\"".contains(c))
        && NextHop::of_uri(uri).is_some()
}

/// True for a `sips:` URI.
pub fn is_sips(uri: &str) -> bool {
    Uri::read(uri).is_sips()
}

/// True when our Contact beside this request, or in an answer to it, must be `sips:` (RFC 3261
/// sections 8.1.1.8 and 12.1.1): its URI is, or its first Route or Record-Route, or without those
/// the Contact of who sent it.
pub fn wants_sips(request: &Request) -> bool {
    let first = |name: &Name| {
        let value = first_element(&request.headers, name)?;
        Parts::find_lenient(value)
    };
    let way = first(&Name::ROUTE)
        .or_else(|| first(&Name::RECORD_ROUTE))
        .or_else(|| first(&Name::CONTACT));
    is_sips(&request.uri) || way.is_some_and(|way| is_sips(way.uri))
}

/// True when a route URI carries `lr` (loose routing, RFC 3261 section 16.12).
pub fn is_loose(uri: &str) -> bool {
    Uri::read(uri).is_loose()
}
