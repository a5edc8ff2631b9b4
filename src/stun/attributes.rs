//! The attributes of a message (RFC 8489 section 14).

use super::header::HEADER_LENGTH;

/// Octets before an attribute's value.
pub(super) const ATTRIBUTE_HEADER: usize = 4;

/// Types of attributes, as registered.
pub mod kind {
    /// RFC 8489 section 14.3.
    pub const USERNAME: u16 = 0x0006;
    /// RFC 8489 section 14.5.
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    /// RFC 8489 section 14.8.
    pub const ERROR_CODE: u16 = 0x0009;
    /// RFC 8489 section 14.2.
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    /// RFC 8445 section 16.1.
    pub const PRIORITY: u16 = 0x0024;
    /// RFC 8445 section 16.1.
    pub const USE_CANDIDATE: u16 = 0x0025;
    /// RFC 8489 section 14.7.
    pub const FINGERPRINT: u16 = 0x8028;
    /// RFC 8445 section 16.1.
    pub const ICE_CONTROLLED: u16 = 0x8029;
    /// RFC 8445 section 16.1.
    pub const ICE_CONTROLLING: u16 = 0x802a;
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type.
    pub kind: u16,
    /// Its value without padding.
    pub value: &'a [u8],
    /// Where it begins in the datagram.
    pub offset: usize,
    /// Where its value ends, before the padding.
    pub end: usize,
}

/// Goes through the attributes of a datagram. Ends with `Err` where the rest is no attribute.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    datagram: &'a [u8],
    offset: usize,
}

impl<'a> Attributes<'a> {
    /// Of a datagram whose header was read.
    pub(super) const fn of(datagram: &'a [u8]) -> Self {
        Attributes {
            datagram,
            offset: HEADER_LENGTH,
        }
    }
}

/// The rest of the datagram is no attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.offset;
        let rest = self
            .datagram
            .get(offset..)
            .filter(|rest| !rest.is_empty())?;
        // Whatever comes of it, this is the last where it is malformed.
        self.offset = self.datagram.len();
        let Some((header, rest)) = rest.split_first_chunk::<ATTRIBUTE_HEADER>() else {
            return Some(Err(Malformed));
        };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        // A value's padding has to be there too.
        if rest.len() < length.next_multiple_of(4) {
            return Some(Err(Malformed));
        }
        let end = offset + ATTRIBUTE_HEADER + length;
        self.offset = offset + ATTRIBUTE_HEADER + length.next_multiple_of(4);
        Some(Ok(Attribute {
            kind: u16::from_be_bytes([header[0], header[1]]),
            value: &rest[..length],
            offset,
            end,
        }))
    }
}
