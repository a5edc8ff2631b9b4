//! Who sends a request: digest authentication (RFC 7616) with the passwords of the users, limited as
//! sign-ins at every other door are.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: reads the clock, draws the key of nonces"
)]

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::output::{Admission, Question, User};
use crate::redacted::Redacted;
use crate::signaling::{self, Client, Door, Refused};
use crate::sip::Credentials;
use crate::sip::stack::digest::{Answer, Subject, Verdict, Verifier};

/// Authorization headers of one request that are looked at.
const LOOKED_AT: usize = 2;

/// A user as digests need it.
#[derive(Clone, Debug)]
pub struct Account {
    /// Name and password.
    pub credentials: Credentials,
    /// The name that called parties see.
    pub display_name: Option<String>,
}

/// All users, and the realm of their passwords.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Of challenges.
    pub realm: String,
    /// By name.
    pub users: HashMap<String, Account>,
}

impl Accounts {
    /// Adds a user.
    pub fn add(&mut self, name: &str, password: &Redacted<String>, display_name: Option<String>) {
        let account = Account {
            credentials: Credentials {
                username: name.to_owned(),
                password: password.clone(),
            },
            display_name,
        };
        self.users.insert(name.to_owned(), account);
    }
}

/// Answers who sent a request, for all connections.
pub(super) struct Authenticator {
    accounts: Accounts,
    verifier: Mutex<Verifier>,
}

impl Authenticator {
    pub fn new(accounts: Accounts) -> Self {
        Authenticator {
            accounts,
            verifier: Mutex::new(Verifier::new(rand::random())),
        }
    }

    /// Who sent the request that is asked about.
    pub fn answer(&self, question: &Question, door: &Door, client: &Client) -> Admission {
        let realm = &self.accounts.realm;
        let shown = question.authorization.iter().take(LOOKED_AT);
        let answer = shown
            .filter_map(|value| Answer::read(value))
            .find(|answer| answer.realm == *realm);
        // Without an answer to a challenge of ours nobody has tried anything.
        let Some(answer) = answer else {
            return Admission::Challenged(self.challenge(false));
        };
        let user = answer.username.clone();
        let looked = door
            .attempts
            .identify_by(&user, client, || self.check(&answer, question));
        match looked {
            Ok(user) => Admission::Admitted(user),
            Err(refused) if matches!(refused.error, signaling::Error::StaleNonce) => {
                Admission::Challenged(self.challenge(true))
            }
            Err(refused) => self.refuse(&refused, &user, door, client),
        }
    }

    fn check(&self, answer: &Answer, question: &Question) -> Result<User, signaling::Error> {
        let account = self.accounts.users.get(&answer.username);
        let expected = account.map(|account| &account.credentials);
        let subject = Subject {
            method: &question.method,
            uri: &question.uri,
            body: &[],
        };
        let verdict = self
            .verifier()
            .check(answer, expected, subject, Instant::now());
        match (verdict, account) {
            (Verdict::Right, Some(account)) => Ok(User {
                name: answer.username.clone(),
                display_name: account.display_name.clone(),
            }),
            (Verdict::Stale, _) => Err(signaling::Error::StaleNonce),
            _ => Err(signaling::Error::Unauthorized),
        }
    }

    fn refuse(&self, refused: &Refused, user: &str, door: &Door, client: &Client) -> Admission {
        let retry_after = refused.error.retry_after();
        let reason = match retry_after {
            Some(_) => "too_many_attempts",
            None => "unauthorized",
        };
        metrics::counter!("trunkline_sign_in_refused_total", "reason" => reason).increment(1);
        if refused.is_news {
            // A name may be a password in the wrong field, so only those that we know are logged.
            let is_known = self.accounts.users.contains_key(user);
            let user = if is_known { user } else { "" };
            let code = refused.error.refusal().code();
            door.refusals.note(client.address, code, user, "sip");
        }
        match retry_after {
            Some(retry_after) => Admission::TooMany { retry_after },
            None => Admission::Wrong {
                challenge: self.challenge(false),
                delay: door.attempts.delay(),
            },
        }
    }

    /// The strongest first (RFC 8760 section 2.4), MD5 last: JsSIP 3.13 and SIP.js 0.21 know nothing
    /// else, and of several challenges they see the last alone.
    fn challenge(&self, stale: bool) -> Vec<String> {
        let realm = &self.accounts.realm;
        let challenges = self.verifier().challenge(realm, stale, Instant::now());
        challenges.to_vec()
    }

    fn verifier(&self) -> MutexGuard<'_, Verifier> {
        self.verifier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
