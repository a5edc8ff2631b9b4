//! What clients write, as far as it is more than a shape.

use crate::call::EndReason;

/// The longest name of a call or a text.
pub(super) const LONGEST_CALL_NAME: usize = 64;

/// What a client may say that it found broken.
pub(super) fn hang_up_reason(word: &serde_json::Value) -> Option<EndReason> {
    [
        EndReason::IceFailed,
        EndReason::DtlsFailed,
        EndReason::MediaTimeout,
        EndReason::BadAnswer,
        EndReason::NoCommonCodec,
        EndReason::Busy,
        EndReason::Declined,
        EndReason::NoAnswer,
    ]
    .into_iter()
    .find(|reason| word.as_str() == Some(reason.code()))
}

/// What a client may name calls and texts.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=LONGEST_CALL_NAME).contains(&name.len()) && name.chars().all(allowed)
}

/// The call that a message of the wrong shape is about, if it says so.
pub(super) fn call_named(text: &str) -> Option<String> {
    let message: serde_json::Value = serde_json::from_str(text).ok()?;
    let call = message.get("call")?.as_str()?;
    (call.len() <= LONGEST_CALL_NAME).then(|| call.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hangup_reason_is_a_code_or_nothing() {
        for (word, reason) in [
            (json!("ice-failed"), Some(EndReason::IceFailed)),
            (json!("dtls-failed"), Some(EndReason::DtlsFailed)),
            (json!("media-timeout"), Some(EndReason::MediaTimeout)),
            (json!("bad-answer"), Some(EndReason::BadAnswer)),
            // Not for a client to say, or not known, or no text: a hang-up all the same.
            (json!("shutdown"), None),
            (json!("the user was bored"), None),
            (json!(16), None),
            (json!({"code": "ice-failed"}), None),
        ] {
            assert_eq!(hang_up_reason(&word), reason, "{word}");
        }
    }
}
