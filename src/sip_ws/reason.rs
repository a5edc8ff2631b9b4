//! Why a call ended, in both directions: the table of `call/end_reason.rs` and nothing beside it.

use crate::call::message::Command;
use crate::call::{EndReason, EndpointId};

/// Value of Reason (RFC 3326) for an ending.
pub(super) fn reason(ending: EndReason) -> String {
    let row = ending.ending();
    format!("Q.850;cause={};text=\"{}\"", row.cause, row.text)
}

/// What a refusal of our INVITE means for the call. A person who is busy or declines says it by 486
/// or 603; whatever else, this client cannot take the call, and others of the user ring on.
pub(super) fn refused(status: u16, endpoint: EndpointId) -> Command {
    match EndReason::from_refusal(status, None) {
        reason @ (EndReason::Busy | EndReason::Declined) => Command::Reject { endpoint, reason },
        reason @ (EndReason::NoAnswer | EndReason::NoCommonCodec) => {
            Command::Detach { endpoint, reason }
        }
        _ => Command::Detach {
            endpoint,
            reason: EndReason::Unavailable,
        },
    }
}
