//! RTCP about the stream that we send: our sender reports, and what the other side reports.

use super::egress::Egress;
use crate::rtp::{
    Compound, NtpTime, ReportBlock, RtcpPacket, SenderInfo, write_receiver_report,
    write_sender_report,
};
use std::time::{Duration, Instant};

/// What was reported last.
#[derive(Debug, Default)]
pub(super) struct RtcpReports {
    /// Packets sent at the last sender report.
    sent_at_report: u64,
    loss: f32,
    jitter: Duration,
    round_trip: Option<Duration>,
}

impl RtcpReports {
    /// Loss that the other side reported last, 0 to 1.
    pub(super) fn loss(&self) -> f32 {
        self.loss
    }

    /// Jitter that the other side reported last.
    pub(super) fn jitter(&self) -> Duration {
        self.jitter
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Takes a plain compound RTCP packet for its reports about our stream: loss drives the FEC
    /// of our encoder. `arrived` is the wall-clock time.
    pub(super) fn handle_rtcp(&mut self, packet: &[u8], egress: &mut Egress, arrived: NtpTime) {
        for packet in Compound::new(packet).flatten() {
            let (RtcpPacket::SenderReport { reports, .. }
            | RtcpPacket::ReceiverReport { reports, .. }) = packet
            else {
                continue;
            };
            let ssrc = egress.sender().mapping().ssrc();
            for report in reports.iter().filter(|report| report.ssrc == ssrc) {
                self.set_loss(f32::from(report.fraction_lost) / 256.0, egress);
                let rate = u64::from(egress.sender().clock_rate());
                self.jitter = Duration::from_micros(u64::from(report.jitter) * 1_000_000 / rate);
                if let Some(round_trip) = report.round_trip(arrived) {
                    self.round_trip = Some(round_trip);
                }
            }
        }
    }

    /// Takes the loss that the receiver of our packets reports, 0 to 1. It counts at once when
    /// it rises and fades when it falls: loss comes in bursts, and FEC for a burst that has
    /// passed is ready for the next.
    pub(super) fn set_loss(&mut self, fraction: f32, egress: &mut Egress) {
        let fraction = if fraction.is_finite() {
            fraction.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.loss = fraction;
        let loss = egress.loss();
        egress
            .encoder()
            .set_loss(fraction.max(loss * 0.75 + fraction * 0.25));
    }

    /// Appends a sender report (a receiver report when nothing was sent since the last) with
    /// `report`, and SDES with `cname`.
    pub(super) fn write(
        &mut self,
        egress: &Egress,
        (now, ntp): (Instant, NtpTime),
        report: Option<&ReportBlock>,
        cname: &str,
        out: &mut Vec<u8>,
    ) {
        let sent = egress.sender().sent();
        let mapping = egress.sender().mapping();
        match mapping.timestamp_at(now) {
            Some(rtp_timestamp) if sent.packets > self.sent_at_report => {
                self.sent_at_report = sent.packets;
                let info = SenderInfo {
                    ntp,
                    rtp_timestamp,
                    packet_count: sent.packets as u32,
                    octet_count: sent.octets as u32,
                };
                write_sender_report(out, mapping.ssrc(), &info, report, cname);
            }
            _ => write_receiver_report(out, mapping.ssrc(), report, cname),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::media::pipeline::Config;
    use crate::media::pipeline::tests::support::{identity, ms, side, start};

    fn egress() -> Egress {
        let (from, to) = (side(Codec::Pcmu), side(Codec::Opus));
        Egress::new(&Config::default(), &from, &to, 8_000, identity()).expect("libopus")
    }

    #[test]
    fn reported_loss_rises_at_once_and_fades() {
        let mut egress = egress();
        let mut reports = RtcpReports::default();
        for (reported, expected) in [(0.2, 0.2), (0.0, 0.15), (f32::NAN, 0.1125), (7.0, 1.0)] {
            reports.set_loss(reported, &mut egress);
            assert!((egress.loss() - expected).abs() < 1e-6, "{reported}");
        }
        assert_eq!(reports.loss(), 1.0);
    }

    #[test]
    fn sender_report_follows_packets_only() {
        let now = start();
        let mut egress = egress();
        let mut reports = RtcpReports::default();
        let mut is_sender_report = |egress: &Egress, milliseconds| {
            let mut out = Vec::new();
            let at = (now + ms(milliseconds), NtpTime(1));
            reports.write(egress, at, None, "cname", &mut out);
            let first = Compound::new(&out).next();
            matches!(first, Some(Ok(RtcpPacket::SenderReport { .. })))
        };
        assert!(!is_sender_report(&egress, 0));
        egress.play(&[0; 160], now);
        assert!(is_sender_report(&egress, 100));
        assert!(!is_sender_report(&egress, 200));
    }
}
