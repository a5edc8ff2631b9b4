//! Notices when a side that should send audio does not.

use std::time::{Duration, Instant};

/// Whether audio is expected, and since when there is none.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is expected: no formats yet, or the side is on hold.
    Idle,
    /// Audio is expected; the last came, or the expectation began, then.
    Waiting { since: Instant },
    /// Silence has been reported.
    Reported,
}

/// The watch over one side.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    timeout: Duration,
    state: State,
}

impl Watch {
    /// A watch that reports after `timeout`; zero: never.
    pub const fn new(timeout: Duration) -> Self {
        Watch {
            timeout,
            state: State::Idle,
        }
    }

    /// Takes whether the negotiated direction has the side send.
    pub fn expect(&mut self, expected: bool, now: Instant) {
        match (expected && !self.timeout.is_zero(), self.state) {
            (false, _) => self.state = State::Idle,
            (true, State::Idle) => self.state = State::Waiting { since: now },
            (true, State::Waiting { .. } | State::Reported) => {}
        }
    }

    /// Audio came.
    pub fn heard(&mut self, now: Instant) {
        if !matches!(self.state, State::Idle) {
            self.state = State::Waiting { since: now };
        }
    }

    /// When silence is to be reported.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { since } => Some(since + self.timeout),
            State::Idle | State::Reported => None,
        }
    }

    /// Whether silence is to be reported now.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let due = self.poll_timeout().is_some_and(|at| at <= now);
        if due {
            self.state = State::Reported;
        }
        due
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
    fn silence_is_told_once_and_again_after_audio() {
        let now = Instant::now();
        let mut watch = Watch::new(TIMEOUT);
        assert_eq!(watch.poll_timeout(), None);
        watch.expect(true, now);
        watch.heard(now + SECOND);
        assert!(!watch.handle_timeout(now + TIMEOUT));
        assert!(watch.handle_timeout(now + TIMEOUT + SECOND));
        assert!(!watch.handle_timeout(now + TIMEOUT * 9));
        watch.heard(now + TIMEOUT * 9);
        assert_eq!(watch.poll_timeout(), Some(now + TIMEOUT * 10));
    }

    #[test]
    fn hold_stops_the_watch_and_resuming_starts_it_afresh() {
        let now = Instant::now();
        let mut watch = Watch::new(TIMEOUT);
        watch.expect(true, now);
        watch.expect(false, now + SECOND);
        watch.heard(now + SECOND);
        assert_eq!(watch.poll_timeout(), None);
        watch.expect(true, now + TIMEOUT * 5);
        watch.expect(true, now + TIMEOUT * 5 + SECOND);
        assert_eq!(watch.poll_timeout(), Some(now + TIMEOUT * 6));
    }

    #[test]
    fn a_timeout_of_zero_never_reports() {
        let now = Instant::now();
        let mut watch = Watch::new(Duration::ZERO);
        watch.expect(true, now);
        assert_eq!(watch.poll_timeout(), None);
    }
}
