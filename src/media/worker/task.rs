//! The driver: one thread's event loop over its sockets, its calls and its queue of orders.
//!
//! Nothing is shared between workers, and nothing is locked, allocated or logged for a packet.
//! Sockets are edge-triggered: a wake-up reads a socket until it is empty, or until its share is
//! used up; then it stays on the list of unread sockets and the others get their turn.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: reads the clock for the calls, starts its thread, draws their identities"
)]

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use mio::net::UdpSocket;
use mio::{Interest, Poll, Token, Waker};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::bridge::{Bridge, BridgeConfig, Channel, Outgoing};
use super::deadlines::Deadlines;
use super::demultiplexer::{Demultiplexer, Unknown, is_stun};
use super::reporter::WallClock;
use super::sockets;
use crate::media::path::StreamIdentity;
use crate::media::statistics::Drops;
use crate::media::{
    CallKey, CallStatistics, CloseReason, Command, Error, Lease, MediaEvent, Route, RtpSockets,
    SecureLeg, Side, WorkerConfig,
};
use crate::rtp::NtpTime;

/// Longer than any datagram of ours: WebRTC stays under the path MTU, and so does audio. One
/// that fills it was cut by the kernel and is dropped.
const RECEIVE_LENGTH: usize = 4096;
/// Datagrams that one WebRTC socket may bring before the other sockets get their turn.
const SHARED_SHARE: usize = 256;
/// The same for a socket of one call.
const CALL_SHARE: usize = 16;
/// Orders between two looks at the sockets.
const ORDER_SHARE: usize = 128;
/// How often the worker adds its counters to the metrics, and wakes at the latest.
const HOUSEKEEPING: Duration = Duration::from_secs(2);
/// A call whose deadline has passed although it was just told the time is told again then.
const DEADLINE_GRAIN: Duration = Duration::from_millis(1);

const WAKER: Token = Token(usize::MAX);
/// Tokens below are WebRTC sockets by index; from here on, two for each slot.
const CALL_TOKENS: usize = 1024;

/// What a handle asks of the worker.
pub enum Order<L: SecureLeg> {
    /// A new call.
    Open {
        /// Its key.
        key: CallKey,
        /// Its leg.
        leg: L,
        /// Its owner.
        events: mpsc::Sender<MediaEvent<L::Event>>,
        /// The place kept for the last event.
        farewell: mpsc::OwnedPermit<MediaEvent<L::Event>>,
    },
    /// A command for a call.
    Call {
        /// Its key.
        key: CallKey,
        /// The command.
        command: Command<L::Command>,
    },
}

/// A worker that runs.
pub struct Started<L: SecureLeg> {
    /// The queue of orders.
    pub orders: SyncSender<Order<L>>,
    /// Wakes the worker for the queue and for `stop`.
    pub waker: Arc<Waker>,
    /// Ends the worker.
    pub stop: Arc<AtomicBool>,
    /// Open calls.
    pub load: Arc<AtomicUsize>,
    /// The WebRTC sockets.
    pub local_addresses: Vec<SocketAddr>,
    /// The thread.
    pub thread: JoinHandle<()>,
}

