//! Redirections (RFC 3261 sections 8.1.3.4 and 19.1.5): which of the addresses of a 3xx are tried,
//! in which order, and when it is enough.

use bytes::Bytes;

use super::config::Trunk;
use super::network_headers::remove_network_headers;
use super::policy::RedirectPolicy;
use crate::sip::stack::address::{Address, sip_uri};
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::next_hop::NextHop;
use crate::sip::stack::number::number_of;

/// Most addresses that one call is sent on to.
const MOST_TARGETS: usize = 5;

/// An address to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTarget {
    /// Request URI.
    pub uri: String,
    /// It is the trunk's own: the request goes the trunk's way, with the trunk's credentials.
    pub home: bool,
    /// It may have what our first INVITE says of keys, and the headers of pages.
    pub allowed: bool,
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
    /// Hosts beside the trunk's that may have keys of SRTP and headers of pages.
    allowed: Vec<String>,
    /// Only a host that may have our keys is called: RTP must be encrypted.
    keyed: bool,
    /// Our first INVITE, from which each further one is made.
    first: Option<Box<Request>>,
    /// The headers of it that the trunk alone was meant to see.
    page_headers: Vec<Name>,
    /// The last address tried is not the trunk's.
    abroad: bool,
    /// With their q, the best last.
    waiting: Vec<(f32, NewTarget)>,
}

impl Redirection {
    /// A call through `trunk` by this INVITE, in which a page has set these headers.
    pub fn new(trunk: &Trunk, invite: &Request, page_headers: Vec<Name>) -> Self {
        let follows = trunk.redirect == RedirectPolicy::Follow;
        let hosts = trunk.targets.iter().map(|entry| entry.target.host.clone());
        Redirection {
            policy: trunk.redirect,
            domain: trunk.domain.clone(),
            secure: trunk.sips,
            hosts: hosts.chain([trunk.domain.clone()]).collect(),
            allowed: trunk.redirect_hosts.clone(),
            keyed: trunk.srtp_required,
            first: follows.then(|| Box::new(invite.clone())),
            page_headers,
            tried: vec![sameness(&invite.uri)],
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

    /// Takes the Contacts of a 3xx. Returns how many are not called because RTP must be encrypted
    /// and their hosts may not have our keys.
    pub fn add(&mut self, contacts: &[&str]) -> usize {
        let mut withheld = 0;
        for contact in contacts.iter().take(MOST_TARGETS * 2) {
            let Some(address) = Address::parse_lenient(contact) else {
                continue;
            };
            let q = preference(&address);
            let Some(target) = self.usable(&address.uri) else {
                continue;
            };
            if self.keyed && !target.allowed {
                withheld += 1;
                continue;
            }
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
        withheld
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
                allowed: true,
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
        let allowed = home || self.allowed.iter().any(is_host);
        (home || sips || !self.secure).then_some(NewTarget { uri, home, allowed })
    }

    /// Our first INVITE as this target may see it; none before there was one.
    pub fn invite_for(&self, target: &NewTarget) -> Option<Request> {
        let mut request = Request::clone(self.first.as_ref()?);
        request.uri.clone_from(&target.uri);
        if !target.home {
            // What only the trunk is trusted with (RFC 3325 section 7), and its routes.
            for name in [
                "P-Asserted-Identity",
                "P-Preferred-Identity",
                "Remote-Party-ID",
            ] {
                request.headers.remove(&Name::from(name));
            }
            remove_network_headers(&mut request.headers);
            request.headers.remove(&Name::ROUTE);
        }
        if !target.allowed {
            for name in &self.page_headers {
                request.headers.remove(name);
            }
            request.body = without_keys(&request.body);
        }
        Some(request)
    }
}

/// A description without the keys of its streams (RFC 4568 section 9.1).
fn without_keys(body: &Bytes) -> Bytes {
    let is_key = |line: &&[u8]| {
        let start = line.get(..9);
        start.is_some_and(|start| start.eq_ignore_ascii_case(b"a=crypto:"))
    };
    let lines = || body.split_inclusive(|octet| *octet == b'\n');
    if !lines().any(|line| is_key(&line)) {
        return body.clone();
    }
    let kept = lines().filter(|line| !is_key(line));
    kept.flatten().copied().collect()
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
