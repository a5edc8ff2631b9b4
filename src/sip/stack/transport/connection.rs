//! One stream: a reader that frames, a writer behind a bounded queue. Over TCP as it is, over TLS
//! after a handshake that has its own time limit.
#![expect(
    clippy::disallowed_methods,
    reason = "driver: the timers of a connection run on the clock"
)]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::config::ConnectionLimits;
use super::inbound::Inbound;
use crate::dscp::Dscp;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::framing::{Frame, Framer};
use crate::sip::stack::transaction::key::ClientKey;
use crate::sip::stack::transport_protocol::Transport;

/// A message for the writer.
#[derive(Debug)]
pub struct Outgoing {
    pub bytes: Bytes,
    /// Told when the message cannot be written.
    pub transaction: Option<ClientKey>,
}

/// What a connection is and how it began.
#[derive(Debug)]
pub struct Plan {
    pub id: u64,
    pub transport: Transport,
    pub remote: SocketAddr,
    /// Who is connected to when nobody answers there.
    pub elsewhere: Option<SocketAddr>,
    pub listener: usize,
    /// Where a connection that we open leaves from; `None`: as the route says.
    pub source: Option<IpAddr>,
    pub limits: ConnectionLimits,
    /// How a connection that we open is marked.
    pub dscp: Dscp,
    pub inbound: mpsc::Sender<Inbound>,
}

/// How an accepted connection becomes TLS, and the place it holds among those that try.
pub type Accepting = (TlsAcceptor, OwnedSemaphorePermit);
/// How an opened connection becomes TLS, and who must answer.
pub type Opening = (TlsConnector, ServerName<'static>);

/// A peer that takes nothing for this long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages of one connection that wait for the user agent. Then the peer waits: it must not fill
/// the queue that all sockets share.
const TURNS: usize = 16;
/// What the reader knows and the writer must.
#[derive(Debug, Default)]
struct Pulse {
    /// Reads so far.
    heard: AtomicU64,
    /// The peer has answered a keep-alive: silence after another one means that it is gone.
    answers: AtomicBool,
}

/// Carries an accepted connection until it ends.
pub async fn run_accepted(
    plan: Plan,
    stream: TcpStream,
    mut queue: mpsc::Receiver<Outgoing>,
    secure: Option<Accepting>,
) {
    let _ = stream.set_nodelay(true);
    let Some((acceptor, place)) = secure else {
        return run(plan, stream, queue, false).await;
    };
    match timeout(plan.limits.handshake_timeout, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            drop(place);
            run(plan, stream, queue, false).await;
        }
        failed => {
            let why = refusal(failed.map(Result::err));
            metrics::counter!("trunkline_sip_rejected_total", "reason" => "tls_handshake")
                .increment(1);
            tracing::info!(remote = %plan.remote, %why, "sip peer refused by its tls handshake");
            drop(place);
            close(&plan, &mut queue).await;
        }
    }
}

/// Opens a connection and carries it until it ends.
pub async fn run_opened(
    mut plan: Plan,
    mut queue: mpsc::Receiver<Outgoing>,
    secure: Option<Opening>,
) {
    let mut opened = timeout(plan.limits.connect_timeout, connect(&plan)).await;
    if !matches!(opened, Ok(Ok(_)))
        && let Some(elsewhere) = plan.elsewhere.take()
    {
        plan.remote = elsewhere;
        opened = timeout(plan.limits.connect_timeout, connect(&plan)).await;
    }
    let Ok(Ok(stream)) = opened else {
        // The owner must stop queueing before the rest is drained, or a message could fall
        // between: `Closed` goes first.
        return close(&plan, &mut queue).await;
    };
    let _ = stream.set_nodelay(true);
    let Some((connector, name)) = secure else {
        return run(plan, stream, queue, true).await;
    };
    let handshake = connector.connect(name.clone(), stream);
    match timeout(plan.limits.handshake_timeout, handshake).await {
        Ok(Ok(stream)) => run(plan, stream, queue, true).await,
        failed => {
            let why = refusal(failed.map(Result::err));
            metrics::counter!("trunkline_sip_handshake_failures_total").increment(1);
            let name = name.to_str();
            tracing::warn!(remote = %plan.remote, %name, %why, "sip tls handshake failed");
            close(&plan, &mut queue).await;
        }
    }
}

