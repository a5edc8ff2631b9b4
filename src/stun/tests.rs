//! What is written is read, by us and by an independent reader; no bytes do harm.

use std::net::SocketAddr;

use proptest::prelude::*;
use rtc_stun::attributes::ATTR_USERNAME;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{Getter, Message as Independent};
use rtc_stun::textattrs::TextAttribute;
use rtc_stun::xoraddr::XorMappedAddress;

use super::*;

fn key(password: &str) -> IntegrityKey {
    let provider = rtc_crypto::default_provider().expect("a provider");
    IntegrityKey::new(password, provider.crypto()).expect("a key")
}

fn request() -> Vec<u8> {
    Builder::new(Class::Request, [7; 12])
        .username("theirs", "ours")
        .priority(77)
        .role(IceRole::Controlling(5))
        .use_candidate()
        .finish(&mut key("secret"))
}

#[test]
fn what_we_build_the_stun_crate_reads() {
    let datagram = request();
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
    assert_eq!(read.fingerprint, Fingerprint::Right);
    assert_eq!(read.role, Some(IceRole::Controlling(5)));
    assert_eq!((read.priority, read.use_candidate), (Some(77), true));
    let halves = read.username_halves();
    assert_eq!(halves, Some((&b"theirs"[..], &b"ours"[..])));
}

#[test]
fn a_mapped_address_is_read_back() {
    for address in ["192.0.2.7:4711", "[2001:db8::7]:4711"] {
        let address: SocketAddr = address.parse().expect("an address");
        let datagram = Builder::new(Class::Success, [9; 12])
            .xor_mapped_address(address)
            .finish(&mut key("secret"));
        let mut message = Independent::new();
        message.unmarshal_binary(&datagram).expect("it parses");
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&message).expect("an address");
        assert_eq!((mapped.ip, mapped.port), (address.ip(), address.port()));
        let read = Message::parse(&datagram).expect("we read it too");
        assert_eq!(read.xor_mapped_address(), Some(address));
    }
}

#[test]
fn a_message_cut_or_bent_anywhere_is_refused() {
    let datagram = request();
    for length in 0..datagram.len() {
        let cut = &datagram[..length];
        assert!(Message::parse(cut).is_none(), "cut at {length}");
        let header = Header::read(cut);
        assert_eq!(header.is_some(), length >= HEADER_LENGTH);
        assert_eq!(Header::read_whole(cut), None);
    }
    for index in 0..datagram.len() {
        let mut bent = datagram.clone();
        bent[index] ^= 0x40;
        let message = Message::parse(&bent);
        let believed = message.is_some_and(|message| {
            message.fingerprint == Fingerprint::Right && message.is_authentic(&mut key("secret"))
        });
        assert!(!believed, "bent at {index}");
    }
}

#[test]
fn attribute_after_the_integrity_is_not_read() {
    let mut key = key("secret");
    let mut datagram = Builder::new(Class::Request, [7; 12])
        .username("theirs", "ours")
        .finish(&mut key);
    let fingerprint = datagram.len() - 8;
    datagram.splice(fingerprint.., [0, 0x25, 0, 0, 0, 0x24, 0, 4, 0, 0, 0, 9]);
    let length = (datagram.len() - HEADER_LENGTH) as u16;
    datagram[2..4].copy_from_slice(&length.to_be_bytes());
    let message = Message::parse(&datagram).expect("well formed");
    assert!(message.is_authentic(&mut key));
    assert_eq!((message.use_candidate, message.priority), (false, None));
    let kinds: Vec<_> = message.attributes().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [kind::USERNAME]);
}

#[test]
fn request_without_attributes_is_a_header() {
    let datagram = Builder::new(Class::Request, [3; 12]).finish_without_integrity();
    assert_eq!(datagram.len(), HEADER_LENGTH);
    let header = Header::read_whole(&datagram).expect("a header");
    assert_eq!(header.binding, Some(Class::Request));
    assert_eq!((header.transaction, header.length), ([3; 12], 0));
    let message = Message::parse(&datagram).expect("a message");
    assert_eq!(message.fingerprint, Fingerprint::Missing);
    assert!(!message.is_authentic(&mut key("secret")));
}

