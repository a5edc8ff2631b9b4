//! The Warning header of a refusal (RFC 3261 section 20.43): what exactly was not acceptable.

use super::message::{Name, Response};

/// Who warns: a pseudonym, since an address would tell of the network behind.
const AGENT: &str = "trunkline";

/// The longest text that is written, in characters.
const LONGEST_TEXT: usize = 160;

/// The code that says no more than its text does.
const MISCELLANEOUS: u16 = 399;

/// Why a session description was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// 300 to 399: 300 network protocol, 301 address format, 302 transport protocol, 304 media
    /// type, 305 media format, 306 attribute, 307 parameter, 330 multicast, 399 else.
    pub code: u16,
    /// For people, in English.
    pub text: String,
}

impl Warning {
    /// A warning that says no more than its text does.
    pub fn miscellaneous(text: impl Into<String>) -> Self {
        Warning {
            code: MISCELLANEOUS,
            text: text.into(),
        }
    }

    /// `301 trunkline "..."`. What a quoted string cannot have is left out.
    fn value(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        for letter in self.text.chars().take(LONGEST_TEXT) {
            match letter {
                '"' | '\\' => text.extend(['\\', letter]),
                ' '..='~' => text.push(letter),
                _ => text.push('?'),
            }
        }
        format!("{} {AGENT} \"{text}\"", self.code.clamp(300, 399))
    }
}

/// Puts the warning into a refusal; one of 488 or 606 always has one (section 21.4.26).
pub(in crate::sip) fn put(response: &mut Response, warning: Option<&Warning>) {
    let value = match warning {
        Some(warning) => warning.value(),
        None if matches!(response.status, 488 | 606) => {
            Warning::miscellaneous(response.reason.as_str()).value()
        }
        None => return,
    };
    response.headers.insert(Name::WARNING, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_one_quoted_string_whatever_its_text() {
        let value = |text: &str| {
            Warning {
                code: 301,
                text: text.to_owned(),
            }
            .value()
        };
        assert_eq!(value("no IPv6"), "301 trunkline \"no IPv6\"");
        assert_eq!(
            value("c \"IN IP7\" \\ \r\nVia: x \u{e9}"),
            "301 trunkline \"c \\\"IN IP7\\\" \\\\ ??Via: x ?\""
        );
        assert_eq!(value(&"x".repeat(1_000)).len(), LONGEST_TEXT + 16);
    }
}
