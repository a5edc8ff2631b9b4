//! Digits in INFO, as JsSIP and SIP.js send them by default.

use std::time::Duration;

use crate::sip::stack::message::{Name, Request, header};
use crate::sip::stack::multipart::media_type;

/// The one type that is read.
pub(super) const CONTENT_TYPE: &str = "application/dtmf-relay";

/// Milliseconds of a digit: where none are said, and the fewest and most.
const DEFAULT_DURATION: u64 = 100;
const LEAST_DURATION: u64 = 40;
const MOST_DURATION: u64 = 6_000;

/// The digit of an INFO and how long it is; none where it carries none.
pub(super) fn read(request: &Request) -> Option<(char, Duration)> {
    let kind = header(&request.headers, &Name::CONTENT_TYPE)?;
    if !media_type(kind).eq_ignore_ascii_case(CONTENT_TYPE) {
        return None;
    }
    let body = std::str::from_utf8(&request.body).ok()?;
    let field = |name: &str| {
        let mut fields = body.lines().filter_map(|line| line.split_once('='));
        let (_, value) = fields.find(|(found, _)| found.trim().eq_ignore_ascii_case(name))?;
        Some(value.trim())
    };
    let mut signal = field("Signal")?.chars();
    let digit = signal.next()?.to_ascii_uppercase();
    if signal.next().is_some() || !matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D') {
        return None;
    }
    let duration = match field("Duration") {
        Some(text) => text.parse().ok()?,
        None => DEFAULT_DURATION,
    };
    let duration = duration.clamp(LEAST_DURATION, MOST_DURATION);
    Some((digit, Duration::from_millis(duration)))
}
