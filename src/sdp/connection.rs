//! `c=` lines: the address of a media section, and names that stand in place of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sdp_types::{AddrType, Connection, NetType};

use super::Error;
use super::cleaning::{clean, connection_lines};

/// Names looked up for one description. One with several sections has one or two.
const MOST_NAMES: usize = 4;

/// The longest name (RFC 1035 section 2.3.4), as text.
const LONGEST_NAME: usize = 253;

/// A host name in a `c=` line (RFC 8866 section 9 allows it), to be looked up before the
/// description is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionName {
    /// The name, as written.
    pub name: String,
    /// Whether the line says `IP6`.
    pub ipv6: bool,
}

impl ConnectionName {
    /// The first address of the family that the line names.
    pub fn address_among(&self, addresses: &[IpAddr]) -> Option<IpAddr> {
        let fits = |address: &&IpAddr| address.is_ipv6() == self.ipv6;
        addresses.iter().find(fits).copied()
    }
}

/// The host names in the `c=` lines of a description, each once; none where all are addresses.
pub fn connection_names(text: impl AsRef<[u8]>) -> Vec<ConnectionName> {
    let mut names = Vec::new();
    let text = text.as_ref();
    if text.len() > super::MAX_LENGTH {
        return names;
    }
    let lines = connection_lines(text);
    for name in lines.iter().filter_map(|line| name_of_line(line)) {
        if names.len() < MOST_NAMES && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The description with addresses in place of names. A name that is not in `found` stays: whoever
/// reads the description refuses it where the section is used.
pub fn with_addresses(text: impl AsRef<[u8]>, found: &[(ConnectionName, IpAddr)]) -> String {
    let text = text.as_ref();
    let Ok(cleaned) = clean(text) else {
        return String::from_utf8_lossy(text).into_owned();
    };
    let mut written = String::with_capacity(cleaned.len());
    for line in cleaned.lines() {
        let address = name_of_line(line).and_then(|name| {
            let found = found.iter().find(|(known, _)| *known == name);
            found.map(|(_, address)| *address)
        });
        match address {
            Some(IpAddr::V4(ip)) => written.push_str(&format!("c=IN IP4 {ip}")),
            Some(IpAddr::V6(ip)) => written.push_str(&format!("c=IN IP6 {ip}")),
            None => written.push_str(line),
        }
        written.push_str("\r\n");
    }
    written
}

/// The name of a cleaned `c=` line.
fn name_of_line(line: &str) -> Option<ConnectionName> {
    let mut fields = line.strip_prefix("c=")?.split(' ');
    let (network, family, address) = (fields.next()?, fields.next()?, fields.next()?);
    let ipv6 = family.eq_ignore_ascii_case("IP6");
    let of_ip = network.eq_ignore_ascii_case("IN") && (ipv6 || family.eq_ignore_ascii_case("IP4"));
    (of_ip && is_name(address)).then(|| ConnectionName {
        name: address.to_owned(),
        ipv6,
    })
}

/// Whether the text is a host name: its last label has a letter, which no address has there.
fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= LONGEST_NAME
        && text.split('.').all(label)
        && last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// The unicast or unspecified address of a `c=` line. Its form must be that of the family that
/// the line names; an IPv4 address in IPv6 form (RFC 4291 section 2.5.5.2) is an IPv4 address.
pub(super) fn address(connection: &Connection) -> Result<IpAddr, Error> {
    let text = connection.connection_address.as_str();
    let written = || {
        let line = format!("{} {} {text}", connection.nettype, connection.addrtype);
        excerpt(&line)
    };
    if !matches!(connection.nettype, NetType::In) {
        return Err(Error::UnsupportedNetwork(written()));
    }
    // A time to live, or a number of addresses: both are for multicast.
    let bare = text.split('/').next().unwrap_or_default();
    let ip = match connection.addrtype {
        AddrType::Ip4 => bare.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        AddrType::Ip6 => {
            let bare = bare
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .unwrap_or(bare);
            bare.parse::<Ipv6Addr>().ok().map(|ip| ip.to_canonical())
        }
        _ => return Err(Error::UnsupportedAddress(written())),
    };
    match ip {
        Some(ip) if ip.is_multicast() => Err(Error::Multicast(excerpt(text))),
        Some(ip) => Ok(ip),
        None if is_name(text) => Err(Error::UnknownName(excerpt(text))),
        None => Err(Error::UnsupportedAddress(written())),
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<IpAddr, Error> {
        let fields: Vec<&str> = line.split(' ').collect();
        address(&Connection {
            nettype: fields[0].parse().expect("any token"),
            addrtype: fields[1].parse().expect("any token"),
            connection_address: fields[2].to_owned(),
        })
    }

    #[test]
    fn an_address_is_read_by_the_family_that_its_line_names() {
        for (line, ip) in [
            ("IN IP4 192.0.2.1", "192.0.2.1"),
            ("in ip4 192.0.2.1", "192.0.2.1"),
            ("IN IP4 192.0.2.1/127", "192.0.2.1"),
            ("IN IP4 0.0.0.0", "0.0.0.0"),
            ("IN IP6 2001:db8::1", "2001:db8::1"),
            ("IN IP6 [2001:db8::1]", "2001:db8::1"),
            ("IN IP6 [::1]", "::1"),
            ("IN IP6 ::", "::"),
            ("IN IP6 ::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(read(line), Ok(ip.parse().expect("an address")), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_line_is_refused_and_not_guessed() {
        for (line, code) in [
            ("IN IP7 192.0.2.1", 301),
            ("IN IP4 2001:db8::1", 301),
            ("IN IP6 192.0.2.1", 301),
            ("IN IP4 [::1]", 301),
            ("IN IP4 192.0.2", 301),
            ("IN IP4 256.0.2.1", 301),
            ("IN IP4 -", 301),
            ("IN - -", 301),
            ("ATM IP4 192.0.2.1", 300),
            ("- - -", 300),
            ("IN IP4 224.2.1.1/127", 330),
            ("IN IP6 ff02::1", 330),
            ("IN IP4 pbx.example", 301),
        ] {
            let error = read(line).expect_err(line);
            assert_eq!(error.warn_code(), code, "{line}: {error}");
        }
    }

    #[test]
    fn a_name_is_told_from_an_address() {
        for name in [
            "pbx.example",
            "localhost",
            "sip125.ringcentral.com.",
            "a_b-1.x1",
        ] {
            assert!(is_name(name), "{name}");
        }
        let long = "a.".repeat(200);
        for other in [
            "",
            ".",
            "192.0.2.1",
            "1.2.3.4.5",
            "::1",
            "a..b",
            "a b",
            "é.example",
            &long,
        ] {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn names_are_found_once_and_replaced_by_addresses_of_their_family() {
        let text = "v=0\r\nc=IN  IP4 pbx.example\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP6 pbx.example\r\n\
            m=video 1 RTP/AVP 31\r\nc=IN IP4 pbx.example\r\nc=IN IP4 192.0.2.9\r\nc=IN IP7 x.example\r\n";
        let names = connection_names(text);
        let named = |ipv6| ConnectionName {
            name: "pbx.example".to_owned(),
            ipv6,
        };
        assert_eq!(names, [named(false), named(true)]);
        let addresses = ["2001:db8::1", "192.0.2.1", "192.0.2.2"]
            .map(|ip| ip.parse::<IpAddr>().expect("an address"));
        let found: Vec<_> = names
            .into_iter()
            .filter_map(|name| name.address_among(&addresses).map(|ip| (name, ip)))
            .collect();
        let written = with_addresses(text, &found);
        let lines: Vec<_> = written
            .lines()
            .filter(|line| line.starts_with("c="))
            .collect();
        assert_eq!(
            lines,
            [
                "c=IN IP4 192.0.2.1",
                "c=IN IP6 2001:db8::1",
                "c=IN IP4 192.0.2.1",
                "c=IN IP4 192.0.2.9",
                "c=IN IP7 x.example"
            ]
        );
        assert!(connection_names("v=0\r\nc=IN IP4 192.0.2.1\r\n").is_empty());
        assert!(connection_names("hello").is_empty());
    }
}
