//! Names of headers: those that are known are one number, so that looking a header up compares
//! numbers and not text. Compact forms (RFC 3261 section 7.3.3) are the same names.

use std::fmt;

use bytesstr::BytesStr;

/// The name of a header. Comparing ignores case, as names do.
#[derive(Clone)]
pub struct Name(Written);

#[derive(Clone)]
enum Written {
    /// Place in [`KNOWN`].
    Known(u8),
    /// As somebody wrote it; never one of [`KNOWN`].
    Other(BytesStr),
}

/// A name that is known: as it is printed, and its compact form where it has one.
struct Known {
    printed: &'static str,
    compact: Option<u8>,
}

macro_rules! compact {
    () => {
        None
    };
    ($compact:literal) => {
        Some($compact.as_bytes()[0])
    };
}

macro_rules! names {
    ($($constant:ident = $printed:literal $(, $compact:literal)?;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "numbers for the constants below")]
        #[repr(u8)]
        enum Place {
            $($constant,)*
        }

        const KNOWN: &[Known] = &[
            $(Known { printed: $printed, compact: compact!($($compact)?) },)*
        ];

        #[allow(missing_docs, reason = "each is the header of that name")]
        impl Name {
            $(pub const $constant: Name = Name(Written::Known(Place::$constant as u8));)*
        }
    };
}

names! {
    ACCEPT = "Accept";
    ACCEPT_ENCODING = "Accept-Encoding";
    ACCEPT_LANGUAGE = "Accept-Language";
    ALERT_INFO = "Alert-Info";
    ALLOW = "Allow";
    ALLOW_EVENTS = "Allow-Events", "u";
    AUTHENTICATION_INFO = "Authentication-Info";
    AUTHORIZATION = "Authorization";
    CALL_ID = "Call-ID", "i";
    CALL_INFO = "Call-Info";
    CONTACT = "Contact", "m";
    CONTENT_DISPOSITION = "Content-Disposition";
    CONTENT_ENCODING = "Content-Encoding", "e";
    CONTENT_LANGUAGE = "Content-Language";
    CONTENT_LENGTH = "Content-Length", "l";
    CONTENT_TYPE = "Content-Type", "c";
    CSEQ = "CSeq";
    DATE = "Date";
    ERROR_INFO = "Error-Info";
    EVENT = "Event", "o";
    EXPIRES = "Expires";
    FROM = "From", "f";
    IN_REPLY_TO = "In-Reply-To";
    MAX_FORWARDS = "Max-Forwards";
    MIN_EXPIRES = "Min-Expires";
    MIN_SE = "Min-SE";
    MIME_VERSION = "MIME-Version";
    ORGANIZATION = "Organization";
    P_ASSOCIATED_URI = "P-Associated-URI";
    P_CALLED_PARTY_ID = "P-Called-Party-ID";
    P_VISITED_NETWORK_ID = "P-Visited-Network-ID";
    P_ACCESS_NETWORK_INFO = "P-Access-Network-Info";
    P_CHARGING_FUNCTION_ADDRESSES = "P-Charging-Function-Addresses";
    P_CHARGING_VECTOR = "P-Charging-Vector";
    PRIORITY = "Priority";
    PROXY_AUTHENTICATE = "Proxy-Authenticate";
    PROXY_AUTHORIZATION = "Proxy-Authorization";
    PROXY_REQUIRE = "Proxy-Require";
    RACK = "RAck";
    RECORD_ROUTE = "Record-Route";
    REFER_TO = "Refer-To", "r";
    REPLACES = "Replaces";
    REPLY_TO = "Reply-To";
    REQUIRE = "Require";
    RETRY_AFTER = "Retry-After";
    ROUTE = "Route";
    RSEQ = "RSeq";
    SECURITY_CLIENT = "Security-Client";
    SECURITY_SERVER = "Security-Server";
    SECURITY_VERIFY = "Security-Verify";
    SERVER = "Server";
    SESSION_EXPIRES = "Session-Expires", "x";
    SUBJECT = "Subject", "s";
    SUBSCRIPTION_STATE = "Subscription-State";
    SUPPORTED = "Supported", "k";
    TIMESTAMP = "Timestamp";
    TO = "To", "t";
    UNSUPPORTED = "Unsupported";
    USER_AGENT = "User-Agent";
    VIA = "Via", "v";
    WARNING = "Warning";
    WWW_AUTHENTICATE = "WWW-Authenticate";
    PATH = "Path";
    SERVICE_ROUTE = "Service-Route";
    P_ASSERTED_IDENTITY = "P-Asserted-Identity";
    P_PREFERRED_IDENTITY = "P-Preferred-Identity";
    PRIVACY = "Privacy";
    REASON = "Reason";
    REFERRED_BY = "Referred-By", "b";
    DIVERSION = "Diversion";
    HISTORY_INFO = "History-Info";
    REMOTE_PARTY_ID = "Remote-Party-ID";
}

