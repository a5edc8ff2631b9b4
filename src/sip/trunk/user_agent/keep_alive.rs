//! One flow that is kept open, and how often something is sent by it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use crate::sip::stack::flow::Flow;
use crate::sip::stack::flow_check::FlowCheck;

/// Between STUN keep-alives: most NATs forget a way after 30 s, some not much sooner (section
/// 4.4.2).
pub(super) const BY_STUN: Pace = Pace {
    shortest: Duration::from_secs(24),
    longest: Duration::from_secs(29),
};

/// No keep-alives come faster, whatever a registrar wants.
const FASTEST: Duration = Duration::from_secs(1);

/// One way that is kept open.
#[derive(Debug)]
pub struct KeepAlive {
    pub(super) flow: Flow,
    pub(super) pace: Pace,
    pub(super) next: Instant,
    /// When the registration lapses unless it is refreshed.
    pub(super) until: Instant,
    /// By STUN; `None` by double CRLF.
    pub(super) check: Option<FlowCheck>,
}

/// A way, by listener and peer.
pub type Way = (usize, SocketAddr);

/// Time from one keep-alive to the next, drawn anew for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) shortest: Duration,
    pub(super) longest: Duration,
}

impl Pace {
    /// Of STUN, where the registrar's Flow-Timer and the configuration say this much.
    pub(super) fn by_stun(flow_timer: Option<Duration>, own: Duration) -> Self {
        // What is configured is meant for double CRLF, and only hurries STUN on.
        let own = Some(own).filter(|own| *own < BY_STUN.shortest);
        let shorter = flow_timer.filter(|wanted| *wanted < BY_STUN.longest);
        match shorter.into_iter().chain(own).min() {
            // Section 4.4: 80 to 100 % of the Flow-Timer.
            Some(longest) => Pace {
                shortest: longest.mul_f32(0.8).max(FASTEST),
                longest: longest.max(FASTEST),
            },
            None => BY_STUN,
        }
    }

    /// Of double CRLF: always the same.
    pub(super) fn by_line_ends(
        flow_timer: Option<Duration>,
        own: Option<Duration>,
    ) -> Option<Self> {
        // Section 4.4.1: a little before, so that none comes late.
        let wanted = flow_timer.map(|wanted| wanted.mul_f32(0.9));
        let every = own.into_iter().chain(wanted).min()?.max(FASTEST);
        Some(Pace {
            shortest: every,
            longest: every,
        })
    }

    pub(super) fn draw(self, random: &mut StdRng) -> Duration {
        if self.shortest == self.longest {
            return self.longest;
        }
        self.shortest + (self.longest - self.shortest).mul_f64(random.random::<f64>())
    }
}

impl KeepAlive {
    pub(super) fn poll_timeout(&self) -> Instant {
        match &self.check {
            Some(check) if check.has_failed() => self.until,
            Some(check) => check.poll_timeout().unwrap_or(self.next),
            None => self.next,
        }
    }
}
