//! The browser side of a call as a media worker sees it.
//!
//! The worker owns the socket and the clock; a leg owns ICE, DTLS and SRTP. The trait stands
//! between them so that this folder names neither the WebRTC crates nor `crate::peer`.

use std::net::SocketAddr;
use std::time::Instant;

/// The pair of addresses that a datagram takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// One of [`super::WorkerHandle::local_addresses`]: the socket to send from.
    pub local: SocketAddr,
    /// Where to.
    pub remote: SocketAddr,
}

/// What became of a datagram that was given to a [`SecureLeg`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// STUN or DTLS, dealt with inside the leg.
    Handled,
    /// An authentic RTP packet; the plain packet is in `plain`.
    Rtp,
    /// An authentic compound RTCP packet; the plain packet is in `plain`.
    Rtcp,
    /// Dropped; the reason becomes a counter, so it comes from a small fixed set.
    Dropped(&'static str),
}

/// ICE, DTLS and SRTP of one call, without sockets and without a clock.
///
/// Every method returns at once. After each of `handle_command`, `handle_datagram`,
/// `handle_timeout` and `close` the worker calls `poll_transmit` and `poll_event` until they
/// return `None`; it asks `poll_timeout` each time, so that is cheap.
pub trait SecureLeg: Send + 'static {
    /// What the owner of the call tells the leg (the remote description, a candidate).
    type Command: Send + 'static;
    /// What the leg tells the owner of the call (connected, failed).
    type Event: Send + 'static;

    /// The ICE user name fragment that this leg gave its browser: unique on the worker. It may
    /// change with a command (ICE restart).
    fn local_ufrag(&self) -> &str;

    /// The receiver's half of the USERNAME of a STUN request (RFC 8445 section 7.2.2), by which
    /// a datagram from an unknown address finds its call.
    fn local_ufrag_of(datagram: &[u8]) -> Option<&str>;

    /// Takes a command of the owner.
    fn handle_command(&mut self, command: Self::Command, now: Instant);

    /// Takes a datagram that arrived at `local` from `remote`. `plain` is overwritten when the
    /// result is [`Received::Rtp`] or [`Received::Rtcp`]. RTP and RTCP may come from an address
    /// that is not [`validated`](SecureLeg::validated): the leg takes what is authentic and new.
    fn handle_datagram(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
        plain: &mut Vec<u8>,
        now: Instant,
    ) -> Received;

    /// Whether an authenticated connectivity check, or the answer to one of ours, came from
    /// `remote`: only then may the address stand for the call.
    fn validated(&self, remote: SocketAddr) -> bool;

    /// Protects an RTP packet into `secured` (overwritten). `None`: no keys or no route yet.
    fn protect_rtp(&mut self, packet: &[u8], secured: &mut Vec<u8>) -> Option<Route>;

    /// Protects a compound RTCP packet into `secured` (overwritten). `None`: no keys or no
    /// route yet.
    fn protect_rtcp(&mut self, packet: &[u8], secured: &mut Vec<u8>) -> Option<Route>;

    /// The next datagram of the leg's own (STUN, DTLS), written to `out` (overwritten).
    fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<Route>;

    /// The next thing that the owner should know.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When to call [`SecureLeg::handle_timeout`] at the latest.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Tells the leg the time.
    fn handle_timeout(&mut self, now: Instant);

    /// Says goodbye (DTLS close_notify); what it queues is still sent.
    fn close(&mut self, now: Instant);
}
