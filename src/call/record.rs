//! What the log says of a call: a line when it starts, a line when it has ended, and its part of
//! the metrics.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::EndReason;
use super::leg::PeerEvent;
use super::message::Quality;
use crate::media;
use crate::peer;
use crate::protection::CryptoSuite;

/// Who speaks with whom, and over what.
#[derive(Debug, Default)]
pub(super) struct CallRecord {
    /// `incoming` or `outgoing`, seen from the page.
    direction: &'static str,
    /// The caller's number or user.
    from: String,
    /// The called number as it was dialled.
    to: String,
    /// The page's signalling connection, of outgoing calls.
    page: Option<SocketAddr>,
    /// Where the INVITE came from, of incoming calls.
    source: Option<SocketAddr>,
    /// The candidate pair in use: our socket and the browser's address.
    pair: Option<peer::Route>,
    /// What protects media at the browser.
    dtls_srtp: Option<CryptoSuite>,
    /// Where RTP to the PBX goes.
    rtp: Option<SocketAddr>,
    /// What protects it; none: it is plain.
    srtp: Option<CryptoSuite>,
}

/// How lines about a call name it.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    /// The gateway's number.
    pub(super) call: u64,
    /// The page's name.
    pub(super) page_call: &'a str,
    /// For the PBX's log.
    pub(super) sip_call_id: &'a str,
    pub(super) user: &'a str,
    pub(super) trunk: &'a str,
}

/// How a call ended.
#[derive(Clone, Copy)]
pub(super) struct Outcome {
    pub(super) reason: EndReason,
    /// The final SIP status of the PBX.
    pub(super) status: Option<u16>,
    /// From answer to end, of answered calls.
    pub(super) talked: Option<Duration>,
    pub(super) quality: Quality,
}

impl CallRecord {
    /// Of a call that a page makes; its signalling comes from `page`.
    pub(super) fn outgoing(from: String, to: String, page: SocketAddr) -> Self {
        CallRecord {
            direction: "outgoing",
            from,
            to,
            page: Some(page),
            ..CallRecord::default()
        }
    }

    /// Of a call of a PBX; its INVITE came from `source`.
    pub(super) fn incoming(from: String, to: String, source: SocketAddr) -> Self {
        CallRecord {
            direction: "incoming",
            from,
            to,
            source: Some(source),
            ..CallRecord::default()
        }
    }

    /// Keeps what a media event says, `began` being the begin of the call.
    pub(super) fn note(&mut self, event: &media::MediaEvent<PeerEvent>, began: Instant) {
        match event {
            media::MediaEvent::Leg(PeerEvent::Peer(event)) => self.note_peer(*event, began),
            media::MediaEvent::RemoteLatched { rtp } => self.rtp = Some(*rtp),
            _ => {}
        }
    }

    fn note_peer(&mut self, event: peer::Event, began: Instant) {
        match event {
            peer::Event::IceConnected { route } | peer::Event::RouteChanged { route } => {
                self.pair = Some(route);
            }
            peer::Event::Connected { suite, .. } => {
                self.dtls_srtp = Some(suite);
                metrics::histogram!("trunkline_webrtc_connect_seconds")
                    .record(began.elapsed().as_secs_f64());
            }
            peer::Event::Failed(failure) => {
                let reason = match failure {
                    // Counted at the end of the call, with those that only timed out.
                    peer::Failure::IceTimeout => return,
                    peer::Failure::DtlsFailed => "handshake",
                    peer::Failure::DtlsTimeout => "timeout",
                    peer::Failure::FingerprintMismatch => "fingerprint_mismatch",
                };
                metrics::counter!("trunkline_dtls_failures_total", "reason" => reason).increment(1);
            }
            _ => {}
        }
    }

    /// RTP goes there from now on.
    pub(super) fn point_rtp(&mut self, rtp: SocketAddr, srtp: Option<CryptoSuite>) {
        self.rtp = Some(rtp);
        self.srtp = srtp;
    }

    /// The line of its begin.
    pub(super) fn write_start(&self, names: Names<'_>) {
        tracing::info!(
            call = names.call,
            page_call = %names.page_call,
            sip_call_id = %names.sip_call_id,
            direction = self.direction,
            user = %names.user,
            from = %self.from,
            to = %self.to,
            trunk = %names.trunk,
            page = self.page.map(tracing::field::display),
            source = self.source.map(tracing::field::display),
            "call started"
        );
    }

