//! What became of an instant message at the SIP side, as a client is told: the SIP status becomes a
//! code and a sentence.

use super::EndReason;
use super::message_notice::{MessageNotice, words};
use super::refusal::Refusal;
use crate::sip;

impl MessageNotice {
    /// What became of a message.
    pub(crate) fn of_outcome(id: Option<String>, outcome: sip::MessageOutcome) -> Self {
        let status = outcome.status;
        if outcome.is_sent() {
            return MessageNotice::Sent { id, status };
        }
        let (code, text) = match status {
            405 | 415 | 501 => (
                Refusal::NotAccepted.code(),
                "the other side takes no messages",
            ),
            413 => (
                Refusal::TextTooLong.code(),
                "the text is too long for the other side",
            ),
            status => {
                let reason = match EndReason::from_refusal(status, None) {
                    EndReason::NoAnswer => EndReason::Unavailable,
                    EndReason::Cancelled | EndReason::NoCommonCodec => EndReason::TrunkRefused,
                    reason => reason,
                };
                (reason.code(), words(reason))
            }
        };
        MessageNotice::Failed {
            id,
            code,
            status: (!outcome.local).then_some(status),
            text,
        }
    }

    /// It never left.
    pub(crate) fn of_error(id: Option<String>, error: &sip::Error) -> Self {
        let reason = match error {
            sip::Error::LimitReached { .. } => EndReason::Overload,
            sip::Error::Stopped => EndReason::Shutdown,
            _ => EndReason::Internal,
        };
        MessageNotice::failed(id, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_a_code_that_fits_a_message() {
        let code = |status, local| {
            let outcome = sip::MessageOutcome { status, local };
            match MessageNotice::of_outcome(None, outcome) {
                MessageNotice::Failed { code, status, .. } => (code, status),
                other => panic!("{other:?}"),
            }
        };
        for (status, expected) in [
            (302, "redirected"),
            (401, "unauthorized"),
            (403, "forbidden"),
            (404, "not-found"),
            (405, "not-accepted"),
            (413, "text-too-long"),
            (415, "not-accepted"),
            (480, "unavailable"),
            (486, "busy"),
            (487, "trunk-refused"),
            (488, "trunk-refused"),
            (500, "trunk-refused"),
            (603, "declined"),
        ] {
            assert_eq!(code(status, false), (expected, Some(status)));
        }
        assert_eq!(code(408, true), ("trunk-unreachable", None));
        for status in [200, 202] {
            let outcome = sip::MessageOutcome {
                status,
                local: false,
            };
            let notice = MessageNotice::of_outcome(None, outcome);
            assert_eq!(notice, MessageNotice::Sent { id: None, status });
        }
    }
}
