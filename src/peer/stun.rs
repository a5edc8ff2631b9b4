//! The one STUN method that ICE needs, Binding (RFC 8489, RFC 8445 section 16): a view into
//! received bytes, and a builder. Reading allocates nothing, since anybody may send us these.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rtc_crypto::{HmacAlgorithm, Mac, RTCCrypto};
use rtc_stun::attributes::{
    ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING,
    ATTR_MESSAGE_INTEGRITY, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
    ATTR_XORMAPPED_ADDRESS, AttrType,
};
use rtc_stun::fingerprint::fingerprint_value;
use rtc_stun::message::{ATTRIBUTE_HEADER_SIZE, MAGIC_COOKIE, MESSAGE_HEADER_SIZE};

/// Ties a response to its request.
pub(super) type TransactionId = [u8; 12];

const INTEGRITY_SIZE: usize = 20;
const FINGERPRINT_SIZE: usize = 4;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Request,
    Success,
    Error,
}

impl Class {
    /// The message type of this class with the method Binding (RFC 8489 section 5).
    const fn message_type(self) -> u16 {
        match self {
            Class::Request => 0x0001,
            Class::Success => 0x0101,
            Class::Error => 0x0111,
        }
    }
}

/// The ICE role of a sender with its tie-breaker (RFC 8445 section 7.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IceRole {
    Controlling(u64),
    Controlled(u64),
}

/// Whether a datagram is long enough for STUN and has its magic cookie.
pub(super) fn has_cookie(datagram: &[u8]) -> bool {
    datagram.len() >= MESSAGE_HEADER_SIZE && datagram[4..8] == MAGIC_COOKIE.to_be_bytes()
}

/// A key for message integrity: the HMAC-SHA1 object keyed with a password.
pub(super) struct IntegrityKey(Box<dyn Mac>);

impl IntegrityKey {
    pub(super) fn new(password: &str, crypto: &dyn RTCCrypto) -> Result<Self, super::Error> {
        crypto
            .new_hmac(HmacAlgorithm::Sha1, password.as_bytes())
            .map(IntegrityKey)
            .map_err(|error| super::Error::Crypto(error.to_string()))
    }
}

/// A received Binding message, not yet authenticated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub class: Class,
    pub transaction: TransactionId,
    pub username: Option<&'a [u8]>,
    pub priority: Option<u32>,
    pub use_candidate: bool,
    pub role: Option<IceRole>,
    pub error_code: Option<u16>,
    datagram: &'a [u8],
    /// Where the attribute MESSAGE-INTEGRITY begins.
    integrity: Option<usize>,
}

