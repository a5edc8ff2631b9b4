//! The one table of refusals: what cannot be done, and how each side is told. The call or session that
//! it concerns goes on, unless docs/signaling.md says otherwise; why calls end is in
//! [`super::EndReason`].
//!
//! No other file of calls and signalling chooses a SIP status, a JSON code or an HTTP status for a
//! refusal. A test compares the codes with docs/signaling.md.

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// Stable code in JSON, metrics and logs.
    code: &'static str,
    /// The SIP status (RFC 3261 section 21).
    sip_status: u16,
    /// The HTTP status (RFC 9110 section 15).
    http_status: u16,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $sip:literal, $http:literal;)*) => {
        /// Why something that was asked is not done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $($(#[$doc])* $name,)*
        }

        impl Refusal {
            /// Every refusal, in the order of the table.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name,)*];

            const fn row(self) -> Row {
                match self {
                    $(Refusal::$name => Row {
                        code: $code,
                        sip_status: $sip,
                        http_status: $http,
                    },)*
                }
            }
        }
    };
}

refusals! {
    /// The frame is not JSON.
    BadJson = "bad-json", 400, 400;
    /// A message of the wrong shape.
    BadMessage = "bad-message", 400, 400;
    /// A message that is too long.
    TooLarge = "too-large", 513, 413;
    /// Text that is not UTF-8.
    InvalidText = "invalid-text", 400, 400;
    /// A frame that RFC 6455 forbids.
    ProtocolError = "protocol-error", 400, 400;
    /// Nobody has signed in yet.
    NotSignedIn = "not-signed-in", 401, 401;
    /// Credentials that are not right, or none.
    Unauthorized = "unauthorized", 401, 401;
    /// The token was good until its `exp`.
    TokenExpired = "token-expired", 401, 401;
    /// The credentials were not looked at, since too many before them were wrong.
    TooManyAttempts = "too-many-attempts", 403, 429;
    /// A token of another user.
    WrongUser = "wrong-user", 403, 403;
    /// A version of the protocol that the gateway does not speak.
    UnsupportedVersion = "unsupported-version", 505, 400;
    /// There is no such call, or not any more (481: RFC 3261 section 12.2.2).
    UnknownCall = "unknown-call", 481, 404;
    /// The call's name is in use.
    DuplicateCall = "duplicate-call", 482, 409;
    /// Not possible now: another request of this kind is open, or the call is not answered (491: RFC
    /// 3261 section 14.2).
    BadState = "bad-state", 491, 409;
    /// The client's offer cannot be used.
    BadOffer = "bad-offer", 488, 400;
    /// The client's answer cannot be used.
    BadAnswer = "bad-answer", 488, 400;
    /// The PBX's description cannot be used; what was agreed before stays.
    BadPbxDescription = "bad-pbx-description", 488, 502;
    /// None of the digits is sent.
    DtmfRefused = "dtmf-refused", 488, 409;
    /// The PBX does not agree to hold or resume.
    HoldRefused = "hold-refused", 488, 502;
    /// No route, or no such number.
    NotFound = "not-found", 404, 404;
    /// The route is not for this user.
    Forbidden = "forbidden", 403, 403;
    /// The number is reached through another trunk than the call.
    NotHere = "not-here", 404, 404;
    /// A header that the trunk's list does not have.
    HeaderNotAllowed = "header-not-allowed", 403, 403;
    /// A header with a value that cannot be.
    BadHeader = "bad-header", 400, 400;
    /// More headers, or more bytes of them, than are taken.
    TooManyHeaders = "too-many-headers", 400, 400;
    /// The client has as many calls as it may.
    TooManyCalls = "too-many-calls", 486, 429;
    /// More messages or frames than are taken.
    RateLimited = "rate-limited", 503, 429;
    /// More texts than are taken.
    TooManyMessages = "too-many-messages", 503, 429;
    /// A text that is too long.
    TextTooLong = "text-too-long", 513, 413;
    /// The other side takes no messages.
    NotAccepted = "not-accepted", 415, 502;
}

impl Refusal {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The status that refuses a SIP request for it.
    pub const fn sip_status(self) -> u16 {
        self.row().sip_status
    }

    /// The status that refuses an HTTP request for it.
    pub const fn http_status(self) -> u16 {
        self.row().http_status
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::call::EndReason;

    /// The codes in the first column of the table under a line.
    fn documented(after: &str) -> BTreeSet<&'static str> {
        let page = include_str!("../../docs/signaling.md");
        let (_, table) = page.split_once(after).expect("the table is there");
        let rows = table
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with('|'));
        let first = rows.filter_map(|row| row.split('|').nth(1));
        first
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect()
    }

    #[test]
    fn documented_error_codes_are_those_of_the_table() {
        let of_errors = documented("| code | when | then |");
        let of_messages = documented("| code | when |");
        let of_endings: BTreeSet<_> = EndReason::ALL.iter().map(|reason| reason.code()).collect();
        // A text may fail for what ends calls.
        let of_texts = of_messages.difference(&of_endings).copied();
        let documented: BTreeSet<_> = of_errors.iter().copied().chain(of_texts).collect();
        let built: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
        assert_eq!(documented, built);
        assert!(of_errors.contains("bad-state") && of_messages.contains("text-too-long"));
    }

    #[test]
    fn codes_are_unique_and_statuses_refuse() {
        let codes: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
        for refusal in Refusal::ALL {
            assert!((400..700).contains(&refusal.sip_status()), "{refusal:?}");
            assert!((400..600).contains(&refusal.http_status()), "{refusal:?}");
        }
    }

    #[test]
    fn code_shared_with_an_ending_has_its_statuses() {
        for refusal in [
            Refusal::NotFound,
            Refusal::Forbidden,
            Refusal::BadOffer,
            Refusal::BadAnswer,
            Refusal::BadPbxDescription,
        ] {
            let all = EndReason::ALL.iter();
            let ending = all
                .map(|reason| reason.ending())
                .find(|ending| ending.code == refusal.code());
            let ending = ending.expect("an ending of that code");
            assert_eq!(ending.sip_status, refusal.sip_status(), "{refusal:?}");
            assert_eq!(ending.http_status, refusal.http_status(), "{refusal:?}");
        }
    }
}
