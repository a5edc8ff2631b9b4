//! All flows that are kept open: by UDP with STUN where the registrar does Outbound, with double
//! CRLF elsewhere. Streams keep themselves open, unless the registrar's Flow-Timer wants it more
//! often.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;

use super::flow_probe::{CRLF_KEEP_ALIVE, FlowFailure, FlowProbe, ProbeResult};
use super::kept_flow::{BY_STUN, KeptFlow, Pace};
use crate::sip::stack::flow::{Flow, FlowKey};
use crate::sip::stack::stun::{Answer, Kind};
use crate::timer_queue::KeyedTimers;

/// How a flow is kept open.
#[derive(Debug, Clone, Copy)]
pub struct KeepAliveTerms {
    /// As configured; `None` where nothing is.
    pub interval: Option<Duration>,
    /// The registrar's Flow-Timer (RFC 5626 section 4.4.1).
    pub flow_timer: Option<Duration>,
    /// How long what was registered by the flow lasts.
    pub expires: Duration,
    /// By STUN instead of double CRLF.
    pub by_stun: bool,
}

/// Something for the owner to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlowAction {
    /// Send this by the flow.
    Send(Flow, Bytes),
    /// The flow has failed (RFC 5626 section 4.4.2): what was registered by it must be registered
    /// again.
    Failed {
        flow: Flow,
        why: FlowFailure,
        /// Our new reflexive address, where that is the reason.
        reflexive: Option<SocketAddr>,
    },
    /// The far end does no STUN: double CRLF keeps the flow open. `first` when it is found for the
    /// first time, or since STUN worked.
    WithoutStun {
        flow: Flow,
        why: FlowFailure,
        first: bool,
    },
}

/// The flows that are kept open.
#[derive(Debug)]
pub struct FlowProbes {
    flows: HashMap<FlowKey, KeptFlow>,
    timers: KeyedTimers<FlowKey>,
    actions: VecDeque<FlowAction>,
}

impl FlowProbes {
    /// None yet.
    pub fn new() -> Self {
        FlowProbes {
            flows: HashMap::new(),
            timers: KeyedTimers::default(),
            actions: VecDeque::new(),
        }
    }

    /// Keeps a flow open by which a registration was just accepted.
    pub fn keep(&mut self, flow: Flow, terms: KeepAliveTerms, random: &mut StdRng, now: Instant) {
        let (flow_timer, interval) = (terms.flow_timer, terms.interval);
        let Some(by_crlf) = Pace::by_crlf(flow_timer, interval) else {
            return;
        };
        let pace = match terms.by_stun {
            true => Pace::by_stun(flow_timer, interval.unwrap_or(BY_STUN.longest)),
            false => by_crlf,
        };
        let drawn = now + pace.draw(random);
        let mut kept = KeptFlow {
            flow,
            pace,
            next: drawn,
            until: now + terms.expires,
            probe: terms.by_stun.then(FlowProbe::new),
        };
        if let Some(before) = self.flows.remove(&flow.key()) {
            if !before.probe.as_ref().is_some_and(FlowProbe::has_failed) {
                kept.next = before.next.min(drawn);
            }
            if let Some(mut probe) = before.probe.filter(|_| terms.by_stun) {
                probe.handle_registered();
                kept.probe = Some(probe);
            }
        }
        self.flows.insert(flow.key(), kept);
        self.arm(flow.key());
    }

    /// Lets a flow go.
    pub fn stop(&mut self, key: FlowKey) {
        self.flows.remove(&key);
        self.arm(key);
    }

    /// True where a flow is kept open by STUN.
    pub fn is_probed(&self, key: FlowKey) -> bool {
        self.flows
            .get(&key)
            .is_some_and(|kept| kept.probe.is_some())
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, random: &mut StdRng, now: Instant) {
        while let Some(key) = self.timers.expired(now) {
            self.handle_flow_timeout(key, random, now);
        }
    }

    fn handle_flow_timeout(&mut self, key: FlowKey, random: &mut StdRng, now: Instant) {
        let Some(kept) = self.flows.get_mut(&key) else {
            return;
        };
        if kept.until <= now {
            return self.stop(key);
        }
        let probing = kept.probe.as_mut().filter(|p| p.poll_timeout().is_some());
        let bytes = if let Some(probe) = probing {
            match probe.handle_timeout(now) {
                Ok(again) => Some(again),
                Err(result) => return self.take_result(key, result, None, now),
            }
        } else {
            kept.next = now + kept.pace.draw(random);
            match &mut kept.probe {
                Some(probe) => {
                    let mut transaction = [0; 12];
                    random.fill_bytes(&mut transaction);
                    probe.begin(transaction, now)
                }
                None => Some(CRLF_KEEP_ALIVE),
            }
        };
        let flow = kept.flow;
        self.actions
            .extend(bytes.map(|bytes| FlowAction::Send(flow, bytes)));
        self.arm(key);
    }

    /// Takes a datagram of STUN; gives the reason, for a counter, where it is not wanted. Only
    /// answers to our probes are: a request of others gets no answer, as we are no registrar and no
    /// edge (RFC 5626 section 8), and reflect nothing.
    pub fn handle_stun(
        &mut self,
        datagram: &[u8],
        key: FlowKey,
        now: Instant,
    ) -> Result<(), &'static str> {
        let transaction = match Kind::read(datagram) {
            Some(Kind::Response(transaction)) => transaction,
            Some(Kind::Other) => return Err("stun_request"),
            None => return Err("unreadable"),
        };
        let probe = self.awaiting(key, transaction).ok_or("stun_unmatched")?;
        let answer = Answer::read(datagram).ok_or("stun_malformed")?;
        let result = probe.handle_answer(answer, now);
        let reflexive = match answer {
            Answer::Seen(reflexive) => Some(reflexive),
            Answer::Refused => None,
        };
        self.take_result(key, result, reflexive, now);
        Ok(())
    }

    /// The network reports that a probe reached nobody; true where it is one that waits for its
    /// answer.
    pub fn handle_unreachable(
        &mut self,
        key: FlowKey,
        transaction: [u8; 12],
        now: Instant,
    ) -> bool {
        let Some(probe) = self.awaiting(key, transaction) else {
            return false;
        };
        let result = probe.handle_unreachable(now);
        self.take_result(key, result, None, now);
        true
    }

    fn awaiting(&mut self, key: FlowKey, transaction: [u8; 12]) -> Option<&mut FlowProbe> {
        let probe = self.flows.get_mut(&key)?.probe.as_mut()?;
        probe.awaits(transaction).then_some(probe)
    }

    fn take_result(
        &mut self,
        key: FlowKey,
        result: ProbeResult,
        reflexive: Option<SocketAddr>,
        now: Instant,
    ) {
        let Some(kept) = self.flows.get_mut(&key) else {
            return;
        };
        let flow = kept.flow;
        match result {
            ProbeResult::Holds => {}
            ProbeResult::Failed(why) => self.actions.push_back(FlowAction::Failed {
                flow,
                why,
                reflexive: reflexive.filter(|_| why == FlowFailure::Moved),
            }),
            ProbeResult::WithoutStun { why, first } => {
                // The NAT has seen nothing for a while.
                kept.next = now;
                self.actions
                    .push_back(FlowAction::WithoutStun { flow, why, first });
            }
        }
        self.arm(key);
    }

    fn arm(&mut self, key: FlowKey) {
        let timeout = self.flows.get(&key).map(KeptFlow::poll_timeout);
        self.timers.set(&key, timeout);
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<FlowAction> {
        self.actions.pop_front()
    }

    /// When [`FlowProbes::handle_timeout`] is wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}
