//! Which number a request outside of dialogs is for: that of the request URI, of To, or of
//! P-Called-Party-ID. A registrar replaces the request URI by the Contact that was registered (RFC
//! 3261 section 16.5); where several numbers belong to one registration, the dialled one is left in
//! To or in P-Called-Party-ID only.

use crate::sip::stack::address::Address;
use crate::sip::stack::message::{Headers, Name, elements};
use crate::sip::stack::number::number_of;

/// Where a trunk's called number stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CalledNumber {
    /// In the request URI; of a request to the trunk's own registered Contact in To, where that is
    /// a number.
    #[default]
    Automatic,
    /// In the request URI; that of the registered Contact stands for the registered user.
    Request,
    /// In To.
    To,
    /// In P-Called-Party-ID (RFC 7315 section 4.2); where a request has none, in the request URI.
    CalledPartyId,
}

/// The number that was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The number, or a user's name.
    pub number: String,
    /// The registered user, for whom the request is where `number` leads to no user.
    pub otherwise: Option<String>,
}

/// Finds the called number. `requested` is what the request URI says; `registered` is true where
/// that is the user of the trunk's own registration, called by its Contact.
pub fn called(
    by: CalledNumber,
    requested: String,
    registered: bool,
    to: &str,
    headers: &Headers,
) -> Called {
    let other = match by {
        CalledNumber::Request => None,
        CalledNumber::Automatic => Some(number_of(to)).filter(|to| registered && is_digits(to)),
        CalledNumber::To => Some(number_of(to)),
        CalledNumber::CalledPartyId => called_party(headers),
    };
    match other.filter(|other| !other.is_empty() && *other != requested) {
        Some(number) => Called {
            number,
            otherwise: (by == CalledNumber::Automatic).then_some(requested),
        },
        None => Called {
            number: requested,
            otherwise: None,
        },
    }
}

/// The user or number of P-Called-Party-ID.
fn called_party(headers: &Headers) -> Option<String> {
    let called = elements(headers, &Name::from("P-Called-Party-ID"))
        .first()
        .and_then(|element| Address::parse(element).ok())?;
    Some(number_of(&called.uri))
}

/// True for a number, global or local: not for a user's name.
fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_part = |c: char| c.is_ascii_digit() || "-.()*#".contains(c);
    digits.contains(|c: char| c.is_ascii_digit()) && digits.chars().all(is_part)
}
