//! A media description as it is written (RFC 8866 section 5.14): looked up, and made.

use sdp_types::{Attribute, Media, Session};

use crate::codec::Direction;

/// One media description with the session that it stands in.
#[derive(Clone, Copy)]
pub(super) struct MediaDescription<'a> {
    /// The whole description.
    pub(super) session: &'a Session,
    /// The line.
    pub(super) media: &'a Media,
    /// Its index among the media lines.
    pub(super) index: usize,
}

impl<'a> MediaDescription<'a> {
    /// Every audio line, in order.
    pub(super) fn audio(session: &'a Session) -> impl Iterator<Item = MediaDescription<'a>> {
        session
            .medias
            .iter()
            .enumerate()
            .filter(|(_, media)| media.media.eq_ignore_ascii_case("audio"))
            .map(move |(index, media)| MediaDescription {
                session,
                media,
                index,
            })
    }

    /// The value of an attribute of the line, else of the session.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        value(&self.media.attributes, name).or_else(|| value(&self.session.attributes, name))
    }

    /// Whether the line or the session has the attribute, with or without a value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.media.has_attribute(name)
            || self
                .session
                .attributes
                .iter()
                .any(|attribute| attribute.attribute.eq_ignore_ascii_case(name))
    }

    /// The direction attribute of the line, else of the session, else `sendrecv` (RFC 8866
    /// section 6.7), seen from whoever wrote it.
    pub(super) fn direction(&self) -> Direction {
        [&self.media.attributes, &self.session.attributes]
            .into_iter()
            .find_map(|attributes| attributes.iter().find_map(direction_of))
            .unwrap_or_default()
    }

    /// The transport profile, short enough for an error message.
    pub(super) fn proto_excerpt(&self) -> String {
        self.media.proto.chars().take(80).collect()
    }

    /// `a=ptime` in milliseconds.
    pub(super) fn ptime(&self) -> Option<u8> {
        self.value("ptime").and_then(milliseconds)
    }

    /// `a=maxptime` in milliseconds.
    pub(super) fn max_ptime(&self) -> Option<u8> {
        self.value("maxptime").and_then(milliseconds)
    }
}

fn direction_of(attribute: &Attribute) -> Option<Direction> {
    [
        Direction::SendRecv,
        Direction::SendOnly,
        Direction::RecvOnly,
        Direction::Inactive,
    ]
    .into_iter()
    .find(|direction| {
        attribute
            .attribute
            .eq_ignore_ascii_case(direction.attribute())
    })
}

/// Whole milliseconds, at most 255. Fractions are seen in the field (`20.0`, RFC 8866 section
/// 6.4 allows them) and dropped; 0 says nothing.
fn milliseconds(text: &str) -> Option<u8> {
    let digits: String = text
        .trim()
        .chars()
        .take_while(char::is_ascii_digit)
        .take(4)
        .collect();
    let value: u16 = digits.parse().ok()?;
    (value > 0).then(|| u8::try_from(value).unwrap_or(u8::MAX))
}

/// The value of the first attribute of that name.
pub(super) fn value<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    values(attributes, name).next()
}

/// The values of every attribute of that name.
pub(super) fn values<'a>(attributes: &'a [Attribute], name: &str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |attribute| attribute.attribute.eq_ignore_ascii_case(name))
        .filter_map(|attribute| attribute.value.as_deref())
}

/// `a=name:value`.
pub(super) fn attribute(name: &str, value: impl ToString) -> Attribute {
    Attribute::with_value(name, value)
}

/// `a=name`.
pub(super) fn flag(name: &str) -> Attribute {
    Attribute::new(name)
}

/// A media line without attributes.
pub(super) fn empty_media(media: &str, port: u16, proto: &str, formats: String) -> Media {
    Media {
        media: media.into(),
        port,
        num_ports: None,
        proto: proto.into(),
        fmt: formats,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_times_are_read_as_the_field_writes_them() {
        assert_eq!(milliseconds("20"), Some(20));
        assert_eq!(milliseconds(" 20.0 "), Some(20));
        assert_eq!(milliseconds("99999999999999999999"), Some(255));
        assert_eq!(milliseconds("0"), None);
        assert_eq!(milliseconds("-20"), None);
        assert_eq!(milliseconds(""), None);
    }
}
