//! Which requests are `sips:`: every hop of theirs must be TLS (RFC 5630).

use super::address::Parts;
use super::message::{Name, Request, first_element};
use super::uri::Uri;

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
