//! Joins [`crate::peer`] with [`crate::media`], which do not know each other: the media worker
//! carries a [`Peer`] as its secure leg.

use std::net::SocketAddr;
use std::time::Instant;

use crate::media::{Received, Route, SecureLeg};
use crate::peer::{self, Peer};
use crate::sdp;

/// A peer on a media worker.
pub struct PeerLeg {
    peer: Peer,
    /// The browser's description was refused, and the call's task does not know yet.
    refused: bool,
}

/// What the peer tells the call's task.
#[derive(Debug)]
pub enum PeerEvent {
    /// The peer's own words.
    Peer(peer::Event),
    /// The browser's description is of no use.
    Refused,
}

/// What the call's task tells its peer.
#[derive(Debug)]
pub enum PeerCommand {
    /// The browser's description.
    SetRemote(Box<sdp::Description>),
    /// One more candidate of the browser.
    AddRemoteCandidate(String),
}

impl PeerLeg {
    /// Wraps a peer that has not met its browser yet.
    pub fn new(peer: Peer) -> Self {
        PeerLeg {
            peer,
            refused: false,
        }
    }
}

impl SecureLeg for PeerLeg {
    type Command = PeerCommand;
    type Event = PeerEvent;

    fn local_ufrag(&self) -> &str {
        self.peer.local_ufrag()
    }

    fn local_ufrag_of(datagram: &[u8]) -> Option<&str> {
        peer::stun_username(datagram).map(|(local, _)| local)
    }

    fn handle_command(&mut self, command: PeerCommand, now: Instant) {
        match command {
            PeerCommand::SetRemote(description) => {
                if let Err(error) = self.peer.set_remote(*description, now) {
                    tracing::warn!(%error, "browser's description refused by the peer");
                    self.refused = true;
                }
            }
            PeerCommand::AddRemoteCandidate(candidate) => {
                self.peer.add_remote_candidate(&candidate, now)
            }
        }
    }

    fn handle_datagram(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
        plain: &mut Vec<u8>,
        now: Instant,
    ) -> Received {
        match self
            .peer
            .handle_datagram(local, remote, datagram, plain, now)
        {
            peer::Received::Handled => Received::Handled,
            peer::Received::Rtp => Received::Rtp,
            peer::Received::Rtcp => Received::Rtcp,
            peer::Received::Dropped(reason) => Received::Dropped(reason.name()),
        }
    }

    fn validated(&self, remote: SocketAddr) -> bool {
        self.peer.validated(remote)
    }

    fn protect_rtp(&mut self, packet: &[u8], secured: &mut Vec<u8>) -> Option<Route> {
        self.peer.protect_rtp(packet, secured).ok().map(route)
    }

    fn protect_rtcp(&mut self, packet: &[u8], secured: &mut Vec<u8>) -> Option<Route> {
        self.peer.protect_rtcp(packet, secured).ok().map(route)
    }

    fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<Route> {
        let transmit = self.peer.poll_transmit()?;
        out.clear();
        out.extend_from_slice(&transmit.payload);
        Some(route(transmit.route))
    }

    fn poll_event(&mut self) -> Option<PeerEvent> {
        if std::mem::take(&mut self.refused) {
            return Some(PeerEvent::Refused);
        }
        self.peer.poll_event().map(PeerEvent::Peer)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.peer.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.peer.handle_timeout(now);
    }

    fn close(&mut self, now: Instant) {
        self.peer.close(now);
    }
}

fn route(route: peer::Route) -> Route {
    Route {
        local: route.local,
        remote: route.remote,
    }
}
