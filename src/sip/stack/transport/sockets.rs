//! The listeners, the connections, and the one queue through which all of them report.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::config::{ConnectionLimits, TransportConfig};
use super::connection::{Accepting, Opening, Outgoing, Plan, run_accepted, run_opened};
use super::credentials::{Credentials, Sources};
use super::datagrams::Datagrams;
use super::icmp;
use super::inbound::{Inbound, canonical};
use super::reloading::watch;
use crate::dscp::Dscp;
use crate::sip::stack::domain::Domain;
use crate::sip::stack::error::TransportError as Error;
use crate::sip::stack::flow::Transmit;
use crate::sip::stack::listen::{Listen, is_dual};
use crate::sip::stack::resolver::{DnsClient, DnsQuery};
use crate::sip::stack::transport_protocol::Transport;
use crate::supervision::{Supervisor, Task};

/// Messages that wait for the user agent; beyond it datagrams are dropped and counted, streams
/// wait.
const INBOUND_QUEUE: usize = 4_096;
/// Kernel buffers of a UDP socket, bytes: a burst of calls must fit while the user agent is busy.
const UDP_BUFFER: usize = 4 << 20;

/// A message that could not be sent.
#[derive(Debug)]
pub struct Unsent;

/// All sockets of one user agent.
#[derive(Debug)]
pub struct Transports {
    limits: ConnectionLimits,
    dscp: Dscp,
    /// Addresses of the listeners.
    listeners: Vec<IpAddr>,
    udp: HashMap<usize, Arc<UdpSocket>>,
    /// The same sockets, as what arrives on them is read.
    datagrams: Datagrams,
    connections: HashMap<u64, Connection>,
    by_peer: HashMap<Peer, u64>,
    /// Accepted connections of each address.
    by_source: HashMap<IpAddr, usize>,
    /// What handshakes use; `None` where nothing speaks TLS.
    credentials: Option<Credentials>,
    /// Places for accepted connections whose handshake is not done.
    handshakes: Arc<Semaphore>,
    /// Wakes the reader of certificates.
    reload: Arc<Notify>,
    last_connection: u64,
    inbound: mpsc::Sender<Inbound>,
    tasks: JoinSet<()>,
    supervisor: Supervisor,
    dns: Arc<DnsClient>,
}

/// Who is at the other end of a stream. Requests to one of two names at one address never take the
/// connection of the other, nor one that somebody opened from there without showing a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Peer {
    transport: Transport,
    remote: SocketAddr,
    /// Proved by the handshake of a TLS connection that we opened.
    domain: Option<Arc<Domain>>,
}

#[derive(Debug)]
struct Connection {
    peer: Peer,
    accepted: bool,
    queue: mpsc::Sender<Outgoing>,
}

impl Transports {
    /// Opens the listeners. Returns them with their real ports, and the queue they report through.
    pub async fn bind(
        config: &TransportConfig,
    ) -> Result<(Self, Vec<Listen>, mpsc::Receiver<Inbound>), Error> {
        let (inbound, reports) = mpsc::channel(INBOUND_QUEUE);
        let sources = Sources::of(config);
        let credentials = sources.as_ref().map(Sources::load).transpose()?;
        let mut transports = Transports {
            limits: config.limits.clone(),
            dscp: config.dscp,
            listeners: config.listen.iter().map(|at| at.address.ip()).collect(),
            udp: HashMap::new(),
            datagrams: Datagrams::new(),
            connections: HashMap::new(),
            by_peer: HashMap::new(),
            by_source: HashMap::new(),
            credentials,
            handshakes: Arc::new(Semaphore::new(config.limits.handshakes)),
            reload: Arc::default(),
            last_connection: 0,
            inbound,
            tasks: JoinSet::new(),
            supervisor: config.supervisor.clone(),
            dns: Arc::new(DnsClient::new(&config.dns_servers)),
        };
        if let Some(sources) = sources {
            let (asked, inbound) = (transports.reload.clone(), transports.inbound.clone());
            let reading = watch(sources, asked, inbound);
            let reading = config.supervisor.watch(Task::SipCertificates, reading);
            transports.tasks.spawn(reading);
        }
        let mut listeners = Vec::new();
        for (index, listen) in config.listen.iter().enumerate() {
            let address = transports
                .open(index, *listen, is_dual(&config.listen, index))
                .await
                .map_err(|source| Error::Bind {
                    transport: listen.transport,
                    address: listen.address,
                    source,
                })?;
            listeners.push(Listen {
                transport: listen.transport,
                address,
            });
        }
        Ok((transports, listeners, reports))
    }

