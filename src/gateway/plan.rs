//! From the configuration as written to what each part is given. No network.

mod addresses;
mod identity;
mod latching;
mod registered;
mod rtp;
mod trunk;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use rtp::RtpPlan;

use crate::agent;
use crate::call::{DigitsBy, InboundRoute, OutboundRoute, Rewrite, Routes, Rules, TrunkRules};
use crate::dscp::Dscp;
use crate::redacted::Redacted;
use crate::settings::{self, Error, Settings};
use crate::signaling::{IceServer, SignIn, StaticUser, TokenVerifier};
use crate::{media, sdp, sip};

pub(super) use addresses::browser_addresses;

/// What the settings mean.
pub(super) struct Plan {
    /// SIP listeners.
    pub(super) listen: Vec<sip::Listen>,
    /// Name servers of the SIP user agent.
    pub(super) dns_servers: Vec<SocketAddr>,
    /// How SIP is marked, and how audio is.
    pub(super) sip_dscp: Dscp,
    pub(super) media_dscp: Dscp,
    /// Certificates of SIP.
    pub(super) tls: sip::Tls,
    /// Bounds of SIP.
    pub(super) sip_limits: sip::Limits,
    /// Trunks of the SIP user agent.
    pub(super) trunks: Vec<sip::Trunk>,
    /// The names of those with SRTP whose SIP is not encrypted.
    pub(super) shows_keys: Vec<String>,
    /// Trunks of the calls.
    pub(super) rules: HashMap<String, TrunkRules>,
    /// Where calls go.
    pub(super) routes: Routes,
    /// Who may sign in.
    pub(super) sign_in: SignIn,
    /// Users that exist.
    pub(super) known: HashSet<String>,
    /// Those with a line that is registered while they are signed in.
    pub(super) followed: HashSet<String>,
    /// For pages.
    pub(super) ice_servers: Vec<IceServer>,
    /// RTP ports.
    pub(super) rtp_ports: RangeInclusive<u16>,
    /// RTP addresses.
    pub(super) rtp: RtpPlan,
}

/// A value that cannot be meant; [`Plan::new`] knows the file.
fn unusable(key: impl Into<String>, value: &str, expected: &str) -> Error {
    Error::Value {
        file: String::new(),
        key: key.into(),
        value: format!("{value:?}"),
        expected: expected.to_owned(),
    }
}

