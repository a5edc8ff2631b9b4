//! The configuration as written: one TOML file, environment variables over it.
//!
//! `TRUNKLINE_HTTP__LISTEN` overrides `listen` of `[http]`, and so on: the text of a variable is
//! read by the type of its key, lists and tables in the syntax of TOML. Every key, its default
//! and what it means stand in `config/trunkline.toml`, which a test compares with the defaults
//! here. What the values mean for the parts of the gateway is in [`crate::gateway`].
//!
//! Why this is no longer the `config` crate: docs/decisions/0015-configuration.md.

mod addresses;
mod check;
mod error;
mod guests;
mod hints;
mod lines;
mod rules;
mod secret;
mod source;
mod tables;
mod trunk;
mod typed;
mod variables;

use std::path::Path;

pub use error::{Collector, Error, Errors, Origin, Problem};
pub use secret::Secret;
use source::Node;
pub use tables::{
    BuiltIn, Calls, Http, IceServer, Inbound, LineRegistration, Log, LogFormat, Media, Otherwise,
    Route, Settings, SignIn, Sip, SipTls, SipWebSocket, UnknownSources, User, WebRtc,
};
pub use trunk::{
    CalledNumber, CallerHeader, Dtmf, Prack, Redirect, Renumbering, RtpSources,
    SessionModification, Srtp, Trunk, TrunkAccount, TrunkAddressing, TrunkAka, TrunkAudio,
    TrunkCallers, TrunkDialogs, TrunkDigits, TrunkInboundAuth, TrunkRegistration, TrunkRtp,
    TrunkTarget, TrunkTls,
};
pub use typed::nearest;
pub use variables::misnamed_variables;

/// Times that keys found wrong are taken out to find what they hid.
const ROUNDS: usize = 16;

/// Errors that are told at most.
const MOST_ERRORS: usize = 100;

/// Where settings were read from.
#[derive(Clone, Default)]
pub struct Source(Option<Node>);

impl std::fmt::Debug for Source {
    /// The tree holds secrets as they were written.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

impl Settings {
    /// Reads `file` (none: the embedded defaults) and the environment, and checks what can be
    /// checked without the network.
    pub fn load(file: Option<&Path>) -> Result<Self, Errors> {
        Settings::load_and_try(file, &|_| Vec::new())
    }

    /// The same with a further check, so that its errors are told together with those of the
    /// file. It may be called several times, each time with more of what is wrong taken out.
    pub fn load_and_try(
        file: Option<&Path>,
        further: &dyn Fn(&Settings) -> Vec<Error>,
    ) -> Result<Self, Errors> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.into_string().ok()))
        });
        Settings::read(file, variables, further)
    }

    fn read(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, Option<String>)>,
        further: &dyn Fn(&Settings) -> Vec<Error>,
    ) -> Result<Self, Errors> {
        let name = file.map_or_else(|| "defaults".to_owned(), |path| path.display().to_string());
        let mut tree = match file {
            None => Node::empty(&name),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Error::unreadable(Origin::File(name.clone()), &error.to_string())
                })?;
                Node::read(&name, &text).map_err(in_order)?
            }
        };
        let mut errors = tree.override_by(variables, tables::TABLES);
        let mut settings = typed(&mut tree, &mut errors)?;
        for _ in 0..ROUNDS {
            let mut found = settings.check();
            found.extend(further(&settings));
            let mut keys = std::collections::HashSet::new();
            let found: Vec<Error> = found
                .into_iter()
                .filter(|error| !involves(&error.key, &errors))
                .map(|error| tree.locate(error))
                .filter(|error| !errors.iter().any(|known| overlap(&known.key, &error.key)))
                .filter(|error| keys.insert(error.key.clone()))
                .collect();
            let mut removed = false;
            for error in &found {
                // Others refer to names.
                if !error.key.ends_with(".name") {
                    removed |= tree.remove(&error.key);
                }
            }
            let done = found.is_empty() || !removed;
            errors.extend(found);
            if done {
                break;
            }
            settings = typed(&mut tree, &mut errors)?;
        }
        if errors.is_empty() {
            settings.source = Source(Some(tree));
            return Ok(settings);
        }
        Err(in_order(errors))
    }

    /// Gives errors the file and line of their keys.
    pub fn locate(&self, errors: Vec<Error>) -> Errors {
        let Source(source) = &self.source;
        let locate = |error| match source {
            Some(tree) => tree.locate(error),
            None => error,
        };
        Errors(errors.into_iter().map(locate).collect())
    }

    /// `FILE:LINE: ` of a key, or the variable that it is from; empty where that is not known.
    pub fn place(&self, key: &str) -> String {
        let Source(source) = &self.source;
        let error = Error::missing(key, "");
        match source {
            Some(tree) => tree.locate(error).origin.to_string(),
            None => String::new(),
        }
    }

    /// The effective configuration as TOML, credentials as `***`.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut effective = self.clone();
        effective.sign_in.anonymous = Some(self.takes_guests());
        toml::to_string_pretty(&effective)
    }
}

/// The settings of a tree; what has the wrong shape is taken out of it.
fn typed(tree: &mut Node, errors: &mut Vec<Error>) -> Result<Settings, Errors> {
    loop {
        let error = match tree.typed() {
            Ok(settings) => return Ok(settings),
            Err(error) => error,
        };
        let removed = tree.remove(&error.key);
        errors.push(error);
        if !removed || errors.len() >= MOST_ERRORS {
            return Err(Errors(std::mem::take(errors)));
        }
    }
}

fn in_order(mut errors: Vec<Error>) -> Errors {
    errors.sort_by(|one, other| one.origin.cmp(&other.origin));
    errors.truncate(MOST_ERRORS);
    Errors(errors)
}

/// Whether an error that concerns several keys is about one that is wrong already.
fn involves(keys: &str, errors: &[Error]) -> bool {
    let mut keys = keys.split(", ");
    keys.any(|key| errors.iter().any(|known| overlap(&known.key, key)))
}

/// Whether two errors are about one key, or one about a part of the other's.
fn overlap(one: &str, other: &str) -> bool {
    let within = |part: &str, whole: &str| {
        part.strip_prefix(whole)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    within(one, other) || within(other, one)
}

#[cfg(test)]
mod tests;
