//! What a PBX said.

use std::net::{IpAddr, SocketAddr};

use sdp_types::Session;

use crate::codec::{AudioFormat, Direction, EventFormat};
use crate::sdp::format::{self, PacketTime};
use crate::sdp::section::{MediaLines, Section};
use crate::sdp::{Answer, Error, LocalOffer, Offer, OfferedCodec};

/// Where the PBX wants its media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpAddress {
    /// RTP. Its IP address may be unspecified (`c=0.0.0.0`, the old way to hold): then nothing
    /// may be sent.
    pub rtp: SocketAddr,
    /// RTCP: from `a=rtcp` (RFC 3605), else the next port; the same as `rtp` where the PBX
    /// offered to share the port (`a=rtcp-mux`, RFC 5761), which we then accept. `None` where
    /// there is no next port.
    pub rtcp: Option<SocketAddr>,
}

/// The PBX's end of the audio stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where its media goes.
    pub address: RtpAddress,
    /// The PBX put us on hold: it does not want to hear us (`sendonly`, `inactive` or an
    /// unspecified address).
    pub held: bool,
}

/// A PBX's offer or re-offer, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PbxOffer {
    /// Its end of the stream.
    pub remote: Remote,
    /// The codecs that we know, in the PBX's order. Never empty.
    pub codecs: Vec<OfferedCodec>,
    /// Its telephone-event payload types.
    pub events: Vec<EventFormat>,
    /// Which way audio may flow, seen from the gateway.
    pub direction: Direction,
    /// `a=ptime`, milliseconds.
    pub ptime: Option<u8>,
    /// `a=maxptime`, milliseconds.
    pub max_ptime: Option<u8>,
    /// Whether the PBX offered to share the RTP port.
    pub(in crate::sdp) rtcp_mux: bool,
    /// Every media line in order, so that the answer has as many (RFC 3264 section 6).
    pub(in crate::sdp) lines: MediaLines,
}

/// Reads a PBX's offer or re-offer: its first audio line that can be used; other media lines
/// are remembered to be rejected in place.
pub fn read_offer(offer: &Offer) -> Result<PbxOffer, Error> {
    let session = &offer.0;
    let section = offered_audio(session)?;
    let rtcp_mux = section.has("rtcp-mux");
    let address = address(&section, rtcp_mux)?;
    let formats = format::read(&section);
    if formats.codecs.is_empty() {
        return Err(Error::NoCommonCodec(formats.listed));
    }
    let direction = direction(&section, address);
    Ok(PbxOffer {
        remote: remote(address, direction),
        codecs: formats.codecs,
        events: formats.events,
        direction,
        ptime: section.ptime(),
        max_ptime: section.max_ptime(),
        rtcp_mux,
        lines: MediaLines::of(session, section.index),
    })
}

/// Reads a PBX's answer to our offer: that of a 183 or of a 200, as often as they come.
pub fn read_answer(offer: &LocalOffer, answer: &Answer) -> Result<(Remote, AudioFormat), Error> {
    // Lines answer by place (RFC 3264 section 6); an answer that lost a rejected line before
    // ours still has its audio.
    let section = Section::audio(&answer.0)
        .find(|section| section.index == offer.lines.audio)
        .or_else(|| Section::audio(&answer.0).next())
        .ok_or(Error::NoAudio)?;
    if section.media.port == 0 {
        return Err(Error::AudioRejected);
    }
    if !is_plain(&section) {
        return Err(Error::UnsupportedTransport(section.proto_excerpt()));
    }
    // We did not offer rtcp-mux, so an answer cannot accept it.
    let address = address(&section, false)?;
    let formats = format::read(&section);
    let packet_time = PacketTime {
        asked: section.ptime(),
        most: section.max_ptime(),
        ours: offer.ptime,
    };
    let theirs = direction(&section, address);
    format::accepted(
        &offer.codecs,
        &offer.events,
        &formats,
        packet_time,
        offer.direction.intersect(theirs),
    )
    .map(|format| (remote(address, theirs), format))
    .ok_or(Error::NoCommonCodec(formats.listed))
}

/// The first audio line that is not rejected and is plain RTP: an offer of SAVP and AVP side
/// by side ("best effort" encryption) has one.
fn offered_audio(session: &Session) -> Result<Section<'_>, Error> {
    let mut refused = Error::NoAudio;
    for section in Section::audio(session).filter(|section| section.media.port != 0) {
        if is_plain(&section) {
            return Ok(section);
        }
        refused = Error::UnsupportedTransport(section.proto_excerpt());
    }
    Err(refused)
}

/// RTP without encryption: RFC 3551, or RFC 4585 whose feedback we need not send.
fn is_plain(section: &Section<'_>) -> bool {
    ["RTP/AVP", "RTP/AVPF"]
        .iter()
        .any(|proto| section.media.proto.eq_ignore_ascii_case(proto))
}

/// Which way audio may flow, seen from us. Nothing goes to an unspecified address (RFC 3264
/// section 8.4, the hold of RFC 2543).
fn direction(section: &Section<'_>, address: RtpAddress) -> Direction {
    let direction = section.direction().reversed();
    match address.rtp.ip().is_unspecified() {
        true => direction.intersect(Direction::RecvOnly),
        false => direction,
    }
}

fn remote(address: RtpAddress, direction: Direction) -> Remote {
    Remote {
        address,
        held: !direction.sends(),
    }
}

/// The address of the line's `c=`, else of the session's.
fn address(section: &Section<'_>, rtcp_mux: bool) -> Result<RtpAddress, Error> {
    let connection = section
        .media
        .connections
        .first()
        .or(section.session.connection.as_ref())
        .ok_or(Error::NoAddress)?;
    let text = connection.connection_address.as_str();
    let ip = literal(text)?;
    let rtp = SocketAddr::new(ip, section.media.port);
    let rtcp = match section.value("rtcp") {
        _ if rtcp_mux => Some(rtp),
        Some(text) => Some(rtcp(text, ip)?),
        None => section
            .media
            .port
            .checked_add(1)
            .map(|port| SocketAddr::new(ip, port)),
    };
    Ok(RtpAddress { rtp, rtcp })
}

/// `a=rtcp:53020` or `a=rtcp:53020 IN IP4 192.0.2.1` (RFC 3605 section 2.1).
fn rtcp(text: &str, ip: IpAddr) -> Result<SocketAddr, Error> {
    let mut fields = text.split_ascii_whitespace();
    let port = fields
        .next()
        .and_then(|port| port.parse().ok())
        .ok_or_else(|| refused(text))?;
    let ip = match fields.nth(2) {
        Some(address) => literal(address)?,
        None => ip,
    };
    Ok(SocketAddr::new(ip, port))
}

/// A unicast or unspecified IP address. Names would need a resolver and are not used by any
/// PBX that was seen.
fn literal(text: &str) -> Result<IpAddr, Error> {
    text.parse()
        .ok()
        .filter(|ip: &IpAddr| !ip.is_multicast())
        .ok_or_else(|| refused(text))
}

fn refused(text: &str) -> Error {
    Error::UnsupportedAddress(text.chars().take(80).collect())
}
