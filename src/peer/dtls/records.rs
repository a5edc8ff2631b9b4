//! What of a DTLS datagram is let through to the handshake.
//!
//! `rtc-dtls` keeps every handshake fragment it is given, and stops its retransmission timer at
//! each, even at one it had before: when both ends lose a flight, both would wait for ever. So
//! fragments that were let through once are not let through again, and there is a limit to all
//! that is. Records that only a forger sends are kept out too: they would draw a fatal alert. Alerts
//! are bounded as well, so that two ends never answer each other's without end.
//!
//! It also takes all of a record but its header for one message, while browsers may put the end of
//! one message and the beginning of the next into one record. So each fragment gets a record of
//! its own here, with a number of its own: before there are keys the numbers prove nothing.

use crate::peer::Drop;

const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;
/// Distinct handshake fragments of one association; an honest peer sends about ten.
const MAX_FRAGMENTS: usize = 256;
/// Their bytes: room for a certificate chain.
const MAX_BYTES: usize = 64 * 1024;
/// Longest single handshake message that is put together.
const MAX_MESSAGE: u32 = 32 * 1024;
/// Records that wait in `rtc-dtls` for keys.
const MAX_WAITING: u32 = 64;
/// Repeats of the first ClientHello, each of which asks again for the HelloVerifyRequest.
const MAX_FIRST_REPEATS: u32 = 16;

/// Alerts without keys: an honest peer sends one, perhaps repeated.
const MAX_ALERTS: u32 = 8;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// Levels of an alert (RFC 5246 section 7.2).
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// A handshake fragment's place.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fragment {
    message_sequence: u16,
    offset: u32,
    length: u32,
}

/// Remembers what was let through.
#[derive(Default)]
pub(super) struct Records {
    fragments: Vec<Fragment>,
    bytes: usize,
    waiting: u32,
    first_repeats: u32,
    alerts: u32,
    /// The number of the next record without keys.
    next_number: u64,
}

impl Records {
    /// The records of the datagram that are let through, or why none is. `server`: we are the
    /// DTLS server; `established`: the handshake is over.
    pub(super) fn admit(
        &mut self,
        datagram: &[u8],
        server: bool,
        established: bool,
    ) -> Result<Vec<u8>, Drop> {
        let mut admitted = Vec::with_capacity(datagram.len());
        let mut rest = datagram;
        while !rest.is_empty() {
            let header = rest.get(..RECORD_HEADER).ok_or(Drop::DtlsMalformed)?;
            let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
            if length == 0 || rest.len() < RECORD_HEADER + length {
                return Err(Drop::DtlsMalformed);
            }
            let (record, after) = rest.split_at(RECORD_HEADER + length);
            rest = after;
            let has_keys = header[3..5] != [0, 0];
            if has_keys {
                // It has to prove itself by them.
                if established || self.may_wait() {
                    admitted.extend_from_slice(record);
                }
            } else if !established {
                self.admit_plain(record, server, &mut admitted)?;
            }
        }
        if admitted.is_empty() {
            return Err(Drop::DtlsSurplus);
        }
        Ok(admitted)
    }

    /// Whether nothing was let through yet.
    pub(super) fn is_new(&self) -> bool {
        self.next_number == 0 && self.waiting == 0
    }

    fn may_wait(&mut self) -> bool {
        self.waiting += 1;
        self.waiting <= MAX_WAITING
    }

    /// A record of epoch 0.
    fn admit_plain(
        &mut self,
        record: &[u8],
        server: bool,
        admitted: &mut Vec<u8>,
    ) -> Result<(), Drop> {
        let (header, content) = record.split_at(RECORD_HEADER);
        match header[0] {
            CHANGE_CIPHER_SPEC if content == [1] => {
                if self.may_wait() {
                    self.append(header, content, admitted);
                }
                Ok(())
            }
            ALERT if matches!(content, [WARNING | FATAL, _]) => {
                self.alerts += 1;
                if self.alerts <= MAX_ALERTS {
                    self.append(header, content, admitted);
                }
                Ok(())
            }
            HANDSHAKE => self.admit_handshake(header, content, server, admitted),
            _ => Err(Drop::DtlsMalformed),
        }
    }

    /// Adds a record with this content and the next number.
    fn append(&mut self, header: &[u8], content: &[u8], admitted: &mut Vec<u8>) {
        // Type and version, epoch 0.
        admitted.extend_from_slice(&header[..5]);
        admitted.extend_from_slice(&self.next_number.to_be_bytes()[2..]);
        admitted.extend_from_slice(&(content.len() as u16).to_be_bytes());
        admitted.extend_from_slice(content);
        self.next_number += 1;
    }

    /// A record of handshake fragments (RFC 6347 section 4.2.2).
    fn admit_handshake(
        &mut self,
        header: &[u8],
        content: &[u8],
        server: bool,
        admitted: &mut Vec<u8>,
    ) -> Result<(), Drop> {
        let mut rest = content;
        while !rest.is_empty() {
            let message = rest.get(..MESSAGE_HEADER).ok_or(Drop::DtlsMalformed)?;
            let total = u32_of(&message[1..4]);
            let fragment = Fragment {
                message_sequence: u16::from_be_bytes([message[4], message[5]]),
                offset: u32_of(&message[6..9]),
                length: u32_of(&message[9..12]),
            };
            let size = MESSAGE_HEADER + fragment.length as usize;
            if total > MAX_MESSAGE
                || fragment.offset + fragment.length > total
                || (fragment.length == 0 && total > 0)
                || rest.len() < size
            {
                return Err(Drop::DtlsMalformed);
            }
            let (whole, after) = rest.split_at(size);
            rest = after;
            if self.admit_fragment(fragment, server) {
                self.append(header, whole, admitted);
            }
        }
        Ok(())
    }

