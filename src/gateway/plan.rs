//! From the configuration as written to what each part is given. No network.

mod addresses;
mod credentials;
mod identity;
mod latching;
mod registered;
mod rtp;
mod trunk;
mod trunks;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use rtp::RtpPlan;
use trunks::Trunks;

use crate::built_in;
use crate::control::{self, InboundRoute, OutboundRoute, Permits, Rewrite, Routes, TrunkRules};
use crate::dscp::Dscp;
use crate::settings::{self, Collector, Error, Errors, Settings};
use crate::signaling::{IceServer, SignIn};
use crate::{sdp, sip};

pub(super) use addresses::browser_addresses;
pub(super) use credentials::{accounts, attempts};

/// What the settings mean.
pub(super) struct Plan {
    /// SIP listeners.
    pub(super) listen: Vec<sip::Listen>,
    /// Name servers of the SIP user agent.
    pub(super) dns_servers: Vec<SocketAddr>,
    /// How packets are marked.
    pub(super) dscp: Marks,
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
    pub(super) watched: HashSet<String>,
    /// For pages.
    pub(super) ice_servers: Vec<IceServer>,
    /// RTP ports.
    pub(super) rtp_ports: RangeInclusive<u16>,
    /// RTP addresses.
    pub(super) rtp: RtpPlan,
}

/// Differentiated services code points (RFC 2474).
pub(super) struct Marks {
    pub(super) sip: Dscp,
    pub(super) media: Dscp,
}

/// A value that cannot be meant; [`Plan::new`] knows the file.
fn unusable(key: impl Into<String>, value: &str, expected: &str) -> Error {
    Error::value(key, value, expected)
}

/// A pattern with its template, and the keys of both.
pub(super) fn rewrite(
    (key, pattern): (String, &str),
    (template_key, template): (String, &str),
) -> Result<Rewrite, Error> {
    Rewrite::new(pattern, template).map_err(|error| match error {
        control::Error::Pattern { ref source, .. } => {
            // The message draws a picture of several lines; its last line says what is wrong.
            let why = source.to_string();
            let why = why.lines().last().unwrap_or_default().trim().to_owned();
            unusable(key, pattern, &format!("a regular expression ({why})"))
        }
        error => unusable(
            template_key,
            template,
            &format!("references to groups of {pattern:?} only ({error})"),
        ),
    })
}

impl Plan {
    /// Reads the settings.
    pub(super) fn new(settings: &Settings) -> Result<Self, Errors> {
        let mut found = Collector::default();
        let plan = Plan::read(settings, &mut found);
        found
            .finish(plan)
            .map_err(|Errors(errors)| settings.locate(errors))
    }

