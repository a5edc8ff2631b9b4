//! One call on a worker: the browser's transport and the streams that travel over it, each with its
//! own end of the PBX. The worker brings datagrams and the time, and carries away what
//! [`Bridge::poll_transmit`] and [`Bridge::poll_event`] hand out.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::audio_stream::AudioStream;
use super::bridge_config::BridgeConfig;
use super::browser_end::BrowserEnd;
use super::outgoing::Outgoing;
use super::pbx_end::Channel;
use super::stream::Stream;
use crate::media::statistics::Drops;
use crate::media::{AudioCommand, CallStatistics, Error, MediaEvent, StreamId};
use crate::peer::{Peer, Received, Route};
use crate::rtp::Packet;
use crate::stun::begins_like_stun;

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

/// One call.
pub struct Bridge {
    browser_end: BrowserEnd,
    /// The browser's end was told something since it was polled last.
    browser_end_touched: bool,
    /// Asked for when the browser's end has been told something.
    browser_end_deadline: Option<Instant>,
    streams: Vec<Stream>,
    /// What came from the browser, or was for it, and belongs to no stream.
    browser_drops: Drops,
    next_statistics: Instant,
    events: VecDeque<MediaEvent>,
    config: BridgeConfig,
}

impl Bridge {
    /// A call of which only the browser's peer is known; its first stream is audio.
    pub fn new(peer: Peer, config: BridgeConfig, now: Instant) -> Self {
        let browser_end = BrowserEnd::new(peer);
        let audio = AudioStream::new(StreamId::FIRST_AUDIO, &config);
        Bridge {
            browser_end_deadline: browser_end.poll_timeout(),
            browser_end,
            browser_end_touched: true,
            streams: vec![Stream::Audio(audio)],
            browser_drops: Drops::default(),
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
        self.browser_end_touched = true;
        &mut self.browser_end
    }

    /// Takes the IP address that the SIP messages of the PBX come from.
    pub fn set_rtp_peer(&mut self, peer: IpAddr) {
        for stream in &mut self.streams {
            stream.set_rtp_peer(peer);
        }
    }

    /// Gives a stream of audio a command. False: the call has no such stream.
    pub fn command_audio(
        &mut self,
        id: StreamId,
        command: AudioCommand,
        now: Instant,
    ) -> Result<bool, Error> {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id() == id) else {
            return Ok(false);
        };
        let Stream::Audio(audio) = stream;
        match command {
            AudioCommand::SetRemoteRtp {
                rtp,
                rtcp,
                srtp_keys,
            } => audio.set_remote_rtp(rtp, rtcp, srtp_keys.as_ref())?,
            AudioCommand::ExpectRtp(latching) => audio.expect_rtp(latching),
            AudioCommand::DetectDigits => audio.detect_digits(),
            AudioCommand::SetFormats { browser, pbx } => {
                audio.set_formats(&browser, &pbx, &self.config, now)?;
            }
            AudioCommand::SendDigits {
                to,
                digits,
                duration,
            } => audio.send_digits(to, &digits, duration, now),
        }
        Ok(true)
    }

    /// Takes a datagram from a WebRTC socket; `plain` is scratch.
    pub fn handle_browser_datagram(
        &mut self,
        route: Route,
        datagram: &[u8],
        plain: &mut Vec<u8>,
        now: Instant,
    ) -> Evidence {
        let received = self
            .browser_end
            .handle_datagram(route, datagram, plain, now);
        // Whatever it was: media, too, may show the peer that its route works.
        self.browser_end_touched = true;
        match received {
            Received::Handled
                if begins_like_stun(datagram) && self.browser_end.validated(route.remote) =>
            {
                Evidence::Check
            }
            Received::Handled => Evidence::None,
            Received::Rtp => self.handle_browser_rtp(plain, now),
            Received::Rtcp => {
                for stream in &mut self.streams {
                    stream.handle_browser_rtcp(plain, &self.config, now);
                }
                Evidence::Media
            }
            Received::Dropped(reason) => {
                self.browser_drops.count(reason.name());
                Evidence::None
            }
        }
    }

