//! One call on a worker: the ends of the browser and of the PBX, and two paths between them. The
//! worker brings datagrams and the time, and carries away what [`Bridge::poll_transmit`] and
//! [`Bridge::poll_event`] hand out.
//!
//! A packet concerns one direction, and what belongs to the other has left the processor's cache
//! since its last packet. So the bridge notes which parts were told something, and polls those.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::bridge_config::BridgeConfig;
use super::browser_end::BrowserEnd;
use super::demultiplexer::is_stun;
use super::paths::Paths;
use super::pbx_end::{Change, Channel, PbxEnd};
use super::reporter::Reporter;
use super::watch::{Silence, Watch};
use crate::codec::AudioFormat;
use crate::media::pipeline::PipelineEvent;
use crate::media::statistics::Drops;
use crate::media::{CallStatistics, Error, Latching, MediaEvent, Side, SideStatistics};
use crate::peer::{Peer, Received, Route};
use crate::rtp::is_rtcp;
use crate::srtp;
use crate::srtp_keys::SrtpKeys;

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// From a WebRTC socket to the browser.
    Browser(Route),
    /// From one of the call's own sockets to the PBX.
    Pbx {
        /// From which.
        from: Channel,
        /// Where to.
        to: SocketAddr,
    },
}

/// What a datagram from the browser proves about the address that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// An authenticated connectivity check came from there: it may stand for the call.
    Check,
    /// Authentic media came from there.
    Media,
    /// The same, and of another stream than before: its SSRC.
    Stream(u32),
    /// Nothing.
    None,
}

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
    browser_end: bool,
    to_pbx: bool,
    to_browser: bool,
    reports: bool,
}

/// One call.
pub struct Bridge {
    browser_end: BrowserEnd,
    touched: Touched,
    /// Asked for when the browser's end has been told something.
    browser_end_deadline: Option<Instant>,
    /// Of the two paths, asked for when they have been told something.
    to_pbx_deadline: Option<Instant>,
    to_browser_deadline: Option<Instant>,
    audio: Audio,
    pbx_end: PbxEnd,
    /// Keys are looked for in the audio of the PBX.
    detects_digits: bool,
    /// The SSRC of the browser's last RTP packet, once the worker was told.
    browser_stream: Option<u32>,
    browser: SideState,
    pbx: SideState,
    reporter: Reporter,
    next_statistics: Instant,
    events: VecDeque<MediaEvent>,
    config: BridgeConfig,
}

impl Bridge {
    /// A call of which only the browser's peer is known.
    pub fn new(peer: Peer, config: BridgeConfig, now: Instant) -> Self {
        let browser_end = BrowserEnd::new(peer);
        Bridge {
            browser_end_deadline: browser_end.poll_timeout(),
            browser_end,
            touched: Touched {
                browser_end: true,
                ..Touched::default()
            },
            to_pbx_deadline: None,
            to_browser_deadline: None,
            audio: Audio::Waiting,
            pbx_end: PbxEnd::default(),
            detects_digits: false,
            browser_stream: None,
            browser: SideState::new(config.media_timeout),
            pbx: SideState::new(config.media_timeout),
            reporter: Reporter::new(config.report_interval, config.seed),
            next_statistics: now + config.statistics_interval,
            events: VecDeque::new(),
            config,
        }
    }

    /// See [`Peer::local_ufrags`].
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> + Clone {
        self.browser_end.local_ufrags()
    }

    /// The browser's end, to be told something.
    pub fn browser_end(&mut self) -> &mut BrowserEnd {
        self.touched.browser_end = true;
        &mut self.browser_end
    }

    /// Takes the addresses and keys of the PBX's SDP.
    pub fn set_remote_rtp(
        &mut self,
        rtp: SocketAddr,
        rtcp: Option<SocketAddr>,
        srtp_keys: Option<&SrtpKeys>,
    ) -> Result<(), Error> {
        Ok(self.pbx_end.set_remote(rtp, rtcp, srtp_keys)?)
    }

    /// A leg to a PBX begins.
    pub fn expect_rtp(&mut self, latching: Latching) {
        self.pbx_end.expect(latching);
    }