    fn listeners(settings: &Settings) -> Result<Vec<sip::Listen>, Error> {
        let listen = settings
            .sip
            .listen
            .iter()
            .enumerate()
            .map(|(index, text)| {
                parse_listen(text).ok_or_else(|| {
                    let expected = "udp:ADDRESS:PORT, tcp:ADDRESS:PORT or tls:ADDRESS:PORT";
                    unusable(format!("sip.listen[{index}]"), text, expected)
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if listen.is_empty() {
            return Err(unusable("sip.listen", "[]", "at least one listener"));
        }
        Ok(listen)
    }

    /// Keeps each error and goes on with what does not depend on it.
    fn read(settings: &Settings, found: &mut Collector) -> Option<Self> {
        let listen = found.keep(Plan::listeners(settings));
        if let Some(text) = settings.sip.instance.as_deref()
            && text.trim().is_empty()
        {
            let expected = "text that no other gateway has, or no such key";
            found.push(unusable("sip.instance", text, expected));
        }
        let rtp = listen
            .as_ref()
            .and_then(|listen| found.keep(RtpPlan::read(settings, listen)));
        let codecs = trunk::codecs("webrtc.codecs", &settings.webrtc.codecs);
        let browser = sdp::BrowserPolicy {
            codecs: found.keep(codecs).unwrap_or_default(),
            ..sdp::BrowserPolicy::default()
        };
        let trunks = Trunks::read(settings, listen.as_deref(), browser, found);
        let watched = trunks
            .sip
            .iter()
            .flat_map(|trunk| &trunk.accounts)
            .filter(|account| account.registered == sip::Registered::Present)
            .map(|account| account.user.clone())
            .collect();
        let dns_servers = found.keep(dns_servers(&settings.sip.dns_servers));
        let sip_dscp = found.keep(dscp("sip.dscp", settings.sip.dscp));
        let media_dscp = found.keep(dscp("media.dscp", settings.media.dscp));
        let rtp_ports = found.keep(parse_ports(&settings.media.rtp_ports));
        let routes = routes(settings, found);
        let sign_in = found.keep(credentials::sign_in(settings));
        Some(Plan {
            listen: listen?,
            dns_servers: dns_servers?,
            tls: sip::Tls {
                certificate: trunk::certificate(
                    &settings.sip.tls.certificate,
                    &settings.sip.tls.certificate_key,
                ),
                authorities: settings.sip.tls.ca.clone(),
                client_authorities: settings.sip.tls.client_ca.clone(),
            },
            sip_limits: sip_limits(settings),
            trunks: trunks.sip,
            watched,
            shows_keys: trunks.shows_keys,
            rules: trunks.rules,
            routes,
            sign_in: sign_in?,
            known: settings.user.iter().map(|user| user.name.clone()).collect(),
            ice_servers: settings.webrtc.ice_servers.iter().map(ice_server).collect(),
            rtp_ports: rtp_ports?,
            rtp: rtp?,
            dscp: Marks {
                sip: sip_dscp?,
                media: media_dscp?,
            },
        })
    }
}

fn sip_limits(settings: &Settings) -> sip::Limits {
    sip::Limits {
        new_calls_per_second: settings.sip.new_calls_per_second,
        new_calls_per_second_per_source: settings.sip.new_calls_per_second_per_source,
        unknown_sources: match settings.sip.unknown_sources {
            settings::UnknownSources::Reject => sip::UnknownSources::Reject,
            settings::UnknownSources::Drop => sip::UnknownSources::Drop,
        },
        transport: sip::ConnectionLimits {
            connections: settings.sip.max_connections,
            connections_per_source: settings.sip.max_connections_per_address,
            idle_timeout: Duration::from_secs(settings.sip.idle_timeout),
            message_timeout: Duration::from_secs(settings.sip.message_timeout),
            ..sip::ConnectionLimits::default()
        },
        ..sip::Limits::default()
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

/// One that trunks are called by and listeners are opened for.
fn parse_transport(text: &str) -> Option<sip::Transport> {
    sip::Transport::of_uri_value(text).filter(|named| named.can_connect_out())
}

fn routes(settings: &Settings, found: &mut Collector) -> Routes {
    let mut routes = Routes::default();
    if settings.built_in.enabled {
        for number in built_in::BuiltInNumber::ALL {
            let dialled = ("built_in".to_owned(), number.dialled());
            if let Some(number) = found.keep(rewrite(dialled, (String::new(), "$0"))) {
                routes.outbound.push(OutboundRoute {
                    number,
                    permits: Permits::everybody(),
                    passes_on: false,
                    trunk: built_in::TRUNK.to_owned(),
                    fallback: Vec::new(),
                });
            }
        }
        let called = ("built_in".to_owned(), ".+");
        if let Some(user) = found.keep(rewrite(called, (String::new(), "$0"))) {
            routes.inbound.push(InboundRoute {
                user,
                trunk: Some(built_in::TRUNK.to_owned()),
                guests: true,
            });
        }
    }
    for (index, route) in settings.route.iter().enumerate() {
        let key = |key: &str| format!("route[{index}].{key}");
        let pattern = (key("match"), route.pattern.as_str());
        if let Some(number) = found.keep(rewrite(pattern, (key("to"), &route.to))) {
            routes.outbound.push(OutboundRoute {
                number,
                permits: Permits {
                    users: route.users.clone(),
                    guests: route.guests,
                },
                passes_on: route.otherwise == settings::Otherwise::Next,
                trunk: route.trunk.clone(),
                fallback: route.fallback.clone(),
            });
        }
    }
    for (index, route) in settings.inbound.iter().enumerate() {
        let key = |key: &str| format!("inbound[{index}].{key}");
        let pattern = (key("match"), route.pattern.as_str());
        if let Some(user) = found.keep(rewrite(pattern, (key("user"), &route.user))) {
            routes.inbound.push(InboundRoute {
                user,
                trunk: route.trunk.clone(),
                guests: false,
            });
        }
    }
    routes
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
    let wrong = |expected: &str| unusable("media.rtp_ports", text, expected);
    let ports = text.split_once('-').and_then(|(first, last)| {
        let first: u16 = first.trim().parse().ok()?;
        let last: u16 = last.trim().parse().ok()?;
        (first >= 1_024 && last >= 1_024).then_some((first, last))
    });
    let (first, last) = ports.ok_or_else(|| wrong("FIRST-LAST, both from 1024 to 65535"))?;
    if first > last {
        let expected = format!("FIRST-LAST, the lower port first: {last}-{first}");
        return Err(wrong(&expected));
    }
    // RTP has the even port of a pair, RTCP the odd one above it.
    if first.saturating_add(first % 2) >= last {
        return Err(wrong("a range with an even port and the odd one above it"));
    }
    Ok(first..=last)
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
        assert_eq!(echo.trunk, built_in::TRUNK);
        assert!(plan.routes.outbound("guest-1", "echo").is_ok());
        assert!(plan.routes.outbound("anybody", "600").is_err());
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
    fn plan_errors_are_told_all_at_once() {
        let mut settings = Settings::default();
        settings.media.rtp_ports = "9".to_owned();
        settings.sip.dns_servers = vec!["wave".to_owned()];
        settings.trunk = vec![settings::Trunk::new("office", "office")];
        settings.trunk[0].audio.codecs = vec!["bells".to_owned()];
        settings.route = vec![settings::Route {
            to: "$2".to_owned(),
            ..settings::Route::new("0(.*)", "office")
        }];
        settings.inbound = vec![settings::Inbound {
            pattern: "(".to_owned(),
            user: "$0".to_owned(),
            trunk: None,
        }];
        let errors = Plan::new(&settings).err().expect("nothing is right");
        let lines: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        for key in [
            "trunk[0].codecs: \"bells\"",
            "trunk[0].target: \"office\"",
            "sip.dns_servers: \"wave\"",
            "media.rtp_ports: \"9\" is not usable, expected FIRST-LAST",
            "route[0].to: \"$2\"",
            "inbound[0].match: \"(\"",
        ] {
            let told = lines.iter().any(|line| line.starts_with(key));
            assert!(told, "{key} in {lines:#?}");
        }
        assert_eq!(lines.len(), 6, "{lines:#?}");
        assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:#?}");
    }
}
