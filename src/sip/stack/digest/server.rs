//! Digest authentication as a server (RFC 7616, RFC 8760): challenges that cost no memory, and
//! answers that count once.
//!
//! A nonce is its time, its number and a keyed hash of both: nothing is held for those who only
//! ask. What a right answer used is remembered until its nonce is too old.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::client::{Hash, Subject};
use super::credentials::Credentials;
use crate::redacted::Redacted;
use crate::sip::stack::escapes::unquote;
use crate::sip::stack::lists::split_list;

/// How long a nonce is good.
const FRESH: Duration = Duration::from_secs(300);
/// Nonces remembered; the oldest are declared too old beyond it.
const USED: usize = 16_384;
/// Longest Authorization that is looked at.
const LONGEST: usize = 2_048;

/// Hands out challenges and checks answers.
#[derive(Debug)]
pub struct Verifier {
    key: Redacted<[u8; 32]>,
    /// When the first challenge was handed out; times count from it.
    began: Option<Instant>,
    /// Challenges handed out.
    issued: u64,
    used: HashMap<u64, Used>,
    /// Keys of `used`, oldest answer first.
    order: VecDeque<(u64, u64)>,
    /// Nonces numbered below were forgotten: they are too old whatever their time says.
    floor: u64,
}

/// Counts of one nonce that were used: the highest, and which of the 64 below it.
#[derive(Debug, Clone, Copy)]
struct Used {
    highest: u32,
    below: u64,
}

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Right.
    Right,
    /// Right, but its nonce is too old or was used with this count: `stale=true`.
    Stale,
    /// Wrong in any other way.
    Wrong,
}

/// An Authorization header, read.
#[derive(Debug, Clone)]
pub struct Answer {
    /// User name.
    pub username: String,
    /// Realm.
    pub realm: String,
    nonce: String,
    uri: String,
    response: String,
    hash: Hash,
    /// Count and client nonce of `qop=auth`.
    counted: Option<(u32, String, String)>,
}

impl Answer {
    /// Reads a Digest answer; `None` when it is none, or of a kind that no challenge of ours asks
    /// for.
    pub fn read(value: &str) -> Option<Answer> {
        if value.len() > LONGEST {
            return None;
        }
        let (scheme, rest) = value.trim().split_once(char::is_whitespace)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let params: Vec<(String, String)> = split_list(rest)
            .into_iter()
            .filter_map(|part| {
                let (name, value) = part.split_once('=')?;
                Some((name.trim().to_ascii_lowercase(), unquote(value.trim())?))
            })
            .collect();
        let param = |name: &str| {
            let found = params.iter().find(|(candidate, _)| candidate == name);
            found.map(|(_, value)| value.clone())
        };
        let algorithm = param("algorithm").unwrap_or_else(|| Hash::Md5.name().to_owned());
        let hash = [Hash::Md5, Hash::Sha256]
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(&algorithm))?;
        let counted = match param("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let written = param("nc")?;
                let count = u32::from_str_radix(&written, 16).ok()?;
                Some((count, written, param("cnonce")?))
            }
            Some(_) => return None,
        };
        Some(Answer {
            username: param("username")?,
            realm: param("realm")?,
            nonce: param("nonce")?,
            uri: param("uri")?,
            response: param("response")?,
            hash,
            counted,
        })
    }
}

impl Verifier {
    /// With a key that nobody else has.
    pub fn new(key: [u8; 32]) -> Self {
        Verifier {
            key: Redacted::new(key),
            began: None,
            issued: 0,
            used: HashMap::new(),
            order: VecDeque::new(),
            floor: 0,
        }
    }

    /// Values of WWW-Authenticate, the strongest first (RFC 8760 section 2.4).
    pub fn challenge(&mut self, realm: &str, stale: bool, now: Instant) -> [String; 2] {
        self.issued += 1;
        self.began.get_or_insert(now);
        let millis = self.millis(now);
        let nonce = self.nonce(millis, self.issued, realm);
        let stale = if stale { ", stale=true" } else { "" };
        [Hash::Sha256, Hash::Md5].map(|hash| {
            format!(
                "Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}",
                hash.name()
            )
        })
    }

