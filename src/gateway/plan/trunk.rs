//! What one `[[trunk]]` means for the SIP user agent and for its calls.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{identity, latching, parse_transport, registered, unusable};
use crate::codec::Codec;
use crate::redacted::Redacted;
use crate::settings::{self, Error};
use crate::srtp_keys::CryptoSuite;
use crate::{call, sdp, sip};

/// How its calls describe themselves.
pub(super) fn policy(index: usize, trunk: &settings::Trunk) -> Result<sdp::TrunkPolicy, Error> {
    Ok(sdp::TrunkPolicy {
        codecs: codecs(&format!("trunk[{index}].codecs"), &trunk.codecs)?,
        ptime: trunk.ptime,
        prefer_passthrough: trunk.passthrough,
        // A PBX that has agreed on events does not listen for tones.
        telephone_event: trunk.telephone_event && trunk.dtmf != "inband",
        event_clocks: latching::event_clocks(index, &trunk.telephone_event_clocks)?,
        srtp: srtp_mode(index, &trunk.srtp)?,
        crypto_suites: crypto_suites(index, &trunk.crypto_suites)?,
        avpf: trunk.avpf,
        ..sdp::TrunkPolicy::default()
    })
}

fn srtp_mode(index: usize, text: &str) -> Result<sdp::SrtpMode, Error> {
    match text {
        "off" => Ok(sdp::SrtpMode::Off),
        "optional" => Ok(sdp::SrtpMode::Optional),
        "required" => Ok(sdp::SrtpMode::Required),
        _ => {
            let expected = "off, optional or required";
            Err(unusable(format!("trunk[{index}].srtp"), text, expected))
        }
    }
}

fn crypto_suites(index: usize, names: &[String]) -> Result<Vec<CryptoSuite>, Error> {
    let refused = |name: &str| {
        let expected = "AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32 or AEAD_AES_128_GCM, \
                        at least one and each once";
        unusable(format!("trunk[{index}].crypto_suites"), name, expected)
    };
    let mut suites = Vec::new();
    for name in names {
        let suite = name.parse().map_err(|_| refused(name))?;
        if suites.contains(&suite) {
            return Err(refused(name));
        }
        suites.push(suite);
    }
    match suites.is_empty() {
        true => Err(refused("[]")),
        false => Ok(suites),
    }
}

