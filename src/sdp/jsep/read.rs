//! What a browser said.

use crate::codec::{AudioFormat, Direction, EventFormat};
use crate::sdp::format::{self, PacketTime};
use crate::sdp::media_description::{MediaDescription, value, values};
use crate::sdp::sections::Sections;
use crate::sdp::{
    Answer, BrowserLocalOffer, Error, Fingerprint, IceDtlsParameters, Offer, OfferedCodec, Setup,
};

/// Candidates kept of one description. A browser on a machine with four networks has a dozen.
const MAX_CANDIDATES: usize = 64;

/// Fingerprints kept of one description. Browsers write one.
const MAX_FINGERPRINTS: usize = 8;

/// A browser's offer, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserOffer {
    /// Its ICE and DTLS parameters.
    pub transport: IceDtlsParameters,
    /// The codecs that we know, in the browser's order. Never empty.
    pub codecs: Vec<OfferedCodec>,
    /// Its telephone-event payload types; Chromium has one per clock rate.
    pub events: Vec<EventFormat>,
    /// The audio line's `a=mid`.
    pub mid: Option<String>,
    /// Which way audio may flow, seen from the gateway: `sendonly` in the offer is `RecvOnly`
    /// here.
    pub direction: Direction,
    /// `a=ptime`, milliseconds.
    pub ptime: Option<u8>,
    /// `a=maxptime`, milliseconds.
    pub max_ptime: Option<u8>,
    /// Whether the audio is in a BUNDLE group (RFC 9143).
    pub(in crate::sdp) bundled: bool,
    /// Every section in order, so that the answer has as many (RFC 3264 section 6).
    pub(in crate::sdp) sections: Sections,
}

/// Reads a browser's offer: its first audio section that can be used; other media sections are
/// remembered to be rejected in place. Where none can be used, the error is that of the first.
pub fn read_offer(offer: &Offer) -> Result<BrowserOffer, Error> {
    let session = &offer.0;
    let mut refused = None;
    for section in MediaDescription::audio(session).filter(|it| is_used(it) && is_rtp(it)) {
        match read_section(&section) {
            Ok(read) => {
                return Ok(BrowserOffer {
                    sections: Sections::of(session, section.index, read.direction),
                    ..read
                });
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or(Error::NoAudio))
}

/// Reads one audio section of an offer, without its neighbours.
fn read_section(section: &MediaDescription<'_>) -> Result<BrowserOffer, Error> {
    let transport = transport(section, Setup::ActPass)?;
    if !section.has("rtcp-mux") {
        return Err(Error::NoRtcpMux);
    }
    let formats = format::read(section);
    if formats.codecs.is_empty() {
        return Err(Error::NoCommonCodec(formats.listed));
    }
    Ok(BrowserOffer {
        transport,
        codecs: formats.codecs,
        events: formats.events,
        mid: value(&section.media.attributes, "mid").map(Into::into),
        direction: section.direction().reversed(),
        ptime: section.ptime(),
        max_ptime: section.max_ptime(),
        bundled: bundle(section).is_some(),
        sections: Sections::audio_only("", None),
    })
}

/// Reads a browser's answer to our offer.
pub fn accept_answer(
    offer: &BrowserLocalOffer,
    answer: &Answer,
) -> Result<(IceDtlsParameters, AudioFormat), Error> {
    let section = MediaDescription::audio(&answer.0)
        .next()
        .ok_or(Error::NoAudio)?;
    if section.media.port == 0 {
        return Err(Error::AudioRejected);
    }
    if !is_rtp(&section) {
        return Err(Error::UnsupportedTransport(section.proto_excerpt()));
    }
    let transport = transport(&section, Setup::Active)?;
    if transport.setup == Setup::ActPass {
        return Err(Error::UnsupportedSetup(transport.setup.to_string()));
    }
    let formats = format::read(&section);
    let packet_time = PacketTime {
        asked: section.ptime(),
        most: section.max_ptime(),
        ours: offer.ptime,
    };
    let direction = offer.direction.intersect(section.direction().reversed());
    format::accepted(
        &offer.codecs,
        &offer.events,
        &formats,
        packet_time,
        direction,
    )
    .map(|format| (transport, format))
    .ok_or(Error::NoCommonCodec(formats.listed))
}

/// Port 0 means rejected, except for a line that lives on another's transport (RFC 9143
/// section 6).
fn is_used(section: &MediaDescription<'_>) -> bool {
    section.media.port != 0 || section.media.has_attribute("bundle-only")
}

/// Whether the line is RTP. RFC 8829 section 5.1.2 wants every RTP profile understood as
/// DTLS-SRTP where there is a fingerprint.
fn is_rtp(section: &MediaDescription<'_>) -> bool {
    section.media.proto.to_ascii_uppercase().contains("RTP/")
}

/// The mids of the BUNDLE group that the line is in.
fn bundle<'a>(section: &MediaDescription<'a>) -> Option<Vec<&'a str>> {
    let mid = value(&section.media.attributes, "mid")?;
    values(&section.session.attributes, "group")
        .filter_map(|group| {
            let mut words = group.split_ascii_whitespace();
            words
                .next()?
                .eq_ignore_ascii_case("BUNDLE")
                .then(|| words.collect::<Vec<_>>())
        })
        .find(|mids| mids.contains(&mid))
}