    fn admit_fragment(&mut self, fragment: Fragment, server: bool) -> bool {
        if self.fragments.contains(&fragment) {
            // The only flight that is not repeated by a timer is the HelloVerifyRequest: it is
            // repeated when its ClientHello is (RFC 6347 section 4.2.1).
            let only_first = self.fragments.iter().all(|f| f.message_sequence == 0);
            self.first_repeats += u32::from(only_first);
            return server && only_first && self.first_repeats <= MAX_FIRST_REPEATS;
        }
        let bytes = MESSAGE_HEADER + fragment.length as usize;
        if self.fragments.len() == MAX_FRAGMENTS || self.bytes + bytes > MAX_BYTES {
            return false;
        }
        self.bytes += bytes;
        self.fragments.push(fragment);
        true
    }
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content_type: u8, epoch: u16, number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![content_type, 254, 253];
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, number]);
        bytes.extend_from_slice(&(content.len() as u16).to_be_bytes());
        bytes.extend_from_slice(content);
        bytes
    }

    fn fragment(sequence: u16, total: u8, offset: u8, body: &[u8]) -> Vec<u8> {
        let mut content = vec![1, 0, 0, total];
        content.extend_from_slice(&sequence.to_be_bytes());
        content.extend_from_slice(&[0, 0, offset, 0, 0, body.len() as u8]);
        content.extend_from_slice(body);
        content
    }

    fn message(sequence: u16, body: &[u8]) -> Vec<u8> {
        fragment(sequence, body.len() as u8, 0, body)
    }

    #[test]
    fn a_flight_that_is_repeated_is_let_through_once() {
        let mut records = Records::default();
        let of = |number, sequence, body| record(HANDSHAKE, 0, number, &message(sequence, body));
        let flight = [of(7, 1, b"certificate"), of(8, 2, b"key")].concat();
        let renumbered = [of(0, 1, b"certificate"), of(1, 2, b"key")].concat();
        assert_eq!(records.admit(&flight, true, false), Ok(renumbered));
        assert_eq!(records.admit(&flight, true, false), Err(Drop::DtlsSurplus));
        let longer = [flight, of(9, 3, b"verify")].concat();
        let new = of(2, 3, b"verify");
        assert_eq!(records.admit(&longer, true, false), Ok(new));
    }

    #[test]
    fn fragments_that_share_a_record_are_parted() {
        let mut records = Records::default();
        let (end, next) = (fragment(1, 9, 4, b"icate"), message(2, b"key"));
        let shared = record(HANDSHAKE, 0, 5, &[end.clone(), next.clone()].concat());
        let parted = [
            record(HANDSHAKE, 0, 0, &end),
            record(HANDSHAKE, 0, 1, &next),
        ]
        .concat();
        assert_eq!(records.admit(&shared, true, false), Ok(parted));
    }

    #[test]
    fn a_server_hears_the_first_hello_again_until_the_second_comes() {
        let mut records = Records::default();
        let first = record(HANDSHAKE, 0, 0, &message(0, b"hello"));
        let second = record(HANDSHAKE, 0, 1, &message(1, b"hello"));
        assert!(records.admit(&first, true, false).is_ok());
        assert!(records.admit(&first, true, false).is_ok());
        assert!(records.admit(&second, true, false).is_ok());
        assert_eq!(records.admit(&first, true, false), Err(Drop::DtlsSurplus));
    }

    #[test]
    fn once_established_nothing_without_keys_passes() {
        let mut records = Records::default();
        let alert = record(ALERT, 0, 0, &[2, 40]);
        assert!(records.admit(&alert, true, false).is_ok());
        assert_eq!(records.admit(&alert, true, true), Err(Drop::DtlsSurplus));
        let protected = record(ALERT, 1, 0, &[0; 30]);
        assert_eq!(records.admit(&protected, true, true), Ok(protected));
    }

    #[test]
    fn alerts_have_two_octets_and_a_limit() {
        let mut records = Records::default();
        for content in [&[1][..], &[2, 40, 0]] {
            let outcome = records.admit(&record(ALERT, 0, 0, content), true, false);
            assert_eq!(outcome, Err(Drop::DtlsMalformed), "{content:?}");
        }
        let warning = record(ALERT, 0, 0, &[1, 90]);
        let passed = (0..100)
            .filter(|_| records.admit(&warning, true, false).is_ok())
            .count();
        assert_eq!(passed, 8);
    }

    #[test]
    fn fragments_have_a_limit() {
        let mut records = Records::default();
        let passed = (0..1000)
            .map(|sequence| record(HANDSHAKE, 0, 0, &message(sequence, b"x")))
            .filter(|datagram| records.admit(datagram, true, false).is_ok())
            .count();
        assert_eq!(passed, MAX_FRAGMENTS);
    }

    #[test]
    fn what_does_not_parse_is_malformed() {
        let mut records = Records::default();
        for content in [
            &[1, 0, 0][..],
            &fragment(0, 1, 4, b"beyond"),
            &fragment(0, 200, 0, b""),
            &message(0, b"hello")[..14],
        ] {
            let datagram = record(HANDSHAKE, 0, 0, content);
            let outcome = records.admit(&datagram, true, false);
            assert_eq!(outcome, Err(Drop::DtlsMalformed), "{content:?}");
        }
    }
}
