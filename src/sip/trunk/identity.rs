//! Who calls: from a trunk's policy to the headers of our INVITE, and from the headers of theirs
//! to a caller (RFC 3323, 3325, 5806, 7044; Remote-Party-ID as equipment writes it).

use super::network_headers::is_network_header;
use super::policy::{CarriedBy, IdentityPolicy};
use crate::sip::stack::address::{Address, sip_uri};
use crate::sip::stack::escapes::unescape;
use crate::sip::stack::lists::split_params;
use crate::sip::stack::message::{Headers, Name, Request, elements};
use crate::sip::stack::number::{is_tel, number_of};
use crate::sip::stack::octets::shown;

/// What a page is told of a caller who withholds their number, and the user part of From of one of
/// ours who does (RFC 3323 section 4.1.1.3).
pub const ANONYMOUS: &str = "anonymous";
/// Most headers that go to a page with one call.
const MOST_PASSED: usize = 16;
/// Most bytes of one value, and of all of them.
const LONGEST_PASSED: usize = 1_024;
const MOST_PASSED_BYTES: usize = 4_096;
/// Most characters of a display name of ours.
const LONGEST_NAME: usize = 128;
/// Headers that say who somebody is: never carried by a list of names, which knows nothing of
/// trust and privacy.
const IDENTITY_HEADERS: [&str; 6] = [
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "Privacy",
    "Identity",
    "P-Associated-URI",
];
/// Headers that a transaction, dialog or body lives by.
const CORE_HEADERS: [&str; 32] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Route",
    "Record-Route",
    "Path",
    "Service-Route",
    "Max-Forwards",
    "Authorization",
    "Proxy-Authorization",
    "Proxy-Authenticate",
    "WWW-Authenticate",
    "Authentication-Info",
    "Require",
    "Proxy-Require",
    "Supported",
    "Unsupported",
    "Allow",
    "Session-Expires",
    "Min-SE",
    "RSeq",
    "RAck",
    "Replaces",
    "Refer-To",
    "Refer-Sub",
    "Expires",
    "Event",
    "Subscription-State",
    "MIME-Version",
];

/// A caller of ours as an INVITE writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// From without its tag.
    pub from: Address,
    /// Headers beside it.
    pub headers: Vec<(&'static str, String)>,
}

/// A caller of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The number or user; `anonymous` where withheld.
    pub user: String,
    /// Display name.
    pub name: Option<String>,
}

/// That a call was meant for somebody else before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion {
    /// Who sent it on: the last one who did.
    pub from: String,
    /// A word of RFC 5806 section 4.1 such as `user-busy` or `no-answer`; `unknown` where not said.
    pub reason: String,
}

/// True for a header that no list may name (compact forms and Content-* among them).
pub fn is_reserved(name: &str) -> bool {
    // A name of one letter is a compact form, now or in an RFC to come.
    let compact = name.len() == 1;
    let content = name
        .get(..8)
        .is_some_and(|start| start.eq_ignore_ascii_case("Content-"));
    let listed = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(name));
    let identity = listed(&IDENTITY_HEADERS) || is_network_header(name);
    compact || content || listed(&CORE_HEADERS) || identity
}

/// True for a header name (a token of RFC 3261 section 25.1).
pub fn is_header_name(name: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    !name.is_empty() && name.bytes().all(is_token)
}

/// Writes our caller for a trunk whose URIs have the host `domain`. `associated` is what the
/// registrar calls us.
pub fn present(
    policy: &IdentityPolicy,
    user: &str,
    name: Option<&str>,
    domain: &str,
    anonymous: bool,
    associated: Option<&str>,
) -> Presented {
    let mut real = Address::new(sip_uri(user, domain));
    real.name = name
        .map(|name| name.trim().chars().take(LONGEST_NAME).collect())
        .filter(|name: &String| !name.is_empty());
    let mut headers = Vec::new();
    if !anonymous || policy.trusted {
        let privacy = if anonymous { "full" } else { "off" };
        match policy.carried_by {
            CarriedBy::From => {}
            CarriedBy::Asserted => headers.push(("P-Asserted-Identity", real.to_string())),
            CarriedBy::Preferred => headers.push(("P-Preferred-Identity", real.to_string())),
            CarriedBy::Associated => {
                let mut preferred = real.clone();
                if let Some(associated) = associated {
                    preferred.uri = associated.to_owned();
                }
                headers.push(("P-Preferred-Identity", preferred.to_string()));
            }
            CarriedBy::RemoteParty => headers.push((
                "Remote-Party-ID",
                format!("{real};party=calling;screen=yes;privacy={privacy}"),
            )),
        }
    }
    if anonymous {
        headers.push(("Privacy", "id".to_owned()));
        real = Address::new("sip:anonymous@anonymous.invalid");
        real.name = Some("Anonymous".to_owned());
    }
    Presented {
        from: real,
        headers,
    }
}

