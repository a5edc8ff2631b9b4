//! Attempts to sign in: counted, and refused slowly.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::Error;
use super::forwarded::Client;
use super::occupancy::Occupancy;
use super::sign_in::{Credentials, SignIn, SignedIn};
use super::throttle::{AttemptLimits, Subject, Throttle};

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
pub(super) struct Refused {
    pub(super) error: Error,
    /// Whether the log has had nothing of this kind from there yet.
    pub(super) is_news: bool,
    /// Whether the answer is to be held back: something was guessed.
    pub(super) is_guess: bool,
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
        match &credentials.token {
            Some(token) => {
                let tokens = sign_in.tokens.as_ref();
                let claimed = tokens.and_then(|tokens| tokens.claimed_user(token.reveal()));
                let subject = Subject::Token(claimed.as_deref().unwrap_or_default());
                self.try_as(subject, sign_in, credentials, client)
            }
            None if credentials.password.is_some() => {
                self.try_as(Subject::Password(user), sign_in, credentials, client)
            }
            None => {
                let guest = sign_in.identify(credentials, rand::random(), SystemTime::now());
                guest.map_err(|error| Refused {
                    error,
                    is_news: true,
                    is_guess: false,
                })
            }
        }
    }

    /// The same for a token in the session of `user`.
    pub(super) fn identify_again(
        &self,
        sign_in: &SignIn,
        credentials: &Credentials,
        user: &str,
        client: &Client,
    ) -> Result<SignedIn, Refused> {
        let found = self.try_as(Subject::Token(user), sign_in, credentials, client)?;
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

    fn try_as(
        &self,
        subject: Subject<'_>,
        sign_in: &SignIn,
        credentials: &Credentials,
        client: &Client,
    ) -> Result<SignedIn, Refused> {
        let address = client.address.ip();
        let attempt = self
            .throttle()
            .attempt(subject, address, client.is_proxy, Instant::now());
        let attempt = attempt.map_err(|wait| Refused {
            error: Error::TooManyAttempts {
                retry_after: wait.retry_after,
            },
            is_news: wait.is_first,
            is_guess: true,
        })?;
        let found = sign_in.identify(credentials, rand::random(), SystemTime::now());
        match found {
            Ok(signed_in) => {
                self.throttle().succeeded(attempt);
                Ok(signed_in)
            }
            Err(error) => {
                // Its signature was right.
                let is_guess = !matches!(error, Error::TokenExpired);
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
    pub(super) fn delay(&self) -> Duration {
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
