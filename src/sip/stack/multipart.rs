//! Media types, and multipart bodies (RFC 2046 section 5.1, RFC 5621): cut at the boundary,
//! nothing nested.

use bytes::Bytes;

use super::lists::split_params;

/// Most parts that are looked at.
const PARTS: usize = 16;

/// One part of a multipart body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Content-Type; `text/plain` where none is said.
    pub kind: String,
    /// Content-Disposition.
    pub disposition: String,
    /// Content-Transfer-Encoding; empty where none is said.
    pub encoding: String,
    /// The bytes, as they came.
    pub body: Bytes,
}

impl Part {
    /// True when the sender says that the message must be refused by whoever does not
    /// understand this part. RFC 5621 takes silence for the same; what PBXs put beside their SDP
    /// without a word (ISUP, vendor data) is no reason to lose a call, so silence means optional
    /// here.
    pub fn is_required(&self) -> bool {
        split_params(&self.disposition).iter().any(|(name, value)| {
            name == "handling"
                && value
                    .as_deref()
                    .is_some_and(|value| value.eq_ignore_ascii_case("required"))
        })
    }

    fn is_sdp(&self) -> bool {
        let plain = ["", "binary", "8bit", "7bit"];
        media_type(&self.kind).eq_ignore_ascii_case("application/sdp")
            && plain
                .iter()
                .any(|plain| self.encoding.eq_ignore_ascii_case(plain))
    }
}

/// The parts of a body whose Content-Type is `kind`; `None` when that is not multipart, or the
/// body is not what it says.
pub fn parts(kind: &str, body: &Bytes) -> Option<Vec<Part>> {
    let (family, _) = media_type(kind).split_once('/')?;
    if !family.eq_ignore_ascii_case("multipart") {
        return None;
    }
    let params = split_params(kind.split_once(';')?.1);
    let (_, boundary) = params.iter().find(|(name, _)| name == "boundary")?;
    let boundary = boundary.as_deref()?.trim_matches('"');
    // RFC 2046 section 5.1.1: one to seventy characters.
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let delimiter = format!("--{boundary}");
    let (mut at, _) = next_delimiter(body, 0, &delimiter)?;
    let mut parts = Vec::new();
    while parts.len() < PARTS {
        let after = at + delimiter.len();
        if body[after..].starts_with(b"--") {
            return Some(parts);
        }
        let start = line_end(body, after)?;
        // A body that ends without its last delimiter was cut off: its last part is not whole.
        let (next, end) = next_delimiter(body, start, &delimiter)?;
        parts.push(read_part(body, start, end.max(start)));
        at = next;
    }
    Some(parts)
}

/// The SDP among the parts. Of alternatives the last one that is understood is the best
/// (RFC 2046 section 5.1.4), of a mixture the first is meant.
pub fn sdp_part<'a>(kind: &str, parts: &'a [Part]) -> Option<&'a Part> {
    let mut found = parts.iter().filter(|part| part.is_sdp());
    if media_type(kind).eq_ignore_ascii_case("multipart/alternative") {
        found.next_back()
    } else {
        found.next()
    }
}

/// True when a part that is not SDP must be understood.
pub fn requires_more_than_sdp(parts: &[Part]) -> bool {
    parts
        .iter()
        .any(|part| !part.is_sdp() && part.is_required())
}

/// Position of the next delimiter at the start of a line, and where the part before it ends: the
/// line end before a delimiter belongs to the delimiter.
fn next_delimiter(body: &[u8], from: usize, delimiter: &str) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        if body[at..].starts_with(delimiter.as_bytes()) {
            let end = match &body[from..at] {
                [.., b'\r', b'\n'] => at - 2,
                [.., b'\n'] => at - 1,
                _ => at,
            };
            return Some((at, end));
        }
        at = line_end(body, at)?;
    }
}

/// Position after the next line end.
fn line_end(body: &[u8], from: usize) -> Option<usize> {
    let offset = body.get(from..)?.iter().position(|&b| b == b'\n')?;
    Some(from + offset + 1)
}

fn read_part(body: &Bytes, start: usize, end: usize) -> Part {
    let mut part = Part {
        kind: "text/plain".to_owned(),
        disposition: String::new(),
        encoding: String::new(),
        body: Bytes::new(),
    };
    let mut at = start;
    while at < end {
        let next = line_end(body, at).map_or(end, |next| next.min(end));
        let line = body[at..next].trim_ascii();
        at = next;
        if line.is_empty() {
            part.body = body.slice(at..end);
            break;
        }
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let (name, value) = (name.trim_end(), value.trim().to_owned());
        if name.eq_ignore_ascii_case("content-type") || name.eq_ignore_ascii_case("c") {
            part.kind = value;
        } else if name.eq_ignore_ascii_case("content-disposition") {
            part.disposition = value;
        } else if name.eq_ignore_ascii_case("content-transfer-encoding") {
            part.encoding = value;
        }
    }
    part
}

/// `type/subtype` of a Content-Type, without its parameters.
pub fn media_type(kind: &str) -> &str {
    kind.split(';').next().unwrap_or("").trim()
}