/// Who a call is from. A source without policy, or with one that does not trust it, is taken by
/// its From alone.
pub fn caller(policy: Option<&IdentityPolicy>, from: &Address, headers: &Headers) -> Caller {
    let trusted = policy.is_some_and(|policy| policy.trusted);
    let privacy: Vec<String> = headers
        .get_raw(&Name::PRIVACY)
        .flat_map(|value| value.split([';', ',']))
        .map(|word| word.trim().to_ascii_lowercase())
        .collect();
    let asks = |word: &str| privacy.iter().any(|asked| asked == word);
    let asserted = trusted.then(|| asserted(headers)).flatten();
    // `id` is about what the network asserts, `user` about all that the caller says.
    if asks("user") || trusted && asks("id") {
        return Caller::withheld();
    }
    if let Some(asserted) = asserted {
        return asserted;
    }
    if let Some(remote) = trusted.then(|| remote_party(headers)).flatten() {
        return remote;
    }
    let host = from.uri.rsplit('@').next().unwrap_or("");
    let user = number_of(&from.uri);
    if host.eq_ignore_ascii_case("anonymous.invalid") || user.eq_ignore_ascii_case(ANONYMOUS) {
        return Caller::withheld();
    }
    Caller {
        user,
        name: from.name.clone(),
    }
}

impl Caller {
    fn withheld() -> Self {
        Caller {
            user: ANONYMOUS.to_owned(),
            name: None,
        }
    }
}

/// P-Asserted-Identity: a SIP URI, a tel URI, or one of each (RFC 3325 section 9.1); the number of
/// the tel URI is the better one, the name is the first.
fn asserted(headers: &Headers) -> Option<Caller> {
    let addresses: Vec<Address> = elements(headers, &Name::P_ASSERTED_IDENTITY)
        .into_iter()
        .filter_map(|element| Address::parse(element).ok())
        .take(2)
        .collect();
    let best = addresses
        .iter()
        .find(|address| is_tel(&address.uri))
        .or_else(|| addresses.first())?;
    let user = number_of(&best.uri);
    (!user.is_empty()).then(|| Caller {
        user,
        name: addresses.iter().find_map(|address| address.name.clone()),
    })
}

/// Remote-Party-ID of the calling party.
fn remote_party(headers: &Headers) -> Option<Caller> {
    let address = elements(headers, &Name::REMOTE_PARTY_ID)
        .into_iter()
        .filter_map(|element| Address::parse(element).ok())
        .find(|address| {
            address
                .param("party")
                .is_none_or(|party| party.eq_ignore_ascii_case("calling"))
        })?;
    let privacy = address.param("privacy").unwrap_or("off").to_owned();
    if privacy.eq_ignore_ascii_case("full") || privacy.eq_ignore_ascii_case("uri") {
        return Some(Caller::withheld());
    }
    let user = number_of(&address.uri);
    let name = address
        .name
        .filter(|_| !privacy.eq_ignore_ascii_case("name"));
    (!user.is_empty()).then_some(Caller { user, name })
}

/// The name by which a page is told the request URI, which is no header.
const REQUEST_URI: &str = "Request-URI";

/// Who sent the call on last, by Diversion (RFC 5806) or else History-Info (RFC 7044).
pub fn diversion(headers: &Headers) -> Option<Diversion> {
    // The topmost Diversion is the latest (RFC 5806 section 6).
    let first = elements(headers, &Name::DIVERSION)
        .into_iter()
        .find_map(|element| Address::parse(element).ok());
    let Some(diverted) = first else {
        return from_history(headers);
    };
    let hidden = diverted
        .param("privacy")
        .is_some_and(|privacy| matches!(privacy.trim_matches('"'), "full" | "uri"));
    let reason = diverted
        .param("reason")
        .map_or("", |reason| reason.trim_matches('"'));
    let usable = (1..=32).contains(&reason.len()) && is_header_name(reason);
    Some(Diversion {
        from: if hidden {
            ANONYMOUS.to_owned()
        } else {
            number_of(&diverted.uri)
        },
        reason: if usable { reason } else { "unknown" }.to_ascii_lowercase(),
    })
}

