//! ICE candidates as they stand in descriptions (RFC 8839 section 5.1).

use std::net::{IpAddr, SocketAddr};

use super::LocalCandidate;

/// A candidate of the other end that a check can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RemoteCandidate {
    pub address: SocketAddr,
    pub priority: u32,
}

/// Why a candidate of the other end is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateRejection {
    /// Fine, but not for us: TCP, the RTCP component, an mDNS or other name, an IPv6 address that
    /// is valid on one link only. Names are not looked up: the other end's own checks tell the
    /// address.
    Ignored,
    /// Not a candidate.
    Malformed,
    /// No check is ever sent to such an address: unspecified, multicast, broadcast, reserved.
    Address,
    /// No check is sent to a well-known port, as in libwebrtc: other services live there. 80 and
    /// 443 are where media servers are found behind strict firewalls.
    Port,
    /// Beyond the number of candidates that are kept.
    Surplus,
}

impl CandidateRejection {
    /// All, in the order of [`UnusedCandidates::by_reason`].
    pub const ALL: [Self; 5] = [
        CandidateRejection::Ignored,
        CandidateRejection::Malformed,
        CandidateRejection::Address,
        CandidateRejection::Port,
        CandidateRejection::Surplus,
    ];

    /// The reason as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            CandidateRejection::Ignored => "ignored",
            CandidateRejection::Malformed => "malformed",
            CandidateRejection::Address => "address",
            CandidateRejection::Port => "port",
            CandidateRejection::Surplus => "surplus",
        }
    }
}

/// Counts of the other end's candidates that are not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnusedCandidates([u64; CandidateRejection::ALL.len()]);

impl UnusedCandidates {
    pub(super) fn add(&mut self, rejection: CandidateRejection) {
        self.0[rejection as usize] += 1;
    }

    /// How many were rejected for this reason.
    pub fn count(&self, rejection: CandidateRejection) -> u64 {
        self.0[rejection as usize]
    }

    /// Every reason with its count.
    pub fn by_reason(&self) -> impl Iterator<Item = (CandidateRejection, u64)> {
        CandidateRejection::ALL.into_iter().zip(self.0)
    }
}

/// Reads `candidate:...`, with or without `a=`.
pub(super) fn parse(line: &str) -> Result<RemoteCandidate, CandidateRejection> {
    let line = line.trim();
    let line = line.strip_prefix("a=").unwrap_or(line);
    let line = line
        .strip_prefix("candidate:")
        .ok_or(CandidateRejection::Malformed)?;
    let mut fields = line.split_ascii_whitespace();
    let mut field = || fields.next().ok_or(CandidateRejection::Malformed);
    let _foundation = field()?;
    let component: u16 = field()?
        .parse()
        .map_err(|_| CandidateRejection::Malformed)?;
    let transport = field()?;
    let priority: u32 = field()?
        .parse()
        .map_err(|_| CandidateRejection::Malformed)?;
    let address = field()?;
    let port: u16 = field()?
        .parse()
        .map_err(|_| CandidateRejection::Malformed)?;
    if field()? != "typ" {
        return Err(CandidateRejection::Malformed);
    }
    field()?;
    if component != 1 || !transport.eq_ignore_ascii_case("udp") {
        return Err(CandidateRejection::Ignored);
    }
    let address: IpAddr = address.parse().map_err(|_| CandidateRejection::Ignored)?;
    if port == 0 {
        return Err(CandidateRejection::Malformed);
    }
    // An IPv4 address in IPv6 form is judged, and paired, as what it is.
    let address = address.to_canonical();
    if !is_unicast(address) {
        return Err(CandidateRejection::Address);
    }
    if is_link_local(address) {
        return Err(CandidateRejection::Ignored);
    }
    if port < 1024 && port != 80 && port != 443 {
        return Err(CandidateRejection::Port);
    }
    Ok(RemoteCandidate {
        address: SocketAddr::new(address, port),
        priority,
    })
}

/// Whether an address can be that of one end (RFC 6890).
fn is_unicast(address: IpAddr) -> bool {
    match address {
        // 0.0.0.0/8 is "this network"; from 224.0.0.0 on there is multicast, then what is reserved,
        // then the limited broadcast.
        IpAddr::V4(v4) => !matches!(v4.octets()[0], 0 | 224..=255),
        // `::`, and with it the deprecated form of IPv4 addresses (RFC 4291 section 2.5.5.1).
        IpAddr::V6(v6) => !v6.is_multicast() && (v6.is_loopback() || v6.segments()[..6] != [0; 6]),
    }
}

/// Whether an address means nothing without the name of a link, which a candidate can not say.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
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
            assert_eq!(
                parse(ignored),
                Err(CandidateRejection::Ignored),
                "{ignored}"
            );
        }
        for malformed in [
            "",
            "candidate:",
            "candidate:1 1 udp",
            "candidate:1 1 udp 1 192.0.2.5 0 typ host",
            "candidate:1 1 udp 1 192.0.2.5 65536 typ host",
            "candidate:1 1 udp x 192.0.2.5 4 typ host",
            "candidate:1 1 udp 1 192.0.2.5 4 host",
        ] {
            assert_eq!(
                parse(malformed),
                Err(CandidateRejection::Malformed),
                "{malformed}"
            );
        }
    }

    #[test]
    fn candidate_for_many_or_none_is_rejected() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.251",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::192.0.2.5",
            "ff02::1",
            "ff0e::101",
            "::ffff:224.0.0.1",
            "::ffff:255.255.255.255",
            "::ffff:0.0.0.0",
        ] {
            let line = format!("candidate:1 1 udp 1 {address} 5000 typ host");
            assert_eq!(parse(&line), Err(CandidateRejection::Address), "{address}");
        }
        let link_local = "candidate:1 1 udp 1 fe80::1 5000 typ host";
        assert_eq!(parse(link_local), Err(CandidateRejection::Ignored));
        for fine in ["192.0.2.5", "10.0.0.1", "127.0.0.1", "2001:db8::1", "::1"] {
            let line = format!("candidate:1 1 udp 1 {fine} 5000 typ host");
            assert!(parse(&line).is_ok(), "{fine}");
        }
    }

    #[test]
    fn candidate_in_ipv6_form_of_ipv4_is_ipv4() {
        let mapped = parse("candidate:1 1 udp 1 ::ffff:192.0.2.5 5000 typ host");
        let address = mapped.expect("a candidate").address;
        assert_eq!(address, SocketAddr::from(([192, 0, 2, 5], 5000)));
    }

    #[test]
    fn candidate_port_of_another_service_is_rejected() {
        for port in [1, 19, 53, 123, 161, 389, 514, 1023] {
            let line = format!("candidate:1 1 udp 1 192.0.2.5 {port} typ host");
            assert_eq!(parse(&line), Err(CandidateRejection::Port), "{port}");
        }
        for port in [80, 443, 1024, 3478, 65535] {
            let line = format!("candidate:1 1 udp 1 192.0.2.5 {port} typ relay");
            assert!(parse(&line).is_ok(), "{port}");
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
