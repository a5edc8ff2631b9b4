//! Starts a worker: binds its sockets, makes its event loop, its queue and its thread.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: starts the worker's thread and its clocks"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use mio::net::UdpSocket;
use mio::{Interest, Poll, Token, Waker};

use super::call_socket::CALL_TOKENS;
use super::call_table::CallTable;
use super::order::Order;
use super::reporter::WallClock;
use super::sockets;
use super::task::{Buffers, Counters, HOUSEKEEPING, SharedSocket, WAKER, Worker};
use crate::media::{Error, WorkerConfig};
use crate::rtp::NtpTime;
use crate::supervision::Task;

/// A worker that runs.
pub struct Started {
    /// The queue of orders.
    pub orders: SyncSender<Order>,
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
pub fn start(config: WorkerConfig, capacity: usize) -> Result<Started, Error> {
    let failed = |part| move |source| Error::Start { part, source };
    let poll = Poll::new().map_err(failed("event loop"))?;
    let waker = Waker::new(poll.registry(), WAKER).map_err(failed("waker"))?;
    let bound = sockets::bind_all(&config.addresses, config.port, config.receive_buffer)?;
    for socket in &bound {
        if let Err(error) = config.dscp.mark(socket) {
            tracing::warn!(%error, "audio to browsers is sent without its dscp");
        }
    }
    debug_assert!(
        bound.len() < CALL_TOKENS,
        "tokens of calls come after those of sockets"
    );
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
    let supervisor = config.supervisor.clone();
    let worker = Worker {
        poll,
        orders: received_orders,
        stop: Arc::clone(&stop),
        load: Arc::clone(&load),
        shared,
        calls: CallTable::default(),
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
        .spawn(supervisor.watch_thread(Task::MediaWorker, move || worker.run()))
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
