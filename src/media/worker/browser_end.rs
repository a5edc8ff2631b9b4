//! The browser's end of a call: its peer (ICE, DTLS, SRTP), what of it the call's owner is told, and
//! what of it the metrics count.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use crate::media::MediaEvent;
use crate::peer::{CandidateRejection, Peer, Received, Route, SuppressedChecks, UnusedCandidates};
use crate::sdp::IceDtlsParameters;

/// The browser's end of a call.
pub struct BrowserEnd {
    peer: Peer,
    /// What the metrics count already.
    unused_candidates: UnusedCandidates,
    suppressed_checks: SuppressedChecks,
    /// For the call's owner; of rejected candidates at most one for each reason.
    events: VecDeque<MediaEvent>,
}

impl BrowserEnd {
    /// With a peer that has not met its browser yet.
    pub fn new(peer: Peer) -> Self {
        BrowserEnd {
            peer,
            unused_candidates: UnusedCandidates::default(),
            suppressed_checks: SuppressedChecks::default(),
            events: VecDeque::new(),
        }
    }

    /// See [`Peer::local_ufrags`].
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> + Clone {
        self.peer.local_ufrags()
    }

    /// Takes the browser's description.
    pub fn set_remote_description(&mut self, description: IceDtlsParameters, now: Instant) {
        if let Err(error) = self.peer.set_remote(description, now) {
            tracing::warn!(%error, "browser's description refused by the peer");
            self.events.push_back(MediaEvent::DescriptionRefused);
        }
        self.count_candidates();
    }

    /// Takes one more candidate of the browser.
    pub fn add_remote_candidate(&mut self, candidate: &str, now: Instant) {
        self.peer.add_remote_candidate(candidate, now);
        self.count_candidates();
    }

    /// Restarts ICE and tells our new description.
    pub fn restart_ice(&mut self, now: Instant) {
        match self.peer.restart_ice(now) {
            Ok(description) => self
                .events
                .push_back(MediaEvent::IceRestarting(Box::new(description))),
            Err(error) => tracing::warn!(%error, "ice not restarted"),
        }
    }

    /// See [`Peer::handle_datagram`].
    pub fn handle_datagram(
        &mut self,
        route: Route,
        datagram: &[u8],
        plain: &mut Vec<u8>,
        now: Instant,
    ) -> Received {
        let Route { local, remote } = route;
        self.peer
            .handle_datagram(local, remote, datagram, plain, now)
    }

    /// See [`Peer::validated`].
    pub fn validated(&self, remote: SocketAddr) -> bool {
        self.peer.validated(remote)
    }

    /// Protects an RTP packet into `secured`. `None`: there are no keys or there is no route yet.
    pub fn protect_rtp(&mut self, packet: &[u8], secured: &mut Vec<u8>) -> Option<Route> {
        self.peer.protect_rtp(packet, secured).ok()
    }

    /// Protects a compound RTCP packet into `secured`. `None`: as for RTP.
    pub fn protect_rtcp(&mut self, packet: &[u8], secured: &mut Vec<u8>) -> Option<Route> {
        self.peer.protect_rtcp(packet, secured).ok()
    }

