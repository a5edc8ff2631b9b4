//! What a pipeline knows of both streams, as RTCP and as counters.

use super::{Pipeline, PipelineStatistics};
use crate::rtp::{
    Compound, NtpTime, ReportBlock, RtcpPacket, SenderInfo, write_receiver_report,
    write_sender_report,
};
use std::time::{Duration, Instant};

impl Pipeline {
    /// Takes a plain compound RTCP packet of the `from` side, for its sender reports.
    pub fn handle_source_rtcp(&mut self, packet: &[u8], now: Instant) {
        for packet in Compound::new(packet).flatten() {
            if let RtcpPacket::SenderReport { ssrc, info, .. } = packet
                && let Some(reception) = &mut self.source.reception
                && reception.ssrc() == ssrc
            {
                reception.handle_sender_report(info.ntp, now);
            }
        }
    }

    /// Takes a plain compound RTCP packet of the `to` side, for what it reports about our
    /// stream: loss drives the FEC of our encoder. `arrived` is the wall-clock time.
    pub fn handle_receiver_rtcp(&mut self, packet: &[u8], arrived: NtpTime) {
        for packet in Compound::new(packet).flatten() {
            let (RtcpPacket::SenderReport { reports, .. }
            | RtcpPacket::ReceiverReport { reports, .. }) = packet
            else {
                continue;
            };
            let ssrc = self.ssrc();
            for report in reports.iter().filter(|report| report.ssrc == ssrc) {
                self.set_reported_loss(f32::from(report.fraction_lost) / 256.0);
                let rate = self.output.timeline().clock_rate();
                let jitter = u64::from(report.jitter) * 1_000_000 / u64::from(rate);
                self.statistics.reported_jitter = Duration::from_micros(jitter);
                if let Some(round_trip) = report.round_trip(arrived) {
                    self.statistics.round_trip = Some(round_trip);
                }
            }
        }
    }

    /// Takes the loss that the receiver of our packets reports, 0 to 1. It counts at once when
    /// it rises and fades when it falls: loss comes in bursts, and FEC for a burst that has
    /// passed is ready for the next.
    pub fn set_reported_loss(&mut self, fraction: f32) {
        let fraction = if fraction.is_finite() {
            fraction.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.statistics.reported_loss = fraction;
        let loss = self.output.loss();
        self.output
            .set_loss(fraction.max(loss * 0.75 + fraction * 0.25));
    }

    /// The report about what came from the `from` side since the last call, for the RTCP that
    /// goes back to that side. `None` before the first packet.
    pub fn reception_report(&mut self, now: Instant) -> Option<ReportBlock> {
        self.source.reception.as_mut()?.report(now)
    }

    /// Appends the compound RTCP towards the `to` side: a sender report (a receiver report
    /// when nothing was sent since the last) with `report`, which is what the pipeline of the
    /// other direction says by [`Self::reception_report`], and SDES with `cname`.
    pub fn sender_report(
        &mut self,
        now: Instant,
        ntp: NtpTime,
        report: Option<&ReportBlock>,
        cname: &str,
        out: &mut Vec<u8>,
    ) {
        let sent = self.output.sent();
        let ssrc = self.ssrc();
        let timestamp = self.output.timeline().timestamp_at(now);
        match timestamp {
            Some(rtp_timestamp) if sent.packets > self.sent_at_report => {
                self.sent_at_report = sent.packets;
                let info = SenderInfo {
                    ntp,
                    rtp_timestamp,
                    packet_count: sent.packets as u32,
                    octet_count: sent.octets as u32,
                };
                write_sender_report(out, ssrc, &info, report, cname);
            }
            _ => write_receiver_report(out, ssrc, report, cname),
        }
    }

    /// The SSRC of what we send.
    pub fn ssrc(&self) -> u32 {
        self.output.timeline().ssrc()
    }

    /// The counters.
    pub fn statistics(&self) -> PipelineStatistics {
        let sent = self.output.sent();
        let mut statistics = self.statistics;
        statistics.lost = self.source.lost();
        statistics.sent_packets = sent.packets;
        statistics.sent_octets = sent.octets;
        statistics.dropped.overflow = sent.overflow;
        statistics.dropped.unencodable = sent.unencodable;
        if let Some(reception) = &self.source.reception {
            statistics.jitter = reception.jitter();
        }
        statistics
    }
}
