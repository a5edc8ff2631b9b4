//! What a PBX said.

use std::net::{IpAddr, SocketAddr};

use sdp_types::Connection;

use crate::codec::{AudioFormat, Codec, Direction, EventFormat};
use crate::sdp::connection;
use crate::sdp::crypto::{self, CryptoLine};
use crate::sdp::events;
use crate::sdp::format::{self, PacketTime};
use crate::sdp::media_description::MediaDescription;
use crate::sdp::sections::Sections;
use crate::sdp::{
    Answer, Error, LocalOffer, Offer, OfferedCodec, RemoteMedia, RtpAddress, RtpFamilies, SrtpMode,
    TrunkPolicy,
};
use crate::srtp_keys::SrtpKeys;

/// A PBX's offer or re-offer, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PbxOffer {
    /// Its end of the stream.
    pub remote: RemoteMedia,
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
    /// The line of keys that we take; none: plain RTP.
    pub(in crate::sdp) crypto: Option<CryptoLine>,
    /// Whether the PBX offered to share the RTP port.
    pub(in crate::sdp) rtcp_mux: bool,
    /// Every section in order, so that the answer has as many (RFC 3264 section 6).
    pub(in crate::sdp) sections: Sections,
}

impl PbxOffer {
    /// The milliseconds of audio in a packet that it wants to receive in this codec; `ours` where
    /// it does not say.
    pub(in crate::sdp) fn packet_time(&self, codec: Codec, ours: u8) -> u8 {
        let packet_time = PacketTime {
            asked: self.ptime,
            most: self.max_ptime,
            ours,
        };
        packet_time.for_codec(codec)
    }
}

