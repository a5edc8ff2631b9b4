//! What one `[[trunk]]` means for the SIP user agent and for its calls.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{identity, parse_transport, registered, unusable};
use crate::codec::Codec;
use crate::redacted::Redacted;
use crate::settings::{self, Error};
use crate::srtp_keys::CryptoSuite;
use crate::{call, sdp, sip};

/// How its calls describe themselves.
pub(super) fn policy(index: usize, trunk: &settings::Trunk) -> Result<sdp::TrunkPolicy, Error> {
    Ok(sdp::TrunkPolicy {
        codecs: codecs(&format!("trunk[{index}].codecs"), &trunk.audio.codecs)?,
        ptime: trunk.audio.ptime,
        prefer_passthrough: trunk.audio.passthrough,
        // A PBX that has agreed on events does not listen for tones.
        telephone_event: trunk.digits.telephone_event
            && trunk.digits.dtmf != settings::Dtmf::Inband,
        event_clocks: trunk.digits.telephone_event_clocks.clone(),
        srtp: srtp_mode(trunk.audio.srtp),
        crypto_suites: crypto_suites(index, &trunk.audio.crypto_suites)?,
        avpf: trunk.audio.avpf,
        ..sdp::TrunkPolicy::default()
    })
}

fn srtp_mode(written: settings::Srtp) -> sdp::SrtpMode {
    match written {
        settings::Srtp::Off => sdp::SrtpMode::Off,
        settings::Srtp::Optional => sdp::SrtpMode::Optional,
        settings::Srtp::Required => sdp::SrtpMode::Required,
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
    let targets = trunk
        .addressing
        .targets
        .iter()
        .map(|written| &written.target);
    let protected = targets
        .chain([&trunk.addressing.target])
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
    let password = trunk.account.password.as_ref();
    let password = password.or(trunk.aka.key.as_ref().map(|_| &keyed));
    let registration = registered::user(trunk)
        .filter(|_| trunk.account.register)
        .map(|user| sip::Registration {
            user: user.to_owned(),
            expires: trunk.registration.expires,
            outbound: trunk.registration.outbound,
        });
    let accept_from = trunk
        .addressing
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
        domain: trunk.account.domain.clone().unwrap_or_else(|| host.clone()),
        routes: routes(index, trunk)?,
        try_timeout: Duration::from_secs(trunk.addressing.try_timeout),
        health: health(trunk),
        credentials: credentials(registered::digest_name(trunk), password),
        inbound: credentials(
            trunk.inbound_auth.username.as_ref(),
            trunk.inbound_auth.password.as_ref(),
        ),
        aka: aka(index, trunk)?,
        accept_from,
        registration,
        contact_user: trunk.registration.contact_user.clone(),
        dialogs: dialogs(trunk),
        sips,
        tls: sip::PeerTls {
            name: trunk.tls.name.clone(),
            verify: trunk.tls.verify,
            certificate: certificate(&trunk.tls.certificate, &trunk.tls.certificate_key),
        },
        identity: identity::policy(index, trunk)?,
        redirect: match trunk.dialogs.redirect {
            settings::Redirect::Pass => sip::RedirectPolicy::Pass,
            settings::Redirect::Follow => sip::RedirectPolicy::Follow,
        },
        redirect_hosts: trunk.dialogs.redirect_hosts.clone(),
        srtp_required: trunk.audio.srtp == settings::Srtp::Required,
        transfer: trunk.dialogs.transfer,
        advertised: trunk.addressing.advertise,
        keep_alive: Duration::from_secs(trunk.addressing.keep_alive),
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
        secret("aka.op", &trunk.aka.op)?,
        secret("aka.opc", &trunk.aka.opc)?,
    );
    let field = hexadecimal(&trunk.aka.amf).ok_or_else(|| {
        let expected = "4 hexadecimal digits";
        unusable(format!("trunk[{index}].aka.amf"), &trunk.aka.amf, expected)
    })?;
    Ok(secret("aka.key", &trunk.aka.key)?.map(|key| sip::Aka {
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
pub(super) fn digits(trunk: &settings::Trunk) -> call::DigitsBy {
    match trunk.digits.dtmf {
        settings::Dtmf::Rfc4733 | settings::Dtmf::Inband => call::DigitsBy::Media,
        settings::Dtmf::InfoRelay => call::DigitsBy::InfoRelay,
        settings::Dtmf::Info => call::DigitsBy::Info,
    }
}

/// How its dialogs are kept.
fn dialogs(trunk: &settings::Trunk) -> sip::DialogRules {
    let written = &trunk.dialogs;
    sip::DialogRules {
        prack: match written.prack {
            settings::Prack::Off => sip::Prack::Off,
            settings::Prack::Supported => sip::Prack::Supported,
            settings::Prack::Required => sip::Prack::Required,
        },
        session_expires: written.session_expires,
        min_session_expires: written.min_se,
        offer_by_update: written.session_modification == settings::SessionModification::Update,
    }
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
    if trunk.addressing.target.is_empty() == trunk.addressing.targets.is_empty() {
        let key = format!("trunk[{index}].target");
        return Err(unusable(
            key,
            &trunk.addressing.target,
            "either target or targets",
        ));
    }
    if trunk.addressing.targets.is_empty() {
        let (target, sips) = read(format!("trunk[{index}].target"), &trunk.addressing.target)?;
        let only = sip::TrunkTarget {
            target,
            priority: 1,
            weight: 1,
        };
        return Ok((vec![only], sips));
    }
    let mut targets = Vec::with_capacity(trunk.addressing.targets.len());
    let mut scheme = None;
    for (at, written) in trunk.addressing.targets.iter().enumerate() {
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
    if let Some(proxy) = &trunk.addressing.outbound_proxy {
        let mut proxy = read(format!("trunk[{index}].outbound_proxy"), proxy)?;
        // Proxies of before RFC 3261 are written in `routes`, where nothing is added.
        if !proxy.split(';').any(|part| part == "lr") {
            proxy.push_str(";lr");
        }
        routes.push(proxy);
    }
    for (at, route) in trunk.addressing.routes.iter().enumerate() {
        routes.push(read(format!("trunk[{index}].routes[{at}]"), route)?);
    }
    Ok(routes)
}

fn health(trunk: &settings::Trunk) -> Option<sip::HealthCheck> {
    let written = &trunk.addressing;
    let every = written.probed_every();
    (every > 0).then_some(sip::HealthCheck {
        every: Duration::from_secs(every),
        failures: written.health_failures,
        by_default: written.health_check.is_none(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_of_inband_digits_agrees_on_no_events() {
        for (dtmf, events) in [
            (settings::Dtmf::Rfc4733, true),
            (settings::Dtmf::Inband, false),
            (settings::Dtmf::Info, true),
        ] {
            let mut written = settings::Trunk::default();
            written.digits.dtmf = dtmf;
            let policy = policy(0, &written).expect("it is usable");
            assert_eq!(policy.telephone_event, events, "{dtmf:?}");
        }
    }

    #[test]
    fn a_group_is_read_with_its_routes_and_its_probes() {
        let mut written = settings::Trunk::new("group", "");
        written.addressing.targets = ["sip:a.example", "sip:10.0.0.2:5070"]
            .map(|target| settings::TrunkTarget {
                target: target.to_owned(),
                priority: 1,
                weight: 1,
            })
            .into();
        written.addressing.outbound_proxy = Some("sip:proxy.example".to_owned());
        written.addressing.routes = vec!["<sip:strict.example>".to_owned()];
        let trunk = sip_trunk(0, &written).expect("it is usable");
        assert_eq!(trunk.domain, "a.example");
        assert_eq!(trunk.targets[1].target.port, Some(5070));
        assert_eq!(trunk.routes, ["sip:proxy.example;lr", "sip:strict.example"]);
        let health = trunk.health.expect("several targets are probed");
        assert_eq!((health.every.as_secs(), health.failures), (30, 2));
        written.addressing.target = "sip:b.example".to_owned();
        let error = sip_trunk(3, &written).err().map(|error| error.to_string());
        assert!(error.expect("both").contains("trunk[3].target"));
        written.addressing.targets.clear();
        let health = |written: &settings::Trunk| sip_trunk(0, written).expect("one").health;
        let unasked = health(&written).expect("every target is probed");
        assert!(unasked.by_default && unasked.every.as_secs() == 30);
        written.addressing.health_check = Some(10);
        assert!(!health(&written).expect("asked for").by_default);
        written.addressing.health_check = Some(0);
        assert!(health(&written).is_none());
        written.addressing.target = "sip:10.0.0.2".to_owned();
        written.addressing.routes = vec!["proxy".to_owned()];
        let error = sip_trunk(0, &written).err().map(|error| error.to_string());
        assert!(error.expect("no URI").contains("trunk[0].routes[0]"));
    }

    #[test]
    fn srtp_is_read_and_what_is_no_suite_is_named() {
        let with = |srtp, suites: &[&str]| {
            let mut trunk = settings::Trunk::new("t", "sip:pbx.example");
            trunk.audio.srtp = srtp;
            trunk.audio.crypto_suites = suites.iter().map(|name| (*name).to_owned()).collect();
            trunk
        };
        let gcm = "AEAD_AES_128_GCM";
        let trunk = with(settings::Srtp::Optional, &[gcm]);
        let read = policy(0, &trunk).expect("usable");
        assert_eq!(read.srtp, sdp::SrtpMode::Optional);
        assert_eq!(read.crypto_suites, [CryptoSuite::AeadAes128Gcm]);
        assert!(shows_keys(&trunk, &read));
        let mut over_tls = trunk;
        over_tls.addressing.target = "sip:pbx.example;transport=TLS".to_owned();
        assert!(!shows_keys(&over_tls, &read));
        for (trunk, key) in [
            (with(settings::Srtp::Off, &[]), "trunk[0].crypto_suites"),
            (
                with(settings::Srtp::Off, &[gcm, gcm]),
                "trunk[0].crypto_suites",
            ),
            (
                with(settings::Srtp::Off, &["F8_128_HMAC_SHA1_80"]),
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
        let mut trunk = settings::Trunk::default();
        trunk.aka.key = secret("465b5ce8b199b49faa5f0a2ee238a6bc");
        trunk.aka.opc = secret("CD63CB71954A9F4E48A5994E37A02BAF");
        let read = aka(0, &trunk).expect("usable").expect("a key");
        assert_eq!(read.key.reveal()[..2], [0x46, 0x5b]);
        assert_eq!(read.opc.expect("given").reveal()[15], 0xaf);
        trunk.aka.key = secret("465b5ce8b199b49f+a5f0a2ee238a6bc");
        let error = aka(0, &trunk).expect_err("no hexadecimal").to_string();
        assert!(error.contains("trunk[0].aka.key"), "{error}");
        assert!(!error.contains("465b"), "{error}");
    }

    #[test]
    fn websocket_target_and_route_are_refused_with_the_reason() {
        let mut written = settings::Trunk::new("t", "sip:pbx.example;transport=ws");
        written.addressing.outbound_proxy = Some("sip:edge.example;transport=ws".to_owned());
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
