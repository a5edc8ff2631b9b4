//! Just enough STUN (RFC 8489) for a browser's side of ICE.

use std::net::SocketAddr;

use rtc_crypto::{HmacAlgorithm, Mac, RTCCrypto};
use rtc_stun::fingerprint::fingerprint_value;

const COOKIE: u32 = 0x2112_a442;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLING: u16 = 0x802a;

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A check of the gateway's.
    Request,
    /// The answer to one of ours.
    Success,
    /// An error, or no STUN.
    Other,
}

/// Tells the class by the first octets.
pub fn class(datagram: &[u8]) -> Class {
    match datagram {
        [0x00, 0x01, ..] if datagram.len() >= 20 => Class::Request,
        [0x01, 0x01, ..] if datagram.len() >= 20 => Class::Success,
        _ => Class::Other,
    }
}

/// Both ends' credentials, with keyed hashes.
pub struct Credentials {
    /// `theirs:ours`.
    username: String,
    local: Box<dyn Mac>,
    remote: Box<dyn Mac>,
    transaction: u64,
}

impl Credentials {
    /// Takes what offer and answer say.
    pub fn new(
        (local_ufrag, local_password): (&str, &str),
        (remote_ufrag, remote_password): (&str, &str),
        crypto: &dyn RTCCrypto,
    ) -> Self {
        let key = |password: &str| {
            crypto
                .new_hmac(HmacAlgorithm::Sha1, password.as_bytes())
                .expect("HMAC-SHA1 is there")
        };
        Credentials {
            username: format!("{remote_ufrag}:{local_ufrag}"),
            local: key(local_password),
            remote: key(remote_password),
            transaction: rand::random(),
        }
    }

    /// A check that nominates.
    pub fn request(&mut self) -> Vec<u8> {
        self.transaction = self.transaction.wrapping_add(1);
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.transaction.to_be_bytes());
        let mut message = header(0x0001, &id);
        attribute(&mut message, USERNAME, self.username.as_bytes());
        attribute(&mut message, PRIORITY, &0x6eff_ffff_u32.to_be_bytes());
        attribute(&mut message, ICE_CONTROLLING, &[1; 8]);
        attribute(&mut message, USE_CANDIDATE, &[]);
        finish(message, self.remote.as_mut())
    }

    /// The answer to a check that came from `source`.
    pub fn response(&mut self, request: &[u8], source: SocketAddr) -> Vec<u8> {
        let id = request[8..20].try_into().expect("twelve octets");
        let mut message = header(0x0101, id);
        let SocketAddr::V4(source) = source else {
            panic!("the load tool stays on IPv4 loopback");
        };
        let mut value = vec![0, 1];
        value.extend((source.port() ^ (COOKIE >> 16) as u16).to_be_bytes());
        value.extend((u32::from(*source.ip()) ^ COOKIE).to_be_bytes());
        attribute(&mut message, XOR_MAPPED_ADDRESS, &value);
        finish(message, self.local.as_mut())
    }
}

fn header(kind: u16, id: &[u8; 12]) -> Vec<u8> {
    let mut message = Vec::with_capacity(128);
    message.extend(kind.to_be_bytes());
    message.extend([0, 0]);
    message.extend(COOKIE.to_be_bytes());
    message.extend(id);
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
    let length = (message.len() - 20) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// Adds integrity and fingerprint; each is made over a length that counts it in.
fn finish(mut message: Vec<u8>, key: &mut dyn Mac) -> Vec<u8> {
    let end = message.len();
    attribute(&mut message, MESSAGE_INTEGRITY, &[0; 20]);
    let mut tag = [0; 20];
    key.sign(&[&message[..end]], &mut tag)
        .expect("a tag of 20 octets");
    message[end + 4..].copy_from_slice(&tag);
    let end = message.len();
    attribute(&mut message, FINGERPRINT, &[0; 4]);
    let value = fingerprint_value(&message[..end]);
    message[end + 4..].copy_from_slice(&value.to_be_bytes());
    message
}
