//! XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).

use std::net::{IpAddr, SocketAddr};

use rtc_stun::message::MAGIC_COOKIE;

use super::header::TransactionId;

/// What the octets of an address are combined with.
fn mask(transaction: &TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(transaction);
    mask
}

/// The value for an address.
pub(super) fn write(address: SocketAddr, transaction: &TransactionId) -> Vec<u8> {
    let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
    let mask = mask(transaction);
    let mut value = Vec::with_capacity(20);
    value.push(0);
    value.push(if address.is_ipv4() { 1 } else { 2 });
    value.extend_from_slice(&port.to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => value.extend(ip.octets().iter().zip(mask).map(|(a, b)| a ^ b)),
        IpAddr::V6(ip) => value.extend(ip.octets().iter().zip(mask).map(|(a, b)| a ^ b)),
    }
    value
}

/// The address of a value; `None` where it is too short or too long for its family, or the family
/// is none.
pub(super) fn read(value: &[u8], transaction: &TransactionId) -> Option<SocketAddr> {
    let ([_, family, port @ ..], masked) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes(*port) ^ (MAGIC_COOKIE >> 16) as u16;
    let mut octets: [u8; 16] = mask(transaction);
    for (octet, masked) in octets.iter_mut().zip(masked) {
        *octet ^= masked;
    }
    let ip = match (*family, masked.len()) {
        (1, 4) => IpAddr::from(*octets.first_chunk::<4>()?),
        (2, 16) => IpAddr::from(octets),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
