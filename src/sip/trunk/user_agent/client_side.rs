//! What answers to our requests mean, and what their absence means.

use std::net::SocketAddr;
use std::time::Instant;

use super::agent::UserAgent;
use super::leg::{Cancel, Offering, State};
use super::outbound::Outbound;
use super::owner::Owner;
use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::message::Response;
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::stack::transaction::{ClientUser, Unmatched};
use crate::sip::trunk::event::{Event, LegId};
use crate::sip::trunk::instant_message::MessageOutcome;

impl UserAgent {
    pub(super) fn handle_response(
        &mut self,
        response: &Response,
        envelope: &Envelope,
        source: SocketAddr,
        now: Instant,
    ) {
        let key = match self.transactions.handle_response(response, envelope, now) {
            Ok(key) => key,
            Err(Unmatched::NoTransaction) => return self.reject("stray_response", source),
            Err(Unmatched::SentBy) => return self.reject("response_sent_by", source),
        };
        let Some(entry) = self.transactions.client_mut(&key) else {
            return;
        };
        let (flow, context) = (entry.flow, &mut entry.user);
        let owner = context.outbound.owner;
        context.fail_over_at = None;
        context.progressed |= (101..=199).contains(&response.status);
        let is_trying = response.status == 100 && !context.progressed;
        let way = &context.outbound.way;
        context.suspect_at = (is_trying && way.may_fail_over()).then_some(now + way.try_timeout);
        let destination = way.target_destination();
        if response.status != 503
            && !matches!(owner, Owner::Probe(_))
            && let Some(of) = destination
            && self.health.handle_response(of)
        {
            self.run_health(now);
        }
        self.learn_reflexive(flow, response);
        if let Owner::Invite(id) = owner {
            self.learn_peer_address(id, source);
        }
        if let Owner::Register(id) = owner
            && (200..300).contains(&response.status)
            && let Some(entry) = self.transactions.client(&key)
        {
            let request = entry.user.request().clone();
            self.take_registered_flow(id, flow, &request, response, now);
        }
        let (deliver, _) = self.run_client(&key);
        if deliver {
            self.take_response(&key, response, envelope, now);
        }
        self.transactions.release_client(&key);
    }

    /// Tells the leg's owner where the answers to its INVITE come from.
    fn learn_peer_address(&mut self, id: LegId, source: SocketAddr) {
        let ip = source.ip();
        if let Some(leg) = self.legs.get_mut(&id)
            && leg.peer != Some(ip)
        {
            leg.peer = Some(ip);
            self.notify_owner(id, Event::PeerAddress { ip });
        }
    }

    fn take_response(
        &mut self,
        key: &ClientKey,
        response: &Response,
        envelope: &Envelope,
        now: Instant,
    ) {
        let Some(owner) = self
            .transactions
            .client(key)
            .map(|entry| entry.user.outbound.owner)
        else {
            return;
        };
        if matches!(response.status, 401 | 407)
            && !self.is_given_up(owner)
            && self.retry_with_digest(key, response, now)
        {
            return;
        }
        if (200..300).contains(&response.status) {
            self.take_next_nonce(owner, response);
        }
        if response.status == 422
            && !self.is_given_up(owner)
            && self.retry_with_longer_session(key, response, now)
        {
            return;
        }
        if response.status == 503 && self.fail_over_refused(key, response, now) {
            return;
        }
        match owner {
            Owner::Abandoned => self.take_abandoned_response(key, response, now),
            Owner::Invite(leg) => self.take_invite_response(leg, key, response, envelope, now),
            Owner::Reinvite(leg) => self.take_reinvite_response(leg, key, response, now),
            Owner::Bye(leg) if response.status >= 200 => self.finish_bye(leg, now),
            Owner::Refresh(leg) if response.status >= 200 => {
                self.take_refresh_response(leg, key, response, now);
            }
            Owner::Offer(leg) if response.status >= 200 => {
                self.take_update_response(leg, key, response, now);
            }
            Owner::Register(id) if response.status >= 200 => {
                self.take_register_response(id, response, now);
            }
            Owner::Probe(of) if response.status >= 200 => {
                self.take_probe_response(of, response.status, now);
            }
            Owner::Info(leg) if matches!(response.status, 408 | 481) => {
                self.lose(leg, now);
            }
            Owner::Info(leg) if response.status >= 200 => self.finish_info(leg, now),
            Owner::Message(id) if response.status >= 200 => {
                self.finish_message(id, answered(response), now);
            }
            Owner::DialogMessage(leg) if response.status >= 200 => {
                self.finish_dialog_message(leg, answered(response), now);
            }
            Owner::Refer(leg) => self.take_refer_response(leg, response, now),
            Owner::Notify(leg) if response.status >= 200 => self.notified(leg, now),
            Owner::Notify(_)
            | Owner::Info(_)
            | Owner::Message(_)
            | Owner::DialogMessage(_)
            | Owner::Bye(_)
            | Owner::Prack(..)
            | Owner::Refresh(_)
            | Owner::Offer(_)
            | Owner::Register(_)
            | Owner::Acknowledge(_)
            | Owner::Probe(_)
            | Owner::None => {}
        }
    }

