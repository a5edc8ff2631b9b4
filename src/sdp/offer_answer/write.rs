//! What we say to a PBX.

use sdp_types::{Connection, Session};

use crate::codec::{
    AudioFormat, Codec, Direction, EventFormat, OpusParameters, ReceiveFormat, SendFormat,
};
use crate::sdp::crypto::CryptoLine;
use crate::sdp::events;
use crate::sdp::format::{self, PacketTime};
use crate::sdp::media_description::{empty_media, flag};
use crate::sdp::opus;
use crate::sdp::policy::distinct;
use crate::sdp::sections::Sections;
use crate::sdp::{
    Answer, Error, LocalMedia, LocalOffer, Offer, PbxOffer, RemoteMedia, RtpFamilies, SessionIds,
    SrtpMode, TrunkPolicy,
};

/// The transport profile of an offer. Keys that may be left go beside plain RTP, which everybody
/// takes (RFC 8643 section 3.1).
const fn profile(policy: &TrunkPolicy) -> &'static str {
    match (policy.srtp, policy.avpf) {
        (SrtpMode::Off | SrtpMode::Optional, false) => "RTP/AVP",
        (SrtpMode::Off | SrtpMode::Optional, true) => "RTP/AVPF",
        (SrtpMode::Required, false) => "RTP/SAVP",
        (SrtpMode::Required, true) => "RTP/SAVPF",
    }
}

/// What is offered when configuration names no codec.
const FALLBACK: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

impl LocalOffer {
    /// Our next offer in the same dialog, after this one was answered: the same lines, codecs
    /// and payload types with another direction (hold, resume), and the key that is in use by
    /// `local`. `session` is one version on.
    ///
    /// When the PBX has made an offer since, its lines hold: [`PbxOffer::reversed`].
    pub fn reoffer(
        &self,
        local: impl Into<LocalMedia>,
        policy: &TrunkPolicy,
        session: SessionIds,
        direction: Direction,
    ) -> LocalOffer {
        let local = local.into();
        LocalOffer {
            direction,
            crypto: local.offered(policy, session),
            srtp: policy.srtp,
            local,
            ..self.clone()
        }
        .written(session)
    }

    /// What may arrive before the answer: what is offered, by the numbers of the offer (RFC 3264
    /// section 5.1). Nothing can be sent yet.
    pub fn unanswered(&self) -> Option<AudioFormat> {
        let first = self.codecs.first()?;
        Some(AudioFormat {
            send: SendFormat {
                codec: first.codec,
                payload_type: first.payload_type,
                ptime: self.ptime,
                opus: OpusParameters::default(),
            },
            receive: self.codecs.clone(),
            send_events: None,
            receive_events: self.events.clone(),
            direction: Direction::RecvOnly,
        })
    }

    /// With its text made new from its parts.
    fn written(mut self, session: SessionIds) -> LocalOffer {
        self.offer = Offer(describe(
            session,
            &self.sections,
            &Audio {
                local: self.local,
                crypto: &self.crypto,
                codecs: &self.codecs,
                events: &self.events,
                ptime: self.ptime,
                direction: self.direction,
                rtcp_mux: false,
            },
        ));
        self
    }
}

impl PbxOffer {
    /// Our first offer in a dialog that began with the PBX's: its lines and payload types, as
    /// far as `format` (what we answered) has them. `session` is one version on.
    pub fn reversed(
        &self,
        local: impl Into<LocalMedia>,
        policy: &TrunkPolicy,
        format: &AudioFormat,
        session: SessionIds,
        direction: Direction,
    ) -> LocalOffer {
        let local = local.into();
        LocalOffer {
            offer: Offer(session.session("")),
            crypto: local.offered(policy, session),
            srtp: policy.srtp,
            codecs: format.receive.clone(),
            events: format.receive_events.clone(),
            direction,
            ptime: format.send.ptime,
            local,
            sections: self.sections.clone(),
        }
        .written(session)
    }
}

/// Makes an offer to a PBX: `policy.codecs` in their order, at `local` (RTCP on the next port).
pub fn offer(
    local: impl Into<LocalMedia>,
    policy: &TrunkPolicy,
    session: SessionIds,
    direction: Direction,
) -> LocalOffer {
    let local = local.into();
    let codecs: Vec<_> = distinct(&policy.codecs, &FALLBACK)
        .into_iter()
        .map(|codec| ReceiveFormat {
            codec,
            payload_type: codec.static_payload_type().unwrap_or(107),
        })
        .collect();
    let mut events = Vec::new();
    // 101 is what phones and PBXs expect it to be.
    for (clock_rate, payload_type) in [(8_000, 101), (48_000, 110)] {
        let is_audio = codecs
            .iter()
            .any(|format| format.codec.clock_rate() == clock_rate);
        let wanted = policy.event_clocks.contains(&clock_rate);
        let alone = clock_rate == 8_000
            && codecs
                .iter()
                .all(|format| format.codec.clock_rate() == clock_rate);
        if policy.telephone_event && (wanted && (is_audio || clock_rate == 8_000) || alone) {
            events.push(EventFormat {
                payload_type,
                clock_rate,
            });
        }
    }
    LocalOffer {
        offer: Offer(session.session("")),
        codecs,
        events,
        direction,
        ptime: policy.ptime,
        crypto: local.offered(policy, session),
        srtp: policy.srtp,
        local,
        sections: Sections::audio_only(profile(policy), None),
    }
    .written(session)
}

