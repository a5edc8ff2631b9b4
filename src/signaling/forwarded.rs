//! The client's address and scheme behind reverse proxies: `Forwarded` (RFC 7239) and
//! `X-Forwarded-For`, believed from trusted proxies only.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED: HeaderName = axum::http::header::FORWARDED;

/// Hops that are looked at, from the right; proxies in a chain are few.
const MOST_HOPS: usize = 32;

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; port 0 where a proxy does not tell the port.
    pub(crate) address: SocketAddr,
    /// `http` or `https`, where known.
    pub(crate) scheme: Option<&'static str>,
    /// Whether a trusted proxy sent it without an address of its client.
    pub(crate) is_proxy: bool,
}

/// Whether `address` is in one of `trusted`.
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// The client of a request that came from `remote` with `headers`: the rightmost hop that is no
/// trusted proxy. A hop that is no address (`unknown`, `_hidden`) ends the search: the last
/// address before it counts.
///
/// `X-Forwarded-For` is read before `Forwarded`: a proxy that writes only one of them passes the
/// other on as the client wrote it, and most write the former. Proxies that write `Forwarded`
/// alone have to remove `X-Forwarded-For`.
pub(super) fn client(remote: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    if !is_trusted(remote.ip(), trusted) {
        return Client {
            address: remote,
            // Without any trusted proxy there may be one that was not configured.
            scheme: (!trusted.is_empty()).then_some("http"),
            is_proxy: false,
        };
    }
    let x_forwarded = headers.contains_key(X_FORWARDED_FOR);
    let hops = if x_forwarded {
        let values = values(headers, &X_FORWARDED_FOR);
        let all = values.iter().flat_map(|value| value.split(','));
        all.map(|hop| hop.trim().to_owned()).collect()
    } else {
        parameters(headers, "for")
    };
    let mut address = remote;
    for hop in hops.iter().rev().take(MOST_HOPS) {
        let Some(found) = node(hop) else {
            break;
        };
        address = found;
        if !is_trusted(found.ip(), trusted) {
            break;
        }
    }
    let protocols = if x_forwarded || headers.contains_key(X_FORWARDED_PROTO) {
        let values = values(headers, &X_FORWARDED_PROTO);
        let all = values.iter().flat_map(|value| value.split(','));
        all.map(|one| one.trim().to_owned()).collect()
    } else {
        parameters(headers, "proto")
    };
    let scheme = protocols.last().and_then(|scheme| {
        ["https", "http"]
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known))
    });
    Client {
        is_proxy: address == remote,
        address,
        scheme,
    }
}

fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h str> {
    let all = headers.get_all(name).iter();
    // What is no text is no address either; it still counts as a hop.
    all.map(|value| value.to_str().unwrap_or("unknown"))
        .collect()
}

/// The values of `wanted` in all elements of `Forwarded`, in order. An element without it says
/// `unknown` for its hop (RFC 7239 section 6.2).
fn parameters(headers: &HeaderMap, wanted: &str) -> Vec<String> {
    let mut found = Vec::new();
    for value in values(headers, &FORWARDED) {
        for element in split(value, ',') {
            let pair = split(&element, ';').into_iter().find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
                is_wanted.then(|| unquoted(value.trim()))
            });
            found.push(pair.unwrap_or_else(|| "unknown".to_owned()));
        }
    }
    found
}

/// Splits at `separator`, except within quoted strings (RFC 9110 section 5.6.4). Where a string
/// is not closed, at each one: what a client wrote must not swallow what the proxy added.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if c == separator && !quoted {
            parts.push(String::new());
            continue;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    if quoted {
        return text.split(separator).map(str::to_owned).collect();
    }
    parts
}

fn unquoted(text: &str) -> String {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.map_or_else(|| text.to_owned(), |inner| inner.replace('\\', ""))
}

