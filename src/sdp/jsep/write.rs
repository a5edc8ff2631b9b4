//! What we say to a browser.

use std::net::{IpAddr, Ipv4Addr};

use sdp_types::{Attribute, Connection, Media, Session};

use crate::codec::{AudioFormat, Codec, Direction, EventFormat, ReceiveFormat};
use crate::sdp::events;
use crate::sdp::format::{self, PacketTime};
use crate::sdp::media_description::{attribute, empty_media, flag};
use crate::sdp::policy::distinct;
use crate::sdp::sections::Sections;
use crate::sdp::{
    Answer, BrowserLocalOffer, BrowserOffer, BrowserPolicy, Error, IceDtlsParameters, Offer,
    OfferedCodec, SessionIds, Setup,
};

/// The transport profile of WebRTC (RFC 8829 section 5.1.2).
const PROTO: &str = "UDP/TLS/RTP/SAVPF";

/// Our `a=mid` in an offer of our own.
const MID: &str = "0";

/// Stream and track in `a=msid` (RFC 8830), so that the client's `ontrack` has a stream.
const MSID: &str = "trunkline audio";

/// Answers a browser's offer.
///
/// `preferred` goes first among the codecs that both can do, `audio_rate` is that of the other
/// leg ([`super::super::bridge::audio_rate`]), `direction` is what the call wants of this side; the answer has what is left
/// of it after the offer. The `AudioFormat` is what now holds on this side.
pub fn answer(
    offer: &BrowserOffer,
    local: &IceDtlsParameters,
    policy: &BrowserPolicy,
    preferred: Option<Codec>,
    audio_rate: u32,
    session: SessionIds,
    direction: Direction,
) -> Result<(Answer, AudioFormat), Error> {
    let usable = usable(offer, policy, preferred);
    let Some(first) = usable.first() else {
        return Err(Error::no_common_codec(&offer.codecs));
    };
    let events = match policy.telephone_event {
        true => events::events_to_browser(&offer.events, first.codec),
        false => Vec::new(),
    };
    let events = events.as_slice();
    let packet_time = PacketTime {
        asked: offer.ptime,
        most: offer.max_ptime,
        ours: policy.ptime,
    };
    let direction = offer.direction.intersect(direction);
    let format = format::answered(first, &usable, events, packet_time, direction);

    let setup = match (offer.transport.setup, local.setup) {
        // What the offer says of its own role leaves us the other one (RFC 4145 section 4.1).
        (Setup::Active, _) => Setup::Passive,
        (Setup::Passive, _) => Setup::Active,
        // The role is the transport's to choose; where it left it open we are the server, so
        // that nobody waits for us to open the association.
        (Setup::ActPass, Setup::ActPass) => Setup::Passive,
        (Setup::ActPass, chosen) => chosen,
    };
    let audio = AudioLine {
        local,
        setup,
        proto: offer.sections.audio_proto(),
        mid: offer.mid.as_deref(),
        codecs: &format.receive,
        events,
        audio_rate,
        ptime: policy.ptime,
        direction,
    };
    let bundled = offer.mid.as_deref().filter(|_| offer.bundled);
    let mut description = session_lines(session, local, bundled);
    offer.sections.write(&mut description, audio.write());
    Ok((Answer(description), format))
}

/// Makes an offer to a browser: `policy.codecs` in their order. Always `sendrecv`.
pub fn offer(
    local: &IceDtlsParameters,
    policy: &BrowserPolicy,
    audio_rate: u32,
    session: SessionIds,
) -> BrowserLocalOffer {
    let codecs: Vec<_> = distinct(&policy.codecs, &Codec::ALL)
        .into_iter()
        .map(|codec| ReceiveFormat {
            codec,
            payload_type: codec.static_payload_type().unwrap_or(111),
        })
        .collect();
    let mut events = Vec::new();
    for (clock_rate, payload_type) in [(48_000, 110), (8_000, 126)] {
        let wanted = codecs
            .iter()
            .any(|format| format.codec.clock_rate() == clock_rate);
        // Firefox knows telephone-event/8000 only, whatever the codec.
        if policy.telephone_event && (wanted || clock_rate == 8_000) {
            events.push(EventFormat {
                payload_type,
                clock_rate,
            });
        }
    }
    let media = OfferedMedia {
        sections: Sections::audio_only(PROTO, Some(MID)),
        codecs,
        events,
    };
    media.offer(local, policy, audio_rate, session)
}

/// Makes a later offer: the sections in their places, the audio with the payload types in use (RFC 9429
/// section 5.2.2).
pub(super) fn reoffer(
    sections: &Sections,
    local: &IceDtlsParameters,
    policy: &BrowserPolicy,
    audio_rate: u32,
    session: SessionIds,
) -> BrowserLocalOffer {
    let Some(format) = sections.audio().and_then(|audio| audio.format.as_ref()) else {
        return offer(local, policy, audio_rate, session);
    };
    let media = OfferedMedia {
        codecs: format.receive.clone(),
        events: format.receive_events.clone(),
        sections: sections.clone(),
    };
    media.offer(local, policy, audio_rate, session)
}

