//! The Reason header (RFC 3326): why a CANCEL or BYE was sent.

use super::lists::split_params;
use super::message::{Headers, Name, elements};

/// Q.850 cause "non-selected user clearing": another phone of the group has the call.
const NON_SELECTED_USER_CLEARING: u16 = 26;

/// One element of a Reason header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `SIP`, `Q.850` or another protocol, as written.
    pub protocol: String,
    /// Status or cause; `None` where it is missing or no number.
    pub cause: Option<u16>,
    /// The text, without its quotes.
    pub text: String,
}

/// Every element of every Reason header, in order. Elements without parameters say nothing.
pub fn read(headers: &Headers) -> Vec<Reason> {
    elements(headers, &Name::REASON)
        .into_iter()
        .filter_map(|element| element.split_once(';'))
        .map(|(protocol, params)| {
            let params = split_params(params);
            let value = |name: &str| {
                let found = params.iter().find(|(known, _)| known == name);
                found.and_then(|(_, value)| value.clone())
            };
            Reason {
                protocol: protocol.trim().to_owned(),
                cause: value("cause").and_then(|cause| cause.trim().trim_matches('"').parse().ok()),
                text: value("text")
                    .unwrap_or_default()
                    .trim_matches('"')
                    .to_owned(),
            }
        })
        .collect()
}

/// Whether a CANCEL says that the call was answered elsewhere: `SIP;cause=200` (RFC 3326 section
/// 3.1, whatever its text), or Q.850 cause 26.
pub fn cancelled_elsewhere(headers: &Headers) -> bool {
    read(headers)
        .iter()
        .any(|reason| is_non_selected(reason) || is_sip(reason) && reason.cause == Some(200))
}

/// The same of a BYE that ends an answered call. `SIP;cause=200` alone is how some phones end any
/// call: the text must say so too.
pub fn ended_elsewhere(headers: &Headers) -> bool {
    read(headers).iter().any(|reason| {
        let says_so = reason.text.to_ascii_lowercase().contains("elsewhere");
        is_non_selected(reason) || is_sip(reason) && reason.cause == Some(200) && says_so
    })
}

fn is_sip(reason: &Reason) -> bool {
    reason.protocol.eq_ignore_ascii_case("SIP")
}

fn is_non_selected(reason: &Reason) -> bool {
    reason.protocol.eq_ignore_ascii_case("Q.850")
        && reason.cause == Some(NON_SELECTED_USER_CLEARING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> Headers {
        let mut headers = Headers::new();
        for value in values {
            headers.insert(Name::REASON, *value);
        }
        headers
    }

    #[test]
    fn reasons_of_ring_groups_mean_answered_elsewhere() {
        for written in [
            &["SIP;cause=200;text=\"Call completed elsewhere\""][..],
            &["SIP ;cause=200 ;text=\"Call completed elsewhere\""],
            &["sip;CAUSE=200"],
            &["Q.850;cause=26"],
            &["q.850 ; text=\"Non-selected; user, clearing\" ; cause = 26"],
            &["Q.850;cause=16, SIP;cause=200;text=\"Answered elsewhere\""],
            &["Q.850;cause=16", "SIP;cause=200;text=\"x\""],
        ] {
            assert!(cancelled_elsewhere(&headers(written)), "{written:?}");
        }
        for written in [
            &[][..],
            &["SIP;cause=487"],
            &["SIP;cause=600;text=\"Busy Everywhere\""],
            &["SIP;cause=603;text=\"Declined elsewhere\""],
            &["Q.850;cause=200"],
            &["Q.850;cause=16;text=\"SIP;cause=200\""],
            &["SIP"],
            &["SIP;cause=x"],
        ] {
            assert!(!cancelled_elsewhere(&headers(written)), "{written:?}");
            assert!(!ended_elsewhere(&headers(written)), "{written:?}");
        }
    }

    #[test]
    fn bye_with_200_needs_the_text() {
        assert!(!ended_elsewhere(&headers(&[
            "SIP;cause=200;text=\"User hung up\""
        ])));
        assert!(ended_elsewhere(&headers(&[
            "SIP;cause=200;text=\"Call completed elsewhere\""
        ])));
        assert!(ended_elsewhere(&headers(&["Q.850;cause=26"])));
    }
}