    /// The line of its end, and the metrics.
    pub(super) fn write_end(&self, names: Names<'_>, outcome: Outcome) {
        let row = outcome.reason.ending();
        let direction = self.direction;
        count(direction, outcome.reason);
        if outcome.reason == EndReason::IceFailed {
            metrics::counter!("trunkline_ice_failures_total").increment(1);
        }
        let quality = outcome.quality;
        if let Some(talked) = outcome.talked {
            metrics::histogram!("trunkline_call_seconds").record(talked.as_secs_f64());
            measure(&quality);
        }
        tracing::info!(
            call = names.call,
            page_call = %names.page_call,
            sip_call_id = %names.sip_call_id,
            direction,
            user = %names.user,
            from = %self.from,
            to = %self.to,
            trunk = %names.trunk,
            reason = row.code,
            fault = row.fault.name(),
            sip_status = outcome.status,
            seconds = outcome.talked.map(|talked| talked.as_secs_f64()),
            page = self.page.map(tracing::field::display),
            source = self.source.map(tracing::field::display),
            ice_local = self.pair.map(|pair| tracing::field::display(pair.local)),
            ice_remote = self.pair.map(|pair| tracing::field::display(pair.remote)),
            dtls_srtp = self.dtls_srtp.map(CryptoSuite::name),
            rtp_remote = self.rtp.map(tracing::field::display),
            srtp = self.srtp.map_or("off", CryptoSuite::name),
            browser_codec = quality.browser.codec,
            browser_packets_in = quality.browser.packets_in,
            browser_packets_out = quality.browser.packets_out,
            browser_lost_in = quality.browser.lost_in,
            browser_jitter_ms = quality.browser.jitter,
            browser_round_trip_ms = quality.browser.round_trip,
            pbx_codec = quality.pbx.codec,
            pbx_packets_in = quality.pbx.packets_in,
            pbx_packets_out = quality.pbx.packets_out,
            pbx_lost_in = quality.pbx.lost_in,
            pbx_jitter_ms = quality.pbx.jitter,
            pbx_round_trip_ms = quality.pbx.round_trip,
            "call ended"
        );
    }
}

/// Counts a call that has ended, or was refused before there was a record of it. `direction` is
/// seen from the page.
pub(super) fn count(direction: &'static str, reason: EndReason) {
    metrics::counter!(
        "trunkline_calls_total", "direction" => direction, "reason" => reason.code()
    )
    .increment(1);
}

/// Adds the figures of an answered call to the metrics.
fn measure(quality: &Quality) {
    for (side, of_side) in [("browser", quality.browser), ("pbx", quality.pbx)] {
        let expected = of_side.packets_in + of_side.lost_in;
        if expected > 0 {
            metrics::histogram!("trunkline_call_loss", "from" => side)
                .record(of_side.lost_in as f64 / expected as f64);
            if let Some(jitter) = of_side.jitter {
                metrics::histogram!("trunkline_call_jitter_seconds", "from" => side)
                    .record(jitter / 1_000.0);
            }
        }
        if let Some(round_trip) = of_side.round_trip {
            metrics::histogram!("trunkline_call_round_trip_seconds", "from" => side)
                .record(round_trip / 1_000.0);
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]
mod tests {
    use super::*;

    fn route(local: &str, remote: &str) -> peer::Route {
        peer::Route {
            local: local.parse().expect("an address"),
            remote: remote.parse().expect("an address"),
        }
    }

    #[test]
    fn candidate_pair_of_a_record_is_the_first_route_then_the_newest() {
        let mut record = CallRecord::default();
        let mut note = |event| {
            let event = media::MediaEvent::Leg(PeerEvent::Peer(event));
            record.note(&event, Instant::now());
            record.pair
        };
        assert_eq!(note(peer::Event::Disconnected), None);
        let first = route("192.0.2.1:4000", "198.51.100.7:5000");
        let connected = peer::Event::IceConnected { route: first };
        assert_eq!(note(connected), Some(first));
        assert_eq!(note(peer::Event::Disconnected), Some(first));
        let second = route("192.0.2.1:4000", "203.0.113.9:6000");
        let moved = peer::Event::RouteChanged { route: second };
        assert_eq!(note(moved), Some(second));
    }
}
