//! Keeping sessions alive (RFC 4028): our refreshes, what they are answered, and how long an offer
//! waits after glare.

use std::time::{Duration, Instant};

use super::agent::UserAgent;
use super::leg::{Offering, State, Termination};
use super::owner::Owner;
use super::sending::ATTEMPTS;
use crate::sip::stack::dialog_rules::DialogRules;
use crate::sip::stack::message::{Headers, Name, Request, Response, header, set};
use crate::sip::stack::method::Method;
use crate::sip::stack::screening::{Refusal, SUPPORTED_VALUE};
use crate::sip::stack::session_timer::{SessionExpires, SessionTimer, minimum, supports_timer};
use crate::sip::stack::transaction::ClientUser;
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::trunk::event::{EndedBy, LegId};

/// The longest Retry-After that an offer of ours waits for.
const LONGEST_RETRY: u64 = 10;

/// Asks for a session timer in the first INVITE, the refresher left to the peer (section 7.1).
pub(super) fn ask_for_timer(headers: &mut Headers, rules: &DialogRules) {
    if rules.session_expires > 0 {
        let seconds = rules.session_expires.max(rules.min_session_expires);
        headers.insert(Name::SESSION_EXPIRES, seconds);
    }
    put_minimum(headers, rules);
}

fn put_minimum(headers: &mut Headers, rules: &DialogRules) {
    if rules.min_session_expires != DialogRules::default().min_session_expires {
        set(headers, Name::MIN_SE, rules.min_session_expires.to_string());
    }
}

/// Refuses an interval that is too short, to a peer that understands that (section 9).
pub(super) fn screen_timer(headers: &Headers, rules: &DialogRules) -> Result<(), Refusal> {
    let least = rules.min_session_expires;
    let requested = SessionExpires::read(headers);
    match requested.is_some_and(|requested| requested.interval < least) && supports_timer(headers) {
        true => Err(Refusal::with(422, "Min-SE", least.to_string())),
        false => Ok(()),
    }
}

/// The interval that a request of ours asked for.
pub(super) fn requested_interval(request: &Request) -> Option<u32> {
    SessionExpires::read(&request.headers).map(|requested| requested.interval)
}

impl UserAgent {
    /// The timers of an answered leg that have to do with its session.
    pub(super) fn handle_session_timeout(&mut self, id: LegId, now: Instant) {
        let Some(State::Established(established)) = self.legs.get_mut(&id).map(|l| &mut l.state)
        else {
            return;
        };
        let Some(timer) = established.timer else {
            return;
        };
        if established.termination != Termination::None {
            return;
        }
        let lost_at = timer.lost_at(established.refreshing);
        if lost_at.is_some_and(|at| at <= now) {
            let request = established.dialog.request(Method::Bye);
            established.termination = Termination::ByeSent;
            self.send_in_dialog(id, Owner::None, request, false, now);
            return self.end(id, EndedBy::SessionTimeout, now);
        }
        if established.refreshing || timer.refresh_at().is_none_or(|at| at > now) {
            return;
        }
        established.refreshing = true;
        if established.update_allowed {
            let mut request = established.dialog.request(Method::Update);
            let headers = &mut request.headers;
            headers.insert(Name::SESSION_EXPIRES, timer.request_value());
            headers.insert(Name::SUPPORTED, SUPPORTED_VALUE);
            self.send_in_dialog(id, Owner::Refresh(id), request, true, now);
        } else if established.offering.is_none() && established.pending.is_none() {
            established.offering = Some(Offering::Refresh);
            let body = established.body.clone();
            self.send_offer(id, Method::Invite, body, now);
        } else {
            // The offer under way refreshes the session too.
            self.refresh_refused(id, None, now);
        }
    }

    pub(super) fn take_refresh_response(
        &mut self,
        id: LegId,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) {
        if matches!(response.status, 408 | 481) {
            return self.lose(id, now);
        }
        if (200..300).contains(&response.status) {
            let requested = self
                .transactions
                .client(key)
                .and_then(|entry| requested_interval(entry.user.request()));
            self.refreshed(id, response, requested, now);
        } else {
            if matches!(response.status, 405 | 501)
                && let Some(State::Established(established)) =
                    self.legs.get_mut(&id).map(|leg| &mut leg.state)
            {
                established.update_allowed = false;
            }
            let wait = match response.status {
                // By re-INVITE, now.
                405 | 501 => Some(Duration::ZERO),
                _ => self.retry_wait(id, response),
            };
            self.refresh_refused(id, wait, now);
        }
        self.arm(id);
    }

