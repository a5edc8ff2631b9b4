//! A received Binding message, not yet authenticated: a view into the datagram. Reading allocates
//! nothing, since anybody may send us these.

use std::net::SocketAddr;

use rtc_stun::fingerprint::fingerprint_value;

use super::address;
use super::attributes::{Attribute, Attributes, kind};
use super::header::{Class, Header, TransactionId};
use super::integrity::{INTEGRITY_LENGTH, IntegrityKey};

/// The ICE role of a sender with its tie-breaker (RFC 8445 section 7.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceRole {
    /// It nominates.
    Controlling(u64),
    /// It does not.
    Controlled(u64),
}

/// Whether FINGERPRINT (RFC 8489 section 14.7) is there and right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// There is none.
    Missing,
    /// It does not belong to this message, or something follows it.
    Wrong,
    /// It is the last attribute and right.
    Right,
}

/// A received Binding message. Attributes after MESSAGE-INTEGRITY are not read: they are not covered
/// by it (RFC 8489 section 14.5).
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it is for.
    pub class: Class,
    /// Its transaction.
    pub transaction: TransactionId,
    /// USERNAME.
    pub username: Option<&'a [u8]>,
    /// PRIORITY.
    pub priority: Option<u32>,
    /// USE-CANDIDATE.
    pub use_candidate: bool,
    /// ICE-CONTROLLING or ICE-CONTROLLED.
    pub role: Option<IceRole>,
    /// ERROR-CODE.
    pub error_code: Option<u16>,
    /// Whether FINGERPRINT is there and right.
    pub fingerprint: Fingerprint,
    datagram: &'a [u8],
    /// Where the attribute MESSAGE-INTEGRITY begins.
    integrity: Option<usize>,
}

impl<'a> Message<'a> {
    /// Reads a Binding message that fills its datagram.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let header = Header::read_whole(datagram)?;
        let mut message = Message {
            class: header.binding?,
            transaction: header.transaction,
            username: None,
            priority: None,
            use_candidate: false,
            role: None,
            error_code: None,
            fingerprint: Fingerprint::Missing,
            datagram,
            integrity: None,
        };
        for attribute in Attributes::of(datagram) {
            message.read(&attribute.ok()?)?;
        }
        Some(message)
    }

    fn read(&mut self, attribute: &Attribute<'a>) -> Option<()> {
        let Attribute {
            value, offset, end, ..
        } = *attribute;
        if attribute.kind == kind::FINGERPRINT {
            let right = fingerprint_value(&self.datagram[..offset]).to_be_bytes();
            self.fingerprint = match value == right && end == self.datagram.len() {
                true => Fingerprint::Right,
                false => Fingerprint::Wrong,
            };
            return Some(());
        }
        if self.integrity.is_some() {
            return Some(());
        }
        let tie_breaker = || Some(u64::from_be_bytes(value.try_into().ok()?));
        match attribute.kind {
            kind::USERNAME => self.username = Some(value),
            kind::PRIORITY => self.priority = Some(u32::from_be_bytes(value.try_into().ok()?)),
            kind::USE_CANDIDATE => self.use_candidate = true,
            kind::ICE_CONTROLLING => self.role = Some(IceRole::Controlling(tie_breaker()?)),
            kind::ICE_CONTROLLED => self.role = Some(IceRole::Controlled(tie_breaker()?)),
            kind::ERROR_CODE => {
                let [_, _, class, number] = *value.first_chunk::<4>()?;
                self.error_code = Some(u16::from(class & 7) * 100 + u16::from(number));
            }
            kind::MESSAGE_INTEGRITY => {
                // A cut tag would be easier to guess.
                if value.len() != INTEGRITY_LENGTH {
                    return None;
                }
                self.integrity = Some(offset);
            }
            // Comprehension-required ones that nobody knows: see `Message::attributes`.
            _ => {}
        }
        Some(())
    }

    /// The attributes before MESSAGE-INTEGRITY: types and values.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let covered = self.integrity.unwrap_or(self.datagram.len());
        Attributes::of(self.datagram)
            .map_while(Result::ok)
            .take_while(move |attribute| attribute.offset < covered)
            .map(|attribute| (attribute.kind, attribute.value))
    }

    /// Octets of the datagram.
    pub fn length(&self) -> usize {
        self.datagram.len()
    }

    /// The two halves of USERNAME in ICE (RFC 8445 section 7.2.2): the receiver's ufrag, the
    /// sender's.
    pub fn username_halves(&self) -> Option<(&'a [u8], &'a [u8])> {
        let username = self.username?;
        let colon = username.iter().position(|byte| *byte == b':')?;
        Some((&username[..colon], &username[colon + 1..]))
    }

    /// The address of XOR-MAPPED-ADDRESS, if it is there and whole.
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        let mapped = |(of, _): &(u16, &[u8])| *of == kind::XOR_MAPPED_ADDRESS;
        let (_, value) = self.attributes().find(mapped)?;
        address::read(value, &self.transaction)
    }

    /// Whether MESSAGE-INTEGRITY is there and right.
    pub fn is_authentic(&self, key: &mut IntegrityKey) -> bool {
        self.integrity
            .is_some_and(|offset| key.verify(self.datagram, offset))
    }
}