    async fn open(&mut self, index: usize, listen: Listen, dual: bool) -> io::Result<SocketAddr> {
        let inbound = self.inbound.clone();
        match listen.transport {
            // The HTTP server takes WebSocket connections.
            transport if transport.is_web_socket() => Err(io::ErrorKind::Unsupported.into()),
            transport if !transport.is_reliable() => {
                let socket = socket(listen.address, dual, Type::DGRAM, Protocol::UDP)?;
                self.mark(&socket, listen.address);
                let _ = socket.set_recv_buffer_size(UDP_BUFFER);
                let _ = socket.set_send_buffer_size(UDP_BUFFER);
                let socket = Arc::new(UdpSocket::from_std(socket.into())?);
                // Sends are never waited for: the socket must be known to be writable.
                socket.writable().await?;
                let address = socket.local_addr()?;
                match icmp::ask_for(&socket) {
                    Ok(()) => {
                        let errors = icmp::watch(socket.clone(), index, inbound);
                        let errors = self.supervisor.watch(Task::SipNetworkErrors, errors);
                        self.tasks.spawn(errors);
                    }
                    Err(error) => {
                        tracing::warn!(%address, %error, "no ICMP errors: closed ports are found by timeout");
                    }
                }
                self.udp.insert(index, socket.clone());
                self.datagrams.add(index, socket);
                Ok(address)
            }
            transport if transport.is_secure() && !self.accepts_tls() => {
                tracing::warn!(
                    address = %listen.address,
                    "sip tls has no certificate: connections are opened but none accepted"
                );
                Ok(listen.address)
            }
            transport => {
                let socket = socket(listen.address, dual, Type::STREAM, Protocol::TCP)?;
                // Accepted connections inherit it.
                self.mark(&socket, listen.address);
                socket.listen(1_024)?;
                let listener = TcpListener::from_std(socket.into())?;
                let address = listener.local_addr()?;
                let accepting = accept(listener, transport, index, inbound);
                let accepting = self.supervisor.watch(Task::SipListener, accepting);
                self.tasks.spawn(accepting);
                Ok(address)
            }
        }
    }

    fn mark(&self, socket: &Socket, address: SocketAddr) {
        if let Err(error) = self.dscp.mark(socket) {
            tracing::warn!(%address, %error, "sip is sent without its dscp");
        }
    }

    /// Sends without waiting, and gives the connection of a stream. A message that cannot be sent
    /// is told at once or, for a connection that fails later, as [`Inbound`].
    pub fn send(&mut self, transmit: Transmit) -> Result<Option<u64>, Unsent> {
        if transmit.flow.transport.is_reliable() {
            self.send_on_stream(transmit)
        } else {
            self.send_datagram(transmit)
        }
    }

