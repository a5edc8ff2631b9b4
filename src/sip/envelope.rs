//! The headers that decide where a message belongs, read once: Via, From, To, Call-ID, CSeq.

use std::net::{IpAddr, SocketAddr};

use ezk_sip_types::header::typed::Via;

use super::address::Address;
use super::message::{Headers, Name, header};
use super::method::Method;

/// What places a message: its transaction and its dialog.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// `branch` of the top Via; empty from an RFC 2543 element.
    pub branch: String,
    /// sent-by of the top Via as written.
    pub sent_by: String,
    /// Port of sent-by.
    pub sent_by_port: Option<u16>,
    /// Call-ID.
    pub call_id: String,
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
                (Some(value), None) if !value.trim().is_empty() => Ok(value.trim()),
                _ => Err(BadHeader(text)),
            }
        };
        let via = top_via(headers).ok_or(BadHeader("Via"))?;
        let from = Address::parse(single(Name::FROM, "From")?).map_err(|_| BadHeader("From"))?;
        let to = Address::parse(single(Name::TO, "To")?).map_err(|_| BadHeader("To"))?;
        let call_id = single(Name::CALL_ID, "Call-ID")?.to_owned();
        let (number, method) = single(Name::CSEQ, "CSeq")?
            .split_once(|c: char| c.is_ascii_whitespace())
            .ok_or(BadHeader("CSeq"))?;
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadHeader("CSeq"));
        }
        // Section 8.1.1.5: below 2^31.
        let sequence: u32 = number.parse().map_err(|_| BadHeader("CSeq"))?;
        if sequence >= 1 << 31 {
            return Err(BadHeader("CSeq"));
        }
        Ok(Envelope {
            branch: via
                .params
                .get_val("branch")
                .map_or(String::new(), |branch| branch.to_string()),
            sent_by: match via.sent_by.port {
                Some(port) => format!("{}:{port}", via.sent_by.host),
                None => via.sent_by.host.to_string(),
            },
            sent_by_port: via.sent_by.port,
            call_id,
            from,
            to,
            sequence,
            method: Method::read(method.trim()).ok_or(BadHeader("CSeq"))?,
        })
    }
}

/// The first Via.
fn top_via(headers: &Headers) -> Option<Via> {
    headers.get_named::<Via>().ok()
}

/// Writes `received` and `rport` into the top Via of a request (RFC 3581 section 4) and returns
/// where responses go over UDP.
pub fn stamp_via(headers: &mut Headers, source: SocketAddr) -> Option<SocketAddr> {
    let via = top_via(headers)?;
    let wants_port = via.params.get("rport").is_some();
    let sent_by_ip = via.sent_by.ip().map(canonical);
    let port = if wants_port {
        source.port()
    } else {
        via.sent_by.port.unwrap_or(5060)
    };
    let values: Vec<String> = headers
        .remove(&Name::VIA)?
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut values = values.into_iter();
    let first = values.next()?;
    let mut elements = super::address::split_list(&first).into_iter();
    let top = elements.next()?;
    let mut stamped = String::with_capacity(top.len() + 40);
    let mut parts = top.split(';');
    stamped.push_str(parts.next()?.trim());
    for part in parts.map(str::trim) {
        let name = part.split('=').next().unwrap_or("").trim();
        if !name.eq_ignore_ascii_case("rport") && !name.eq_ignore_ascii_case("received") {
            stamped.push(';');
            stamped.push_str(part);
        }
    }
    if wants_port || sent_by_ip != Some(canonical(source.ip())) {
        stamped.push_str(&format!(";received={}", canonical(source.ip())));
    }
    if wants_port {
        stamped.push_str(&format!(";rport={}", source.port()));
    }
    headers.insert_front(Name::VIA, stamped);
    for element in elements {
        headers.insert(Name::VIA, element);
    }
    for value in values {
        headers.insert(Name::VIA, value);
    }
    Some((source.ip(), port).into())
}

/// An IPv4 address that arrived on an IPv6 socket, as IPv4.
pub fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Cause of a `Reason: Q.850;cause=` header (RFC 3326).
pub fn q850_cause(headers: &Headers) -> Option<u16> {
    super::message::elements(headers, &Name::from("Reason"))
        .into_iter()
        .filter_map(|reason| reason.split_once(';'))
        .filter(|(protocol, _)| protocol.trim().eq_ignore_ascii_case("Q.850"))
        .find_map(|(_, params)| {
            super::address::split_params(params)
                .into_iter()
                .find(|(name, _)| name == "cause")
                .and_then(|(_, value)| value?.parse().ok())
        })
}

/// Body of a message when it is SDP.
pub fn sdp_body(headers: &Headers, body: &bytes::Bytes) -> Option<bytes::Bytes> {
    let kind = header(headers, &Name::CONTENT_TYPE)?;
    let kind = kind.split(';').next().unwrap_or("").trim();
    (kind.eq_ignore_ascii_case("application/sdp") && !body.is_empty()).then(|| body.clone())
}
