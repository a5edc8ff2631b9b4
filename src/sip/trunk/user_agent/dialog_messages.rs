//! MESSAGE inside a dialog, both ways (RFC 3428).

use std::time::Instant;

use super::agent::UserAgent;
use super::incoming_request::IncomingRequest;
use super::leg::{State, Termination};
use super::messaging::put_text;
use super::owner::Owner;
use crate::sip::stack::method::Method;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{Event, LegId};
use crate::sip::trunk::instant_message::{LONGEST_TEXT, MessageOutcome, text};

/// Our MESSAGEs that wait for their turn in one dialog.
const MOST_WAITING: usize = 16;

impl UserAgent {
    pub(super) fn take_dialog_message(
        &mut self,
        id: LegId,
        incoming: &IncomingRequest,
        now: Instant,
    ) {
        let (key, request) = (&incoming.key, &incoming.request);
        match text(request) {
            Ok(text) => {
                let response = request.respond(200, None, None);
                self.respond(key, &response, now);
                self.notify_owner(id, Event::Message { text });
            }
            Err(refusal) => {
                self.reject("message_text", incoming.flow.remote);
                self.respond_refusal(key, request, &refusal, now);
            }
        }
    }

    pub(super) fn send_dialog_message(
        &mut self,
        id: LegId,
        reference: Option<String>,
        text: String,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "send a message");
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return Err(wrong);
        };
        if established.termination != Termination::None {
            return Err(wrong);
        }
        if text.len() > LONGEST_TEXT {
            return Err(Error::LimitReached {
                what: "bytes of a message",
                limit: LONGEST_TEXT,
            });
        }
        if established.messages.waiting.len() >= MOST_WAITING {
            return Err(Error::LimitReached {
                what: "messages of a call",
                limit: MOST_WAITING,
            });
        }
        established.messages.waiting.push_back((reference, text));
        self.send_next_message(id, now);
        Ok(())
    }

    /// The MESSAGE under way has its final answer, or will never have one.
    pub(super) fn finish_dialog_message(
        &mut self,
        id: LegId,
        outcome: MessageOutcome,
        now: Instant,
    ) {
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return;
        };
        if let Some(reference) = established.messages.under_way.take() {
            self.notify_owner(id, Event::MessageAnswered { reference, outcome });
        }
        // The peer has forgotten the dialog (RFC 3261 section 12.2.1.2). One that only does not
        // answer a MESSAGE may well go on talking.
        if outcome.status == 481 {
            return self.lose(id, now);
        }
        self.send_next_message(id, now);
    }

    fn send_next_message(&mut self, id: LegId, now: Instant) {
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return;
        };
        if established.messages.under_way.is_some() || established.termination != Termination::None
        {
            return;
        }
        let Some((reference, text)) = established.messages.waiting.pop_front() else {
            return;
        };
        established.messages.under_way = Some(reference);
        let mut request = established.dialog.request(Method::Message);
        put_text(&mut request, &text);
        self.send_in_dialog(id, Owner::DialogMessage(id), request, false, now);
    }
}
