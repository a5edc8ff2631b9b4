//! Notices when a side that should send audio does not.

use std::time::{Duration, Instant};

/// How long a side that should send may be without audio until the call is told. Shorter than a
/// person waits before asking "can you hear me?", longer than what DTX leaves out (400 ms for Opus).
const NOTICE_AFTER: Duration = Duration::from_secs(3);

/// Whether audio is expected, and since when there is none.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is expected: no formats yet, or the side is on hold.
    Idle,
    /// Audio is expected; the last came, or the expectation began, then.
    Waiting { since: Instant },
    /// The call has been told.
    Noticed { since: Instant },
    /// The operator has been told too.
    Reported,
}

/// What the watch found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// No audio for `NOTICE_AFTER`: the call is told.
    Noticed,
    /// No audio for the configured time: log and metric.
    Reported,
    /// Audio came, or is no longer expected, after `Noticed`.
    Over,
}

/// The watch over one side.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Until `Silence::Reported`; zero: never.
    timeout: Duration,
    state: State,
}

impl Watch {
    /// A watch that reports after `timeout`; zero: never. It notices all the same.
    pub const fn new(timeout: Duration) -> Self {
        Watch {
            timeout,
            state: State::Idle,
        }
    }

    /// Takes whether the negotiated direction has the side send.
    pub fn expect(&mut self, expected: bool, now: Instant) -> Option<Silence> {
        let over = match (expected, self.state) {
            (false, state) => {
                self.state = State::Idle;
                matches!(state, State::Noticed { .. } | State::Reported)
            }
            (true, State::Idle) => {
                self.state = State::Waiting { since: now };
                false
            }
            (true, _) => false,
        };
        over.then_some(Silence::Over)
    }

    /// Audio came.
    pub fn heard(&mut self, now: Instant) -> Option<Silence> {
        let before = self.state;
        if !matches!(before, State::Idle) {
            self.state = State::Waiting { since: now };
        }
        matches!(before, State::Noticed { .. } | State::Reported).then_some(Silence::Over)
    }

    /// When silence is to be noticed or reported.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { since } => Some(since + NOTICE_AFTER),
            State::Noticed { since } if !self.timeout.is_zero() => {
                Some(since + self.timeout.max(NOTICE_AFTER))
            }
            State::Idle | State::Noticed { .. } | State::Reported => None,
        }
    }

    /// What silence has come to by now.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Silence> {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return None;
        }
        match self.state {
            State::Waiting { since } => {
                self.state = State::Noticed { since };
                Some(Silence::Noticed)
            }
            State::Noticed { .. } => {
                self.state = State::Reported;
                Some(Silence::Reported)
            }
            State::Idle | State::Reported => None,
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_is_noticed_then_reported_once_and_over_with_audio() {
        let now = Instant::now();
        let mut watch = Watch::new(TIMEOUT);
        assert_eq!(watch.poll_timeout(), None);
        assert_eq!(watch.expect(true, now), None);
        assert_eq!(watch.heard(now + SECOND), None);
        let heard = now + SECOND;
        assert_eq!(watch.handle_timeout(heard + 2 * SECOND), None);
        assert_eq!(
            watch.handle_timeout(heard + 3 * SECOND),
            Some(Silence::Noticed)
        );
        assert_eq!(watch.handle_timeout(heard + 9 * SECOND), None);
        assert_eq!(
            watch.handle_timeout(heard + TIMEOUT),
            Some(Silence::Reported)
        );
        assert_eq!(watch.handle_timeout(heard + TIMEOUT * 9), None);
        assert_eq!(watch.heard(now + TIMEOUT * 9), Some(Silence::Over));
        assert_eq!(watch.heard(now + TIMEOUT * 9), None);
        assert_eq!(watch.poll_timeout(), Some(now + TIMEOUT * 9 + NOTICE_AFTER));
    }

    #[test]
    fn hold_stops_the_watch_and_resuming_starts_it_afresh() {
        let now = Instant::now();
        let mut watch = Watch::new(TIMEOUT);
        watch.expect(true, now);
        assert_eq!(watch.expect(false, now + SECOND), None);
        assert_eq!(watch.heard(now + SECOND), None);
        assert_eq!(watch.poll_timeout(), None);
        watch.expect(true, now + TIMEOUT * 5);
        watch.expect(true, now + TIMEOUT * 5 + SECOND);
        assert_eq!(watch.poll_timeout(), Some(now + TIMEOUT * 5 + NOTICE_AFTER));
    }

    #[test]
    fn hold_after_noticed_silence_says_that_it_is_over() {
        let now = Instant::now();
        let mut watch = Watch::new(TIMEOUT);
        watch.expect(true, now);
        assert_eq!(
            watch.handle_timeout(now + NOTICE_AFTER),
            Some(Silence::Noticed)
        );
        assert_eq!(watch.expect(false, now + NOTICE_AFTER), Some(Silence::Over));
        assert_eq!(watch.poll_timeout(), None);
    }

    #[test]
    fn a_timeout_of_zero_never_reports_but_notices() {
        let now = Instant::now();
        let mut watch = Watch::new(Duration::ZERO);
        watch.expect(true, now);
        assert_eq!(
            watch.handle_timeout(now + NOTICE_AFTER),
            Some(Silence::Noticed)
        );
        assert_eq!(watch.poll_timeout(), None);
    }
}
