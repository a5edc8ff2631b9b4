//! Redirections (RFC 3261 sections 8.1.3.4 and 19.1.5): which of the addresses of a 3xx are tried,
//! in which order, and when it is enough.

use super::address::{Address, NextHop, sip_uri};
use super::config::Trunk;
use super::identity::number_of;

/// Most addresses that one call is sent on to.
const MOST_TARGETS: usize = 5;

/// What becomes of a 3xx to our INVITE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RedirectPolicy {
    /// The call ends, its owner learns the new address.
    #[default]
    Pass,
    /// The new addresses are tried; the owner sees one attempt.
    Follow,
}

/// An address to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTarget {
    /// Request URI.
    pub uri: String,
    /// It is the trunk's own: the request goes the trunk's way, with the trunk's credentials.
    pub home: bool,
}

/// What one call has tried and may still try.
#[derive(Debug, Default)]
pub struct Redirection {
    policy: RedirectPolicy,
    domain: String,
    /// The trunk is reached by `sips:`; so must be what it names (RFC 5630 section 4).
    secure: bool,
    hosts: Vec<String>,
    tried: Vec<String>,
    /// The last address tried is not the trunk's.
    abroad: bool,
    /// With their q, the best last.
    waiting: Vec<(f32, NewTarget)>,
}

impl Redirection {
    /// A call through `trunk` to `uri`.
    pub fn new(trunk: &Trunk, uri: &str) -> Self {
        let hosts = trunk.targets.iter().map(|entry| entry.target.host.clone());
        Redirection {
            policy: trunk.redirect,
            domain: trunk.domain.clone(),
            secure: trunk.sips,
            hosts: hosts.chain([trunk.domain.clone()]).collect(),
            tried: vec![sameness(uri)],
            abroad: false,
            waiting: Vec::new(),
        }
    }

    /// True while the call is with somebody whom the trunk only named.
    pub fn is_abroad(&self) -> bool {
        self.abroad
    }

    /// True where addresses of a 3xx are tried at all.
    pub fn follows(&self) -> bool {
        self.policy == RedirectPolicy::Follow
    }

    /// Takes the Contacts of a 3xx.
    pub fn add(&mut self, contacts: &[&str]) {
        for contact in contacts.iter().take(MOST_TARGETS * 2) {
            let Some(address) = Address::parse_lenient(contact) else {
                continue;
            };
            let q = preference(&address);
            let Some(target) = self.usable(&address.uri) else {
                continue;
            };
            let known = sameness(&target.uri);
            let waits = |(_, other): &(f32, NewTarget)| sameness(&other.uri) == known;
            if self.tried.contains(&known) || self.waiting.iter().any(waits) {
                continue;
            }
            // Behind those of the same q, which came first: the best is last.
            let at = self.waiting.iter().position(|(other, _)| *other >= q);
            self.waiting
                .insert(at.unwrap_or(self.waiting.len()), (q, target));
        }
    }

    /// The address to try next.
    pub fn next_target(&mut self) -> Option<NewTarget> {
        if self.tried.len() > MOST_TARGETS {
            return None;
        }
        let (_, target) = self.waiting.pop()?;
        self.tried.push(sameness(&target.uri));
        self.abroad = !target.home;
        Some(target)
    }

    /// `sip`, `sips` and `tel` only, without what a URI may say of headers and method.
    fn usable(&self, uri: &str) -> Option<NewTarget> {
        let (scheme, _) = uri.split_once(':')?;
        if scheme.eq_ignore_ascii_case("tel") {
            let number = number_of(uri);
            return (!number.is_empty()).then(|| NewTarget {
                uri: sip_uri(&number, &self.domain),
                home: true,
            });
        }
        if !scheme.eq_ignore_ascii_case("sip") && !scheme.eq_ignore_ascii_case("sips") {
            return None;
        }
        let uri = request_uri(uri);
        let hop = NextHop::of_uri(&uri)?;
        let is_host = |host: &String| host.eq_ignore_ascii_case(&hop.host);
        let sips = scheme.eq_ignore_ascii_case("sips");
        // The trunk's way is not secure enough for `sips:` unless the trunk is so itself.
        let home = self.hosts.iter().any(is_host) && (self.secure || !sips);
        (home || sips || !self.secure).then_some(NewTarget { uri, home })
    }
}

/// The URI of the Contact with the highest q, of equal ones the first (RFC 3261 section 20.10).
pub fn preferred(contacts: &[&str]) -> Option<String> {
    let mut best: Option<(f32, String)> = None;
    for contact in contacts {
        let Some(address) = Address::parse_lenient(contact) else {
            continue;
        };
        let q = preference(&address);
        if best.as_ref().is_none_or(|(most, _)| q > *most) {
            best = Some((q, address.uri));
        }
    }
    best.map(|(_, uri)| uri)
}

/// The q of a Contact; 1 where it has none, or none that is a number from 0 to 1.
fn preference(address: &Address) -> f32 {
    let q = address
        .param("q")
        .and_then(|q| q.trim().parse::<f32>().ok());
    q.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0)
}

/// A URI as a request line may have it: no headers, no `method` (RFC 3261 section 19.1.5).
pub fn request_uri(uri: &str) -> String {
    let uri = uri.split('?').next().unwrap_or("");
    let (rest, user_part) = match uri.rsplit_once('@') {
        Some((user, rest)) => (rest, format!("{user}@")),
        None => (uri, String::new()),
    };
    let kept: Vec<&str> = rest
        .split(';')
        .filter(|part| {
            !part
                .get(..7)
                .is_some_and(|start| start.eq_ignore_ascii_case("method="))
        })
        .collect();
    format!("{user_part}{}", kept.join(";"))
}

/// What two URIs of the same place have in common: scheme, user, host and port.
fn sameness(uri: &str) -> String {
    let uri = uri.split('?').next().unwrap_or("");
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (user, place),
        None => ("", rest),
    };
    let place = place.split(';').next().unwrap_or("").to_ascii_lowercase();
    let place = place.strip_suffix(":5060").unwrap_or(&place);
    format!("{}:{user}@{place}", scheme.to_ascii_lowercase())
}
