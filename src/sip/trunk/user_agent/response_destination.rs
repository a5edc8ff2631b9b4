//! Where an answer goes when the stream that its request came by is gone: to the address that it
//! came from (RFC 3261 section 18.2.2), and where nobody listens there to the name in Via (RFC 3263
//! section 5), which may be another machine of the same peer.

use std::net::IpAddr;
use std::time::Instant;

use super::agent::UserAgent;
use super::incoming_request::IncomingRequest;
use super::server_context::ResponseDestination;
use crate::sip::stack::next_hop::NextHop;
use crate::sip::stack::transaction::key::ServerKey;

/// Most names that are looked up because one stream has ended.
const MOST_NAMES: usize = 16;

/// The name in Via of a request that came by a stream. Only trunks have us look names up and
/// connect to what is found.
pub(super) fn response_destination(incoming: &IncomingRequest) -> Option<Box<ResponseDestination>> {
    incoming.flow.connection?;
    let host = &*incoming.envelope.sent_by_host;
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if is_address || incoming.source_trunk.is_none() {
        return None;
    }
    let hop = NextHop {
        host: host.to_owned(),
        port: incoming.envelope.sent_by_port,
        transport: Some(incoming.flow.transport),
    };
    Some(Box::new(ResponseDestination { hop, lost: false }))
}

impl UserAgent {
    /// A stream has ended: the names of the requests that came by it and are not answered yet are
    /// looked up, so that they are known when they are.
    pub(super) fn lose_response_destinations(&mut self, connection: u64, now: Instant) {
        let mut hops = Vec::new();
        for entry in self.transactions.servers_mut() {
            if entry.flow.connection == Some(connection)
                && let Some(way) = &mut entry.user.response_destination
            {
                way.lost = true;
                if hops.len() < MOST_NAMES && !self.resolver.is_unresolved(&way.hop) {
                    hops.push(way.hop.clone());
                }
            }
        }
        hops.dedup();
        self.resolver.prefetch(hops, &mut self.random, now);
        self.take_resolver_events();
    }

    /// Finds out where an answer goes that the address of its request may not take.
    pub(super) fn find_response_destination(&mut self, key: &ServerKey, now: Instant) {
        let Some(entry) = self.transactions.server_mut(key) else {
            return;
        };
        let Some(way) = entry
            .user
            .response_destination
            .as_ref()
            .filter(|way| way.lost)
        else {
            return;
        };
        let destinations = self.resolver.look_up_known(&way.hop, &mut self.random, now);
        entry.flow.elsewhere = destinations
            .into_iter()
            .filter(|destination| destination.transport == entry.flow.transport)
            .map(|destination| destination.address)
            .find(|address| Some(*address) != entry.flow.reconnect);
    }
}
