//! Tells STUN, DTLS, RTP and RTCP on one port apart (RFC 7983, RFC 5761), and reads from a check
//! for whom it is. Both take one look at the bytes and believe nothing.

use crate::stun::{Class, Fingerprint, Header, Message};

/// What a datagram seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// STUN with the magic cookie (RFC 8489 section 5).
    Stun,
    /// DTLS.
    Dtls,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// Nothing that belongs on this port.
    Unknown,
}

/// Sorts a datagram by its first bytes: RFC 7983 section 7, and RFC 5761 section 4 for RTCP.
pub fn classify(datagram: &[u8]) -> Kind {
    match datagram {
        [0..=3, ..] if Header::read(datagram).is_some() => Kind::Stun,
        [20..=63, ..] if datagram.len() > 13 => Kind::Dtls,
        [128..=191, 192..=223, ..] if datagram.len() >= 8 => Kind::Rtcp,
        [128..=191, ..] if datagram.len() >= 12 => Kind::Rtp,
        _ => Kind::Unknown,
    }
}

/// The two halves of a binding request's `USERNAME` (RFC 8445 section 7.2.2): our ufrag, then the
/// other end's. Not authenticated: good for finding the peer, which then checks.
pub fn stun_username(datagram: &[u8]) -> Option<(&str, &str)> {
    let message = Message::parse(datagram)?;
    if message.class != Class::Request || message.fingerprint != Fingerprint::Right {
        return None;
    }
    let (ours, theirs) = message.username_halves()?;
    Some((
        std::str::from_utf8(ours).ok()?,
        std::str::from_utf8(theirs).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocols_apart() {
        assert_eq!(classify(&[]), Kind::Unknown);
        assert_eq!(classify(&[22; 14]), Kind::Dtls);
        assert_eq!(classify(&[22; 5]), Kind::Unknown);
        assert_eq!(classify(&[0; 20]), Kind::Unknown, "no magic cookie");
        let mut rtp = [0; 12];
        (rtp[0], rtp[1]) = (0x80, 0x80 | 111);
        assert_eq!(classify(&rtp), Kind::Rtp, "marker and payload type 111");
        rtp[1] = 200;
        assert_eq!(classify(&rtp), Kind::Rtcp);
        rtp[1] = 72;
        assert_eq!(
            classify(&rtp),
            Kind::Rtp,
            "payload type 72 without marker is no RTCP"
        );
        assert_eq!(classify(&[255; 40]), Kind::Unknown);
    }
}