    /// A 2xx to a re-INVITE or UPDATE of ours: it begins a new interval.
    pub(super) fn refreshed(
        &mut self,
        id: LegId,
        response: &Response,
        requested: Option<u32>,
        now: Instant,
    ) {
        if let Some(leg) = self.legs.get_mut(&id)
            && let State::Established(established) = &mut leg.state
        {
            established.refreshing = false;
            established.dialog.refresh_target(&response.headers);
            established.timer =
                SessionTimer::of_response(&response.headers, requested, &leg.rules, now);
        }
    }

    /// A refresh was refused, which is a sign of life all the same.
    pub(super) fn refresh_refused(&mut self, id: LegId, wait: Option<Duration>, now: Instant) {
        if let Some(State::Established(established)) =
            self.legs.get_mut(&id).map(|leg| &mut leg.state)
        {
            established.refreshing = false;
            if let Some(timer) = &mut established.timer {
                timer.refused(wait, now);
            }
        }
    }

    /// When a refused offer may be made again: after glare the owner of the Call-ID waits 2.1 to
    /// 4 s, the other side 0 to 2 s, in steps of 10 ms (RFC 3261 section 14.1).
    pub(super) fn retry_wait(&mut self, id: LegId, response: &Response) -> Option<Duration> {
        if response.status == 491 {
            return Some(self.glare_wait(id));
        }
        let value = header(&response.headers, &Name::RETRY_AFTER)?;
        let digits = value.split(|c: char| !c.is_ascii_digit()).next()?;
        let seconds = digits.parse::<u64>().ok()?;
        matches!(response.status, 500 | 503)
            .then_some(seconds)
            .filter(|seconds| *seconds <= LONGEST_RETRY)
            .map(Duration::from_secs)
    }

    pub(super) fn glare_wait(&mut self, id: LegId) -> Duration {
        let caller = self.legs.get(&id).is_some_and(|leg| leg.caller);
        let (first, last) = if caller { (210, 400) } else { (0, 200) };
        let steps = f64::from(first) + self.chance() * f64::from(last - first);
        Duration::from_millis(10 * steps.round() as u64)
    }

    /// Asks again with the interval that the peer wants at least (section 7.3); false when it
    /// cannot be done.
    pub(super) fn retry_with_longer_session(
        &mut self,
        key: &ClientKey,
        response: &Response,
        now: Instant,
    ) -> bool {
        let Some(entry) = self.transactions.client(key) else {
            return false;
        };
        let mut outbound = entry.user.outbound.clone();
        let least = minimum(&response.headers);
        let id = match outbound.owner {
            Owner::Invite(id) | Owner::Reinvite(id) | Owner::Refresh(id) | Owner::Offer(id) => id,
            _ => return false,
        };
        let Some(requested) = SessionExpires::read(&outbound.request.headers) else {
            return false;
        };
        if requested.interval >= least || outbound.attempts >= ATTEMPTS {
            return false;
        }
        let Some(leg) = self.legs.get_mut(&id) else {
            return false;
        };
        leg.rules.session_expires = leg.rules.session_expires.max(least);
        leg.rules.min_session_expires = leg.rules.min_session_expires.max(least);
        let refresher = requested.refresher.map(|said| format!(";refresher={said}"));
        let value = format!("{least}{}", refresher.unwrap_or_default());
        let headers = &mut outbound.request.headers;
        set(headers, Name::SESSION_EXPIRES, value);
        set(headers, Name::MIN_SE, least.to_string());
        let Some(sequence) = self.next_sequence(outbound.owner) else {
            return false;
        };
        let value = format!("{sequence} {}", outbound.request.method);
        set(&mut outbound.request.headers, Name::CSEQ, value);
        outbound.attempts += 1;
        self.send_again(outbound, now);
        true
    }
}
