//! What a leg does when its time has come: repetitions, expiries, refreshes.

use std::time::Instant;

use super::agent::UserAgent;
use super::intervals::T2;
use super::leg::{Cancel, State, Termination};
use super::owner::Owner;
use crate::sip::stack::method::Method;
use crate::sip::trunk::event::{EndedBy, LegId};

impl UserAgent {
    pub(super) fn handle_leg_timeout(&mut self, id: LegId, now: Instant) {
        self.handle_transfer_timeout(id, now);
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        match &mut leg.state {
            State::Calling(calling) => {
                if matches!(calling.cancel, Cancel::Sent(give_up) if give_up <= now) {
                    // No answer to a cancelled INVITE (section 9.1): it is over.
                    if let Some(key) = calling.invite
                        && let Some(entry) = self.transactions.client_mut(&key)
                    {
                        entry.transaction.fail();
                        self.transactions.release_client(&key);
                    }
                    return self.refuse_locally(id, 487, now);
                }
            }
            State::Ringing(_) => self.handle_ringing_timeout(id, now),
            State::Established(_) => self.handle_established_timeout(id, now),
        }
        self.arm(id);
    }

    pub(super) fn handle_established_timeout(&mut self, id: LegId, now: Instant) {
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return;
        };
        if let Some(waiting) = &mut established.unacknowledged {
            if waiting.give_up <= now {
                established.unacknowledged = None;
                // Nobody confirmed: the owner hears of it now, the peer gets a BYE (section
                // 13.3.1.4).
                let request = established.dialog.request(Method::Bye);
                established.termination = Termination::ByeSent;
                self.send_in_dialog(id, Owner::None, request, false, now);
                return self.end(id, EndedBy::AckMissing, now);
            }
            if waiting.repeat_at <= now {
                waiting.repeat_at = now + waiting.interval;
                waiting.interval = (waiting.interval * 2).min(T2);
                let (flow, bytes) = (waiting.flow, waiting.response.clone());
                self.transmit(flow, bytes, None);
            }
            return;
        }
        self.handle_session_timeout(id, now);
    }
}
