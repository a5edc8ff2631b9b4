//! MESSAGE-INTEGRITY (RFC 8489 section 14.5).

use rtc_crypto::{HmacAlgorithm, Mac, RTCCrypto};

use super::Error;
use super::attributes::ATTRIBUTE_HEADER;
use super::header::HEADER_LENGTH;

/// Octets of its value.
pub(super) const INTEGRITY_LENGTH: usize = 20;

/// A key for message integrity: the HMAC-SHA1 object keyed with a password.
pub struct IntegrityKey(Box<dyn Mac>);

impl IntegrityKey {
    /// The key of a password.
    pub fn new(password: &str, crypto: &dyn RTCCrypto) -> Result<Self, Error> {
        crypto
            .new_hmac(HmacAlgorithm::Sha1, password.as_bytes())
            .map(IntegrityKey)
            .map_err(|error| Error::Key(error.to_string()))
    }

    /// The value for the octets before the attribute, whose header says a length that ends with it.
    pub(super) fn sign(&mut self, before: &[u8]) -> [u8; INTEGRITY_LENGTH] {
        let mut tag = [0; INTEGRITY_LENGTH];
        self.0
            .sign(&[before], &mut tag)
            .expect("HMAC-SHA1 fills a tag of its own size");
        tag
    }

    /// Whether the attribute at `offset` of the datagram was made with this key.
    pub(super) fn verify(&mut self, datagram: &[u8], offset: usize) -> bool {
        let begin = offset + ATTRIBUTE_HEADER;
        let Some(tag) = datagram.get(begin..begin + INTEGRITY_LENGTH) else {
            return false;
        };
        let length = signed_length(offset);
        let signed: [&[u8]; 3] = [&datagram[..2], &length, &datagram[4..offset]];
        self.0.verify(&signed, tag).is_ok()
    }
}

/// The header's length field as signed, for the attribute that begins at `offset`: the length ends
/// with this attribute, whatever follows it.
pub(super) fn signed_length(offset: usize) -> [u8; 2] {
    let length = offset - HEADER_LENGTH + ATTRIBUTE_HEADER + INTEGRITY_LENGTH;
    (length as u16).to_be_bytes()
}
