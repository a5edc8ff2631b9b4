//! A stream of audio: two pipelines between the browser's transport and the PBX's end.
//!
//! A packet concerns one direction, and what belongs to the other has left the processor's cache
//! since its last packet. So the stream notes which parts were told something, and polls those.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::bridge_config::BridgeConfig;
use super::browser_end::BrowserEnd;
use super::outgoing::Outgoing;
use super::paths::Paths;
use super::pbx_end::{Change, Channel, PbxEnd};
use super::reporter::Reporter;
use super::watch::{Silence, Watch};
use crate::codec::AudioFormat;
use crate::media::pipeline::PipelineEvent;
use crate::media::statistics::Drops;
use crate::media::{CallStatistics, Error, Latching, MediaEvent, Side, SideStatistics, StreamId};
use crate::rtp::{Packet, is_rtcp};
use crate::srtp;
use crate::srtp_keys::SrtpKeys;

/// Whether audio runs yet.
#[derive(Debug)]
enum Audio {
    /// Nothing is negotiated.
    Waiting,
    /// Formats are set.
    Running(Box<Paths>),
}

/// What belongs to one side.
#[derive(Debug)]
struct SideState {
    watch: Watch,
    drops: Drops,
    loss_in: f32,
}

impl SideState {
    fn new(timeout: Duration) -> Self {
        SideState {
            watch: Watch::new(timeout),
            drops: Drops::default(),
            loss_in: 0.0,
        }
    }
}

/// The parts that were told something since they were polled last.
#[derive(Clone, Copy, Debug, Default)]
struct Touched {
    to_pbx: bool,
    to_browser: bool,
    reports: bool,
}

/// A stream of audio.
#[derive(Debug)]
pub(super) struct AudioStream {
    id: StreamId,
    touched: Touched,
    /// Of the two pipelines, asked for when they have been told something.
    to_pbx_deadline: Option<Instant>,
    to_browser_deadline: Option<Instant>,
    audio: Audio,
    pbx_end: PbxEnd,
    /// Keys are looked for in the audio of the PBX.
    detects_digits: bool,
    /// The SSRC of the browser's last RTP packet, once the worker was told.
    browser_ssrc: Option<u32>,
    browser: SideState,
    pbx: SideState,
    reporter: Reporter,
    events: VecDeque<MediaEvent>,
}

impl AudioStream {
    /// A stream of which nothing is negotiated.
    pub(super) fn new(id: StreamId, config: &BridgeConfig) -> Self {
        AudioStream {
            id,
            touched: Touched::default(),
            to_pbx_deadline: None,
            to_browser_deadline: None,
            audio: Audio::Waiting,
            pbx_end: PbxEnd::default(),
            detects_digits: false,
            browser_ssrc: None,
            browser: SideState::new(config.media_timeout),
            pbx: SideState::new(config.media_timeout),
            reporter: Reporter::new(config.report_interval, config.seed),
            events: VecDeque::new(),
        }
    }

    pub(super) fn id(&self) -> StreamId {
        self.id
    }

    /// Takes the addresses and keys of the PBX's SDP.
    pub(super) fn set_remote_rtp(
        &mut self,
        rtp: SocketAddr,
        rtcp: Option<SocketAddr>,
        srtp_keys: Option<&SrtpKeys>,
    ) -> Result<(), Error> {
        Ok(self.pbx_end.set_remote(rtp, rtcp, srtp_keys)?)
    }

    /// A leg to a PBX begins.
    pub(super) fn expect_rtp(&mut self, latching: Latching) {
        self.pbx_end.expect(latching);
    }

    /// See [`PbxEnd::set_peer`].
    pub(super) fn set_rtp_peer(&mut self, peer: IpAddr) {
        self.pbx_end.set_peer(peer);
    }

    /// Looks for keys in the audio of the PBX from now on.
    pub(super) fn detect_digits(&mut self) {
        self.detects_digits = true;
        if let Audio::Running(paths) = &mut self.audio {
            paths.to_browser.detect_dtmf();
        }
    }

