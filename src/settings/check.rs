//! What the shape of the configuration does not say: values that cannot be meant, names that
//! stand for nothing, secrets that are none. All errors are told, not the first alone.

use std::collections::HashSet;

use super::error::{Collector, Error};
use super::rules::{NOT_EMPTY, no_control, no_guest, not_empty, together};
use super::secret::Secret;
use super::tables::Settings;
use crate::guest::is_guest_name;

/// The longest realm of SIP over WebSocket.
const LONGEST_REALM: usize = 128;

/// Fewest bytes of a secret that signs tokens: HS256 asks for 256 bits (RFC 7518 section 3.2).
pub(super) const LEAST_KEY: usize = 32;

impl Settings {
    /// Everything that can be told from the values alone.
    pub(super) fn check(&self) -> Vec<Error> {
        let mut found = Collector::default();
        self.check_tables(&mut found);
        self.check_sign_in(&mut found);
        self.check_sip_websocket(&mut found);
        let mut names = HashSet::new();
        for (index, trunk) in self.trunk.iter().enumerate() {
            let own = names.insert(trunk.name.as_str());
            if trunk.name.is_empty() || !own {
                let key = format!("trunk[{index}].name");
                found.push(Error::value(key, &trunk.name, "a name of its own"));
            }
            trunk.check(&|key| format!("trunk[{index}].{key}"), &mut found);
        }
        self.check_routes(&names, &mut found);
        self.check_users(&names, &mut found);
        found.into_errors()
    }

    fn check_tables(&self, found: &mut Collector) {
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
                "sip.tls.certificate",
                &self.sip.tls.certificate,
                &self.sip.tls.certificate_key,
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

    /// The realm stands between quotes, and in the hashes of clients.
    fn check_sip_websocket(&self, found: &mut Collector) {
        let realm = &self.sip_websocket.realm;
        let is_plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\');
        if realm.trim().is_empty() || realm.len() > LONGEST_REALM || !realm.chars().all(is_plain) {
            let expected = "1 to 128 characters of ASCII without quotes and backslashes";
            found.push(Error::value("sip_websocket.realm", realm, expected));
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
            if let Some(trunk) = user.trunk.as_deref().filter(|name| !names.contains(name)) {
                let expected = known("the name of a [[trunk]]", names);
                found.push(Error::value(key("trunk"), trunk, expected));
            }
        }
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
