//! The payload formats of one audio line: read, chosen among, written.

use sdp_types::{Attribute, Media};

use crate::codec::{
    AudioFormat, Codec, Direction, EventFormat, FORMATS, FormatParameters, ReceiveFormat,
    SendFormat,
};

use super::events;
use super::media_description::{MediaDescription, attribute, flag, values};
use super::offered_codec::OfferedCodec;
use super::opus;

/// What one audio line lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Formats {
    /// The codecs that we know, in order.
    pub(super) codecs: Vec<OfferedCodec>,
    /// The telephone events, in order. A payload type that is mapped to several clocks stands there
    /// with each: [`events::mapped_once`].
    pub(super) events: Vec<EventFormat>,
    /// Every format as a reader of an error should see it: `opus/48000/2, 18`.
    pub(super) listed: String,
}

/// An encoding as `a=rtpmap` names it.
struct Encoding<'a> {
    name: &'a str,
    clock_rate: u32,
    channels: u32,
}

impl<'a> Encoding<'a> {
    /// Reads `opus/48000/2`.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.trim().split('/');
        let name = parts.next()?.trim();
        let clock_rate = parts.next()?.trim().parse().ok()?;
        let channels = match parts.next() {
            Some(channels) => channels.trim().parse().ok()?,
            None => 1,
        };
        Some(Encoding {
            name,
            clock_rate,
            channels,
        })
    }

    /// The codec that it is. Name and clock rate must both fit; the `/2` of Opus (RFC 7587
    /// section 7) is left out by some.
    fn codec(&self) -> Option<Codec> {
        let codec: Codec = self.name.parse().ok()?;
        let format = codec.format();
        let fits = self.clock_rate == format.clock_rate && self.channels <= format.channels;
        fits.then_some(codec)
    }

    fn is_event(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
            && (8_000..=192_000).contains(&self.clock_rate)
    }
}

/// The rest of each attribute whose value starts with this payload type.
fn all_of_payload_type<'a>(
    media: &'a Media,
    name: &str,
    payload_type: u8,
) -> impl Iterator<Item = &'a str> {
    values(&media.attributes, name).filter_map(move |value| {
        let (number, rest) = value.trim().split_once(' ')?;
        (number.parse() == Ok(payload_type)).then_some(rest)
    })
}

/// The rest of the first of them.
fn of_payload_type<'a>(media: &'a Media, name: &str, payload_type: u8) -> Option<&'a str> {
    all_of_payload_type(media, name, payload_type).next()
}

/// Reads the formats of an audio line. A payload type listed twice counts once; an unknown or
/// unreadable one is passed over.
pub(super) fn read(section: &MediaDescription<'_>) -> Formats {
    /// An error message need not repeat a long list.
    const LISTED: usize = 200;
    /// A payload type that is mapped more often is not read further.
    const MAPPED: usize = 4;

    let media = section.media;
    let mut formats = Formats::default();
    let mut seen = [false; 128];
    for text in media.fmt.split_ascii_whitespace() {
        let mapped = text.parse::<u8>().ok().and_then(|payload_type| {
            let first = !std::mem::replace(seen.get_mut(usize::from(payload_type))?, true);
            first.then_some(payload_type)
        });
        let Some(payload_type) = mapped else { continue };
        let rtpmap = of_payload_type(media, "rtpmap", payload_type);
        if formats.listed.len() < LISTED {
            let separator = if formats.listed.is_empty() { "" } else { ", " };
            let name: String = rtpmap.unwrap_or(text).chars().take(32).collect();
            formats.listed.push_str(separator);
            formats.listed.push_str(&name);
        }
        let encoding = rtpmap.and_then(Encoding::parse);
        let codec = match (&encoding, rtpmap) {
            (Some(encoding), _) => encoding.codec(),
            (None, Some(_)) => None,
            // RFC 3551 section 6: a static payload type needs no rtpmap.
            (None, None) => FORMATS
                .iter()
                .find(|format| format.static_payload_type == Some(payload_type))
                .map(|format| format.codec),
        };
        if let Some(codec) = codec {
            let parameters = match codec.format().parameters {
                FormatParameters::Opus => of_payload_type(media, "fmtp", payload_type),
                FormatParameters::None => None,
            };
            formats.codecs.push(OfferedCodec {
                codec,
                payload_type,
                opus: parameters.map(opus::read).unwrap_or_default(),
            });
        } else if encoding.is_some_and(|encoding| encoding.is_event()) {
            let mapped = all_of_payload_type(media, "rtpmap", payload_type)
                .filter_map(Encoding::parse)
                .filter(Encoding::is_event)
                .take(MAPPED);
            formats.events.extend(mapped.map(|encoding| EventFormat {
                payload_type,
                clock_rate: encoding.clock_rate,
            }));
        }
    }
    formats
}

