//! Keep-alives of registered trunks (RFC 5626 section 4.4.1): the way back from the registrar
//! stays open through NAT and firewalls. Streams do this by themselves, unless the registrar's
//! Flow-Timer wants it more often.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::agent::{UserAgent, Wake};
use super::flow::Flow;
use crate::sip::config::Transport;
use crate::sip::message::{Name, Request, Response, header};

/// One way that is kept open.
#[derive(Debug, Clone, Copy)]
pub struct KeepAlive {
    flow: Flow,
    every: Duration,
    next: Instant,
    /// When the registration lapses unless it is refreshed.
    until: Instant,
}

/// A way, by listener and peer.
pub type Way = (usize, SocketAddr);

impl UserAgent {
    /// Keeps the way to a registrar open that has just granted a registration.
    pub(super) fn keep_alive(
        &mut self,
        trunk: usize,
        flow: Flow,
        request: &Request,
        response: &Response,
        now: Instant,
    ) {
        let Some(trunk) = self.config.trunks.get(trunk) else {
            return;
        };
        let number = |value: Option<&str>| value.and_then(|value| value.trim().parse::<u32>().ok());
        let seconds = number(header(&request.headers, &Name::EXPIRES)).unwrap_or(0);
        let wanted = number(header(&response.headers, &Name::from("Flow-Timer")))
            .filter(|seconds| *seconds > 0)
            // Section 4.4.1: a little before, so that none comes late.
            .map(|seconds| Duration::from_secs(seconds.into()).mul_f32(0.9));
        let own = (flow.transport == Transport::Udp && !trunk.keep_alive.is_zero())
            .then_some(trunk.keep_alive);
        let every = match (own, wanted) {
            (Some(own), Some(wanted)) => own.min(wanted),
            (Some(every), None) | (None, Some(every)) => every,
            (None, None) => return,
        };
        let way = (flow.listener, flow.remote);
        if seconds == 0 {
            self.keep_alives.remove(&way);
            self.deadlines.set(&Wake::KeepAlive(way), None);
            return;
        }
        let every = every.max(Duration::from_secs(1));
        let next = self
            .keep_alives
            .get(&way)
            .map_or(now + every, |alive| alive.next);
        let alive = KeepAlive {
            flow,
            every,
            next: next.min(now + every),
            until: now + Duration::from_secs(seconds.into()),
        };
        self.keep_alives.insert(way, alive);
        self.deadlines.set(&Wake::KeepAlive(way), Some(alive.next));
    }

    pub(super) fn handle_keep_alive_timeout(&mut self, way: Way, now: Instant) {
        let Some(alive) = self.keep_alives.get_mut(&way) else {
            return;
        };
        if alive.until <= now {
            self.keep_alives.remove(&way);
            self.deadlines.set(&Wake::KeepAlive(way), None);
            return;
        }
        alive.next = now + alive.every;
        let (flow, next) = (alive.flow, alive.next);
        self.deadlines.set(&Wake::KeepAlive(way), Some(next));
        self.transmit(flow, Bytes::from_static(b"\r\n\r\n"), None);
    }
}
