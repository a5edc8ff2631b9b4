//! One media stream of a call: what travels for it over the browser's transport, and its own
//! end of the PBX.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::audio_stream::AudioStream;
use super::bridge_config::BridgeConfig;
use super::browser_end::BrowserEnd;
use super::outgoing::Outgoing;
use super::pbx_end::Channel;
use crate::media::{CallStatistics, MediaEvent, StreamId};
use crate::rtp::Packet;

/// A media stream.
pub(super) enum Stream {
    /// Audio, that is decoded or passed on by pipelines.
    Audio(AudioStream),
}

impl Stream {
    pub(super) fn id(&self) -> StreamId {
        match self {
            Stream::Audio(audio) => audio.id(),
        }
    }

    /// Takes the IP address that the SIP messages of the PBX come from.
    pub(super) fn set_rtp_peer(&mut self, peer: IpAddr) {
        match self {
            Stream::Audio(audio) => audio.set_rtp_peer(peer),
        }
    }

    /// Whether the browser sends this payload type in this stream (RFC 8843 section 9.2).
    pub(super) fn takes_from_browser(&self, payload_type: u8) -> bool {
        match self {
            Stream::Audio(audio) => audio.takes_from_browser(payload_type),
        }
    }

    /// Takes a packet of the browser. Its SSRC, if the packet before had another one.
    pub(super) fn handle_browser_rtp(&mut self, packet: &Packet<'_>, now: Instant) -> Option<u32> {
        match self {
            Stream::Audio(audio) => audio.handle_browser_rtp(packet, now),
        }
    }

    /// Takes RTCP of the browser, which may be of any stream.
    pub(super) fn handle_browser_rtcp(
        &mut self,
        compound: &[u8],
        config: &BridgeConfig,
        now: Instant,
    ) {
        match self {
            Stream::Audio(audio) => audio.handle_browser_rtcp(compound, config, now),
        }
    }

    /// Has the browser's SSRC told again with its next packet.
    pub(super) fn forget_browser_ssrc(&mut self) {
        match self {
            Stream::Audio(audio) => audio.forget_browser_ssrc(),
        }
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
        match self {
            Stream::Audio(audio) => {
                audio.handle_pbx_datagram((channel, source), datagram, plain, config, now);
            }
        }
    }

    /// When [`Stream::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Stream::Audio(audio) => audio.poll_timeout(),
        }
    }

    /// Time has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Stream::Audio(audio) => audio.handle_timeout(now),
        }
    }

    /// Queues a last report and BYE for both sides.
    pub(super) fn send_rtcp_bye(&mut self, now: Instant) {
        match self {
            Stream::Audio(audio) => audio.report(now, true),
        }
    }

    /// The next datagram, in `out`; `plain` is scratch.
    pub(super) fn poll_transmit(
        &mut self,
        browser_end: &mut BrowserEnd,
        config: &BridgeConfig,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Option<Outgoing> {
        match self {
            Stream::Audio(audio) => audio.poll_transmit(browser_end, config, plain, out),
        }
    }

    /// What happened to the stream.
    pub(super) fn poll_event(&mut self) -> Option<MediaEvent> {
        match self {
            Stream::Audio(audio) => audio.poll_event(),
        }
    }

    /// What happened in what the stream is made of; to be asked when nothing else has an event
    /// more.
    pub(super) fn poll_pipelines(&mut self) -> Option<MediaEvent> {
        match self {
            Stream::Audio(audio) => audio.poll_pipelines(),
        }
    }

    /// Counts a packet for the PBX that the system would not take.
    pub(super) fn count_unsent_to_pbx(&mut self, reason: &'static str) {
        match self {
            Stream::Audio(audio) => audio.count_unsent_to_pbx(reason),
        }
    }

    /// Adds what the stream has been like so far.
    pub(super) fn add_statistics(&self, statistics: &mut CallStatistics) {
        match self {
            Stream::Audio(audio) => audio.add_statistics(statistics),
        }
    }
}
