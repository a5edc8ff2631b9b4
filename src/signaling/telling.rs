//! From what a call tells to the messages of `/rtc`.

use super::json::{Caller, Diverted, Side, ToPage};
use crate::call::{self, MessageNotice, Notice, SideQuality};
use crate::display_name::visible;

/// A notice on the wire.
pub(super) fn to_page(call: String, notice: Notice) -> ToPage {
    match notice {
        Notice::Incoming {
            from,
            name,
            to,
            diverted,
            headers,
            offer,
        } => ToPage::Incoming {
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
        Notice::Answer { sdp } => ToPage::Answer { call, sdp },
        Notice::Ringing => ToPage::Ringing { call },
        Notice::EarlyMedia => ToPage::EarlyMedia { call },
        Notice::Answered => ToPage::Answered { call },
        Notice::Held { on } => ToPage::Held { call, on },
        Notice::Media { side, silent } => ToPage::Media {
            call,
            side: match side {
                call::Side::Browser => "browser",
                call::Side::Pbx => "pbx",
            }
            .to_owned(),
            silent,
        },
        Notice::Transferring { status } => ToPage::Transferring { call, status },
        Notice::TransferFailed { status } => ToPage::TransferFailed { call, status },
        Notice::Transferred { to } => ToPage::Transferred { call, to },
        Notice::Redirected { to } => ToPage::Redirected { call, to },
        Notice::Digit { digit, duration } => ToPage::Dtmf {
            call,
            digit: digit.to_string(),
            duration: u32::try_from(duration.as_millis()).unwrap_or(u32::MAX),
        },
        Notice::Message(notice) => message_to_page(Some(call), notice),
        Notice::Quality(quality) => ToPage::Statistics {
            call,
            browser: side(&quality.browser),
            pbx: side(&quality.pbx),
        },
        Notice::Refused { refusal, message } => ToPage::Error {
            code: refusal.code().to_owned(),
            message,
            call: Some(call),
            methods: Vec::new(),
            retry_after: None,
        },
        Notice::Ended { reason, status } => ToPage::Ended {
            call,
            reason: reason.code().to_owned(),
            status,
            text: reason.ending().text.to_owned(),
        },
    }
}

/// News of messages on the wire; with `call`, of those inside it.
pub(super) fn message_to_page(call: Option<String>, notice: MessageNotice) -> ToPage {
    match notice {
        MessageNotice::Received {
            from,
            name,
            to,
            text,
        } => ToPage::Message {
            call,
            from: Some(caller(from, name)),
            to: Some(to),
            text,
        },
        MessageNotice::ReceivedInCall { text } => ToPage::Message {
            call,
            from: None,
            to: None,
            text,
        },
        MessageNotice::Sent { id, status } => ToPage::MessageSent { id, call, status },
        MessageNotice::Failed {
            id,
            code,
            status,
            text,
        } => ToPage::MessageFailed {
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
