//! Until when a session lasts that a token opened (pure: told the time of day, which is what the
//! `exp` of a token means).

use std::time::{Duration, SystemTime};

/// How long before the end the client is told.
const NOTICE: Duration = Duration::from_secs(60);

/// Longest wait without a look at the time of day, which may be set in the meantime.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The lifetime of one session.
#[derive(Debug)]
pub(super) struct SessionLifetime {
    /// None: the session has no end of its own.
    expires: Option<SystemTime>,
    is_announced: bool,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The client is to be told that the session ends in so many seconds.
    Announcement {
        /// Rounded up.
        seconds: u64,
    },
    /// The session is over.
    End,
}

impl SessionLifetime {
    pub(super) fn new(expires: Option<SystemTime>) -> Self {
        SessionLifetime {
            expires,
            is_announced: false,
        }
    }

    /// Whether the session ends by itself.
    pub(super) fn is_bounded(&self) -> bool {
        self.expires.is_some()
    }

    /// Seconds that are left, rounded up.
    pub(super) fn seconds_left(&self, now: SystemTime) -> Option<u64> {
        self.left(now).map(seconds)
    }

    /// A new token for the same user. The session never becomes shorter: the earlier token still
    /// stands for what it stood for.
    pub(super) fn renew(&mut self, expires: SystemTime) {
        if self.expires.is_some_and(|known| known < expires) {
            *self = SessionLifetime::new(Some(expires));
        }
    }

    /// How long [`SessionLifetime::poll`] has nothing to tell, as far as can be said.
    pub(super) fn wait(&self, now: SystemTime) -> Option<Duration> {
        let left = self.left(now)?;
        let wait = if self.is_announced {
            left
        } else {
            left.saturating_sub(NOTICE)
        };
        Some(wait.min(LONGEST_WAIT))
    }

    /// What is due at this time.
    pub(super) fn poll(&mut self, now: SystemTime) -> Option<Due> {
        let left = self.left(now)?;
        if left.is_zero() {
            return Some(Due::End);
        }
        if self.is_announced || left > NOTICE {
            return None;
        }
        self.is_announced = true;
        Some(Due::Announcement {
            seconds: seconds(left),
        })
    }

    fn left(&self, now: SystemTime) -> Option<Duration> {
        let expires = self.expires?;
        Some(expires.duration_since(now).unwrap_or_default())
    }
}

fn seconds(left: Duration) -> u64 {
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)
    }

    const fn announcement(seconds: u64) -> Option<Due> {
        Some(Due::Announcement { seconds })
    }

    #[test]
    fn session_is_announced_once_and_ends_when_its_token_does() {
        let mut lifetime = SessionLifetime::new(Some(at(1_000.0)));
        assert_eq!(lifetime.poll(at(0.0)), None);
        assert_eq!(lifetime.wait(at(0.0)), Some(LONGEST_WAIT));
        assert_eq!(lifetime.wait(at(930.0)), Some(Duration::from_secs(10)));
        assert_eq!(lifetime.poll(at(939.9)), None);
        assert_eq!(lifetime.poll(at(940.5)), announcement(60));
        assert_eq!(lifetime.poll(at(941.0)), None);
        assert_eq!(lifetime.wait(at(970.0)), Some(Duration::from_secs(30)));
        assert_eq!(lifetime.poll(at(999.9)), None);
        assert_eq!(lifetime.poll(at(1_000.0)), Some(Due::End));
        assert_eq!(lifetime.wait(at(1_001.0)), Some(Duration::ZERO));
        assert_eq!(lifetime.poll(at(1_001.0)), Some(Due::End));
    }

    #[test]
    fn short_token_is_announced_at_once() {
        let mut lifetime = SessionLifetime::new(Some(at(10.0)));
        assert_eq!(lifetime.wait(at(7.5)), Some(Duration::ZERO));
        assert_eq!(lifetime.poll(at(7.5)), announcement(3));
        assert_eq!(lifetime.poll(at(10.0)), Some(Due::End));
    }

    #[test]
    fn renewed_session_is_announced_anew_and_never_shorter() {
        let mut lifetime = SessionLifetime::new(Some(at(100.0)));
        assert_eq!(lifetime.poll(at(50.0)), announcement(50));
        lifetime.renew(at(60.0));
        assert_eq!(lifetime.seconds_left(at(50.0)), Some(50));
        assert_eq!(lifetime.poll(at(50.0)), None, "told already");
        lifetime.renew(at(200.0));
        assert_eq!(lifetime.seconds_left(at(50.0)), Some(150));
        assert_eq!(lifetime.poll(at(100.0)), None);
        assert_eq!(lifetime.poll(at(140.0)), announcement(60));
        lifetime.renew(at(201.0));
        assert_eq!(lifetime.poll(at(141.0)), announcement(60));
        assert_eq!(lifetime.poll(at(201.0)), Some(Due::End));
    }

    #[test]
    fn session_without_a_token_has_no_end() {
        let mut lifetime = SessionLifetime::new(None);
        lifetime.renew(at(5.0));
        assert!(!lifetime.is_bounded());
        assert_eq!(lifetime.wait(at(1e9)), None);
        assert_eq!(lifetime.poll(at(1e9)), None);
    }

    #[test]
    fn time_of_day_that_is_set_moves_the_end() {
        let mut lifetime = SessionLifetime::new(Some(at(1_000.0)));
        assert_eq!(lifetime.poll(at(500.0)), None);
        // Set forward by an hour, and back again.
        assert_eq!(lifetime.poll(at(4_100.0)), Some(Due::End));
        assert_eq!(lifetime.poll(at(501.0)), None);
    }
}
