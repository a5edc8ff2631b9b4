//! The driver: one thread's event loop over its sockets, its calls and its queue of orders.
//!
//! Nothing is shared between workers, and nothing is locked, allocated or logged for a packet.
//! Sockets are edge-triggered: a wake-up reads a socket until it is empty, or until its share is
//! used up; then it stays on the list of unread sockets and the others get their turn.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: reads the clock for the calls, draws their identities"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Poll, Token};
use tokio::sync::mpsc;

use super::bridge::Bridge;
use super::bridge_config::BridgeConfig;
use super::call_socket::CallSocket;
use super::call_table::{CallTable, PbxSockets, Slot};
use super::demultiplexer::Unknown;
use super::order::Order;
use super::pbx_end::Channel;
use super::reporter::WallClock;
use crate::media::pipeline::StreamIdentity;
use crate::media::statistics::Drops;
use crate::media::{
    CallKey, CallStatistics, CloseReason, Command, Error, MediaEvent, RtpSockets, StreamId,
    WorkerConfig,
};
use crate::peer::{Peer, Route, stun_username};
use crate::stun::begins_like_stun;
use crate::timer_queue::TimerSlot;

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
pub(super) const HOUSEKEEPING: Duration = Duration::from_secs(2);
pub(super) const WAKER: Token = Token(usize::MAX);

pub(super) struct SharedSocket {
    pub(super) socket: UdpSocket,
    pub(super) local: SocketAddr,
}

/// Reused for every datagram.
pub(super) struct Buffers {
    pub(super) received: Box<[u8]>,
    pub(super) plain: Vec<u8>,
    pub(super) out: Vec<u8>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Buffers {
            received: vec![0; RECEIVE_LENGTH].into_boxed_slice(),
            plain: Vec::with_capacity(RECEIVE_LENGTH),
            out: Vec::with_capacity(RECEIVE_LENGTH),
        }
    }
}

/// What the worker counted since the last housekeeping.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) drops: Drops,
}

pub(super) struct Worker {
    pub(super) poll: Poll,
    pub(super) orders: Receiver<Order>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) load: Arc<AtomicUsize>,
    pub(super) shared: Vec<SharedSocket>,
    pub(super) calls: CallTable,
    /// Sockets that were not read to their end.
    pub(super) unread: Vec<Token>,
    /// The queue of orders was not read to its end.
    pub(super) orders_left: bool,
    pub(super) buffers: Buffers,
    pub(super) counters: Counters,
    pub(super) clock: WallClock,
    pub(super) next_housekeeping: Instant,
    pub(super) config: WorkerConfig,
}

