//! `[[trunk]]`: how its calls are set up and changed.

use serde::{Deserialize, Serialize};

use crate::settings::error::{Collector, Error};
use crate::settings::rules::Key;

/// The shortest session that can be configured, seconds: RFC 4028 has 90, tests cannot wait so long.
const LEAST_MIN_SE: u32 = 10;

/// Keys of `[[trunk]]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkDialogs {
    /// Reliable provisional responses (RFC 3262).
    pub prack: Prack,
    /// Let the PBX make the offer: INVITE without SDP.
    pub delayed_offer: bool,
    /// Seconds that a session lasts without a refresh (RFC 4028); 0: we do not ask for that.
    pub session_expires: u32,
    /// The least that we agree to.
    pub min_se: u32,
    /// How hold and resume are offered where the PBX allows both.
    pub session_modification: SessionModification,
    /// What becomes of a 3xx.
    pub redirect: Redirect,
    /// Hosts beside its own that a followed 3xx may take keys of SRTP and headers of clients to.
    pub redirect_hosts: Vec<String>,
    /// Follow its REFERs, let its INVITEs replace its calls.
    pub transfer: bool,
}

/// `prack`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prack {
    /// Not spoken of.
    Off,
    /// Where the peer wants it.
    #[default]
    Supported,
    /// Demanded.
    Required,
}

/// `session_modification`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionModification {
    /// RFC 3261 section 14.
    #[default]
    ReInvite,
    /// RFC 3311.
    Update,
}

/// `redirect`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redirect {
    /// It ends the call and names the number.
    #[default]
    Pass,
    /// We call there.
    Follow,
}

impl Default for TrunkDialogs {
    fn default() -> Self {
        TrunkDialogs {
            prack: Prack::default(),
            delayed_offer: false,
            session_expires: 1_800,
            min_se: 90,
            session_modification: SessionModification::default(),
            redirect: Redirect::default(),
            redirect_hosts: Vec::new(),
            transfer: true,
        }
    }
}

/// Whether a host is written as a Contact names it: a name or an IP address, without a port.
fn is_host(host: &str) -> bool {
    let is_part = |octet: u8| octet.is_ascii_alphanumeric() || b".-_".contains(&octet);
    host.parse::<std::net::IpAddr>().is_ok() || !host.is_empty() && host.bytes().all(is_part)
}

impl TrunkDialogs {
    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        if self.session_expires != 0 && self.session_expires < self.min_se {
            let written = self.session_expires.to_string();
            let expected = "0, or at least min_se";
            found.push(Error::value(key("session_expires"), &written, expected));
        }
        if self.min_se < LEAST_MIN_SE {
            let written = self.min_se.to_string();
            let expected = "at least 10 (RFC 4028 says 90)";
            found.push(Error::value(key("min_se"), &written, expected));
        }
        if let Some(wrong) = self.redirect_hosts.iter().find(|host| !is_host(host)) {
            let expected = "host names or IP addresses, without a port";
            found.push(Error::value(key("redirect_hosts"), wrong, expected));
        }
    }
}
