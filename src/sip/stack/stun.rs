//! STUN beside SIP on a UDP socket (RFC 5626 section 8): Binding requests without attributes, when
//! they are repeated (RFC 8489 section 6.2.1), and what their answers say.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::stun::{Builder, Class, Header, Message, TransactionId, kind};
use bytes::Bytes;

/// Wait before the first repetition (RFC 8489 section 6.2.1: RTO, while nothing is known of the
/// way); each one after it is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Requests in all (Rc).
const REQUESTS: u32 = 7;
/// The wait after the last one, in first waits (Rm).
const LAST_WAIT: u32 = 16;

/// What somebody wants with a STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A response to a Binding request, by its transaction.
    Response(TransactionId),
    /// A request, an indication, or another method.
    Other,
}

impl Kind {
    /// By the header alone, without a look at the attributes; `None` for what is no STUN.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let header = Header::read_whole(datagram)?;
        Some(match header.binding {
            Some(Class::Success | Class::Error) => Kind::Response(header.transaction),
            Some(Class::Request | Class::Indication) | None => Kind::Other,
        })
    }
}

/// What the far end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Where it sees us.
    Seen(SocketAddr),
    /// It does not do what we asked: an error, or a success that does not say where it sees us or
    /// has attributes that must be understood and are not (RFC 8489 section 6.3.3).
    Refused,
}

impl Answer {
    /// Reads a response; `None` where its attributes cannot be told apart.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let message = Message::parse(datagram)?;
        let understood = message.attributes().all(|(kind, _)| is_understood(kind));
        if message.class != Class::Success || !understood {
            return Some(Answer::Refused);
        }
        let seen = message.xor_mapped_address().filter(|seen| seen.port() != 0);
        Some(seen.map_or(Answer::Refused, Answer::Seen))
    }
}

/// Whether an attribute may be left out of account (RFC 8489 section 14) or changes nothing of an
/// answer.
const fn is_understood(kind: u16) -> bool {
    kind >= 0x8000 || is_known(kind)
}

/// Attributes that must be understood and change nothing of an answer: those of RFC 8489 section
/// 18.3, and those of RFC 3489 that old servers still send.
const fn is_known(kind: u16) -> bool {
    matches!(kind, 0x01..=0x0b | 0x14 | 0x15 | 0x1c..=0x1e | kind::XOR_MAPPED_ADDRESS)
}

/// A Binding request that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    transaction: TransactionId,
    sent: u32,
    next: Instant,
}

impl Binding {
    /// One that is sent now; `transaction` comes from a random source that nobody guesses.
    pub fn new(transaction: TransactionId, now: Instant) -> Self {
        Binding {
            transaction,
            sent: 1,
            next: now + FIRST_WAIT,
        }
    }

    /// Its bytes, the same each time.
    pub fn request(&self) -> Bytes {
        Builder::new(Class::Request, self.transaction)
            .finish_without_integrity()
            .into()
    }

    /// Whether a response to this transaction is meant for it.
    pub fn is(&self, transaction: TransactionId) -> bool {
        self.transaction == transaction
    }