/// `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]`, `[2001:db8::1]:80` or `2001:db8::1`.
fn node(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(SocketAddr::new(address.ip().to_canonical(), address.port()));
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address: IpAddr = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().ok()?.into(),
        None => text.parse().ok()?,
    };
    Some(SocketAddr::new(address.to_canonical(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1:4711";

    fn told(remote: &str, lines: &[(&'static str, &str)]) -> (String, Option<&'static str>) {
        let trusted = ["10.0.0.0/8", "2001:db8:a::/48"].map(|net| net.parse().expect("a net"));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        let client = client(remote.parse().expect("an address"), &headers, &trusted);
        (client.address.ip().to_string(), client.scheme)
    }

    fn address(lines: &[(&'static str, &str)]) -> String {
        told(PROXY, lines).0
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client_whatever_it_writes() {
        let lines = [
            ("x-forwarded-for", "198.51.100.1"),
            ("forwarded", "for=198.51.100.2;proto=https"),
            ("x-forwarded-proto", "https"),
        ];
        let expected = ("203.0.113.9".to_owned(), Some("http"));
        assert_eq!(told("203.0.113.9:1", &lines), expected);
    }

    #[test]
    fn the_rightmost_hop_that_is_not_trusted_is_the_client() {
        let chain = "1.1.1.1, 198.51.100.1, 10.0.0.7";
        assert_eq!(address(&[("x-forwarded-for", chain)]), "198.51.100.1");
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "198.51.100.2"),
        ];
        assert_eq!(address(&lines), "198.51.100.2", "lines make one list");
        let chain = "for=1.1.1.1, for=198.51.100.3;by=10.0.0.7, For=10.0.0.7";
        assert_eq!(address(&[("forwarded", chain)]), "198.51.100.3");
        assert_eq!(address(&[("x-forwarded-for", "10.0.0.9")]), "10.0.0.9");
    }

    #[test]
    fn addresses_are_read_in_every_form() {
        for (written, expected) in [
            ("198.51.100.1:80", "198.51.100.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(address(&[("x-forwarded-for", written)]), expected);
            let quoted = format!("proto=https;for=\"{written}\"");
            assert_eq!(address(&[("forwarded", &quoted)]), expected);
        }
        let quoted = "for=\"[2001:db8::1]:47011\";host=\"a,b;c\\\"d\", for=10.0.0.3";
        assert_eq!(address(&[("forwarded", quoted)]), "2001:db8::1");
    }

    #[test]
    fn a_hop_that_is_no_address_ends_the_search() {
        for hop in ["unknown", "_hidden", "", "198.51.100.1.2", "a b", "[", "\""] {
            let chain = format!("198.51.100.1, {hop}");
            assert_eq!(address(&[("x-forwarded-for", &chain)]), "10.0.0.1", "{hop}");
            let chain = format!("for=198.51.100.1, for=\"{hop}\", for=10.0.0.3");
            assert_eq!(address(&[("forwarded", &chain)]), "10.0.0.3", "{hop}");
        }
        assert_eq!(address(&[]), "10.0.0.1");
    }

    #[test]
    fn a_quoted_string_that_the_client_left_open_hides_no_hop() {
        for start in ["for=\"", "for=\"\\\"", "\"", "for=1.1.1.1;by=\"x"] {
            let chain = format!("{start}, for=198.51.100.7");
            assert_eq!(address(&[("forwarded", &chain)]), "198.51.100.7");
            let chain = format!("{start}, for=\"[2001:db8::7]:1\"");
            assert_eq!(address(&[("forwarded", &chain)]), "2001:db8::7");
        }
    }

    #[test]
    fn a_forwarded_line_of_the_client_does_not_count_beside_the_proxys_own() {
        let lines = [
            ("forwarded", "for=192.0.2.66"),
            ("x-forwarded-for", "198.51.100.1"),
        ];
        assert_eq!(address(&lines), "198.51.100.1");
    }

    #[test]
    fn the_scheme_is_the_one_that_the_proxy_tells() {
        let scheme = |lines: &[_]| told(PROXY, lines).1;
        assert_eq!(scheme(&[("x-forwarded-proto", "https")]), Some("https"));
        assert_eq!(
            scheme(&[("x-forwarded-proto", "http, HTTPS")]),
            Some("https")
        );
        assert_eq!(
            scheme(&[("forwarded", "for=1.1.1.1;proto=http")]),
            Some("http")
        );
        assert_eq!(scheme(&[("x-forwarded-proto", "gopher")]), None);
        assert_eq!(scheme(&[]), None);
    }
}