/// Writes codecs and events into an audio line: its format list, `rtpmap`, `fmtp`, `ptime`.
/// `audio_rate` is the highest that is of use to us, hertz.
pub(super) fn write(
    codecs: &[ReceiveFormat],
    events: &[EventFormat],
    audio_rate: u32,
    ptime: u8,
    direction: Direction,
) -> (String, Vec<Attribute>) {
    let mut list = Vec::new();
    let mut attributes = vec![flag(direction.attribute())];
    for format in codecs {
        let payload_type = format.payload_type;
        list.push(payload_type.to_string());
        let row = format.codec.format();
        let channels = match row.channels {
            1 => String::new(),
            channels => format!("/{channels}"),
        };
        attributes.push(attribute(
            "rtpmap",
            format!(
                "{payload_type} {}/{}{channels}",
                row.encoding_name, row.clock_rate
            ),
        ));
        let parameters = match row.parameters {
            FormatParameters::Opus => opus::write(audio_rate),
            FormatParameters::None => continue,
        };
        attributes.push(attribute("fmtp", format!("{payload_type} {parameters}")));
    }
    for event in events {
        let payload_type = event.payload_type;
        list.push(payload_type.to_string());
        attributes.push(attribute(
            "rtpmap",
            format!("{payload_type} telephone-event/{}", event.clock_rate),
        ));
        attributes.push(attribute("fmtp", format!("{payload_type} 0-15")));
    }
    attributes.push(attribute("ptime", ptime));
    (list.join(" "), attributes)
}

/// What the other end says about the length of packets, and what we would like.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketTime {
    /// Its `a=ptime`.
    pub(super) asked: Option<u8>,
    /// Its `a=maxptime`.
    pub(super) most: Option<u8>,
    /// Ours, from the policy.
    pub(super) ours: u8,
}

impl PacketTime {
    /// The milliseconds in a packet that we send: what the other end asks for, never above its
    /// maximum, rounded down to a length that the codec can make. 10 at least: nobody hears
    /// the difference, and half of it doubles the packets.
    pub(super) fn for_codec(self, codec: Codec) -> u8 {
        let wanted = self
            .asked
            .unwrap_or(self.ours)
            .min(self.most.unwrap_or(u8::MAX));
        codec.format().packet_time(wanted)
    }
}

/// What holds after we answered an offer: `usable` are the offered codecs that we accept, the
/// one that we send first.
pub(super) fn answered(
    first: &OfferedCodec,
    usable: &[OfferedCodec],
    events: &[EventFormat],
    packet_time: PacketTime,
    direction: Direction,
) -> AudioFormat {
    AudioFormat {
        send: send(first, packet_time),
        receive: usable.iter().map(OfferedCodec::receive).collect(),
        send_events: events::events_for(events, first.codec),
        receive_events: events.to_vec(),
        direction,
    }
}

