//! The driver: one task that feeds the pure user agent with messages, orders and time, and carries
//! out what it asks for.
#![expect(
    clippy::disallowed_methods,
    reason = "driver: reads the clock, seeds the generator, starts the task"
)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot, watch};

use super::config::Config;
use super::error::Error;
use super::event::{
    Command, Event, Incoming, LegId, RegistrationState, RegistrationStatus, TargetStatus,
};
use super::handle::{Handle, Held, Order, Registrations, Targets};
use super::instant_message::{IncomingMessage, MessageId, MessageOutcome};
use super::user_agent::{UserAgent, UserAgentEvent};
use crate::sip::stack::resolver::{DnsQuery, DnsResponse};
use crate::sip::stack::transport::{Inbound, Transports, Unsent, is_keep_alive};
use crate::supervision::Task;

/// Orders that wait for the task.
const ORDER_QUEUE: usize = 1_024;
/// Messages handled before what they caused is sent.
const BATCH: usize = 64;
/// Events kept for an incoming leg that nobody has taken yet.
const KEPT_EVENTS: usize = 32;
/// Ended legs kept for a late taker.
const KEPT_LEGS: usize = 1_024;
/// Longest time for BYEs and unregistrations at the end.
const SHUT_DOWN_LIMIT: Duration = Duration::from_secs(3);

/// Opens the listeners and starts the user agent. Calls that arrive go to `incoming`; when nobody
/// takes them they are refused with 503.
pub async fn start(config: Config, incoming: mpsc::Sender<Incoming>) -> Result<Handle, Error> {
    /// Numbers the user agents of this process, so that their legs differ.
    static STARTED: AtomicU64 = AtomicU64::new(0);
    for trunk in &config.trunks {
        if !trunk.tls.verify {
            tracing::warn!(
                trunk = trunk.name,
                "sip certificate of this trunk is not verified"
            );
        }
    }
    let (transports, listeners, inbound) = Transports::bind(&config.transport()).await?;
    let supervisor = config.supervisor.clone();
    let mut agent = UserAgent::new(
        config,
        listeners.clone(),
        Box::new(local_address),
        StdRng::from_rng(&mut rand::rng()),
    )?;
    agent.number_legs_from(STARTED.fetch_add(1, Ordering::Relaxed) << 40);
    for listen in &listeners {
        tracing::info!(transport = %listen.transport, address = %listen.address, "sip listens");
    }
    let (orders, order_queue) = mpsc::channel(ORDER_QUEUE);
    let states = agent.registrations();
    for status in &states {
        registration_gauge(status).increment(1.0);
    }
    let (registrations_sender, registrations) = watch::channel(states);
    let dns = transports.dns();
    let (targets_sender, targets) = watch::channel(Targets::new());
    let driver = Driver {
        agent,
        transports,
        incoming,
        owners: HashMap::new(),
        untaken: VecDeque::new(),
        messages: None,
        sent_messages: HashMap::new(),
        registrations: registrations_sender,
        targets: targets_sender,
        failing: HashSet::new(),
        stopping: None,
    };
    tokio::spawn(supervisor.watch(Task::Sip, driver.run(order_queue, inbound)));
    Ok(Handle {
        orders,
        registrations,
        targets,
        listeners: listeners.into(),
        dns,
    })
}

