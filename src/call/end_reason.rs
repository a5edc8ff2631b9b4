//! The one table of endings: why a call ended, and how each side is told.
//!
//! Nobody else in the crate chooses a SIP status, a JSON code or a Q.850 cause for the end of a
//! call. `docs/end-reasons.md` is the same table for people, and a test compares them.

/// Whose doing an ending was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nobody's: the call ended as people end calls.
    Nobody,
    /// The browser or its client.
    Browser,
    /// The PBX, the trunk or the party behind it.
    Pbx,
    /// The network between.
    Network,
    /// The gateway.
    Gateway,
}

impl Fault {
    /// The word in metrics, logs and the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Nobody => "nobody",
            Fault::Browser => "browser",
            Fault::Pbx => "pbx",
            Fault::Network => "network",
            Fault::Gateway => "gateway",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Stable code in JSON, metrics and logs.
    pub code: &'static str,
    /// The final SIP status that refuses an INVITE with this reason (RFC 3261 section 21).
    pub sip_status: u16,
    /// The HTTP status of a request that ended so.
    pub http_status: u16,
    /// The Q.850 cause in the Reason header (RFC 3326).
    pub cause: u16,
    /// Whose doing it was.
    pub fault: Fault,
    /// A sentence for people.
    pub text: &'static str,
}

macro_rules! endings {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $sip:literal, $http:literal, $cause:literal, $fault:ident, $text:literal;)*) => {
        /// Why a call ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EndReason {
            $($(#[$doc])* $name,)*
        }

        impl EndReason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [EndReason] = &[$(EndReason::$name,)*];

            /// The row of the table for this reason.
            pub const fn ending(self) -> Ending {
                match self {
                    $(EndReason::$name => Ending {
                        code: $code,
                        sip_status: $sip,
                        http_status: $http,
                        cause: $cause,
                        fault: Fault::$fault,
                        text: $text,
                    },)*
                }
            }
        }
    };
}

endings! {
    /// The client hung up.
    HangupLocal = "hangup-local", 603, 200, 16, Nobody, "the call was hung up here";
    /// The PBX sent BYE.
    HangupRemote = "hangup-remote", 603, 200, 16, Nobody, "the other side hung up";
    /// 486 or 600.
    Busy = "busy", 486, 486, 17, Nobody, "the called party is busy";
    /// 603, or a client that rejected.
    Declined = "declined", 603, 403, 21, Nobody, "the call was declined";
    /// Nobody answered in time.
    NoAnswer = "no-answer", 480, 408, 19, Nobody, "nobody answered";
    /// The caller gave up before the answer.
    Cancelled = "cancelled", 487, 410, 16, Nobody, "the caller gave up";
    /// No such number or user.
    NotFound = "not-found", 404, 404, 1, Nobody, "there is no such number";
    /// The called user is known, but no endpoint of theirs is registered.
    Unavailable = "unavailable", 480, 404, 20, Nobody, "the called party is not signed in";
    /// Refused by policy, here or there.
    Forbidden = "forbidden", 403, 403, 21, Nobody, "the call is not allowed";
    /// The PBX did not take our credentials.
    Unauthorized = "unauthorized", 403, 502, 57, Gateway, "the PBX refused the trunk's credentials";
    /// Another client of the same user took the call.
    AnsweredElsewhere = "answered-elsewhere", 487, 410, 26, Nobody, "the call was answered elsewhere";
    /// The client sent the call elsewhere.
    Transferred = "transferred", 603, 200, 16, Nobody, "the call was transferred";
    /// A 3xx that is not followed.
    Redirected = "redirected", 302, 410, 23, Nobody, "the called party is reached elsewhere";
    /// Audio stopped for longer than allowed.
    MediaTimeout = "media-timeout", 480, 504, 31, Network, "no audio came for too long";
    /// ICE found no way, or lost it.
    IceFailed = "ice-failed", 480, 504, 31, Network, "no network path to the browser works";
    /// DTLS did not finish, or the fingerprint was wrong.
    DtlsFailed = "dtls-failed", 488, 400, 31, Browser, "the encryption handshake with the browser failed";
    /// The browser's offer could not be used.
    BadOffer = "bad-offer", 488, 400, 65, Browser, "the offer could not be used";
    /// The answer could not be used.
    BadAnswer = "bad-answer", 488, 400, 65, Browser, "the answer could not be used";
    /// The PBX's session description could not be used.
    BadPbxDescription = "bad-pbx-description", 488, 502, 65, Pbx, "the PBX's session description could not be used";
    /// The two sides share no codec.
    NoCommonCodec = "no-common-codec", 488, 488, 65, Nobody, "no codec suits both sides";
    /// The trunk did not answer.
    TrunkUnreachable = "trunk-unreachable", 503, 504, 38, Network, "the PBX did not answer";
    /// The trunk refused with a status that has no row of its own.
    TrunkRefused = "trunk-refused", 500, 502, 41, Pbx, "the PBX refused the call";
    /// The gateway is full: ports, calls.
    Overload = "overload", 503, 503, 42, Gateway, "the gateway is at its limit";
    /// The gateway is stopping.
    Shutdown = "shutdown", 503, 503, 41, Gateway, "the gateway is shutting down";
    /// The client's connection went away.
    SignalingLost = "signaling-lost", 480, 410, 27, Browser, "the page's connection was lost";
    /// The token that opened the client's session expired.
    TokenExpired = "token-expired", 480, 401, 31, Browser, "the token of the page's session expired";
    /// A fault of ours.
    Internal = "internal", 500, 500, 41, Gateway, "the gateway failed";
}

impl EndReason {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        self.ending().code
    }

    /// What a final SIP status of 300 and above to our INVITE means, with the Q.850 cause of its
    /// Reason header where it had one.
    pub const fn from_refusal(status: u16, cause: Option<u16>) -> EndReason {
        match status {
            300..=399 => EndReason::Redirected,
            401 | 407 => EndReason::Unauthorized,
            403 => EndReason::Forbidden,
            404 | 410 | 484 | 485 | 604 => EndReason::NotFound,
            408 | 502 | 503 | 504 => EndReason::TrunkUnreachable,
            // PBXs say 480 of a phone that nobody picked up and of one that is not there; only
            // the cause tells them apart, and most do not send it.
            480 if matches!(cause, Some(20)) => EndReason::Unavailable,
            480 => EndReason::NoAnswer,
            486 | 600 => EndReason::Busy,
            487 => EndReason::Cancelled,
            488 | 606 | 415 => EndReason::NoCommonCodec,
            603 | 607 | 608 => EndReason::Declined,
            _ => EndReason::TrunkRefused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_statuses_are_final() {
        let codes: HashSet<_> = EndReason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), EndReason::ALL.len());
        for reason in EndReason::ALL {
            assert!(
                (300..700).contains(&reason.ending().sip_status),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn the_documented_table_is_this_table() {
        let page = include_str!("../../docs/end-reasons.md");
        let documented: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let built: Vec<String> = EndReason::ALL
            .iter()
            .map(|reason| {
                let row = reason.ending();
                format!(
                    "| `{}` | {} | {} | {} | {} | {} |",
                    row.code,
                    row.sip_status,
                    row.http_status,
                    row.cause,
                    row.fault.name(),
                    row.text
                )
            })
            .collect();
        assert_eq!(
            documented,
            built,
            "docs/end-reasons.md should read:\n{}",
            built.join("\n")
        );
    }
}
