//! The listeners, the connections, and the one queue through which all of them report.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;

use super::connection::{Outgoing, Plan, run_accepted, run_opened};
use crate::sip::config::{Config, Limits, Listen, Transport};
use crate::sip::error::Error;
use crate::sip::transaction::key::ClientKey;
use crate::sip::user_agent::{Flow, Transmit};

/// What the sockets report.
#[derive(Debug)]
pub enum Inbound {
    /// A datagram or a frame of a stream.
    Message {
        /// The bytes.
        bytes: Bytes,
        /// Where they came from.
        flow: Flow,
        /// Dropped when the message has been handled: the connection may send its next.
        turn: Option<OwnedSemaphorePermit>,
    },
    /// A peer connected.
    Accepted {
        /// The connection.
        stream: TcpStream,
        /// The peer.
        remote: SocketAddr,
        /// Index of the listener.
        listener: usize,
    },
    /// A connection ended, or could not be opened.
    Closed {
        /// The connection.
        connection: u64,
        /// Transactions whose message was never written.
        failed: Vec<ClientKey>,
    },
    /// A message could not be written.
    Failed {
        /// Its transaction.
        transaction: ClientKey,
    },
    /// A name was looked up.
    Resolved {
        /// The name.
        host: String,
        /// Its addresses, none on failure.
        addresses: Vec<IpAddr>,
    },
}

/// Messages that wait for the user agent; beyond it datagrams are dropped and counted, streams wait.
const INBOUND_QUEUE: usize = 4_096;
/// Kernel buffers of a UDP socket, bytes: a burst of calls must fit while the user agent is busy.
const UDP_BUFFER: usize = 4 << 20;
/// Longest lookup of a name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// All sockets of one user agent.
#[derive(Debug)]
pub struct Transports {
    limits: Limits,
    udp: HashMap<usize, Arc<UdpSocket>>,
    connections: HashMap<u64, Connection>,
    by_remote: HashMap<SocketAddr, u64>,
    last_connection: u64,
    inbound: mpsc::Sender<Inbound>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Connection {
    remote: SocketAddr,
    queue: mpsc::Sender<Outgoing>,
}

impl Transports {
    /// Opens the listeners. Returns them with their real ports, and the queue they report through.
    pub async fn bind(
        config: &Config,
    ) -> Result<(Self, Vec<Listen>, mpsc::Receiver<Inbound>), Error> {
        let (inbound, reports) = mpsc::channel(INBOUND_QUEUE);
        let mut transports = Transports {
            limits: config.limits.clone(),
            udp: HashMap::new(),
            connections: HashMap::new(),
            by_remote: HashMap::new(),
            last_connection: 0,
            inbound,
            tasks: JoinSet::new(),
        };
        let mut listeners = Vec::new();
        for (index, listen) in config.listen.iter().enumerate() {
            let address = transports
                .open(index, *listen)
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

    async fn open(&mut self, index: usize, listen: Listen) -> io::Result<SocketAddr> {
        let inbound = self.inbound.clone();
        match listen.transport {
            Transport::Udp => {
                let socket = socket(listen.address, Type::DGRAM, Protocol::UDP)?;
                let _ = socket.set_recv_buffer_size(UDP_BUFFER);
                let _ = socket.set_send_buffer_size(UDP_BUFFER);
                let socket = Arc::new(UdpSocket::from_std(socket.into())?);
                // Sends are never waited for: the socket must be known to be writable.
                socket.writable().await?;
                let address = socket.local_addr()?;
                self.udp.insert(index, socket.clone());
                self.tasks.spawn(read_datagrams(socket, index, inbound));
                Ok(address)
            }
            Transport::Tcp => {
                let socket = socket(listen.address, Type::STREAM, Protocol::TCP)?;
                socket.listen(1_024)?;
                let listener = TcpListener::from_std(socket.into())?;
                let address = listener.local_addr()?;
                self.tasks.spawn(accept(listener, index, inbound));
                Ok(address)
            }
        }
    }

    /// Sends without waiting. The transaction of a message that cannot be sent comes back at once
    /// or, for a connection that fails later, as [`Inbound`].
    pub fn send(&mut self, transmit: Transmit) -> Result<(), Option<ClientKey>> {
        match transmit.flow.transport {
            Transport::Udp => self.send_datagram(transmit),
            Transport::Tcp => self.send_on_stream(transmit),
        }
    }

    fn send_datagram(&self, transmit: Transmit) -> Result<(), Option<ClientKey>> {
        let Some(socket) = self.udp.get(&transmit.flow.listener) else {
            return Err(transmit.transaction);
        };
        match socket.try_send_to(&transmit.bytes, transmit.flow.remote) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Like a loss in the network: the transaction sends it again.
                metrics::counter!("trunkline_sip_send_dropped_total").increment(1);
                Ok(())
            }
            Err(error) => {
                tracing::debug!(remote = %transmit.flow.remote, %error, "sip datagram not sent");
                Err(transmit.transaction)
            }
        }
    }

