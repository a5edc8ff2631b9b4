//! Instant messages (RFC 3428) between pages and trunks, outside calls and inside; routed as calls
//! are.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: waits for the outcome of each message in a task of its own"
)]

use super::EndReason;
use super::audience::MOST_RINGING;
use super::called;
use super::exchange::Exchange;
use super::location_service::{Delivery, SocketSender};
use crate::guest::display_name;
use crate::sip;

/// Most bytes of a text, both ways.
pub const LONGEST_TEXT: usize = sip::LONGEST_TEXT;

/// What a page is told of messages.
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
    /// The page's message was taken.
    Sent {
        /// The page's name for it.
        id: Option<String>,
        /// 200 to 299.
        status: u16,
    },
    /// It was not.
    Failed {
        /// The page's name for it.
        id: Option<String>,
        /// A stable code.
        code: &'static str,
        /// The SIP status from the PBX, where that was the reason.
        status: Option<u16>,
        /// For people.
        text: &'static str,
    },
}

/// A page's message to somebody outside any call.
#[derive(Clone, Debug)]
pub struct Texting {
    /// Who.
    pub user: String,
    /// The name that the other side sees.
    pub name: Option<String>,
    /// The page's connection.
    pub sender: SocketSender,
    /// The page's name for the message.
    pub id: Option<String>,
    /// The dialled string.
    pub to: String,
    /// What, at most [`LONGEST_TEXT`] bytes.
    pub text: String,
}

impl MessageNotice {
    /// What became of a message.
    pub(super) fn of_outcome(id: Option<String>, outcome: sip::MessageOutcome) -> Self {
        let status = outcome.status;
        if outcome.is_sent() {
            return MessageNotice::Sent { id, status };
        }
        let (code, text) = match status {
            405 | 415 | 501 => ("not-accepted", "the other side takes no messages"),
            413 => ("text-too-long", "the text is too long for the other side"),
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
    pub(super) fn of_error(id: Option<String>, error: &sip::Error) -> Self {
        let reason = match error {
            sip::Error::LimitReached { .. } => EndReason::Overload,
            sip::Error::Stopped => EndReason::Shutdown,
            _ => EndReason::Internal,
        };
        MessageNotice::failed(id, reason)
    }

    fn failed(id: Option<String>, reason: EndReason) -> Self {
        MessageNotice::Failed {
            id,
            code: reason.code(),
            status: None,
            text: words(reason),
        }
    }

    /// A word for metrics and the log.
    fn code(&self) -> &'static str {
        match self {
            MessageNotice::Failed { code, .. } => code,
            _ => "ok",
        }
    }
}

/// The table of endings speaks of calls.
fn words(reason: EndReason) -> &'static str {
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

impl Exchange {
    /// Sends a page's message; the page is told what becomes of it.
    pub async fn send_message(&self, texting: Texting) {
        let Texting {
            user,
            name,
            sender,
            id,
            to,
            text,
        } = texting;
        let outgoing = self.outgoing_message(&user, name, &to, text);
        let trunk = outgoing.as_ref().map(|outgoing| outgoing.trunk.clone());
        let trunk = trunk.unwrap_or_default();
        let begun = match outgoing {
            Ok(outgoing) => {
                let begun = self.resources.sip.message(outgoing).await;
                begun.map_err(|error| MessageNotice::of_error(id.clone(), &error))
            }
            Err(reason) => Err(MessageNotice::failed(id.clone(), reason)),
        };
        tokio::spawn(async move {
            let notice = match begun {
                Ok(outcome) => match outcome.await.unwrap_or(Err(sip::Error::Stopped)) {
                    Ok(outcome) => MessageNotice::of_outcome(id, outcome),
                    Err(error) => MessageNotice::of_error(id, &error),
                },
                Err(notice) => notice,
            };
            note("outgoing", &user, &trunk, notice.code());
            if sender.try_send(Delivery::Message(notice)).is_err() {
                tracing::debug!(%user, "page does not hear what became of its message");
            }
        });
    }

    fn outgoing_message(
        &self,
        user: &str,
        name: Option<String>,
        to: &str,
        text: String,
    ) -> Result<sip::OutgoingMessage, EndReason> {
        let routes = &self.resources.routes;
        let destination = routes.outbound(user, to)?;
        let trunks = &self.resources.trunks;
        let trunk = trunks.get(&destination.trunk).ok_or(EndReason::Internal)?;
        Ok(sip::OutgoingMessage {
            to_user: destination.number,
            account: Some(user.to_owned()),
            from_user: trunk.caller(user),
            from_name: display_name(user, name),
            text,
            trunk: destination.trunk,
        })
    }

    /// Hands a message of a PBX to the pages of its user, and answers it.
    pub async fn receive_message(&self, message: sip::IncomingMessage) {
        let (id, source) = (message.id, message.source);
        let trunk = message.trunk.clone().unwrap_or_default();
        let (to, call_id) = (message.request_user.clone(), message.call_id.clone());
        let (status, code) = match self.hand_over(message) {
            Ok(()) => (200, "ok"),
            Err(reason) => (reason.ending().sip_status, reason.code()),
        };
        if status != 200 {
            tracing::info!(%source, sip_call_id = %call_id, code, "incoming message refused");
        }
        note("incoming", &to, &trunk, code);
        self.resources.sip.answer_message(id, status).await;
    }

    fn hand_over(&self, message: sip::IncomingMessage) -> Result<(), EndReason> {
        let trunk = message.trunk.ok_or(EndReason::Forbidden)?;
        let numbers: Vec<&str> = [Some(&message.request_user), message.otherwise.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let found = called::find(
            &self.resources.routes,
            &self.resources.location_service,
            &trunk,
            message.account.as_deref(),
            &numbers,
        )?;
        let (to, pages) = (found.number, found.pages);
        let notice = MessageNotice::Received {
            from: message.from_user,
            name: message.from_name,
            to,
            text: message.text,
        };
        let mut reached = false;
        for page in pages.into_iter().take(MOST_RINGING) {
            let page = page.sender;
            // The other half of a page's queue is for its calls, which a full one would end.
            let has_room = page.capacity() * 2 > page.max_capacity();
            reached |= has_room && page.try_send(Delivery::Message(notice.clone())).is_ok();
        }
        if reached {
            Ok(())
        } else {
            Err(EndReason::Unavailable)
        }
    }
}

/// Counts a message and leaves its line in the log, which never has the text.
fn note(direction: &'static str, user: &str, trunk: &str, code: &'static str) {
    metrics::counter!("trunkline_instant_messages_total", "direction" => direction, "code" => code)
        .increment(1);
    tracing::info!(direction, user, trunk, code, "message");
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
