//! A browser's ICE, DTLS and SRTP on a socket of a test.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use trunkline::peer::{
    Certificate, CheckRate, Config, Event, LocalCandidate, Peer, Received, Role, Transmit,
};
use trunkline::rtp::is_rtcp;
use trunkline::sdp::IceDtlsParameters;

/// A certificate for all ends of a test.
fn certificate() -> Arc<Certificate> {
    static ONE: OnceLock<Arc<Certificate>> = OnceLock::new();
    ONE.get_or_init(|| Arc::new(Certificate::generate().expect("a certificate")))
        .clone()
}

/// A peer whose only candidate is this address.
pub fn peer_at(address: SocketAddr, lite: bool, role: Role) -> Peer {
    let candidate = LocalCandidate {
        bound: address,
        advertised: address,
    };
    let rate = Arc::new(CheckRate::new(1_000_000, 1_000_000, Instant::now()));
    let config = Config {
        lite,
        ..Config::new(certificate(), vec![candidate], rate)
    };
    Peer::new(&config, role, Instant::now()).expect("a peer")
}

/// A browser that offers.
pub struct WebRtc {
    peer: Peer,
    /// The address that it believes to have, whatever its NAT does.
    local: SocketAddr,
    /// How far its clock is ahead of ours.
    ahead: Duration,
    connected: bool,
}

impl WebRtc {
    pub fn new(local: SocketAddr) -> Self {
        WebRtc {
            peer: peer_at(local, false, Role::Offerer),
            local,
            ahead: Duration::ZERO,
            connected: false,
        }
    }

    fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    pub fn is_connected(&self) -> bool {
        self.connected
    }

    pub fn local_description(&self) -> IceDtlsParameters {
        self.peer.local_description()
    }

    pub fn set_remote(&mut self, description: IceDtlsParameters) {
        let now = self.now();
        self.peer
            .set_remote(description, now)
            .expect("a good description");
    }

    /// Takes an offer that restarts ICE; the answer.
    pub fn answer_restart(&mut self, offer: IceDtlsParameters) -> IceDtlsParameters {
        let now = self.now();
        self.peer.restart_ice(now).expect("connected");
        self.set_remote(offer);
        self.local_description()
    }

    /// Takes a datagram; the plain packet, if it was media.
    pub fn take(&mut self, datagram: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        let now = self.now();
        let received = self
            .peer
            .handle_datagram(self.local, from, datagram, &mut plain, now);
        matches!(received, Received::Rtp | Received::Rtcp).then_some(plain)
    }

    /// Sends what is due, and takes note of what happened. How long until it is to be called again.
    pub fn drive(&mut self, socket: &UdpSocket) -> Option<Duration> {
        let now = self.now();
        if self.peer.poll_timeout().is_some_and(|at| at <= now) {
            self.peer.handle_timeout(now);
        }
        while let Some(Transmit { route, payload }) = self.peer.poll_transmit() {
            socket
                .send_to(&payload, route.remote)
                .expect("loopback takes it");
        }
        while let Some(event) = self.peer.poll_event() {
            self.connected |= matches!(event, Event::Connected { .. });
        }
        let next = self.peer.poll_timeout()?;
        Some(next.saturating_duration_since(now))
    }

    /// Its next connectivity check, before its time and not sent.
    pub fn next_check(&mut self) -> Vec<u8> {
        loop {
            let next = self.peer.poll_timeout().expect("consent checks");
            self.ahead += next.saturating_duration_since(self.now());
            let now = self.now();
            self.peer.handle_timeout(now);
            if let Some(Transmit { payload, .. }) = self.peer.poll_transmit() {
                return payload;
            }
        }
    }

    /// Protects a packet for the other end.
    pub fn protect(&mut self, packet: &[u8], secured: &mut Vec<u8>) {
        let protected = match is_rtcp(packet) {
            true => self.peer.protect_rtcp(packet, secured),
            false => self.peer.protect_rtp(packet, secured),
        };
        protected.expect("connected");
    }
}
