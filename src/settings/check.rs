//! What the shape of the configuration does not say: values that cannot be meant, names that
//! stand for nothing, secrets that are none. All errors are told, not the first alone.

use std::collections::HashSet;

use super::{Collector, Error, Secret, Settings, Trunk};
use crate::guest::is_guest_name;

/// Fewest bytes of a secret that signs tokens: HS256 asks for 256 bits (RFC 7518 section 3.2).
pub(super) const LEAST_KEY: usize = 32;

/// For names that guests must not share.
const NO_GUEST: &str = "a name that does not begin with \"guest-\", which is for guests";

/// For secrets.
const NOT_EMPTY: &str = "a secret that is not empty";

impl Settings {
    /// Everything that can be told from the values alone.
    pub(super) fn check(&self) -> Vec<Error> {
        let mut found = Collector::default();
        self.check_tables(&mut found);
        self.check_sign_in(&mut found);
        let mut names = HashSet::new();
        for (index, trunk) in self.trunk.iter().enumerate() {
            let own = trunk.name != crate::built_in::TRUNK && names.insert(trunk.name.as_str());
            if trunk.name.is_empty() || !own {
                let key = format!("trunk[{index}].name");
                found.push(Error::value(key, &trunk.name, "a name of its own"));
            }
            check_trunk(index, trunk, &mut found);
        }
        self.check_routes(&names, &mut found);
        self.check_users(&names, &mut found);
        found.into_errors()
    }

    fn check_tables(&self, found: &mut Collector) {
        if !matches!(self.log.format.as_str(), "human" | "json") {
            let expected = "\"human\" or \"json\"";
            found.push(Error::value("log.format", &self.log.format, expected));
        }
        if let Err(entry) = self.http.proxies() {
            let expected = "IP addresses and ranges such as \"10.0.0.0/8\"";
            found.push(Error::value("http.trusted_proxies", entry, expected));
        }
        let is_unusable = |name: &&String| name.is_empty() || name.contains([':', '/', ' ', '[']);
        if let Some(name) = self.http.host_names.iter().find(is_unusable) {
            let expected = "names such as \"phone.example\", without scheme and port";
            found.push(Error::value("http.host_names", name, expected));
        }
        if self.media.opus_complexity > 10 {
            let written = self.media.opus_complexity.to_string();
            found.push(Error::shown("media.opus_complexity", written, "0 to 10"));
        }
        for (key, certificate, its_key) in [
            (
                "webrtc.certificate",
                &self.webrtc.certificate,
                &self.webrtc.certificate_key,
            ),
            (
                "sip.certificate",
                &self.sip.certificate,
                &self.sip.certificate_key,
            ),
        ] {
            let expected = "certificate and certificate_key together";
            together(
                key,
                certificate.is_some(),
                its_key.is_some(),
                expected,
                found,
            );
        }
        if self.sip.max_connections < 4 {
            let written = self.sip.max_connections.to_string();
            found.push(Error::shown("sip.max_connections", written, "at least 4"));
        }
        if self.sip.message_timeout == 0 {
            let expected = "at least 1";
            found.push(Error::shown(
                "sip.message_timeout",
                "0".to_owned(),
                expected,
            ));
        }
        if self.calls.max_ringing_per_client == 0 {
            let expected = "at least 1";
            found.push(Error::shown(
                "calls.max_ringing_per_client",
                "0".to_owned(),
                expected,
            ));
        }
        if !self.webrtc.advertise.is_empty()
            && self.webrtc.advertise.len() != self.webrtc.addresses.len()
        {
            let written = format!("{:?}", self.webrtc.advertise);
            let expected = "one for each of webrtc.addresses, or none";
            found.push(Error::shown("webrtc.advertise", written, expected));
        }
        for (index, server) in self.webrtc.ice_servers.iter().enumerate() {
            let key = |key: &str| format!("webrtc.ice_servers[{index}].{key}");
            if server.urls.is_empty() {
                let expected = "at least one stun:, turn: or turns: URL";
                found.push(Error::missing(key("urls"), expected));
            }
            not_empty(key("credential"), server.credential.as_ref(), found);
        }
    }