/// Whether the keys of its calls would travel where others can read them: in SIP without TLS
/// (RFC 4568 section 7 wants it protected).
pub(super) fn shows_keys(trunk: &settings::Trunk, policy: &sdp::TrunkPolicy) -> bool {
    let targets = trunk.targets.iter().map(|written| &written.target);
    let protected = targets
        .chain([&trunk.target])
        .filter(|target| !target.is_empty())
        .all(|target| {
            let target = target.to_ascii_lowercase();
            target.starts_with("sips:") || target.contains("transport=tls")
        });
    policy.srtp != sdp::SrtpMode::Off && !protected
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

/// `sip:HOST[:PORT][;transport=udp|tcp|tls]` or `sips:HOST[:PORT]`, and whether it is the latter.
fn parse_target(text: &str) -> Option<(sip::Target, bool)> {
    let (scheme, rest) = text.split_once(':')?;
    let sips = match scheme {
        "sip" => false,
        "sips" => true,
        _ => return None,
    };
    let (place, parameters) = rest.split_once(';').unwrap_or((rest, ""));
    let mut transport = sips.then_some(sip::Transport::Tls);
    for parameter in parameters
        .split(';')
        .filter(|parameter| !parameter.is_empty())
    {
        let (name, value) = parameter.split_once('=')?;
        if !name.eq_ignore_ascii_case("transport") {
            return None;
        }
        let named = parse_transport(value)?;
        transport = Some(if sips { named.under_sips()? } else { named });
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
    let target = sip::Target {
        host: host.to_owned(),
        port,
        transport,
    };
    usable.then_some((target, sips))
}

/// A certificate, where both of its files are named.
pub(super) fn certificate(
    chain: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> Option<sip::Certificate> {
    let (chain, key) = (chain.clone()?, key.clone()?);
    Some(sip::Certificate { chain, key })
}

/// The trunk as the SIP user agent knows it.
pub(super) fn sip_trunk(index: usize, trunk: &settings::Trunk) -> Result<sip::Trunk, Error> {
    let (targets, sips) = targets(index, trunk)?;
    let credentials = |username: Option<&String>, password: Option<&settings::Secret>| {
        username
            .zip(password)
            .map(|(username, password)| sip::Credentials {
                username: username.clone(),
                password: password.0.clone(),
            })
    };
    // A key alone needs no password: what AKA computes stands in its place.
    let keyed = settings::Secret(Redacted::default());
    let password = trunk.password.as_ref();
    let password = password.or(trunk.aka_key.as_ref().map(|_| &keyed));
    let registration = registered::user(trunk)
        .filter(|_| trunk.register)
        .map(|user| sip::Registration {
            user: user.to_owned(),
            expires: trunk.register_expires,
            outbound: trunk.register_outbound,
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
    let host = &targets[0].target.host;
    Ok(sip::Trunk {
        domain: trunk.domain.clone().unwrap_or_else(|| host.clone()),
        routes: routes(index, trunk)?,
        try_timeout: try_timeout(index, trunk)?,
        health: health(index, trunk)?,
        credentials: credentials(registered::digest_name(trunk), password),
        inbound: credentials(
            trunk.inbound_username.as_ref(),
            trunk.inbound_password.as_ref(),
        ),
        aka: aka(index, trunk)?,
        accept_from,
        registration,
        contact_user: registered::contact_user(index, trunk)?,
        dialogs: dialogs(index, trunk)?,
        sips,
        tls: sip::PeerTls {
            name: trunk.tls_name.clone(),
            verify: trunk.tls_verify,
            certificate: certificate(&trunk.tls_certificate, &trunk.tls_certificate_key),
        },
        identity: identity::policy(index, trunk)?,
        redirect: identity::redirect(index, trunk)?,
        redirect_hosts: identity::redirect_hosts(index, trunk)?,
        srtp_required: trunk.srtp == "required",
        transfer: trunk.transfer,
        advertised: trunk.advertise,
        keep_alive: Duration::from_secs(trunk.keep_alive),
        ..sip::Trunk::with_targets(&trunk.name, targets)
    })
}

fn aka(index: usize, trunk: &settings::Trunk) -> Result<Option<sip::Aka>, Error> {
    let secret = |key: &str, value: &Option<settings::Secret>| {
        let Some(value) = value else {
            return Ok(None);
        };
        let bytes = hexadecimal(value.0.reveal()).map(Redacted::new);
        let expected = "32 hexadecimal digits";
        let wrong = || unusable(format!("trunk[{index}].{key}"), "***", expected);
        bytes.ok_or_else(wrong).map(Some)
    };
    let (op, opc) = (
        secret("aka_op", &trunk.aka_op)?,
        secret("aka_opc", &trunk.aka_opc)?,
    );
    let field = hexadecimal(&trunk.aka_amf).ok_or_else(|| {
        let expected = "4 hexadecimal digits";
        unusable(format!("trunk[{index}].aka_amf"), &trunk.aka_amf, expected)
    })?;
    Ok(secret("aka_key", &trunk.aka_key)?.map(|key| sip::Aka {
        key,
        op,
        opc,
        field,
    }))
}

/// Exactly `N` bytes.
fn hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// How digits reach it.
pub(super) fn digits(index: usize, trunk: &settings::Trunk) -> Result<call::DigitsBy, Error> {
    Ok(match trunk.dtmf.as_str() {
        "rfc4733" | "inband" => call::DigitsBy::Media,
        "info-relay" => call::DigitsBy::InfoRelay,
        "info" => call::DigitsBy::Info,
        other => {
            let expected = "rfc4733, inband, info-relay or info";
            return Err(unusable(format!("trunk[{index}].dtmf"), other, expected));
        }
    })
}

/// The shortest session that can be configured, seconds: RFC 4028 has 90, tests cannot wait so long.
const LEAST_MIN_SE: u32 = 10;

/// How its dialogs are kept.
fn dialogs(index: usize, trunk: &settings::Trunk) -> Result<sip::DialogRules, Error> {
    let prack = match trunk.prack.as_str() {
        "off" => sip::Prack::Off,
        "supported" => sip::Prack::Supported,
        "required" => sip::Prack::Required,
        other => {
            let expected = "off, supported or required";
            return Err(unusable(format!("trunk[{index}].prack"), other, expected));
        }
    };
    if trunk.session_expires != 0 && trunk.session_expires < trunk.min_se {
        let (key, value) = (
            format!("trunk[{index}].session_expires"),
            trunk.session_expires,
        );
        let expected = "0, or at least min_se";
        return Err(unusable(key, &value.to_string(), expected));
    }
    if trunk.min_se < LEAST_MIN_SE {
        let (key, value) = (format!("trunk[{index}].min_se"), trunk.min_se);
        return Err(unusable(
            key,
            &value.to_string(),
            "at least 10 (RFC 4028 says 90)",
        ));
    }
    let offer_by_update = match trunk.session_modification.as_str() {
        "re-invite" => false,
        "update" => true,
        other => {
            let key = format!("trunk[{index}].session_modification");
            return Err(unusable(key, other, "re-invite or update"));
        }
    };
    Ok(sip::DialogRules {
        prack,
        session_expires: trunk.session_expires,
        min_session_expires: trunk.min_se,
        offer_by_update,
    })
}

/// `target` or `targets`, one at least, and whether they are `sips:`, which all must agree on.
fn targets(index: usize, trunk: &settings::Trunk) -> Result<(Vec<sip::TrunkTarget>, bool), Error> {
    let read = |key: String, text: &str| {
        let expected = "sip:HOST:PORT;transport=udp, tcp or tls, or sips:HOST:PORT";
        parse_target(text).ok_or_else(|| {
            let by_websocket = sip::NextHop::of_uri(text).is_some_and(|hop| !hop.can_be_reached());
            let expected = match by_websocket {
                true => "a transport that we can connect by: udp, tcp or tls (over WebSocket only clients connect)",
                false => expected,
            };
            unusable(key, text, expected)
        })
    };
    if trunk.target.is_empty() == trunk.targets.is_empty() {
        let key = format!("trunk[{index}].target");
        return Err(unusable(key, &trunk.target, "either target or targets"));
    }
    if trunk.targets.is_empty() {
        let (target, sips) = read(format!("trunk[{index}].target"), &trunk.target)?;
        let only = sip::TrunkTarget {
            target,
            priority: 1,
            weight: 1,
        };
        return Ok((vec![only], sips));
    }
    let mut targets = Vec::with_capacity(trunk.targets.len());
    let mut scheme = None;
    for (at, written) in trunk.targets.iter().enumerate() {
        let key = format!("trunk[{index}].targets[{at}].target");
        let (target, sips) = read(key.clone(), &written.target)?;
        if *scheme.get_or_insert(sips) != sips {
            let expected = "all targets to be sip:, or all to be sips:";
            return Err(unusable(key, &written.target, expected));
        }
        targets.push(sip::TrunkTarget {
            target,
            priority: written.priority,
            weight: written.weight,
        });
    }
    Ok((targets, scheme == Some(true)))
}

/// The preloaded route set: the outbound proxy and what comes after it.
fn routes(index: usize, trunk: &settings::Trunk) -> Result<Vec<String>, Error> {
    let read = |key: String, text: &str| {
        let uri = text.trim().trim_start_matches('<').trim_end_matches('>');
        let reached = sip::NextHop::of_uri(uri).is_some_and(|hop| hop.can_be_reached());
        if reached && sip::is_route(uri) {
            Ok(uri.to_owned())
        } else {
            Err(unusable(key, text, "sip:HOST:PORT;lr"))
        }
    };
    let mut routes = Vec::new();
    if let Some(proxy) = &trunk.outbound_proxy {
        let mut proxy = read(format!("trunk[{index}].outbound_proxy"), proxy)?;
        // Proxies of before RFC 3261 are written in `routes`, where nothing is added.
        if !proxy.split(';').any(|part| part == "lr") {
            proxy.push_str(";lr");
        }
        routes.push(proxy);
    }
    for (at, route) in trunk.routes.iter().enumerate() {
        routes.push(read(format!("trunk[{index}].routes[{at}]"), route)?);
    }
    Ok(routes)
}

fn try_timeout(index: usize, trunk: &settings::Trunk) -> Result<Duration, Error> {
    match trunk.try_timeout {
        1..=32 => Ok(Duration::from_secs(trunk.try_timeout)),
        other => {
            let key = format!("trunk[{index}].try_timeout");
            Err(unusable(key, &other.to_string(), "1 to 32 seconds"))
        }
    }
}

/// Seconds between the probes of a target for which none are configured.
const PROBED_EVERY: u64 = 30;

fn health(index: usize, trunk: &settings::Trunk) -> Result<Option<sip::HealthCheck>, Error> {
    let every = trunk.health_check.unwrap_or(PROBED_EVERY);
    if every > 3_600 || trunk.health_failures == 0 {
        let key = format!("trunk[{index}].health_check");
        let expected = "0 to 3600 seconds, and 1 or more health_failures";
        return Err(unusable(key, &every.to_string(), expected));
    }
    Ok((every > 0).then_some(sip::HealthCheck {
        every: Duration::from_secs(every),
        failures: trunk.health_failures,
        by_default: trunk.health_check.is_none(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_of_inband_digits_agrees_on_no_events() {
        for (dtmf, events) in [("rfc4733", true), ("inband", false), ("info", true)] {
            let written = settings::Trunk {
                dtmf: dtmf.to_owned(),
                ..settings::Trunk::default()
            };
            let policy = policy(0, &written).expect("it is usable");
            assert_eq!(policy.telephone_event, events, "{dtmf}");
        }
        let written = settings::Trunk {
            dtmf: "bells".to_owned(),
            ..settings::Trunk::default()
        };
        let error = digits(2, &written).err().map(|error| error.to_string());
        let error = error.expect("it is unknown");
        assert!(error.contains("trunk[2].dtmf") && error.contains("inband"));
    }

    #[test]
    fn a_group_is_read_with_its_routes_and_its_probes() {
        let mut written = settings::Trunk {
            name: "group".to_owned(),
            targets: ["sip:a.example", "sip:10.0.0.2:5070"]
                .map(|target| settings::TrunkTarget {
                    target: target.to_owned(),
                    priority: 1,
                    weight: 1,
                })
                .into(),
            outbound_proxy: Some("sip:proxy.example".to_owned()),
            routes: vec!["<sip:strict.example>".to_owned()],
            ..settings::Trunk::default()
        };
        let trunk = sip_trunk(0, &written).expect("it is usable");
        assert_eq!(trunk.domain, "a.example");
        assert_eq!(trunk.targets[1].target.port, Some(5070));
        assert_eq!(trunk.routes, ["sip:proxy.example;lr", "sip:strict.example"]);
        let health = trunk.health.expect("several targets are probed");
        assert_eq!((health.every.as_secs(), health.failures), (30, 2));
        written.target = "sip:b.example".to_owned();
        let error = sip_trunk(3, &written).err().map(|error| error.to_string());
        assert!(error.expect("both").contains("trunk[3].target"));
        written.targets.clear();
        let health = |written: &settings::Trunk| sip_trunk(0, written).expect("one").health;
        let unasked = health(&written).expect("every target is probed");
        assert!(unasked.by_default && unasked.every.as_secs() == 30);
        written.health_check = Some(10);
        assert!(!health(&written).expect("asked for").by_default);
        written.health_check = Some(0);
        assert!(health(&written).is_none());
        written.target = "sip:10.0.0.2".to_owned();
        written.routes = vec!["proxy".to_owned()];
        let error = sip_trunk(0, &written).err().map(|error| error.to_string());
        assert!(error.expect("no URI").contains("trunk[0].routes[0]"));
    }

    #[test]
    fn srtp_is_read_and_what_is_no_mode_or_suite_is_named() {
        let with = |srtp: &str, suites: &[&str]| settings::Trunk {
            srtp: srtp.to_owned(),
            crypto_suites: suites.iter().map(|name| (*name).to_owned()).collect(),
            target: "sip:pbx.example".to_owned(),
            ..settings::Trunk::default()
        };
        let gcm = "AEAD_AES_128_GCM";
        let trunk = with("optional", &[gcm]);
        let read = policy(0, &trunk).expect("usable");
        assert_eq!(read.srtp, sdp::SrtpMode::Optional);
        assert_eq!(read.crypto_suites, [CryptoSuite::AeadAes128Gcm]);
        assert!(shows_keys(&trunk, &read));
        let over_tls = settings::Trunk {
            target: "sip:pbx.example;transport=TLS".to_owned(),
            ..trunk
        };
        assert!(!shows_keys(&over_tls, &read));
        for (trunk, key) in [
            (with("yes", &[gcm]), "trunk[0].srtp"),
            (with("off", &[]), "trunk[0].crypto_suites"),
            (with("off", &[gcm, gcm]), "trunk[0].crypto_suites"),
            (
                with("off", &["F8_128_HMAC_SHA1_80"]),
                "trunk[0].crypto_suites",
            ),
        ] {
            let error = policy(0, &trunk).expect_err(key);
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn a_key_is_read_in_hexadecimal_and_never_shown_when_it_is_wrong() {
        let secret = |text: &str| Some(settings::Secret(Redacted::new(text.to_owned())));
        let mut trunk = settings::Trunk {
            aka_key: secret("465b5ce8b199b49faa5f0a2ee238a6bc"),
            aka_opc: secret("CD63CB71954A9F4E48A5994E37A02BAF"),
            ..settings::Trunk::default()
        };
        let read = aka(0, &trunk).expect("usable").expect("a key");
        assert_eq!(read.key.reveal()[..2], [0x46, 0x5b]);
        assert_eq!(read.opc.expect("given").reveal()[15], 0xaf);
        trunk.aka_key = secret("465b5ce8b199b49f+a5f0a2ee238a6bc");
        let error = aka(0, &trunk).expect_err("no hexadecimal").to_string();
        assert!(error.contains("trunk[0].aka_key"), "{error}");
        assert!(!error.contains("465b"), "{error}");
    }

    #[test]
    fn websocket_target_and_route_are_refused_with_the_reason() {
        let written = settings::Trunk {
            target: "sip:pbx.example;transport=ws".to_owned(),
            outbound_proxy: Some("sip:edge.example;transport=ws".to_owned()),
            ..settings::Trunk::default()
        };
        let error = targets(3, &written).expect_err("unusable").to_string();
        assert!(error.contains("trunk[3].target"), "{error}");
        assert!(error.contains("only clients connect"), "{error}");
        let error = routes(3, &written).expect_err("unusable").to_string();
        assert!(error.contains("trunk[3].outbound_proxy"), "{error}");
    }

    #[test]
    fn targets_are_read_in_every_form() {
        let target = |text| {
            parse_target(text).map(|(target, sips)| {
                let secure = target.transport == Some(sip::Transport::Tls);
                assert!(secure || !sips, "{text} is not safe");
                (target.host, target.port, target.transport)
            })
        };
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
        for secure in [
            "sips:pbx.example",
            "sips:pbx.example;transport=tcp",
            "sip:pbx.example;transport=tls",
        ] {
            assert_eq!(
                target(secure),
                Some(("pbx.example".to_owned(), None, Some(sip::Transport::Tls))),
                "{secure}"
            );
        }
        for wrong in [
            "pbx.example",
            "sips:pbx.example;transport=udp",
            "sip:",
            "sip:a b",
            "sip:a:99999",
            "sip:a;transport=smoke",
            "sip:a;transport=ws",
            "sips:a;transport=ws",
        ] {
            assert_eq!(target(wrong), None, "{wrong}");
        }
    }
}
