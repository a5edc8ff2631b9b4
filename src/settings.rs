//! The configuration as written: one TOML file, environment variables over it.
//!
//! `TRUNKLINE_HTTP__LISTEN` overrides `listen` of `[http]`, and so on. Every key, its default
//! and what it means stand in `config/trunkline.toml`, which a test compares with the defaults
//! here. What the values mean for the parts of the gateway is in [`crate::gateway`].

mod tables;
mod trunk;

use std::collections::HashSet;
use std::path::Path;

pub use tables::{
    BuiltIn, Calls, Http, IceServer, Inbound, Log, Media, Route, Secret, Settings, SignIn, Sip,
    User, WebRtc,
};
pub use trunk::{Renumbering, Trunk, TrunkTarget};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or a variable does not have the expected shape.
    #[error("{file}: {message}")]
    Shape {
        /// The file, or `environment`.
        file: String,
        /// Which key, what was found and what was expected.
        message: String,
    },
    /// A value has the right shape but cannot be meant.
    #[error("{file}: {key}: {value} is not usable, expected {expected}")]
    Value {
        /// The file.
        file: String,
        /// The key, with its table.
        key: String,
        /// As written.
        value: String,
        /// In words.
        expected: String,
    },
}

impl Settings {
    /// Reads `file` (none: the embedded defaults) and the environment, and checks what can be
    /// checked without the network.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        let name = file.map_or_else(|| "defaults".to_owned(), |path| path.display().to_string());
        let shape = |message: String| Error::Shape {
            file: name.clone(),
            message,
        };
        let mut builder = config::Config::builder();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|error| shape(error.to_string()))?;
            builder = builder.add_source(config::File::from_str(&text, config::FileFormat::Toml));
        }
        // Every key is in a table, so a variable without `__` is somebody else's.
        let overrides = std::env::vars()
            .filter(|(name, _)| name.starts_with("TRUNKLINE_") && name.contains("__"))
            .collect();
        let environment = config::Environment::with_prefix("TRUNKLINE")
            .source(Some(overrides))
            .prefix_separator("_")
            .separator("__")
            .try_parsing(true);
        let mut settings: Settings = builder
            .add_source(environment)
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| shape(error.to_string()))?;
        settings.check(&name)?;
        settings.file = name;
        Ok(settings)
    }

    /// The effective configuration as TOML, credentials as `***`.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    /// What the shape alone does not say.
    fn check(&self, file: &str) -> Result<(), Error> {
        let refuse = |key: &str, value: &str, expected: &str| {
            Err(Error::Value {
                file: file.to_owned(),
                key: key.to_owned(),
                value: format!("{value:?}"),
                expected: expected.to_owned(),
            })
        };
        if !matches!(self.log.format.as_str(), "human" | "json") {
            return refuse("log.format", &self.log.format, "\"human\" or \"json\"");
        }
        if let Err(entry) = self.http.proxies() {
            return refuse(
                "http.trusted_proxies",
                entry,
                "IP addresses and ranges such as \"10.0.0.0/8\"",
            );
        }
        let is_unusable = |name: &&String| name.is_empty() || name.contains([':', '/', ' ', '[']);
        if let Some(name) = self.http.host_names.iter().find(is_unusable) {
            return refuse(
                "http.host_names",
                name,
                "names such as \"phone.example\", without scheme and port",
            );
        }
        if self.media.opus_complexity > 10 {
            let written = self.media.opus_complexity.to_string();
            return refuse("media.opus_complexity", &written, "0 to 10");
        }
        if self.webrtc.certificate.is_some() != self.webrtc.certificate_key.is_some() {
            return refuse(
                "webrtc.certificate",
                "one of two",
                "certificate and certificate_key together",
            );
        }
        if self.sip.max_connections < 4 || self.sip.message_timeout == 0 {
            return refuse(
                "sip.max_connections, sip.message_timeout",
                &format!("{}, {}", self.sip.max_connections, self.sip.message_timeout),
                "at least 4, at least 1",
            );
        }
        if self.sip.certificate.is_some() != self.sip.certificate_key.is_some() {
            return refuse(
                "sip.certificate",
                "one of two",
                "certificate and certificate_key together",
            );
        }
        if !self.webrtc.advertise.is_empty()
            && self.webrtc.advertise.len() != self.webrtc.addresses.len()
        {
            let written = format!("{:?}", self.webrtc.advertise);
            return refuse(
                "webrtc.advertise",
                &written,
                "one for each of webrtc.addresses, or none",
            );
        }
        let mut names = HashSet::new();
        for (index, trunk) in self.trunk.iter().enumerate() {
            if trunk.name.is_empty()
                || trunk.name == crate::agent::TRUNK
                || !names.insert(trunk.name.as_str())
            {
                return refuse(
                    &format!("trunk[{index}].name"),
                    &trunk.name,
                    "a name of its own",
                );
            }
            if !matches!(trunk.ptime, 10 | 20 | 30 | 40 | 60) {
                let written = trunk.ptime.to_string();
                return refuse(
                    &format!("trunk[{index}].ptime"),
                    &written,
                    "10, 20, 30, 40 or 60",
                );
            }
            if trunk.tls_certificate.is_some() != trunk.tls_certificate_key.is_some() {
                return refuse(
                    &format!("trunk[{index}].tls_certificate"),
                    "one of two",
                    "tls_certificate and tls_certificate_key together",
                );
            }
            let secret = trunk.password.is_some() || trunk.aka_key.is_some();
            if trunk.register && (trunk.username.is_none() || !secret) {
                return refuse(
                    &format!("trunk[{index}].register"),
                    "true",
                    "username and password (or aka_key) beside it",
                );
            }
            if trunk.inbound_username.is_some() != trunk.inbound_password.is_some() {
                return refuse(
                    &format!("trunk[{index}].inbound_username"),
                    "one of two",
                    "inbound_username and inbound_password together",
                );
            }
            let operators =
                usize::from(trunk.aka_op.is_some()) + usize::from(trunk.aka_opc.is_some());
            if operators != usize::from(trunk.aka_key.is_some()) {
                return refuse(
                    &format!("trunk[{index}].aka_key"),
                    "***",
                    "aka_key and one of aka_op and aka_opc, or none of them",
                );
            }
        }
        for (index, route) in self.route.iter().enumerate() {
            if !names.contains(route.trunk.as_str()) {
                return refuse(
                    &format!("route[{index}].trunk"),
                    &route.trunk,
                    "the name of a [[trunk]]",
                );
            }
            let mut asked = HashSet::from([route.trunk.as_str()]);
            for trunk in &route.fallback {
                if !names.contains(trunk.as_str()) || !asked.insert(trunk) {
                    return refuse(
                        &format!("route[{index}].fallback"),
                        trunk,
                        "names of [[trunk]]s, each once and none that is the route's own trunk",
                    );
                }
            }
        }
        for (index, route) in self.inbound.iter().enumerate() {
            if let Some(trunk) = route.trunk.as_deref().filter(|name| !names.contains(name)) {
                return refuse(
                    &format!("inbound[{index}].trunk"),
                    trunk,
                    "the name of a [[trunk]]",
                );
            }
        }
        let mut users = HashSet::new();
        for (index, user) in self.user.iter().enumerate() {
            if user.name.is_empty() || !users.insert(user.name.as_str()) {
                return refuse(
                    &format!("user[{index}].name"),
                    &user.name,
                    "a name of its own",
                );
            }
            if !matches!(
                user.trunk_register.as_str(),
                "always" | "signed-in" | "never"
            ) {
                return refuse(
                    &format!("user[{index}].trunk_register"),
                    &user.trunk_register,
                    "\"always\", \"signed-in\" or \"never\"",
                );
            }
            if let Some(trunk) = user.trunk.as_deref().filter(|name| !names.contains(name)) {
                return refuse(
                    &format!("user[{index}].trunk"),
                    trunk,
                    "the name of a [[trunk]]",
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let folder =
            std::env::temp_dir().join(format!("trunkline-settings-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}.toml", NEXT.fetch_add(1, Ordering::Relaxed));
        let path = folder.join(name);
        std::fs::write(&path, text).expect("the temporary folder is writable");
        let settings = Settings::load(Some(&path)).map_err(|error| error.to_string());
        let _ = std::fs::remove_file(&path);
        settings
    }

    #[test]
    fn the_documented_file_is_the_default() {
        let documented = read(include_str!("../config/trunkline.toml")).expect("it is usable");
        let default = Settings::default();
        assert_eq!(documented.to_toml(), default.to_toml());
    }

    #[test]
    fn every_key_of_the_settings_is_documented() {
        let text = include_str!("../config/trunkline.toml");
        let full = read(
            "[sign_in]\njwt_key = 'k'\njwt_audience = 'a'\n[sip]\nadvertise = '192.0.2.1'\ninstance = 'i'\n\
             certificate = 'c'\ncertificate_key = 'k'\nca = 'a'\nclient_ca = 'a'\n\
             [webrtc]\ncertificate = 'c'\ncertificate_key = 'k'\n\
             [media]\nrtp_address = '192.0.2.1'\nrtp_advertise = '192.0.2.1'\n\
             [[user]]\nname = 'u'\npassword = 'p'\ndisplay_name = 'd'\ntrunk = 't'\ntrunk_username = 'u'\ntrunk_auth_username = 'a'\ntrunk_password = 'p'\n\
             [[trunk]]\nname = 't'\ntarget = 'sip:h'\ndomain = 'd'\nusername = 'u'\nauth_username = 'a'\ncalled_number = 'to'\npassword = 'p'\nfrom_user = 'f'\nhealth_check = 30\noutbound_proxy = 'sip:p;lr'\n\
             advertise = '192.0.2.1'\ntls_name = 'n'\ntls_certificate = 'c'\ntls_certificate_key = 'k'\n\
             inbound_username = 'i'\ninbound_password = 'p'\naka_key = 'k'\naka_opc = 'o'\n\
             [[route]]\nmatch = 'x'\ntrunk = 't'\n[[inbound]]\nmatch = 'x'\ntrunk = 't'\n",
        )
        .expect("it is usable");
        let written = full.to_toml().expect("settings are TOML");
        let written = written + "aka_op = '***'\n";
        for line in written.lines().filter_map(|line| line.split_once(" = ")) {
            let key = line.0;
            let documented = text
                .lines()
                .any(|line| line.trim_start_matches("# ").split(" = ").next() == Some(key));
            assert!(documented, "{key} is not in config/trunkline.toml");
        }
    }

    #[test]
    fn an_error_names_the_key_and_what_was_expected() {
        for (text, words) in [
            ("[http]\nlisten = 5", ["http.listen", "socket address"]),
            ("[http]\nlisen = '1'", ["lisen", "listen"]),
            (
                "[media]\nopus_complexity = 11",
                ["media.opus_complexity", "0 to 10"],
            ),
            (
                "[[route]]\nmatch = 'x'\ntrunk = 'none'",
                ["route[0].trunk", "name of a [[trunk]]"],
            ),
            (
                "[[trunk]]\nname = 'a'\n[[route]]\nmatch = 'x'\ntrunk = 'a'\nfallback = ['b']",
                ["route[0].fallback", "\"b\""],
            ),
            (
                "[[trunk]]\nname = 'a'\n[[route]]\nmatch = 'x'\ntrunk = 'a'\nfallback = ['a']",
                ["route[0].fallback", "each once"],
            ),
            (
                "[[trunk]]\nname = 'a'\n[[trunk]]\nname = 'b'\n[[route]]\nmatch = 'x'\ntrunk = 'a'\nfallback = ['b', 'b']",
                ["route[0].fallback", "each once"],
            ),
            (
                "[[trunk]]\nname = 't'\naka_key = 'k'",
                ["trunk[0].aka_key", "aka_opc"],
            ),
            (
                "[[trunk]]\nname = 't'\ninbound_username = 'k'",
                ["trunk[0].inbound_username", "together"],
            ),
            ("[log]\nformat = 'xml'", ["log.format", "human"]),
            (
                "[http]\ntrusted_proxies = ['10.0.0.0/8', 'proxy']",
                ["http.trusted_proxies", "\"proxy\""],
            ),
            (
                "[http]\nhost_names = ['https://phone.example']",
                ["http.host_names", "without scheme"],
            ),
            (
                "[[user]]\nname = 'u'\npassword = 'p'\ntrunk = 'none'",
                ["user[0].trunk", "name of a [[trunk]]"],
            ),
            (
                "[[user]]\nname = 'u'\npassword = 'p'\ntrunk_register = 'often'",
                ["user[0].trunk_register", "signed-in"],
            ),
            ("[http\n", ["expected", "line"]),
        ] {
            let error = read(text).expect_err(text);
            for word in words {
                assert!(error.contains(word), "{error:?} should say {word:?}");
            }
        }
    }

    #[test]
    fn credentials_are_never_written() {
        let settings = read("[[user]]\nname = 'u'\npassword = 'hunter2'").expect("it is usable");
        let written = format!(
            "{settings:?}{}",
            settings.to_toml().expect("settings are TOML")
        );
        assert!(!written.contains("hunter2"), "{written}");
        assert!(written.contains("***"));
    }
}
