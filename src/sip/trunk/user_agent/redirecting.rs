//! A 3xx to our INVITE: the next address of it is tried, or the owner learns where to.

use std::time::Instant;

use super::agent::UserAgent;
use super::leg::{Cancel, State};
use super::outbound::Outbound;
use super::owner::Owner;
use super::way::Way;
use crate::sip::stack::message::{Name, Response, elements, set};
use crate::sip::stack::next_hop::NextHop;
use crate::sip::trunk::event::{Event, LegId};
use crate::sip::trunk::network_headers::NetworkHeaders;
use crate::sip::trunk::redirection::preferred;

impl UserAgent {
    /// Tries the next address after a refusal of our INVITE; true when one is tried. A 6xx speaks
    /// for everywhere (RFC 3261 section 21.6).
    pub(super) fn redirect(
        &mut self,
        id: LegId,
        outbound: &Outbound,
        response: &Response,
        now: Instant,
    ) -> bool {
        let contacts = elements(&response.headers, &Name::CONTACT);
        let Some(leg) = self.legs.get_mut(&id) else {
            return false;
        };
        let moved = (300..400).contains(&response.status);
        if moved && leg.redirection.follows() {
            let withheld = leg.redirection.add(&contacts);
            if withheld > 0 {
                tracing::warn!(
                    leg = %id,
                    contacts = withheld,
                    "redirection not followed: srtp is required and redirect_hosts has not its host"
                );
            }
        }
        if response.status < 600 && self.try_next_address(id, outbound, now) {
            return true;
        }
        if let Some(to) = preferred(&contacts).filter(|_| moved) {
            self.notify_owner(id, Event::Redirected { to });
        }
        false
    }

    /// Sends our INVITE to the next address of a redirection that has begun or begins.
    pub(super) fn try_next_address(
        &mut self,
        id: LegId,
        outbound: &Outbound,
        now: Instant,
    ) -> bool {
        let Some(leg) = self.legs.get_mut(&id) else {
            return false;
        };
        let State::Calling(calling) = &mut leg.state else {
            return false;
        };
        if calling.cancel != Cancel::No {
            return false;
        }
        let Some(target) = leg.redirection.next_target() else {
            return false;
        };
        calling.sequence += 1;
        calling.invite = None;
        // Its early dialogs ended with the refusal of the request that made them.
        calling.early.clear();
        let sequence = calling.sequence;
        // The trunk's credentials are for the trunk only.
        leg.authorizer = match &leg.trunk {
            Some(trunk) if target.home => self
                .config
                .trunks
                .get(*trunk)
                .and_then(|trunk| trunk.credentials.clone())
                .map(crate::sip::stack::digest::Authorizer::new),
            _ => None,
        };
        if !target.home {
            leg.network = NetworkHeaders::default();
        }
        let Some(mut request) = leg.redirection.invite_for(&target) else {
            return false;
        };
        // To, From and Call-ID stay (RFC 3261 section 8.1.3.4).
        set(
            &mut request.headers,
            Name::CSEQ,
            format!("{sequence} INVITE"),
        );
        if let State::Calling(calling) = &mut leg.state {
            // What a refresh of the session says again.
            calling.body = request.body.clone();
        }
        let way = match leg.trunk {
            Some(trunk) if target.home => Some(self.way_to_trunk(trunk)),
            _ => NextHop::of_uri(&target.uri).map(Way::from),
        };
        let Some(way) = way else {
            return false;
        };
        tracing::debug!(leg = %id, home = target.home, "call sent on by a redirection");
        let mut outbound = outbound.clone();
        outbound.request = request;
        outbound.way = way;
        outbound.failure = 503;
        outbound.owner = Owner::Invite(id);
        outbound.attempts = 0;
        outbound.may_upgrade = true;
        self.send(outbound, now);
        true
    }
}