impl<'a> Message<'a> {
    /// Reads a Binding request or response with a right FINGERPRINT, which ICE demands of every
    /// message (RFC 8445 section 7.1.1). Attributes after MESSAGE-INTEGRITY are not read: they
    /// are not covered by it (RFC 8489 section 14.5).
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        if !has_cookie(datagram) {
            return None;
        }
        let class = match u16_at(datagram, 0) {
            0x0001 => Class::Request,
            0x0101 => Class::Success,
            0x0111 => Class::Error,
            _ => return None,
        };
        if usize::from(u16_at(datagram, 2)) + MESSAGE_HEADER_SIZE != datagram.len() {
            return None;
        }
        let mut message = Message {
            class,
            transaction: datagram[8..20].try_into().ok()?,
            username: None,
            priority: None,
            use_candidate: false,
            role: None,
            error_code: None,
            datagram,
            integrity: None,
        };
        let mut fingerprint = false;
        let mut offset = MESSAGE_HEADER_SIZE;
        while offset < datagram.len() {
            if datagram.len() - offset < ATTRIBUTE_HEADER_SIZE {
                return None;
            }
            let attribute = AttrType(u16_at(datagram, offset));
            let length = usize::from(u16_at(datagram, offset + 2));
            let begin = offset + ATTRIBUTE_HEADER_SIZE;
            let value = datagram.get(begin..begin + length)?;
            if attribute == ATTR_FINGERPRINT {
                let wanted = fingerprint_value(&datagram[..offset]).to_be_bytes();
                // It has to be the last attribute (RFC 8489 section 14.7).
                if length != FINGERPRINT_SIZE || value != wanted || begin + length != datagram.len()
                {
                    return None;
                }
                fingerprint = true;
            } else if message.integrity.is_none() {
                message.read(attribute, value, offset)?;
            }
            offset = begin + length.next_multiple_of(4);
        }
        // A value's padding has to be there too.
        (fingerprint && offset == datagram.len()).then_some(message)
    }

    /// The two halves of USERNAME (RFC 8445 section 7.2.2): the receiver's ufrag, the sender's.
    pub(super) fn username_halves(&self) -> Option<(&'a [u8], &'a [u8])> {
        let username = self.username?;
        let colon = username.iter().position(|byte| *byte == b':')?;
        Some((&username[..colon], &username[colon + 1..]))
    }

    /// Bytes of the datagram.
    pub(super) fn length(&self) -> usize {
        self.datagram.len()
    }

    fn read(&mut self, attribute: AttrType, value: &'a [u8], offset: usize) -> Option<()> {
        match attribute {
            ATTR_USERNAME => self.username = Some(value),
            ATTR_PRIORITY => self.priority = Some(u32::from_be_bytes(value.try_into().ok()?)),
            ATTR_USE_CANDIDATE => self.use_candidate = true,
            ATTR_ICE_CONTROLLING => {
                let tie_breaker = u64::from_be_bytes(value.try_into().ok()?);
                self.role = Some(IceRole::Controlling(tie_breaker));
            }
            ATTR_ICE_CONTROLLED => {
                let tie_breaker = u64::from_be_bytes(value.try_into().ok()?);
                self.role = Some(IceRole::Controlled(tie_breaker));
            }
            ATTR_ERROR_CODE => {
                let [_, _, class, number] = *value.get(..4)? else {
                    return None;
                };
                self.error_code = Some(u16::from(class & 7) * 100 + u16::from(number));
            }
            ATTR_MESSAGE_INTEGRITY => {
                // A cut tag would be easier to guess.
                if value.len() != INTEGRITY_SIZE {
                    return None;
                }
                self.integrity = Some(offset);
            }
            // Nothing else matters to ICE. Comprehension-required ones we do not know would ask
            // for a 420 (RFC 8489 section 6.3.1), yet no browser sends any.
            _ => {}
        }
        Some(())
    }

    /// Whether MESSAGE-INTEGRITY is there and right (RFC 8489 section 14.5).
    pub(super) fn is_authentic(&self, key: &mut IntegrityKey) -> bool {
        let Some(offset) = self.integrity else {
            return false;
        };
        let tag = &self.datagram[offset + ATTRIBUTE_HEADER_SIZE..][..INTEGRITY_SIZE];
        // The length that is signed ends with this attribute, whatever follows it.
        let length = integrity_length(offset);
        key.0
            .verify(
                &[&self.datagram[..2], &length, &self.datagram[4..offset]],
                tag,
            )
            .is_ok()
    }
}

/// The header's length field as signed, for MESSAGE-INTEGRITY beginning at `offset`.
fn integrity_length(offset: usize) -> [u8; 2] {
    let length = offset - MESSAGE_HEADER_SIZE + ATTRIBUTE_HEADER_SIZE + INTEGRITY_SIZE;
    (length as u16).to_be_bytes()
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([bytes[offset], bytes[offset + 1]])
}

/// Builds a Binding message.
pub(super) struct Builder(Vec<u8>);

impl Builder {
    pub(super) fn new(class: Class, transaction: &TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&class.message_type().to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        bytes.extend_from_slice(transaction);
        Builder(bytes)
    }

