//! A URI as it was received (RFC 3261 section 19.1, RFC 3966): its text is kept octet for octet and
//! written back as it came; its parts are read as leniently as they can be told apart.
//!
//! Equipment writes what the grammar does not allow: `#` or `|` in a user part, several `:`, hosts
//! with `_`, a `:` without a port. A dialog must survive that (sections 12.1 and 12.2), so nothing
//! here ever refuses a URI: a part that cannot be told is absent.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::transport_protocol::Transport;

/// Longest host name (RFC 1035 section 2.3.4).
const LONGEST_HOST: usize = 255;

/// A URI and where its parts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    text: &'a str,
    scheme: &'a str,
    user_info: Option<&'a str>,
    host_port: &'a str,
    params: &'a str,
    headers: &'a str,
}

/// A port that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// None, or `:` with nothing behind it.
    Absent,
    Number(u16),
    /// No number of 1 to 65535.
    Unreadable,
}

impl<'a> Uri<'a> {
    /// Finds the parts of a URI. Any text can be given.
    pub fn read(text: &'a str) -> Self {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        let mut uri = Uri {
            text,
            scheme,
            user_info: None,
            host_port: "",
            params: "",
            headers: "",
        };
        if !uri.is_sip() {
            // `tel:` (RFC 3966) and all others: what comes before the parameters names no host.
            let (subject, params) = cut(rest, &[';', '?']);
            (uri.user_info, uri.params) = (Some(subject), params);
            return uri;
        }
        let (user_info, rest) = match end_of_user(rest) {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, headers),
            None => (rest, ""),
        };
        let (host_port, params) = cut(rest, &[';']);
        Uri {
            user_info,
            host_port: host_port.trim(),
            params,
            headers,
            ..uri
        }
    }

    /// True for `sip:` and `sips:`.
    pub fn is_sip(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("sip") || self.is_sips()
    }

    /// True for `sips:`.
    pub fn is_sips(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("sips")
    }

    /// True for `tel:`.
    pub fn is_tel(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("tel")
    }

    /// The user part as written, without a password; of a `tel:` URI the number. `None` where a SIP
    /// URI names no user.
    pub fn user(&self) -> Option<&'a str> {
        let info = self.user_info?;
        Some(match self.is_sip() {
            true => info.split(':').next().unwrap_or(""),
            false => info,
        })
    }

    /// Host as written: an IPv6 address without brackets and zone. `None` where none can be read.
    pub fn host(&self) -> Option<&'a str> {
        let (host, _) = self.split_host_port();
        usable_host(host).then_some(host)
    }

    /// The port; `None` where none is written, or one that is none.
    pub fn port(&self) -> Option<u16> {
        match self.split_host_port().1 {
            Port::Number(port) => Some(port),
            Port::Absent | Port::Unreadable => None,
        }
    }

    /// True where a port is written that is no number of 1 to 65535.
    pub fn has_bad_port(&self) -> bool {
        self.split_host_port().1 == Port::Unreadable
    }

    /// The value of a URI parameter, its name in any case (section 19.1.4); empty where it has none.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.unwrap_or(""))
    }

    /// The URI parameters in order.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        pairs(self.params)
    }

    /// The parameters of the user part, which telephone subscribers have (RFC 3966 section 3 and
    /// RFC 3261 section 19.1.6), as written: `npdi;rn=+49301`. Empty where there are none.
    #[cfg(test)]
    pub fn user_params(&self) -> &'a str {
        if self.is_tel() {
            return self.params;
        }
        let user = self.user().unwrap_or("");
        user.split_once(';').map_or("", |(_, params)| params)
    }

    /// What stands behind `?`: `name=value&name=value`.
    pub fn headers(&self) -> &'a str {
        self.headers
    }

    /// True for a loose route (section 16.12).
    pub fn is_loose(&self) -> bool {
        self.param("lr").is_some()
    }

    /// The host that requests go to: `maddr` where it is given (section 19.1.1), else the host;
    /// an IPv6 address without brackets and zone.
    pub fn destination_host(&self) -> Option<&'a str> {
        let named = self.param("maddr").map(|maddr| {
            let maddr = maddr.trim().trim_matches(['[', ']']);
            without_zone(maddr)
        });
        named.filter(|host| usable_host(host)).or(self.host())
    }

    /// The transport that the URI names; `None` for none, or one that we do not speak. `sips:` is
    /// TLS, or WebSocket over it, whatever its parameter says (section 26.2.2).
    pub fn transport(&self) -> Option<Transport> {
        let named = || {
            let value = self.param("transport")?.trim().trim_matches('"');
            Transport::of_uri_value(value)
        };
        if self.is_sips() {
            let under_sips = named().and_then(Transport::under_sips);
            return Some(under_sips.unwrap_or(Transport::Tls));
        }
        named()
    }

    fn split_host_port(&self) -> (&'a str, Port) {
        let text = self.host_port;
        if let Some(bracketed) = text.strip_prefix('[')
            && let Some((host, rest)) = bracketed.split_once(']')
        {
            return (without_zone(host.trim()), port(rest.trim()));
        }
        // An IPv6 address that somebody wrote without brackets.
        if without_zone(text).parse::<Ipv6Addr>().is_ok() {
            return (without_zone(text), Port::Absent);
        }
        match text.find(':') {
            Some(colon) => (text[..colon].trim(), port(&text[colon..])),
            None => (text, Port::Absent),
        }
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// The pairs of `name=value;name`.
fn pairs(params: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    params
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
            None => (part, None),
        })
}

/// What stands before the first of these characters, and what stands behind it.
fn cut<'a>(text: &'a str, at: &[char]) -> (&'a str, &'a str) {
    match text.find(at) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, ""),
    }
}

/// Where the user part ends. A user part may have `;` and `?` (section 25.1), and some write an
/// address of their own into it (`a@example.com@192.0.2.1`); behind the host, parameters and headers
/// may have an `@` that is not escaped.
fn end_of_user(text: &str) -> Option<usize> {
    let mut end = text.find('@')?;
    while let Some(next) = text[end + 1..].find(['@', ';', '?']) {
        let next = end + 1 + next;
        if text.as_bytes()[next] != b'@' {
            break;
        }
        end = next;
    }
    Some(end)
}

/// An IPv6 address without its zone (RFC 6874, RFC 4007 section 11): it means something at its
/// sender only.
fn without_zone(host: &str) -> &str {
    match host.split_once('%') {
        Some((address, _)) if address.parse::<Ipv6Addr>().is_ok() => address,
        _ => host,
    }
}

fn port(text: &str) -> Port {
    let Some(digits) = text.strip_prefix(':') else {
        return match text.is_empty() {
            true => Port::Absent,
            false => Port::Unreadable,
        };
    };
    let digits = digits.trim();
    if digits.is_empty() {
        return Port::Absent;
    }
    let number = digits.parse::<u16>().ok().filter(|port| *port != 0);
    match number.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(port) => Port::Number(port),
        None => Port::Unreadable,
    }
}

/// True for an address, or for what a resolver can be asked.
fn usable_host(host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is_part = |c: char| c.is_alphanumeric() || "-._~".contains(c);
    (1..=LONGEST_HOST).contains(&host.len()) && host.chars().all(is_part)
}

#[cfg(test)]
#[path = "uri/tests.rs"]
mod tests;
