//! Digest authentication as a client (RFC 7616, RFC 8760): challenges read, the strongest chosen,
//! answers computed.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::aka::{Reply, Subscriber};
use super::credentials::Credentials;
use crate::redacted::Redacted;
use crate::sip::stack::escapes::unquote;
use crate::sip::stack::lists::split_list;
use crate::sip::stack::message::{Headers, Name, Response, header};

/// Hash of a challenge, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    /// RFC 2617.
    Md5,
    /// RFC 8760.
    Sha256,
}

/// Protection that an answer offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// No qop: RFC 2069.
    None,
    /// `auth`.
    Auth,
    /// `auth-int`: the body is in the hash.
    AuthInt,
}

/// One readable challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Realm, unquoted.
    pub realm: String,
    /// Nonce, unquoted.
    pub nonce: String,
    /// Opaque, unquoted.
    pub opaque: Option<String>,
    /// Hash.
    pub hash: Hash,
    /// True for the `-sess` forms.
    pub session: bool,
    /// True for `AKAv1-MD5` (RFC 3310): the password comes from the nonce.
    pub aka: bool,
    /// True when the algorithm was named; only then is it named back.
    pub named: bool,
    /// The protection we answer with.
    pub protection: Protection,
    /// True when only the nonce was too old.
    pub stale: bool,
}

/// Why a challenge was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswerable {
    /// No challenge, or none of a scheme and algorithm we know.
    #[error("no challenge with a known algorithm")]
    NoneKnown,
    /// The network did not show that it knows the key (RFC 3310 section 3.2).
    #[error("the network did not prove itself")]
    Unproven,
    /// The same credentials were refused before.
    #[error("credentials were refused for realm")]
    Refused,
}

/// Reads every digest challenge of one header over all its lines.
pub fn challenges(headers: &Headers, name: &Name) -> Vec<Challenge> {
    headers
        .get_raw(name)
        .flat_map(|value| read_challenges(value))
        .collect()
}

/// One line may hold several challenges: `Digest a=1, b="2", Digest c=3`.
fn read_challenges(line: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for part in split_list(line) {
        // A part that starts a challenge is `scheme name=value`.
        let (scheme, param) = match part.split_once('=').map(|(before, _)| before.trim()) {
            Some(before) => match before.split_once(char::is_whitespace) {
                Some((scheme, _)) => (Some(scheme), part[scheme.len()..].trim()),
                None => (None, part),
            },
            None => (Some(part), ""),
        };
        if let Some(scheme) = scheme {
            found.push((scheme.to_owned(), Vec::new()));
        }
        if let (Some((_, params)), Some((name, value))) = (found.last_mut(), param.split_once('='))
        {
            let value = unquote(value.trim()).unwrap_or_default();
            params.push((name.trim().to_ascii_lowercase(), value));
        }
    }
    found
        .into_iter()
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Digest"))
        .filter_map(|(_, params)| read_challenge(&params))
        .collect()
}

fn read_challenge(params: &[(String, String)]) -> Option<Challenge> {
    let param = |name: &str| {
        params
            .iter()
            .find(|(candidate, _)| candidate == name)
            .map(|(_, value)| value.as_str())
    };
    let algorithm = param("algorithm").unwrap_or("MD5").to_ascii_uppercase();
    let (hash, session, aka) = match algorithm.as_str() {
        "MD5" => (Hash::Md5, false, false),
        "MD5-SESS" => (Hash::Md5, true, false),
        "AKAV1-MD5" => (Hash::Md5, false, true),
        "SHA-256" => (Hash::Sha256, false, false),
        "SHA-256-SESS" => (Hash::Sha256, true, false),
        _ => return None,
    };
    let protection = match param("qop") {
        None => Protection::None,
        Some(offered) => {
            let offers = |wanted: &str| {
                offered
                    .split(',')
                    .any(|option| option.trim().eq_ignore_ascii_case(wanted))
            };
            if offers("auth") {
                Protection::Auth
            } else if offers("auth-int") {
                Protection::AuthInt
            } else {
                return None;
            }
        }
    };
    Some(Challenge {
        realm: param("realm")?.to_owned(),
        nonce: param("nonce")?.to_owned(),
        opaque: param("opaque").map(str::to_owned),
        hash,
        session,
        aka,
        named: param("algorithm").is_some(),
        protection,
        stale: param("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
    })
}

/// What an answer is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Method of the request.
    pub method: &'a str,
    /// Request URI as written.
    pub uri: &'a str,
    /// Body.
    pub body: &'a [u8],
}

/// Who answers, and with what.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// User name.
    pub username: &'a str,
    /// Password; the response of the key for AKA.
    pub password: &'a [u8],
    /// Resynchronisation token in base64 (RFC 3310 section 3.4).
    pub auts: Option<&'a str>,
}