impl Plan {
    /// Reads the settings.
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        Plan::read(settings).map_err(|mut error| {
            if let Error::Value { file, .. } = &mut error {
                file.clone_from(&settings.file);
            }
            error
        })
    }

    fn read(settings: &Settings) -> Result<Self, Error> {
        let listen = settings
            .sip
            .listen
            .iter()
            .map(|text| {
                parse_listen(text).ok_or_else(|| {
                    let expected = "udp:ADDRESS:PORT, tcp:ADDRESS:PORT or tls:ADDRESS:PORT";
                    unusable("sip.listen", text, expected)
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if listen.is_empty() {
            return Err(unusable("sip.listen", "[]", "at least one listener"));
        }
        if let Some(text) = settings.sip.instance.as_deref()
            && text.trim().is_empty()
        {
            let expected = "text that no other gateway has, or no such key";
            return Err(unusable("sip.instance", text, expected));
        }
        let rtp = RtpPlan::read(settings, &listen)?;
        let browser = sdp::BrowserPolicy {
            codecs: trunk::codecs("webrtc.codecs", &settings.webrtc.codecs)?,
            ..sdp::BrowserPolicy::default()
        };
        let mut trunks = Vec::new();
        let mut rules = HashMap::new();
        let mut shows_keys = Vec::new();
        for (index, trunk) in settings.trunk.iter().enumerate() {
            let policy = trunk::policy(index, trunk)?;
            if trunk::shows_keys(trunk, &policy) {
                shows_keys.push(trunk.name.clone());
            }
            let registered = registered::user(trunk).filter(|_| trunk.register);
            let of_trunk = TrunkRules {
                rules: Rules {
                    delayed_offer: trunk.delayed_offer,
                    digits: trunk::digits(index, trunk)?,
                    ..call_rules(settings, browser.clone(), policy)
                },
                from_user: trunk.from_user.clone().or(registered.map(str::to_owned)),
                caller_id: identity::caller_id(index, trunk)?,
                page_headers: identity::page_headers(index, trunk)?,
                inband_digits: trunk.inband_digits,
                latching: latching::policy(index, trunk)?,
            };
            rules.insert(trunk.name.clone(), of_trunk);
            let accounts = settings
                .user
                .iter()
                .filter(|user| user.trunk.as_ref() == Some(&trunk.name))
                .map(|user| registered::account(user, trunk))
                .collect();
            let trunk = sip::Trunk {
                accounts,
                ..trunk::sip_trunk(index, trunk)?
            };
            let secure =
                |target: &sip::TrunkTarget| target.target.transport == Some(sip::Transport::Tls);
            if trunk.targets.iter().any(secure)
                && !listen.iter().any(|l| l.transport == sip::Transport::Tls)
            {
                let key = format!("trunk[{index}].target");
                let expected = "a tls: listener in sip.listen beside it";
                return Err(unusable(key, &settings.trunk[index].target, expected));
            }
            trunks.push(trunk);
        }
        if settings.built_in.enabled {
            let of_agent = TrunkRules {
                rules: call_rules(settings, browser, sdp::TrunkPolicy::default()),
                from_user: None,
                caller_id: Vec::new(),
                page_headers: Vec::new(),
                inband_digits: false,
                latching: media::Latching::default(),
            };
            rules.insert(agent::TRUNK.to_owned(), of_agent);
        }
        let followed = trunks
            .iter()
            .flat_map(|trunk| &trunk.accounts)
            .filter(|account| account.registered == sip::Registered::Present)
            .map(|account| account.user.clone())
            .collect();
        Ok(Plan {
            listen,
            dns_servers: dns_servers(&settings.sip.dns_servers)?,
            tls: sip::Tls {
                certificate: trunk::certificate(
                    &settings.sip.certificate,
                    &settings.sip.certificate_key,
                ),
                authorities: settings.sip.ca.clone(),
                client_authorities: settings.sip.client_ca.clone(),
            },
            sip_limits: sip::Limits {
                new_calls_per_second: settings.sip.new_calls_per_second,
                new_calls_per_second_per_source: settings.sip.new_calls_per_second_per_source,
                strangers: strangers(&settings.sip.strangers)?,
                connections: settings.sip.max_connections,
                connections_per_source: settings.sip.max_connections_per_address,
                idle_timeout: Duration::from_secs(settings.sip.idle_timeout),
                message_timeout: Duration::from_secs(settings.sip.message_timeout),
                ..sip::Limits::default()
            },
            trunks,
            followed,
            shows_keys,
            rules,
            routes: routes(settings)?,
            sign_in: sign_in(settings)?,
            known: settings.user.iter().map(|user| user.name.clone()).collect(),
            ice_servers: settings.webrtc.ice_servers.iter().map(ice_server).collect(),
            rtp_ports: parse_ports(&settings.media.rtp_ports)?,
            rtp,
            sip_dscp: dscp("sip.dscp", settings.sip.dscp)?,
            media_dscp: dscp("media.dscp", settings.media.dscp)?,
        })
    }
}

fn strangers(text: &str) -> Result<sip::Strangers, Error> {
    match text {
        "refuse" => Ok(sip::Strangers::Refuse),
        "drop" => Ok(sip::Strangers::Drop),
        _ => Err(unusable("sip.strangers", text, "refuse or drop")),
    }
}

fn call_rules(settings: &Settings, browser: sdp::BrowserPolicy, trunk: sdp::TrunkPolicy) -> Rules {
    Rules {
        browser,
        trunk,
        ring_timeout: Duration::from_secs(settings.calls.ring_timeout),
        connect_timeout: Duration::from_secs(settings.calls.connect_timeout),
        media_timeout: match settings.calls.media_timeout {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        },
        delayed_offer: false,
        digits: DigitsBy::Media,
    }
}

fn dns_servers(written: &[String]) -> Result<Vec<SocketAddr>, Error> {
    written
        .iter()
        .map(|text| {
            text.parse()
                .or_else(|_| text.parse::<IpAddr>().map(|ip| (ip, 53).into()))
                .map_err(|_| unusable("sip.dns_servers", text, "ADDRESS or ADDRESS:PORT"))
        })
        .collect()
}

fn parse_listen(text: &str) -> Option<sip::Listen> {
    let (transport, address) = text.split_once(':')?;
    Some(sip::Listen {
        transport: parse_transport(transport)?,
        address: address.parse().ok()?,
    })
}

fn parse_transport(text: &str) -> Option<sip::Transport> {
    match text.to_ascii_lowercase().as_str() {
        "udp" => Some(sip::Transport::Udp),
        "tcp" => Some(sip::Transport::Tcp),
        "tls" => Some(sip::Transport::Tls),
        _ => None,
    }
}

fn routes(settings: &Settings) -> Result<Routes, Error> {
    let rewrite = |key: String, pattern: &str, template: &str| {
        Rewrite::new(pattern, template)
            .map_err(|error| unusable(key, pattern, &format!("a regular expression ({error})")))
    };
    let mut routes = Routes::default();
    if settings.built_in.enabled {
        for number in agent::Number::ALL {
            routes.outbound.push(OutboundRoute {
                number: rewrite("built_in".to_owned(), number.dialled(), "$0")?,
                users: Vec::new(),
                trunk: agent::TRUNK.to_owned(),
                fallback: Vec::new(),
            });
        }
        routes.inbound.push(InboundRoute {
            user: rewrite("built_in".to_owned(), ".+", "$0")?,
            trunk: Some(agent::TRUNK.to_owned()),
        });
    }
    for (index, route) in settings.route.iter().enumerate() {
        routes.outbound.push(OutboundRoute {
            number: rewrite(format!("route[{index}].match"), &route.pattern, &route.to)?,
            users: route.users.clone(),
            trunk: route.trunk.clone(),
            fallback: route.fallback.clone(),
        });
    }
    for (index, route) in settings.inbound.iter().enumerate() {
        routes.inbound.push(InboundRoute {
            user: rewrite(
                format!("inbound[{index}].match"),
                &route.pattern,
                &route.user,
            )?,
            trunk: route.trunk.clone(),
        });
    }
    Ok(routes)
}

fn sign_in(settings: &Settings) -> Result<SignIn, Error> {
    let users = settings.user.iter().map(|user| {
        let password: Redacted<String> = user.password.0.clone();
        let display_name = user.display_name.clone();
        (
            user.name.clone(),
            StaticUser {
                password,
                display_name,
            },
        )
    });
    let tokens = settings
        .sign_in
        .jwt_key
        .as_ref()
        .map(|key| {
            let audience = settings.sign_in.jwt_audience.as_deref();
            TokenVerifier::new(&key.0, &settings.sign_in.jwt_user_claim, audience)
                .map_err(|error| unusable("sign_in.jwt_key", "***", &error.to_string()))
        })
        .transpose()?;
    Ok(SignIn {
        anonymous: settings.sign_in.anonymous,
        users: users.collect(),
        tokens,
    })
}

fn ice_server(server: &settings::IceServer) -> IceServer {
    IceServer {
        urls: server.urls.clone(),
        username: server.username.clone(),
        credential: server
            .credential
            .as_ref()
            .map(|secret| secret.0.reveal().clone()),
    }
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, Error> {
    text.split_once('-')
        .and_then(|(first, last)| {
            let first: u16 = first.trim().parse().ok()?;
            let last: u16 = last.trim().parse().ok()?;
            (first >= 1_024 && first < last).then_some(first..=last)
        })
        .ok_or_else(|| {
            unusable(
                "media.rtp_ports",
                text,
                "FIRST-LAST, both from 1024 to 65535",
            )
        })
}

/// A code point of six bits.
fn dscp(key: &str, value: u8) -> Result<Dscp, Error> {
    Dscp::new(value).ok_or_else(|| {
        unusable(
            key,
            &value.to_string(),
            "a DSCP from 0 to 63, such as 46 for EF",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_default_makes_a_plan_and_reaches_the_built_in_numbers() {
        let plan = Plan::new(&Settings::default()).expect("the default is usable");
        let echo = plan
            .routes
            .outbound("anybody", "echo")
            .expect("echo is built in");
        assert_eq!(echo.trunk, agent::TRUNK);
        assert!(plan.routes.outbound("anybody", "600").is_none());
    }

    #[test]
    fn dscp_beyond_six_bits_is_refused() {
        let plan = |media, sip| {
            let mut settings = Settings::default();
            (settings.media.dscp, settings.sip.dscp) = (media, sip);
            Plan::new(&settings)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        for good in [0, 24, 46, 63] {
            assert_eq!(plan(good, good), Ok(()));
        }
        for bad in [64, 184, 255] {
            for (key, planned) in [("media.dscp", plan(bad, 0)), ("sip.dscp", plan(0, bad))] {
                let error = planned.expect_err("more than six bits");
                assert!(error.contains(key) && error.contains("0 to 63"), "{error}");
            }
        }
    }

    #[test]
    fn an_error_names_the_file_the_key_and_what_was_expected() {
        let mut settings = Settings {
            file: "house.toml".to_owned(),
            ..Settings::default()
        };
        settings.media.rtp_ports = "9".to_owned();
        let error = Plan::new(&settings).err().expect("no range").to_string();
        assert_eq!(
            error,
            "house.toml: media.rtp_ports: \"9\" is not usable, expected FIRST-LAST, both from 1024 to 65535"
        );
    }
}
