//! SIP messages: reading bytes, writing bytes, and the parts every layer above needs.
//! The lines are read by ourselves, because a message with a fault must still be readable enough to
//! be answered.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

pub use super::headers::{Headers, Name};
use bytes::Bytes;
use bytesstr::BytesStr;

use super::address::Parts;
use super::lists::{list, split_list};
use super::method::Method;
use super::octets::{self, octets};

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Request URI as written.
    pub uri: String,
    /// Headers in order, same names together.
    pub headers: Headers,
    /// Body, cut to Content-Length.
    pub body: Bytes,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// 100..=699.
    pub status: u16,
    /// Reason phrase.
    pub reason: String,
    /// Headers in order, same names together.
    pub headers: Headers,
    /// Body, cut to Content-Length.
    pub body: Bytes,
}

/// Either.
#[derive(Debug, Clone)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// What was read: the message and the first thing that is wrong with its form.
#[derive(Debug, Clone)]
pub struct Received {
    /// The message as far as it can be read.
    pub message: Message,
    /// Its first fault; a request is answered with it, a response dropped.
    pub fault: Option<Fault>,
}

/// A fault in the form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The version is not SIP/2.0.
    Version,
    /// The request line has too few or too many parts.
    StartLine,
    /// A header line without a colon or with a name that is no token.
    HeaderLine,
    /// Content-Length is no number, or given twice with different values.
    ContentLength,
    /// The body is shorter than Content-Length.
    BodyTooShort,
}

impl Fault {
    /// Status and reason phrase of the answer.
    pub const fn answer(self) -> (u16, &'static str) {
        match self {
            Fault::Version => (505, "Version Not Supported"),
            Fault::StartLine => (400, "Bad Request Line"),
            Fault::HeaderLine => (400, "Bad Header Line"),
            Fault::ContentLength => (400, "Bad Content-Length"),
            Fault::BodyTooShort => (400, "Body Shorter Than Content-Length"),
        }
    }
}

/// Bytes that are no SIP message at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No start line of a request or a response.
    #[error("start line is not SIP")]
    StartLine,
    /// The head does not end.
    #[error("head does not end")]
    Truncated,
    /// More than 256 header lines.
    #[error("more than {HEADER_LINES} header lines")]
    TooManyHeaders,
}

/// Most header lines of one message.
pub const HEADER_LINES: usize = 256;

/// Header lines that there is room for from the start.
const USUAL_LINES: usize = 16;

/// What the head says of the body's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentLength {
    /// This many bytes.
    Bytes(usize),
    /// No such header.
    Missing,
    /// No number, or two different ones.
    Unreadable,
}

impl Message {
    /// Reads one datagram or one frame of a stream.
    pub fn read(bytes: &Bytes) -> Result<Received, Unreadable> {
        let start = bytes
            .iter()
            .position(|b| !matches!(b, b'\r' | b'\n'))
            .ok_or(Unreadable::StartLine)?;
        let bytes = bytes.slice(start..);
        let mut lines = Lines::new(&bytes);
        let start_line = String::from_utf8_lossy(lines.next().ok_or(Unreadable::StartLine)?);
        let (mut message, mut fault) = read_start_line(start_line.trim_end())?;
        let headers = message.headers_mut();
        *headers = Headers::with_capacity(USUAL_LINES);
        let mut count = 0;
        for line in lines.by_ref() {
            count += 1;
            if count > HEADER_LINES {
                return Err(Unreadable::TooManyHeaders);
            }
            match read_header(&bytes, line) {
                Some((name, value)) => headers.insert(name, value),
                None => {
                    fault.get_or_insert(Fault::HeaderLine);
                }
            }
        }
        if !lines.complete {
            return Err(Unreadable::Truncated);
        }
        let head = lines.at;
        let mut body = bytes.slice(head..);
        match content_length(&bytes[..head]) {
            ContentLength::Bytes(length) if length <= body.len() => body.truncate(length),
            ContentLength::Bytes(_) => {
                fault.get_or_insert(Fault::BodyTooShort);
            }
            ContentLength::Missing => {}
            ContentLength::Unreadable => {
                fault.get_or_insert(Fault::ContentLength);
            }
        }
        match &mut message {
            Message::Request(request) => request.body = body,
            Message::Response(response) => response.body = body,
        }
        Ok(Received { message, fault })
    }

    fn headers_mut(&mut self) -> &mut Headers {
        match self {
            Message::Request(request) => &mut request.headers,
            Message::Response(response) => &mut response.headers,
        }
    }
}