    /// When it is repeated, or given up.
    pub fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// Gives the bytes to repeat when that moment has come; `None` when nobody answers.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Bytes> {
        if self.sent == REQUESTS {
            return None;
        }
        self.next = now
            + if self.sent + 1 == REQUESTS {
                FIRST_WAIT * LAST_WAIT
            } else {
                FIRST_WAIT * (1 << self.sent)
            };
        self.sent += 1;
        Some(self.request())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time needs a start")]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use rtc_stun::attributes::AttrType;
    use rtc_stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};

    use super::{Answer, Binding, Kind};
    use crate::stun::{HEADER_LENGTH, Header, begins_like_stun};
    use std::time::Instant;

    /// The responses of RFC 5769 sections 2.2 and 2.3: SOFTWARE, XOR-MAPPED-ADDRESS,
    /// MESSAGE-INTEGRITY, FINGERPRINT.
    const BY_IPV4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
        002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
    const BY_IPV6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
        002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275\
        bfe3ed4180280004c8fb0b4c";
    const THEIR_TRANSACTION: [u8; 12] = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        let digits: Vec<u8> = hexadecimal
            .chars()
            .map(|digit| u8::try_from(digit.to_digit(16).expect("a digit")).expect("small"))
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    fn success(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = Message::new();
        message.typ = BINDING_SUCCESS;
        message.write_header();
        for (kind, value) in attributes {
            message.add(AttrType(*kind), value);
        }
        message.raw
    }

    #[test]
    fn the_vectors_of_rfc_5769_are_read() {
        for (vector, seen) in [
            (BY_IPV4, "192.0.2.1:32853"),
            (BY_IPV6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        ] {
            let datagram = bytes(vector);
            assert!(begins_like_stun(&datagram));
            let kind = Kind::read(&datagram);
            assert_eq!(kind, Some(Kind::Response(THEIR_TRANSACTION)));
            let seen = seen.parse().expect("an address");
            assert_eq!(Answer::read(&datagram), Some(Answer::Seen(seen)));
        }
    }

    #[test]
    fn a_response_cut_anywhere_is_no_message() {
        let datagram = bytes(BY_IPV4);
        for length in 0..datagram.len() {
            assert_eq!(Kind::read(&datagram[..length]), None, "cut at {length}");
            assert_eq!(Answer::read(&datagram[..length]), None, "cut at {length}");
        }
        let longer = [&datagram[..], &[0; 4]].concat();
        assert_eq!(Kind::read(&longer), None);
        // An attribute that goes beyond the end.
        let mut bent = datagram;
        bent[22] = 0xff;
        assert_eq!(Answer::read(&bent), None);
    }

    #[test]
    fn attributes_of_any_bytes_are_read_without_harm() {
        let mut random = StdRng::seed_from_u64(7);
        let (mut unreadable, mut read) = (0, 0);
        for _ in 0..20_000 {
            let mut datagram = bytes(BY_IPV6);
            // Kinds, lengths and values alike; the header stays, as it is looked at before.
            for _ in 0..random.random_range(1..8) {
                let at = random.random_range(HEADER_LENGTH..datagram.len());
                datagram[at] = random.random();
            }
            match Answer::read(&datagram) {
                Some(_) => read += 1,
                None => unreadable += 1,
            }
        }
        assert!(unreadable > 1_000 && read > 1_000, "{unreadable} {read}");
    }

    #[test]
    fn answers_that_do_not_say_where_they_see_us_are_refusals() {
        let address: &[u8] = &[0, 1, 0x12, 0x34, 1, 2, 3, 4];
        let refused = [
            success(&[]),
            // MAPPED-ADDRESS alone, as of RFC 3489.
            success(&[(0x01, address)]),
            success(&[(0x20, &address[..6])]),
            success(&[(0x20, &[0, 3, 0, 0, 1, 2, 3, 4])]),
            // Port 0.
            success(&[(0x20, &[0, 1, 0x21, 0x12, 1, 2, 3, 4])]),
            // Must be understood, and is not.
            success(&[(0x20, address), (0x7f, &[])]),
        ];
        for datagram in refused {
            let answer = Answer::read(&datagram);
            assert_eq!(answer, Some(Answer::Refused), "{datagram:02x?}");
        }
        let mut error = Message::new();
        error.typ = BINDING_ERROR;
        error.write_header();
        assert_eq!(Answer::read(&error.raw), Some(Answer::Refused));
        let old = success(&[(0x04, address), (0x05, address), (0x20, address)]);
        assert!(matches!(Answer::read(&old), Some(Answer::Seen(_))));
    }

    #[test]
    fn requests_of_others_are_told_from_responses_and_from_sip() {
        let mut message = Message::new();
        message.write_header();
        assert!(BINDING_REQUEST.add_to(&mut message).is_ok());
        assert_eq!(Kind::read(&message.raw), Some(Kind::Other));
        for sip in ["INVITE sip:a SIP/2.0", "!x sip:a SIP/2.0", "SIP/2.0 200 OK"] {
            assert!(!begins_like_stun(sip.as_bytes()), "{sip}");
        }
    }

    #[test]
    fn a_request_is_sent_seven_times_and_given_up_after_forty_seconds() {
        let start = Instant::now();
        let mut binding = Binding::new([7; 12], start);
        let first = binding.request();
        assert_eq!(first.len(), HEADER_LENGTH);
        let header = Header::read(&first).expect("a header");
        assert_eq!(header.transaction, [7; 12]);
        let mut sent = vec![0];
        let given_up = loop {
            let now = binding.poll_timeout();
            let at = (now - start).as_millis();
            match binding.handle_timeout(now) {
                Some(again) => assert_eq!(again, first),
                None => break at,
            }
            sent.push(at);
        };
        // The very moments of RFC 8489 section 6.2.1.
        assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(given_up, 39_500);
    }
}
