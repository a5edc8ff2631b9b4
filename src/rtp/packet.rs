//! An RTP packet: a view of received bytes, and a header to write (RFC 3550 section 5.1).

use super::Error;

/// Octets of an RTP header without CSRC list and extension.
pub const HEADER_LENGTH: usize = 12;

/// Whether a packet on a multiplexed port is RTCP (RFC 5761 section 4: second octet 192-223).
pub fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.len() >= 2 && bytes[0] >> 6 == 2 && (192..=223).contains(&bytes[1])
}

/// A received RTP packet: fields decoded, payload borrowed. CSRC list, header extension and
/// padding are checked and left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The marker bit: for audio, the first packet of a talkspurt (RFC 3551 section 4.1).
    pub marker: bool,
    /// Payload type, 0-127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in units of the payload's clock.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
    /// The payload without padding; may be empty.
    pub payload: &'a [u8],
    /// The whole packet.
    pub bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let length = bytes.len();
        let truncated = |part| Error::Truncated { part, length };
        let Some((header, mut rest)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(truncated("header"));
        };
        if header[0] >> 6 != 2 {
            return Err(Error::Version(header[0] >> 6));
        }
        let contributors = usize::from(header[0] & 0x0f) * 4;
        rest = rest.get(contributors..).ok_or(truncated("csrc list"))?;
        if header[0] & 0x10 != 0 {
            let (extension, after) = rest
                .split_first_chunk::<4>()
                .ok_or(truncated("extension"))?;
            let words = usize::from(u16::from_be_bytes([extension[2], extension[3]]));
            rest = after.get(words * 4..).ok_or(truncated("extension"))?;
        }
        if header[0] & 0x20 != 0 {
            let padding = *rest.last().ok_or(truncated("padding"))?;
            let kept = rest
                .len()
                .checked_sub(usize::from(padding))
                .filter(|_| padding != 0)
                .ok_or(Error::Padding(padding))?;
            rest = &rest[..kept];
        }
        Ok(Packet {
            marker: header[1] & 0x80 != 0,
            payload_type: header[1] & 0x7f,
            sequence: u16::from_be_bytes([header[2], header[3]]),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            payload: rest,
            bytes,
        })
    }
}

/// The header of a packet to send: no padding, CSRC list or extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// Payload type, 0-127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in units of the payload's clock.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
}

impl Header {
    /// Appends the 12 octets of the header.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(0x80);
        out.push(u8::from(self.marker) << 7 | (self.payload_type & 0x7f));
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: Header = Header {
        marker: true,
        payload_type: 111,
        sequence: 0xfffe,
        timestamp: 0x8000_0001,
        ssrc: 0xdead_beef,
    };

    #[test]
    fn a_written_header_is_read_back() {
        let mut bytes = Vec::new();
        HEADER.write(&mut bytes);
        bytes.extend_from_slice(b"opus");
        let packet = Packet::parse(&bytes).expect("written here");
        assert!(packet.marker);
        assert_eq!(packet.payload_type, 111);
        assert_eq!(packet.sequence, 0xfffe);
        assert_eq!(packet.timestamp, 0x8000_0001);
        assert_eq!(packet.ssrc, 0xdead_beef);
        assert_eq!(packet.payload, b"opus");
    }

    #[test]
    fn contributors_extension_and_padding_are_left_out_of_the_payload() {
        let mut bytes = Vec::new();
        HEADER.write(&mut bytes);
        bytes[0] |= 0x20 | 0x10 | 2;
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
        bytes.extend_from_slice(b"audio");
        bytes.extend_from_slice(&[0, 0, 3]);
        assert_eq!(
            Packet::parse(&bytes).expect("well formed").payload,
            b"audio"
        );
    }

    #[test]
    fn bad_packets_are_refused_with_what_is_wrong() {
        let mut bytes = Vec::new();
        HEADER.write(&mut bytes);
        assert_eq!(
            Packet::parse(&bytes[..11]),
            Err(Error::Truncated {
                part: "header",
                length: 11
            })
        );
        bytes[0] = 0x81;
        assert_eq!(
            Packet::parse(&bytes),
            Err(Error::Truncated {
                part: "csrc list",
                length: 12
            })
        );
        bytes[0] = 0xa0;
        bytes.push(7);
        assert_eq!(Packet::parse(&bytes), Err(Error::Padding(7)));
        bytes[0] = 0x40;
        assert_eq!(Packet::parse(&bytes), Err(Error::Version(1)));
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_second_octet() {
        assert!(is_rtcp(&[0x80, 200, 0, 1]));
        assert!(!is_rtcp(&[0x80, 111, 0, 1]));
        assert!(!is_rtcp(&[0x80, 0x80 | 111, 0, 1]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Packet::parse(&bytes);
        }
    }
}