    /// Starts both pipelines, or changes them.
    pub(super) fn set_formats(
        &mut self,
        browser: &AudioFormat,
        pbx: &AudioFormat,
        config: &BridgeConfig,
        now: Instant,
    ) -> Result<(), Error> {
        self.touched.to_pbx = true;
        self.touched.to_browser = true;
        match &mut self.audio {
            Audio::Waiting => {
                let paths = Paths::new(config, browser, pbx)?;
                self.audio = Audio::Running(Box::new(paths));
            }
            Audio::Running(paths) => paths.reconfigure(browser, pbx)?,
        }
        if self.detects_digits {
            self.detect_digits();
        }
        if let Audio::Running(paths) = &mut self.audio {
            let interval = config.path.keep_alive;
            paths.to_pbx.keep_alive(interval, now);
        }
        self.reporter.start(now);
        self.pbx_end.set_receiving(pbx.direction.receives());
        let browser = self.browser.watch.expect(browser.direction.receives(), now);
        // Before the SDP of the PBX audio may come, and need not.
        let expected = pbx.direction.receives() && self.pbx_end.is_signalled();
        let pbx = self.pbx.watch.expect(expected, now);
        self.tell_silence(Side::Browser, browser);
        self.tell_silence(Side::Pbx, pbx);
        Ok(())
    }

    /// Sends digits. A refusal becomes an event.
    pub(super) fn send_digits(&mut self, to: Side, digits: &str, duration: Duration, now: Instant) {
        match to {
            Side::Browser => self.touched.to_browser = true,
            Side::Pbx => self.touched.to_pbx = true,
        }
        let sent = match (&mut self.audio, to) {
            (Audio::Waiting, _) => Err(Error::NotSending("not negotiated yet")),
            (Audio::Running(paths), Side::Pbx) => paths.to_pbx.send_digits(digits, duration, now),
            (Audio::Running(paths), Side::Browser) => {
                paths.to_browser.send_digits(digits, duration, now)
            }
        };
        if let Err(error) = sent {
            self.events.push_back(MediaEvent::DigitsRefused(error));
        }
    }

    /// Whether the browser sends this payload type in this stream.
    pub(super) fn takes_from_browser(&self, payload_type: u8) -> bool {
        match &self.audio {
            Audio::Waiting => false,
            Audio::Running(paths) => (paths.browser_payload_types >> payload_type) & 1 != 0,
        }
    }

    /// Takes a packet of the browser. Its SSRC, if the packet before had another one.
    pub(super) fn handle_browser_rtp(&mut self, packet: &Packet<'_>, now: Instant) -> Option<u32> {
        let Audio::Running(paths) = &mut self.audio else {
            self.browser.drops.count("not_negotiated");
            return None;
        };
        // The PBX has not said where it is: nothing of it can be sent.
        if !self.pbx_end.is_signalled() {
            self.browser.drops.count("not_negotiated");
            return None;
        }
        let ssrc = Some(packet.ssrc).filter(|ssrc| self.browser_ssrc != Some(*ssrc));
        if ssrc.is_some() {
            self.browser_ssrc = ssrc;
        }
        if self.browser.watch.heard(now).is_some() {
            self.events.push_back(MediaEvent::AudioChanged {
                from: Side::Browser,
                silent: false,
            });
        }
        self.touched.to_pbx = true;
        paths.to_pbx.handle(packet, now);
        ssrc
    }

    /// Takes RTCP of the browser.
    pub(super) fn handle_browser_rtcp(
        &mut self,
        compound: &[u8],
        config: &BridgeConfig,
        now: Instant,
    ) {
        let Audio::Running(paths) = &mut self.audio else {
            self.browser.drops.count("not_negotiated");
            return;
        };
        let ntp = config.clock.at(now);
        paths.to_pbx.handle_source_rtcp(compound, now);
        paths.to_browser.handle_receiver_rtcp(compound, ntp);
    }

