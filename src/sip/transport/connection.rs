//! One TCP connection: a reader that frames, a writer behind a bounded queue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::sockets::Inbound;
use crate::sip::config::{Limits, Transport};
use crate::sip::framing::{Frame, Framer};
use crate::sip::transaction::key::ClientKey;
use crate::sip::user_agent::Flow;

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
    pub remote: SocketAddr,
    pub listener: usize,
    pub limits: Limits,
    pub inbound: mpsc::Sender<Inbound>,
}

/// A peer that takes nothing for this long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which a connection that we opened sends a double CRLF (RFC 5626 section 4.4.1),
/// so that it stays open for calls towards us.
const KEEP_ALIVE: Duration = Duration::from_secs(110);

/// Messages of one connection that wait for the user agent. Then the peer waits: it must not fill
/// the queue that all sockets share.
const TURNS: usize = 16;
/// A peer that connects must send a whole message (or keep-alive) within this time, so that silent
/// sockets do not take the place of talking ones.
const FIRST_MESSAGE: Duration = Duration::from_secs(30);

/// Carries an accepted connection until it ends.
pub async fn run_accepted(plan: Plan, stream: TcpStream, queue: mpsc::Receiver<Outgoing>) {
    run(plan, stream, queue, None).await;
}

/// Opens a connection and carries it until it ends.
pub async fn run_opened(plan: Plan, mut queue: mpsc::Receiver<Outgoing>) {
    match timeout(plan.limits.connect_timeout, TcpStream::connect(plan.remote)).await {
        Ok(Ok(stream)) => run(plan, stream, queue, Some(KEEP_ALIVE)).await,
        Ok(Err(_)) | Err(_) => {
            // The owner must stop queueing before the rest is drained, or a message could fall
            // between: `Closed` goes first.
            close(&plan, &mut queue).await;
        }
    }
}

async fn run(
    plan: Plan,
    stream: TcpStream,
    mut queue: mpsc::Receiver<Outgoing>,
    keep_alive: Option<Duration>,
) {
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    // CRLF answers to keep-alives go through the writer too; more than a few waiting are dropped.
    let (pongs, pong_queue) = mpsc::channel(4);
    let accepted = keep_alive.is_none();
    let ended = tokio::select! {
        why = read(&plan, reader, pongs, accepted) => why,
        why = write(writer, &mut queue, pong_queue, keep_alive, &plan) => why,
    };
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
    mut reader: OwnedReadHalf,
    pongs: mpsc::Sender<()>,
    accepted: bool,
) -> &'static str {
    let flow = Flow {
        connection: Some(plan.id),
        ..Flow::new(Transport::Tcp, plan.listener, plan.remote)
    };
    let mut framer = Framer::new(plan.limits.message_bytes);
    let mut buffer = vec![0u8; 16 * 1024];
    let turns = Arc::new(Semaphore::new(TURNS));
    let mut heard = !accepted;
    let mut first = std::pin::pin!(tokio::time::sleep(FIRST_MESSAGE));
    loop {
        let bytes = timeout(plan.limits.idle_timeout, reader.read(&mut buffer));
        let length = tokio::select! {
            length = bytes => match length {
                Ok(Ok(0)) => return "closed by peer",
                Ok(Ok(length)) => length,
                Ok(Err(_)) => return "read failed",
                Err(_) => return "idle",
            },
            () = &mut first, if !heard => {
                metrics::counter!("trunkline_sip_rejected_total", "reason" => "silent_connection")
                    .increment(1);
                return "said nothing";
            }
        };
        framer.push(&buffer[..length]);
        loop {
            match framer.poll() {
                Ok(Some(Frame::Message(bytes))) => {
                    heard = true;
                    let Ok(turn) = turns.clone().acquire_owned().await else {
                        return "user agent stopped";
                    };
                    let message = Inbound::Message {
                        bytes,
                        flow,
                        turn: Some(turn),
                    };
                    if plan.inbound.send(message).await.is_err() {
                        return "user agent stopped";
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
                Ok(None) => break,
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
    mut writer: OwnedWriteHalf,
    queue: &mut mpsc::Receiver<Outgoing>,
    mut pongs: mpsc::Receiver<()>,
    keep_alive: Option<Duration>,
    plan: &Plan,
) -> &'static str {
    let silence = keep_alive.unwrap_or(Duration::from_secs(86_400));
    loop {
        let outgoing = tokio::select! {
            // In the order in which the peer asked: its keep-alive came before what we answer.
            biased;
            Some(()) = pongs.recv() => Outgoing {
                bytes: Bytes::from_static(b"\r\n"),
                transaction: None,
            },
            outgoing = queue.recv() => match outgoing {
                Some(outgoing) => outgoing,
                None => return "user agent let go",
            },
            () = tokio::time::sleep(silence) => Outgoing {
                bytes: Bytes::from_static(b"\r\n\r\n"),
                transaction: None,
            },
        };
        let written = timeout(WRITE_TIMEOUT, writer.write_all(&outgoing.bytes)).await;
        if !matches!(written, Ok(Ok(()))) {
            if let Some(transaction) = outgoing.transaction {
                let _ = plan.inbound.send(Inbound::Failed { transaction }).await;
            }
            return "write failed";
        }
    }
}
