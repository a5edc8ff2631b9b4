//! The ACK of a 2xx (RFC 3261 section 13.2.2.4). It has no transaction, so nothing repeats it but
//! the 2xx that comes again, and nothing tells that it was lost. One that goes by TCP for its size
//! alone (section 18.1.1) is therefore held for as long as the peer repeats its 2xx: it goes by UDP
//! when TCP is refused or takes too long, and for each 2xx that comes again.

use std::time::Instant;

use bytes::Bytes;

use super::acknowledgements::{Acknowledgement, Large};
use super::agent::UserAgent;
use super::commands::put_sdp;
use super::leg::State;
use super::outbound::Outbound;
use super::owner::Owner;
use super::way::Way;
use crate::sip::stack::dialog::Dialog;
use crate::sip::stack::envelope::sequence;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::method::Method;
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::trunk::event::LegId;

impl UserAgent {
    /// Sends the ACK of a 2xx with the credentials of its INVITE (RFC 3261 section 22.1).
    pub(super) fn acknowledge(
        &mut self,
        owner: Owner,
        dialog: &Dialog,
        sequence: u32,
        invite: &Request,
        body: Bytes,
        now: Instant,
    ) {
        let mut request = dialog.acknowledgement(sequence);
        put_sdp(&mut request, body);
        for name in [Name::AUTHORIZATION, Name::PROXY_AUTHORIZATION] {
            for value in invite.headers.get_raw(&name) {
                request.headers.insert(name.clone(), value.clone());
            }
        }
        self.send(Outbound::new(request, Way::of_dialog(dialog), owner), now);
    }

    /// Sends an ACK that is written, and remembers it.
    pub(super) fn begin_acknowledgement(
        &mut self,
        outbound: Outbound,
        flow: Flow,
        branch: &str,
        bytes: Bytes,
        now: Instant,
    ) {
        if let Owner::Acknowledge(leg) = outbound.owner
            && let Some(State::Established(established)) =
                self.legs.get_mut(&leg).map(|leg| &mut leg.state)
        {
            established.acknowledgement = Some(Acknowledgement {
                sequence: sequence(&outbound.request.headers),
                bytes: bytes.clone(),
                flow,
            });
        }
        let here = outbound.way.here();
        let is_large = here.is_some_and(|destination| destination.transport != flow.transport);
        let key = is_large.then(|| self.transactions.client_key(branch, &Method::Ack));
        if let Some(key) = key {
            self.large_acknowledgements.hold(key, outbound, now);
        }
        self.transmit(flow, bytes, key);
    }

    /// A 2xx came again: its ACK was lost, or crossed it.
    pub(super) fn acknowledge_again(&mut self, leg: LegId, last: Acknowledgement, now: Instant) {
        let of_leg = |large: &Large| {
            large.outbound.owner == Owner::Acknowledge(leg)
                && sequence(&large.outbound.request.headers) == last.sequence
        };
        match self.large_acknowledgements.take_if(of_leg) {
            // Whether TCP took it nowhere or only late is not known here: a second ACK does no
            // harm.
            Some(outbound) => self.send_by_datagram(outbound, now),
            None => self.transmit(last.flow, last.bytes, None),
        }
    }

    /// The bytes of no transaction could not be sent: an ACK, or what is over.
    pub(super) fn fall_back_acknowledgement(&mut self, key: &ClientKey, now: Instant) {
        let outbound = self
            .large_acknowledgements
            .take_if(|large| large.key == *key);
        if let Some(outbound) = outbound {
            if let Some(destination) = outbound.way.here() {
                self.resolver.refuse_tcp(destination.address, now);
            }
            self.send_by_datagram(outbound, now);
        }
    }

    fn send_by_datagram(&mut self, mut outbound: Outbound, now: Instant) {
        outbound.may_upgrade = false;
        self.send_again(outbound, now);
    }
}