/// What holds after our offer (`codecs`, `events`) was answered with `formats`; `None` where
/// nothing that we offered was accepted.
///
/// The answer's payload types count for what we send. What may arrive is everything that we
/// offered by our own payload types, and the answer's where they mean nothing else to us: an
/// end that renumbers usually sends by its own numbers (RFC 3264 section 6.1).
pub(super) fn accepted(
    codecs: &[ReceiveFormat],
    events: &[EventFormat],
    formats: &Formats,
    packet_time: PacketTime,
    direction: Direction,
) -> Option<AudioFormat> {
    let first = formats
        .codecs
        .iter()
        .find(|answered| codecs.iter().any(|offered| offered.codec == answered.codec))?;
    let answered_events = events::mapped_once(&formats.events, first.codec);
    let mut receive = codecs.to_vec();
    let mut receive_events = events.to_vec();
    let ours = |payload_type: u8| {
        codecs
            .iter()
            .any(|format| format.payload_type == payload_type)
            || events
                .iter()
                .any(|event| event.payload_type == payload_type)
    };
    for answered in &formats.codecs {
        let offered = codecs.iter().any(|format| format.codec == answered.codec);
        if offered && !ours(answered.payload_type) {
            receive.push(answered.receive());
        }
    }
    for answered in &answered_events {
        if !events.is_empty() && !ours(answered.payload_type) {
            receive_events.push(*answered);
        }
        // An answer that gives a number of ours another clock is what its sender goes by.
        for offered in &mut receive_events {
            if offered.payload_type == answered.payload_type {
                offered.clock_rate = answered.clock_rate;
            }
        }
    }
    let send_events = match events.is_empty() {
        true => None,
        false => events::events_for(&answered_events, first.codec),
    };
    Some(AudioFormat {
        send: send(first, packet_time),
        receive,
        send_events,
        receive_events,
        direction,
    })
}

fn send(codec: &OfferedCodec, packet_time: PacketTime) -> SendFormat {
    SendFormat {
        codec: codec.codec,
        payload_type: codec.payload_type,
        ptime: packet_time.for_codec(codec.codec),
        opus: codec.opus,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_is_its_name_and_its_clock_rate() {
        let codec = |text| Encoding::parse(text).and_then(|encoding| encoding.codec());
        assert_eq!(codec("opus/48000/2"), Some(Codec::Opus));
        assert_eq!(codec("OPUS/48000"), Some(Codec::Opus));
        assert_eq!(codec("opus/16000/2"), None);
        assert_eq!(codec("pcma/8000/1"), Some(Codec::Pcma));
        assert_eq!(codec("PCMU/16000"), None);
        assert_eq!(codec("PCMU/8000/2"), None);
        assert_eq!(codec("PCMU"), None);
    }

    #[test]
    fn g722_is_written_with_its_rtp_clock() {
        let g722 = ReceiveFormat {
            codec: Codec::G722,
            payload_type: 9,
        };
        let (list, attributes) = write(&[g722], &[], 16_000, 20, Direction::SendRecv);
        assert_eq!(list, "9");
        let rtpmap = attributes.iter().find(|it| it.attribute == "rtpmap");
        let rtpmap = rtpmap.and_then(|it| it.value.as_deref());
        assert_eq!(rtpmap, Some("9 G722/8000"));
        let read = Encoding::parse("G722/8000").and_then(|encoding| encoding.codec());
        assert_eq!(read, Some(Codec::G722));
    }

    #[test]
    fn a_packet_is_as_long_as_the_other_end_asks_and_the_codec_allows() {
        let packet_time = |asked, most| PacketTime {
            asked,
            most,
            ours: 20,
        };
        assert_eq!(packet_time(None, None).for_codec(Codec::Pcmu), 20);
        assert_eq!(packet_time(Some(30), None).for_codec(Codec::Pcmu), 30);
        assert_eq!(packet_time(Some(30), None).for_codec(Codec::Opus), 20);
        assert_eq!(packet_time(Some(60), Some(40)).for_codec(Codec::Opus), 40);
        assert_eq!(packet_time(None, Some(10)).for_codec(Codec::Pcma), 10);
        assert_eq!(packet_time(Some(2), None).for_codec(Codec::Pcma), 10);
        assert_eq!(packet_time(Some(255), None).for_codec(Codec::Pcma), 60);
    }
}