impl Request {
    /// A request without headers.
    pub fn new(method: Method, uri: impl Into<String>) -> Self {
        Request {
            method,
            uri: uri.into(),
            headers: Headers::new(),
            body: Bytes::new(),
        }
    }

    /// The bytes for the wire; Content-Length is written from the body.
    pub fn write(&self) -> Bytes {
        write(
            format_args!("{} {} SIP/2.0", self.method, self.uri),
            &self.headers,
            None,
            &self.body,
        )
    }

    /// The response to this request with the headers that RFC 3261 section 8.2.6.2 copies:
    /// Via, From, To, Call-ID, CSeq, and Timestamp into a 100 (section 8.2.6.1). `to_tag` is added
    /// where To has none.
    pub fn respond(&self, status: u16, reason: Option<&str>, to_tag: Option<&str>) -> Response {
        let mut headers = Headers::with_capacity(10);
        for name in [Name::VIA, Name::FROM, Name::TO, Name::CALL_ID, Name::CSEQ] {
            for value in self.headers.get_raw(&name) {
                let untagged =
                    || name == Name::TO && Parts::find(value).is_ok_and(|to| to.tag().is_none());
                match to_tag.filter(|_| untagged()) {
                    Some(tag) => headers.insert(name.clone(), format!("{value};tag={tag}")),
                    None => headers.insert(name.clone(), value.clone()),
                }
            }
        }
        if status == 100
            && let Some(value) = self.headers.get_raw(&Name::TIMESTAMP).next()
        {
            headers.insert(Name::TIMESTAMP, value.clone());
        }
        Response {
            status,
            reason: reason.unwrap_or(reason_phrase(status)).to_owned(),
            headers,
            body: Bytes::new(),
        }
    }
}

impl Response {
    /// The bytes for the wire; Content-Length is written from the body.
    pub fn write(&self) -> Bytes {
        self.write_by("")
    }

    /// The same with the name of the server that it comes from; none where it is empty.
    pub fn write_by(&self, server: &str) -> Bytes {
        write(
            format_args!("SIP/2.0 {} {}", self.status, self.reason),
            &self.headers,
            (!server.is_empty()).then_some((&Name::SERVER, server)),
            &self.body,
        )
    }
}

/// The first value of a header, trimmed.
pub fn header<'a>(headers: &'a Headers, name: &Name) -> Option<&'a str> {
    headers.get_raw(name).next().map(|value| value.trim())
}

/// Every comma-separated element of a header over all its lines.
pub fn elements<'a>(headers: &'a Headers, name: &Name) -> Vec<&'a str> {
    headers
        .get_raw(name)
        .flat_map(|value| split_list(value))
        .collect()
}

/// The first of them.
pub fn first_element<'a>(headers: &'a Headers, name: &Name) -> Option<&'a str> {
    headers.get_raw(name).find_map(|value| list(value).next())
}

/// Replaces a header.
pub fn set(headers: &mut Headers, name: Name, value: impl Into<BytesStr>) {
    headers.remove(&name);
    headers.insert(name, value.into());
}

/// Written in one pass into one buffer: this is done for every message that leaves.
fn write(
    start_line: fmt::Arguments<'_>,
    headers: &Headers,
    last: Option<(&Name, &str)>,
    body: &Bytes,
) -> Bytes {
    let lines: usize = headers
        .iter()
        .map(|(name, value)| name.as_print_str().len() + value.len() + 4)
        .sum();
    let mut text = String::with_capacity(lines + body.len() + 160);
    text.write_fmt(start_line)
        .expect("writing to a string cannot fail");
    let mut line = |name: &Name, value: &str| {
        text.push_str("\r\n");
        text.push_str(name.as_print_str());
        text.push_str(": ");
        text.push_str(value);
    };
    for (name, value) in headers.iter() {
        if *name != Name::CONTENT_LENGTH {
            line(name, value);
        }
    }
    if let Some((name, value)) = last {
        line(name, value);
    }
    text.write_fmt(format_args!("\r\nContent-Length: {}\r\n\r\n", body.len()))
        .expect("writing to a string cannot fail");
    let mut bytes = octets(text);
    bytes.extend_from_slice(body);
    // Transactions keep what they sent for half a minute: no octet more than that.
    bytes.into_boxed_slice().into()
}

