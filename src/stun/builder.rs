//! Writes Binding messages.

use std::net::SocketAddr;

use rtc_stun::fingerprint::fingerprint_value;
use rtc_stun::message::MAGIC_COOKIE;

use super::address;
use super::attributes::{ATTRIBUTE_HEADER, kind};
use super::header::{Class, HEADER_LENGTH, TransactionId};
use super::integrity::{IntegrityKey, signed_length};
use super::message::IceRole;

/// Octets of the value of FINGERPRINT.
const FINGERPRINT_LENGTH: usize = 4;

/// A Binding message that is being written.
pub struct Builder {
    bytes: Vec<u8>,
    transaction: TransactionId,
}

impl Builder {
    /// A message without attributes.
    pub fn new(class: Class, transaction: TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&class.binding().to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        bytes.extend_from_slice(&transaction);
        Builder { bytes, transaction }
    }

    fn add(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes
            .extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn set_length(&mut self, length: [u8; 2]) {
        self.bytes[2..4].copy_from_slice(&length);
    }

    /// USERNAME of ICE.
    #[must_use]
    pub fn username(mut self, receiver: &str, sender: &str) -> Self {
        let username = format!("{receiver}:{sender}");
        self.add(kind::USERNAME, username.as_bytes());
        self
    }

    /// PRIORITY.
    #[must_use]
    pub fn priority(mut self, priority: u32) -> Self {
        self.add(kind::PRIORITY, &priority.to_be_bytes());
        self
    }

    /// ICE-CONTROLLING or ICE-CONTROLLED.
    #[must_use]
    pub fn role(mut self, role: IceRole) -> Self {
        match role {
            IceRole::Controlling(tie) => self.add(kind::ICE_CONTROLLING, &tie.to_be_bytes()),
            IceRole::Controlled(tie) => self.add(kind::ICE_CONTROLLED, &tie.to_be_bytes()),
        }
        self
    }

    /// USE-CANDIDATE.
    #[must_use]
    pub fn use_candidate(mut self) -> Self {
        self.add(kind::USE_CANDIDATE, &[]);
        self
    }

    /// ERROR-CODE.
    #[must_use]
    pub fn error_code(mut self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend_from_slice(reason.as_bytes());
        self.add(kind::ERROR_CODE, &value);
        self
    }

    /// XOR-MAPPED-ADDRESS.
    #[must_use]
    pub fn xor_mapped_address(mut self, address: SocketAddr) -> Self {
        let value = address::write(address, &self.transaction);
        self.add(kind::XOR_MAPPED_ADDRESS, &value);
        self
    }

    /// Adds MESSAGE-INTEGRITY and FINGERPRINT, and gives the datagram.
    pub fn finish(mut self, key: &mut IntegrityKey) -> Vec<u8> {
        self.set_length(signed_length(self.bytes.len()));
        let tag = key.sign(&self.bytes);
        self.add(kind::MESSAGE_INTEGRITY, &tag);
        let length = self.bytes.len() - HEADER_LENGTH + ATTRIBUTE_HEADER + FINGERPRINT_LENGTH;
        self.set_length((length as u16).to_be_bytes());
        let checksum = fingerprint_value(&self.bytes);
        self.add(kind::FINGERPRINT, &checksum.to_be_bytes());
        self.bytes
    }

    /// The datagram as it is: a request outside ICE has no key.
    pub fn finish_without_integrity(mut self) -> Vec<u8> {
        let length = self.bytes.len() - HEADER_LENGTH;
        self.set_length((length as u16).to_be_bytes());
        self.bytes
    }
}