/// Binds the sockets and starts the thread.
pub fn start<L: SecureLeg>(config: WorkerConfig, capacity: usize) -> Result<Started<L>, Error> {
    let failed = |part| move |source| Error::Start { part, source };
    let poll = Poll::new().map_err(failed("event loop"))?;
    let waker = Waker::new(poll.registry(), WAKER).map_err(failed("waker"))?;
    let bound = sockets::bind_all(&config.addresses, config.port, config.receive_buffer)?;
    let mut shared = Vec::with_capacity(bound.len());
    for (index, socket) in bound.into_iter().enumerate() {
        let local = socket.local_addr().map_err(failed("local address"))?;
        let mut socket = UdpSocket::from_std(socket);
        poll.registry()
            .register(&mut socket, Token(index), Interest::READABLE)
            .map_err(failed("socket registration"))?;
        shared.push(SharedSocket { socket, local });
    }
    let local_addresses: Vec<_> = shared.iter().map(|socket| socket.local).collect();
    let (orders, received_orders) = sync_channel(capacity);
    let stop = Arc::new(AtomicBool::new(false));
    let load = Arc::new(AtomicUsize::new(0));
    let now = Instant::now();
    let worker = Worker::<L> {
        poll,
        orders: received_orders,
        stop: Arc::clone(&stop),
        load: Arc::clone(&load),
        shared,
        slots: Vec::new(),
        free: Vec::new(),
        keys: HashMap::new(),
        demultiplexer: Demultiplexer::default(),
        deadlines: Deadlines::default(),
        unread: Vec::new(),
        orders_left: false,
        buffers: Buffers::new(),
        counters: Counters::default(),
        clock: WallClock::new(now, NtpTime::from(SystemTime::now())),
        next_housekeeping: now + HOUSEKEEPING,
        config,
    };
    let port = local_addresses.first().map_or(0, SocketAddr::port);
    let thread = std::thread::Builder::new()
        .name(format!("media-{port}"))
        .spawn(move || worker.run())
        .map_err(failed("thread"))?;
    Ok(Started {
        orders,
        waker: Arc::new(waker),
        stop,
        load,
        local_addresses,
        thread,
    })
}

struct SharedSocket {
    socket: UdpSocket,
    local: SocketAddr,
}

/// The sockets of a call's PBX side. The lease comes last: it gives the ports back when the
/// sockets are closed.
struct PbxSockets {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    _lease: Lease,
}

struct Slot<L: SecureLeg> {
    key: CallKey,
    bridge: Bridge<L>,
    pbx: Option<PbxSockets>,
    events: mpsc::Sender<MediaEvent<L::Event>>,
    farewell: mpsc::OwnedPermit<MediaEvent<L::Event>>,
}

/// Reused for every datagram.
struct Buffers {
    received: Box<[u8]>,
    plain: Vec<u8>,
    out: Vec<u8>,
}

impl Buffers {
    fn new() -> Self {
        Buffers {
            received: vec![0; RECEIVE_LENGTH].into_boxed_slice(),
            plain: Vec::with_capacity(RECEIVE_LENGTH),
            out: Vec::with_capacity(RECEIVE_LENGTH),
        }
    }
}

/// What the worker counted since the last housekeeping.
#[derive(Default)]
struct Counters {
    received: u64,
    sent: u64,
    drops: Drops,
}

struct Worker<L: SecureLeg> {
    poll: Poll,
    orders: Receiver<Order<L>>,
    stop: Arc<AtomicBool>,
    load: Arc<AtomicUsize>,
    shared: Vec<SharedSocket>,
    slots: Vec<Option<Slot<L>>>,
    free: Vec<usize>,
    keys: HashMap<CallKey, usize>,
    demultiplexer: Demultiplexer,
    deadlines: Deadlines,
    /// Sockets that were not read to their end.
    unread: Vec<Token>,
    /// The queue of orders was not read to its end.
    orders_left: bool,
    buffers: Buffers,
    counters: Counters,
    clock: WallClock,
    next_housekeeping: Instant,
    config: WorkerConfig,
}