    fn check_sign_in(&self, found: &mut Collector) {
        let sign_in = &self.sign_in;
        if sign_in.jwt_key.is_some() && sign_in.jwt_key_file.is_some() {
            let expected = "either jwt_key or jwt_key_file";
            found.push(Error::shown(
                "sign_in.jwt_key_file",
                "beside jwt_key".to_owned(),
                expected,
            ));
        }
        let short = |key: &Secret| {
            let text = key.0.reveal();
            text.len() < LEAST_KEY || key.is_empty()
        };
        if sign_in.jwt_key.as_ref().is_some_and(short) {
            let expected = "a secret of at least 32 bytes (HS256, RFC 7518 section 3.2), or a PEM \
                            public key; a file is named by sign_in.jwt_key_file";
            found.push(Error::secret("sign_in.jwt_key", expected));
        }
        let audience = sign_in.jwt_audience.as_deref().unwrap_or_default();
        if audience.trim().is_empty() && (self.takes_tokens() || sign_in.jwt_audience.is_some()) {
            let expected = "the audience that tokens for this gateway bear (claim aud)";
            found.push(Error::value("sign_in.jwt_audience", audience, expected));
        }
        if sign_in.jwt_user_claim.trim().is_empty() {
            let expected = "the name of a claim";
            found.push(Error::value("sign_in.jwt_user_claim", "", expected));
        }
        let failures = 1..=u64::from(u32::MAX);
        for (key, written, expected) in [
            (
                "max_failures_per_address",
                sign_in.max_failures_per_address.into(),
                failures.clone(),
            ),
            (
                "max_failures_per_user_and_address",
                sign_in.max_failures_per_user_and_address.into(),
                failures.clone(),
            ),
            (
                "max_failures_per_user",
                sign_in.max_failures_per_user.into(),
                failures,
            ),
            ("failure_window", sign_in.failure_window, 1..=86_400),
            // Clients give up a sign-in that is not answered within 10 s.
            ("refusal_delay", sign_in.refusal_delay, 0..=8),
        ] {
            if !expected.contains(&written) {
                let expected = format!("{} to {}", expected.start(), expected.end());
                let key = format!("sign_in.{key}");
                found.push(Error::shown(key, written.to_string(), expected));
            }
        }
    }

    fn check_routes(&self, names: &HashSet<&str>, found: &mut Collector) {
        for (index, route) in self.route.iter().enumerate() {
            let key = |key: &str| format!("route[{index}].{key}");
            if route.pattern.is_empty() {
                let expected = "a regular expression for the whole dialled string";
                found.push(Error::value(key("match"), "", expected));
            }
            no_control(key("match"), &route.pattern, found);
            if !names.contains(route.trunk.as_str()) {
                let expected = known("the name of a [[trunk]]", names);
                found.push(Error::value(key("trunk"), &route.trunk, expected));
            }
            let mut asked = HashSet::from([route.trunk.as_str()]);
            for trunk in &route.fallback {
                if !names.contains(trunk.as_str()) || !asked.insert(trunk) {
                    let expected =
                        "names of [[trunk]]s, each once and none that is the route's own trunk";
                    found.push(Error::value(key("fallback"), trunk, expected));
                }
            }
            if !matches!(route.otherwise.as_str(), "refuse" | "next") {
                let expected = "\"refuse\" or \"next\"";
                found.push(Error::value(key("otherwise"), &route.otherwise, expected));
            }
            for user in route.users.iter().filter(|user| is_guest_name(user)) {
                let expected = "names of users; `guests = true` is for guests";
                found.push(Error::value(key("users"), user, expected));
            }
            no_guest(key("to"), &route.to, found);
        }
        for (index, route) in self.inbound.iter().enumerate() {
            let key = |key: &str| format!("inbound[{index}].{key}");
            if route.pattern.is_empty() {
                let expected = "a regular expression for the whole called number";
                found.push(Error::value(key("match"), "", expected));
            }
            no_control(key("match"), &route.pattern, found);
            no_guest(key("user"), &route.user, found);
            if let Some(trunk) = route.trunk.as_deref().filter(|name| !names.contains(name)) {
                let expected = known("the name of a [[trunk]]", names);
                found.push(Error::value(key("trunk"), trunk, expected));
            }
        }
    }

