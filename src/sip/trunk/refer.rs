//! What transfers write into headers: Refer-To (RFC 3515), Replaces (RFC 3891), Referred-By
//! (RFC 3892), and the status in a `message/sipfrag` (RFC 3420).

use super::redirection::request_uri;
use crate::sip::stack::address::Address;
use crate::sip::stack::escapes::unescape;
use crate::sip::stack::lists::split_params;
use crate::sip::stack::message::{Headers, Name, elements, header};
use crate::sip::stack::number::number_of;

/// Longest URI, Replaces and Referred-By that we carry on.
const LONGEST: usize = 1_024;

/// A dialog as the one that is to give it up knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// Call-ID.
    pub call_id: String,
    /// Its own tag.
    pub to_tag: String,
    /// The other end's.
    pub from_tag: String,
    /// Only while it is not answered.
    pub early_only: bool,
}

impl Replaces {
    /// Reads the value of a Replaces header; `None` where a part is missing or said twice.
    pub fn parse(text: &str) -> Option<Self> {
        let (call_id, params) = text.split_once(';')?;
        let call_id = call_id.trim();
        let params = split_params(params);
        let single = |name: &str| {
            let mut values = params.iter().filter(|(found, _)| found == name);
            let value = values.next()?.1.clone()?;
            (values.next().is_none() && !value.is_empty()).then_some(value)
        };
        if call_id.is_empty() || call_id.contains(char::is_whitespace) {
            return None;
        }
        Some(Replaces {
            call_id: call_id.to_owned(),
            to_tag: single("to-tag")?,
            from_tag: single("from-tag")?,
            early_only: params.iter().any(|(name, _)| name == "early-only"),
        })
    }
}

impl std::fmt::Display for Replaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{};to-tag={};from-tag={}",
            self.call_id, self.to_tag, self.from_tag
        )?;
        if self.early_only {
            f.write_str(";early-only")?;
        }
        Ok(())
    }
}

/// Who a REFER wants called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referral {
    /// Number or user of the URI.
    pub user: String,
    /// Request URI for the call; `tel:` as written.
    pub uri: String,
    /// Value of Replaces for the call, where it takes another one over.
    pub replaces: Option<String>,
    /// Value of Referred-By.
    pub referred_by: Option<String>,
    /// No NOTIFYs are wanted (`Refer-Sub: false`, RFC 4488).
    pub silent: bool,
}

impl Referral {
    /// Reads the headers of a REFER; the error is a reason phrase.
    pub fn read(headers: &Headers) -> Result<Self, &'static str> {
        let single = |name: &'static str, reason: &'static str| {
            let values = elements(headers, &Name::from(name));
            match values.as_slice() {
                [] => Ok(None),
                [value] if value.len() <= LONGEST => Ok(Some((*value).to_owned())),
                _ => Err(reason),
            }
        };
        let to = single("Refer-To", "Bad Refer-To")?.ok_or("Refer-To Missing")?;
        let to = Address::parse_lenient(&to).ok_or("Bad Refer-To")?;
        let scheme = to.uri.split(':').next().unwrap_or("").to_ascii_lowercase();
        if !matches!(scheme.as_str(), "sip" | "sips" | "tel") {
            return Err("Refer-To Is No Telephone");
        }
        let (plain, embedded) = to.uri.split_once('?').unwrap_or((&to.uri, ""));
        let params = split_params(plain.split_once(';').map_or("", |(_, params)| params));
        let other_method = params.iter().any(|(name, value)| {
            name == "method"
                && value
                    .as_deref()
                    .is_none_or(|method| !method.eq_ignore_ascii_case("INVITE"))
        });
        if other_method {
            return Err("Refer-To Asks For Another Method");
        }
        let replaces = embedded
            .split('&')
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("Replaces"))
            .map(|(_, value)| unescape(value));
        if let Some(replaces) = &replaces
            && (Replaces::parse(replaces).is_none() || replaces.contains(char::is_control))
        {
            return Err("Bad Replaces In Refer-To");
        }
        let silent = header(headers, &Name::from("Refer-Sub"))
            .is_some_and(|value| value.to_ascii_lowercase().starts_with("false"));
        Ok(Referral {
            user: number_of(plain),
            uri: request_uri(&to.uri),
            replaces,
            referred_by: single("Referred-By", "Bad Referred-By")?,
            silent,
        })
    }
}

/// Value of Refer-To; a dialog to replace is escaped into the URI (RFC 3261 section 19.1.1).
pub fn refer_to(uri: &str, replaces: Option<&Replaces>) -> String {
    let Some(replaces) = replaces else {
        return format!("<{uri}>");
    };
    let mut escaped = String::new();
    for byte in replaces.to_string().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            escaped.push(byte as char);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("<{}?Replaces={escaped}>", request_uri(uri))
}

/// The status of the start line in a `message/sipfrag` body.
pub fn fragment_status(headers: &Headers, body: &[u8]) -> Option<u16> {
    let kind = header(headers, &Name::CONTENT_TYPE)?;
    let kind = kind.split(';').next().unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("message/sipfrag") {
        return None;
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(256)]);
    let mut words = text.trim_start().split_ascii_whitespace();
    let version = words.next()?;
    let status: u16 = words.next()?.parse().ok()?;
    (version.eq_ignore_ascii_case("SIP/2.0") && (100..700).contains(&status)).then_some(status)
}
