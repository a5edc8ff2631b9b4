//! What a client is told of instant messages, inside calls and outside.

use super::EndReason;

/// What a client is told of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageNotice {
    /// Somebody wrote to the user.
    Received {
        /// The sender's number.
        from: String,
        /// The sender's name.
        name: Option<String>,
        /// The number that it was sent to.
        to: String,
        /// What.
        text: String,
    },
    /// The other side of a call wrote.
    ReceivedInCall {
        /// What.
        text: String,
    },
    /// The client's message was taken.
    Sent {
        /// The client's name for it.
        id: Option<String>,
        /// 200 to 299.
        status: u16,
    },
    /// It was not.
    Failed {
        /// The client's name for it.
        id: Option<String>,
        /// A stable code.
        code: &'static str,
        /// The SIP status from the PBX, where that was the reason.
        status: Option<u16>,
        /// For people.
        text: &'static str,
    },
}

impl MessageNotice {
    /// It was not sent, for a reason of ours.
    pub(crate) fn failed(id: Option<String>, reason: EndReason) -> Self {
        MessageNotice::Failed {
            id,
            code: reason.code(),
            status: None,
            text: words(reason),
        }
    }

    /// A word for metrics and the log.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            MessageNotice::Failed { code, .. } => code,
            _ => "ok",
        }
    }
}

/// The table of endings speaks of calls.
pub(super) fn words(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Declined => "the message was declined",
        EndReason::Forbidden => "the message is not allowed",
        EndReason::Redirected => "the addressee is reached elsewhere",
        EndReason::Unavailable => "the addressee is not there",
        EndReason::TrunkRefused => "the PBX refused the message",
        EndReason::Busy => "the addressee is busy",
        reason => reason.ending().text,
    }
}
