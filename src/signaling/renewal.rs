//! The token of a running session: its announcements, its end, and new tokens.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Error;
use super::session_lifetime::{Due, SessionLifetime};

/// What a session has to do about its token.
#[derive(Debug)]
pub(super) enum Step {
    /// Tell the client that so many seconds are left.
    Announce {
        /// How many.
        seconds: u64,
    },
    /// End.
    End,
    /// Answer the last `renew`.
    Refuse(Error),
}

/// The token of one session.
#[derive(Debug)]
pub(super) struct Renewal {
    lifetime: SessionLifetime,
    /// The refusal of a new token that is held back, and until when.
    held: Option<(Instant, Error)>,
}

impl Renewal {
    /// Of a session whose token ends at `expires`; without one nothing ever comes.
    pub(super) fn new(expires: Option<SystemTime>) -> Self {
        Renewal {
            lifetime: SessionLifetime::new(expires),
            held: None,
        }
    }

    /// Whether a token opened this session.
    pub(super) fn is_by_token(&self) -> bool {
        self.lifetime.is_bounded()
    }

    /// Whether the answer to a `renew` is held back. Meanwhile no other one is looked at.
    pub(super) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Holds the refusal of a new token back. The session goes on meanwhile.
    pub(super) fn hold(&mut self, error: Error, delay: Duration) {
        self.held = Some((Instant::now() + delay, error));
    }

    /// Takes a new token; gives the seconds that the session lasts now.
    pub(super) fn renew(&mut self, expires: SystemTime) -> u64 {
        self.lifetime.renew(expires);
        let left = self.lifetime.seconds_left(SystemTime::now());
        left.unwrap_or_default()
    }

    /// Waits for the next step. Cancel safe.
    pub(super) async fn next(&mut self) -> Step {
        loop {
            let now = SystemTime::now();
            match self.lifetime.poll(now) {
                Some(Due::End) => return Step::End,
                Some(Due::Announcement { seconds }) => return Step::Announce { seconds },
                None => {}
            }
            let wait = self.lifetime.wait(now);
            let due = wait.map(|wait| Instant::now() + wait);
            let answer = self.held.as_ref().map(|(at, _)| *at);
            let Some(until) = [due, answer].into_iter().flatten().min() else {
                return std::future::pending().await;
            };
            tokio::time::sleep_until(until).await;
            if answer == Some(until)
                && let Some((_, error)) = self.held.take()
            {
                return Step::Refuse(error);
            }
        }
    }
}
