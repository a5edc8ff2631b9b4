//! Requests on a stream that ended before their answer came: docs/decisions/0008-lost-streams.md.

use std::time::Instant;

use super::agent::UserAgent;
use crate::sip::stack::transaction::key::ClientKey;

impl UserAgent {
    /// A request of ours is sent by this connection.
    pub fn handle_written(&mut self, key: &ClientKey, connection: u64) {
        if let Some(entry) = self.transactions.client_mut(key) {
            entry.connection = Some(connection);
        }
    }

    /// A connection has ended: a request that was written on it and has no
    /// final answer goes once more, by a new connection and in its own branch, so that a peer
    /// which has it already sees a repetition (RFC 3261 section 17.2.3). The second loss is a
    /// failure of the transport (section 18.4).
    pub fn handle_connection_closed(&mut self, connection: u64, now: Instant) {
        for key in self.transactions.lost_with(connection) {
            match self.transactions.send_again(&key) {
                Some((flow, bytes)) => self.transmit(flow, bytes, Some(key)),
                None => self.handle_transport_failure(&key, now),
            }
        }
        self.lose_response_destinations(connection, now);
    }
}