    fn check_users(&self, names: &HashSet<&str>, found: &mut Collector) {
        let mut users = HashSet::new();
        for (index, user) in self.user.iter().enumerate() {
            let key = |key: &str| format!("user[{index}].{key}");
            if user.name.is_empty() || !users.insert(user.name.as_str()) {
                found.push(Error::value(key("name"), &user.name, "a name of its own"));
            }
            no_guest(key("name"), &user.name, found);
            if user.password.is_empty() {
                found.push(Error::secret(key("password"), NOT_EMPTY));
            }
            if let Some(name) = &user.trunk_username {
                no_guest(key("trunk_username"), name, found);
            }
            not_empty(key("trunk_password"), user.trunk_password.as_ref(), found);
            if !matches!(
                user.trunk_register.as_str(),
                "always" | "signed-in" | "never"
            ) {
                let expected = "\"always\", \"signed-in\" or \"never\"";
                let written = &user.trunk_register;
                found.push(Error::value(key("trunk_register"), written, expected));
            }
            if let Some(trunk) = user.trunk.as_deref().filter(|name| !names.contains(name)) {
                let expected = known("the name of a [[trunk]]", names);
                found.push(Error::value(key("trunk"), trunk, expected));
            }
        }
    }
}

fn check_trunk(index: usize, trunk: &Trunk, found: &mut Collector) {
    let key = |key: &str| format!("trunk[{index}].{key}");
    if !matches!(trunk.ptime, 10 | 20 | 30 | 40 | 60) {
        let written = trunk.ptime.to_string();
        found.push(Error::shown(key("ptime"), written, "10, 20, 30, 40 or 60"));
    }
    together(
        &key("tls_certificate"),
        trunk.tls_certificate.is_some(),
        trunk.tls_certificate_key.is_some(),
        "tls_certificate and tls_certificate_key together",
        found,
    );
    let secret = trunk.password.is_some() || trunk.aka_key.is_some();
    if trunk.register && (trunk.username.is_none() || !secret) {
        let expected = "username and password (or aka_key) beside it";
        found.push(Error::shown(key("register"), "true".to_owned(), expected));
    }
    together(
        &key("inbound_username"),
        trunk.inbound_username.is_some(),
        trunk.inbound_password.is_some(),
        "inbound_username and inbound_password together",
        found,
    );
    let operators = usize::from(trunk.aka_op.is_some()) + usize::from(trunk.aka_opc.is_some());
    if operators != usize::from(trunk.aka_key.is_some()) {
        let expected = "aka_key and one of aka_op and aka_opc, or none of them";
        found.push(Error::secret(key("aka_key"), expected));
    }
    for (name, secret) in [
        ("password", &trunk.password),
        ("inbound_password", &trunk.inbound_password),
        ("aka_key", &trunk.aka_key),
        ("aka_op", &trunk.aka_op),
        ("aka_opc", &trunk.aka_opc),
    ] {
        not_empty(key(name), secret.as_ref(), found);
    }
    for (name, user) in [
        ("username", &trunk.username),
        ("from_user", &trunk.from_user),
    ] {
        if let Some(user) = user {
            no_guest(key(name), user, found);
        }
    }
    for (row, renumbering) in trunk.caller_id.iter().enumerate() {
        if renumbering.pattern.is_empty() {
            let expected = "a regular expression for the whole number";
            found.push(Error::value(
                key(&format!("caller_id[{row}].match")),
                "",
                expected,
            ));
        }
        let pattern = key(&format!("caller_id[{row}].match"));
        no_control(pattern, &renumbering.pattern, found);
        no_guest(key(&format!("caller_id[{row}].to")), &renumbering.to, found);
    }
}

/// Two keys that make sense only together.
fn together(key: &str, one: bool, other: bool, expected: &str, found: &mut Collector) {
    if one != other {
        found.push(Error::shown(key, "one of two".to_owned(), expected));
    }
}

fn not_empty(key: String, secret: Option<&Secret>, found: &mut Collector) {
    if secret.is_some_and(Secret::is_empty) {
        found.push(Error::secret(key, NOT_EMPTY));
    }
}

fn no_guest(key: String, name: &str, found: &mut Collector) {
    if is_guest_name(name) {
        found.push(Error::value(key, name, NO_GUEST));
    }
}

/// A pattern with what `\b`, `\e` and `\f` become in double quotes; no number has such characters.
fn no_control(key: String, pattern: &str, found: &mut Collector) {
    if pattern.contains(['\u{8}', '\u{1b}', '\u{c}']) {
        let expected = "no control characters; in double quotes \\b, \\e and \\f are such: write \
                        the pattern in single quotes";
        found.push(Error::value(key, pattern, expected));
    }
}

/// What is expected, with the names that there are.
fn known(expected: &str, names: &HashSet<&str>) -> String {
    if names.is_empty() {
        return format!("{expected}, and there is none");
    }
    let mut names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    names.sort();
    names.truncate(8);
    format!("{expected}: {}", names.join(", "))
}