impl Worker {
    pub(super) fn run(mut self) {
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
        for index in 0..self.calls.slots.len() {
            self.close(index, CloseReason::ShutDown, Instant::now());
        }
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Open { close_permit, .. } = order {
                self.refuse(close_permit, CloseReason::ShutDown);
            }
        }
        self.flush_counters();
    }

    fn time_to_sleep(&self) -> Duration {
        let next = match self.calls.timers.next() {
            Some(deadline) => deadline.min(self.next_housekeeping),
            None => self.next_housekeeping,
        };
        next.saturating_duration_since(Instant::now())
    }

    fn read(&mut self, token: Token) {
        let unread = match (token, CallSocket::of_token(token)) {
            (WAKER, _) => false,
            (_, Some(socket)) => self.read_call(socket),
            (Token(index), None) => self.read_shared(index),
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
            let slot = match self.find(remote, length) {
                // The call of a browser's first check may be in the queue: look there before
                // the browser has to repeat itself.
                Err(Unknown::Ufrag) => {
                    self.orders_left = self.take_orders();
                    self.find(remote, length)
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
            let Some(call) = self.calls.get(slot) else {
                continue;
            };
            let route = Route { local, remote };
            let evidence = call
                .bridge
                .handle_browser_datagram(route, datagram, plain, now);
            self.calls.learn(slot, remote, evidence, now);
            self.pump(slot, now);
        }
        true
    }

    /// The call of the received datagram.
    fn find(&mut self, remote: SocketAddr, length: usize) -> Result<usize, Unknown> {
        let datagram = &self.buffers.received[..length];
        let ufrag = if begins_like_stun(datagram) {
            stun_username(datagram).map(|(local, _)| local)
        } else {
            None
        };
        self.calls.demultiplexer.find(remote, ufrag, datagram)
    }

    /// Reads a socket of a call; whether there may be more.
    fn read_call(&mut self, socket: CallSocket) -> bool {
        let CallSocket {
            slot,
            stream,
            channel,
        } = socket;
        for _ in 0..CALL_SHARE {
            let Some(call) = self.calls.get(slot) else {
                return false;
            };
            let Some(socket) = call.socket(stream, channel) else {
                return false;
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
            let Buffers {
                received, plain, ..
            } = &mut self.buffers;
            let datagram = &received[..length];
            call.bridge
                .handle_pbx_datagram(stream, (channel, source), datagram, plain, now);
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
                    peer,
                    events,
                    close_permit,
                } => {
                    self.open(key, *peer, events, close_permit, now);
                }
                Order::Call { key, command } => match self.calls.find(key) {
                    Some(slot) => self.command(slot, command, now),
                    None => self.counters.drops.count("command_for_no_call"),
                },
            }
        }
        true
    }

    fn open(
        &mut self,
        key: CallKey,
        peer: Peer,
        events: mpsc::Sender<MediaEvent>,
        close_permit: mpsc::OwnedPermit<MediaEvent>,
        now: Instant,
    ) {
        let Some(slot) = self.calls.reserve(key, peer.local_ufrags()) else {
            self.refuse(close_permit, CloseReason::Conflict);
            return;
        };
        self.calls.slots[slot] = Some(Slot {
            key,
            bridge: Bridge::new(peer, self.bridge_config(), now),
            pbx: Vec::new(),
            events,
            close_permit,
            refreshed: None,
            timer: TimerSlot::default(),
        });
        self.pump(slot, now);
    }

    /// Ends a call that never began.
    fn refuse(&self, close_permit: mpsc::OwnedPermit<MediaEvent>, reason: CloseReason) {
        self.load.fetch_sub(1, Ordering::Relaxed);
        close_permit.send(MediaEvent::Closed {
            reason,
            statistics: CallStatistics::default(),
        });
    }

    fn bridge_config(&self) -> BridgeConfig {
        let identity = || StreamIdentity {
            ssrc: rand::random(),
            // Not where it would soon begin anew: a receiver that lost packets around that would
            // guess the rollover counter of SRTP wrongly (RFC 3711 section 3.3.1).
            first_sequence: rand::random::<u16>() & 0x7fff,
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

    fn command(&mut self, slot: usize, command: Command, now: Instant) {
        let Some(call) = self.calls.get(slot) else {
            return;
        };
        let done = match command {
            Command::SetRemoteDescription(description) => {
                let browser_end = call.bridge.browser_end();
                browser_end.set_remote_description(*description, now);
                Ok(())
            }
            Command::AddRemoteCandidate(candidate) => {
                let browser_end = call.bridge.browser_end();
                browser_end.add_remote_candidate(&candidate, now);
                Ok(())
            }
            Command::RestartIce => {
                call.bridge.browser_end().restart_ice(now);
                self.calls.learn_ufrags(slot)
            }
            Command::AttachRtp(stream, sockets) => {
                let local = sockets.local;
                self.attach(slot, stream, sockets).map_err(|source| {
                    CloseReason::Failed(Error::Socket {
                        address: local,
                        source,
                    })
                })
            }
            Command::Audio(stream, command) => {
                match call.bridge.command_audio(stream, command, now) {
                    Ok(true) => Ok(()),
                    Ok(false) => {
                        self.counters.drops.count("command_for_no_stream");
                        Ok(())
                    }
                    Err(error) => Err(CloseReason::Failed(error)),
                }
            }
            Command::SetRtpPeer(peer) => {
                call.bridge.set_rtp_peer(peer);
                Ok(())
            }
            Command::Close => Err(CloseReason::Commanded),
        };
        match done {
            Ok(()) => self.pump(slot, now),
            Err(reason) => self.close(slot, reason, now),
        }
    }

    fn attach(&mut self, slot: usize, stream: StreamId, sockets: RtpSockets) -> io::Result<()> {
        let RtpSockets {
            rtp, rtcp, lease, ..
        } = sockets;
        let mut pbx = PbxSockets {
            rtp: UdpSocket::from_std(rtp),
            rtcp: UdpSocket::from_std(rtcp),
            _lease: lease,
        };
        let token = |channel| {
            let socket = CallSocket {
                slot,
                stream,
                channel,
            };
            socket.token().ok_or(io::ErrorKind::InvalidInput)
        };
        let registry = self.poll.registry();
        registry.register(&mut pbx.rtp, token(Channel::Rtp)?, Interest::READABLE)?;
        registry.register(&mut pbx.rtcp, token(Channel::Rtcp)?, Interest::READABLE)?;
        if let Some(call) = self.calls.get(slot) {
            // Closing the sockets of before also ends their registration.
            call.pbx.retain(|(id, _)| *id != stream);
            call.pbx.push((stream, pbx));
        }
        Ok(())
    }

    /// Tells every call whose deadline has come.
    fn tell_the_time(&mut self) {
        let now = Instant::now();
        while let Some(slot) = self.calls.timers.expired(now) {
            if let Some(call) = self.calls.get(slot) {
                call.bridge.handle_timeout(now);
                self.pump(slot, now);
            }
        }
        if now >= self.next_housekeeping {
            self.next_housekeeping = now + HOUSEKEEPING;
            self.flush_counters();
        }
    }
}
