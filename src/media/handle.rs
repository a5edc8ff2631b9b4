//! How the owners of calls talk to a media worker: a bounded queue of commands in, one bounded
//! channel of events per call out.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use super::path;
use super::worker::{self, Order};
use super::{CallStatistics, Error, Latching, RtpSockets, SecureLeg};
use crate::codec::AudioFormat;
use crate::dscp::Dscp;
use crate::protection::Protection;
use crate::supervision::Supervisor;

/// How many commands may wait for a worker.
pub(super) const COMMAND_CAPACITY: usize = 4096;

/// What a worker is made of.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The local addresses on which browsers reach the worker: one socket each, all on the same
    /// port. They are addresses of the machine, not 0.0.0.0: a browser must be answered from
    /// the address that it wrote to.
    pub addresses: Vec<IpAddr>,
    /// The port; 0 takes one that is free on all addresses.
    pub port: u16,
    /// Settings of every path.
    pub path: path::Config,
    /// After how long without audio a side that should send is reported as silent; zero: never.
    pub media_timeout: Duration,
    /// The mean time between two RTCP reports; each is drawn from half to one and a half of it
    /// (RFC 3550 section 6.2).
    pub report_interval: Duration,
    /// The time between two [`MediaEvent::Statistics`].
    pub statistics_interval: Duration,
    /// The kernel's receive buffer of each WebRTC socket, octets; zero leaves the system's.
    pub receive_buffer: usize,
    /// How all that the WebRTC sockets send is marked: DTLS and STUN like the audio beside them
    /// (RFC 8837 section 5).
    pub dscp: Dscp,
    /// Watches the worker's thread.
    pub supervisor: Supervisor,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        WorkerConfig {
            addresses: Vec::new(),
            port: 0,
            path: path::Config::default(),
            media_timeout: Duration::from_secs(30),
            report_interval: Duration::from_secs(2),
            statistics_interval: Duration::from_secs(2),
            receive_buffer: 4 * 1024 * 1024,
            dscp: Dscp::DEFAULT,
            supervisor: Supervisor::default(),
        }
    }
}

/// Names a call towards its worker. Its owner chooses it; it is unique on the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub u64);

/// One of the two ends of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The WebRTC side.
    Browser,
    /// The SIP side.
    Pbx,
}

impl Side {
    /// The name as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Browser => "browser",
            Side::Pbx => "pbx",
        }
    }
}

/// What the owner of a call asks of its worker.
#[derive(Debug)]
pub enum Command<C> {
    /// For the leg.
    Leg(C),
    /// The sockets of the PBX side.
    AttachRtp(RtpSockets),
    /// Where the PBX's SDP says that it receives; see [`super::SymmetricRtp::set_remote`].
    SetRemoteRtp {
        /// RTP.
        rtp: SocketAddr,
        /// RTCP; without it the port above RTP's, equal to `rtp` when both share the port.
        rtcp: Option<SocketAddr>,
        /// What protects packets to and from there; none: they are plain.
        protection: Option<Protection>,
    },
    /// A leg to a PBX begins: addresses of a leg before it are forgotten.
    ExpectRtp(Latching),
    /// The IP address that the SIP messages of the PBX come from.
    SetRtpPeer(IpAddr),
    /// Looks for digits in the audio of the PBX, as tones (ITU-T Q.23), besides telephone events.
    DetectDigits,
    /// What was negotiated on each side: starts both paths, or changes them.
    SetFormats {
        /// The browser's side.
        browser: AudioFormat,
        /// The PBX's side.
        pbx: AudioFormat,
    },
    /// Sends digits.
    SendDigits {
        /// To whom.
        to: Side,
        /// Of `0-9*#A-D`, and `,` for a pause.
        digits: String,
        /// How long each lasts.
        duration: Duration,
    },
    /// Ends the call's media.
    Close,
}

/// Why a worker let go of a call.
#[derive(Debug)]
pub enum CloseReason {
    /// The owner said [`Command::Close`].
    Commanded,
    /// The worker shuts down.
    ShutDown,
    /// An event other than statistics found no room in the owner's channel: the owner no longer
    /// knows what happens.
    EventsLost,
    /// The owner dropped its end of the channel.
    Abandoned,
    /// The key or the leg's user name fragment belongs to another call.
    Conflict,
    /// The call's media could not be set up.
    Failed(Error),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Commanded => f.write_str("closed by its owner"),
            CloseReason::ShutDown => f.write_str("media worker shut down"),
            CloseReason::EventsLost => f.write_str("event channel full"),
            CloseReason::Abandoned => f.write_str("event channel closed"),
            CloseReason::Conflict => f.write_str("call key or user name fragment already in use"),
            CloseReason::Failed(error) => write!(f, "media failed: {error}"),
        }
    }
}