/// Answers a PBX's offer or re-offer with one codec, the first of `policy.codecs` that was
/// offered, and telephone events.
///
/// `direction` is what the call wants of this side; the answer has what is left of it after
/// the offer. The remote end that is returned has the keys, where the offer's are taken.
pub fn answer(
    offer: &PbxOffer,
    local: impl Into<LocalMedia>,
    policy: &TrunkPolicy,
    session: SessionIds,
    direction: Direction,
) -> Result<(Answer, RemoteMedia, AudioFormat), Error> {
    let local = local.into();
    let remote_ip = offer.remote.address.rtp.ip();
    if !RtpFamilies::of(local.address.ip()).reach(remote_ip) {
        return Err(Error::AddressFamily(remote_ip));
    }
    let usable: Vec<_> = distinct(&policy.codecs, &FALLBACK)
        .into_iter()
        .flat_map(|codec| {
            offer
                .codecs
                .iter()
                .filter(move |offered| offered.codec == codec)
        })
        .copied()
        .collect();
    let Some(first) = usable.first() else {
        return Err(Error::no_common_codec(&offer.codecs));
    };
    let events = match policy.telephone_event {
        true => events::mapped_once(&offer.events, first.codec),
        false => Vec::new(),
    };
    let packet_time = PacketTime {
        asked: offer.ptime,
        most: offer.max_ptime,
        ours: policy.ptime,
    };
    let direction = offer.direction.intersect(direction);
    let format = AudioFormat {
        send_events: events::events_to_pbx(&events, first.codec, &policy.event_clocks),
        ..format::answered(first, &usable, &events, packet_time, direction)
    };

    let crypto = match &offer.crypto {
        Some(line) => {
            let srtp_keys = local
                .answered(line, offer.remote.address.rtp, session)
                .ok_or(Error::NoUsableKey("no key of our own"))?;
            Some((line.tag, srtp_keys))
        }
        None => None,
    };
    let remote = RemoteMedia {
        srtp_keys: crypto.map(|(_, srtp_keys)| srtp_keys),
        ..offer.remote
    };
    let answered_crypto = crypto.map(|(tag, srtp_keys)| CryptoLine {
        tag,
        key: srtp_keys.send,
    });

    // One codec: with several, some phones send a second offer to settle on one. The others
    // stay in `receive`, for a PBX that changes among what it offered all the same.
    let chosen = ReceiveFormat {
        codec: format.send.codec,
        payload_type: format.send.payload_type,
    };
    let answered_events: Vec<_> = format.send_events.into_iter().collect();
    let description = describe(
        session,
        &offer.sections,
        &Audio {
            local,
            crypto: answered_crypto.as_slice(),
            codecs: &[chosen],
            events: &answered_events,
            ptime: format.send.ptime,
            direction,
            rtcp_mux: offer.rtcp_mux,
        },
    );
    Ok((Answer(description), remote, format))
}

/// Everything that goes into our audio line.
struct Audio<'a> {
    local: LocalMedia,
    crypto: &'a [CryptoLine],
    codecs: &'a [ReceiveFormat],
    events: &'a [EventFormat],
    ptime: u8,
    direction: Direction,
    rtcp_mux: bool,
}

/// Writes a description with `audio` in its place among `sections`.
fn describe(session: SessionIds, sections: &Sections, audio: &Audio<'_>) -> Session {
    let ip = audio.local.address.ip();
    let mut description = session.session(&ip.to_string());
    description.connection = Some(Connection::from_ip_addr(ip));
    let (list, attributes) = format::write(
        audio.codecs,
        audio.events,
        opus::FULL_BAND,
        audio.ptime,
        audio.direction,
    );
    let mut media = empty_media(
        "audio",
        audio.local.address.port(),
        sections.audio_proto(),
        list,
    );
    media.attributes = attributes;
    let crypto = audio.crypto.iter().map(CryptoLine::attribute);
    media.attributes.extend(crypto);
    if audio.rtcp_mux {
        media.attributes.push(flag("rtcp-mux"));
    }
    sections.write(&mut description, media);
    description
}
