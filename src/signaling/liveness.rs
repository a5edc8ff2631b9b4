//! When a connection is pinged, and when it counts as dead.

use std::time::Duration;

use tokio::time::Instant;

/// How long the answer to a ping may take that went out because a call came. The connection has no
/// other call then; one with calls has all of the idle time, for its end would end them.
const CALL_PATIENCE: Duration = Duration::from_secs(10);

/// A connection heard within this needs no ping when a call comes.
const FRESH: Duration = Duration::from_secs(2);

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Ping,
    Close,
}

/// The silence of one connection.
#[derive(Debug)]
pub(crate) struct Liveness {
    idle: Duration,
    heard: Instant,
    /// Until when the answer to our ping must be here.
    answer_by: Option<Instant>,
}

impl Liveness {
    /// A connection that was heard `now`, pinged after half of `idle` and dead after all of it.
    pub fn new(idle: Duration, now: Instant) -> Self {
        Liveness {
            idle,
            heard: now,
            answer_by: None,
        }
    }

    /// Something came from the client.
    pub fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.answer_by = None;
    }

    /// A call comes, or rings elsewhere and may come here: whether to ping now.
    pub fn call_comes(&mut self, has_calls: bool, now: Instant) -> bool {
        if has_calls || now < self.heard + FRESH {
            return false;
        }
        let pings = self.answer_by.is_none();
        let by = now + CALL_PATIENCE;
        self.answer_by = Some(self.answer_by.map_or(by, |earlier| earlier.min(by)));
        pings
    }

    /// When [`Liveness::handle_timeout`] has something to say.
    pub fn poll_timeout(&self) -> Instant {
        self.answer_by.unwrap_or(self.heard + self.idle / 2)
    }

    pub fn handle_timeout(&mut self, now: Instant) -> Option<Due> {
        if now < self.poll_timeout() {
            return None;
        }
        if self.answer_by.is_some() {
            return Some(Due::Close);
        }
        self.answer_by = Some(self.heard + self.idle);
        Some(Due::Ping)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "virtual time needs a start")]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn silent_connection_is_pinged_at_half_and_closed_after_all_of_idle() {
        let start = Instant::now();
        let mut liveness = Liveness::new(IDLE, start);
        assert_eq!(liveness.handle_timeout(after(start, 29)), None);
        assert_eq!(liveness.handle_timeout(after(start, 30)), Some(Due::Ping));
        assert_eq!(liveness.handle_timeout(after(start, 59)), None);
        assert_eq!(liveness.handle_timeout(after(start, 60)), Some(Due::Close));
    }

    #[tokio::test(start_paused = true)]
    async fn dead_connection_is_found_10_s_after_a_call() {
        let start = Instant::now();
        let mut liveness = Liveness::new(IDLE, start);
        assert!(liveness.call_comes(false, after(start, 5)));
        assert!(!liveness.call_comes(false, after(start, 9)), "pinged once");
        assert_eq!(liveness.poll_timeout(), after(start, 15));
        assert_eq!(liveness.handle_timeout(after(start, 15)), Some(Due::Close));
    }

    #[tokio::test(start_paused = true)]
    async fn call_after_the_idle_ping_shortens_the_time_for_the_answer() {
        let start = Instant::now();
        let mut liveness = Liveness::new(IDLE, start);
        assert_eq!(liveness.handle_timeout(after(start, 30)), Some(Due::Ping));
        assert!(!liveness.call_comes(false, after(start, 31)));
        assert_eq!(liveness.poll_timeout(), after(start, 41));
        // Never later than the idle time has it.
        let mut late = Liveness::new(IDLE, start);
        assert_eq!(late.handle_timeout(after(start, 30)), Some(Due::Ping));
        assert!(!late.call_comes(false, after(start, 55)));
        assert_eq!(late.poll_timeout(), after(start, 60));
    }

    #[tokio::test(start_paused = true)]
    async fn connection_that_answers_or_has_calls_stays() {
        let start = Instant::now();
        let mut liveness = Liveness::new(IDLE, start);
        assert!(liveness.call_comes(false, after(start, 5)));
        liveness.hear(after(start, 6));
        assert_eq!(liveness.handle_timeout(after(start, 15)), None);
        assert!(!liveness.call_comes(false, after(start, 7)), "just heard");
        assert!(!liveness.call_comes(true, after(start, 20)), "in a call");
        assert_eq!(liveness.poll_timeout(), after(start, 36));
    }
}