    fn send_on_stream(&mut self, transmit: Transmit) -> Result<(), Option<ClientKey>> {
        let flow = transmit.flow;
        let mut outgoing = Outgoing {
            bytes: transmit.bytes,
            transaction: transmit.transaction,
        };
        let known = flow
            .connection
            .filter(|id| self.connections.contains_key(id))
            .or_else(|| self.by_remote.get(&flow.remote).copied());
        if let Some(connection) = known.and_then(|id| self.connections.get(&id)) {
            match connection.queue.try_send(outgoing) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(outgoing)) => {
                    // A peer that does not read: only its own messages suffer.
                    metrics::counter!("trunkline_sip_send_dropped_total").increment(1);
                    return Err(outgoing.transaction);
                }
                Err(mpsc::error::TrySendError::Closed(back)) => outgoing = back,
            }
        }
        let remote = match flow.connection {
            Some(_) => flow.reconnect.unwrap_or(flow.remote),
            None => flow.remote,
        };
        if self.connections.len() >= self.limits.connections {
            return Err(outgoing.transaction);
        }
        let (queue, plan, receiver) = self.plan(remote, flow.listener);
        if let Err(error) = queue.try_send(outgoing) {
            return Err(error.into_inner().transaction);
        }
        self.tasks.spawn(run_opened(plan, receiver));
        Ok(())
    }

    /// Takes a connection that a peer opened.
    pub fn accept(&mut self, stream: TcpStream, remote: SocketAddr, listener: usize) {
        // A quarter stays for connections that we open ourselves.
        if self.connections.len() >= self.limits.connections - self.limits.connections / 4 {
            metrics::counter!("trunkline_sip_rejected_total", "reason" => "connections")
                .increment(1);
            return;
        }
        let (_, plan, receiver) = self.plan(remote, listener);
        self.tasks.spawn(run_accepted(plan, stream, receiver));
    }

    /// Forgets a connection that has ended.
    pub fn closed(&mut self, id: u64) {
        if let Some(connection) = self.connections.remove(&id)
            && self.by_remote.get(&connection.remote) == Some(&id)
        {
            self.by_remote.remove(&connection.remote);
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Looks a name up; the answer comes as [`Inbound::Resolved`].
    pub fn resolve(&mut self, host: String) {
        while self.tasks.try_join_next().is_some() {}
        let inbound = self.inbound.clone();
        self.tasks.spawn(async move {
            let lookup = tokio::net::lookup_host((host.as_str(), 5060));
            let addresses = match tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await {
                Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
                Ok(Err(error)) => {
                    tracing::info!(%host, %error, "sip host name cannot be resolved");
                    Vec::new()
                }
                Err(_) => {
                    tracing::info!(%host, "sip host name lookup took too long");
                    Vec::new()
                }
            };
            let _ = inbound.send(Inbound::Resolved { host, addresses }).await;
        });
    }

    fn plan(
        &mut self,
        remote: SocketAddr,
        listener: usize,
    ) -> (mpsc::Sender<Outgoing>, Plan, mpsc::Receiver<Outgoing>) {
        self.last_connection += 1;
        let id = self.last_connection;
        let (queue, receiver) = mpsc::channel(self.limits.connection_queue.max(1));
        let connection = Connection {
            remote,
            queue: queue.clone(),
        };
        self.connections.insert(id, connection);
        self.by_remote.insert(remote, id);
        let plan = Plan {
            id,
            remote,
            listener,
            limits: self.limits.clone(),
            inbound: self.inbound.clone(),
        };
        (queue, plan, receiver)
    }
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // 0.0.0.0 and [::] are two listeners here.
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

async fn read_datagrams(socket: Arc<UdpSocket>, listener: usize, inbound: mpsc::Sender<Inbound>) {
    let mut buffer = vec![0u8; 65_536];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, remote)) => {
                // Keep-alives of NATed phones: a few line ends, or zero bytes.
                if buffer[..length]
                    .iter()
                    .all(|b| matches!(b, b'\r' | b'\n' | 0))
                {
                    continue;
                }
                let bytes = Bytes::copy_from_slice(&buffer[..length]);
                let flow = Flow::new(Transport::Udp, listener, remote);
                let message = Inbound::Message {
                    bytes,
                    flow,
                    turn: None,
                };
                if let Err(error) = inbound.try_send(message) {
                    match error {
                        mpsc::error::TrySendError::Full(_) => {
                            metrics::counter!("trunkline_sip_rejected_total", "reason" => "queue_full")
                                .increment(1);
                        }
                        mpsc::error::TrySendError::Closed(_) => return,
                    }
                }
            }
            Err(error) => {
                // One bad datagram must not stop the socket; a lasting error must not spin.
                tracing::debug!(%error, "sip datagram not received");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn accept(listener: TcpListener, index: usize, inbound: mpsc::Sender<Inbound>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let accepted = Inbound::Accepted {
                    stream,
                    remote,
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
