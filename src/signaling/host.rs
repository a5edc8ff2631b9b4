//! Which names the gateway answers to (against DNS rebinding), and which pages may open `/rtc`.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderValue, Uri, Version, header};

/// Why a request's `Host` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHost {
    /// Several, or none that can be read (RFC 9112 section 3.2).
    Malformed,
    /// A name that is not configured (RFC 9110 section 7.4).
    Unknown,
}

/// Host and port of an authority; the host in lower case, without the dot of the root.
fn parts(authority: &str) -> Option<(String, Option<u16>)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at_checked(end)?;
    let port = match rest.strip_prefix(':') {
        Some("") => None,
        Some(port) => Some(port.parse().ok()?),
        None if rest.is_empty() => None,
        None => return None,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_clean = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    let is_usable = !host.is_empty() && host.chars().all(is_clean);
    is_usable.then(|| (host.to_ascii_lowercase(), port))
}

/// The one `Host` of a request, as written; `Ok(None)` where there is none (HTTP/1.0).
pub(super) fn host(headers: &HeaderMap) -> Result<Option<&str>, BadHost> {
    let mut all = headers.get_all(header::HOST).iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    let text = first.to_str().map_err(|_| BadHost::Malformed)?;
    if all.next().is_some() || parts(text).is_none() {
        return Err(BadHost::Malformed);
    }
    Ok(Some(text))
}

/// Reads the host that a request is for: the authority of an absolute-form target takes the place
/// of `Host` (RFC 9112 section 3.2.2), so that all who ask later see the one that counts. A
/// request by HTTP/1.1 without `Host`, with several or with an unreadable one is malformed whatever
/// its target (section 3.2).
pub(super) fn apply_target(
    version: Version,
    target: &Uri,
    headers: &mut HeaderMap,
) -> Result<(), BadHost> {
    if host(headers)?.is_none() && version > Version::HTTP_10 {
        return Err(BadHost::Malformed);
    }
    if let Some(authority) = target.authority() {
        let authority = HeaderValue::from_str(authority.as_str());
        headers.insert(header::HOST, authority.map_err(|_| BadHost::Malformed)?);
    }
    Ok(())
}

/// Whether the gateway answers to the `Host` of a request: an address, a loopback name
/// (RFC 6761 section 6.3) or one of `names`; `*` is any. No page of another site can be at an
/// address, so those need no entry.
pub(super) fn check_host(headers: &HeaderMap, names: &[String]) -> Result<(), BadHost> {
    let Some((host, _)) = host(headers)?.and_then(parts) else {
        return Ok(());
    };
    let literal = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_address = literal.map_or_else(
        || host.parse::<Ipv4Addr>().is_ok(),
        |literal| literal.parse::<Ipv6Addr>().is_ok(),
    );
    let is_loopback = host == "localhost" || host.ends_with(".localhost");
    let is_ours = names.iter().any(|name| {
        name == "*"
            || name
                .strip_suffix('.')
                .unwrap_or(name)
                .eq_ignore_ascii_case(&host)
    });
    if is_address || is_loopback || is_ours {
        Ok(())
    } else {
        Err(BadHost::Unknown)
    }
}