/// Reads a PBX's offer or re-offer: its first audio section that we can use (RFC 3264 section 6
/// takes or rejects each on its own), of those one with keys before one without where `policy` has
/// SRTP. Every other media section is remembered to be rejected in place, and nothing in it can
/// cost the call. Where no section can be used, the error is that of the first.
pub fn read_offer(offer: &Offer, policy: &TrunkPolicy) -> Result<PbxOffer, Error> {
    let session = &offer.0;
    let mut plain = None;
    // Read, but without a codec of the policy: whoever answers says so.
    let mut without_codec = None;
    let mut refused = None;
    for section in MediaDescription::audio(session).filter(|section| section.media.port != 0) {
        match read_section(&section, policy) {
            Ok(read) if !has_codec(&read, policy) => {
                without_codec = without_codec.or(Some((section.index, read)));
            }
            Ok(read) if read.crypto.is_some() => {
                plain = Some((section.index, read));
                break;
            }
            Ok(read) => plain = plain.or(Some((section.index, read))),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let (index, read) = plain
        .or(without_codec)
        .ok_or(refused.unwrap_or(Error::NoAudio))?;
    Ok(PbxOffer {
        sections: Sections::of(session, index, read.direction),
        ..read
    })
}

/// Whether the policy has a codec of the offer.
fn has_codec(read: &PbxOffer, policy: &TrunkPolicy) -> bool {
    let known = |codec| policy.codecs.is_empty() || policy.codecs.contains(&codec);
    read.codecs.iter().any(|offered| known(offered.codec))
}

/// Reads one audio section of an offer, without its neighbours.
fn read_section(section: &MediaDescription<'_>, policy: &TrunkPolicy) -> Result<PbxOffer, Error> {
    let crypto = offered_keys(section, policy)?;
    let rtcp_mux = section.has("rtcp-mux");
    let address = address(section, rtcp_mux, policy.families)?;
    let formats = format::read(section);
    if formats.codecs.is_empty() {
        return Err(Error::NoCommonCodec(formats.listed));
    }
    let direction = direction(section, address);
    Ok(PbxOffer {
        remote: remote(address, direction),
        codecs: formats.codecs,
        events: formats.events,
        direction,
        ptime: section.ptime(),
        max_ptime: section.max_ptime(),
        crypto,
        rtcp_mux,
        sections: Sections::audio_only("", None),
    })
}

/// Reads a PBX's answer to our offer: that of a 183 or of a 200, as often as they come.
///
/// Sections answer by place (RFC 3264 section 6). An answer that lost a rejected section before
/// ours, or has one that we never offered, still has its audio: the one in place goes before the
/// others, and the first that can be used is taken.
pub fn read_answer(
    offer: &LocalOffer,
    answer: &Answer,
) -> Result<(RemoteMedia, AudioFormat), Error> {
    let in_place = |section: &MediaDescription<'_>| section.index == offer.sections.audio_index();
    let sections = || MediaDescription::audio(&answer.0);
    let ours = sections().filter(in_place);
    let others = sections().filter(|section| !in_place(section));
    let mut refused = None;
    for section in ours.chain(others).filter(|it| it.media.port != 0) {
        match read_answered(offer, &section) {
            Ok(read) => return Ok(read),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or(match sections().next() {
        Some(_) => Error::AudioRejected,
        None => Error::NoAudio,
    }))
}

/// Reads one audio section of an answer.
fn read_answered(
    offer: &LocalOffer,
    section: &MediaDescription<'_>,
) -> Result<(RemoteMedia, AudioFormat), Error> {
    let srtp_keys = accepted_keys(offer, section)?;
    // We did not offer rtcp-mux, so an answer cannot accept it.
    let families = RtpFamilies::of(offer.local.address.ip());
    let address = address(section, false, families)?;
    let formats = format::read(section);
    let packet_time = PacketTime {
        asked: section.ptime(),
        most: section.max_ptime(),
        ours: offer.ptime,
    };
    let theirs = direction(section, address);
    format::accepted(
        &offer.codecs,
        &offer.events,
        &formats,
        packet_time,
        offer.direction.intersect(theirs),
    )
    .map(|mut format| {
        // Where both clocks are answered, 8000 is used.
        let offered = |event: &EventFormat| event.clock_rate == 8_000;
        if offer.events.iter().any(offered)
            && let Some(event) = events::mapped_once(&formats.events, format.send.codec)
                .into_iter()
                .find(offered)
        {
            format.send_events = Some(event);
        }
        let remote = RemoteMedia {
            srtp_keys,
            ..remote(address, theirs)
        };
        (remote, format)
    })
    .ok_or(Error::NoCommonCodec(formats.listed))
}

/// The line of keys that we take of an offered audio line; none where it is taken without.
fn offered_keys(
    section: &MediaDescription<'_>,
    policy: &TrunkPolicy,
) -> Result<Option<CryptoLine>, Error> {
    let profile = Profile::of(section);
    match (profile, policy.srtp) {
        (Profile::Other, _) | (Profile::Secure, SrtpMode::Off) => {
            return Err(Error::UnsupportedTransport(section.proto_excerpt()));
        }
        (Profile::Plain, SrtpMode::Off) => return Ok(None),
        (Profile::Plain | Profile::Secure, SrtpMode::Optional | SrtpMode::Required) => {}
    }
    let lines = crypto::read(&section.media.attributes);
    let ours = |line: &&CryptoLine| policy.crypto_suites.contains(&line.key.suite());
    match lines.usable.iter().find(ours) {
        Some(line) => Ok(Some(*line)),
        None if profile == Profile::Secure => Err(Error::NoUsableKey(lines.reason())),
        None if policy.srtp == SrtpMode::Required => Err(Error::Unprotected),
        // Keys beside plain RTP may be left (RFC 8643 section 3.1).
        None => Ok(None),
    }
}

/// What an answer to our offer says of keys: the one of our lines that it names, with its key.
fn accepted_keys(
    offer: &LocalOffer,
    section: &MediaDescription<'_>,
) -> Result<Option<SrtpKeys>, Error> {
    let profile = Profile::of(section);
    if profile == Profile::Other || profile == Profile::Secure && offer.srtp == SrtpMode::Off {
        return Err(Error::UnsupportedTransport(section.proto_excerpt()));
    }
    if offer.crypto.is_empty() {
        return match (profile, offer.srtp) {
            (Profile::Secure, _) => Err(Error::UnsupportedTransport(section.proto_excerpt())),
            (_, SrtpMode::Required) => Err(Error::Unprotected),
            (_, SrtpMode::Off | SrtpMode::Optional) => Ok(None),
        };
    }
    let lines = crypto::read(&section.media.attributes);
    let agreed = lines.usable.iter().find_map(|theirs| {
        let ours = offer.crypto.iter().find(|ours| ours.tag == theirs.tag)?;
        (ours.key.suite() == theirs.key.suite()).then_some(SrtpKeys {
            send: ours.key,
            receive: theirs.key,
        })
    });
    match agreed {
        Some(srtp_keys) => Ok(Some(srtp_keys)),
        // It takes encryption, but we cannot tell which: plain audio would be noise to it.
        None if lines.are_present() || profile == Profile::Secure => {
            Err(Error::NoUsableKey(lines.reason()))
        }
        None if offer.srtp == SrtpMode::Required => Err(Error::Unprotected),
        None => Ok(None),
    }
}

/// The transport profile of an audio line. Feedback (RFC 4585) makes no difference: we need not
/// send any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// RTP/AVP (RFC 3551), RTP/AVPF (RFC 4585).
    Plain,
    /// RTP/SAVP (RFC 3711), RTP/SAVPF (RFC 5124).
    Secure,
    /// Another transport, or keys by DTLS.
    Other,
}

impl Profile {
    fn of(section: &MediaDescription<'_>) -> Self {
        match section.media.proto.to_ascii_uppercase().as_str() {
            "RTP/AVP" | "RTP/AVPF" => Profile::Plain,
            "RTP/SAVP" | "RTP/SAVPF" => Profile::Secure,
            _ => Profile::Other,
        }
    }
}

/// Which way audio may flow, seen from us. Nothing goes to an unspecified address (RFC 3264
/// section 8.4, the hold of RFC 2543).
fn direction(section: &MediaDescription<'_>, address: RtpAddress) -> Direction {
    let direction = section.direction().reversed();
    match address.rtp.ip().is_unspecified() {
        true => direction.intersect(Direction::RecvOnly),
        false => direction,
    }
}

fn remote(address: RtpAddress, direction: Direction) -> RemoteMedia {
    RemoteMedia {
        address,
        direction,
        srtp_keys: None,
    }
}

/// The address of the line's `c=`, else of the session's.
fn address(
    section: &MediaDescription<'_>,
    rtcp_mux: bool,
    families: RtpFamilies,
) -> Result<RtpAddress, Error> {
    let connection = section
        .media
        .connections
        .first()
        .or(section.session.connection.as_ref())
        .ok_or(Error::NoAddress)?;
    let ip = connection::address(connection)?;
    if !families.reach(ip) {
        return Err(Error::AddressFamily(ip));
    }
    let port = section.media.port;
    let next = || Some(SocketAddr::new(ip, port.checked_add(1)?));
    let rtcp = match section.value("rtcp") {
        _ if rtcp_mux => Some(SocketAddr::new(ip, port)),
        Some(text) => rtcp(text, ip).or_else(next),
        None => next(),
    };
    Ok(RtpAddress {
        rtp: SocketAddr::new(ip, port),
        rtcp,
    })
}

/// `a=rtcp:53020` or `a=rtcp:53020 IN IP4 192.0.2.1` (RFC 3605 section 2.1); none where it cannot
/// be used: RTCP goes to its default port then.
fn rtcp(text: &str, ip: IpAddr) -> Option<SocketAddr> {
    let mut fields = text.split_ascii_whitespace();
    let port = fields.next()?.parse().ok().filter(|port| *port != 0)?;
    let ip = match (fields.next(), fields.next(), fields.next()) {
        (None, ..) => ip,
        (Some(network), Some(family), Some(address)) => {
            let connection = Connection {
                nettype: network.parse().ok()?,
                addrtype: family.parse().ok()?,
                connection_address: address.to_owned(),
            };
            let rtcp = connection::address(&connection).ok()?;
            (rtcp.is_ipv4() == ip.is_ipv4()).then_some(rtcp)?
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
