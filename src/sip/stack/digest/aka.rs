//! AKA as a client (RFC 3310): the nonce is a challenge of the network's to the subscriber's key,
//! the password is the key's response. Milenage (3GPP TS 35.206) computes it.
//!
//! Sequence numbers are checked as 3GPP TS 33.102 annex C.2 says, in memory: after a restart the
//! first challenge is taken as it comes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use milenage::Milenage;
use subtle::ConstantTimeEq as _;

use crate::redacted::Redacted;

/// Low bits of a sequence number that number its array (TS 33.102 annex C.1.2).
const INDEX_BITS: u32 = 5;
/// Arrays of sequence numbers.
const ARRAYS: usize = 1 << INDEX_BITS;

/// A subscriber's key (3GPP TS 35.206) for AKA digest (RFC 3310).
#[derive(Debug, Clone)]
pub struct Aka {
    /// K.
    pub key: Redacted<[u8; 16]>,
    /// OP of the operator, where OPc is not given.
    pub op: Option<Redacted<[u8; 16]>>,
    /// OPc.
    pub opc: Option<Redacted<[u8; 16]>>,
    /// AMF of resynchronisation tokens, zero by TS 33.102 section 6.3.3.
    pub field: [u8; 2],
}

/// One subscriber's key and how far its sequence numbers are.
#[derive(Debug)]
pub struct Subscriber {
    key: Redacted<[u8; 16]>,
    operator: Redacted<[u8; 16]>,
    field: [u8; 2],
    /// Highest sequence number taken, by array; the whole number, array included.
    highest: [u64; ARRAYS],
}

/// What the key says to a challenge.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// The network knows the key: this is the password.
    Proven(Redacted<Vec<u8>>),
    /// It does, but its sequence number was used before: this token, in base64, puts it right.
    OutOfStep(String),
}

impl Subscriber {
    /// A subscriber that was never challenged.
    pub fn new(aka: &Aka) -> Self {
        let operator = match (&aka.opc, &aka.op) {
            (Some(derived), _) => *derived.reveal(),
            (None, op) => {
                let op = op.as_ref().map_or([0; 16], |op| *op.reveal());
                *Milenage::new_with_op(*aka.key.reveal(), op).opc()
            }
        };
        Subscriber {
            key: aka.key,
            operator: Redacted::new(operator),
            field: aka.field,
            highest: [0; ARRAYS],
        }
    }

    /// Answers the challenge in a nonce (RFC 3310 section 3.2): base64 of RAND, AUTN and what the
    /// server likes. `None` when it holds no challenge of a network that knows the key.
    pub fn reply(&mut self, nonce: &str) -> Option<Reply> {
        let bytes = STANDARD.decode(nonce).ok()?;
        let random: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
        let token = bytes.get(16..32)?;
        let mut key = Milenage::new_with_opc(*self.key.reveal(), *self.operator.reveal());
        let (response, _, _, mask) = key.f2345(&random);
        let sequence = masked(token[..6].try_into().ok()?, mask);
        let field: [u8; 2] = token[6..8].try_into().ok()?;
        let expected = key.f1(&random, &sequence, &field);
        if !bool::from(expected.ct_eq(&token[8..16])) {
            return None;
        }
        let number = sequence.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let array = (number % ARRAYS as u64) as usize;
        if number > self.highest[array] {
            self.highest[array] = number;
            return Some(Reply::Proven(Redacted::new(response.to_vec())));
        }
        let ours = self.highest.iter().max().copied().unwrap_or(0);
        let mut sequence = [0; 6];
        sequence.copy_from_slice(&ours.to_be_bytes()[2..]);
        let proof = key.f1star(&random, &sequence, &self.field);
        let mask = key.f5star(&random);
        let mut auts = masked(sequence, mask).to_vec();
        auts.extend(proof);
        Some(Reply::OutOfStep(STANDARD.encode(auts)))
    }
}

fn masked(mut bytes: [u8; 6], mask: [u8; 6]) -> [u8; 6] {
    for (byte, mask) in bytes.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let mut bytes = [0; N];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal");
        }
        bytes
    }

    /// Test set 1 of 3GPP TS 35.208 section 4.3.
    const KEY: &str = "465b5ce8b199b49faa5f0a2ee238a6bc";
    const RANDOM: &str = "23553cbe9637a89d218ae64dae47bf35";
    const OP: &str = "cdc202d5123e20f62b6d676ac72cb318";
    const OPC: &str = "cd63cb71954a9f4e48a5994e37a02baf";

    fn subscriber(op: Option<&str>, opc: Option<&str>) -> Subscriber {
        let secret = |hex: &str| Redacted::new(bytes(hex));
        Subscriber::new(&Aka {
            key: secret(KEY),
            op: op.map(secret),
            opc: opc.map(secret),
            // So that f1* of the set is met, which is given for the set's own field.
            field: bytes("b9b9"),
        })
    }

    /// RAND and AUTN of the set: SQN ff9bb4d0b607 masked with AK aa689c648370, AMF b9b9, MAC-A.
    fn nonce(more: &[u8]) -> String {
        let token: [u8; 16] = bytes("55f328b43577b9b94a9ffac354dfafb3");
        STANDARD.encode([&bytes::<16>(RANDOM)[..], &token, more].concat())
    }

    #[test]
    fn test_set_1_of_ts_35_208_gives_its_response_by_op_and_by_opc() {
        for mut subscriber in [subscriber(Some(OP), None), subscriber(None, Some(OPC))] {
            let response = Redacted::new(bytes::<8>("a54211d5e3ba50bf").to_vec());
            let reply = subscriber.reply(&nonce(b"more of the server's"));
            assert_eq!(reply, Some(Reply::Proven(response)));
        }
    }

    #[test]
    fn a_sequence_number_taken_before_asks_for_a_new_one_with_f1_star_and_f5_star() {
        let mut subscriber = subscriber(None, Some(OPC));
        assert!(subscriber.reply(&nonce(b"")).is_some());
        // SQN ff9bb4d0b607 masked with AK* 451e8beca43b, then MAC-S 01cfaf9ec4e871e9.
        let auts: [u8; 14] = bytes("ba853f3c123c01cfaf9ec4e871e9");
        let expected = Reply::OutOfStep(STANDARD.encode(auts));
        assert_eq!(subscriber.reply(&nonce(b"")), Some(expected));
    }

    #[test]
    fn a_network_without_the_key_gets_no_answer() {
        let mut subscriber = subscriber(None, Some(OPC));
        let mut forged = STANDARD.decode(nonce(b"")).expect("base64");
        forged[31] ^= 1;
        for nonce in ["", "no base64!", "c2hvcnQ=", &STANDARD.encode(forged)] {
            assert_eq!(subscriber.reply(nonce), None, "{nonce}");
        }
    }
}