/// The address that packets to `remote` leave from: the routing table's answer, asked by connecting
/// a socket that sends nothing.
fn local_address(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Registrations of that trunk in that state.
fn registration_gauge(status: &RegistrationStatus) -> metrics::Gauge {
    metrics::gauge!("trunkline_registrations",
        "trunk" => status.trunk.clone(), "state" => status.state.as_str())
}

struct Driver {
    agent: UserAgent,
    transports: Transports,
    incoming: mpsc::Sender<Incoming>,
    owners: HashMap<LegId, Owner>,
    /// Legs that ended before anybody took them, oldest first.
    untaken: VecDeque<LegId>,
    /// Who takes texts that arrive.
    messages: Option<mpsc::Sender<IncomingMessage>>,
    /// Who waits for the outcome of a text of ours.
    sent_messages: HashMap<MessageId, MessageReply>,
    registrations: watch::Sender<Registrations>,
    targets: watch::Sender<Targets>,
    /// Lookups that failed the last time.
    failing: HashSet<DnsQuery>,
    stopping: Option<Stopping>,
}

type MessageReply = oneshot::Sender<Result<MessageOutcome, Error>>;

/// Who hears of a leg.
enum Owner {
    /// Nobody yet: the events so far.
    Awaited(VecDeque<Event>),
    Attached(mpsc::Sender<Event>),
}

struct Stopping {
    until: Instant,
    replies: Vec<oneshot::Sender<()>>,
}

impl Driver {
    async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut inbound: mpsc::Receiver<Inbound>,
    ) {
        self.agent.start(Instant::now());
        loop {
            self.agent.handle_timeout(Instant::now());
            self.carry_out();
            if self.is_done() {
                break;
            }
            let wake = [
                self.agent.poll_timeout(),
                self.stopping.as_ref().map(|stopping| stopping.until),
            ]
            .into_iter()
            .flatten()
            .min();
            let sleep = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.take_order(order),
                    // The last handle is gone: nobody can end the calls any more.
                    None => self.stop(None),
                },
                Some(first) = inbound.recv() => {
                    self.take_inbound(first);
                    for _ in 1..BATCH {
                        match inbound.try_recv() {
                            Ok(next) => self.take_inbound(next),
                            Err(_) => break,
                        }
                    }
                }
                () = self.transports.datagrams().readable() => self.take_datagrams(),
                () = sleep => {}
            }
            if self.stopping.is_some() && orders.is_closed() && orders.is_empty() {
                // Without this a closed order queue would be polled in a tight loop.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        // The last responses are on their way through the connection queues.
        tokio::time::sleep(Duration::from_millis(50)).await;
        for reply in self.stopping.into_iter().flat_map(|s| s.replies) {
            let _ = reply.send(());
        }
    }

    fn is_done(&self) -> bool {
        self.stopping
            .as_ref()
            .is_some_and(|stopping| self.agent.is_idle() || stopping.until <= Instant::now())
    }

    fn stop(&mut self, reply: Option<oneshot::Sender<()>>) {
        let now = Instant::now();
        if self.stopping.is_none() {
            self.agent.shut_down(now);
        }
        let stopping = self.stopping.get_or_insert(Stopping {
            until: now + SHUT_DOWN_LIMIT,
            replies: Vec::new(),
        });
        stopping.replies.extend(reply);
    }

    fn take_order(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Invite { reply, .. } if self.stopping.is_some() => {
                let _ = reply.send(Err(Error::Stopped));
            }
            Order::Invite {
                outgoing,
                events,
                reply,
            } => {
                let placed = self.agent.invite(*outgoing, now);
                if let Ok(leg) = placed {
                    self.owners.insert(leg, Owner::Attached(events));
                }
                let _ = reply.send(placed);
            }
            Order::Command {
                leg,
                command,
                reply,
            } => {
                let done = self.agent.handle_command(leg, command, now);
                let _ = reply.send(done);
                if !self.agent.has_leg(leg) {
                    // A refusal of ours ends a leg without an event: the closed channel tells.
                    self.carry_out();
                    self.owners.remove(&leg);
                }
            }
            Order::Message { reply, .. } if self.stopping.is_some() => {
                let _ = reply.send(Err(Error::Stopped));
            }
            Order::Message { outgoing, reply } => match self.agent.message(*outgoing, now) {
                Ok(id) => {
                    self.sent_messages.insert(id, reply);
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            Order::TakeMessages { messages } => self.messages = Some(messages),
            Order::AnswerMessage { id, status } => self.agent.answer_message(id, status, now),
            Order::Attach { leg, events } => self.attach(leg, events),
            Order::Present { .. } if self.stopping.is_some() => {}
            Order::Present { user, present } => {
                self.agent.handle_presence(&user, present, now);
            }
            Order::ReadCertificates => self.transports.reload(),
            Order::AddressOfTrunk { trunk, reply } => {
                // Who asked may have gone meanwhile.
                let _ = reply.send(self.agent.address_of_trunk(&trunk, now));
            }
            Order::Count { reply } => {
                let _ = reply.send(Held {
                    legs: self.agent.legs(),
                    transactions: self.agent.transactions(),
                });
            }
            Order::ShutDown { reply } => self.stop(Some(reply)),
        }
    }

    fn attach(&mut self, leg: LegId, events: mpsc::Sender<Event>) {
        // An unknown leg: it ended and its events were taken, or it never was. The dropped sender
        // tells the caller.
        if let Some(Owner::Awaited(kept)) = self.owners.remove(&leg) {
            self.owners.insert(leg, Owner::Attached(events));
            for event in kept {
                self.deliver(leg, event);
            }
        }
    }

    /// Takes the datagrams that are there. What they cause is sent after the batch, so that a
    /// burst costs one round.
    fn take_datagrams(&mut self) {
        let now = Instant::now();
        for _ in 0..BATCH {
            let Some((bytes, flow)) = self.transports.datagrams().receive() else {
                return;
            };
            if !is_keep_alive(&bytes) {
                self.agent.handle_message(&bytes, flow, now);
            }
        }
    }

    fn take_inbound(&mut self, inbound: Inbound) {
        let now = Instant::now();
        match inbound {
            Inbound::Message { bytes, flow, turn } => {
                self.agent.handle_message(&bytes, flow, now);
                drop(turn);
            }
            Inbound::Accepted {
                stream,
                transport,
                remote,
                listener,
            } => self.transports.accept(stream, transport, remote, listener),
            Inbound::Credentials(credentials) => self.transports.renew(credentials),
            Inbound::Closed { connection, failed } => {
                self.transports.closed(connection);
                for transaction in failed {
                    self.agent.handle_transport_failure(&transaction, now);
                }
                self.agent.handle_connection_closed(connection, now);
            }
            Inbound::Failed { transaction } => {
                self.agent.handle_transport_failure(&transaction, now);
            }
            Inbound::Unreachable {
                listener,
                remote,
                quote,
            } => {
                let left = self.agent.handle_unreachable(listener, remote, &quote, now);
                if left > 0 {
                    metrics::counter!("trunkline_sip_unreachable_total").increment(left);
                    tracing::debug!(%remote, left, "sip datagrams reach nobody");
                }
            }
            Inbound::Resolved { query, response } => {
                self.note_look_up(&query, &response);
                self.agent.handle_resolved(&query, response, now);
            }
        }
    }

    /// Sends and tells everything the user agent has, which may cause more of both.
    fn carry_out(&mut self) {
        loop {
            let mut busy = false;
            while let Some(transmit) = self.agent.poll_transmit() {
                busy = true;
                let transaction = transmit.transaction;
                match (self.transports.send(transmit), transaction) {
                    (Ok(Some(connection)), Some(transaction)) => {
                        self.agent.handle_written(&transaction, connection);
                    }
                    (Err(Unsent), Some(transaction)) => {
                        self.agent
                            .handle_transport_failure(&transaction, Instant::now());
                    }
                    _ => {}
                }
            }
            while let Some(event) = self.agent.poll_event() {
                busy = true;
                self.take_user_agent_event(event);
            }
            if !busy {
                return;
            }
        }
    }

    fn take_user_agent_event(&mut self, event: UserAgentEvent) {
        match event {
            UserAgentEvent::Incoming(incoming) => self.take_incoming(*incoming),
            UserAgentEvent::Message(message) => self.take_message(*message),
            UserAgentEvent::MessageAnswered { id, outcome } => {
                if let Some(reply) = self.sent_messages.remove(&id) {
                    // Who asked may have gone meanwhile.
                    let _ = reply.send(Ok(outcome));
                }
            }
            UserAgentEvent::Leg(leg, event) => self.take_leg_event(leg, event),
            UserAgentEvent::Registration {
                index,
                before,
                state,
            } => self.note_registration(index, before, state),
            UserAgentEvent::Resolve { query } => self.transports.resolve(query),
            UserAgentEvent::Target {
                trunk,
                target,
                address,
                is_up,
                why,
            } => {
                let address = address.map(tracing::field::display);
                match (is_up, why) {
                    (_, "assumed") => {}
                    (true, _) => {
                        tracing::info!(%trunk, %target, address, is_up, why, "sip target changed");
                    }
                    (false, _) => {
                        tracing::warn!(%trunk, %target, address, is_up, why, "sip target changed");
                    }
                }
                self.note_target(&trunk, &target, is_up);
                metrics::gauge!("trunkline_trunk_target_up", "trunk" => trunk, "target" => target)
                    .set(f64::from(u8::from(is_up)));
            }
            UserAgentEvent::TargetDestination {
                trunk,
                target,
                destination,
                is_up,
                why,
            } => {
                let (transport, address) = (destination.transport, destination.address);
                tracing::warn!(%trunk, %target, %transport, %address, is_up, why,
                    "sip address of a target changed");
            }
            UserAgentEvent::TargetDestinations {
                trunk,
                target,
                up,
                out,
            } => {
                for (state, count) in [("up", up), ("out", out)] {
                    metrics::gauge!("trunkline_trunk_target_addresses", "trunk" => trunk.clone(),
                        "target" => target.clone(), "state" => state)
                    .set(f64::from(u8::try_from(count).unwrap_or(u8::MAX)));
                }
            }
            UserAgentEvent::FlowFailed { remote, why } => {
                metrics::counter!("trunkline_sip_flow_failures_total", "reason" => why)
                    .increment(1);
                tracing::warn!(%remote, why, "sip flow failed: registering anew");
            }
            UserAgentEvent::WithoutStun { remote, why, first } => {
                metrics::counter!("trunkline_sip_without_stun_total", "reason" => why).increment(1);
                if first {
                    tracing::warn!(%remote, why,
                        "sip registrar does outbound and no stun: kept open by double crlf");
                }
            }
            UserAgentEvent::Unresolvable { host } => {
                tracing::warn!(%host, "sip host is at no address that can be sent to");
            }
            UserAgentEvent::Rejected { reason, source } => {
                metrics::counter!("trunkline_sip_rejected_total", "reason" => reason).increment(1);
                tracing::debug!(reason, %source, "sip message rejected");
            }
        }
    }

    /// A call comes: its owner takes it, or it is refused.
    fn take_incoming(&mut self, incoming: Incoming) {
        let leg = incoming.leg;
        self.owners.insert(leg, Owner::Awaited(VecDeque::new()));
        if self.stopping.is_some() || self.incoming.try_send(incoming).is_err() {
            metrics::counter!("trunkline_sip_rejected_total", "reason" => "no_listener")
                .increment(1);
            self.owners.remove(&leg);
            self.agent.refuse_unheard(leg, Instant::now());
        }
    }

    /// A text comes: somebody takes it, or it is refused.
    fn take_message(&mut self, message: IncomingMessage) {
        let id = message.id;
        let taker = self.messages.as_ref().filter(|_| self.stopping.is_none());
        if taker.is_none_or(|taker| taker.try_send(message).is_err()) {
            metrics::counter!("trunkline_sip_rejected_total", "reason" => "no_listener")
                .increment(1);
            self.agent.answer_message(id, 503, Instant::now());
        }
    }

    fn take_leg_event(&mut self, leg: LegId, event: Event) {
        let by = match &event {
            Event::Replaced { by, .. } => Some(*by),
            _ => None,
        };
        if let Some(by) = by {
            self.owners.insert(by, Owner::Awaited(VecDeque::new()));
        }
        self.deliver(leg, event);
        if let Some(by) = by.filter(|_| !self.owners.contains_key(&leg)) {
            // Nobody to take it over from.
            self.owners.remove(&by);
            self.agent.refuse_unheard(by, Instant::now());
        }
    }

    fn note_registration(
        &mut self,
        index: usize,
        before: RegistrationState,
        state: RegistrationState,
    ) {
        self.registrations.send_modify(|all| {
            if let Some(status) = all.get_mut(index) {
                status.state = before;
                registration_gauge(status).decrement(1.0);
                status.state = state;
                registration_gauge(status).increment(1.0);
                let (trunk, account) = (&status.trunk, status.account.as_deref());
                let why = state.explanation();
                tracing::info!(%trunk, account, ?state, why, "sip registration changed");
            }
        });
    }

    fn note_target(&mut self, trunk: &str, target: &str, is_up: bool) {
        self.targets.send_modify(|all| {
            let known =
                |status: &&mut TargetStatus| status.trunk == trunk && status.target == target;
            match all.iter_mut().find(known) {
                Some(status) => status.is_up = is_up,
                None => all.push(TargetStatus {
                    trunk: trunk.to_owned(),
                    target: target.to_owned(),
                    is_up,
                }),
            }
        });
    }

    /// A lookup that fails is in the log once, until it succeeds again.
    fn note_look_up(&mut self, query: &DnsQuery, response: &DnsResponse) {
        match response {
            DnsResponse::Known { .. } => {
                self.failing.remove(query);
            }
            DnsResponse::Failed { why } => {
                metrics::counter!("trunkline_sip_look_ups_failed_total").increment(1);
                if self.failing.len() < KEPT_LEGS && self.failing.insert(query.clone()) {
                    tracing::warn!(%query, %why, "sip name lookup failed");
                }
            }
        }
    }

    fn deliver(&mut self, leg: LegId, event: Event) {
        let last = event.is_final();
        let heard = match self.owners.get_mut(&leg) {
            None => return,
            Some(Owner::Awaited(kept)) => {
                kept.push_back(event);
                if last {
                    // It stays for a taker that comes late, but not for ever.
                    self.untaken.push_back(leg);
                    if self.untaken.len() > KEPT_LEGS
                        && let Some(oldest) = self.untaken.pop_front()
                        && matches!(self.owners.get(&oldest), Some(Owner::Awaited(_)))
                    {
                        self.owners.remove(&oldest);
                    }
                    return;
                }
                if kept.len() <= KEPT_EVENTS {
                    return;
                }
                false
            }
            Some(Owner::Attached(events)) => {
                // What the call can do without: a flood of it does not end the call.
                let is_minor = matches!(event, Event::Info { .. } | Event::Message { .. });
                match events.try_send(event) {
                    Ok(()) => true,
                    Err(mpsc::error::TrySendError::Full(_)) if is_minor => {
                        metrics::counter!("trunkline_sip_rejected_total", "reason" => "owner_busy")
                            .increment(1);
                        return;
                    }
                    Err(_) => false,
                }
            }
        };
        if last {
            self.owners.remove(&leg);
        } else if !heard {
            // The owner is gone or does not keep up: the call cannot go on without it.
            metrics::counter!("trunkline_sip_owner_lost_total").increment(1);
            tracing::warn!(%leg, "sip leg ended because its owner takes no events");
            self.owners.remove(&leg);
            let hung_up =
                self.agent
                    .handle_command(leg, Command::Hangup { cause: None }, Instant::now());
            if let Err(error) = hung_up {
                tracing::debug!(%leg, %error, "sip leg had ended");
            }
        }
    }
}
