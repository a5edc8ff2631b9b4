//! Whether the flow to a registrar that does Outbound still holds (RFC 5626 section 4.4.2): what
//! its answers to STUN say, and what is done where it does not know STUN, though it should.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::sip::stack::stun::{Answer, Binding};

/// When the far end names another reflexive address this many times in a row, its answers say
/// nothing: a registration for each of them would go on for ever.
const MOVES: u32 = 3;
/// A registrar that did not answer STUN is probed again after this time.
const WITHOUT_STUN: Duration = Duration::from_secs(3_600);

/// A double CRLF: opens NATs as well, and says nothing (RFC 5626 section 4.4.1 has it for streams).
pub const CRLF_KEEP_ALIVE: Bytes = Bytes::from_static(b"\r\n\r\n");

/// The probes of one flow.
#[derive(Debug)]
pub struct FlowProbe {
    state: State,
    /// Our reflexive address as the far end said last; `None` while it has not answered since the
    /// flow was formed.
    reflexive: Option<SocketAddr>,
    /// Answers in a row of which each named another address.
    moves: u32,
    /// True when it was reported that there is no STUN.
    reported: bool,
}

#[derive(Debug)]
enum State {
    /// Until the next probe.
    Idle,
    Probing(Binding),
    /// Failed: nothing is sent until a registration by this flow was accepted again.
    Failed,
    /// Double CRLF in place of STUN.
    WithoutStun {
        until: Instant,
    },
}

/// Why a probe failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowFailure {
    /// No answer to any of the requests.
    Silent,
    /// An error, or an answer without our address.
    Refused,
    /// Another reflexive address than before.
    Moved,
    /// The network reports the port or host as unreachable.
    Unreachable,
}

impl FlowFailure {
    /// In one word, for counters and the log.
    pub const fn word(self) -> &'static str {
        match self {
            FlowFailure::Silent => "silent",
            FlowFailure::Refused => "refused",
            FlowFailure::Moved => "moved",
            FlowFailure::Unreachable => "unreachable",
        }
    }
}

/// What a probe says of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// It holds.
    Holds,
    /// It has failed: what was registered by it must be registered again.
    Failed(FlowFailure),
    /// The far end does not do STUN; `first` the first time that it is found.
    WithoutStun { why: FlowFailure, first: bool },
}

impl FlowProbe {
    /// Of a flow by which a registration was just accepted.
    pub const fn new() -> Self {
        FlowProbe {
            state: State::Idle,
            reflexive: None,
            moves: 0,
            reported: false,
        }
    }

    /// A registration was accepted by this flow.
    pub fn handle_registered(&mut self) {
        if matches!(self.state, State::Failed) {
            self.state = State::Idle;
        }
    }

    /// Gives what keeps the flow open, when that is due; `transaction` is random.
    pub fn begin(&mut self, transaction: [u8; 12], now: Instant) -> Option<Bytes> {
        match self.state {
            State::Failed => None,
            State::WithoutStun { until } if until > now => Some(CRLF_KEEP_ALIVE),
            State::Idle | State::Probing(_) | State::WithoutStun { .. } => {
                let binding = Binding::new(transaction, now);
                let request = binding.request();
                self.state = State::Probing(binding);
                Some(request)
            }
        }
    }

    /// When [`FlowProbe::handle_timeout`] is wanted, while an answer is awaited.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Probing(binding) => Some(binding.poll_timeout()),
            State::Idle | State::Failed | State::WithoutStun { .. } => None,
        }
    }

    /// True when nothing is to be sent before a registration.
    pub const fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    /// Gives what is sent again, or what silence says.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Bytes, ProbeResult> {
        let State::Probing(binding) = &mut self.state else {
            return Err(ProbeResult::Holds);
        };
        match binding.handle_timeout(now) {
            Some(again) => Ok(again),
            None => Err(self.fail(FlowFailure::Silent, now)),
        }
    }

    /// True while the answer to this transaction is awaited.
    pub fn awaits(&self, transaction: [u8; 12]) -> bool {
        matches!(&self.state, State::Probing(binding) if binding.is(transaction))
    }

    /// Takes the answer that was awaited.
    pub fn handle_answer(&mut self, answer: Answer, now: Instant) -> ProbeResult {
        let Answer::Seen(reflexive) = answer else {
            return self.fail(FlowFailure::Refused, now);
        };
        let before = self.reflexive.replace(reflexive);
        if before.is_some_and(|before| before != reflexive) {
            return self.fail(FlowFailure::Moved, now);
        }
        if before.is_some() {
            self.moves = 0;
            self.reported = false;
        }
        self.state = State::Idle;
        ProbeResult::Holds
    }

    /// Takes the news that the request reached nobody (RFC 8489 section 6.2.1).
    pub fn handle_unreachable(&mut self, now: Instant) -> ProbeResult {
        self.fail(FlowFailure::Unreachable, now)
    }

    fn fail(&mut self, why: FlowFailure, now: Instant) -> ProbeResult {
        let answered = self.reflexive.is_some();
        if why == FlowFailure::Moved {
            // The next registration is from there: the next answer is compared with this one.
            self.moves += 1;
        } else {
            self.reflexive = None;
        }
        // A far end that has never answered is not lost but does no STUN: another registration
        // would not change that.
        if answered && self.moves < MOVES {
            self.state = State::Failed;
            return ProbeResult::Failed(why);
        }
        self.reflexive = None;
        self.moves = 0;
        self.state = State::WithoutStun {
            until: now + WITHOUT_STUN,
        };
        let first = !std::mem::replace(&mut self.reported, true);
        ProbeResult::WithoutStun { why, first }
    }
}
