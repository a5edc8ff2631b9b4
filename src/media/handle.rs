//! How the owners of calls talk to a media worker: a bounded queue of commands in, one bounded
//! channel of events per call out.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::worker::{self, Order};
use super::{CallKey, Command, Error, MediaEvent, WorkerConfig};
use crate::peer::Peer;

/// How many commands may wait for a worker.
pub(super) const COMMAND_CAPACITY: usize = 4096;

/// What the handles of one worker share.
struct Shared {
    orders: SyncSender<Order>,
    waker: Arc<mio::Waker>,
    stop: Arc<AtomicBool>,
    load: Arc<AtomicUsize>,
    local_addresses: Vec<SocketAddr>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // If this fails, the worker sees the flag at its next regular wake-up.
        let _ = self.waker.wake();
    }
}

/// A media worker, from outside. Clones share it; when the last one drops, the worker shuts
/// down.
pub struct WorkerHandle {
    shared: Arc<Shared>,
}

impl Clone for WorkerHandle {
    fn clone(&self) -> Self {
        WorkerHandle {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle")
            .field("local_addresses", &self.shared.local_addresses)
            .field("load", &self.load())
            .finish_non_exhaustive()
    }
}

impl WorkerHandle {
    /// Binds the sockets and starts the thread.
    pub fn start(config: WorkerConfig) -> Result<(Self, JoinHandle<()>), Error> {
        let started = worker::start(config, COMMAND_CAPACITY)?;
        let shared = Shared {
            orders: started.orders,
            waker: started.waker,
            stop: started.stop,
            load: started.load,
            local_addresses: started.local_addresses,
        };
        Ok((
            WorkerHandle {
                shared: Arc::new(shared),
            },
            started.thread,
        ))
    }

    /// The WebRTC sockets: what ICE host candidates are made of.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.shared.local_addresses
    }

    /// How many calls are open, those included that are on their way to the worker.
    pub fn load(&self) -> usize {
        self.shared.load.load(Ordering::Relaxed)
    }

    /// Hands a call to the worker. One place of `events` is kept for [`MediaEvent::Closed`], so
    /// its capacity is at least a few dozen.
    pub fn open(
        &self,
        key: CallKey,
        peer: Peer,
        events: mpsc::Sender<MediaEvent>,
    ) -> Result<(), Error> {
        let close_permit = events
            .clone()
            .try_reserve_owned()
            .map_err(|_| Error::EventChannel)?;
        self.shared.load.fetch_add(1, Ordering::Relaxed);
        self.send(Order::Open {
            key,
            peer: Box::new(peer),
            events,
            close_permit,
        })
        .inspect_err(|_| {
            self.shared.load.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// Gives a call a command. Commands for a call that is gone are dropped.
    pub fn command(&self, key: CallKey, command: Command) -> Result<(), Error> {
        self.send(Order::Call { key, command })
    }

    /// Ends every call and then the thread.
    pub fn shut_down(&self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = self.shared.waker.wake();
    }

    fn send(&self, order: Order) -> Result<(), Error> {
        self.shared
            .orders
            .try_send(order)
            .map_err(|error| match error {
                TrySendError::Full(_) => Error::Busy {
                    capacity: COMMAND_CAPACITY,
                },
                TrySendError::Disconnected(_) => Error::Stopped,
            })?;
        self.shared.waker.wake().map_err(|source| Error::Start {
            part: "wake-up",
            source,
        })
    }
}