impl<L: SecureLeg> Worker<L> {
    fn run(mut self) {
        let mut events = mio::Events::with_capacity(1024);
        let mut ready = Vec::new();
        while !self.stop.load(Ordering::Acquire) {
            let timeout = if self.orders_left || !self.unread.is_empty() {
                Duration::ZERO
            } else {
                self.time_to_sleep()
            };
            if let Err(error) = self.poll.poll(&mut events, Some(timeout)) {
                if error.kind() != io::ErrorKind::Interrupted {
                    tracing::error!(%error, "media worker: event loop failed, worker ends");
                    break;
                }
                continue;
            }
            std::mem::swap(&mut ready, &mut self.unread);
            ready.extend(events.iter().map(mio::event::Event::token));
            for token in ready.drain(..) {
                self.read(token);
            }
            self.orders_left = self.take_orders();
            self.tell_the_time();
        }
        for index in 0..self.slots.len() {
            self.close(index, CloseReason::ShutDown);
        }
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Open { farewell, .. } = order {
                self.refuse(farewell, CloseReason::ShutDown);
            }
        }
        self.flush_counters();
    }

    fn time_to_sleep(&self) -> Duration {
        let next = match self.deadlines.next() {
            Some(deadline) => deadline.min(self.next_housekeeping),
            None => self.next_housekeeping,
        };
        next.saturating_duration_since(Instant::now())
    }

    fn read(&mut self, token: Token) {
        let unread = match token {
            WAKER => false,
            Token(index) if index < CALL_TOKENS => self.read_shared(index),
            Token(number) => {
                let number = number - CALL_TOKENS;
                let channel = if number % 2 == 0 {
                    Channel::Rtp
                } else {
                    Channel::Rtcp
                };
                self.read_call(number / 2, channel)
            }
        };
        if unread && !self.unread.contains(&token) {
            self.unread.push(token);
        }
    }

    /// Reads a WebRTC socket; whether there may be more.
    fn read_shared(&mut self, index: usize) -> bool {
        for _ in 0..SHARED_SHARE {
            let Some(SharedSocket { socket, local }) = self.shared.get(index) else {
                return false;
            };
            let (length, remote) = match socket.recv_from(&mut self.buffers.received) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.counters.drops.count("receive_error");
                    continue;
                }
            };
            let local = *local;
            self.counters.received += 1;
            if length >= RECEIVE_LENGTH {
                self.counters.drops.count("oversize");
                continue;
            }
            let now = Instant::now();
            let slot = match self.find(remote, length, now) {
                // The call of a browser's first check may be in the queue: look there before
                // the browser has to repeat itself.
                Err(Unknown::Ufrag) => {
                    self.orders_left = self.take_orders();
                    self.find(remote, length, now)
                }
                found => found,
            };
            let slot = match slot {
                Ok(slot) => slot,
                Err(unknown) => {
                    self.counters.drops.count(unknown.reason());
                    continue;
                }
            };
            let Buffers {
                received, plain, ..
            } = &mut self.buffers;
            let datagram = &received[..length];
            let Some(call) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
                continue;
            };
            let route = Route { local, remote };
            let validated = call
                .bridge
                .handle_browser_datagram(route, datagram, plain, now);
            if validated && is_stun(datagram) {
                self.demultiplexer.map(slot, remote, now);
            }
            self.pump(slot, now);
        }
        true
    }

    /// The call of the received datagram.
    fn find(&mut self, remote: SocketAddr, length: usize, now: Instant) -> Result<usize, Unknown> {
        let datagram = &self.buffers.received[..length];
        let ufrag = if is_stun(datagram) {
            L::local_ufrag_of(datagram)
        } else {
            None
        };
        self.demultiplexer.find(remote, ufrag, datagram, now)
    }

    /// Reads a socket of a call; whether there may be more.
    fn read_call(&mut self, slot: usize, channel: Channel) -> bool {
        for _ in 0..CALL_SHARE {
            let Some(call) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
                return false;
            };
            let Some(pbx) = &call.pbx else { return false };
            let socket = match channel {
                Channel::Rtp => &pbx.rtp,
                Channel::Rtcp => &pbx.rtcp,
            };
            let (length, source) = match socket.recv_from(&mut self.buffers.received) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.counters.drops.count("receive_error");
                    continue;
                }
            };
            self.counters.received += 1;
            if length >= RECEIVE_LENGTH {
                self.counters.drops.count("oversize");
                continue;
            }
            let now = Instant::now();
            let datagram = &self.buffers.received[..length];
            call.bridge
                .handle_pbx_datagram(channel, source, datagram, now);
            self.pump(slot, now);
        }
        true
    }

    /// Takes orders; whether there may be more.
    fn take_orders(&mut self) -> bool {
        for _ in 0..ORDER_SHARE {
            let Ok(order) = self.orders.try_recv() else {
                return false;
            };
            let now = Instant::now();
            match order {
                Order::Open {
                    key,
                    leg,
                    events,
                    farewell,
                } => {
                    self.open(key, leg, events, farewell, now);
                }
                Order::Call { key, command } => match self.keys.get(&key) {
                    Some(slot) => self.command(*slot, command, now),
                    None => self.counters.drops.count("command_for_no_call"),
                },
            }
        }
        true
    }

    fn open(
        &mut self,
        key: CallKey,
        leg: L,
        events: mpsc::Sender<MediaEvent<L::Event>>,
        farewell: mpsc::OwnedPermit<MediaEvent<L::Event>>,
        now: Instant,
    ) {
        let slot = self.free.last().copied().unwrap_or(self.slots.len());
        if self.keys.contains_key(&key) || !self.demultiplexer.set_ufrag(slot, leg.local_ufrag()) {
            self.refuse(farewell, CloseReason::Conflict);
            return;
        }
        let bridge = Bridge::new(leg, self.bridge_config(), now);
        let call = Slot {
            key,
            bridge,
            pbx: None,
            events,
            farewell,
        };
        if self.free.pop().is_some() {
            self.slots[slot] = Some(call);
        } else {
            self.slots.push(Some(call));
        }
        self.keys.insert(key, slot);
        self.pump(slot, now);
    }

    /// Ends a call that never began.
    fn refuse(&self, farewell: mpsc::OwnedPermit<MediaEvent<L::Event>>, reason: CloseReason) {
        self.load.fetch_sub(1, Ordering::Relaxed);
        farewell.send(MediaEvent::Closed {
            reason,
            statistics: CallStatistics::default(),
        });
    }

    fn bridge_config(&self) -> BridgeConfig {
        let identity = || StreamIdentity {
            ssrc: rand::random(),
            first_sequence: rand::random(),
            first_timestamp: rand::random(),
        };
        BridgeConfig {
            path: self.config.path.clone(),
            media_timeout: self.config.media_timeout,
            report_interval: self.config.report_interval,
            statistics_interval: self.config.statistics_interval,
            to_browser: identity(),
            to_pbx: identity(),
            cname: format!("{:016x}", rand::random::<u64>()),
            seed: rand::random(),
            clock: self.clock,
        }
    }

    fn command(&mut self, slot: usize, command: Command<L::Command>, now: Instant) {
        let Some(call) = self.slots[slot].as_mut() else {
            return;
        };
        let done = match command {
            Command::Leg(command) => {
                call.bridge.command_leg(command, now);
                if self
                    .demultiplexer
                    .set_ufrag(slot, call.bridge.local_ufrag())
                {
                    Ok(())
                } else {
                    Err(CloseReason::Conflict)
                }
            }
            Command::AttachRtp(sockets) => {
                let local = sockets.local;
                self.attach(slot, sockets).map_err(|source| {
                    CloseReason::Failed(Error::Socket {
                        address: local,
                        source,
                    })
                })
            }
            Command::SetRemoteRtp { rtp, rtcp } => {
                call.bridge.set_remote_rtp(rtp, rtcp);
                Ok(())
            }
            Command::SetFormats { browser, pbx } => call
                .bridge
                .set_formats(&browser, &pbx, now)
                .map_err(CloseReason::Failed),
            Command::SendDigits {
                to,
                digits,
                duration,
            } => {
                call.bridge.send_digits(to, &digits, duration, now);
                Ok(())
            }
            Command::Close => Err(CloseReason::Commanded),
        };
        match done {
            Ok(()) => self.pump(slot, now),
            Err(reason) => self.close(slot, reason),
        }
    }

    fn attach(&mut self, slot: usize, sockets: RtpSockets) -> io::Result<()> {
        let RtpSockets {
            rtp, rtcp, lease, ..
        } = sockets;
        let mut pbx = PbxSockets {
            rtp: UdpSocket::from_std(rtp),
            rtcp: UdpSocket::from_std(rtcp),
            _lease: lease,
        };
        let token = CALL_TOKENS + 2 * slot;
        let registry = self.poll.registry();
        registry.register(&mut pbx.rtp, Token(token), Interest::READABLE)?;
        registry.register(&mut pbx.rtcp, Token(token + 1), Interest::READABLE)?;
        if let Some(call) = self.slots[slot].as_mut() {
            // Closing the sockets of before also ends their registration.
            call.pbx = Some(pbx);
        }
        Ok(())
    }

    /// Tells every call whose deadline has come.
    fn tell_the_time(&mut self) {
        let now = Instant::now();
        while let Some(slot) = self.deadlines.pop_due(now) {
            if let Some(call) = self.slots[slot].as_mut() {
                call.bridge.handle_timeout(now);
                self.pump(slot, now);
            }
        }
        if now >= self.next_housekeeping {
            self.next_housekeeping = now + HOUSEKEEPING;
            self.flush_counters();
        }
    }

    /// Carries away what a call has to send and to tell, and asks for its next deadline.
    fn pump(&mut self, slot: usize, now: Instant) {
        self.send(slot);
        let Some(call) = self.slots[slot].as_mut() else {
            return;
        };
        while let Some(event) = call.bridge.poll_event() {
            let is_statistics = matches!(event, MediaEvent::Statistics(_));
            let reason = match call.events.try_send(event) {
                Ok(()) => continue,
                Err(TrySendError::Full(_)) if is_statistics => {
                    self.counters.drops.count("statistics_event");
                    continue;
                }
                Err(TrySendError::Full(_)) => CloseReason::EventsLost,
                Err(TrySendError::Closed(_)) => CloseReason::Abandoned,
            };
            self.close(slot, reason);
            return;
        }
        let earliest = now + DEADLINE_GRAIN;
        let deadline = call
            .bridge
            .poll_timeout()
            .map(|deadline| deadline.max(earliest));
        self.deadlines.set(slot, deadline);
    }

    fn send(&mut self, slot: usize) {
        let Some(call) = self.slots[slot].as_mut() else {
            return;
        };
        let Buffers { plain, out, .. } = &mut self.buffers;
        while let Some(outgoing) = call.bridge.poll_transmit(plain, out) {
            let (side, sent) = match outgoing {
                Outgoing::Browser(route) => {
                    if is_stun(out) {
                        self.demultiplexer.note_request(slot, route.remote, out);
                    }
                    let socket = self
                        .shared
                        .iter()
                        .find(|socket| socket.local == route.local);
                    let sent = socket.map(|found| found.socket.send_to(out, route.remote));
                    (Side::Browser, sent)
                }
                Outgoing::Pbx { from, to } => {
                    let socket = call.pbx.as_ref().map(|pbx| match from {
                        Channel::Rtp => &pbx.rtp,
                        Channel::Rtcp => &pbx.rtcp,
                    });
                    (Side::Pbx, socket.map(|socket| socket.send_to(out, to)))
                }
            };
            match sent {
                Some(Ok(_)) => self.counters.sent += 1,
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    call.bridge.count_unsent(side, "send_buffer_full");
                }
                Some(Err(_)) => call.bridge.count_unsent(side, "send_error"),
                None => call.bridge.count_unsent(side, "no_socket"),
            }
        }
    }

    fn close(&mut self, slot: usize, reason: CloseReason) {
        let Some(call) = self.slots[slot].as_mut() else {
            return;
        };
        call.bridge.close(Instant::now());
        self.send(slot);
        let Some(call) = self.slots[slot].take() else {
            return;
        };
        self.deadlines.set(slot, None);
        self.demultiplexer.remove(slot);
        self.keys.remove(&call.key);
        self.free.push(slot);
        self.load.fetch_sub(1, Ordering::Relaxed);
        let statistics = call.bridge.statistics();
        count_call(Side::Browser, &statistics.browser.dropped);
        count_call(Side::Pbx, &statistics.pbx.dropped);
        // The ports go back before the owner hears of it, so that it can count on that.
        drop(call.pbx);
        call.farewell
            .send(MediaEvent::Closed { reason, statistics });
    }

    fn flush_counters(&mut self) {
        let counters = &mut self.counters;
        metrics::counter!("trunkline_media_datagrams_total", "direction" => "in")
            .increment(counters.received);
        metrics::counter!("trunkline_media_datagrams_total", "direction" => "out")
            .increment(counters.sent);
        for (reason, count) in counters.drops.iter() {
            metrics::counter!("trunkline_media_dropped_total", "side" => "worker", "reason" => reason)
                .increment(count);
        }
        counters.received = 0;
        counters.sent = 0;
        counters.drops.clear();
    }
}

/// Adds what a call dropped to the metrics, at its end.
fn count_call(side: Side, drops: &Drops) {
    for (reason, count) in drops.iter() {
        metrics::counter!("trunkline_media_dropped_total", "side" => side.name(), "reason" => reason)
            .increment(count);
    }
}
