//! Keep-alives of registered trunks (RFC 5626 section 4.4): the flow from the registrar stays open
//! through NAT and firewalls; what was registered by one that fails is registered again.

use std::time::{Duration, Instant};

use super::agent::UserAgent;
use super::timer_key::Wake;
use super::user_agent_event::UserAgentEvent;
use crate::sip::stack::flow::{Flow, FlowKey};
use crate::sip::stack::flow_probes::{FlowAction, KeepAliveTerms};
use crate::sip::stack::message::{Name, Response, header};
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::trunk::registrations::RegistrationId;

impl UserAgent {
    /// Keeps the flow to a registrar open that has just granted a registration for so many seconds.
    pub(super) fn keep_alive(
        &mut self,
        id: RegistrationId,
        flow: Flow,
        seconds: u32,
        response: &Response,
        now: Instant,
    ) {
        let Some(entry) = self.registrations.get(id) else {
            return;
        };
        let key = flow.key();
        let number = |value: Option<&str>| value.and_then(|value| value.trim().parse::<u32>().ok());
        let outbound = entry.granted.outbound_flow.is_some();
        let Some(trunk) = self.config.trunks.get(entry.trunk) else {
            return;
        };
        let interval = (!flow.transport.is_reliable() && !trunk.keep_alive.is_zero())
            .then_some(trunk.keep_alive);
        if seconds == 0 {
            if !self.registrations.is_registered_by(key) {
                self.flow_probes.stop(key);
                self.run_flow_probes(now);
            }
            return;
        }
        let flow_timer = number(header(&response.headers, &Name::from("Flow-Timer")))
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Duration::from_secs(seconds.into()));
        // Registrations without Outbound share the flow of those with it.
        let by_stun = !flow.transport.is_reliable()
            && (outbound
                || self.flow_probes.is_probed(key)
                    && self
                        .registrations
                        .is_outbound_flow(Transport::Udp, flow.remote));
        let terms = KeepAliveTerms {
            interval,
            flow_timer,
            expires: Duration::from_secs(seconds.into()),
            by_stun,
        };
        self.flow_probes.keep(flow, terms, &mut self.random, now);
        self.run_flow_probes(now);
    }

    pub(super) fn handle_flow_probe_timeout(&mut self, now: Instant) {
        self.flow_probes.handle_timeout(&mut self.random, now);
        self.run_flow_probes(now);
    }

    /// Takes a datagram of STUN.
    pub(super) fn handle_stun(&mut self, datagram: &[u8], flow: Flow, now: Instant) {
        match self.flow_probes.handle_stun(datagram, flow.key(), now) {
            Ok(()) => self.run_flow_probes(now),
            Err(reason) => self.reject(reason, flow.remote),
        }
    }

    /// The network reports that a STUN keep-alive reached nobody; true where it is one that waits.
    pub(super) fn take_unreachable_probe(
        &mut self,
        key: FlowKey,
        transaction: [u8; 12],
        now: Instant,
    ) -> bool {
        let waits = self.flow_probes.handle_unreachable(key, transaction, now);
        self.run_flow_probes(now);
        waits
    }

    /// Carries out what the flows ask for.
    fn run_flow_probes(&mut self, now: Instant) {
        while let Some(action) = self.flow_probes.poll_action() {
            match action {
                FlowAction::Send(flow, bytes) => self.transmit(flow, bytes, None),
                FlowAction::Failed {
                    flow,
                    why,
                    reflexive,
                } => {
                    if let Some(address) = reflexive {
                        // The Contact of the REGISTER to come.
                        self.take_reflexive(flow, address.ip(), Some(address.port()));
                    }
                    let (remote, why) = (flow.remote, why.word());
                    self.emit(UserAgentEvent::FlowFailed { remote, why });
                    self.register_again(remote, now);
                }
                FlowAction::WithoutStun { flow, why, first } => {
                    let (remote, why) = (flow.remote, why.word());
                    self.emit(UserAgentEvent::WithoutStun { remote, why, first });
                }
            }
        }
        let timeout = self.flow_probes.poll_timeout();
        self.deadlines.set(&Wake::FlowProbes, timeout);
    }
}
