//! Attempts to sign in: counted, and refused slowly.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::Error;
use super::forwarded::Client;
use super::occupancy::Occupancy;
use super::sign_in::{Credentials, SignIn, SignedIn};
use super::throttle::{Attempt, AttemptLimits, Subject, Throttle, Wait};

/// Answers that are held back at a time, in all and of one source. Further ones leave at once.
const MOST_HELD: usize = 2_048;
const MOST_HELD_OF_ONE: usize = 256;

/// Who tried what, and the answers that wait.
#[derive(Debug)]
pub struct SignInAttempts {
    throttle: Mutex<Throttle>,
    held: Arc<Occupancy>,
    /// How long a refusal is held back.
    delay: Duration,
}

/// Credentials that did not open anything.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: Error,
    /// Whether the log has had nothing of this kind from there yet.
    pub(crate) is_news: bool,
    /// Whether the answer is to be held back: something was guessed.
    pub(crate) is_guess: bool,
}

impl Refused {
    /// For an attempt before the answer to the last one.
    pub(super) fn too_soon(retry_after: Duration) -> Self {
        Refused {
            error: Error::TooManyAttempts { retry_after },
            is_news: false,
            is_guess: true,
        }
    }
}

impl SignInAttempts {
    /// Nothing was tried yet. Refusals of guesses are held back for `delay`.
    pub fn new(limits: AttemptLimits, delay: Duration) -> Self {
        SignInAttempts {
            throttle: Mutex::new(Throttle::new(limits, Instant::now())),
            held: Arc::default(),
            delay,
        }
    }

    /// Who shows `credentials`, unless too many were wrong before: then they are not looked at.
    pub(super) fn identify(
        &self,
        sign_in: &SignIn,
        credentials: &Credentials,
        client: &Client,
    ) -> Result<SignedIn, Refused> {
        let user = credentials.user.as_deref().unwrap_or_default();
        let claimed;
        let subject = match &credentials.token {
            Some(token) => {
                claimed = sign_in.claimed_user(token.reveal());
                Subject::Token(claimed.as_deref().unwrap_or_default())
            }
            None if credentials.password.is_some() => Subject::Password(user),
            None => return self.identify_guest(sign_in, credentials, client),
        };
        let address = client.address.ip();
        let mut throttle = self.throttle();
        let attempt = throttle.attempt(subject, address, client.is_proxy, Instant::now());
        drop(throttle);
        let look = || sign_in.identify(credentials, rand::random(), SystemTime::now());
        let (attempt, signed_in) = self.look_at(attempt, look)?;
        self.throttle().succeeded(attempt);
        Ok(signed_in)
    }

    /// The same for the password of `user` in a form that `look` knows, such as a digest.
    pub(crate) fn identify_by<T>(
        &self,
        user: &str,
        client: &Client,
        look: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Refused> {
        let subject = Subject::Password(user);
        let address = client.address.ip();
        let mut throttle = self.throttle();
        let attempt = throttle.attempt(subject, address, client.is_proxy, Instant::now());
        drop(throttle);
        let (attempt, found) = self.look_at(attempt, look)?;
        self.throttle().succeeded(attempt);
        Ok(found)
    }

    /// The same for a token in the session of `user`.
    pub(super) fn identify_again(
        &self,
        sign_in: &SignIn,
        credentials: &Credentials,
        user: &str,
        client: &Client,
    ) -> Result<SignedIn, Refused> {
        let token = credentials.token.as_ref();
        let claimed = token.and_then(|token| sign_in.claimed_user(token.reveal()));
        let claimed = claimed.unwrap_or_default();
        let address = client.address.ip();
        let mut throttle = self.throttle();
        let attempt = throttle.renewal(user, &claimed, address, client.is_proxy, Instant::now());
        drop(throttle);
        let look = || sign_in.identify(credentials, rand::random(), SystemTime::now());
        let (attempt, found) = self.look_at(attempt, look)?;
        self.throttle().was_no_guess(attempt);
        if found.identity.user == user {
            return Ok(found);
        }
        // It is a good token, if not for this session.
        Err(Refused {
            error: Error::WrongUser,
            is_news: true,
            is_guess: false,
        })
    }

    /// A guest, who may have chosen a name. A name that is a user's is refused, which tells that
    /// there is such a user: names are limited where there are users.
    fn identify_guest(
        &self,
        sign_in: &SignIn,
        credentials: &Credentials,
        client: &Client,
    ) -> Result<SignedIn, Refused> {
        let find = || sign_in.identify(credentials, rand::random(), SystemTime::now());
        let name = credentials.user.as_ref();
        let Some(name) = name.filter(|_| sign_in.anonymous && !sign_in.users.is_empty()) else {
            return find().map_err(|error| Refused {
                error,
                is_news: true,
                is_guess: false,
            });
        };
        let address = client.address.ip();
        let attempt = self
            .throttle()
            .name(address, client.is_proxy, Instant::now());
        let attempt = attempt.map_err(too_many)?;
        let is_guess = sign_in.users.contains_key(name);
        if !is_guess {
            self.throttle().was_no_guess(attempt);
        }
        find().map_err(|error| Refused {
            error,
            is_news: true,
            is_guess,
        })
    }

    /// Looks at credentials where they may be looked at. What is wrong with them stays counted,
    /// unless nobody guessed.
    fn look_at<T>(
        &self,
        attempt: Result<Attempt, Wait>,
        look: impl FnOnce() -> Result<T, Error>,
    ) -> Result<(Attempt, T), Refused> {
        let attempt = attempt.map_err(too_many)?;
        match look() {
            Ok(found) => Ok((attempt, found)),
            Err(error) => {
                // Its signature was right, or its digest.
                let is_guess = !matches!(error, Error::TokenExpired | Error::StaleNonce);
                if !is_guess {
                    self.throttle().was_no_guess(attempt);
                }
                Err(Refused {
                    error,
                    is_news: true,
                    is_guess,
                })
            }
        }
    }

    /// How long the answer to a wrong guess is held back.
    pub(crate) fn delay(&self) -> Duration {
        self.delay
    }

    /// Waits as long as the answer to a wrong guess from `address` is held back. What waits so is
    /// bounded.
    pub(super) async fn hold(&self, address: IpAddr) {
        if let Ok(_place) = self.held.admit(address, MOST_HELD, Some(MOST_HELD_OF_ONE)) {
            tokio::time::sleep(self.delay).await;
        }
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many(wait: Wait) -> Refused {
    Refused {
        error: Error::TooManyAttempts {
            retry_after: wait.retry_after,
        },
        is_news: wait.is_first,
        is_guess: true,
    }
}
