//! `[[trunk]]`: a PBX, a carrier, or several of them that take the same calls.
//!
//! Its keys are in groups, one file each: field, documentation, default and rules. A group whose
//! name begins with [`GROUP`] has its keys in `[[trunk]]` itself, the others are tables of their own.

mod account;
mod addressing;
mod aka;
mod audio;
mod callers;
mod dialogs;
mod digits;
mod inbound_auth;
mod registration;
mod rtp;
mod tls;

use serde::{Deserialize, Serialize, Serializer};

pub use account::TrunkAccount;
pub use addressing::{TrunkAddressing, TrunkTarget};
pub use aka::TrunkAka;
pub use audio::{Srtp, TrunkAudio};
pub use callers::{CalledNumber, CallerHeader, Renumbering, TrunkCallers};
pub use dialogs::{Prack, Redirect, SessionModification, TrunkDialogs};
pub use digits::{Dtmf, TrunkDigits};
pub use inbound_auth::TrunkInboundAuth;
pub use registration::TrunkRegistration;
pub use rtp::{RtpSources, TrunkRtp};
pub use tls::TrunkTls;

use super::error::{Collector, Error};
use super::rules::Key;
#[cfg(doc)]
use super::typed::GROUP;

/// One `[[trunk]]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trunk {
    /// Used by routes, logs and metrics.
    pub name: String,
    /// Where it is, and how it is watched.
    #[serde(rename = "+addressing")]
    pub addressing: TrunkAddressing,
    /// Who we are there.
    #[serde(rename = "+account")]
    pub account: TrunkAccount,
    /// How we register.
    pub registration: TrunkRegistration,
    /// What its own calls must prove by digest.
    pub inbound_auth: TrunkInboundAuth,
    /// AKA digest.
    pub aka: TrunkAka,
    /// Codecs and their transport.
    #[serde(rename = "+audio")]
    pub audio: TrunkAudio,
    /// DTMF.
    #[serde(rename = "+digits")]
    pub digits: TrunkDigits,
    /// Whose RTP is taken, and at which addresses.
    pub rtp: TrunkRtp,
    /// How calls are set up and changed.
    #[serde(rename = "+dialogs")]
    pub dialogs: TrunkDialogs,
    /// Who calls, who is called, and other headers.
    #[serde(rename = "+callers")]
    pub callers: TrunkCallers,
    /// TLS with it.
    pub tls: TrunkTls,
}

/// As it is read: groups without a table of their own are flat.
impl Serialize for Trunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            name: &'a str,
            #[serde(flatten)]
            addressing: &'a TrunkAddressing,
            #[serde(flatten)]
            account: &'a TrunkAccount,
            #[serde(flatten)]
            audio: &'a TrunkAudio,
            #[serde(flatten)]
            digits: &'a TrunkDigits,
            #[serde(flatten)]
            dialogs: &'a TrunkDialogs,
            #[serde(flatten)]
            callers: &'a TrunkCallers,
            registration: &'a TrunkRegistration,
            inbound_auth: &'a TrunkInboundAuth,
            aka: &'a TrunkAka,
            rtp: &'a TrunkRtp,
            tls: &'a TrunkTls,
        }
        Written {
            name: &self.name,
            addressing: &self.addressing,
            account: &self.account,
            audio: &self.audio,
            digits: &self.digits,
            dialogs: &self.dialogs,
            callers: &self.callers,
            registration: &self.registration,
            inbound_auth: &self.inbound_auth,
            aka: &self.aka,
            rtp: &self.rtp,
            tls: &self.tls,
        }
        .serialize(serializer)
    }
}

impl Trunk {
    /// A trunk with nothing else said.
    pub fn new(name: impl Into<String>, target: impl Into<String>) -> Self {
        Trunk {
            name: name.into(),
            addressing: TrunkAddressing {
                target: target.into(),
                ..TrunkAddressing::default()
            },
            ..Trunk::default()
        }
    }

    /// What its values alone tell; `key` is `trunk[N].` and a name.
    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        self.addressing.check(key, found);
        self.account.check(key, found);
        self.registration.check(key, found);
        self.inbound_auth.check(key, found);
        self.aka.check(key, found);
        self.audio.check(key, found);
        self.digits.check(key, found);
        self.dialogs.check(key, found);
        self.callers.check(key, found);
        self.tls.check(key, found);
        let account = &self.account;
        let secret = account.password.is_some() || self.aka.key.is_some();
        if account.register && (account.username.is_none() || !secret) {
            let expected = "username and password (or aka.key) beside it";
            found.push(Error::shown(key("register"), "true".to_owned(), expected));
        }
    }
}
