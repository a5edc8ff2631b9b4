//! What of a DTLS datagram is let through to the handshake.
//!
//! `rtc-dtls` keeps every handshake fragment it is given, and stops its retransmission timer at
//! each, even at one it had before: when both ends lose a flight, both would wait for ever. So
//! fragments that were let through once are not let through again, and there is a limit to all
//! that is. Records that only a forger sends are kept out too: they would draw a fatal alert.

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

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

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
            if self.admit_record(record, server, established)? {
                admitted.extend_from_slice(record);
            }
            rest = after;
        }
        if admitted.is_empty() {
            return Err(Drop::DtlsSurplus);
        }
        Ok(admitted)
    }

    fn admit_record(
        &mut self,
        record: &[u8],
        server: bool,
        established: bool,
    ) -> Result<bool, Drop> {
        let content = &record[RECORD_HEADER..];
        let encrypted = record[3..5] != [0, 0];
        if established {
            // Only what has to prove itself by the keys.
            return Ok(encrypted);
        }
        if encrypted {
            return Ok(self.admit_waiting());
        }
        match record[0] {
            CHANGE_CIPHER_SPEC if content == [1] => Ok(self.admit_waiting()),
            ALERT if content.len() == 2 => Ok(true),
            HANDSHAKE => self.admit_handshake(content, server),
            _ => Err(Drop::DtlsMalformed),
        }
    }

    fn admit_waiting(&mut self) -> bool {
        self.waiting += 1;
        self.waiting <= MAX_WAITING
    }

    /// A record of whole handshake fragments (RFC 6347 section 4.2.2).
    fn admit_handshake(&mut self, content: &[u8], server: bool) -> Result<bool, Drop> {
        let mut new = Vec::new();
        let mut repeats_first = false;
        let mut rest = content;
        while !rest.is_empty() {
            let header = rest.get(..MESSAGE_HEADER).ok_or(Drop::DtlsMalformed)?;
            let total = u32_of(&header[1..4]);
            let fragment = Fragment {
                message_sequence: u16::from_be_bytes([header[4], header[5]]),
                offset: u32_of(&header[6..9]),
                length: u32_of(&header[9..12]),
            };
            let size = MESSAGE_HEADER + fragment.length as usize;
            if total > MAX_MESSAGE
                || fragment.offset + fragment.length > total
                || (fragment.length == 0 && total > 0)
                || rest.len() < size
            {
                return Err(Drop::DtlsMalformed);
            }
            // `rtc-dtls` takes a fragment that is not the last of a record for the whole message.
            if rest.len() > size && fragment.length != total {
                return Err(Drop::DtlsMalformed);
            }
            if !self.fragments.contains(&fragment) {
                new.push(fragment);
            }
            repeats_first |= fragment.message_sequence == 0;
            rest = &rest[size..];
        }
        if new.is_empty() {
            // The only flight that is not repeated by a timer is the HelloVerifyRequest: it is
            // repeated when its ClientHello is (RFC 6347 section 4.2.1).
            let only_first = self.fragments.iter().all(|f| f.message_sequence == 0);
            if server && repeats_first && only_first && self.first_repeats < MAX_FIRST_REPEATS {
                self.first_repeats += 1;
                return Ok(true);
            }
            return Ok(false);
        }
        if self.fragments.len() + new.len() > MAX_FRAGMENTS
            || self.bytes + content.len() > MAX_BYTES
        {
            return Ok(false);
        }
        self.bytes += content.len();
        self.fragments.append(&mut new);
        Ok(true)
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

    fn record(content_type: u8, epoch: u16, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![content_type, 254, 253];
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&(content.len() as u16).to_be_bytes());
        bytes.extend_from_slice(content);
        bytes
    }

    fn handshake(sequence: u16, body: &[u8]) -> Vec<u8> {
        let length = [0, (body.len() >> 8) as u8, body.len() as u8];
        let mut content = vec![1];
        content.extend_from_slice(&length);
        content.extend_from_slice(&sequence.to_be_bytes());
        content.extend_from_slice(&[0, 0, 0]);
        content.extend_from_slice(&length);
        content.extend_from_slice(body);
        record(HANDSHAKE, 0, &content)
    }

    #[test]
    fn a_flight_that_is_repeated_is_let_through_once() {
        let mut records = Records::default();
        let flight = [handshake(1, b"certificate"), handshake(2, b"key")].concat();
        assert_eq!(records.admit(&flight, true, false), Ok(flight.clone()));
        assert_eq!(records.admit(&flight, true, false), Err(Drop::DtlsSurplus));
        let longer = [flight, handshake(3, b"verify")].concat();
        assert_eq!(
            records.admit(&longer, true, false),
            Ok(handshake(3, b"verify"))
        );
    }

    #[test]
    fn a_server_hears_the_first_hello_again_until_the_second_comes() {
        let mut records = Records::default();
        let first = handshake(0, b"hello");
        assert!(records.admit(&first, true, false).is_ok());
        assert!(records.admit(&first, true, false).is_ok());
        assert!(records.admit(&handshake(1, b"hello"), true, false).is_ok());
        assert_eq!(records.admit(&first, true, false), Err(Drop::DtlsSurplus));
    }

    #[test]
    fn once_established_nothing_without_keys_passes() {
        let mut records = Records::default();
        let alert = record(ALERT, 0, &[2, 40]);
        assert!(records.admit(&alert, true, false).is_ok());
        assert_eq!(records.admit(&alert, true, true), Err(Drop::DtlsSurplus));
        let protected = record(ALERT, 1, &[0; 30]);
        assert_eq!(records.admit(&protected, true, true), Ok(protected));
    }

    #[test]
    fn fragments_have_a_limit() {
        let mut records = Records::default();
        let passed = (0..1000)
            .filter(|sequence| {
                records
                    .admit(&handshake(*sequence, b"x"), true, false)
                    .is_ok()
            })
            .count();
        assert_eq!(passed, MAX_FRAGMENTS);
    }
}
