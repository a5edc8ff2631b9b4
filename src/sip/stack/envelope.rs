//! The headers that decide where a message belongs, read once: Via, From, To, Call-ID, CSeq.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use bytesstr::BytesStr;

use super::address::Address;
use super::lists::find_outside_quotes;
use super::message::{Headers, Name, header};
use super::method::Method;
use super::multipart::{media_type, parts, sdp_part};
use super::via::Via;

/// What places a message: its transaction and its dialog.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// `branch` of the top Via; empty from an RFC 2543 element.
    pub branch: BytesStr,
    /// Host of sent-by of the top Via as written.
    pub sent_by_host: BytesStr,
    /// Port of sent-by.
    pub sent_by_port: Option<u16>,
    /// Call-ID.
    pub call_id: BytesStr,
    /// From.
    pub from: Address,
    /// To.
    pub to: Address,
    /// Number of CSeq.
    pub sequence: u32,
    /// Method of CSeq.
    pub method: Method,
}

/// A header that must be there and readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("header {0} is missing or unreadable")]
pub struct BadHeader(pub &'static str);

impl Envelope {
    /// Reads the headers that every message carries (RFC 3261 section 8.1.1).
    pub fn read(headers: &Headers) -> Result<Envelope, BadHeader> {
        let single = |name: Name, text: &'static str| {
            let mut values = headers.get_raw(&name);
            match (values.next(), values.next()) {
                (Some(value), None) if !value.trim().is_empty() => Ok(value),
                _ => Err(BadHeader(text)),
            }
        };
        let first_via = headers.get_raw(&Name::VIA).next().ok_or(BadHeader("Via"))?;
        let via = Via::read(split_top(first_via).0)
            .filter(|via| via.well_formed && lists_no_nothing(headers))
            .ok_or(BadHeader("Via"))?;
        let from = Address::parse(single(Name::FROM, "From")?).map_err(|_| BadHeader("From"))?;
        let to = Address::parse(single(Name::TO, "To")?).map_err(|_| BadHeader("To"))?;
        let call_id = single(Name::CALL_ID, "Call-ID")?;
        // A word, or two around an `@` (section 25.1, `callid`): white space is in none.
        if call_id.trim().contains(char::is_whitespace) {
            return Err(BadHeader("Call-ID"));
        }
        let (sequence, method) =
            read_sequence(single(Name::CSEQ, "CSeq")?).ok_or(BadHeader("CSeq"))?;
        Ok(Envelope {
            branch: first_via.slice_ref(via.branch),
            sent_by_host: first_via.slice_ref(via.host),
            sent_by_port: via.port,
            call_id: call_id.slice_ref(call_id.trim()),
            from,
            to,
            sequence,
            method,
        })
    }
}

/// Number and method of a CSeq value.
fn read_sequence(value: &str) -> Option<(u32, Method)> {
    let (number, method) = value.trim().split_once(|c: char| c.is_ascii_whitespace())?;
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Section 8.1.1.5: below 2^31.
    let number: u32 = number.parse().ok().filter(|number| *number < 1 << 31)?;
    Some((number, Method::read(method.trim())?))
}

/// Number of a message's CSeq; 0 where it cannot be read.
pub fn sequence(headers: &Headers) -> u32 {
    header(headers, &Name::CSEQ)
        .and_then(read_sequence)
        .map_or(0, |(number, _)| number)
}

/// The first element of the first Via.
fn top_via(headers: &Headers) -> Option<Via<'_>> {
    let first = headers.get_raw(&Name::VIA).next()?;
    Via::read(split_top(first).0)
}

/// The first element of a list and what follows its comma.
fn split_top(value: &str) -> (&str, Option<&str>) {
    match find_outside_quotes(value, ',') {
        Some(comma) => (&value[..comma], Some(&value[comma + 1..])),
        None => (value, None),
    }
}

/// False when the top Via header has a comma before or after which no element stands: that is no
/// list (RFC 4475 section 3.1.2.1).
fn lists_no_nothing(headers: &Headers) -> bool {
    let mut rest = headers.get_raw(&Name::VIA).next().map(|value| &**value);
    while let Some(value) = rest {
        let (element, more) = split_top(value);
        if element.trim_matches([' ', '\t', ';']).is_empty() {
            return false;
        }
        rest = more;
    }
    true
}

/// Number of Via elements, counted up to two: a response to us has one (section 8.1.3.3).
pub fn has_one_via(headers: &Headers) -> bool {
    let mut values = headers.get_raw(&Name::VIA);
    match (values.next(), values.next()) {
        (Some(only), None) => split_top(only).1.is_none(),
        _ => false,
    }
}

/// Writes `received` and `rport` into the top Via of a request (RFC 3581 section 4) and returns
/// where responses go over UDP.
pub fn stamp_via(headers: &mut Headers, source: SocketAddr) -> Option<SocketAddr> {
    let via = top_via(headers)?;
    let wants_port = via.rport;
    let source_ip = canonical(source.ip());
    let sent_by_ip: Option<IpAddr> = via.host.trim_matches(['[', ']']).parse().ok();
    let wants_address = wants_port || sent_by_ip.map(canonical) != Some(source_ip);
    let port = if wants_port {
        source.port()
    } else {
        via.port.unwrap_or(5060)
    };
    let first = headers.first_mut(&Name::VIA)?;
    let (top, rest) = split_top(first);
    let mut stamped = String::with_capacity(first.len() + 64);
    let mut from = 0;
    while from <= top.len() {
        let end = find_outside_quotes(&top[from..], ';').map_or(top.len(), |end| from + end);
        let part = top[from..end].trim();
        let name = part.split('=').next().unwrap_or("").trim_end();
        let replaced = from > 0
            && (name.eq_ignore_ascii_case("rport") || name.eq_ignore_ascii_case("received"));
        if !replaced {
            if from > 0 {
                stamped.push(';');
            }
            stamped.push_str(part);
        }
        from = end + 1;
    }
    if wants_address {
        let _ = write!(stamped, ";received={source_ip}");
    }
    if wants_port {
        let _ = write!(stamped, ";rport={}", source.port());
    }
    if let Some(rest) = rest {
        stamped.push(',');
        stamped.push_str(rest);
    }
    *first = stamped.into();
    Some((source.ip(), port).into())
}

/// An IPv4 address that arrived on an IPv6 socket, as IPv4.
pub fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Cause of a `Reason: Q.850;cause=` header (RFC 3326).
pub fn q850_cause(headers: &Headers) -> Option<u16> {
    super::reason::read(headers)
        .into_iter()
        .find(|reason| reason.protocol.eq_ignore_ascii_case("Q.850"))?
        .cause
}

/// SDP of a message: its body, or the part of a multipart body that is SDP (RFC 5621).
pub fn sdp_body(headers: &Headers, body: &bytes::Bytes) -> Option<bytes::Bytes> {
    let kind = header(headers, &Name::CONTENT_TYPE)?;
    if body.is_empty() {
        return None;
    }
    if media_type(kind).eq_ignore_ascii_case("application/sdp") {
        return Some(body.clone());
    }
    let parts = parts(kind, body)?;
    let part = sdp_part(kind, &parts)?;
    Some(part.body.clone())
}