fn read_start_line(line: &str) -> Result<(Message, Option<Fault>), Unreadable> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let status = match status.parse() {
            Ok(status @ 100..=699) if rest.as_bytes()[0].is_ascii_digit() => status,
            _ => return Err(Unreadable::StartLine),
        };
        let response = Response {
            status,
            reason: reason.trim().to_owned(),
            headers: Headers::new(),
            body: Bytes::new(),
        };
        return Ok((Message::Response(response), None));
    }
    let (method, rest) = line.split_once(' ').ok_or(Unreadable::StartLine)?;
    let (uri, version) = rest.rsplit_once(' ').ok_or(Unreadable::StartLine)?;
    let method = Method::read(method).ok_or(Unreadable::StartLine)?;
    if !version
        .get(..4)
        .is_some_and(|v| v.eq_ignore_ascii_case("SIP/"))
    {
        return Err(Unreadable::StartLine);
    }
    let fault = if !version.eq_ignore_ascii_case("SIP/2.0") {
        Some(Fault::Version)
    } else if uri.is_empty() || uri.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>'))
    {
        Some(Fault::StartLine)
    } else {
        None
    };
    Ok((Message::Request(Request::new(method, uri)), fault))
}

fn read_header(bytes: &Bytes, line: &[u8]) -> Option<(Name, BytesStr)> {
    let (name, value) = split_header(line)?;
    let name = std::str::from_utf8(name).ok()?;
    // `Name` finds compact forms too.
    let name = Name::from(name);
    let value = if value.contains(&b'\n') {
        BytesStr::from(unfold(value))
    } else {
        match octets::text(value) {
            Cow::Borrowed(text) => BytesStr::from_parse(bytes, text),
            // One header in another character set must not hide those that follow it.
            Cow::Owned(text) => BytesStr::from(text),
        }
    };
    Some((name, value))
}

/// Name and trimmed value of one (possibly folded) header line.
fn split_header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&b| b == b':')?;
    let name = line[..colon].trim_ascii_end();
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(b);
    (!name.is_empty() && name.iter().all(is_token)).then(|| (name, line[colon + 1..].trim_ascii()))
}

/// Joins the lines of a folded value (RFC 3261 section 7.3.1: the fold is one space).
fn unfold(value: &[u8]) -> String {
    octets::text(value)
        .lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Reads Content-Length (or `l`) of a head; framing and reading must agree on it, or one peer could
/// smuggle messages past the other.
pub fn content_length(head: &[u8]) -> ContentLength {
    let mut found = ContentLength::Missing;
    let mut lines = Lines::new(head);
    lines.next();
    // Most lines are told apart by their first letter.
    let may_be = |line: &&[u8]| matches!(line.first(), Some(b'c' | b'C' | b'l' | b'L'));
    for (name, value) in lines.filter(may_be).filter_map(split_header) {
        if !name.eq_ignore_ascii_case(b"content-length") && !name.eq_ignore_ascii_case(b"l") {
            continue;
        }
        let length = std::str::from_utf8(value)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse::<u32>().ok())
            .map(|length| length as usize);
        match (length, found) {
            (Some(length), ContentLength::Missing) => found = ContentLength::Bytes(length),
            (Some(length), ContentLength::Bytes(before)) if length == before => {}
            _ => return ContentLength::Unreadable,
        }
    }
    found
}

/// Logical lines of a head, folds included, up to the empty line.
struct Lines<'a> {
    input: &'a [u8],
    at: usize,
    complete: bool,
}

impl<'a> Lines<'a> {
    fn new(input: &'a [u8]) -> Self {
        Lines {
            input,
            at: 0,
            complete: false,
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.complete {
            return None;
        }
        let start = self.at;
        let mut from = start;
        loop {
            let end = from + self.input[from..].iter().position(|&b| b == b'\n')?;
            if end == start || &self.input[start..end] == b"\r" {
                self.at = end + 1;
                self.complete = true;
                return None;
            }
            if matches!(self.input.get(end + 1), Some(b' ' | b'\t')) {
                from = end + 1;
                continue;
            }
            self.at = end + 1;
            let line = &self.input[start..end];
            return Some(line.strip_suffix(b"\r").unwrap_or(line));
        }
    }
}

/// The usual reason phrase of a status (RFC 3261 section 21 and its extensions).
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        494 => "Security Agreement Required",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => match status / 100 {
            1 => "Progress",
            2 => "Success",
            3 => "Redirection",
            4 => "Client Error",
            5 => "Server Error",
            _ => "Global Failure",
        },
    }
}