/// What an offer of ours has.
struct OfferedMedia {
    sections: Sections,
    codecs: Vec<ReceiveFormat>,
    events: Vec<EventFormat>,
}

impl OfferedMedia {
    fn offer(
        self,
        local: &IceDtlsParameters,
        policy: &BrowserPolicy,
        audio_rate: u32,
        session: SessionIds,
    ) -> BrowserLocalOffer {
        let direction = Direction::SendRecv;
        let mid = self.sections.audio().and_then(|it| it.mid.as_deref());
        let audio = AudioLine {
            local,
            setup: local.setup,
            proto: self.sections.audio_proto(),
            mid,
            codecs: &self.codecs,
            events: &self.events,
            audio_rate,
            ptime: policy.ptime,
            direction,
        };
        let mut description = session_lines(session, local, mid);
        self.sections.write(&mut description, audio.write());
        BrowserLocalOffer {
            offer: Offer(description),
            codecs: self.codecs,
            events: self.events,
            direction,
            ptime: policy.ptime,
            sections: self.sections,
        }
    }
}

/// What both can do: the preferred codec first, then in the policy's order.
fn usable(
    offer: &BrowserOffer,
    policy: &BrowserPolicy,
    preferred: Option<Codec>,
) -> Vec<OfferedCodec> {
    let policy = distinct(&policy.codecs, &Codec::ALL);
    let first = preferred.filter(|codec| policy.contains(codec));
    let others = policy.iter().copied().filter(|codec| Some(*codec) != first);
    first
        .into_iter()
        .chain(others)
        .flat_map(|codec| {
            offer
                .codecs
                .iter()
                .filter(move |offered| offered.codec == codec)
        })
        .copied()
        .collect()
}

/// The session level. `o=` has 0.0.0.0 as in RFC 8829 section 5.2.1: addresses are ICE's.
fn session_lines(session: SessionIds, local: &IceDtlsParameters, bundled: Option<&str>) -> Session {
    let mut description = session.session("0.0.0.0");
    if let Some(mid) = bundled {
        let group = format!("BUNDLE {mid}");
        description.attributes.push(attribute("group", group));
    }
    if local.lite {
        description.attributes.push(flag("ice-lite"));
    }
    if local.trickle {
        description
            .attributes
            .push(attribute("ice-options", "trickle"));
    }
    description
        .attributes
        .push(attribute("msid-semantic", " WMS *"));
    description
}

/// Everything that goes into our audio line.
struct AudioLine<'a> {
    local: &'a IceDtlsParameters,
    setup: Setup,
    proto: &'a str,
    mid: Option<&'a str>,
    codecs: &'a [ReceiveFormat],
    events: &'a [EventFormat],
    audio_rate: u32,
    ptime: u8,
    direction: Direction,
}

impl AudioLine<'_> {
    fn write(&self) -> Media {
        let (list, formats) = format::write(
            self.codecs,
            self.events,
            self.audio_rate,
            self.ptime,
            self.direction,
        );
        let (address, port) = default_candidate(&self.local.candidates);
        let mut media = empty_media("audio", port, self.proto, list);
        media.connections.push(Connection::from_ip_addr(address));
        let attributes = &mut media.attributes;
        attributes.extend(self.mid.map(|mid| attribute("mid", mid)));
        attributes.push(flag("rtcp-mux"));
        attributes.push(attribute("ice-ufrag", &self.local.ufrag));
        attributes.push(attribute("ice-pwd", &self.local.pwd));
        attributes.extend(
            self.local
                .fingerprints
                .iter()
                .map(|it| attribute("fingerprint", it)),
        );
        attributes.push(attribute("setup", self.setup));
        attributes.extend(self.local.candidates.iter().filter_map(|it| candidate(it)));
        if self.local.end_of_candidates {
            attributes.push(flag("end-of-candidates"));
        }
        attributes.extend(formats);
        if self.direction.sends() {
            attributes.push(attribute("msid", MSID));
        }
        media
    }
}

/// `candidate:...`, with or without `a=`, as an attribute.
fn candidate(text: &str) -> Option<Attribute> {
    let text = text.strip_prefix("a=").unwrap_or(text);
    text.strip_prefix("candidate:")
        .map(|value| attribute("candidate", value))
}

/// The address and port in `m=` and `c=`: the first UDP candidate's, IPv4 before IPv6 (RFC
/// 8839 section 4.2.1), else port 9 of 0.0.0.0 while there is none (RFC 8840 section 4.1).
fn default_candidate(candidates: &[String]) -> (IpAddr, u16) {
    let addresses: Vec<(IpAddr, u16)> = candidates
        .iter()
        .filter_map(|candidate| {
            let fields: Vec<&str> = candidate.split_ascii_whitespace().collect();
            let [_, _, protocol, _, address, port, ..] = fields.as_slice() else {
                return None;
            };
            let udp = protocol.eq_ignore_ascii_case("udp");
            udp.then_some((address.parse().ok()?, port.parse().ok()?))
        })
        .collect();
    addresses
        .iter()
        .find(|(address, _)| address.is_ipv4())
        .or(addresses.first())
        .copied()
        .unwrap_or((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9))
}
