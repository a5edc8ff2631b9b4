//! The checks a request passes before anything acts on it (RFC 3261 section 8.2): what it is
//! refused with, and with which headers beside the usual ones.

use super::address::Parts;
use super::envelope::Envelope;
use super::lists::list;
use super::message::{Fault, Name, Received, Request, elements, header};
use super::method::Method;
use super::multipart::{media_type, parts, requires_more_than_sdp, sdp_part};
use super::uri::Uri;

/// A refusal by form alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Status.
    pub status: u16,
    /// Reason phrase; the usual one when absent.
    pub reason: Option<String>,
    /// One further header.
    pub header: Option<(&'static str, String)>,
}

impl Refusal {
    /// The reason that it is counted by.
    pub const fn label(&self) -> &'static str {
        match self.status {
            405 => "method_not_allowed",
            415 => "media_type",
            416 => "uri_scheme",
            420 | 421 => "extension",
            422 => "session_interval",
            482 => "merged",
            483 => "max_forwards",
            501 => "method_unknown",
            _ => "bad_request",
        }
    }

    /// A refusal with the usual reason phrase.
    pub const fn plain(status: u16) -> Self {
        Refusal {
            status,
            reason: None,
            header: None,
        }
    }

    /// A refusal with one further header.
    pub fn with(status: u16, name: &'static str, value: impl Into<String>) -> Self {
        Refusal {
            status,
            reason: None,
            header: Some((name, value.into())),
        }
    }
}

/// Option tags that we understand in Require.
const SUPPORTED: [&str; 4] = ["timer", "100rel", "replaces", "norefersub"];
/// Value of Supported.
pub const SUPPORTED_VALUE: &str = "timer, 100rel, replaces, norefersub";

/// Checks a request. Call it only for one whose [`Envelope`] could be read.
pub fn screen(request: &Request, envelope: &Envelope) -> Result<(), Refusal> {
    if envelope.method != request.method {
        return Err(Refusal {
            reason: Some("CSeq Method Does Not Match".to_owned()),
            ..Refusal::plain(400)
        });
    }
    if matches!(request.method, Method::Ack | Method::Cancel) {
        // Neither is refused for what it carries (sections 8.2.2.3 and 9.2).
        return Ok(());
    }
    if !request
        .headers
        .get_raw(&Name::CONTACT)
        .all(|value| is_contact(value))
    {
        return Err(Refusal {
            reason: Some("Bad Contact Header".to_owned()),
            ..Refusal::plain(400)
        });
    }
    match &request.method {
        Method::Unknown(_) => return Err(Refusal::with(501, "Allow", Method::ALLOW)),
        Method::Unserved(_) | Method::Register => {
            return Err(Refusal::with(405, "Allow", Method::ALLOW));
        }
        _ => {}
    }
    let scheme = request.uri.split(':').next().unwrap_or("");
    if !["sip", "sips", "tel"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return Err(Refusal::plain(416));
    }
    if has_headers(&request.uri) {
        return Err(Refusal {
            reason: Some("Headers In Request-URI".to_owned()),
            ..Refusal::plain(400)
        });
    }
    if envelope.from.tag().is_none() && envelope.branch.starts_with("z9hG4bK") {
        return Err(Refusal {
            reason: Some("From Without Tag".to_owned()),
            ..Refusal::plain(400)
        });
    }
    match header(&request.headers, &Name::MAX_FORWARDS).map(str::parse::<u8>) {
        // A gateway passes calls on: it breaks the loop like a proxy (RFC 7332).
        Some(Ok(0)) if request.method == Method::Invite => return Err(Refusal::plain(483)),
        Some(Err(_)) => {
            return Err(Refusal {
                reason: Some("Bad Max-Forwards".to_owned()),
                ..Refusal::plain(400)
            });
        }
        _ => {}
    }
    let unsupported: Vec<&str> = elements(&request.headers, &Name::REQUIRE)
        .into_iter()
        .filter(|option| {
            !SUPPORTED
                .iter()
                .any(|known| known.eq_ignore_ascii_case(option))
        })
        .collect();
    if !unsupported.is_empty() {
        return Err(Refusal::with(420, "Unsupported", unsupported.join(", ")));
    }
    screen_body(request)?;
    if request.method == Method::Invite && !accepts_sdp(request) {
        return Err(Refusal::plain(406));
    }
    Ok(())
}

/// True for a Contact that can be told apart from its parameters: a URI with `?` stands in
/// brackets (RFC 3261 section 20.10). One that cannot be read at all costs the dialog its target
/// only.
fn is_contact(value: &str) -> bool {
    list(value).all(|element| {
        let uri = Parts::find(element).map(|found| Uri::read(found.uri));
        element.contains('<') || uri.is_ok_and(|uri| uri.headers().is_empty())
    })
}

/// True when a SIP URI carries headers, which a request URI must not (section 19.1.1, table 1).
fn has_headers(uri: &str) -> bool {
    let after_user = uri.rfind('@').map_or(0, |at| at + 1);
    let (scheme, _) = uri.split_once(':').unwrap_or(("", ""));
    let is_sip = ["sip", "sips"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    is_sip && uri[after_user..].contains('?')
}

/// True when the caller takes an SDP answer (section 20.1: without Accept it does).
fn accepts_sdp(request: &Request) -> bool {
    let accepted = elements(&request.headers, &Name::ACCEPT);
    accepted.is_empty()
        || accepted.iter().any(|range| {
            ["application/sdp", "application/*", "*/*"]
                .iter()
                .any(|fitting| media_type(range).eq_ignore_ascii_case(fitting))
        })
}

fn screen_body(request: &Request) -> Result<(), Refusal> {
    if request.body.is_empty() {
        return Ok(());
    }
    if elements(&request.headers, &Name::CONTENT_ENCODING)
        .iter()
        .any(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    {
        return Err(Refusal::with(415, "Accept-Encoding", "identity"));
    }
    if !matches!(
        request.method,
        Method::Invite | Method::Update | Method::Prack
    ) {
        return Ok(());
    }
    let kind = header(&request.headers, &Name::CONTENT_TYPE).unwrap_or("");
    if let Some(parts) = parts(kind, &request.body)
        && sdp_part(kind, &parts).is_some()
        && !requires_more_than_sdp(&parts)
    {
        return Ok(());
    }
    let optional =
        header(&request.headers, &Name::CONTENT_DISPOSITION).is_some_and(|disposition| {
            disposition
                .to_ascii_lowercase()
                .contains("handling=optional")
        });
    if media_type(kind).eq_ignore_ascii_case("application/sdp") || optional {
        return Ok(());
    }
    Err(Refusal::with(415, "Accept", "application/sdp"))
}

/// The refusal for a fault found while reading, before any other check.
pub fn fault_refusal(received: &Received) -> Option<Refusal> {
    // A line that is no header costs that line only (RFC 3261 section 8.2).
    let fault = received.fault.filter(|fault| *fault != Fault::HeaderLine)?;
    let (status, reason) = fault.answer();
    Some(Refusal {
        status,
        reason: Some(reason.to_owned()),
        header: None,
    })
}