    /// Takes the IP address that the SIP messages of the PBX come from.
    pub fn set_rtp_peer(&mut self, peer: IpAddr) {
        self.pbx_end.set_peer(peer);
    }

    /// Looks for keys in the audio of the PBX from now on.
    pub fn detect_digits(&mut self) {
        self.detects_digits = true;
        if let Audio::Running(paths) = &mut self.audio {
            paths.to_browser.listen_for_tones();
        }
    }

    /// Starts both paths, or changes them.
    pub fn set_formats(
        &mut self,
        browser: &AudioFormat,
        pbx: &AudioFormat,
        now: Instant,
    ) -> Result<(), Error> {
        self.touched.to_pbx = true;
        self.touched.to_browser = true;
        match &mut self.audio {
            Audio::Waiting => {
                let paths = Paths::new(&self.config, browser, pbx)?;
                self.audio = Audio::Running(Box::new(paths));
            }
            Audio::Running(paths) => paths.reconfigure(browser, pbx)?,
        }
        if self.detects_digits {
            self.detect_digits();
        }
        if let Audio::Running(paths) = &mut self.audio {
            let interval = self.config.path.keep_alive;
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
    pub fn send_digits(&mut self, to: Side, digits: &str, duration: Duration, now: Instant) {
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

    /// Takes a datagram from a WebRTC socket; `plain` is scratch.
    pub fn handle_browser_datagram(
        &mut self,
        route: Route,
        datagram: &[u8],
        plain: &mut Vec<u8>,
        now: Instant,
    ) -> Evidence {
        let mut evidence = Evidence::Media;
        let received = self
            .browser_end
            .handle_datagram(route, datagram, plain, now);
        // Whatever it was: media, too, may show the peer that its route works.
        self.touched.browser_end = true;
        match received {
            Received::Handled if is_stun(datagram) && self.browser_end.validated(route.remote) => {
                return Evidence::Check;
            }
            Received::Handled => return Evidence::None,
            Received::Rtp => match &mut self.audio {
                // The PBX has not said where it is: nothing of it can be sent.
                Audio::Running(_) if !self.pbx_end.is_signalled() => {
                    self.browser.drops.count("not_negotiated");
                }
                Audio::Running(paths) => {
                    let stream = plain.get(8..12).and_then(|ssrc| ssrc.try_into().ok());
                    let stream = stream.map(u32::from_be_bytes);
                    if let Some(ssrc) = stream
                        && stream != self.browser_stream
                    {
                        self.browser_stream = stream;
                        evidence = Evidence::Stream(ssrc);
                    }
                    if self.browser.watch.heard(now).is_some() {
                        self.events.push_back(MediaEvent::AudioChanged {
                            from: Side::Browser,
                            silent: false,
                        });
                    }
                    self.touched.to_pbx = true;
                    paths.to_pbx.handle_packet(plain, now);
                }
                Audio::Waiting => self.browser.drops.count("not_negotiated"),
            },
            Received::Rtcp => match &mut self.audio {
                Audio::Running(paths) => {
                    paths.to_pbx.handle_source_rtcp(plain, now);
                    paths
                        .to_browser
                        .handle_receiver_rtcp(plain, self.config.clock.at(now));
                }
                Audio::Waiting => self.browser.drops.count("not_negotiated"),
            },
            Received::Dropped(reason) => {
                self.browser.drops.count(reason.name());
                return Evidence::None;
            }
        }
        evidence
    }

    /// Has the browser's stream told again with its next packet: another call had its SSRC.
    pub fn forget_browser_stream(&mut self) {
        self.browser_stream = None;
    }

    /// Takes a datagram from one of the call's own sockets; `plain` is scratch.
    pub fn handle_pbx_datagram(
        &mut self,
        channel: Channel,
        source: SocketAddr,
        datagram: &[u8],
        plain: &mut Vec<u8>,
        now: Instant,
    ) {
        let drops = &mut self.pbx.drops;
        let Audio::Running(paths) = &mut self.audio else {
            drops.count("not_negotiated");
            return;
        };
        if is_rtcp(datagram) {
            match self.pbx_end.take_rtcp(source, datagram, plain, now) {
                Ok(packet) => {
                    paths.to_browser.handle_source_rtcp(packet, now);
                    paths
                        .to_pbx
                        .handle_receiver_rtcp(packet, self.config.clock.at(now));
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
                self.events.extend(change.map(|change| match change {
                    Change::Latched(rtp) => MediaEvent::RemoteLatched { rtp },
                    Change::Heard { source, signalled } => MediaEvent::UnexpectedSourceHeard {
                        rtp: source,
                        signalled,
                    },
                }));
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
        paths.to_browser.handle_packet(packet, now);
        self.tell_silence(Side::Pbx, silence);
    }

    /// When [`Bridge::handle_timeout`] wants to be called. To be asked when
    /// [`Bridge::poll_event`] has nothing more.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.to_pbx_deadline,
            self.to_browser_deadline,
            self.browser_end_deadline,
            self.reporter.poll_timeout(),
            self.browser.watch.poll_timeout(),
            self.pbx.watch.poll_timeout(),
            Some(self.next_statistics),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.browser_end_deadline) {
            self.browser_end.handle_timeout(now);
            self.touched.browser_end = true;
        }
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
        if self.next_statistics <= now {
            self.next_statistics = now + self.config.statistics_interval;
            self.events
                .push_back(MediaEvent::Statistics(self.statistics()));
        }
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

    /// Queues a last report and BYE for both sides.
    pub fn send_rtcp_bye(&mut self, now: Instant) {
        self.report(now, true);
    }

    /// Closes the peer: after the RTCP BYE is sent, which still needs its keys.
    pub fn close(&mut self, now: Instant) {
        self.browser_end.close(now);
        self.touched.browser_end = true;
    }

    fn report(&mut self, now: Instant, bye: bool) {
        let Audio::Running(paths) = &mut self.audio else {
            return;
        };
        self.touched.reports = true;
        (self.browser.loss_in, self.pbx.loss_in) = paths.report(now, bye);
    }

    /// The next datagram, in `out`; `plain` is scratch.
    pub fn poll_transmit(&mut self, plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<Outgoing> {
        if let Audio::Running(paths) = &mut self.audio {
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
                return Some(Outgoing::Pbx {
                    from: Channel::Rtp,
                    to,
                });
            }
            while self.touched.to_browser && paths.to_browser.poll_packet(plain) {
                match self.browser_end.protect_rtp(plain, out) {
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
                    report.write(&mut paths.to_pbx, &self.config, plain);
                    if self.pbx_end.protect(srtp::Packet::Rtcp, plain, out) {
                        return Some(Outgoing::Pbx { from, to });
                    }
                }
                if let Some(report) = paths.report_to_browser.take() {
                    report.write(&mut paths.to_browser, &self.config, plain);
                    if let Some(route) = self.browser_end.protect_rtcp(plain, out) {
                        return Some(Outgoing::Browser(route));
                    }
                }
            }
        }
        if !self.touched.browser_end {
            return None;
        }
        self.browser_end.poll_transmit(out).map(Outgoing::Browser)
    }

    /// The next thing that the owner should know; to be asked when [`Bridge::poll_transmit`] has
    /// nothing more.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let touched = self.touched;
        if touched.browser_end {
            if let Some(event) = self.browser_end.poll_event() {
                return Some(event);
            }
            self.browser_end_deadline = self.browser_end.poll_timeout();
        }
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

    /// Counts a packet for `side` that the system would not take.
    pub fn count_unsent(&mut self, side: Side, reason: &'static str) {
        match side {
            Side::Browser => self.browser.drops.count(reason),
            Side::Pbx => self.pbx.drops.count(reason),
        }
    }

    /// What the call's media has been like so far.
    pub fn statistics(&self) -> CallStatistics {
        let (to_pbx, to_browser) = match &self.audio {
            Audio::Waiting => Default::default(),
            Audio::Running(paths) => (paths.to_pbx.statistics(), paths.to_browser.statistics()),
        };
        CallStatistics {
            browser: SideStatistics::of_paths(
                &to_pbx,
                &to_browser,
                self.browser.loss_in,
                &self.browser.drops,
            ),
            pbx: SideStatistics::of_paths(&to_browser, &to_pbx, self.pbx.loss_in, &self.pbx.drops),
        }
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
