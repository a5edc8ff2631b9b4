//! The checks that a request of a client passes before anything acts on it (RFC 3261 section 8.2).

use crate::sip::stack::envelope::{Envelope, sdp_body};
use crate::sip::stack::message::{Name, Request, elements, header};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::Refusal;
use crate::sip::stack::uri::Uri;

/// Value of Allow: what clients may ask for.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REGISTER";

/// Option tags that a client may require.
const SUPPORTED: [&str; 3] = ["timer", "outbound", "path"];
/// Value of Supported.
pub(super) const SUPPORTED_VALUE: &str = "timer, outbound";

/// Checks a request.
pub(super) fn screen(request: &Request, envelope: &Envelope) -> Result<(), Refusal> {
    if envelope.method != request.method {
        return Err(because(400, "CSeq Method Does Not Match"));
    }
    match &request.method {
        // Neither is refused for what it carries (sections 8.2.2.3 and 9.2).
        Method::Ack | Method::Cancel => return Ok(()),
        Method::Invite
        | Method::Bye
        | Method::Options
        | Method::Info
        | Method::Update
        | Method::Register => {}
        Method::Unknown(_) => return Err(Refusal::with(501, "Allow", ALLOW)),
        _ => return Err(Refusal::with(405, "Allow", ALLOW)),
    }
    let uri = Uri::read(&request.uri);
    if !uri.is_sip() && !uri.is_tel() {
        return Err(Refusal::plain(416));
    }
    if envelope.from.tag().is_none() {
        return Err(because(400, "From Without Tag"));
    }
    match header(&request.headers, &Name::MAX_FORWARDS).map(str::parse::<u8>) {
        Some(Ok(0)) if request.method == Method::Invite => return Err(Refusal::plain(483)),
        Some(Err(_)) => return Err(because(400, "Bad Max-Forwards")),
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
    let describes = matches!(request.method, Method::Invite | Method::Update);
    if describes && !request.body.is_empty() && sdp_body(&request.headers, &request.body).is_none()
    {
        return Err(Refusal::with(415, "Accept", "application/sdp"));
    }
    Ok(())
}

/// A refusal with a reason phrase of its own.
pub(super) fn because(status: u16, reason: &str) -> Refusal {
    Refusal {
        reason: Some(reason.to_owned()),
        ..Refusal::plain(status)
    }
}
