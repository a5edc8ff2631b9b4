//! The 20 octets that every STUN message begins with (RFC 8489 section 5), by which it is told from
//! other protocols on the same port (RFC 8489 section 5, RFC 7983 section 7, RFC 5626 section 8).

use rtc_stun::message::MAGIC_COOKIE;

/// Octets of a header.
pub const HEADER_LENGTH: usize = 20;

/// Ties a response to its request.
pub type TransactionId = [u8; 12];

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Asks for a response.
    Request,
    /// Asks for none.
    Indication,
    /// The request was carried out.
    Success,
    /// It was not.
    Error,
}

impl Class {
    /// The message type of this class with the method Binding.
    pub(super) const fn binding(self) -> u16 {
        match self {
            Class::Request => 0x0001,
            Class::Indication => 0x0011,
            Class::Success => 0x0101,
            Class::Error => 0x0111,
        }
    }
}

/// Whether the first octet is one that STUN alone has, of what shares a port with it: 0 to 3
/// (RFC 7983 section 7). No SIP message begins with such an octet (RFC 5626 section 8); a datagram
/// that does and is no STUN is nothing else either.
pub fn begins_like_stun(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(0..=3))
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the message is for; none: its method is not Binding.
    pub binding: Option<Class>,
    /// Octets after the header, as the header says.
    pub length: usize,
    /// Its transaction.
    pub transaction: TransactionId,
}

impl Header {
    /// Reads the header of a datagram, which may be cut off behind it, as where the network sends
    /// back a part of a datagram of ours. `None` without the magic cookie.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let header = datagram.first_chunk::<HEADER_LENGTH>()?;
        if !begins_like_stun(header) || header[4..8] != MAGIC_COOKIE.to_be_bytes() {
            return None;
        }
        let classes = [
            Class::Request,
            Class::Indication,
            Class::Success,
            Class::Error,
        ];
        let message_type = u16::from_be_bytes([header[0], header[1]]);
        Some(Header {
            binding: classes
                .into_iter()
                .find(|class| class.binding() == message_type),
            length: usize::from(u16::from_be_bytes([header[2], header[3]])),
            transaction: header[8..].try_into().ok()?,
        })
    }

    /// The same, where the message fills its datagram, its attributes being padded to four octets.
    pub fn read_whole(datagram: &[u8]) -> Option<Self> {
        Self::read(datagram).filter(|header| {
            HEADER_LENGTH + header.length == datagram.len() && header.length % 4 == 0
        })
    }
}
