//! Keep-alives of registered trunks (RFC 5626 section 4.4): the way back from the registrar stays
//! open through NAT and firewalls. By UDP they are STUN where the registrar does Outbound, and a
//! double CRLF elsewhere. Streams keep themselves open, unless the registrar's Flow-Timer wants it
//! more often.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::Rng;

use super::agent::UserAgent;
use super::keep_alive::{BY_STUN, KeepAlive, Pace, Way};
use super::registrations::RegistrationId;
use super::timer_key::Wake;
use super::user_agent_event::UserAgentEvent;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::flow_check::{Finding, FlowCheck, LINE_ENDS, Trouble};
use crate::sip::stack::message::{Name, Request, Response, header};
use crate::sip::stack::stun::{Answer, Kind};
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::trunk::event::RegistrationState;
use crate::sip::trunk::registration::Registering;

impl UserAgent {
    /// Keeps the way to a registrar open that has just granted a registration.
    pub(super) fn keep_alive(
        &mut self,
        id: RegistrationId,
        flow: Flow,
        request: &Request,
        response: &Response,
        now: Instant,
    ) {
        let Some(entry) = self.registrations.get_mut(id) else {
            return;
        };
        let way = (flow.listener, flow.remote);
        let number = |value: Option<&str>| value.and_then(|value| value.trim().parse::<u32>().ok());
        let seconds = number(header(&request.headers, &Name::EXPIRES)).unwrap_or(0);
        entry.way = (seconds > 0).then_some(way);
        let outbound = entry.outbound_flow.is_some();
        let Some(trunk) = self.config.trunks.get(entry.trunk) else {
            return;
        };
        let own = (!flow.transport.is_reliable() && !trunk.keep_alive.is_zero())
            .then_some(trunk.keep_alive);
        if seconds == 0 {
            if !self.is_registered_by(way) {
                self.stop_keep_alive(way);
            }
            return;
        }
        let flow_timer = number(header(&response.headers, &Name::from("Flow-Timer")))
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Duration::from_secs(seconds.into()));
        if own.is_none() && flow_timer.is_none() {
            return;
        }
        let before = self.keep_alives.remove(&way);
        let checked = before.as_ref().is_some_and(|alive| alive.check.is_some());
        // Lines without Outbound share the way of those with it.
        let by_stun = !flow.transport.is_reliable()
            && (outbound || checked && self.is_outbound_way(flow.remote));
        let pace = if by_stun {
            Some(Pace::by_stun(flow_timer, own.unwrap_or(BY_STUN.longest)))
        } else {
            Pace::by_line_ends(flow_timer, own)
        };
        let Some(pace) = pace else {
            return;
        };
        let drawn = now + pace.draw(&mut self.random);
        let mut alive = KeepAlive {
            flow,
            pace,
            next: drawn,
            until: now + Duration::from_secs(seconds.into()),
            check: by_stun.then(FlowCheck::new),
        };
        if let Some(before) = before {
            let failed = before.check.as_ref().is_some_and(FlowCheck::has_failed);
            if !failed {
                alive.next = before.next.min(drawn);
            }
            if let Some(mut check) = before.check.filter(|_| by_stun) {
                check.handle_registered();
                alive.check = Some(check);
            }
        }
        let next = alive.poll_timeout();
        self.keep_alives.insert(way, alive);
        self.deadlines.set(&Wake::KeepAlive(way), Some(next));
    }

    pub(super) fn handle_keep_alive_timeout(&mut self, way: Way, now: Instant) {
        let Some(alive) = self.keep_alives.get_mut(&way) else {
            return;
        };
        if alive.until <= now {
            return self.stop_keep_alive(way);
        }
        let asking = alive.check.as_mut().filter(|c| c.poll_timeout().is_some());
        let bytes = if let Some(check) = asking {
            match check.handle_timeout(now) {
                Ok(again) => Some(again),
                Err(finding) => return self.take_finding(way, finding, now),
            }
        } else {
            alive.next = now + alive.pace.draw(&mut self.random);
            match &mut alive.check {
                Some(check) => {
                    let mut transaction = [0; 12];
                    self.random.fill_bytes(&mut transaction);
                    check.begin(transaction, now)
                }
                None => Some(LINE_ENDS),
            }
        };
        let (flow, next) = (alive.flow, alive.poll_timeout());
        self.deadlines.set(&Wake::KeepAlive(way), Some(next));
        if let Some(bytes) = bytes {
            self.transmit(flow, bytes, None);
        }
    }

    /// Takes a datagram of STUN. Only answers to keep-alives of ours are wanted: who asks us gets
    /// no answer, since we are no registrar and no edge (section 8), and reflect nothing.
    pub(super) fn handle_stun(&mut self, datagram: &[u8], flow: Flow, now: Instant) {
        let source = flow.remote;
        let transaction = match Kind::read(datagram) {
            Some(Kind::Response(transaction)) => transaction,
            Some(Kind::Other) => return self.reject("stun_request", source),
            None => return self.reject("unreadable", source),
        };
        let way = (flow.listener, source);
        let Some(check) = self.awaiting(way, transaction) else {
            return self.reject("stun_unmatched", source);
        };
        let Some(answer) = Answer::read(datagram) else {
            return self.reject("stun_malformed", source);
        };
        let finding = check.handle_answer(answer, now);
        if let (Finding::Failed(Trouble::Moved), Answer::Seen(seen)) = (finding, answer) {
            // The Contact of the REGISTER to come.
            self.learn_seen(flow, seen.ip(), Some(seen.port()));
        }
        self.take_finding(way, finding, now);
    }

    /// Takes the news that a STUN keep-alive reached nobody; true where it is one that waits.
    pub(super) fn take_unreachable_check(
        &mut self,
        way: Way,
        transaction: [u8; 12],
        now: Instant,
    ) -> bool {
        let Some(check) = self.awaiting(way, transaction) else {
            return false;
        };
        let finding = check.handle_unreachable(now);
        self.take_finding(way, finding, now);
        true
    }

    fn awaiting(&mut self, way: Way, transaction: [u8; 12]) -> Option<&mut FlowCheck> {
        let check = self.keep_alives.get_mut(&way)?.check.as_mut()?;
        check.awaits(transaction).then_some(check)
    }

    fn take_finding(&mut self, way: Way, finding: Finding, now: Instant) {
        let remote = way.1;
        match finding {
            Finding::Holds => {}
            Finding::Failed(why) => {
                let why = why.word();
                self.emit(UserAgentEvent::FlowFailed { remote, why });
            }
            Finding::WithoutStun { why, first } => {
                let why = why.word();
                self.emit(UserAgentEvent::WithoutStun { remote, why, first });
            }
        }
        if let Some(alive) = self.keep_alives.get_mut(&way) {
            if matches!(finding, Finding::WithoutStun { .. }) {
                // The NAT has seen nothing for a while.
                alive.next = now;
            }
            let next = alive.poll_timeout();
            self.deadlines.set(&Wake::KeepAlive(way), Some(next));
        }
        if matches!(finding, Finding::Failed(_)) {
            self.register_anew(remote, now);
        }
    }

    /// Replaces what was registered by a way that has failed (section 4.5).
    fn register_anew(&mut self, remote: SocketAddr, now: Instant) {
        let by_it: Vec<RegistrationId> = self
            .registrations
            .iter()
            .filter(|(_, entry)| entry.outbound_flow == Some((Transport::Udp, remote)))
            .map(|(id, _)| id)
            .collect();
        for id in by_it {
            if let Some(entry) = self.registrations.get_mut(id) {
                entry.outbound_flow = None;
            }
            self.change_registration(id, now, Registering::renew);
        }
    }

    fn is_outbound_way(&self, remote: SocketAddr) -> bool {
        self.registrations
            .iter()
            .any(|(_, entry)| entry.is_outbound(Transport::Udp, remote))
    }

    fn is_registered_by(&self, way: Way) -> bool {
        self.registrations.iter().any(|(_, entry)| {
            entry.way == Some(way) && entry.machine.state() == RegistrationState::Registered
        })
    }

    fn stop_keep_alive(&mut self, way: Way) {
        self.keep_alives.remove(&way);
        self.deadlines.set(&Wake::KeepAlive(way), None);
    }
}
