//! The pipeline: how its stages are put together.

use super::audio_rate::audio_rate;
use super::decoder_stage::{DecoderStage, Repair, Undecoded};
use super::dtmf::Dtmf;
use super::egress::Egress;
use super::keep_alive::KeepAlive;
use super::receiver::{LARGEST_PACKET, Payload, Received, RtpReceiver, Turn};
use super::relay::Relay;
use super::rtcp_reports::RtcpReports;
use super::{Config, PipelineEvent, PipelineStatistics, StreamIdentity, transcode};
use crate::audio::payload_ticks;
use crate::codec::{AudioFormat, Codec};
use crate::media::Error;
use crate::rtp::{NtpTime, Packet, ReportBlock};
use std::time::{Duration, Instant};

/// What the pipeline itself counts.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    repair: Repair,
    suppressed: u64,
    comfort_noise: u64,
}

/// One direction of a call's audio.
#[derive(Debug)]
pub struct Pipeline {
    receiver: RtpReceiver,
    relay: Relay,
    decoder: DecoderStage,
    egress: Egress,
    dtmf: Dtmf,
    keep_alive: Option<KeepAlive>,
    reports: RtcpReports,
    /// The codec that the source last sent.
    codec: Option<Codec>,
    /// Audio came since it was allowed to; and its first is still to be reported.
    has_audio: bool,
    reports_audio: bool,
    counts: Counts,
    /// Buffer that packets from the reorder window are moved into.
    released: Vec<u8>,
    last_now: Option<Instant>,
}

impl Pipeline {
    /// A pipeline that takes what the `from` side sends us and sends it to the `to` side.
    pub fn new(
        config: &Config,
        from: &AudioFormat,
        to: &AudioFormat,
        identity: StreamIdentity,
    ) -> Result<Self, Error> {
        let rate = audio_rate(from, to);
        Ok(Pipeline {
            receiver: RtpReceiver::new(config, from.clone()),
            relay: Relay::default(),
            decoder: DecoderStage::new(config, from, to, rate)?,
            egress: Egress::new(config, from, to, rate, identity)?,
            dtmf: Dtmf::new(config, to),
            keep_alive: None,
            reports: RtcpReports::default(),
            codec: None,
            has_audio: false,
            reports_audio: false,
            counts: Counts::default(),
            released: Vec::with_capacity(LARGEST_PACKET),
            last_now: None,
        })
    }

    /// Takes newly negotiated formats: SSRC, sequence numbers and timestamps go on.
    pub fn reconfigure(&mut self, from: &AudioFormat, to: &AudioFormat) -> Result<(), Error> {
        let rate = audio_rate(from, to);
        self.egress.reconfigure(from, to, rate, self.last_now)?;
        self.decoder.reconfigure(from, to, rate)?;
        self.receiver.set_format(from);
        self.relay.reset();
        // No audio comes meanwhile: that after it is reported again.
        self.has_audio &= from.direction.receives();
        self.dtmf.reconfigure(to);
        Ok(())
    }

    /// Sends a packet of silence from now on after each `interval` in which nothing was sent.
    pub fn keep_alive(&mut self, interval: Duration, now: Instant) {
        if self.keep_alive.is_none() && !interval.is_zero() {
            self.keep_alive = Some(KeepAlive::new(interval, &self.egress, now));
        }
    }

    /// Detects DTMF in the audio of the source from now on.
    pub fn detect_dtmf(&mut self) {
        self.dtmf.detect_in_band();
    }

    /// Reads a plain RTP packet of the `from` side, and takes it.
    pub fn handle_packet(&mut self, bytes: &[u8], now: Instant) {
        match Packet::parse(bytes) {
            Ok(packet) => self.handle(&packet, now),
            Err(_) => self.receiver.count_malformed(),
        }
    }

    /// Takes a plain RTP packet of the `from` side.
    pub fn handle(&mut self, packet: &Packet<'_>, now: Instant) {
        self.last_now = Some(now);
        let egress = &self.egress;
        let forwards = egress.sender().refusal().is_none();
        let relays = |codec, payload: &[u8]| egress.relays(codec, payload);
        let taken = self.receiver.handle_packet(packet, forwards, relays, now);
        let Some((begins, turn)) = taken else {
            return;
        };
        if begins {
            self.begin_source(now);
        }
        match turn {
            Turn::Now(received) => self.forward(&received, now),
            Turn::Late(received) => self.forward_late(&received),
            Turn::Waits => {}
            Turn::Closed => {
                self.relay.reset();
                return;
            }
        }
        self.release(now);
    }

