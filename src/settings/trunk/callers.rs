//! `[[trunk]]`: who calls, who is called, and the headers that clients see and set.

use serde::{Deserialize, Serialize};

use crate::settings::error::{Collector, Error};
use crate::settings::rules::{Key, no_control, no_guest};

/// Most bytes of a value that is set.
const LONGEST_VALUE: usize = 1_024;

/// Keys of `[[trunk]]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkCallers {
    /// Which header names the caller beside From.
    pub identity: CallerHeader,
    /// Believe its P-Asserted-Identity, tell it who anonymous callers are.
    pub trusted: bool,
    /// Rewrites of our caller's number; the first that matches.
    pub caller_id: Vec<Renumbering>,
    /// Headers of its INVITEs that the client sees.
    pub headers_to_client: Vec<String>,
    /// Headers that a client may set on its INVITEs.
    pub headers_from_client: Vec<String>,
    /// P-Access-Network-Info of our requests: `pass`, `remove` or a value.
    pub access_network_info: String,
    /// P-Visited-Network-ID: likewise.
    pub visited_network_id: String,
    /// P-Charging-Vector: likewise.
    pub charging_vector: String,
    /// The same as `called_number = "p-called-party-id"`.
    pub called_party_id: bool,
    /// Where the called number of its calls stands; absent: in the request URI, and in To for calls
    /// to the Contact that was registered.
    pub called_number: Option<CalledNumber>,
}

/// `identity`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallerHeader {
    /// None.
    #[default]
    From,
    /// P-Asserted-Identity (RFC 3325).
    Pai,
    /// P-Preferred-Identity (RFC 3325).
    Ppi,
    /// P-Preferred-Identity with what the registrar associated (RFC 7315 section 4.1).
    Associated,
    /// Remote-Party-ID.
    Rpid,
}

/// `called_number`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalledNumber {
    /// In the request URI.
    Request,
    /// In To.
    To,
    /// In P-Called-Party-ID (RFC 7315 section 4.2).
    PCalledPartyId,
}

/// One row of `caller_id`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Renumbering {
    /// For the whole number.
    #[serde(rename = "match", default)]
    pub pattern: String,
    /// May use the pattern's groups.
    #[serde(default)]
    pub to: String,
}

impl Default for TrunkCallers {
    fn default() -> Self {
        TrunkCallers {
            identity: CallerHeader::default(),
            trusted: false,
            caller_id: Vec::new(),
            headers_to_client: Vec::new(),
            headers_from_client: Vec::new(),
            access_network_info: "remove".to_owned(),
            visited_network_id: "remove".to_owned(),
            charging_vector: "remove".to_owned(),
            called_party_id: false,
            called_number: None,
        }
    }
}

impl TrunkCallers {
    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        for (row, renumbering) in self.caller_id.iter().enumerate() {
            let pattern = key(&format!("caller_id[{row}].match"));
            if renumbering.pattern.is_empty() {
                let expected = "a regular expression for the whole number";
                found.push(Error::value(pattern.clone(), "", expected));
            }
            no_control(pattern, &renumbering.pattern, found);
            no_guest(key(&format!("caller_id[{row}].to")), &renumbering.to, found);
        }
        for (name, written) in [
            ("access_network_info", &self.access_network_info),
            ("visited_network_id", &self.visited_network_id),
            ("charging_vector", &self.charging_vector),
        ] {
            if let Err(expected) = self.check_network(written) {
                found.push(Error::value(key(name), written, expected));
            }
        }
        let other = match self.called_number {
            Some(CalledNumber::Request) => Some("request"),
            Some(CalledNumber::To) => Some("to"),
            Some(CalledNumber::PCalledPartyId) | None => None,
        };
        if let Some(other) = other.filter(|_| self.called_party_id) {
            let expected = "p-called-party-id, or no called_party_id = true beside it";
            found.push(Error::value(key("called_number"), other, expected));
        }
    }

    /// One header of the network. A trunk that is not trusted is told nothing (RFC 7315 section 6),
    /// and a configuration that says else is a mistake.
    fn check_network(&self, written: &str) -> Result<(), &'static str> {
        if written == "remove" {
            return Ok(());
        }
        if !self.trusted {
            return Err("\"remove\", or trusted = true beside it");
        }
        let one_line = !written.contains(|c: char| c.is_control());
        match !written.trim().is_empty() && written.len() <= LONGEST_VALUE && one_line {
            true => Ok(()),
            false => Err("pass, remove, or the value to set on one line"),
        }
    }
}
