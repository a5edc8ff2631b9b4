//! The path itself.

use super::{Config, PathEvent, PathStatistics, StreamIdentity};
use crate::codec::AudioFormat;
use crate::media::Error;
use crate::rtp::{NtpTime, ReportBlock};
use std::time::{Duration, Instant};

/// One direction of a call's audio.
#[derive(Debug)]
pub struct Path {}

impl Path {
    /// A path that takes what `from` sends us and sends it to `to`.
    pub fn new(
        _config: &Config,
        _from: &AudioFormat,
        _to: &AudioFormat,
        _identity: StreamIdentity,
    ) -> Result<Self, Error> {
        Ok(Path {})
    }
    /// Takes newly negotiated formats; SSRC, sequence and timestamp go on.
    pub fn reconfigure(&mut self, _from: &AudioFormat, _to: &AudioFormat) -> Result<(), Error> {
        Ok(())
    }
    /// Takes a plain RTP packet of the `from` side.
    pub fn handle_packet(&mut self, _packet: &[u8], _now: Instant) {}
    /// Takes a plain compound RTCP packet of the `from` side: its sender reports.
    pub fn handle_source_rtcp(&mut self, _packet: &[u8], _now: Instant) {}
    /// Takes a plain compound RTCP packet of the `to` side: what it reports about our stream
    /// (loss drives our encoder's FEC; round trip).
    pub fn handle_receiver_rtcp(&mut self, _packet: &[u8], _arrived: NtpTime) {}
    /// The next plain RTP packet for the `to` side, in `out`; false when there is none.
    pub fn poll_packet(&mut self, out: &mut Vec<u8>) -> bool {
        out.clear();
        false
    }
    /// What there is to tell.
    pub fn poll_event(&mut self) -> Option<PathEvent> {
        None
    }
    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    /// Time has come: the reorder window, digits of our own, key presses without an end.
    pub fn handle_timeout(&mut self, _now: Instant) {}
    /// Sends digits towards `to`, each for `duration`.
    pub fn send_digits(
        &mut self,
        _digits: &str,
        _duration: Duration,
        _now: Instant,
    ) -> Result<(), Error> {
        Ok(())
    }
    /// Loss that the receiver reports, 0 to 1.
    pub fn set_reported_loss(&mut self, _fraction: f32) {}
    /// The report about what came from `from`, for the report that goes back to that side.
    pub fn reception_report(&mut self, _now: Instant) -> Option<ReportBlock> {
        None
    }
    /// Writes (appends) the compound report towards `to`: SR, or RR when nothing was sent since
    /// the last, with `report` (the other path's [`Self::reception_report`]) and SDES.
    pub fn sender_report(
        &mut self,
        _now: Instant,
        _ntp: NtpTime,
        _report: Option<&ReportBlock>,
        _cname: &str,
        _out: &mut Vec<u8>,
    ) {
    }
    /// The SSRC of what we send.
    pub fn ssrc(&self) -> u32 {
        0
    }
    /// The counters.
    pub fn statistics(&self) -> PathStatistics {
        PathStatistics::default()
    }
}