#[test]
fn other_protocols_and_methods_are_no_binding() {
    for other in [&b"INVITE sip:a SIP/2.0"[..], &[22; 30], &[0x80; 30], &[]] {
        assert!(!begins_like_stun(other));
        assert_eq!(Header::read(other), None);
    }
    let mut allocate = Builder::new(Class::Request, [3; 12]).finish_without_integrity();
    allocate[1] = 3;
    let header = Header::read_whole(&allocate).expect("STUN");
    assert_eq!(header.binding, None);
    assert!(Message::parse(&allocate).is_none());
    // RFC 3489, without the magic cookie.
    let mut old = allocate;
    old[4] = 0;
    assert!(begins_like_stun(&old));
    assert_eq!(Header::read(&old), None);
}

/// Bytes that are more often STUN than chance would make them.
fn almost_stun() -> impl Strategy<Value = Vec<u8>> {
    let attribute = (
        prop_oneof![
            Just(kind::USERNAME),
            Just(kind::MESSAGE_INTEGRITY),
            Just(kind::ERROR_CODE),
            Just(kind::XOR_MAPPED_ADDRESS),
            Just(kind::PRIORITY),
            Just(kind::FINGERPRINT),
            Just(kind::ICE_CONTROLLED),
            any::<u16>(),
        ],
        prop_oneof![Just(None), any::<u16>().prop_map(Some)],
        proptest::collection::vec(any::<u8>(), 0..40),
    );
    let attributes = proptest::collection::vec(attribute, 0..8);
    let kinds = prop_oneof![Just(1_u16), Just(0x0101), Just(0x0111), any::<u16>()];
    (kinds, attributes, any::<bool>()).prop_map(|(kind, attributes, right_length)| {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0, 0x21, 0x12, 0xa4, 0x42]);
        bytes.extend_from_slice(&[5; 12]);
        for (kind, length, value) in attributes {
            let length = length.unwrap_or(value.len() as u16);
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        if right_length {
            let length = (bytes.len() - HEADER_LENGTH) as u16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_the_reader_panic(
        bytes in prop_oneof![almost_stun(), proptest::collection::vec(any::<u8>(), 0..200)],
    ) {
        let header = Header::read_whole(&bytes);
        let message = Message::parse(&bytes);
        prop_assert!(header.is_some() || message.is_none());
        if let Some(message) = message {
            prop_assert_eq!(message.length(), bytes.len());
            // Each attribute takes at least its header.
            let count = message.attributes().count();
            prop_assert!(count <= (bytes.len() - HEADER_LENGTH) / 4);
            prop_assert!(message.username.is_none_or(|name| name.len() < bytes.len()));
            let _ = message.xor_mapped_address();
            prop_assert!(!message.is_authentic(&mut key("secret")));
        }
    }

    #[test]
    fn what_is_written_is_read_and_bounded(
        receiver in "[a-zA-Z0-9+/]{0,64}",
        sender in "[a-zA-Z0-9+/]{0,64}",
        priority in any::<u32>(),
        tie_breaker in any::<u64>(),
        transaction in any::<[u8; 12]>(),
    ) {
        let datagram = Builder::new(Class::Request, transaction)
            .username(&receiver, &sender)
            .priority(priority)
            .role(IceRole::Controlled(tie_breaker))
            .finish(&mut key("secret"));
        // Header, four attribute headers, padding, PRIORITY, role, integrity, fingerprint.
        prop_assert!(datagram.len() <= 20 + 5 * 4 + receiver.len() + sender.len() + 4 + 4 + 8 + 20 + 4);
        let message = Message::parse(&datagram).expect("ours");
        prop_assert_eq!(message.transaction, transaction);
        let halves = message.username_halves();
        prop_assert_eq!(halves, Some((receiver.as_bytes(), sender.as_bytes())));
        prop_assert_eq!(message.priority, Some(priority));
        prop_assert_eq!(message.role, Some(IceRole::Controlled(tie_breaker)));
        prop_assert!(message.is_authentic(&mut key("secret")));
    }
}
