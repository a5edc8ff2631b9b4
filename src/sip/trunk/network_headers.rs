//! What an IMS network and its edge tell each other beside a call (RFC 7315): where the caller's
//! access is, which network is visited, by which identifier the call is charged, which identity
//! was called. A trunk that is not trusted is told nothing of it, and no page ever is.

use super::policy::{Carriage, IdentityPolicy};
use crate::sip::stack::lists::split_params;
use crate::sip::stack::message::{Headers, Name, Response, elements};

/// Where the caller's access is (RFC 7315 section 4.4).
pub const ACCESS_NETWORK_INFO: &str = "P-Access-Network-Info";
/// The network that is visited (section 4.3).
pub const VISITED_NETWORK_ID: &str = "P-Visited-Network-ID";
/// What the call is charged by (section 4.6).
pub const CHARGING_VECTOR: &str = "P-Charging-Vector";
/// All that no page sees and that goes to a trusted trunk only; the last one is never written.
pub const NETWORK_HEADERS: [&str; 4] = [
    ACCESS_NETWORK_INFO,
    VISITED_NETWORK_ID,
    CHARGING_VECTOR,
    "P-Charging-Function-Addresses",
];

/// Longest charging identifier that is taken from a trunk.
const LONGEST_ICID: usize = 256;

/// The headers of one dialog or one request outside of any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkHeaders(Vec<(&'static str, String)>);

impl NetworkHeaders {
    /// Those of a request of ours that begins something. What the owner wants to say of them is
    /// taken out of `given`; `icid` makes an identifier that is unique everywhere.
    pub fn of_request(
        policy: &IdentityPolicy,
        given: &mut Vec<(String, String)>,
        icid: impl FnOnce() -> String,
    ) -> Self {
        let mut wished: Vec<(String, String)> = Vec::new();
        given.retain(|(name, value)| {
            let ours = is_network_header(name);
            if ours {
                wished.push((name.clone(), value.clone()));
            }
            !ours
        });
        let network = &policy.network;
        let mut written = Vec::new();
        if policy.trusted {
            let wish = |header: &str| {
                let named = |(name, _): &&(String, String)| name.eq_ignore_ascii_case(header);
                wished.iter().find(named).map(|(_, value)| value.clone())
            };
            for (header, carriage) in [
                (ACCESS_NETWORK_INFO, &network.access),
                (VISITED_NETWORK_ID, &network.visited),
                (CHARGING_VECTOR, &network.charging),
            ] {
                let value = match carriage {
                    Carriage::Remove => None,
                    Carriage::Pass => wish(header),
                    Carriage::Set(value) => Some(value.clone()),
                };
                written.extend(value.map(|value| (header, value)));
            }
        }
        NetworkHeaders(written).charged_by(None, icid)
    }

    /// Those of our requests inside a call of the trunk's. It goes on under the identifier that
    /// the trunk gave it.
    pub fn of_incoming(
        policy: &IdentityPolicy,
        headers: &Headers,
        icid: impl FnOnce() -> String,
    ) -> Self {
        let theirs = elements(headers, &Name::from(CHARGING_VECTOR))
            .first()
            .and_then(|vector| icid_of(vector));
        let all = Self::of_request(policy, &mut Vec::new(), String::new);
        all.charged_by(theirs, icid)
    }

    /// What is repeated in every request of the dialog: the network that is visited is told with
    /// what begins it only (RFC 7315 section 4.3).
    pub fn of_dialog(&self) -> Self {
        let mut kept = self.0.clone();
        kept.retain(|(name, _)| *name != VISITED_NETWORK_ID);
        NetworkHeaders(kept)
    }

    /// Writes them.
    pub fn put(&self, headers: &mut Headers) {
        for (name, value) in &self.0 {
            headers.insert(Name::from(*name), value.clone());
        }
    }

    /// Gives the charging vector its identifier: this one, its own, or a new one.
    fn charged_by(mut self, given: Option<String>, icid: impl FnOnce() -> String) -> Self {
        let vector = self.0.iter_mut().find(|(name, _)| *name == CHARGING_VECTOR);
        if let Some((_, vector)) = vector
            && icid_of(vector).is_none()
        {
            let icid = given.unwrap_or_else(icid);
            // Without its identifier the rest is parameters of it.
            *vector = [format!("icid-value={icid}"), vector.clone()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(";");
        }
        self
    }
}

/// Takes what only a trusted trunk may see out of a request that goes elsewhere.
pub fn remove_network_headers(headers: &mut Headers) {
    for name in NETWORK_HEADERS {
        headers.remove(&Name::from(name));
    }
}

/// True for a header that tells of networks.
pub fn is_network_header(name: &str) -> bool {
    NETWORK_HEADERS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// The identifier of a charging vector; none where it has none that can be written again.
fn icid_of(vector: &str) -> Option<String> {
    let params = split_params(vector);
    let icid = params
        .into_iter()
        .find_map(|(name, value)| value.filter(|_| name == "icid-value"))?;
    let writable = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, ';' | ',');
    let usable = (1..=LONGEST_ICID).contains(&icid.len()) && icid.chars().all(writable);
    usable.then_some(icid)
}

/// True for an answer that wants Security-Agreement (RFC 3329 section 2.3), which we do not do:
/// 494, or 421 for its option tag.
pub fn wants_security_agreement(response: &Response) -> bool {
    let required = || {
        elements(&response.headers, &Name::REQUIRE)
            .iter()
            .any(|option| option.eq_ignore_ascii_case("sec-agree"))
    };
    response.status == 494 || response.status == 421 && required()
}
