//! The composition root: binds, starts and joins the parts, and stops them in order.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: starts the gateway's tasks"
)]

mod installation;
mod intake;
mod plan;
mod port_conflicts;
mod trial;
mod warnings;

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::built_in::{self, BuiltIn};
use crate::call::{ClientEvent, IncomingLimits, LocationService};
use crate::control::{CallControl, InMemoryLocationService, Resources};
use crate::dscp::Dscp;
use crate::media::{WorkerConfig, WorkerHandle};
use crate::peer::{self, Certificate, CheckRate, LocalCandidate};
use crate::settings::{self, Settings};
use crate::signaling::{self, Door, DoorLimits};
use crate::supervision::{Ending, Fault, Supervisor, Task};
use crate::{media, sip, sip_ws};
use installation::{installation, is_named};
use plan::Plan;
pub use trial::{Checked, check, load};

/// Incoming SIP calls that may wait to be routed.
const INCOMING_QUEUE: usize = 1_024;

/// Texts that may wait for their turn.
const MESSAGE_QUEUE: usize = 64;

/// How long a new page may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long everything may take to end once it was told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A gateway that could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Settings(#[from] settings::Errors),
    /// The SIP side.
    #[error("SIP: {0}")]
    Sip(#[from] sip::Error),
    /// The media workers.
    #[error("media: {0}")]
    Media(#[from] media::Error),
    /// The WebRTC side.
    #[error("WebRTC: {0}")]
    Peer(#[from] peer::Error),
    /// The built-in numbers.
    #[error(transparent)]
    BuiltIn(#[from] built_in::Error),
    /// A file of the configuration.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP listener.
    #[error("http.listen {address}: {source}")]
    Http {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A running gateway.
pub struct Gateway {
    call_control: Arc<CallControl>,
    location_service: Arc<dyn LocationService>,
    sip: sip::Handle,
    workers: Vec<WorkerHandle>,
    http: SocketAddr,
    stop: watch::Sender<bool>,
    supervisor: Supervisor,
    has_built_in_numbers: bool,
    drain_timeout: Duration,
}

impl Gateway {
    /// Starts everything. `metrics` writes the metrics for `/metrics`.
    pub async fn start(
        settings: Settings,
        metrics: Box<dyn Fn() -> String + Send + Sync>,
    ) -> Result<Self, Error> {
        let plan = Plan::new(&settings)?;
        let http_error = |source| Error::Http {
            address: settings.http.listen,
            source,
        };
        let listener = TcpListener::bind(settings.http.listen)
            .await
            .map_err(http_error)?;
        let http = listener.local_addr().map_err(http_error)?;
        let supervisor = Supervisor::starting();
        let (workers, handles) = start_workers(&settings, plan.dscp.media, &supervisor)?;

        for trunk in &plan.shows_keys {
            tracing::warn!(
                %trunk,
                "srtp keys travel in sip that is not encrypted: who reads it hears the calls; \
                 use transport=tls"
            );
        }
        for warning in warnings::at_start(&settings) {
            tracing::warn!("{warning}");
        }
        let mut trunks = plan.trunks;
        let built_in = start_built_in(&settings, &plan.listen, &mut trunks, &supervisor).await?;
        let (incoming_sender, incoming) = mpsc::channel(INCOMING_QUEUE);
        let installation = installation(&settings.sip);
        if installation.is_none() && trunks.iter().any(is_named) {
            tracing::warn!(
                "this machine has no identity: registrations of a gateway elsewhere with the same \
                 sip.listen are taken for ours unless sip.instance is set"
            );
        }
        let config = sip::Config {
            listen: plan.listen,
            dns_servers: plan.dns_servers,
            advertised: settings.sip.advertise,
            user_agent: concat!("Trunkline/", env!("CARGO_PKG_VERSION")).to_owned(),
            installation,
            trunks,
            tls: plan.tls,
            dscp: plan.dscp.sip,
            limits: plan.sip_limits,
            supervisor: supervisor.clone(),
        };
        let sip = sip::start(config, incoming_sender).await?;
        let has_built_in_numbers = built_in.is_some();
        if let Some(built_in) = built_in {
            tokio::spawn(supervisor.watch(Task::BuiltIn, built_in.run()));
        }

        let location_service = location_service(plan.known, plan.watched);
        let presence = tell_presence(Arc::clone(&location_service), sip.clone());
        tokio::spawn(supervisor.watch(Task::Presence, presence));
        let call_control = Arc::new(CallControl::new(Resources {
            sip: sip.clone(),
            workers,
            rtp: plan.rtp.open(&plan.rtp_ports, plan.dscp.media)?,
            location_service: Arc::clone(&location_service),
            routes: plan.routes,
            trunks: plan.rules,
            max_calls: settings.calls.max,
            incoming_limits: IncomingLimits {
                ringing: settings.calls.max_ringing_per_client,
                answered: settings.calls.max_per_connection,
            },
            supervisor: supervisor.clone(),
        }));
        let (message_sender, messages) = mpsc::channel(MESSAGE_QUEUE);
        sip.take_messages(message_sender).await;
        let takers = intake::Takers {
            supervisor: supervisor.clone(),
            call_control: Arc::clone(&call_control),
            sip: sip.clone(),
        };
        let messages = takers.clone().take_messages(messages);
        tokio::spawn(supervisor.watch(Task::IncomingMessages, messages));
        tokio::spawn(supervisor.watch(Task::IncomingCalls, takers.take_calls(incoming)));

        let registrations = sip.clone();
        let faults = supervisor.clone();
        // Checked when the settings were read.
        let trusted_proxies = settings.http.proxies().unwrap_or_default();
        let door = Arc::new(Door {
            call_control: Arc::clone(&call_control),
            location_service: Arc::clone(&location_service),
            sign_in: plan.sign_in,
            attempts: plan::attempts(&settings),
            ice_servers: plan.ice_servers,
            numbers: built_in_numbers(has_built_in_numbers),
            limits: DoorLimits {
                sockets: settings.http.max_sockets,
                sockets_per_address: settings.http.max_sockets_per_address,
                calls_per_connection: settings.calls.max_per_connection,
                idle: Duration::from_secs(settings.http.idle_timeout),
                hello: HELLO_TIMEOUT,
            },
            refusals: signaling::Refusals::default(),
            allowed_origins: settings.http.allowed_origins.clone(),
            host_names: settings.http.host_names.clone(),
            trusted_proxies: trusted_proxies.clone(),
            metrics,
            health: Box::new(move || health(&registrations, faults.fault())),
            started: tokio::time::Instant::now(),
            open: Arc::default(),
        });
        let stop = watch::Sender::new(false);
        let routes = signaling::router(Arc::clone(&door), sockets(&door, &settings));
        let accepted = signaling::ConnectionLimits {
            connections: settings.http.max_connections,
            connections_per_address: settings.http.max_connections_per_address,
            trusted_proxies,
        };
        let http_server = signaling::serve(listener, routes, accepted, stop.subscribe());
        tokio::spawn(supervisor.watch(Task::Http, http_server));
        let sip_addresses: Vec<String> = sip
            .local_addresses()
            .iter()
            .map(|listen| format!("{}:{}", listen.transport, listen.address))
            .collect();
        let media_addresses: Vec<_> = handles
            .iter()
            .flat_map(|worker| worker.local_addresses().to_vec())
            .collect();
        tracing::info!(%http, sip = ?sip_addresses, media = ?media_addresses, "gateway is up");
        supervisor.started();
        Ok(Gateway {
            call_control,
            location_service,
            sip,
            workers: handles,
            http,
            stop,
            supervisor,
            has_built_in_numbers,
            drain_timeout: Duration::from_secs(settings.calls.drain_timeout),
        })
    }

    /// Whether `echo` and the other built-in numbers are answered: they may be turned off, and need
    /// a UDP listener of SIP.
    pub fn has_built_in_numbers(&self) -> bool {
        self.has_built_in_numbers
    }

    /// Where the page is, as a browser on this machine reaches it.
    pub fn page_address(&self) -> SocketAddr {
        let mut page = self.http;
        if page.ip().is_unspecified() {
            page.set_ip(match page {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        page
    }

    /// Where HTTP is spoken.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Where SIP is spoken.
    pub fn sip_addresses(&self) -> Vec<sip::Listen> {
        self.sip.local_addresses().to_vec()
    }

    /// Reads the certificates of SIP again, for TLS handshakes to come.
    pub async fn reload(&self) {
        self.sip.read_certificates().await;
    }

    /// The first task that ended although nothing asked it to: the gateway no longer works as a
    /// whole, `/health` says 503.
    pub fn fault(&self) -> Option<Fault> {
        self.supervisor.fault()
    }

    /// Waits for the first fault.
    pub async fn failed(&self) -> Fault {
        self.supervisor.failed().await
    }

    /// Ends a task, for tests of what follows.
    #[doc(hidden)]
    pub fn end_task(&self, task: Task, ending: Ending) {
        self.supervisor.end(task, ending);
        if task == Task::MediaWorker {
            // A thread takes no such order: it returns.
            self.workers.iter().for_each(WorkerHandle::shut_down);
        }
    }

    /// Takes no new calls, and waits until the last has ended or the deadline has passed.
    pub async fn drain(&self) {
        self.call_control.drain();
        for page in self.location_service.local_endpoints() {
            let _ = page.try_send(ClientEvent::Draining {
                remaining: self.drain_timeout,
            });
        }
        if !self.call_control.wait_until_empty(self.drain_timeout).await {
            tracing::warn!(
                calls = self.call_control.open_calls(),
                "drain deadline passed, ending calls"
            );
        }
    }

    /// Ends what is left, unregisters, says goodbye.
    pub async fn stop(self) {
        self.supervisor.stop();
        self.call_control.stop();
        self.call_control.wait_until_empty(STOP_TIMEOUT).await;
        for page in self.location_service.local_endpoints() {
            let _ = page.try_send(ClientEvent::ShutDown);
        }
        if tokio::time::timeout(STOP_TIMEOUT, self.sip.shut_down())
            .await
            .is_err()
        {
            tracing::warn!("SIP side did not stop in time");
        }
        self.stop.send_replace(true);
        for worker in self.workers {
            worker.shut_down();
        }
        tracing::info!("gateway is down");
    }
}

/// The location service of this process.
fn location_service(known: HashSet<String>, watched: HashSet<String>) -> Arc<dyn LocationService> {
    Arc::new(InMemoryLocationService::new(known).watching(watched))
}

/// The doors by WebSocket that are switched on beside `/rtc`.
fn sockets(door: &Arc<Door>, settings: &Settings) -> Vec<signaling::SocketRoute> {
    let sip = settings
        .sip_websocket
        .enabled
        .then(|| sip_ws::route(Arc::clone(door), plan::accounts(settings)));
    sip.into_iter().collect()
}

/// Tells the SIP side which users with lines of their own are signed in, as long as it runs.
async fn tell_presence(location_service: Arc<dyn LocationService>, sip: sip::Handle) {
    loop {
        for (user, present) in location_service.changes().await {
            if sip.present(user, present).await.is_err() {
                return intake::after_the_end_of_sip().await;
            }
        }
    }
}

fn health(sip: &sip::Handle, fault: Option<Fault>) -> serde_json::Value {
    let mut trunks: BTreeMap<String, String> = BTreeMap::new();
    // Users are counted: their names are not for everybody who may ask for health.
    let mut users: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for sip::RegistrationStatus {
        trunk,
        account,
        state,
    } in sip.registrations()
    {
        let word = state.as_str();
        match (account, state) {
            (Some(_), _) => *users.entry(trunk).or_default().entry(word).or_default() += 1,
            (None, sip::RegistrationState::Failed { status }) => {
                let why = state
                    .explanation()
                    .map_or(String::new(), |why| format!(" ({why})"));
                trunks.insert(trunk, format!("{word}: {status}{why}"));
            }
            (None, _) => {
                trunks.insert(trunk, word.to_owned());
            }
        }
    }
    let mut targets: BTreeMap<String, BTreeMap<String, &str>> = BTreeMap::new();
    for status in sip.targets() {
        let word = if status.is_up { "up" } else { "down" };
        let of_trunk = targets.entry(status.trunk).or_default();
        of_trunk.insert(status.target, word);
    }
    let mut report = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "registrations": trunks,
        "user_registrations": users,
        "targets": targets,
    });
    if let Some(fault) = fault {
        report["failed_task"] = fault.task.name().into();
    }
    report
}

fn built_in_numbers(answered: bool) -> Vec<signaling::Number> {
    if !answered {
        return Vec::new();
    }
    built_in::BuiltInNumber::ALL
        .into_iter()
        .map(|number| signaling::Number {
            number: number.dialled().to_owned(),
            description: number.description().to_owned(),
        })
        .collect()
}

/// The built-in numbers, and the trunk that leads to them.
async fn start_built_in(
    settings: &Settings,
    listen: &[sip::Listen],
    trunks: &mut Vec<sip::Trunk>,
    supervisor: &Supervisor,
) -> Result<Option<BuiltIn>, Error> {
    let gateway = listen
        .iter()
        .find(|listen| listen.transport == sip::Transport::Udp);
    let Some(gateway) = gateway.filter(|_| settings.built_in.enabled) else {
        return Ok(None);
    };
    let built_in = BuiltIn::bind(gateway.address, supervisor.named(Task::BuiltIn)).await?;
    if let Some(address) = built_in.address() {
        let target = sip::Target::at(address, sip::Transport::Udp);
        // Other programs of this machine send from the same address.
        trunks.push(sip::Trunk {
            exact_source: true,
            ..sip::Trunk::new(built_in::TRUNK, target)
        });
    }
    Ok(Some(built_in))
}

/// A worker with the configuration of the peers that live on it.
type Worker = (WorkerHandle, Arc<peer::Config>);

/// The addresses of this machine's interfaces.
fn machine_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(if_addrs::Interface::ip).collect()
}

/// How many media workers there are.
fn worker_count(settings: &Settings) -> usize {
    match settings.media.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

fn start_workers(
    settings: &Settings,
    dscp: Dscp,
    supervisor: &Supervisor,
) -> Result<(Vec<Worker>, Vec<WorkerHandle>), Error> {
    let certificate = Arc::new(certificate(settings)?);
    let addresses = plan::browser_addresses(settings, &machine_addresses());
    let count = worker_count(settings);
    let check_rate = Arc::new(CheckRate::new(
        peer::CHECKS_PER_SECOND,
        peer::CHECK_BURST,
        Instant::now(),
    ));
    let mut workers = Vec::with_capacity(count);
    let mut handles = Vec::with_capacity(count);
    for index in 0..count {
        let offset = u16::try_from(index).unwrap_or(u16::MAX);
        let port = match settings.webrtc.port {
            0 => 0,
            first => first.saturating_add(offset),
        };
        let config = WorkerConfig {
            addresses: addresses.clone(),
            port,
            path: media::pipeline::Config {
                opus_complexity: settings.media.opus_complexity,
                reorder_window: Duration::from_millis(settings.media.reorder_window),
                ..media::pipeline::Config::default()
            },
            media_timeout: Duration::from_secs(settings.media.silence_timeout),
            dscp,
            supervisor: supervisor.clone(),
            ..WorkerConfig::default()
        };
        let (worker, _thread) = WorkerHandle::start(config)?;
        let candidates = worker
            .local_addresses()
            .iter()
            .map(|bound| {
                let public = addresses.iter().position(|address| *address == bound.ip());
                let advertised = public.and_then(|at| settings.webrtc.advertise.get(at));
                LocalCandidate {
                    bound: *bound,
                    advertised: SocketAddr::new(*advertised.unwrap_or(&bound.ip()), bound.port()),
                }
            })
            .collect();
        let mut peers = peer::Config::new(
            Arc::clone(&certificate),
            candidates,
            Arc::clone(&check_rate),
        );
        peers.lite = settings.webrtc.lite;
        handles.push(worker.clone());
        workers.push((worker, Arc::new(peers)));
    }
    Ok((workers, handles))
}

fn certificate(settings: &Settings) -> Result<Certificate, Error> {
    let (Some(certificate), Some(key)) = (
        &settings.webrtc.certificate,
        &settings.webrtc.certificate_key,
    ) else {
        return Ok(Certificate::generate()?);
    };
    let read = |path: &std::path::Path| {
        std::fs::read_to_string(path).map_err(|source| Error::File {
            path: path.display().to_string(),
            source,
        })
    };
    Ok(Certificate::from_pem(&read(certificate)?, &read(key)?)?)
}