/// Reads ICE and DTLS parameters: from the line, else from the line that carries the bundle's
/// transport, else from the session. `unsaid` is the role where `a=setup` is missing.
fn transport(section: &MediaDescription<'_>, unsaid: Setup) -> Result<IceDtlsParameters, Error> {
    let session = section.session;
    let tagged = bundle(section)
        .and_then(|mids| mids.first().copied())
        .and_then(|tag| {
            session
                .medias
                .iter()
                .find(|media| value(&media.attributes, "mid") == Some(tag))
        })
        .unwrap_or(section.media);
    let levels = [
        &section.media.attributes,
        &tagged.attributes,
        &session.attributes,
    ];
    let find = |name: &str| levels.iter().find_map(|attributes| value(attributes, name));

    let ufrag = credential(find("ice-ufrag"), 4).filter(|ufrag| !ufrag.contains(':'));
    let pwd = credential(find("ice-pwd"), 22);
    let (Some(ufrag), Some(pwd)) = (ufrag, pwd) else {
        return Err(Error::NoIceCredentials);
    };

    let mut fingerprints: Vec<Fingerprint> = Vec::new();
    let mut refused = None;
    for attributes in levels {
        for text in values(attributes, "fingerprint") {
            match text.parse() {
                Ok(fingerprint) if fingerprints.len() < MAX_FINGERPRINTS => {
                    fingerprints.push(fingerprint);
                }
                Ok(_) => {}
                Err(error) => refused = Some(error),
            }
        }
        // A nearer level takes the place of a farther one (RFC 8122 section 5).
        if !fingerprints.is_empty() {
            break;
        }
    }
    if fingerprints.is_empty() {
        return Err(refused.unwrap_or(Error::NoFingerprint));
    }

    let trickle = levels.iter().any(|attributes| {
        values(attributes, "ice-options").any(|options| {
            options
                .split_ascii_whitespace()
                .any(|option| option == "trickle")
        })
    });
    let mut candidates: Vec<String> = Vec::new();
    for attributes in &levels[..2] {
        for candidate in values(attributes, "candidate") {
            // Component 2 is RTCP on a port of its own: Firefox gathers it until it has our
            // answer, and it is never used (RFC 8839 section 5.1).
            let is_rtp = candidate.split_ascii_whitespace().nth(1) == Some("1");
            let candidate = format!("candidate:{candidate}");
            if is_rtp && candidates.len() < MAX_CANDIDATES && !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
    }
    Ok(IceDtlsParameters {
        ufrag: ufrag.to_owned(),
        pwd: pwd.to_owned(),
        lite: session.has_attribute("ice-lite"),
        trickle,
        fingerprints,
        setup: find("setup").map_or(Ok(unsaid), str::parse)?,
        candidates,
        end_of_candidates: section.has("end-of-candidates")
            || tagged.has_attribute("end-of-candidates"),
    })
}

/// A ufrag or password of a legal length (RFC 8839 section 5.4).
fn credential(text: Option<&str>, shortest: usize) -> Option<&str> {
    let text = text?.trim();
    let legal =
        (shortest..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    legal.then_some(text)
}