    fn add(&mut self, attribute: AttrType, value: &[u8]) {
        self.0.extend_from_slice(&attribute.0.to_be_bytes());
        self.0
            .extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    pub(super) fn username(mut self, receiver: &str, sender: &str) -> Self {
        self.add(ATTR_USERNAME, format!("{receiver}:{sender}").as_bytes());
        self
    }

    pub(super) fn priority(mut self, priority: u32) -> Self {
        self.add(ATTR_PRIORITY, &priority.to_be_bytes());
        self
    }

    pub(super) fn role(mut self, role: IceRole) -> Self {
        match role {
            IceRole::Controlling(tie) => self.add(ATTR_ICE_CONTROLLING, &tie.to_be_bytes()),
            IceRole::Controlled(tie) => self.add(ATTR_ICE_CONTROLLED, &tie.to_be_bytes()),
        }
        self
    }

    pub(super) fn use_candidate(mut self) -> Self {
        self.add(ATTR_USE_CANDIDATE, &[]);
        self
    }

    pub(super) fn error_code(mut self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend_from_slice(reason.as_bytes());
        self.add(ATTR_ERROR_CODE, &value);
        self
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
    pub(super) fn xor_mapped_address(mut self, address: SocketAddr) -> Self {
        let cookie = MAGIC_COOKIE.to_be_bytes();
        let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
        let mut value = Vec::with_capacity(20);
        value.push(0);
        match address.ip() {
            IpAddr::V4(ip) => {
                value.push(1);
                value.extend_from_slice(&port.to_be_bytes());
                value.extend(Ipv4Addr::octets(&ip).iter().zip(cookie).map(|(a, b)| a ^ b));
            }
            IpAddr::V6(ip) => {
                value.push(2);
                value.extend_from_slice(&port.to_be_bytes());
                let mask = cookie.iter().chain(&self.0[8..20]);
                value.extend(Ipv6Addr::octets(&ip).iter().zip(mask).map(|(a, b)| a ^ b));
            }
        }
        self.add(ATTR_XORMAPPED_ADDRESS, &value);
        self
    }

    /// Adds MESSAGE-INTEGRITY and FINGERPRINT, and gives the datagram.
    pub(super) fn finish(mut self, key: &mut IntegrityKey) -> Vec<u8> {
        let offset = self.0.len();
        self.0[2..4].copy_from_slice(&integrity_length(offset));
        let mut tag = [0; INTEGRITY_SIZE];
        key.0
            .sign(&[&self.0], &mut tag)
            .expect("HMAC-SHA1 fills a tag of its own size");
        self.add(ATTR_MESSAGE_INTEGRITY, &tag);
        let offset = self.0.len();
        let length = offset - MESSAGE_HEADER_SIZE + ATTRIBUTE_HEADER_SIZE + FINGERPRINT_SIZE;
        self.0[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        let checksum = fingerprint_value(&self.0);
        self.add(ATTR_FINGERPRINT, &checksum.to_be_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc_stun::attributes::ATTR_USERNAME;
    use rtc_stun::integrity::MessageIntegrity;
    use rtc_stun::message::{Getter, Message as Independent};
    use rtc_stun::textattrs::TextAttribute;
    use rtc_stun::xoraddr::XorMappedAddress;

    fn key(password: &str) -> IntegrityKey {
        let provider = rtc_crypto::default_provider().expect("a provider");
        IntegrityKey::new(password, provider.crypto()).expect("a key")
    }

    #[test]
    fn what_we_build_the_stun_crate_reads() {
        let datagram = Builder::new(Class::Request, &[7; 12])
            .username("theirs", "ours")
            .priority(77)
            .role(IceRole::Controlling(5))
            .use_candidate()
            .finish(&mut key("secret"));
        let mut message = Independent::new();
        message.unmarshal_binary(&datagram).expect("it parses");
        let provider = rtc_crypto::default_provider().expect("a provider");
        MessageIntegrity::check(&mut message, b"secret", provider.crypto()).expect("authentic");
        rtc_stun::fingerprint::FINGERPRINT
            .check(&message)
            .expect("the fingerprint is right");
        let username = TextAttribute::get_from_as(&message, ATTR_USERNAME).expect("a username");
        assert_eq!(username.text, "theirs:ours");

        let read = Message::parse(&datagram).expect("we read it too");
        assert!(read.is_authentic(&mut key("secret")));
        assert!(!read.is_authentic(&mut key("guessed")));
        assert_eq!(read.role, Some(IceRole::Controlling(5)));
        assert_eq!((read.priority, read.use_candidate), (Some(77), true));
    }

    #[test]
    fn a_mapped_address_is_read_back() {
        for address in ["192.0.2.7:4711", "[2001:db8::7]:4711"] {
            let address: SocketAddr = address.parse().expect("an address");
            let datagram = Builder::new(Class::Success, &[9; 12])
                .xor_mapped_address(address)
                .finish(&mut key("secret"));
            let mut message = Independent::new();
            message.unmarshal_binary(&datagram).expect("it parses");
            let mut mapped = XorMappedAddress::default();
            mapped.get_from(&message).expect("an address");
            assert_eq!((mapped.ip, mapped.port), (address.ip(), address.port()));
        }
    }

    #[test]
    fn a_message_cut_or_bent_anywhere_is_refused() {
        let datagram = Builder::new(Class::Request, &[7; 12])
            .username("theirs", "ours")
            .finish(&mut key("secret"));
        for length in 0..datagram.len() {
            assert!(
                Message::parse(&datagram[..length]).is_none(),
                "cut at {length}"
            );
        }
        for index in 0..datagram.len() {
            let mut bent = datagram.clone();
            bent[index] ^= 0x40;
            let authentic = Message::parse(&bent)
                .is_some_and(|message| message.is_authentic(&mut key("secret")));
            assert!(!authentic, "bent at {index}");
        }
    }
}