    /// Has the browser's SSRC told again with its next packet: another call had it.
    pub(super) fn forget_browser_ssrc(&mut self) {
        self.browser_ssrc = None;
    }

    /// Takes a datagram from one of the stream's own sockets; `plain` is scratch.
    pub(super) fn handle_pbx_datagram(
        &mut self,
        (channel, source): (Channel, SocketAddr),
        datagram: &[u8],
        plain: &mut Vec<u8>,
        config: &BridgeConfig,
        now: Instant,
    ) {
        let drops = &mut self.pbx.drops;
        let Audio::Running(paths) = &mut self.audio else {
            drops.count("not_negotiated");
            return;
        };
        if is_rtcp(datagram) {
            match self.pbx_end.take_rtcp(source, datagram, plain, now) {
                Ok(compound) => {
                    let ntp = config.clock.at(now);
                    paths.to_browser.handle_source_rtcp(compound, now);
                    paths.to_pbx.handle_receiver_rtcp(compound, ntp);
                }
                Err(reason) => drops.count(reason),
            }
            return;
        }
        let negotiated = paths.pbx_payload_types;
        let taken = self
            .pbx_end
            .take_rtp(channel, source, datagram, plain, negotiated, now);
        let packet = match taken {
            Ok((packet, change)) => {
                self.events.extend(change.map(told_of_change));
                packet
            }
            Err(reason) => {
                drops.count(reason);
                let unexpected = self.pbx_end.poll_unexpected(now);
                self.events
                    .extend(unexpected.map(|rtp| MediaEvent::UnexpectedSource { rtp }));
                return;
            }
        };
        let silence = self.pbx.watch.heard(now);
        self.touched.to_browser = true;
        paths.to_browser.handle(&packet, now);
        self.tell_silence(Side::Pbx, silence);
    }

