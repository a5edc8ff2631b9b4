//! Instant messages (RFC 3428) between clients and trunks, outside calls and inside; routed as calls
//! are.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: waits for the outcome of each message in a task of its own"
)]

use super::call_control::CallControl;
use super::called;
use crate::call::{ClientEvent, EndReason, EventSender, MOST_RINGING, MessageNotice};
use crate::guest::display_name;
use crate::sip;

/// Most bytes of a text, both ways.
pub const LONGEST_TEXT: usize = sip::LONGEST_TEXT;

/// A client sends a message outside calls.
#[derive(Clone, Debug)]
pub struct MessageRequest {
    /// Its user.
    pub user: String,
    /// The name that the other side sees.
    pub name: Option<String>,
    /// How events reach the endpoint that sends it.
    pub sender: EventSender,
    /// The client's name for the message.
    pub id: Option<String>,
    /// The dialled string.
    pub to: String,
    /// What, at most [`LONGEST_TEXT`] bytes.
    pub text: String,
}

impl CallControl {
    /// Sends a client's message; the client is told what becomes of it.
    pub async fn send_message(&self, request: MessageRequest) {
        let MessageRequest {
            user,
            name,
            sender,
            id,
            to,
            text,
        } = request;
        let outgoing = self.outgoing_message(&user, name, &to, text);
        let trunk = outgoing.as_ref().map(|outgoing| outgoing.trunk.clone());
        let trunk = trunk.unwrap_or_default();
        let begun = match outgoing {
            Ok(outgoing) => {
                let begun = self.sip.message(outgoing).await;
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
            if sender.try_send(ClientEvent::Message(notice)).is_err() {
                tracing::debug!(%user, "client does not hear what became of its message");
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
        let routes = &self.routes;
        let destination = routes.outbound(user, to)?;
        let trunk = self.trunk(&destination.trunk)?;
        Ok(sip::OutgoingMessage {
            to_user: destination.number,
            account: Some(user.to_owned()),
            from_user: trunk.caller(user),
            from_name: display_name(user, name),
            text,
            trunk: destination.trunk,
        })
    }

    /// Hands a message of a PBX to the endpoints of its user, and answers it.
    pub async fn receive_message(&self, message: sip::IncomingMessage) {
        let (id, source) = (message.id, message.source);
        let trunk = message.trunk.clone().unwrap_or_default();
        let (to, call_id) = (message.request_user.clone(), message.call_id.clone());
        let (status, code) = match self.hand_over(message).await {
            Ok(()) => (200, "ok"),
            Err(reason) => (reason.ending().sip_status, reason.code()),
        };
        if status != 200 {
            tracing::info!(%source, sip_call_id = %call_id, code, "incoming message refused");
        }
        note("incoming", &to, &trunk, code);
        self.sip.answer_message(id, status).await;
    }

    async fn hand_over(&self, message: sip::IncomingMessage) -> Result<(), EndReason> {
        let trunk = message.trunk.ok_or(EndReason::Forbidden)?;
        let numbers: Vec<&str> = [Some(&message.request_user), message.otherwise.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let found = called::find(
            &self.routes,
            &*self.location_service,
            &trunk,
            message.account.as_deref(),
            &numbers,
        )
        .await?;
        let (to, endpoints) = (found.number, found.endpoints);
        let notice = MessageNotice::Received {
            from: message.from_user,
            name: message.from_name,
            to,
            text: message.text,
        };
        let mut reached = false;
        for endpoint in endpoints.into_iter().take(MOST_RINGING) {
            let sender = endpoint.sender;
            // The other half of an endpoint's queue is for its calls, which a full one would end.
            let has_room = sender.capacity() * 2 > sender.max_capacity();
            reached |= has_room
                && sender
                    .try_send(ClientEvent::Message(notice.clone()))
                    .is_ok();
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