    /// Gives a packet of the browser to the stream that has its payload type. One that none has is
    /// counted by the first.
    fn handle_browser_rtp(&mut self, plain: &[u8], now: Instant) -> Evidence {
        let Ok(packet) = Packet::parse(plain) else {
            self.browser_drops.count("malformed");
            return Evidence::Media;
        };
        let takes = |stream: &Stream| stream.takes_from_browser(packet.payload_type);
        let place = self.streams.iter().position(takes).unwrap_or(0);
        let stream = self.streams.get_mut(place);
        match stream.and_then(|stream| stream.handle_browser_rtp(&packet, now)) {
            Some(ssrc) => Evidence::Stream(ssrc),
            None => Evidence::Media,
        }
    }

    /// Has the browser's SSRCs told again with their next packets: another call had one of them.
    pub fn forget_browser_ssrcs(&mut self) {
        for stream in &mut self.streams {
            stream.forget_browser_ssrc();
        }
    }

    /// Takes a datagram from one of a stream's own sockets; `plain` is scratch.
    pub fn handle_pbx_datagram(
        &mut self,
        id: StreamId,
        from: (Channel, SocketAddr),
        datagram: &[u8],
        plain: &mut Vec<u8>,
        now: Instant,
    ) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id() == id) {
            stream.handle_pbx_datagram(from, datagram, plain, &self.config, now);
        }
    }

    /// When [`Bridge::handle_timeout`] wants to be called. To be asked when
    /// [`Bridge::poll_event`] has nothing more.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let streams = self.streams.iter().filter_map(Stream::poll_timeout);
        let others = [self.browser_end_deadline, Some(self.next_statistics)];
        streams.chain(others.into_iter().flatten()).min()
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.browser_end_deadline.is_some_and(|at| at <= now) {
            self.browser_end.handle_timeout(now);
            self.browser_end_touched = true;
        }
        for stream in &mut self.streams {
            stream.handle_timeout(now);
        }
        if self.next_statistics <= now {
            self.next_statistics = now + self.config.statistics_interval;
            self.events
                .push_back(MediaEvent::Statistics(self.statistics()));
        }
    }

    /// Queues a last report and BYE for both sides.
    pub fn send_rtcp_bye(&mut self, now: Instant) {
        for stream in &mut self.streams {
            stream.send_rtcp_bye(now);
        }
    }

    /// Closes the peer: after the RTCP BYE is sent, which still needs its keys.
    pub fn close(&mut self, now: Instant) {
        self.browser_end.close(now);
        self.browser_end_touched = true;
    }

    /// The next datagram, in `out`; `plain` is scratch.
    pub fn poll_transmit(&mut self, plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<Outgoing> {
        for stream in &mut self.streams {
            let outgoing = stream.poll_transmit(&mut self.browser_end, &self.config, plain, out);
            if outgoing.is_some() {
                return outgoing;
            }
        }
        if !self.browser_end_touched {
            return None;
        }
        self.browser_end.poll_transmit(out).map(Outgoing::Browser)
    }

    /// The next thing that the owner should know; to be asked when [`Bridge::poll_transmit`] has
    /// nothing more.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        let of_stream = self.streams.iter_mut().find_map(Stream::poll_event);
        if let Some(event) = of_stream.or_else(|| self.events.pop_front()) {
            return Some(event);
        }
        if self.browser_end_touched {
            if let Some(event) = self.browser_end.poll_event() {
                return Some(event);
            }
            self.browser_end_deadline = self.browser_end.poll_timeout();
            self.browser_end_touched = false;
        }
        self.streams.iter_mut().find_map(Stream::poll_pipelines)
    }

    /// Counts a datagram that the system would not take.
    pub fn count_unsent(&mut self, outgoing: Outgoing, reason: &'static str) {
        let Outgoing::Pbx { stream: id, .. } = outgoing else {
            self.browser_drops.count(reason);
            return;
        };
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id() == id) {
            stream.count_unsent_to_pbx(reason);
        }
    }

    /// What the call's media has been like so far.
    pub fn statistics(&self) -> CallStatistics {
        let mut statistics = CallStatistics::default();
        statistics.browser.dropped = self.browser_drops.clone();
        for stream in &self.streams {
            stream.add_statistics(&mut statistics);
        }
        statistics
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::media::pipeline::{self, StreamIdentity};
    use crate::media::worker::reporter::WallClock;
    use crate::media::{Latching, Side};
    use crate::peer::{Certificate, CheckRate, Config, LocalCandidate, Role};
    use crate::rtp::NtpTime;

    fn bridge(now: Instant) -> Bridge {
        let address = "192.0.2.2:5000".parse().expect("an address");
        let candidate = LocalCandidate {
            bound: address,
            advertised: address,
        };
        let peer = Config::new(
            Arc::new(Certificate::generate().expect("a certificate")),
            vec![candidate],
            Arc::new(CheckRate::new(250, 500, now)),
        );
        let identity = StreamIdentity {
            ssrc: 1,
            first_sequence: 1,
            first_timestamp: 1,
        };
        let config = BridgeConfig {
            path: pipeline::Config::default(),
            media_timeout: Duration::from_secs(30),
            report_interval: Duration::from_secs(2),
            statistics_interval: Duration::from_secs(2),
            to_browser: identity,
            to_pbx: identity,
            cname: "test".to_owned(),
            seed: 1,
            clock: WallClock::new(now, NtpTime(0)),
        };
        let peer = Peer::new(&peer, Role::Answerer, now).expect("a peer");
        Bridge::new(peer, config, now)
    }

    #[test]
    fn command_reaches_the_stream_that_it_names_only() {
        let now = Instant::now();
        let mut bridge = bridge(now);
        let digits = || AudioCommand::SendDigits {
            to: Side::Pbx,
            digits: "1".to_owned(),
            duration: Duration::from_millis(100),
        };
        let unknown = bridge.command_audio(StreamId(1), digits(), now);
        assert!(matches!(unknown, Ok(false)), "{unknown:?}");
        assert!(bridge.poll_event().is_none());
        let known = bridge.command_audio(StreamId::FIRST_AUDIO, digits(), now);
        assert!(matches!(known, Ok(true)), "{known:?}");
        let refused = bridge.poll_event();
        assert!(matches!(refused, Some(MediaEvent::DigitsRefused(_))));
    }

    #[test]
    fn datagrams_of_no_stream_and_of_the_transport_are_counted() {
        let now = Instant::now();
        let mut bridge = bridge(now);
        let latching = AudioCommand::ExpectRtp(Latching::default());
        let done = bridge.command_audio(StreamId::FIRST_AUDIO, latching, now);
        assert!(matches!(done, Ok(true)));
        let source = "198.51.100.1:4000".parse().expect("an address");
        let (rtp, mut plain) = ([0x80; 40], Vec::new());
        for stream in [StreamId::FIRST_AUDIO, StreamId(1)] {
            let from = (Channel::Rtp, source);
            bridge.handle_pbx_datagram(stream, from, &rtp, &mut plain, now);
        }
        let route = Route {
            local: "192.0.2.2:5000".parse().expect("an address"),
            remote: source,
        };
        let evidence = bridge.handle_browser_datagram(route, &rtp, &mut plain, now);
        assert_eq!(evidence, Evidence::None);
        let unsent = Outgoing::Pbx {
            stream: StreamId::FIRST_AUDIO,
            from: Channel::Rtp,
            to: source,
        };
        bridge.count_unsent(unsent, "send_error");
        bridge.count_unsent(Outgoing::Browser(route), "no_socket");
        let statistics = bridge.statistics();
        let (browser, pbx) = (&statistics.browser.dropped, &statistics.pbx.dropped);
        assert_eq!((pbx.of("not_negotiated"), pbx.of("send_error")), (1, 1));
        assert_eq!((browser.of("unvalidated"), browser.of("no_socket")), (1, 1));
        assert_eq!((browser.total(), pbx.total()), (2, 2));
    }
}
