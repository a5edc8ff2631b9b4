//! What a REGISTER asks for (RFC 3261 section 10.3, RFC 5626 section 6, RFC 7118 section 5).
//!
//! The host of a Contact of a client is a name in `.invalid`: it is never resolved, requests to it go
//! to the connection that registered it.

use std::time::Duration;

use crate::sip::stack::address::Address;
use crate::sip::stack::escapes::unquote;
use crate::sip::stack::lists::list;
use crate::sip::stack::message::{Name, Request, header};
use crate::sip::stack::screening::Refusal;

use super::screening::because;

/// Seconds of a binding whose client names none.
const DEFAULT_EXPIRES: u64 = 600;
/// Fewest and most seconds of a binding.
const LEAST_EXPIRES: u64 = 60;
const MOST_EXPIRES: u64 = 3_600;

/// Longest `+sip.instance` and Contact that are kept, bytes.
const LONGEST_INSTANCE: usize = 256;
const LONGEST_CONTACT: usize = 512;

/// What tells the bindings of one user apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instance {
    /// `+sip.instance`, without quotes: `<urn:uuid:...>`.
    pub urn: String,
    /// `reg-id`; none from clients that do not use RFC 5626.
    pub reg_id: Option<u32>,
}

/// The contact of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contact {
    /// Its URI as written: the request URI of calls to it.
    pub uri: String,
    /// Absent where the client does not say: then the connection stands for it.
    pub instance: Option<Instance>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Registration {
    /// Which bindings there are.
    Query,
    /// A binding for so long.
    Bind { contact: Contact, expires: Duration },
    /// The end of the binding of this connection.
    Remove,
    /// The end of all bindings of the user.
    RemoveAll,
}

impl Registration {
    pub fn read(request: &Request) -> Result<Registration, Refusal> {
        let headers = &request.headers;
        let elements: Vec<&str> = headers
            .get_raw(&Name::CONTACT)
            .flat_map(|value| list(value))
            .collect();
        let general = header(headers, &Name::EXPIRES).map(seconds);
        match elements[..] {
            [] => Ok(Registration::Query),
            ["*"] if general == Some(0) => Ok(Registration::RemoveAll),
            ["*"] => Err(because(400, "Contact * Without Expires 0")),
            [element] => one(element, general),
            // A client has one connection, and one contact by it.
            _ => Err(because(400, "More Than One Contact")),
        }
    }
}

fn one(element: &str, general: Option<u64>) -> Result<Registration, Refusal> {
    let address = Address::parse(element).map_err(|_| because(400, "Bad Contact Header"))?;
    if address.uri.len() > LONGEST_CONTACT {
        return Err(because(400, "Contact Too Long"));
    }
    let own = address.param("expires").map(seconds);
    let asked = own.or(general).unwrap_or(DEFAULT_EXPIRES);
    if asked == 0 {
        return Ok(Registration::Remove);
    }
    if asked < LEAST_EXPIRES {
        return Err(Refusal::with(423, "Min-Expires", LEAST_EXPIRES.to_string()));
    }
    let urn = address.param("+sip.instance").and_then(unquote);
    let instance = urn
        .filter(|urn| (1..=LONGEST_INSTANCE).contains(&urn.len()))
        // It is written back between quotes.
        .filter(|urn| !urn.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')))
        .map(|urn| Instance {
            urn,
            reg_id: address.param("reg-id").and_then(|id| id.parse().ok()),
        });
    Ok(Registration::Bind {
        contact: Contact {
            uri: address.uri,
            instance,
        },
        expires: Duration::from_secs(asked.min(MOST_EXPIRES)),
    })
}

/// Seconds as written; what is no number counts as the default (RFC 3261 section 20.19).
fn seconds(text: &str) -> u64 {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match digits {
        // More digits than fit are a long time.
        true => text.parse().unwrap_or(u64::MAX),
        false => DEFAULT_EXPIRES,
    }
}
