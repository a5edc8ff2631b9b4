//! What one `[[trunk]]` means for the SIP user agent and for its calls.

use std::net::IpAddr;

use super::{identity, parse_transport, unusable};
use crate::codec::Codec;
use crate::settings::{self, Error};
use crate::{sdp, sip};

/// How its calls describe themselves.
pub(super) fn policy(index: usize, trunk: &settings::Trunk) -> Result<sdp::TrunkPolicy, Error> {
    Ok(sdp::TrunkPolicy {
        codecs: codecs(&format!("trunk[{index}].codecs"), &trunk.codecs)?,
        ptime: trunk.ptime,
        prefer_passthrough: trunk.passthrough,
        telephone_event: trunk.telephone_event,
    })
}

/// The codecs of a list of names.
pub(super) fn codecs(key: &str, names: &[String]) -> Result<Vec<Codec>, Error> {
    if names.is_empty() {
        return Err(unusable(key, "[]", "at least one of opus, PCMU, PCMA"));
    }
    names
        .iter()
        .map(|name| {
            name.parse()
                .map_err(|_| unusable(key, name, "opus, PCMU or PCMA"))
        })
        .collect()
}

/// `sip:HOST[:PORT][;transport=udp|tcp]`
fn parse_target(text: &str) -> Option<sip::Target> {
    let rest = text.strip_prefix("sip:")?;
    let (place, parameters) = rest.split_once(';').unwrap_or((rest, ""));
    let mut transport = None;
    for parameter in parameters
        .split(';')
        .filter(|parameter| !parameter.is_empty())
    {
        let (name, value) = parameter.split_once('=')?;
        if !name.eq_ignore_ascii_case("transport") {
            return None;
        }
        transport = Some(parse_transport(value)?);
    }
    let (host, port) = match place.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            let port = if rest.is_empty() {
                None
            } else {
                Some(rest.strip_prefix(':')?.parse().ok()?)
            };
            (host, port)
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (place, None),
        },
    };
    let usable = !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_'));
    usable.then(|| sip::Target {
        host: host.to_owned(),
        port,
        transport,
    })
}

/// The trunk as the SIP user agent knows it.
pub(super) fn sip_trunk(index: usize, trunk: &settings::Trunk) -> Result<sip::Trunk, Error> {
    let target = parse_target(&trunk.target).ok_or_else(|| {
        let expected = "sip:HOST:PORT;transport=udp or tcp";
        unusable(format!("trunk[{index}].target"), &trunk.target, expected)
    })?;
    let credentials = match (&trunk.username, &trunk.password) {
        (Some(username), Some(password)) => Some(sip::Credentials {
            username: username.clone(),
            password: password.0.clone(),
        }),
        _ => None,
    };
    let registration = trunk
        .username
        .as_ref()
        .filter(|_| trunk.register)
        .map(|user| sip::Registration {
            user: user.clone(),
            expires: trunk.register_expires,
        });
    let accept_from = trunk
        .accept_from
        .iter()
        .map(|text| {
            text.parse()
                .or_else(|_| text.parse::<IpAddr>().map(ipnet::IpNet::from))
                .map_err(|_| {
                    let expected = "an address, or a range such as 192.0.2.0/24";
                    unusable(format!("trunk[{index}].accept_from"), text, expected)
                })
        })
        .collect::<Result<_, _>>()?;
    Ok(sip::Trunk {
        domain: trunk.domain.clone().unwrap_or_else(|| target.host.clone()),
        credentials,
        accept_from,
        registration,
        identity: identity::policy(index, trunk)?,
        ..sip::Trunk::new(&trunk.name, target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_in_every_form() {
        let target =
            |text| parse_target(text).map(|target| (target.host, target.port, target.transport));
        assert_eq!(
            target("sip:pbx.example"),
            Some(("pbx.example".to_owned(), None, None))
        );
        assert_eq!(
            target("sip:192.0.2.1:5080;transport=tcp"),
            Some((
                "192.0.2.1".to_owned(),
                Some(5080),
                Some(sip::Transport::Tcp)
            ))
        );
        assert_eq!(
            target("sip:[2001:db8::1]:5061"),
            Some(("2001:db8::1".to_owned(), Some(5061), None))
        );
        for wrong in [
            "pbx.example",
            "sip:",
            "sip:a b",
            "sip:a:99999",
            "sip:a;transport=smoke",
        ] {
            assert_eq!(target(wrong), None, "{wrong}");
        }
    }
}
