//! Telephone events: keys of a phone carried as RTP payload (RFC 4733 section 2.3).

use super::Error;

/// One update about an event that lasts. Its start is the timestamp of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// The event code: 0-15 are the keys of DTMF (RFC 4733 section 3.2).
    pub event: u8,
    /// The event is over and `duration` is final.
    pub end: bool,
    /// Power of the tone, in -dBm0, 0-63.
    pub volume: u8,
    /// How long the event has lasted, in ticks of the payload type's clock.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Octets of the payload.
    pub const LENGTH: usize = 4;

    /// Reads a payload. Octets after the first four are other events of RFC 2833's list form,
    /// which nobody sends for keys, and are left out.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let Some(bytes) = payload.first_chunk::<4>() else {
            return Err(Error::Truncated {
                part: "telephone event",
                length: payload.len(),
            });
        };
        Ok(TelephoneEvent {
            event: bytes[0],
            end: bytes[1] & 0x80 != 0,
            volume: bytes[1] & 0x3f,
            duration: u16::from_be_bytes([bytes[2], bytes[3]]),
        })
    }

    /// Appends the four octets of the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.event);
        out.push(u8::from(self.end) << 7 | (self.volume & 0x3f));
        out.extend_from_slice(&self.duration.to_be_bytes());
    }
}

const KEYS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];

/// The key of an event code, for the 16 keys of DTMF.
pub fn digit_of_event(event: u8) -> Option<char> {
    KEYS.get(usize::from(event)).copied()
}

/// The event code of a key; `a` to `d` count as capitals.
pub fn event_of_digit(digit: char) -> Option<u8> {
    let digit = digit.to_ascii_uppercase();
    KEYS.iter().position(|key| *key == digit).map(|at| at as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_as_it_is_written() {
        let event = TelephoneEvent {
            event: 11,
            end: true,
            volume: 10,
            duration: 4_800,
        };
        let mut bytes = Vec::new();
        event.write(&mut bytes);
        assert_eq!(bytes, [11, 0x8a, 0x12, 0xc0]);
        assert_eq!(TelephoneEvent::parse(&bytes), Ok(event));
        assert!(TelephoneEvent::parse(&bytes[..3]).is_err());
    }

    #[test]
    fn every_key_has_its_code_and_nothing_else_has() {
        for event in 0..16 {
            let digit = digit_of_event(event).expect("a key");
            assert_eq!(event_of_digit(digit), Some(event));
        }
        assert_eq!(digit_of_event(16), None);
        assert_eq!(event_of_digit('d'), Some(15));
        assert_eq!(event_of_digit('E'), None);
    }
}
