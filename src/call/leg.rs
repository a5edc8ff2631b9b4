//! Joins [`crate::peer`] with [`crate::media`], which do not know each other: the media worker
//! carries a [`Peer`] as its secure leg.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use crate::media::{Received, Route, SecureLeg};
use crate::peer::{self, CandidateRejection, Peer, SuppressedChecks, UnusedCandidates};
use crate::sdp;

/// A peer on a media worker.
pub struct PeerLeg {
    peer: Peer,
    /// The browser's description was refused, and the call's task does not know yet.
    refused: bool,
    /// What the metrics know of already.
    counted: Counted,
}

#[derive(Default)]
struct Counted {
    candidates: UnusedCandidates,
    checks: SuppressedChecks,
    /// For the call's task: at most one for each reason.
    news: VecDeque<PeerEvent>,
}

/// What the peer tells the call's task.
#[derive(Debug)]
pub enum PeerEvent {
    /// The peer's own words.
    Peer(peer::Event),
    /// The browser's description is of no use.
    Refused,
    /// Candidates of the browser were rejected, for the first time in this call for this reason.
    CandidatesRejected {
        /// The reason as a metric label.
        reason: &'static str,
        /// How many at once.
        count: u64,
    },
    /// For the first time in this call a check was not sent, to spare addresses that do not answer.
    ChecksSuppressed,
}

/// What the call's task tells its peer.
#[derive(Debug)]
pub enum PeerCommand {
    /// The browser's description.
    SetRemote(Box<sdp::IceDtlsParameters>),
    /// One more candidate of the browser.
    AddRemoteCandidate(String),
}

impl PeerLeg {
    /// Wraps a peer that has not met its browser yet.
    pub fn new(peer: Peer) -> Self {
        PeerLeg {
            peer,
            refused: false,
            counted: Counted::default(),
        }
    }

    /// Adds the candidates that were rejected since to the metrics, and tells the call's task of
    /// the first for each reason.
    fn count_candidates(&mut self) {
        let unused = self.peer.unused_candidates();
        if unused == self.counted.candidates {
            return;
        }
        let before = std::mem::replace(&mut self.counted.candidates, unused);
        for (reason, count) in unused.by_reason() {
            let known = before.count(reason);
            if count == known {
                continue;
            }
            let label = reason.name();
            metrics::counter!("trunkline_ice_candidates_rejected_total", "reason" => label)
                .increment(count - known);
            let ordinary = matches!(reason, CandidateRejection::Ignored);
            if known == 0 && !ordinary {
                self.counted.news.push_back(PeerEvent::CandidatesRejected {
                    reason: label,
                    count,
                });
            }
        }
    }

    /// Adds the checks that were not sent since to the metrics, and tells the call's task of the
    /// first.
    fn count_checks(&mut self) {
        let suppressed = self.peer.suppressed_checks();
        if suppressed == self.counted.checks {
            return;
        }
        let before = std::mem::replace(&mut self.counted.checks, suppressed);
        let budget = suppressed.call_budget - before.call_budget;
        let rate = suppressed.gateway_rate - before.gateway_rate;
        if before == SuppressedChecks::default() {
            self.counted.news.push_back(PeerEvent::ChecksSuppressed);
        }
        metrics::counter!("trunkline_ice_checks_suppressed_total", "reason" => "call_budget")
            .increment(budget);
        metrics::counter!("trunkline_ice_checks_suppressed_total", "reason" => "gateway_rate")
            .increment(rate);
    }
}

impl SecureLeg for PeerLeg {
    type Command = PeerCommand;
    type Event = PeerEvent;

    fn local_ufrag(&self) -> &str {
        self.peer.local_ufrags().next().unwrap_or_default()
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
        self.count_candidates();
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
        let news = self.counted.news.pop_front();
        news.or_else(|| self.peer.poll_event().map(PeerEvent::Peer))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.peer.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.peer.handle_timeout(now);
        self.count_checks();
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