    /// The next datagram of ICE or DTLS, written to `out`.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<Route> {
        let transmit = self.peer.poll_transmit()?;
        out.clear();
        out.extend_from_slice(&transmit.payload);
        Some(transmit.route)
    }

    /// The next thing that the owner should know.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        let event = self.events.pop_front();
        event.or_else(|| self.peer.poll_event().map(MediaEvent::Peer))
    }

    /// See [`Peer::poll_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.peer.poll_timeout()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.peer.handle_timeout(now);
        self.count_checks();
    }

    /// See [`Peer::close`].
    pub fn close(&mut self, now: Instant) {
        self.peer.close(now);
    }

    /// Adds the candidates that were rejected since to the metrics, and tells of the first for each
    /// reason.
    fn count_candidates(&mut self) {
        let unused = self.peer.unused_candidates();
        if unused == self.unused_candidates {
            return;
        }
        let before = std::mem::replace(&mut self.unused_candidates, unused);
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
                self.events.push_back(MediaEvent::CandidatesRejected {
                    reason: label,
                    count,
                });
            }
        }
    }

    /// Adds the checks that were not sent since to the metrics, and tells of the first.
    fn count_checks(&mut self) {
        let suppressed = self.peer.suppressed_checks();
        if suppressed == self.suppressed_checks {
            return;
        }
        let before = std::mem::replace(&mut self.suppressed_checks, suppressed);
        let budget = suppressed.call_budget - before.call_budget;
        let rate = suppressed.gateway_rate - before.gateway_rate;
        if before == SuppressedChecks::default() {
            self.events.push_back(MediaEvent::ChecksSuppressed);
        }
        metrics::counter!("trunkline_ice_checks_suppressed_total", "reason" => "call_budget")
            .increment(budget);
        metrics::counter!("trunkline_ice_checks_suppressed_total", "reason" => "gateway_rate")
            .increment(rate);
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::peer::{Certificate, CheckRate, Config, LocalCandidate, Role};

    fn browser_end(now: Instant) -> BrowserEnd {
        let address = "192.0.2.2:5000".parse().expect("an address");
        let candidate = LocalCandidate {
            bound: address,
            advertised: address,
        };
        let config = Config::new(
            Arc::new(Certificate::generate().expect("a certificate")),
            vec![candidate],
            Arc::new(CheckRate::new(250, 500, now)),
        );
        BrowserEnd::new(Peer::new(&config, Role::Answerer, now).expect("a peer"))
    }

    fn told(end: &mut BrowserEnd) -> Vec<MediaEvent> {
        std::iter::from_fn(|| end.poll_event()).collect()
    }

    #[test]
    fn rejected_candidates_are_told_once_per_reason() {
        let now = Instant::now();
        let mut end = browser_end(now);
        let multicast = "candidate:1 1 udp 1 224.0.0.1 5000 typ host";
        let low_port = "candidate:1 1 udp 1 192.0.2.9 25 typ host";
        let name = "candidate:1 1 udp 1 5b6e6a3e.local 5000 typ host";
        for candidate in [multicast, multicast, low_port, name, multicast, low_port] {
            end.add_remote_candidate(candidate, now);
        }
        let told = told(&mut end);
        let reasons: Vec<_> = told
            .iter()
            .map(|event| match event {
                MediaEvent::CandidatesRejected { reason, count } => (*reason, *count),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(reasons, [("address", 1), ("port", 1)]);
    }

    #[test]
    fn bad_description_is_told_as_refused() {
        let now = Instant::now();
        let mut end = browser_end(now);
        let own = end.peer.local_description();
        let without_fingerprint = IceDtlsParameters {
            fingerprints: Vec::new(),
            ..own
        };
        end.set_remote_description(without_fingerprint, now);
        assert!(matches!(
            told(&mut end)[..],
            [MediaEvent::DescriptionRefused]
        ));
    }

    #[test]
    fn suppressed_checks_are_told_once() {
        let now = Instant::now();
        let mut end = browser_end(now);
        let candidates = (0..32).map(|n| {
            format!(
                "candidate:{n} 1 udp {} 203.0.113.9 {} typ host",
                n + 1,
                30_000 + n
            )
        });
        let offer = IceDtlsParameters {
            setup: crate::sdp::Setup::ActPass,
            candidates: candidates.collect(),
            ..browser_end(now).peer.local_description()
        };
        end.set_remote_description(offer, now);
        let mut suppressed = 0;
        for _ in 0..1_000 {
            let Some(at) = end.poll_timeout() else { break };
            end.handle_timeout(at);
            while end.poll_transmit(&mut Vec::new()).is_some() {}
            let events = told(&mut end);
            let is_suppressed = |event: &&MediaEvent| matches!(event, MediaEvent::ChecksSuppressed);
            suppressed += events.iter().filter(is_suppressed).count();
        }
        assert!(end.suppressed_checks.call_budget > 1);
        assert_eq!(suppressed, 1);
    }
}