impl<'a> From<&'a Credentials> for Proof<'a> {
    fn from(credentials: &'a Credentials) -> Self {
        Proof {
            username: &credentials.username,
            password: credentials.password.reveal().as_bytes(),
            auts: None,
        }
    }
}

impl Challenge {
    /// The value of Authorization or Proxy-Authorization.
    pub fn answer(
        &self,
        proof: Proof<'_>,
        subject: Subject<'_>,
        count: u32,
        client_nonce: &str,
    ) -> String {
        let digest = |text: String| self.hash.hex(text.as_bytes());
        let named = format!("{}:{}:", proof.username, self.realm);
        let mut secret = self.hash.hex(&[named.as_bytes(), proof.password].concat());
        if self.session {
            secret = digest(format!("{secret}:{}:{client_nonce}", self.nonce));
        }
        let request = match self.protection {
            Protection::AuthInt => digest(format!(
                "{}:{}:{}",
                subject.method,
                subject.uri,
                self.hash.hex(subject.body)
            )),
            Protection::None | Protection::Auth => {
                digest(format!("{}:{}", subject.method, subject.uri))
            }
        };
        let qop = match self.protection {
            Protection::None => None,
            Protection::Auth => Some("auth"),
            Protection::AuthInt => Some("auth-int"),
        };
        let response = match qop {
            None => digest(format!("{secret}:{}:{request}", self.nonce)),
            Some(qop) => digest(format!(
                "{secret}:{}:{count:08x}:{client_nonce}:{qop}:{request}",
                self.nonce
            )),
        };
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri=\"{}\", response=\"{response}\"",
            quote(proof.username),
            quote(&self.realm),
            quote(&self.nonce),
            subject.uri,
        );
        let mut add = |text: std::fmt::Arguments<'_>| {
            value
                .write_fmt(text)
                .expect("writing to a string cannot fail");
        };
        if self.named {
            let name = if self.aka {
                "AKAv1-MD5"
            } else {
                self.hash.name()
            };
            let suffix = if self.session { "-sess" } else { "" };
            add(format_args!(", algorithm={name}{suffix}"));
        }
        if let Some(auts) = proof.auts {
            add(format_args!(", auts=\"{auts}\""));
        }
        if let Some(opaque) = &self.opaque {
            add(format_args!(", opaque={}", quote(opaque)));
        }
        if let Some(qop) = qop {
            add(format_args!(
                ", qop={qop}, nc={count:08x}, cnonce=\"{client_nonce}\""
            ));
        } else if self.session {
            add(format_args!(", cnonce=\"{client_nonce}\""));
        }
        value
    }
}

impl Hash {
    /// As `algorithm` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Hash::Md5 => "MD5",
            Hash::Sha256 => "SHA-256",
        }
    }

    /// The hash in hexadecimal.
    pub fn hex(self, bytes: &[u8]) -> String {
        fn hex(bytes: &[u8]) -> String {
            bytes.iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("writing to a string cannot fail");
                text
            })
        }
        match self {
            Hash::Md5 => hex(&Md5::digest(bytes)),
            Hash::Sha256 => hex(&Sha256::digest(bytes)),
        }
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The challenges one dialog or registration has met, and how often each nonce was used.
#[derive(Debug, Clone)]
pub struct Authorizer {
    credentials: Credentials,
    /// The subscriber whose key answers AKA challenges.
    subscriber: Option<usize>,
    met: Vec<Met>,
}

/// Challenges remembered of one peer: a realm for each request would otherwise grow without end.
const MET: usize = 8;

#[derive(Debug, Clone)]
struct Met {
    proxy: bool,
    challenge: Challenge,
    count: u32,
    /// The nonce was not handed out by a refusal but announced by a success.
    announced: bool,
    /// The password that AKA gave.
    response: Option<Redacted<Vec<u8>>>,
    /// Token that asks for a new challenge.
    auts: Option<String>,
}

impl Authorizer {
    /// Nothing met yet.
    pub fn new(credentials: Credentials) -> Self {
        Authorizer {
            credentials,
            subscriber: None,
            met: Vec::new(),
        }
    }

    /// The same for a peer with a key for AKA: [`Authorizer::accept`] wants that subscriber.
    #[must_use]
    pub fn with_subscriber(mut self, subscriber: Option<usize>) -> Self {
        self.subscriber = subscriber;
        self
    }

    /// The subscriber to hand to [`Authorizer::accept`].
    pub fn subscriber(&self) -> Option<usize> {
        self.subscriber
    }

    /// The user name.
    pub fn username(&self) -> &str {
        &self.credentials.username
    }

    /// True while no challenge was met.
    pub fn is_fresh(&self) -> bool {
        self.met.is_empty()
    }

