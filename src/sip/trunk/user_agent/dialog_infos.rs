//! INFO both ways (RFC 6086, mostly the use before it): digits.

use std::time::Instant;

use bytes::Bytes;

use super::agent::UserAgent;
use super::leg::{State, Termination};
use super::owner::Owner;
use crate::sip::stack::message::{Name, Request, header};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::Refusal;
use crate::sip::stack::transaction::key::ServerKey;
use crate::sip::trunk::error::Error;
use crate::sip::trunk::event::{Event, LegId};

/// What is understood without an Info-Package.
const UNDERSTOOD: [&str; 2] = ["application/dtmf-relay", "application/dtmf"];

/// Our INFOs that wait for their turn in one dialog.
const MOST_WAITING: usize = 128;

impl UserAgent {
    pub(super) fn take_info(
        &mut self,
        id: LegId,
        key: &ServerKey,
        request: &Request,
        now: Instant,
    ) {
        if header(&request.headers, &Name::from("Info-Package")).is_some() {
            // We have announced none (RFC 6086 section 4.2.2).
            let refusal = Refusal::with(469, "Recv-Info", "");
            return self.respond_refusal(key, request, &refusal, now);
        }
        let content_type = header(&request.headers, &Name::CONTENT_TYPE)
            .unwrap_or("")
            .to_owned();
        let kind = content_type.split(';').next().unwrap_or("").trim();
        let understood = UNDERSTOOD
            .iter()
            .any(|known| known.eq_ignore_ascii_case(kind));
        if !understood && !request.body.is_empty() {
            let refusal = Refusal::with(415, "Accept", UNDERSTOOD.join(", "));
            return self.respond_refusal(key, request, &refusal, now);
        }
        let response = request.respond(200, None, None);
        self.respond(key, &response, now);
        if understood {
            let body = request.body.clone();
            self.notify_owner(id, Event::Info { content_type, body });
        }
    }

    pub(super) fn send_info(
        &mut self,
        id: LegId,
        content_type: String,
        body: Bytes,
        now: Instant,
    ) -> Result<(), Error> {
        let wrong = self.wrong_state(id, "send info");
        if content_type.contains(|c: char| c.is_control()) {
            return Err(Error::BadHeader("Content-Type".to_owned()));
        }
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return Err(wrong);
        };
        if established.termination != Termination::None {
            return Err(wrong);
        }
        if established.infos.waiting.len() >= MOST_WAITING {
            return Err(Error::LimitReached {
                what: "INFO requests of a call",
                limit: MOST_WAITING,
            });
        }
        established.infos.waiting.push_back((content_type, body));
        self.send_next_info(id, now);
        Ok(())
    }

    /// The INFO under way has its final answer, or will never have one.
    pub(super) fn finish_info(&mut self, id: LegId, now: Instant) {
        if let Some(State::Established(established)) =
            self.legs.get_mut(&id).map(|leg| &mut leg.state)
        {
            established.infos.under_way = false;
            self.send_next_info(id, now);
        }
    }

    fn send_next_info(&mut self, id: LegId, now: Instant) {
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return;
        };
        if established.infos.under_way || established.termination != Termination::None {
            return;
        }
        let Some((content_type, body)) = established.infos.waiting.pop_front() else {
            return;
        };
        established.infos.under_way = true;
        let mut request = established.dialog.request(Method::Info);
        request.headers.insert(Name::CONTENT_TYPE, content_type);
        request.body = body;
        self.send_in_dialog(id, Owner::Info(id), request, false, now);
    }
}