/// Whether a page may open `/rtc`: its `Origin` (RFC 6454) is the scheme and host of this request
/// or one of `allowed`; `*` is any. Programs that are no browsers send none. `scheme` is `None`
/// where it is not known: then either is the page's own.
pub(super) fn is_allowed_origin(
    headers: &HeaderMap,
    allowed: &[String],
    scheme: Option<&str>,
) -> bool {
    let mut all = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = all.next() else {
        return true;
    };
    let (Ok(origin), None) = (origin.to_str(), all.next()) else {
        return false;
    };
    if allowed
        .iter()
        .any(|one| one == "*" || one.eq_ignore_ascii_case(origin))
    {
        return true;
    }
    let Some((its_scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default_port = match its_scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    if scheme.is_some_and(|scheme| scheme != its_scheme) {
        return false;
    }
    let (Some((its_host, its_port)), Ok(Some(host))) = (parts(authority), host(headers)) else {
        return false;
    };
    parts(host).is_some_and(|(host, port)| {
        host == its_host && port.unwrap_or(default_port) == its_port.unwrap_or(default_port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(header::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn a_host_is_answered_when_it_is_an_address_loopback_or_configured() {
        let names = ["Phone.example".to_owned()];
        let check = |host: &str| check_host(&headers(&[(header::HOST, host)]), &names);
        for host in [
            "192.0.2.1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[2001:db8::1]",
            "localhost:8080",
            "LOCALHOST",
            "a.localhost",
            "phone.example",
            "PHONE.example.:443",
        ] {
            assert_eq!(check(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example:8080",
            "phone.example.evil.example",
            "xphone.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "gateway",
        ] {
            assert_eq!(check(host), Err(BadHost::Unknown), "{host}");
        }
        for host in ["", "a b", "user@phone.example", "phone.example:x", "[::1"] {
            assert_eq!(check(host), Err(BadHost::Malformed), "{host}");
        }
        let two = headers(&[
            (header::HOST, "phone.example"),
            (header::HOST, "evil.example"),
        ]);
        assert_eq!(check_host(&two, &names), Err(BadHost::Malformed));
        assert_eq!(check_host(&headers(&[]), &names), Ok(()));
        let any = headers(&[(header::HOST, "evil.example")]);
        assert_eq!(check_host(&any, &["*".to_owned()]), Ok(()));
    }

    #[test]
    fn host_of_an_absolute_target_takes_the_place_of_the_header() {
        let names = ["phone.example".to_owned()];
        let check = |version, target: &str, host: Option<&str>| {
            let lines: Vec<_> = host.map(|host| (header::HOST, host)).into_iter().collect();
            let mut headers = headers(&lines);
            let target = target.parse().expect("a target");
            apply_target(version, &target, &mut headers)?;
            check_host(&headers, &names)
        };
        let ours = Some("phone.example");
        for (version, target, host, expected) in [
            (Version::HTTP_11, "/", ours, Ok(())),
            (Version::HTTP_11, "/", None, Err(BadHost::Malformed)),
            (Version::HTTP_10, "/", None, Ok(())),
            (Version::HTTP_11, "http://phone.example/", ours, Ok(())),
            (
                Version::HTTP_11,
                "http://PHONE.example:80/",
                Some("evil.example"),
                Ok(()),
            ),
            (
                Version::HTTP_11,
                "http://evil.example/",
                ours,
                Err(BadHost::Unknown),
            ),
            (
                Version::HTTP_10,
                "http://evil.example/",
                None,
                Err(BadHost::Unknown),
            ),
            (
                Version::HTTP_11,
                "http://phone.example/",
                None,
                Err(BadHost::Malformed),
            ),
            (
                Version::HTTP_11,
                "http://phone.example/",
                Some("a b"),
                Err(BadHost::Malformed),
            ),
            (
                Version::HTTP_11,
                "http://a@phone.example/",
                ours,
                Err(BadHost::Malformed),
            ),
            (
                Version::HTTP_11,
                "evil.example:443",
                ours,
                Err(BadHost::Unknown),
            ),
            (Version::HTTP_11, "*", ours, Ok(())),
        ] {
            let found = check(version, target, host);
            assert_eq!(found, expected, "{version:?} {target} {host:?}");
        }
    }

    fn opens(origin: &str, host: &str, scheme: Option<&str>) -> bool {
        let lines = [(header::ORIGIN, origin), (header::HOST, host)];
        is_allowed_origin(
            &headers(&lines),
            &["https://shop.example".to_owned()],
            scheme,
        )
    }

    #[test]
    fn a_page_of_the_same_scheme_and_host_or_a_named_one_may_open() {
        assert!(is_allowed_origin(&headers(&[]), &[], None));
        for (origin, host, scheme) in [
            ("https://gw.example:8080", "gw.example:8080", Some("https")),
            ("https://gw.example", "GW.example:443", Some("https")),
            ("http://gw.example", "gw.example", Some("http")),
            ("https://gw.example", "gw.example", None),
            ("https://shop.example", "gw.example", Some("http")),
        ] {
            assert!(opens(origin, host, scheme), "{origin} {host} {scheme:?}");
        }
        for (origin, host, scheme) in [
            ("http://gw.example", "gw.example", Some("https")),
            ("https://gw.example:8443", "gw.example", None),
            ("https://gw.example.evil", "gw.example", None),
            ("null", "gw.example", None),
            ("file://gw.example", "gw.example", None),
            ("http://shop.example", "gw.example", None),
        ] {
            assert!(!opens(origin, host, scheme), "{origin} {host} {scheme:?}");
        }
        let two = headers(&[
            (header::HOST, "gw.example"),
            (header::ORIGIN, "http://gw.example"),
            (header::ORIGIN, "http://evil.example"),
        ]);
        assert!(!is_allowed_origin(&two, &[], None), "two origins");
    }
}
