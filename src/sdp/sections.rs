//! The media sections of a session as both ends know them: a list whose places stay for the life of
//! the session (RFC 3264 section 8, RFC 9429 section 5.2.2), with what was agreed on in each.

use std::net::{IpAddr, Ipv4Addr};

use sdp_types::{Connection, Media, Session};

use super::cleaning::NO_FORMATS;
use super::media_description::{attribute, empty_media, flag, value};
use crate::codec::{AudioFormat, Direction};

/// What a section carries (RFC 8866 section 5.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// `audio`.
    Audio,
    /// `video`.
    Video,
    /// `application`: data channels (RFC 8841) among others.
    Application,
    /// Any other, as it was written.
    Other(String),
}

impl MediaKind {
    fn of(written: &str) -> Self {
        match written {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            "application" => MediaKind::Application,
            other => MediaKind::Other(other.to_owned()),
        }
    }

    /// As `m=` has it.
    pub fn name(&self) -> &str {
        match self {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Application => "application",
            MediaKind::Other(name) => name,
        }
    }
}

/// One media section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// `a=mid`, which never changes (RFC 9143).
    pub mid: Option<String>,
    /// What it carries.
    pub kind: MediaKind,
    /// Which way media may flow, seen from the gateway; `Inactive` where it is rejected.
    pub direction: Direction,
    /// What was agreed on; none: nothing yet, or the section is rejected.
    pub format: Option<AudioFormat>,
    /// `RTP/AVP`, `UDP/TLS/RTP/SAVPF`, ...
    proto: String,
    /// The format list as it was written: a rejected section repeats it.
    formats: String,
}

/// Every section of a description, in order, and which of them is the audio that the call uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sections {
    list: Vec<Section>,
    audio: usize,
}

impl Sections {
    /// The audio section of a first offer of our own.
    pub(super) fn audio_only(proto: &str, mid: Option<&str>) -> Self {
        Sections {
            list: vec![Section {
                mid: mid.map(Into::into),
                kind: MediaKind::Audio,
                direction: Direction::SendRecv,
                format: None,
                proto: proto.into(),
                formats: String::new(),
            }],
            audio: 0,
        }
    }

    /// The sections of an offer that was read, whose audio of this index and direction is used.
    pub(super) fn of(session: &Session, audio: usize, direction: Direction) -> Self {
        let section = |(index, media): (usize, &Media)| Section {
            mid: value(&media.attributes, "mid")
                .filter(|mid| mid.bytes().all(|byte| byte.is_ascii_graphic()))
                .map(Into::into),
            kind: match index == audio {
                true => MediaKind::Audio,
                false => MediaKind::of(&media.media),
            },
            direction: match index == audio {
                true => direction,
                false => Direction::Inactive,
            },
            format: None,
            proto: media.proto.clone(),
            formats: rejected_formats(media),
        };
        let list = session.medias.iter().enumerate().map(section).collect();
        Sections { list, audio }
    }

    /// All of them.
    pub(super) fn as_slice(&self) -> &[Section] {
        &self.list
    }

    /// The audio section.
    pub(super) fn audio(&self) -> Option<&Section> {
        self.list.get(self.audio)
    }

    /// The place of the audio section.
    pub(super) const fn audio_index(&self) -> usize {
        self.audio
    }

    /// The transport profile of the audio section.
    pub(super) fn audio_proto(&self) -> &str {
        self.audio()
            .map_or("RTP/AVP", |section| section.proto.as_str())
    }

    /// The audio section was agreed on.
    pub(super) fn agree_on_audio(&mut self, format: AudioFormat) {
        if let Some(section) = self.list.get_mut(self.audio) {
            section.direction = format.direction;
            section.format = Some(format);
        }
    }

    /// Whether a later offer has every section in its place: none may go, and a mid stays where it was
    /// while the section is in use (RFC 3264 section 8, RFC 9143 section 6).
    pub(super) fn are_kept_by(&self, later: &Sections) -> bool {
        let kept = |(before, after): (&Section, &Section)| {
            before.format.is_none() || before.mid == after.mid
        };
        self.list.len() <= later.list.len() && self.list.iter().zip(&later.list).all(kept)
    }

    /// Adds all sections to `session`: `audio` in its place, the others rejected with port 0 (RFC 3264
    /// section 6).
    pub(super) fn write(&self, session: &mut Session, audio: Media) {
        for (index, section) in self.list.iter().enumerate() {
            if index == self.audio {
                session.medias.push(audio.clone());
                continue;
            }
            let formats = section.formats.clone();
            let mut rejected = empty_media(section.kind.name(), 0, &section.proto, formats);
            if session.connection.is_none() {
                // Useless here, but Firefox refuses a description without it.
                let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                rejected.connections.push(Connection::from_ip_addr(nowhere));
            }
            let inactive = flag(Direction::Inactive.attribute());
            rejected.attributes.push(inactive);
            if let Some(mid) = &section.mid {
                rejected.attributes.push(attribute("mid", mid));
            }
            session.medias.push(rejected);
        }
    }
}

/// The format list of a section as a rejected one repeats it: one format at least (RFC 8866 section
/// 9), also where the section had none.
fn rejected_formats(media: &Media) -> String {
    let is_rtp = media.proto.to_ascii_uppercase().contains("RTP/");
    match media.fmt.as_str() {
        NO_FORMATS if is_rtp => "0".to_owned(),
        formats => formats.to_owned(),
    }
}