    /// A tag that the same request always gets: nothing is kept of what is only challenged
    /// (RFC 3261 section 8.2.7).
    pub fn tag(&self, request: &str) -> String {
        let mac = self.mac(&[b"tag", request.as_bytes()]);
        mac[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Checks an answer. `expected` is absent where nobody goes by that name: the same work is
    /// done, and the answer is wrong.
    pub fn check(
        &mut self,
        answer: &Answer,
        expected: Option<&Credentials>,
        subject: Subject<'_>,
        now: Instant,
    ) -> Verdict {
        let issued = self.read_nonce(&answer.nonce, &answer.realm);
        let password = expected.map_or("", |credentials| credentials.password.reveal());
        let hex = |text: String| answer.hash.hex(text.as_bytes());
        let secret = hex(format!("{}:{}:{password}", answer.username, answer.realm));
        let request = hex(format!("{}:{}", subject.method, answer.uri));
        let wanted = match &answer.counted {
            Some((_, count, client)) => hex(format!(
                "{secret}:{}:{count}:{client}:auth:{request}",
                answer.nonce
            )),
            None => hex(format!("{secret}:{}:{request}", answer.nonce)),
        };
        let same = wanted.as_bytes().ct_eq(answer.response.as_bytes());
        let right = bool::from(same) && expected.is_some() && answer.uri == subject.uri;
        let Some((millis, number)) = issued.filter(|_| right) else {
            return Verdict::Wrong;
        };
        let fresh = u64::try_from(FRESH.as_millis()).unwrap_or(u64::MAX);
        let now = self.millis(now);
        if now.saturating_sub(millis) > fresh || number < self.floor {
            return Verdict::Stale;
        }
        self.forget(now.saturating_sub(fresh));
        // An answer without a count uses the nonce up.
        let count = answer
            .counted
            .as_ref()
            .map_or(u32::MAX, |(count, ..)| *count);
        if self.use_up(number, count, now) {
            Verdict::Right
        } else {
            Verdict::Stale
        }
    }

    /// Nonces remembered, for tests of its bound.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.used.len()
    }

    /// True when that count of that nonce is used for the first time.
    fn use_up(&mut self, number: u64, count: u32, now: u64) -> bool {
        if let Some(used) = self.used.get_mut(&number) {
            if count > used.highest {
                let by = count - used.highest;
                let shifted = used.below.checked_shl(by).unwrap_or(0);
                let last = 1u64.checked_shl(by - 1).unwrap_or(0);
                *used = Used {
                    highest: count,
                    below: shifted | last,
                };
                return true;
            }
            let back = used.highest - count;
            let bit = match back {
                1..=64 => 1u64 << (back - 1),
                _ => return false,
            };
            let unused = used.below & bit == 0;
            used.below |= bit;
            return unused;
        }
        if self.used.len() >= USED
            && let Some((oldest, _)) = self.order.pop_front()
        {
            self.used.remove(&oldest);
            self.floor = self.floor.max(oldest + 1);
        }
        let first = Used {
            highest: count,
            below: 0,
        };
        self.used.insert(number, first);
        self.order.push_back((number, now));
        true
    }

    /// Drops what was first used before `millis`: nonces are used after they were made, so those
    /// are too old by their time.
    fn forget(&mut self, millis: u64) {
        while let Some((number, at)) = self.order.front().copied()
            && at < millis
        {
            self.order.pop_front();
            self.used.remove(&number);
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = self
            .began
            .map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn nonce(&self, millis: u64, number: u64, realm: &str) -> String {
        let mut bytes = [0; 24];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6..12].copy_from_slice(&number.to_be_bytes()[2..]);
        let mac = self.mac(&[b"nonce", &bytes[..12], realm.as_bytes()]);
        bytes[12..].copy_from_slice(&mac[..12]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Time and number of a nonce of ours for that realm.
    fn read_nonce(&self, nonce: &str, realm: &str) -> Option<(u64, u64)> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let mac = self.mac(&[b"nonce", &bytes[..12], realm.as_bytes()]);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        bool::from(mac[..12].ct_eq(&bytes[12..]))
            .then(|| (number(&bytes[..6]), number(&bytes[6..12])))
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.reveal()).expect("a key of any length will do");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}