/// The last entry that another one was mapped from (`mp`, `rc`), else the last but one.
fn from_history(headers: &Headers) -> Option<Diversion> {
    let entries: Vec<Address> = elements(headers, &Name::HISTORY_INFO)
        .into_iter()
        .filter_map(|element| Address::parse(element).ok())
        .collect();
    let index = |address: &Address| address.param("index").unwrap_or("").to_owned();
    let target = entries
        .iter()
        .rev()
        .find(|entry| entry.param("mp").is_some());
    let (diverting, target) = match target {
        Some(target) => {
            let before = target.param("mp").unwrap_or("");
            let diverting = entries.iter().find(|entry| index(entry) == before)?;
            (diverting, target)
        }
        // Without `mp` only an entry that says why it was left is known to have diverted.
        None => {
            let at = entries
                .iter()
                .rposition(|entry| cause_of(&entry.uri).is_some())?;
            (&entries[at], entries.get(at + 1)?)
        }
    };
    let (uri, embedded) = diverting
        .uri
        .split_once('?')
        .unwrap_or((&diverting.uri, ""));
    let hidden = embedded.to_ascii_lowercase().contains("privacy=history");
    // RFC 4458 writes the cause into the new target, RFC 7044 into the one that was left.
    let cause = uri_param(&target.uri, "cause").or_else(|| cause_of(&diverting.uri));
    Some(Diversion {
        from: if hidden {
            ANONYMOUS.to_owned()
        } else {
            number_of(uri)
        },
        reason: match cause {
            Some(302) => "unconditional",
            Some(486 | 600) => "user-busy",
            Some(408) => "no-answer",
            Some(480 | 487) => "deflection",
            Some(503) => "unavailable",
            _ => "unknown",
        }
        .to_owned(),
    })
}

/// The cause of a Reason header embedded in a URI: `?Reason=SIP%3Bcause%3D302`.
fn cause_of(uri: &str) -> Option<u16> {
    let (_, embedded) = uri.split_once('?')?;
    let reason = embedded.split('&').find_map(|header| {
        let (name, value) = header.split_once('=')?;
        name.eq_ignore_ascii_case("Reason").then_some(value)
    })?;
    let reason = unescape(reason);
    let (protocol, params) = reason.split_once(';')?;
    if !protocol.trim().eq_ignore_ascii_case("SIP") {
        return None;
    }
    param_number(params, "cause")
}

fn uri_param(uri: &str, name: &str) -> Option<u16> {
    let uri = uri.split('?').next().unwrap_or("");
    let rest = uri.rsplit('@').next().unwrap_or("");
    param_number(rest.split_once(';')?.1, name)
}

fn param_number(params: &str, name: &str) -> Option<u16> {
    split_params(params)
        .into_iter()
        .find(|(candidate, _)| candidate == name)
        .and_then(|(_, value)| value?.parse().ok())
}

/// The headers of an INVITE that a page sees: those of the trunk's list, by the names of the list,
/// several values of one name joined. What is too long is left out whole.
///
/// [`REQUEST_URI`] in that list stands for the request URI as it was received, with the parameters of
/// its number.
pub fn passed(policy: &IdentityPolicy, request: &Request) -> Vec<(String, String)> {
    let (mut passed, mut bytes) = (Vec::new(), 0);
    for name in &policy.passed_headers {
        let values: Vec<&str> = match name.eq_ignore_ascii_case(REQUEST_URI) {
            true => vec![request.uri.as_str()],
            false => request
                .headers
                .get_raw(&Name::from(name.as_str()))
                .map(|value| value.trim())
                .collect(),
        };
        let value = values.join(", ");
        let value: String = shown(value).chars().filter(|c| !c.is_control()).collect();
        let size = name.len() + value.len();
        let fits = value.len() <= LONGEST_PASSED && bytes + size <= MOST_PASSED_BYTES;
        if !values.is_empty() && fits && passed.len() < MOST_PASSED {
            bytes += size;
            passed.push((name.clone(), value));
        }
    }
    passed
}