    /// Takes a plain compound RTCP packet of the `from` side, for its sender reports.
    pub fn handle_source_rtcp(&mut self, packet: &[u8], now: Instant) {
        self.receiver.handle_rtcp(packet, now);
    }

    /// Takes a plain compound RTCP packet of the `to` side, for what it reports about our
    /// stream. `arrived` is the wall-clock time.
    pub fn handle_receiver_rtcp(&mut self, packet: &[u8], arrived: NtpTime) {
        self.reports.handle_rtcp(packet, &mut self.egress, arrived);
    }

    /// Takes the loss that the receiver of our packets reports, 0 to 1.
    pub fn set_reported_loss(&mut self, fraction: f32) {
        self.reports.set_loss(fraction, &mut self.egress);
    }

    /// The next plain RTP packet for the `to` side, into `out`, which is cleared first. False
    /// when there is none.
    pub fn poll_packet(&mut self, out: &mut Vec<u8>) -> bool {
        self.egress.sender_mut().pop(out)
    }

    /// Takes note that the packet polled last was not sent: as long as the `to` side is not
    /// connected, for one. A decoder that gets the begin of a signal later, or never, would
    /// make something else of its rest.
    pub fn packet_was_not_sent(&mut self) {
        self.egress.encoder().reset();
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<PipelineEvent> {
        if std::mem::take(&mut self.reports_audio) {
            return Some(PipelineEvent::FirstAudio);
        }
        self.dtmf.poll_event()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.receiver.poll_timeout(),
            self.dtmf.poll_timeout(),
            self.keep_alive.as_ref().map(KeepAlive::poll_timeout),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has come: for packets that wait for a lost one, for a key whose end is lost, for
    /// digits of our own, for a keep-alive.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.last_now = Some(now);
        self.release(now);
        self.dtmf.handle_timeout(&mut self.egress, now);
        if let Some(keep_alive) = &mut self.keep_alive {
            let allowed = !self.dtmf.is_sending();
            keep_alive.handle_timeout(allowed, &mut self.egress, now);
        }
    }

    /// Sends digits (`0-9*#A-D`, a comma pauses 2 s) towards `to`, each for `duration`: as
    /// telephone events, or as tones when `to` knows none. Audio is held back until they are
    /// sent.
    pub fn send_digits(
        &mut self,
        digits: &str,
        duration: Duration,
        now: Instant,
    ) -> Result<(), Error> {
        self.last_now = Some(now);
        self.dtmf
            .send_digits(digits, duration, &mut self.egress, now)
    }

    /// The report about what came from the `from` side since the last call, for the RTCP that
    /// goes back to that side. `None` before the first packet.
    pub fn reception_report(&mut self, now: Instant) -> Option<ReportBlock> {
        self.receiver.report(now)
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
        self.reports
            .write(&self.egress, (now, ntp), report, cname, out);
    }

    /// The SSRC of what we send.
    pub fn ssrc(&self) -> u32 {
        self.egress.sender().mapping().ssrc()
    }

    /// The counters.
    pub fn statistics(&self) -> PipelineStatistics {
        let (received, sent) = (self.receiver.counts(), self.egress.sender().sent());
        let (drops, counts) = (self.dtmf.drops(), self.counts);
        PipelineStatistics {
            codec: self.codec,
            received: received.received,
            received_octets: received.received_octets,
            lost: self.receiver.lost(),
            concealed: counts.repair.concealed,
            recovered_by_fec: counts.repair.recovered_by_fec,
            late: received.late,
            duplicate: received.duplicate,
            reordered: received.reordered,
            comfort_noise: counts.comfort_noise,
            source_changes: received.source_changes,
            digits: self.dtmf.digits(),
            dropped: super::Dropped {
                malformed: received.malformed + drops.malformed,
                oversize: received.oversize,
                unknown_payload_type: received.unknown_payload_type,
                direction: received.direction,
                stray: received.stray,
                undecodable: counts.repair.undecodable,
                suppressed: counts.suppressed,
                unknown_event: drops.unknown_event,
                unencodable: sent.unencodable,
                overflow: sent.overflow,
            },
            sent_packets: sent.packets,
            sent_octets: sent.octets,
            jitter: self.receiver.jitter(),
            reported_loss: self.reports.loss(),
            reported_jitter: self.reports.jitter(),
            round_trip: self.reports.round_trip(),
        }
    }

    /// Another source: what was decoded and pressed before does not go on.
    fn begin_source(&mut self, now: Instant) {
        self.relay.reset();
        self.decoder.reset();
        self.egress.sender_mut().mapping_mut().begin_talkspurt();
        self.dtmf.interrupt(&mut self.egress, now);
    }

    /// Forwards packets that need not wait any more.
    fn release(&mut self, now: Instant) {
        let mut buffer = std::mem::take(&mut self.released);
        while let Some(number) = self.receiver.release(now, &mut buffer) {
            if let Some(received) = self.receiver.read_released(number, &buffer) {
                self.forward(&received, now);
            }
        }
        self.released = buffer;
    }

    fn forward(&mut self, received: &Received<'_>, now: Instant) {
        match received.payload {
            Payload::Audio(codec) => self.forward_audio(received, codec, now),
            Payload::Event(clock_rate) => self.forward_event(received, clock_rate, now),
            Payload::ComfortNoise => {
                self.counts.comfort_noise += 1;
                self.interrupt();
            }
        }
    }

    fn forward_event(&mut self, received: &Received<'_>, clock_rate: u32, now: Instant) {
        self.interrupt();
        let packet = &received.packet;
        let timestamp_rate = self.receiver.clock_rate().unwrap_or(clock_rate);
        let distance = self
            .receiver
            .distance(packet.timestamp, timestamp_rate, now);
        let clocks = (clock_rate, timestamp_rate);
        self.dtmf
            .handle_event(packet, clocks, distance, &mut self.egress, now);
    }

    fn forward_audio(&mut self, received: &Received<'_>, codec: Codec, now: Instant) {
        let packet = &received.packet;
        let Some(ticks) = payload_ticks(codec, packet.payload) else {
            self.counts.repair.undecodable += 1;
            self.relay.reset();
            self.receiver.count_missing();
            return;
        };
        if !self.has_audio {
            self.has_audio = true;
            self.reports_audio = true;
        }
        let clock_rate = codec.clock_rate();
        let distance = self.receiver.distance(packet.timestamp, clock_rate, now);
        let egress = &mut self.egress;
        if self.dtmf.suppresses(codec, packet, distance, egress, now) {
            self.counts.suppressed += 1;
            self.interrupt();
            return;
        }
        if self.codec != Some(codec) {
            self.codec = Some(codec);
            self.decoder.reset();
        }
        let gap = egress.gap_before(distance, now);
        if egress.relays(codec, packet.payload) {
            let gap = (self.receiver.missing(), gap);
            let sender = egress.sender_mut();
            self.relay.forward(received, ticks, gap, sender, now);
        } else {
            let undecoded = Undecoded {
                codec,
                payload: packet.payload,
                ticks,
                gap,
                gap_clock: egress.sender().clock_rate(),
                lost: self.receiver.lost_audio(),
                lost_ticks: self.receiver.last_ticks().unwrap_or(ticks),
            };
            let repair = transcode::forward(undecoded, &mut self.decoder, egress, now);
            self.counts.repair.add(repair);
            self.relay.reset();
        }
        self.receiver
            .forwarded(packet.timestamp, ticks, clock_rate, now);
    }

    /// A packet whose turn was given up: of use only where packets are relayed.
    fn forward_late(&mut self, received: &Received<'_>) {
        let is_relayed = match received.payload {
            Payload::Audio(codec) => self.egress.relays(codec, received.packet.payload),
            Payload::Event(_) | Payload::ComfortNoise => false,
        };
        let sender = self.egress.sender_mut();
        let sent = is_relayed && self.relay.forward_late(received, sender);
        self.receiver.count_late(sent);
    }

    /// Something came that is not forwarded as audio.
    fn interrupt(&mut self) {
        self.receiver.interrupt();
        self.relay.reset();
    }
}
