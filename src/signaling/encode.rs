//! From what a call tells an endpoint to the messages of `/rtc`.

use super::json::{Caller, Diverted, ServerMessage, Side};
use crate::call::{self, MessageNotice, Notice, SideQuality};
use crate::display_name::visible;

/// A notice on the wire.
pub(super) fn encode(call: String, notice: Notice) -> ServerMessage {
    match notice {
        Notice::Incoming {
            from,
            name,
            to,
            diverted,
            headers,
            offer,
        } => ServerMessage::Incoming {
            call,
            from: caller(from, name),
            to,
            diverted: diverted.map(|diverted| Diverted {
                from: diverted.from,
                reason: diverted.reason,
            }),
            headers: headers.into_iter().collect(),
            sdp: offer,
        },
        Notice::Answer { sdp } => ServerMessage::Answer { call, sdp },
        Notice::Ringing => ServerMessage::Ringing { call },
        Notice::EarlyMedia => ServerMessage::EarlyMedia { call },
        Notice::Answered => ServerMessage::Answered { call },
        Notice::Held { on } => ServerMessage::Held { call, on },
        Notice::Media { side, silent } => ServerMessage::Media {
            call,
            side: match side {
                call::Side::Browser => "browser",
                call::Side::Pbx => "pbx",
            }
            .to_owned(),
            silent,
        },
        Notice::Transferring { status } => ServerMessage::Transferring { call, status },
        Notice::TransferFailed { status } => ServerMessage::TransferFailed { call, status },
        Notice::Transferred { to } => ServerMessage::Transferred { call, to },
        Notice::Redirected { to } => ServerMessage::Redirected { call, to },
        Notice::Digit { digit, duration } => ServerMessage::Dtmf {
            call,
            digit: digit.to_string(),
            duration: u32::try_from(duration.as_millis()).unwrap_or(u32::MAX),
        },
        Notice::Message(notice) => encode_message(Some(call), notice),
        Notice::Quality(quality) => ServerMessage::Statistics {
            call,
            browser: side(&quality.browser),
            pbx: side(&quality.pbx),
        },
        Notice::Refused { refusal, message } => ServerMessage::Error {
            code: refusal.code().to_owned(),
            message,
            call: Some(call),
            methods: Vec::new(),
            retry_after: None,
        },
        Notice::Ended { reason, status } => ServerMessage::Ended {
            call,
            reason: reason.code().to_owned(),
            status,
            text: reason.ending().text.to_owned(),
        },
    }
}

/// News of messages on the wire; with `call`, of those inside it.
pub(super) fn encode_message(call: Option<String>, notice: MessageNotice) -> ServerMessage {
    match notice {
        MessageNotice::Received {
            from,
            name,
            to,
            text,
        } => ServerMessage::Message {
            call,
            from: Some(caller(from, name)),
            to: Some(to),
            text,
        },
        MessageNotice::ReceivedInCall { text } => ServerMessage::Message {
            call,
            from: None,
            to: None,
            text,
        },
        MessageNotice::Sent { id, status } => ServerMessage::MessageSent { id, call, status },
        MessageNotice::Failed {
            id,
            code,
            status,
            text,
        } => ServerMessage::MessageFailed {
            id,
            call,
            code: code.to_owned(),
            status,
            text: text.to_owned(),
        },
    }
}

/// The name as people may see it: what a trunk sends is not cut before.
fn caller(number: String, name: Option<String>) -> Caller {
    let name = name.as_deref().and_then(visible);
    Caller { number, name }
}

fn side(quality: &SideQuality) -> Side {
    Side {
        codec: quality.codec.map(str::to_owned),
        loss_in: quality.loss_in,
        loss_out: quality.loss_out,
        jitter_ms: quality.jitter,
        round_trip_ms: quality.round_trip,
    }
}
