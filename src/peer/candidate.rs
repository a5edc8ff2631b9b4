//! ICE candidates as they stand in descriptions (RFC 8839 section 5.1).

use std::net::{IpAddr, SocketAddr};

use super::LocalCandidate;

/// A candidate of the other end that a check can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RemoteCandidate {
    pub address: SocketAddr,
    pub priority: u32,
}

/// Why a candidate is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Fine, but not for us: TCP, the RTCP component, an mDNS or other name. Names are not looked
    /// up: the other end's own checks tell the address.
    Ignored,
    /// Not a candidate.
    Malformed,
}

/// Reads `candidate:...`, with or without `a=`.
pub(super) fn parse(line: &str) -> Result<RemoteCandidate, Unusable> {
    let line = line.trim();
    let line = line.strip_prefix("a=").unwrap_or(line);
    let line = line.strip_prefix("candidate:").ok_or(Unusable::Malformed)?;
    let mut fields = line.split_ascii_whitespace();
    let mut field = || fields.next().ok_or(Unusable::Malformed);
    let _foundation = field()?;
    let component: u16 = field()?.parse().map_err(|_| Unusable::Malformed)?;
    let transport = field()?;
    let priority: u32 = field()?.parse().map_err(|_| Unusable::Malformed)?;
    let address = field()?;
    let port: u16 = field()?.parse().map_err(|_| Unusable::Malformed)?;
    if field()? != "typ" {
        return Err(Unusable::Malformed);
    }
    field()?;
    if component != 1 || !transport.eq_ignore_ascii_case("udp") {
        return Err(Unusable::Ignored);
    }
    let address: IpAddr = address.parse().map_err(|_| Unusable::Ignored)?;
    if port == 0 || address.is_unspecified() || address.is_multicast() {
        return Err(Unusable::Malformed);
    }
    Ok(RemoteCandidate {
        address: SocketAddr::new(address, port),
        priority,
    })
}

/// The priority of our host candidate at this place in the list (RFC 8445 section 5.1.2).
pub(super) fn host_priority(index: usize) -> u32 {
    let local_preference = 65_535_u32.saturating_sub(index as u32);
    (126 << 24) | (local_preference << 8) | 255
}

/// The priority that a candidate learned from a check of ours would have (RFC 8445 section
/// 7.1.1): the same with the type preference of a peer-reflexive one.
pub(super) fn peer_reflexive_priority(index: usize) -> u32 {
    (host_priority(index) & 0x00ff_ffff) | (110 << 24)
}

/// The value of `a=candidate` for one of our addresses.
pub(super) fn format(index: usize, candidate: &LocalCandidate) -> String {
    format!(
        "candidate:{} 1 udp {} {} {} typ host",
        index + 1,
        host_priority(index),
        candidate.advertised.ip(),
        candidate.advertised.port()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_of_browsers_are_read() {
        let chromium = "candidate:842163049 1 udp 1677729535 192.0.2.5 46154 typ srflx raddr \
                        10.0.0.4 rport 46154 generation 0 ufrag EEtu network-cost 999";
        assert_eq!(
            parse(chromium),
            Ok(RemoteCandidate {
                address: "192.0.2.5:46154".parse().expect("an address"),
                priority: 1_677_729_535
            })
        );
        let firefox = "a=candidate:0 1 UDP 2122252543 2001:db8::5 37261 typ host";
        assert!(parse(firefox).is_ok());
    }

    #[test]
    fn candidates_that_lead_nowhere_are_told_apart_from_nonsense() {
        for ignored in [
            "candidate:1 1 udp 2113937151 5b6e6a3e-2f3b.local 50416 typ host",
            "candidate:1 2 UDP 2122252542 192.0.2.5 37262 typ host",
            "candidate:1 1 TCP 2105524479 192.0.2.5 9 typ host tcptype active",
        ] {
            assert_eq!(parse(ignored), Err(Unusable::Ignored), "{ignored}");
        }
        for malformed in [
            "",
            "candidate:",
            "candidate:1 1 udp",
            "candidate:1 1 udp 1 192.0.2.5 0 typ host",
            "candidate:1 1 udp 1 0.0.0.0 4 typ host",
            "candidate:1 1 udp x 192.0.2.5 4 typ host",
            "candidate:1 1 udp 1 192.0.2.5 4 host",
        ] {
            assert_eq!(parse(malformed), Err(Unusable::Malformed), "{malformed}");
        }
    }

    #[test]
    fn ours_are_read_by_ourselves() {
        let ours = LocalCandidate {
            bound: "10.0.0.1:5000".parse().expect("an address"),
            advertised: "198.51.100.1:5000".parse().expect("an address"),
        };
        let read = parse(&format(0, &ours)).expect("a candidate");
        assert_eq!(read.address, ours.advertised);
        assert_eq!(read.priority, 2_130_706_431);
    }
}
