//! When a destination fails: the same request to the next one (RFC 3263 section 4.3), and what
//! becomes of the abandoned attempt.
//!
//! A destination fails by silence, by a transport that does not carry, by 503. One that has let the
//! called party ring is not left for another: its end is the call's. 502 and 504 are answers: the
//! destination is there, what is behind it is not. The next request is the same but for its branch,
//! CSeq included.

use std::time::{Duration, Instant};

use super::agent::UserAgent;
use super::leg::{Cancel, State};
use super::outbound::Outbound;
use super::owner::Owner;
use super::way::Way;
use crate::sip::stack::dialog::Dialog;
use crate::sip::stack::message::{Name, Response, header};
use crate::sip::stack::method::Method;
use crate::sip::stack::resolver::Failure;
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::stack::transaction::{ClientUser, same_branch};

/// How long a destination that failed comes after others.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// The longest that a Retry-After keeps it so.
const LONGEST_FAILED: Duration = Duration::from_secs(300);

impl UserAgent {
    /// A request failed where it was sent: on to the next destination, or the owner hears of it.
    pub(super) fn fail_here(&mut self, mut outbound: Outbound, status: u16, now: Instant) {
        if let Some(destination) = outbound.way.here() {
            let failure = Failure {
                until: now + FAILED_FOR,
                requested: false,
            };
            self.resolver.fail(destination, failure);
        }
        self.fail_target(&outbound, false, now);
        if !outbound.way.has_more() || !self.may_move(outbound.owner) {
            return self.fail_outbound(outbound, status, now);
        }
        tracing::debug!(status, destination = ?outbound.way.here(),
            target = ?outbound.way.target_destination(), method = %outbound.request.method,
            "sip request goes to the next destination");
        outbound.failure = status;
        outbound.may_upgrade = true;
        if let Owner::Invite(leg) = outbound.owner
            && let Some(leg) = self.legs.get_mut(&leg)
            && let State::Calling(calling) = &mut leg.state
        {
            calling.invite = None;
        }
        self.send(outbound, now);
    }

    /// A destination of a target has failed a request.
    fn fail_target(&mut self, outbound: &Outbound, refused: bool, now: Instant) {
        if let Some(of) = outbound.way.target_destination()
            && !matches!(outbound.owner, Owner::Probe(_))
        {
            self.health.handle_request_failure(of, refused, now);
            self.run_health(now);
        }
    }

    /// False when nobody wants the request to succeed any more.
    fn may_move(&self, owner: Owner) -> bool {
        match owner {
            Owner::Invite(leg) => match self.legs.get(&leg).map(|leg| &leg.state) {
                Some(State::Calling(calling)) => calling.cancel == Cancel::No,
                _ => false,
            },
            Owner::Abandoned => false,
            _ => true,
        }
    }

    /// A 503: true when the request fails over to another destination, and this response is not
    /// delivered.
    pub(super) fn fail_over_refused(
        &mut self,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) -> bool {
        let Some(entry) = self.transactions.client(key) else {
            return false;
        };
        let (progressed, owner) = (entry.user.progressed, entry.user.outbound.owner);
        let here = entry.user.outbound.way.here();
        let outbound = entry.user.outbound.clone();
        let moves = !progressed && outbound.way.has_more() && self.may_move(owner);
        if let Some(destination) = here {
            let requested = header(&response.headers, &Name::RETRY_AFTER)
                .and_then(|value| value.split(|c: char| !c.is_ascii_digit()).next())
                .and_then(|digits| digits.parse().ok())
                .map(Duration::from_secs);
            let wait = requested
                .unwrap_or(FAILED_FOR)
                .clamp(FAILED_FOR, LONGEST_FAILED);
            let failure = Failure {
                until: now + wait,
                requested: requested.is_some(),
            };
            self.resolver.fail(destination, failure);
        }
        if moves {
            self.fail_here(outbound, 503, now);
        } else {
            self.fail_target(&outbound, true, now);
        }
        moves
    }

    /// The destination says nothing, or its transport broke: the request fails over to another one.
    /// An INVITE that is abandoned so is cancelled once it has a response.
    pub(super) fn fail_over(&mut self, key: &ClientKey, status: u16, now: Instant) {
        // What a broken transport did not carry has begun nothing.
        self.fail_over_begun(key, status, status == 408, now);
    }

    /// The same, and whether the request may have arrived.
    pub(super) fn fail_over_begun(
        &mut self,
        key: &ClientKey,
        status: u16,
        begun: bool,
        now: Instant,
    ) {
        let Some(entry) = self.transactions.client_mut(key) else {
            return;
        };
        let outbound = entry.user.outbound.clone();
        entry.user.fail_over_at = None;
        entry.user.suspect_at = None;
        let answered = entry.transaction.is_proceeding();
        if entry.transaction.is_client_invite() && (begun || answered) {
            entry.transaction.abandon(now);
            entry.user.outbound.owner = Owner::Abandoned;
            self.run_client(key);
            if answered {
                self.cancel_abandoned(key, now);
            }
        } else {
            self.transactions.remove_client(key);
        }
        self.fail_here(outbound, status, now);
    }

    /// A response to an abandoned INVITE: a CANCEL, or ACK and BYE, ends what it began.
    pub(super) fn take_abandoned_response(
        &mut self,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) {
        match response.status {
            ..=199 => self.cancel_abandoned(key, now),
            200..=299 => {
                let Some(entry) = self.transactions.client(key) else {
                    return;
                };
                let (request, flow) = (entry.user.request().clone(), entry.response_flow());
                if let Some(dialog) = Dialog::of_caller(&request, response, flow) {
                    let sequence = dialog.local_sequence;
                    self.refuse_fork(&dialog, sequence, &request, now);
                }
            }
            _ => {}
        }
    }

    fn cancel_abandoned(&mut self, key: &ClientKey, now: Instant) {
        let Some(entry) = self.transactions.client_mut(key) else {
            return;
        };
        if entry.user.cancelled {
            return;
        }
        entry.user.cancelled = true;
        let request = same_branch(entry.user.request(), Method::Cancel);
        let flow = entry.flow;
        let outbound = Outbound::new(request, Way::nowhere(), Owner::None);
        self.send_in_branch(outbound, flow, now);
    }
}