    /// Takes the challenges of a 401 or 407 to a request with the headers `answered`. A realm that
    /// refuses a fresh answer is not answered again.
    pub fn accept(
        &mut self,
        response: &Response,
        answered: &Headers,
        mut subscriber: Option<&mut Subscriber>,
    ) -> Result<(), Unanswerable> {
        let mut known = false;
        let only_key = subscriber.is_some() && self.credentials.password.reveal().is_empty();
        for (proxy, name, sent) in [
            (false, Name::WWW_AUTHENTICATE, Name::AUTHORIZATION),
            (true, Name::PROXY_AUTHENTICATE, Name::PROXY_AUTHORIZATION),
        ] {
            let mut offered = challenges(&response.headers, &name);
            // Strongest first; among equals the first offered (RFC 7616 section 3.7).
            offered.retain(|challenge| match challenge.aka {
                true => subscriber.is_some(),
                false => !only_key,
            });
            offered.sort_by_key(|challenge| std::cmp::Reverse((challenge.aka, challenge.hash)));
            let mut realms: Vec<String> = Vec::new();
            for challenge in offered {
                if realms.contains(&challenge.realm) {
                    continue;
                }
                realms.push(challenge.realm.clone());
                let before = self
                    .met
                    .iter()
                    .position(|met| met.proxy == proxy && met.challenge.realm == challenge.realm);
                let mut resynchronised = false;
                if let Some(before) = before {
                    // The nonce of the refused answer tells whether this very request carried it.
                    let met = &self.met[before];
                    let tried = answered
                        .get_raw(&sent)
                        .any(|value| value.contains(&quote(&met.challenge.nonce)));
                    // A used nonce may be refused without saying stale; a first use may not.
                    resynchronised = tried && met.auts.is_some();
                    let first = met.count <= 1 && !met.announced && !resynchronised;
                    if tried && !challenge.stale && first {
                        return Err(Unanswerable::Refused);
                    }
                    self.met.remove(before);
                }
                let (mut response, mut auts) = (None, None);
                if let Some(subscriber) = subscriber.as_deref_mut().filter(|_| challenge.aka) {
                    match subscriber.reply(&challenge.nonce) {
                        Some(Reply::Proven(result)) => response = Some(result),
                        // Once: a network that stays out of step would ask for ever.
                        Some(Reply::OutOfStep(token)) if !resynchronised => {
                            response = Some(Redacted::new(Vec::new()));
                            auts = Some(token);
                        }
                        Some(Reply::OutOfStep(_)) => return Err(Unanswerable::Refused),
                        None => return Err(Unanswerable::Unproven),
                    }
                }
                if self.met.len() >= MET {
                    self.met.remove(0);
                }
                self.met.push(Met {
                    proxy,
                    challenge,
                    count: 0,
                    announced: false,
                    response,
                    auts,
                });
                known = true;
            }
        }
        if known {
            Ok(())
        } else {
            Err(Unanswerable::NoneKnown)
        }
    }

    /// Takes the nonce that a success announces for the next request (RFC 7616 section 3.5).
    pub fn take_next_nonce(&mut self, headers: &Headers) {
        for (proxy, name) in [
            (false, "Authentication-Info"),
            (true, "Proxy-Authentication-Info"),
        ] {
            let Some(value) = header(headers, &Name::from(name)) else {
                continue;
            };
            let next = split_list(value).into_iter().find_map(|part| {
                let (name, value) = part.split_once('=')?;
                let named = name.trim().eq_ignore_ascii_case("nextnonce");
                named.then(|| unquote(value.trim()))?
            });
            let mut of_kind = self
                .met
                .iter_mut()
                .filter(|met| met.proxy == proxy && !met.challenge.aka);
            // The header names no realm: with several it is nobody's.
            if let (Some(next), Some(met), None) = (next, of_kind.next(), of_kind.next()) {
                met.challenge.nonce = next;
                met.count = 0;
                met.announced = true;
            }
        }
    }

    /// Headers that answer everything met so far, for one request.
    pub fn headers(&mut self, subject: Subject<'_>, client_nonce: &str) -> Vec<(Name, String)> {
        let credentials = &self.credentials;
        self.met
            .iter_mut()
            .map(|met| {
                met.count += 1;
                let name = if met.proxy {
                    Name::PROXY_AUTHORIZATION
                } else {
                    Name::AUTHORIZATION
                };
                let mut proof = Proof::from(credentials);
                if let Some(response) = &met.response {
                    proof.password = response.reveal();
                    proof.auts = met.auts.as_deref();
                }
                let value = met
                    .challenge
                    .answer(proof, subject, met.count, client_nonce);
                (name, value)
            })
            .collect()
    }
}