/// A listener with an address of its own is who the peer knows us as: by another address of this
/// machine it might not.
async fn connect(plan: &Plan) -> io::Result<TcpStream> {
    let socket = match plan.remote.is_ipv4() {
        true => TcpSocket::new_v4()?,
        false => TcpSocket::new_v6()?,
    };
    // Best effort: a connection without its mark is better than none.
    let _ = plan.dscp.mark(&socket);
    if let Some(ip) = plan
        .source
        .filter(|ip| ip.is_ipv4() == plan.remote.is_ipv4())
    {
        socket.bind((ip, 0).into())?;
    }
    socket.connect(plan.remote).await
}

/// Why a handshake failed, in words.
fn refusal(failed: Result<Option<io::Error>, tokio::time::error::Elapsed>) -> String {
    match failed {
        Ok(Some(error)) => error.to_string(),
        Ok(None) | Err(_) => "it took too long".to_owned(),
    }
}

async fn run<S: AsyncRead + AsyncWrite>(
    plan: Plan,
    stream: S,
    mut queue: mpsc::Receiver<Outgoing>,
    opened: bool,
) {
    let (reader, writer) = tokio::io::split(stream);
    // CRLF answers to keep-alives go through the writer too; more than a few waiting are dropped.
    let (pongs, pong_queue) = mpsc::channel(4);
    let pulse = Pulse::default();
    let ended = tokio::select! {
        why = read(&plan, reader, pongs, opened, &pulse) => why,
        why = write(writer, &mut queue, pong_queue, opened.then_some(&pulse), &plan) => why,
    };
    metrics::counter!("trunkline_sip_connections_ended_total", "reason" => ended).increment(1);
    tracing::debug!(remote = %plan.remote, connection = plan.id, why = ended, "sip connection ended");
    close(&plan, &mut queue).await;
}

/// Announces the end, then reports what was never written.
async fn close(plan: &Plan, queue: &mut mpsc::Receiver<Outgoing>) {
    queue.close();
    let mut failed = Vec::new();
    while let Ok(outgoing) = queue.try_recv() {
        failed.extend(outgoing.transaction);
    }
    let _ = plan
        .inbound
        .send(Inbound::Closed {
            connection: plan.id,
            failed,
        })
        .await;
}

async fn read(
    plan: &Plan,
    mut reader: impl AsyncRead + Unpin,
    pongs: mpsc::Sender<()>,
    opened: bool,
    pulse: &Pulse,
) -> &'static str {
    let flow = Flow {
        connection: Some(plan.id),
        ..Flow::new(plan.transport, plan.listener, plan.remote)
    };
    let limits = &plan.limits;
    let mut framer = Framer::new(limits.message_bytes);
    let mut buffer = vec![0u8; 16 * 1024];
    let turns = Arc::new(Semaphore::new(TURNS));
    let mut heard = opened;
    // Runs while a message is owed: the first one, and the rest of one that has begun.
    let mut owed = std::pin::pin!(tokio::time::sleep(limits.message_timeout));
    loop {
        let bytes = timeout(limits.idle_timeout, reader.read(&mut buffer));
        let length = tokio::select! {
            length = bytes => match length {
                Ok(Ok(0)) => return "closed_by_peer",
                Ok(Ok(length)) => length,
                Ok(Err(error)) => {
                    if opened && pulse.heard.load(Ordering::Relaxed) == 0 {
                        // In TLS 1.3 a peer refuses our certificate only now.
                        tracing::warn!(remote = %plan.remote, %error, "connection closed before the peer sent anything (client certificate refused?)");
                    }
                    return "read_failed";
                }
                Err(_) => return "idle",
            },
            () = &mut owed, if !heard || framer.is_amid_message() => {
                let reason = if heard { "incomplete_message" } else { "silent_connection" };
                metrics::counter!("trunkline_sip_rejected_total", "reason" => reason).increment(1);
                return reason;
            }
        };
        pulse.heard.fetch_add(1, Ordering::Relaxed);
        if buffer[..length] == *b"\r\n" && opened {
            pulse.answers.store(true, Ordering::Relaxed);
        }
        let began = framer.is_amid_message();
        framer.push(&buffer[..length]);
        let mut whole = false;
        loop {
            match framer.poll() {
                Ok(Some(Frame::Message(bytes))) => {
                    (heard, whole) = (true, true);
                    let Ok(turn) = turns.clone().acquire_owned().await else {
                        return "user_agent_stopped";
                    };
                    let message = Inbound::Message {
                        bytes,
                        flow,
                        turn: Some(turn),
                    };
                    if plan.inbound.send(message).await.is_err() {
                        return "user_agent_stopped";
                    }
                }
                Ok(Some(Frame::KeepAlive)) => {
                    heard = true;
                    let _ = pongs.try_send(());
                }
                Ok(Some(Frame::Oversized)) => {
                    metrics::counter!("trunkline_sip_rejected_total", "reason" => "oversized")
                        .increment(1);
                }
                Ok(None) => {
                    // Each message has its own time, however slowly its bytes drip in.
                    if heard && (whole || !began) {
                        let from_now = tokio::time::Instant::now() + limits.message_timeout;
                        owed.as_mut().reset(from_now);
                    }
                    break;
                }
                Err(error) => {
                    metrics::counter!("trunkline_sip_rejected_total", "reason" => "framing")
                        .increment(1);
                    tracing::debug!(remote = %plan.remote, %error, "sip stream out of step");
                    // Time for the answer to what came before to leave.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    return "framing";
                }
            }
        }
    }
}