/// What a worker tells the owner of a call.
#[derive(Debug)]
pub enum MediaEvent<E> {
    /// Of the leg.
    Leg(E),
    /// A key was pressed and let go.
    Digit {
        /// By whom.
        from: Side,
        /// One of `0-9*#A-D`.
        digit: char,
        /// For how long.
        duration: Duration,
    },
    /// The first audio packet of a side, and the first after a time in which none was to come.
    FirstAudio {
        /// Whose.
        from: Side,
    },
    /// No audio for the configured time from a side that should send. Told once; audio that
    /// comes later makes it possible again.
    Silent {
        /// Whose.
        from: Side,
    },
    /// A side that should send has been without audio for 3 s (`silent`), or audio came again, or
    /// is no longer expected of it.
    AudioChanged {
        /// Whose.
        from: Side,
        /// Whether none comes.
        silent: bool,
    },
    /// The PBX sends from another address than it was thought to have; audio goes there now.
    RemoteLatched {
        /// The source.
        rtp: SocketAddr,
    },
    /// RTP came from an address that [`Latching`] does not allow, and is not taken. Told once a
    /// call; all are counted.
    UnexpectedSource {
        /// The source.
        rtp: SocketAddr,
    },
    /// RTP from an address of neither SDP nor SIP is played to the browser from now on, since
    /// nothing came from those ([`Latching::heard_after`]). Audio goes where it went. Told once a
    /// leg to a PBX.
    UnexpectedSourceHeard {
        /// The source.
        rtp: SocketAddr,
        /// The address of the SDP.
        signalled: SocketAddr,
    },
    /// Digits that cannot be sent. The call goes on.
    DigitsRefused(Error),
    /// How the call is doing, in regular intervals. Counts are totals: when the channel is full
    /// they are left out, and the next say it all.
    Statistics(CallStatistics),
    /// The last event: the worker let go of the call. There is always room for it.
    Closed {
        /// Why.
        reason: CloseReason,
        /// The final count.
        statistics: CallStatistics,
    },
}

/// What the handles of one worker share.
struct Shared<L: SecureLeg> {
    orders: SyncSender<Order<L>>,
    waker: Arc<mio::Waker>,
    stop: Arc<AtomicBool>,
    load: Arc<AtomicUsize>,
    local_addresses: Vec<SocketAddr>,
}

impl<L: SecureLeg> Drop for Shared<L> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // If this fails, the worker sees the flag at its next regular wake-up.
        let _ = self.waker.wake();
    }
}

/// A media worker, from outside. Clones share it; when the last one drops, the worker shuts
/// down.
pub struct WorkerHandle<L: SecureLeg> {
    shared: Arc<Shared<L>>,
}

impl<L: SecureLeg> Clone for WorkerHandle<L> {
    fn clone(&self) -> Self {
        WorkerHandle {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<L: SecureLeg> fmt::Debug for WorkerHandle<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle")
            .field("local_addresses", &self.shared.local_addresses)
            .field("load", &self.load())
            .finish_non_exhaustive()
    }
}

impl<L: SecureLeg> WorkerHandle<L> {
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
        leg: L,
        events: mpsc::Sender<MediaEvent<L::Event>>,
    ) -> Result<(), Error> {
        let farewell = events
            .clone()
            .try_reserve_owned()
            .map_err(|_| Error::EventChannel)?;
        self.shared.load.fetch_add(1, Ordering::Relaxed);
        self.send(Order::Open {
            key,
            leg,
            events,
            farewell,
        })
        .inspect_err(|_| {
            self.shared.load.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// Gives a call a command. Commands for a call that is gone are dropped.
    pub fn command(&self, key: CallKey, command: Command<L::Command>) -> Result<(), Error> {
        self.send(Order::Call { key, command })
    }

    /// Ends every call and then the thread.
    pub fn shut_down(&self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = self.shared.waker.wake();
    }

    fn send(&self, order: Order<L>) -> Result<(), Error> {
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
