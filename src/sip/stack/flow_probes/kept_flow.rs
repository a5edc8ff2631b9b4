//! One flow that is kept open, and how often something is sent by it.

use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use super::flow_probe::FlowProbe;
use crate::sip::stack::flow::Flow;

/// Between STUN keep-alives: most NATs drop a binding after 30 s, some not much sooner (RFC 5626
/// section 4.4.2).
pub const BY_STUN: Pace = Pace {
    shortest: Duration::from_secs(24),
    longest: Duration::from_secs(29),
};

/// No keep-alives come faster, whatever a registrar wants.
const FASTEST: Duration = Duration::from_secs(1);

/// One flow that is kept open.
#[derive(Debug)]
pub struct KeptFlow {
    pub flow: Flow,
    pub pace: Pace,
    pub next: Instant,
    /// When the registration expires unless it is refreshed.
    pub until: Instant,
    /// By STUN; `None` by double CRLF.
    pub probe: Option<FlowProbe>,
}

impl KeptFlow {
    /// When something is due.
    pub fn poll_timeout(&self) -> Instant {
        match &self.probe {
            Some(probe) if probe.has_failed() => self.until,
            Some(probe) => probe.poll_timeout().unwrap_or(self.next),
            None => self.next,
        }
    }
}

/// Time from one keep-alive to the next, drawn for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub shortest: Duration,
    pub longest: Duration,
}

impl Pace {
    /// Of STUN, for the registrar's Flow-Timer and the configured interval.
    pub fn by_stun(flow_timer: Option<Duration>, interval: Duration) -> Self {
        // What is configured is meant for double CRLF, and only makes STUN more frequent.
        let interval = Some(interval).filter(|interval| *interval < BY_STUN.shortest);
        let shorter = flow_timer.filter(|wanted| *wanted < BY_STUN.longest);
        match shorter.into_iter().chain(interval).min() {
            // Section 4.4: 80 to 100 % of the Flow-Timer.
            Some(longest) => Pace {
                shortest: longest.mul_f32(0.8).max(FASTEST),
                longest: longest.max(FASTEST),
            },
            None => BY_STUN,
        }
    }

    /// Of double CRLF: always the same; `None` where nothing wants any.
    pub fn by_crlf(flow_timer: Option<Duration>, interval: Option<Duration>) -> Option<Self> {
        // Section 4.4.1: a little before, so that none comes late.
        let wanted = flow_timer.map(|wanted| wanted.mul_f32(0.9));
        let every = interval.into_iter().chain(wanted).min()?.max(FASTEST);
        Some(Pace {
            shortest: every,
            longest: every,
        })
    }

    /// The time to the next keep-alive.
    pub fn draw(self, random: &mut StdRng) -> Duration {
        if self.shortest == self.longest {
            return self.longest;
        }
        self.shortest + (self.longest - self.shortest).mul_f64(random.random::<f64>())
    }
}
