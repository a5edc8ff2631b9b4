//! Datagrams as they arrive, read by the user agent's own task: one that went through a task and a
//! queue of its own would cost two more wakes.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;

use super::icmp;
use super::inbound::canonical;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::transport_protocol::Transport;

/// A lasting error of a socket must not spin.
const PAUSE: Duration = Duration::from_millis(10);

/// The UDP sockets of one user agent.
#[derive(Debug)]
pub struct Datagrams {
    /// With the index of its listener each.
    sockets: Vec<(usize, Arc<UdpSocket>)>,
    /// Who is read next: no socket waits for another.
    next: usize,
    buffer: Box<[u8]>,
    failing: bool,
}

impl Datagrams {
    /// No sockets yet.
    pub fn new() -> Self {
        Datagrams {
            sockets: Vec::new(),
            next: 0,
            // The longest payload of a UDP datagram, and one more.
            buffer: vec![0; 65_536].into_boxed_slice(),
            failing: false,
        }
    }

    /// Reads from this socket too.
    pub fn add(&mut self, listener: usize, socket: Arc<UdpSocket>) {
        self.sockets.push((listener, socket));
    }

    /// Waits until one may have something. Safe to be given up at any time.
    pub async fn readable(&mut self) {
        if self.failing {
            tokio::time::sleep(PAUSE).await;
            self.failing = false;
        }
        poll_fn(|context| {
            for (_, socket) in &self.sockets {
                if socket.poll_recv_ready(context).is_ready() {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
    }

    /// The next datagram that is there already.
    pub fn receive(&mut self) -> Option<(Bytes, Flow)> {
        for _ in 0..self.sockets.len() {
            let (listener, socket) = &self.sockets[self.next % self.sockets.len()];
            self.next = (self.next + 1) % self.sockets.len();
            let mut received = socket.try_recv_from(&mut self.buffer);
            for _ in 0..icmp::PENDING {
                match &received {
                    // What the network said of a datagram that we sent, told once.
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                        received = socket.try_recv_from(&mut self.buffer);
                    }
                    _ => break,
                }
            }
            match received {
                Ok((length, remote)) => {
                    let bytes = Bytes::copy_from_slice(&self.buffer[..length]);
                    let remote = canonical(remote);
                    return Some((bytes, Flow::new(Transport::Udp, *listener, remote)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    // One bad datagram must not stop the socket.
                    tracing::debug!(%error, "sip datagram not received");
                    self.failing = true;
                }
            }
        }
        None
    }
}

/// Whether a datagram only keeps a NAT open: a few line ends, or zero bytes.
pub fn is_keep_alive(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0))
}
