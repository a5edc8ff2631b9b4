//! Whether the way to a registrar that does Outbound still holds (RFC 5626 section 4.4.2): what its
//! answers to STUN say, and what is done where it does not know STUN, though it should.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::stun::{Answer, Binding};

/// Where the far end sees us elsewhere this many times, and never twice at the same place, its
/// answers say nothing: registering anew each time would go on for ever.
const MOVES: u32 = 3;
/// A registrar that did not answer is asked again after this time.
const WITHOUT_STUN: Duration = Duration::from_secs(3_600);

/// A double CRLF: opens NATs as well, and says nothing (RFC 5626 section 4.4.1 has it for streams).
pub const LINE_ENDS: Bytes = Bytes::from_static(b"\r\n\r\n");

/// The checks of one way.
#[derive(Debug)]
pub struct FlowCheck {
    state: State,
    /// Where the far end saw us last; `None` while it has not answered since the way was formed.
    seen: Option<SocketAddr>,
    /// Answers in a row of which each saw us elsewhere.
    moves: u32,
    /// True when the log has heard that there is no STUN.
    told: bool,
}

#[derive(Debug)]
enum State {
    /// Until the next check.
    Resting,
    Asking(Binding),
    /// Failed: nothing is sent until it has been registered anew.
    Failed,
    /// Double CRLF in place of STUN.
    WithoutStun {
        until: Instant,
    },
}

/// Why a check did not go well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No answer to any of the requests.
    Silent,
    /// An error, or an answer without our address.
    Refused,
    /// We are seen elsewhere than before.
    Moved,
    /// The network says that nobody is there.
    Unreachable,
}

impl Trouble {
    /// In one word, for counters and the log.
    pub const fn word(self) -> &'static str {
        match self {
            Trouble::Silent => "silent",
            Trouble::Refused => "refused",
            Trouble::Moved => "moved",
            Trouble::Unreachable => "unreachable",
        }
    }
}

/// What has become of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It holds.
    Holds,
    /// It has failed: what was registered by it is to be registered anew.
    Failed(Trouble),
    /// The far end does not do STUN; `first` the first time that it is found.
    WithoutStun { why: Trouble, first: bool },
}

impl FlowCheck {
    /// Of a way that has just been registered.
    pub const fn new() -> Self {
        FlowCheck {
            state: State::Resting,
            seen: None,
            moves: 0,
            told: false,
        }
    }

    /// A registration was accepted by this way.
    pub fn handle_registered(&mut self) {
        if matches!(self.state, State::Failed) {
            self.state = State::Resting;
        }
    }

    /// Gives what keeps the way open, when that is due; `transaction` is random.
    pub fn begin(&mut self, transaction: [u8; 12], now: Instant) -> Option<Bytes> {
        match self.state {
            State::Failed => None,
            State::WithoutStun { until } if until > now => Some(LINE_ENDS),
            State::Resting | State::Asking(_) | State::WithoutStun { .. } => {
                let binding = Binding::new(transaction, now);
                let request = binding.request();
                self.state = State::Asking(binding);
                Some(request)
            }
        }
    }

    /// When [`FlowCheck::handle_timeout`] is wanted, while an answer is awaited.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Asking(binding) => Some(binding.poll_timeout()),
            State::Resting | State::Failed | State::WithoutStun { .. } => None,
        }
    }

    /// True when nothing is to be sent before a registration.
    pub const fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    /// Gives what is sent again, or what silence says.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Bytes, Finding> {
        let State::Asking(binding) = &mut self.state else {
            return Err(Finding::Holds);
        };
        match binding.handle_timeout(now) {
            Some(again) => Ok(again),
            None => Err(self.fail(Trouble::Silent, now)),
        }
    }

    /// True while the answer to this transaction is awaited.
    pub fn awaits(&self, transaction: [u8; 12]) -> bool {
        matches!(&self.state, State::Asking(binding) if binding.is(transaction))
    }

    /// Takes the answer that was awaited.
    pub fn handle_answer(&mut self, answer: Answer, now: Instant) -> Finding {
        let Answer::Seen(seen) = answer else {
            return self.fail(Trouble::Refused, now);
        };
        let before = self.seen.replace(seen);
        if before.is_some_and(|before| before != seen) {
            return self.fail(Trouble::Moved, now);
        }
        if before.is_some() {
            self.moves = 0;
            self.told = false;
        }
        self.state = State::Resting;
        Finding::Holds
    }

    /// Takes the news that the request reached nobody (RFC 8489 section 6.2.1).
    pub fn handle_unreachable(&mut self, now: Instant) -> Finding {
        self.fail(Trouble::Unreachable, now)
    }

    fn fail(&mut self, why: Trouble, now: Instant) -> Finding {
        let answered = self.seen.is_some();
        if why == Trouble::Moved {
            // It is registered from there: the next answer is compared with this one.
            self.moves += 1;
        } else {
            self.seen = None;
        }
        // Who has not answered once is not lost, but knows no STUN: registering anew would not
        // teach it.
        if answered && self.moves < MOVES {
            self.state = State::Failed;
            return Finding::Failed(why);
        }
        self.seen = None;
        self.moves = 0;
        self.state = State::WithoutStun {
            until: now + WITHOUT_STUN,
        };
        let first = !std::mem::replace(&mut self.told, true);
        Finding::WithoutStun { why, first }
    }
}