async fn write(
    mut writer: impl AsyncWrite + Unpin,
    queue: &mut mpsc::Receiver<Outgoing>,
    mut pongs: mpsc::Receiver<()>,
    pulse: Option<&Pulse>,
    plan: &Plan,
) -> &'static str {
    let silence = match pulse {
        Some(_) => plan.limits.keep_alive,
        None => Duration::from_secs(86_400),
    };
    let mut ping = Box::pin(tokio::time::sleep(silence));
    // When an answer is due, and what had been heard when it was asked for.
    let mut due: Option<(tokio::time::Instant, u64)> = None;
    loop {
        let pong = async {
            match due {
                Some((at, _)) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let outgoing = tokio::select! {
            // In the order in which the peer asked: its keep-alive came before what we answer.
            biased;
            Some(()) = pongs.recv() => Outgoing {
                bytes: Bytes::from_static(b"\r\n"),
                transaction: None,
            },
            outgoing = queue.recv() => match outgoing {
                Some(outgoing) => outgoing,
                None => return "user_agent_let_go",
            },
            () = pong => {
                let (_, before) = due.take().unwrap_or((tokio::time::Instant::now(), 0));
                match pulse {
                    Some(pulse) if pulse.heard.load(Ordering::Relaxed) == before => {
                        return "no_pong";
                    }
                    _ => continue,
                }
            }
            () = &mut ping => {
                if let Some(pulse) = pulse && pulse.answers.load(Ordering::Relaxed) {
                    let at = tokio::time::Instant::now() + plan.limits.pong_timeout;
                    due = Some((at, pulse.heard.load(Ordering::Relaxed)));
                }
                Outgoing {
                    bytes: Bytes::from_static(b"\r\n\r\n"),
                    transaction: None,
                }
            }
        };
        ping.as_mut().reset(tokio::time::Instant::now() + silence);
        let write = async {
            writer.write_all(&outgoing.bytes).await?;
            // TLS keeps what the socket does not take at once.
            writer.flush().await
        };
        let written = timeout(WRITE_TIMEOUT, write).await;
        if !matches!(written, Ok(Ok(()))) {
            if let Some(transaction) = outgoing.transaction {
                let _ = plan.inbound.send(Inbound::Failed { transaction }).await;
            }
            return "write_failed";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn opened_connection_is_marked_in_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = tokio::net::TcpListener::bind(address)
                .await
                .expect("loopback");
            let remote = listener.local_addr().expect("bound");
            let plan = Plan {
                id: 1,
                transport: Transport::Tcp,
                remote,
                elsewhere: None,
                listener: 0,
                source: None,
                limits: ConnectionLimits::default(),
                dscp: Dscp::CS3,
                inbound: mpsc::channel(1).0,
            };
            let stream = connect(&plan).await.expect("a listener");
            let options = socket2::SockRef::from(&stream);
            let octet = match remote.is_ipv4() {
                true => options.tos_v4(),
                false => options.tclass_v6(),
            };
            assert_eq!(octet.expect("an option"), 24 << 2, "{address}");
        }
    }
}