    /// When [`AudioStream::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [
            self.to_pbx_deadline,
            self.to_browser_deadline,
            self.reporter.poll_timeout(),
            self.browser.watch.poll_timeout(),
            self.pbx.watch.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if let Audio::Running(paths) = &mut self.audio {
            if due(self.to_pbx_deadline) {
                paths.to_pbx.handle_timeout(now);
                self.touched.to_pbx = true;
            }
            if due(self.to_browser_deadline) {
                paths.to_browser.handle_timeout(now);
                self.touched.to_browser = true;
            }
        }
        let unexpected = self.pbx_end.poll_unexpected(now);
        self.events
            .extend(unexpected.map(|rtp| MediaEvent::UnexpectedSource { rtp }));
        if self.reporter.handle_timeout(now) {
            self.report(now, false);
        }
        let browser = self.browser.watch.handle_timeout(now);
        let pbx = self.pbx.watch.handle_timeout(now);
        self.tell_silence(Side::Browser, browser);
        self.tell_silence(Side::Pbx, pbx);
    }

    fn tell_silence(&mut self, from: Side, silence: Option<Silence>) {
        let Some(silence) = silence else { return };
        self.events.push_back(match silence {
            Silence::Noticed => MediaEvent::AudioChanged { from, silent: true },
            Silence::Over => MediaEvent::AudioChanged {
                from,
                silent: false,
            },
            Silence::Reported => MediaEvent::Silent { from },
        });
    }

    /// Queues a report for both sides, the last one with a BYE.
    pub(super) fn report(&mut self, now: Instant, bye: bool) {
        let Audio::Running(paths) = &mut self.audio else {
            return;
        };
        self.touched.reports = true;
        (self.browser.loss_in, self.pbx.loss_in) = paths.report(now, bye);
    }

    /// The next datagram, in `out`; `plain` is scratch.
    pub(super) fn poll_transmit(
        &mut self,
        browser_end: &mut BrowserEnd,
        config: &BridgeConfig,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Option<Outgoing> {
        let Audio::Running(paths) = &mut self.audio else {
            return None;
        };
        let stream = self.id;
        while self.touched.to_pbx {
            let secured = self.pbx_end.is_protected();
            // What is not encrypted is not copied either.
            let packet = if secured { &mut *plain } else { &mut *out };
            if !paths.to_pbx.poll_packet(packet) {
                break;
            }
            let Some(to) = self.pbx_end.destination() else {
                self.pbx.drops.count("no_address");
                continue;
            };
            if secured && !self.pbx_end.protect(srtp::Packet::Rtp, plain, out) {
                self.pbx.drops.count("srtp_refused");
                continue;
            }
            let from = Channel::Rtp;
            return Some(Outgoing::Pbx { stream, from, to });
        }
        while self.touched.to_browser && paths.to_browser.poll_packet(plain) {
            match browser_end.protect_rtp(plain, out) {
                Some(route) => return Some(Outgoing::Browser(route)),
                None => {
                    self.browser.drops.count("not_connected");
                    paths.to_browser.packet_was_not_sent();
                }
            }
        }
        if self.touched.reports {
            if let Some(report) = paths.report_to_pbx.take()
                && let Some((from, to)) = self.pbx_end.rtcp_destination()
            {
                report.write(&mut paths.to_pbx, config, plain);
                if self.pbx_end.protect(srtp::Packet::Rtcp, plain, out) {
                    return Some(Outgoing::Pbx { stream, from, to });
                }
            }
            if let Some(report) = paths.report_to_browser.take() {
                report.write(&mut paths.to_browser, config, plain);
                if let Some(route) = browser_end.protect_rtcp(plain, out) {
                    return Some(Outgoing::Browser(route));
                }
            }
        }
        None
    }

    /// What happened to the stream.
    pub(super) fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    /// What the pipelines tell.
    pub(super) fn poll_pipelines(&mut self) -> Option<MediaEvent> {
        let touched = self.touched;
        if let Audio::Running(paths) = &mut self.audio {
            if touched.to_pbx {
                if let Some(event) = paths.to_pbx.poll_event() {
                    return Some(told(event, Side::Browser));
                }
                self.to_pbx_deadline = paths.to_pbx.poll_timeout();
            }
            if touched.to_browser {
                if let Some(event) = paths.to_browser.poll_event() {
                    return Some(told(event, Side::Pbx));
                }
                self.to_browser_deadline = paths.to_browser.poll_timeout();
            }
        }
        self.touched = Touched::default();
        None
    }

    /// Counts a packet for the PBX that the system would not take.
    pub(super) fn count_unsent_to_pbx(&mut self, reason: &'static str) {
        self.pbx.drops.count(reason);
    }

    /// Adds what the audio has been like so far.
    pub(super) fn add_statistics(&self, statistics: &mut CallStatistics) {
        let (to_pbx, to_browser) = match &self.audio {
            Audio::Waiting => Default::default(),
            Audio::Running(paths) => (paths.to_pbx.statistics(), paths.to_browser.statistics()),
        };
        let (browser, pbx) = (&self.browser, &self.pbx);
        let of_browser =
            SideStatistics::of_paths(&to_pbx, &to_browser, browser.loss_in, &browser.drops);
        let of_pbx = SideStatistics::of_paths(&to_browser, &to_pbx, pbx.loss_in, &pbx.drops);
        statistics.browser.add_audio(of_browser);
        statistics.pbx.add_audio(of_pbx);
    }
}

fn told_of_change(change: Change) -> MediaEvent {
    match change {
        Change::Latched(rtp) => MediaEvent::RemoteLatched { rtp },
        Change::Heard { source, signalled } => MediaEvent::UnexpectedSourceHeard {
            rtp: source,
            signalled,
        },
    }
}

fn told(event: PipelineEvent, from: Side) -> MediaEvent {
    match event {
        PipelineEvent::FirstAudio => MediaEvent::FirstAudio { from },
        PipelineEvent::Digit { digit, duration_ms } => MediaEvent::Digit {
            from,
            digit,
            duration: Duration::from_millis(u64::from(duration_ms)),
        },
    }
}