/// Length of the longest name that is known, and how many of one length there may be.
const LONGEST: usize = 31;
const ALIKE: usize = 16;
/// No place.
const NOWHERE: u8 = u8::MAX;

/// Places of the names of each length: a name that arrives is compared with a few of them.
static BY_LENGTH: [[u8; ALIKE]; LONGEST + 1] = by_length();

#[expect(
    clippy::cast_possible_truncation,
    reason = "there are fewer than 255 names"
)]
const fn by_length() -> [[u8; ALIKE]; LONGEST + 1] {
    let mut places = [[NOWHERE; ALIKE]; LONGEST + 1];
    let mut filled = [0; LONGEST + 1];
    let mut place = 0;
    while place < KNOWN.len() {
        let length = KNOWN[place].printed.len();
        places[length][filled[length]] = place as u8;
        filled[length] += 1;
        place += 1;
    }
    places
}

impl Name {
    /// As it is printed.
    pub fn as_print_str(&self) -> &str {
        match &self.0 {
            Written::Known(place) => KNOWN[usize::from(*place)].printed,
            Written::Other(text) => text,
        }
    }

    fn known(text: &[u8]) -> Option<Name> {
        let place = match text {
            [letter] => {
                let letter = letter.to_ascii_lowercase();
                KNOWN.iter().position(|known| known.compact == Some(letter))
            }
            _ => BY_LENGTH
                .get(text.len())?
                .iter()
                .map(|place| usize::from(*place))
                .take_while(|place| *place < KNOWN.len())
                .find(|place| KNOWN[*place].printed.as_bytes().eq_ignore_ascii_case(text)),
        }?;
        Some(Name(Written::Known(u8::try_from(place).ok()?)))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        match (&self.0, &other.0) {
            (Written::Known(one), Written::Known(another)) => one == another,
            (Written::Other(one), Written::Other(another)) => one.eq_ignore_ascii_case(another),
            _ => false,
        }
    }
}

impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_print_str())
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Name::known(text.as_bytes()).unwrap_or_else(|| Name(Written::Other(text.into())))
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Self {
        Name::from(text.as_str())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Name::known(text.as_bytes()).unwrap_or_else(|| Name(Written::Other(text.into())))
    }
}

impl From<BytesStr> for Name {
    fn from(text: BytesStr) -> Self {
        Name::known(text.as_bytes()).unwrap_or(Name(Written::Other(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_any_case_and_in_its_compact_form() {
        for (one, another) in [
            ("Via", "v"),
            ("CALL-ID", "i"),
            ("content-type", "C"),
            ("Session-Expires", "X"),
            ("referred-by", "b"),
            ("x-account", "X-Account"),
        ] {
            assert_eq!(Name::from(one), Name::from(another));
        }
        assert_ne!(Name::from("x"), Name::from("x-"));
        assert_ne!(Name::VIA, Name::from("X-Via"));
        assert_eq!(Name::from("vIA").as_print_str(), "Via");
    }

    #[test]
    fn no_two_known_names_share_a_form() {
        for (index, known) in KNOWN.iter().enumerate() {
            for other in &KNOWN[..index] {
                assert!(!known.printed.eq_ignore_ascii_case(other.printed));
                assert!(known.compact.is_none() || known.compact != other.compact);
            }
        }
    }
}
