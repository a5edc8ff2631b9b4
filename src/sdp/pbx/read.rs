//! What a PBX said.

use std::net::{IpAddr, SocketAddr};

use sdp_types::Session;

use crate::codec::{AudioFormat, Direction, EventFormat};
use crate::protection::Protection;
use crate::sdp::crypto::{self, CryptoLine};
use crate::sdp::format::{self, PacketTime};
use crate::sdp::section::{MediaLines, Section};
use crate::sdp::{Answer, Error, LocalOffer, Offer, OfferedCodec, SrtpMode, TrunkPolicy};

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
    /// What protects its media once offer and answer are there; none: nothing, or an offer that
    /// is not answered yet.
    pub protection: Option<Protection>,
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
    /// The line of keys that we take; none: plain RTP.
    pub(in crate::sdp) crypto: Option<CryptoLine>,
    /// Whether the PBX offered to share the RTP port.
    pub(in crate::sdp) rtcp_mux: bool,
    /// Every media line in order, so that the answer has as many (RFC 3264 section 6).
    pub(in crate::sdp) lines: MediaLines,
}

/// Reads a PBX's offer or re-offer: its first audio line that can be used, one with keys before
/// one without where `policy` has SRTP; other media lines are remembered to be rejected in place.
pub fn read_offer(offer: &Offer, policy: &TrunkPolicy) -> Result<PbxOffer, Error> {
    let session = &offer.0;
    let (section, crypto) = offered_audio(session, policy)?;
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
        crypto,
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
    let protection = accepted_keys(offer, &section)?;
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
    .map(|format| {
        let remote = Remote {
            protection,
            ..remote(address, theirs)
        };
        (remote, format)
    })
    .ok_or(Error::NoCommonCodec(formats.listed))
}

/// The audio line of an offer that we take, and the line of keys in it that we take: of an offer
/// of SAVP and AVP side by side ("best effort" encryption) the one that policy wants.
fn offered_audio<'a>(
    session: &'a Session,
    policy: &TrunkPolicy,
) -> Result<(Section<'a>, Option<CryptoLine>), Error> {
    let mut plain = None;
    let mut refused = None;
    for section in Section::audio(session).filter(|section| section.media.port != 0) {
        match offered_keys(&section, policy) {
            Ok(Some(line)) => return Ok((section, Some(line))),
            Ok(None) => plain = plain.or(Some(section)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    plain
        .map(|section| (section, None))
        .ok_or(refused.unwrap_or(Error::NoAudio))
}

/// The line of keys that we take of an offered audio line; none where it is taken without.
fn offered_keys(section: &Section<'_>, policy: &TrunkPolicy) -> Result<Option<CryptoLine>, Error> {
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
fn accepted_keys(offer: &LocalOffer, section: &Section<'_>) -> Result<Option<Protection>, Error> {
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
        (ours.key.suite() == theirs.key.suite()).then_some(Protection {
            send: ours.key,
            receive: theirs.key,
        })
    });
    match agreed {
        Some(protection) => Ok(Some(protection)),
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
    fn of(section: &Section<'_>) -> Self {
        match section.media.proto.to_ascii_uppercase().as_str() {
            "RTP/AVP" | "RTP/AVPF" => Profile::Plain,
            "RTP/SAVP" | "RTP/SAVPF" => Profile::Secure,
            _ => Profile::Other,
        }
    }
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
        protection: None,
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