    /// True when a challenge is not worth answering: the caller has hung up.
    fn is_given_up(&self, owner: Owner) -> bool {
        let Owner::Invite(leg) = owner else {
            return false;
        };
        match self.legs.get(&leg).map(|leg| &leg.state) {
            Some(State::Calling(calling)) => calling.cancel != Cancel::No,
            _ => true,
        }
    }

    /// A request got no final answer (408) or could not be sent (503).
    pub(super) fn fail_outbound(&mut self, outbound: Outbound, status: u16, now: Instant) {
        match outbound.owner {
            Owner::Invite(leg) if self.try_next_address(leg, &outbound, now) => {}
            Owner::Invite(leg) => self.refuse_locally(leg, status, now),
            Owner::Refer(leg) => self.finish_refer(leg, status, now),
            Owner::Notify(leg) => self.notified(leg, now),
            Owner::Bye(leg) => self.finish_bye(leg, now),
            Owner::Reinvite(leg) | Owner::Offer(leg) => self.fail_offer(leg, status, now),
            Owner::Info(leg) | Owner::Refresh(leg) if status == 408 => self.lose(leg, now),
            // The way there was closed, which says nothing of the peer.
            Owner::Refresh(leg) => {
                self.refresh_refused(leg, None, now);
                self.arm(leg);
            }
            Owner::Info(leg) => self.finish_info(leg, now),
            Owner::Message(id) => self.finish_message(id, unanswered(status), now),
            Owner::DialogMessage(leg) => self.finish_dialog_message(leg, unanswered(status), now),
            Owner::Register(id) => self.fail_register(id, status, now),
            // An early dialog that does not take a PRACK ends by itself or is answered all the
            // same.
            Owner::Probe(of) => self.take_probe_failure(of, now),
            Owner::Acknowledge(_) | Owner::Prack(..) | Owner::None | Owner::Abandoned => {}
        }
    }

    /// An offer of ours got no answer, or could not be sent.
    fn fail_offer(&mut self, id: LegId, status: u16, now: Instant) {
        let offering = match self.legs.get_mut(&id).map(|leg| &mut leg.state) {
            Some(State::Established(established)) => established.offering.take(),
            _ => return,
        };
        match offering {
            Some(Offering::Owner) => {
                let retry_after = None;
                self.notify_owner(
                    id,
                    Event::ReinviteRefused {
                        status,
                        retry_after,
                    },
                );
            }
            Some(Offering::Refresh) => self.refresh_refused(id, None, now),
            None => {}
        }
        if status == 408 {
            return self.lose(id, now);
        }
        self.arm(id);
    }
}

const fn answered(response: &Response) -> MessageOutcome {
    MessageOutcome {
        status: response.status,
        local: false,
    }
}

const fn unanswered(status: u16) -> MessageOutcome {
    MessageOutcome {
        status,
        local: true,
    }
}