    fn send_datagram(&self, transmit: Transmit) -> Result<Option<u64>, Unsent> {
        let Some(socket) = self.udp.get(&transmit.flow.listener) else {
            return Err(Unsent);
        };
        // A socket of both families knows IPv4 addresses in IPv6 form (RFC 4291 section 2.5.5.2).
        let bound = self.listeners.get(transmit.flow.listener);
        let remote = match (bound, transmit.flow.remote) {
            (Some(IpAddr::V6(_)), SocketAddr::V4(v4)) => {
                SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()))
            }
            (_, remote) => remote,
        };
        let mut sent = socket.try_send_to(&transmit.bytes, remote);
        for _ in 0..icmp::PENDING {
            match &sent {
                // What the network said of an earlier datagram, told once, keeps this one back.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    sent = socket.try_send_to(&transmit.bytes, remote);
                }
                _ => break,
            }
        }
        match sent {
            Ok(_) => Ok(None),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused
                ) =>
            {
                // Like a loss in the network: the transaction sends it again.
                metrics::counter!("trunkline_sip_send_dropped_total").increment(1);
                Ok(None)
            }
            Err(error) => {
                tracing::debug!(remote = %transmit.flow.remote, %error, "sip datagram not sent");
                Err(Unsent)
            }
        }
    }

    fn send_on_stream(&mut self, transmit: Transmit) -> Result<Option<u64>, Unsent> {
        let flow = transmit.flow;
        let mut outgoing = Outgoing {
            bytes: transmit.bytes,
            transaction: transmit.transaction,
        };
        let mut peer = Peer {
            transport: flow.transport,
            remote: flow.remote,
            domain: transmit.domain,
        };
        let known = flow
            .connection
            .filter(|id| self.connections.contains_key(id))
            .or_else(|| self.by_peer.get(&peer).copied());
        if let Some((id, connection)) = known.and_then(|id| self.connections.get_key_value(&id)) {
            match connection.queue.try_send(outgoing) {
                Ok(()) => return Ok(Some(*id)),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    // A peer that does not read: only its own messages suffer.
                    metrics::counter!("trunkline_sip_send_dropped_total").increment(1);
                    return Err(Unsent);
                }
                Err(mpsc::error::TrySendError::Closed(back)) => outgoing = back,
            }
        }
        let mut elsewhere = None;
        if flow.connection.is_some() {
            peer.remote = flow.reconnect.unwrap_or(flow.remote);
            elsewhere = flow.elsewhere;
        }
        let connects = peer.transport.can_connect_out();
        if !connects || self.connections.len() >= self.limits.connections {
            return Err(Unsent);
        }
        let secure = self.secure(&peer)?;
        let (queue, mut plan, receiver) = self.plan(peer, flow.listener, false);
        plan.elsewhere = elsewhere;
        queue.try_send(outgoing).map_err(|_| Unsent)?;
        let connection = plan.id;
        self.tasks.spawn(run_opened(plan, receiver, secure));
        Ok(Some(connection))
    }

    /// What opening a connection to this peer takes beside TCP.
    fn secure(&self, peer: &Peer) -> Result<Option<Opening>, Unsent> {
        if !peer.transport.is_secure() {
            return Ok(None);
        }
        let (Some(credentials), Some(domain)) = (&self.credentials, &peer.domain) else {
            tracing::debug!(remote = %peer.remote, "sip tls peer without a name to verify");
            return Err(Unsent);
        };
        let name = ServerName::try_from(domain.name.clone()).map_err(|error| {
            tracing::warn!(name = domain.name, %error, "sip tls peer has no name to verify");
            Unsent
        })?;
        let connector = TlsConnector::from(credentials.client(domain.peer));
        Ok(Some((connector, name)))
    }

    fn accepts_tls(&self) -> bool {
        self.credentials
            .as_ref()
            .is_some_and(|credentials| credentials.server.is_some())
    }

    /// Datagrams as they arrive.
    pub fn datagrams(&mut self) -> &mut Datagrams {
        &mut self.datagrams
    }

    /// Reads the certificates again.
    pub fn reload(&self) {
        self.reload.notify_one();
    }

    /// Takes certificates for handshakes to come.
    pub fn renew(&mut self, credentials: Credentials) {
        self.credentials = Some(credentials);
    }

    /// Takes a connection that a peer opened.
    pub fn accept(
        &mut self,
        stream: TcpStream,
        transport: Transport,
        remote: SocketAddr,
        listener: usize,
    ) {
        // A quarter stays for connections that we open ourselves.
        if self.connections.len() >= self.limits.connections - self.limits.connections / 4 {
            return refused(remote, "connections");
        }
        let source = remote.ip().to_canonical();
        let held = self.by_source.get(&source).copied().unwrap_or(0);
        if held >= self.limits.connections_per_source {
            return refused(remote, "connections_per_source");
        }
        let mut secure: Option<Accepting> = None;
        if transport.is_secure() {
            let server = self.credentials.as_ref().and_then(|own| own.server.clone());
            let place = self.handshakes.clone().try_acquire_owned();
            let (Some(server), Ok(place)) = (server, place) else {
                return refused(remote, "handshakes");
            };
            secure = Some((TlsAcceptor::from(server), place));
        }
        let peer = Peer {
            transport,
            remote,
            domain: None,
        };
        self.by_source.insert(source, held + 1);
        let (_, plan, receiver) = self.plan(peer, listener, true);
        self.tasks
            .spawn(run_accepted(plan, stream, receiver, secure));
    }

    /// Forgets a connection that has ended.
    pub fn closed(&mut self, id: u64) {
        let Some(Connection { peer, accepted, .. }) = self.connections.remove(&id) else {
            return;
        };
        if self.by_peer.get(&peer) == Some(&id) {
            self.by_peer.remove(&peer);
        }
        let source = peer.remote.ip().to_canonical();
        if accepted && let Some(held) = self.by_source.get_mut(&source) {
            *held -= 1;
            if *held == 0 {
                self.by_source.remove(&source);
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// What asks the DNS.
    pub fn dns(&self) -> Arc<DnsClient> {
        Arc::clone(&self.dns)
    }

    /// Asks the DNS; the response comes as [`Inbound::Resolved`].
    pub fn resolve(&mut self, query: DnsQuery) {
        while self.tasks.try_join_next().is_some() {}
        let (inbound, dns) = (self.inbound.clone(), Arc::clone(&self.dns));
        self.tasks.spawn(async move {
            let response = dns.ask(&query).await;
            let _ = inbound.send(Inbound::Resolved { query, response }).await;
        });
    }

    fn plan(
        &mut self,
        peer: Peer,
        listener: usize,
        accepted: bool,
    ) -> (mpsc::Sender<Outgoing>, Plan, mpsc::Receiver<Outgoing>) {
        self.last_connection += 1;
        let id = self.last_connection;
        let (queue, receiver) = mpsc::channel(self.limits.connection_queue.max(1));
        let bound = self.listeners.get(listener).copied();
        let plan = Plan {
            id,
            transport: peer.transport,
            remote: peer.remote,
            elsewhere: None,
            listener,
            source: bound.filter(|ip| !ip.is_unspecified()),
            limits: self.limits.clone(),
            dscp: self.dscp,
            inbound: self.inbound.clone(),
        };
        self.by_peer.insert(peer.clone(), id);
        let connection = Connection {
            peer,
            accepted,
            queue: queue.clone(),
        };
        self.connections.insert(id, connection);
        (queue, plan, receiver)
    }
}

fn refused(remote: SocketAddr, reason: &'static str) {
    metrics::counter!("trunkline_sip_rejected_total", "reason" => reason).increment(1);
    tracing::debug!(%remote, reason, "sip connection refused");
}

/// Octets of datagrams that may wait in the kernel, some thousand requests: a burst that found no
/// room would be repeated after 500 ms (RFC 3261 section 17.1.1.2, T1).
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

fn socket(address: SocketAddr, dual: bool, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(socket2::Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // Where both are configured, 0.0.0.0 and [::] are two listeners.
        socket.set_only_v6(!dual)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    } else {
        // The kernel caps it at net.core.rmem_max without an error.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

async fn accept(
    listener: TcpListener,
    transport: Transport,
    index: usize,
    inbound: mpsc::Sender<Inbound>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let accepted = Inbound::Accepted {
                    stream,
                    transport,
                    remote: canonical(remote),
                    listener: index,
                };
                if inbound.send(accepted).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Out of descriptors, mostly: wait for some to be free again.
                tracing::warn!(%error, "sip connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
