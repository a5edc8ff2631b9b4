//! The Via header (RFC 3261 section 20.42): one element of it, read without copying.

use super::lists::find_outside_quotes;

/// One element of a Via header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    /// Host of sent-by as written, an IPv6 address in its brackets.
    pub host: &'a str,
    /// Port of sent-by.
    pub port: Option<u16>,
    /// `branch`; empty from an RFC 2543 element.
    pub branch: &'a str,
    /// True when the sender asks for its port (RFC 3581).
    pub rport: bool,
    /// False when it can be answered but not trusted: a parameter without a name, another version,
    /// a port that is none.
    pub well_formed: bool,
}

impl<'a> Via<'a> {
    /// Reads one element; `None` when not even the host can be found.
    pub fn read(element: &'a str) -> Option<Self> {
        let (name, rest) = element.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        let (transport, rest) = rest
            .trim_start()
            .split_once(|c: char| c.is_ascii_whitespace())?;
        let end = find_outside_quotes(rest, ';');
        let (sent_by, mut params) = match end {
            Some(end) => (rest[..end].trim(), Some(&rest[end + 1..])),
            None => (rest.trim(), None),
        };
        let (host, port) = split_sent_by(sent_by)?;
        let mut via = Via {
            host,
            port: None,
            branch: "",
            rport: false,
            well_formed: name.trim().eq_ignore_ascii_case("SIP")
                && version.trim() == "2.0"
                && is_token(transport),
        };
        if let Some(port) = port {
            // A connection that listens nowhere may say 0: it is answered on that connection.
            let port: Option<u16> = port.parse().ok();
            via.well_formed &= port.is_some();
            via.port = port.filter(|port| *port != 0);
        }
        while let Some(text) = params {
            let end = find_outside_quotes(text, ';');
            let param = text[..end.unwrap_or(text.len())].trim();
            params = end.map(|end| &text[end + 1..]);
            let (name, value) = match param.split_once('=') {
                Some((name, value)) => (name.trim_end(), value.trim_start()),
                None => (param, ""),
            };
            // `;;` and a `;` at the end are wrong by the grammar, and leave nothing in doubt.
            via.well_formed &= param.is_empty() || is_token(name);
            if name.eq_ignore_ascii_case("branch") {
                via.branch = value;
            } else if name.eq_ignore_ascii_case("rport") {
                via.rport = true;
            }
        }
        Some(via)
    }
}

fn split_sent_by(sent_by: &str) -> Option<(&str, Option<&str>)> {
    let host_end = match sent_by.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => sent_by.find(':').unwrap_or(sent_by.len()),
    };
    let (host, rest) = sent_by.split_at(host_end);
    let host = host.trim_end();
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if host.is_empty() || !host.chars().all(is_host) {
        return None;
    }
    let rest = rest.trim();
    if rest.is_empty() {
        return Some((host, None));
    }
    Some((host, Some(rest.strip_prefix(':')?.trim_start())))
}

/// True for a token (RFC 3261 section 25.1).
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_stand_where_the_grammar_lets_them() {
        let via =
            Via::read("SIP  /    2.0   / UDP  192.168.255.111 : 5061  ; branch= z9hG4bK30239");
        let via = via.expect("readable");
        assert_eq!((via.host, via.port), ("192.168.255.111", Some(5061)));
        assert_eq!((via.branch, via.rport), ("z9hG4bK30239", false));
        assert!(via.well_formed);
    }

    #[test]
    fn an_ipv6_host_keeps_its_brackets_and_rport_may_stand_alone() {
        let via =
            Via::read("SIP/2.0/TLS [2001:db8::9]:5061;RPORT;branch=z9hG4bKa").expect("readable");
        assert_eq!((via.host, via.port), ("[2001:db8::9]", Some(5061)));
        assert!(via.rport && via.well_formed);
        let via = Via::read("SIP/2.0/UDP [2001:db8::9];received=\"a;rport\"").expect("readable");
        assert_eq!((via.port, via.rport), (None, false));
    }

    #[test]
    fn empty_parameters_say_nothing() {
        let via = Via::read("SIP/2.0/UDP 192.0.2.15:5062;; ;rport;;branch=z9hG4bKa;");
        let via = via.expect("readable");
        assert_eq!((via.port, via.branch), (Some(5062), "z9hG4bKa"));
        assert!(via.rport && via.well_formed);
    }

    #[test]
    fn what_can_be_answered_but_not_trusted_is_told() {
        for element in [
            "SIP/2.0/UDP 192.0.2.15;=a",
            "SIP/2.0/UDP 192.0.2.15;a b;branch=z9hG4bKa",
            "SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw",
            "SIP/2.0/UDP c.example.com:99999",
            "SIP/2.0/UDP c.example.com:;branch=z9hG4bKa",
        ] {
            let via = Via::read(element).expect("the host is there");
            assert!(!via.well_formed, "{element}");
        }
        for element in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ;branch=a",
            "SIP/2.0/UDP [::1",
            "a/b/c d e",
        ] {
            assert_eq!(Via::read(element), None, "{element}");
        }
    }
}
