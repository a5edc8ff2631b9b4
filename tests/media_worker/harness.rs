//! A browser and a PBX on real loopback sockets, and a worker between them.

#[path = "webrtc.rs"]
mod webrtc;

use std::cell::RefCell;
use std::f64::consts::TAU;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use trunkline::codec::{
    AudioFormat, Codec, Direction, EventFormat, OpusParameters, ReceiveFormat, SendFormat,
};
use trunkline::media::{
    AudioCommand, CallKey, Command, MediaEvent, Ports, PortsConfig, RtpSockets, StreamId,
    WorkerConfig, WorkerHandle,
};
use trunkline::peer::{self, Role};
use trunkline::rtp::is_rtcp;
use trunkline::srtp::{Packet, Session};
use trunkline::srtp_keys::SrtpKeys;

use self::webrtc::{WebRtc, peer_at};

pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(5);
pub const OPUS: u8 = 111;
pub const OPUS_EVENTS: u8 = 110;
pub const PCMU: u8 = 0;
pub const PCMU_EVENTS: u8 = 101;

pub struct Worker {
    pub handle: WorkerHandle,
    pub thread: JoinHandle<()>,
    pub ports: Ports,
    /// Its peers are ICE-lite: they send no checks.
    pub lite: bool,
}

impl Worker {
    /// A peer for a call on this worker.
    pub fn peer(&self) -> peer::Peer {
        let address = self.handle.local_addresses()[0];
        peer_at(address, self.lite, Role::Answerer)
    }
}

pub fn worker_with(change: impl FnOnce(&mut WorkerConfig)) -> Worker {
    let mut config = WorkerConfig {
        addresses: vec![LOOPBACK],
        ..WorkerConfig::default()
    };
    change(&mut config);
    let (handle, thread) = WorkerHandle::start(config).expect("loopback can be bound");
    Worker {
        handle,
        thread,
        ports: ports(50, Duration::ZERO),
        lite: false,
    }
}

pub fn worker() -> Worker {
    worker_with(|_| {})
}

/// A pool of `pairs` pairs that no other test of this process uses.
pub fn ports(pairs: u16, drain: Duration) -> Ports {
    static NEXT: AtomicU16 = AtomicU16::new(21_000);
    let first = NEXT.fetch_add(2 * pairs, Ordering::Relaxed);
    let range = first..=first + 2 * pairs - 1;
    Ports::new(&PortsConfig::new(LOOPBACK, range, drain)).expect("a range with pairs")
}

/// A UDP socket of a test: a browser, a PBX, or an unexpected source.
pub struct Peer {
    socket: UdpSocket,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    /// What goes out is protected, what comes in and is not authentic is not seen.
    security: RefCell<Security>,
}

/// What protects the packets of a socket.
enum Security {
    None,
    /// Keys of SDP.
    Srtp(Box<Session>),
    WebRtc(Box<WebRtc>),
}

fn packet_of(datagram: &[u8]) -> Packet {
    match is_rtcp(datagram) {
        true => Packet::Rtcp,
        false => Packet::Rtp,
    }
}

impl Peer {
    pub fn new() -> Self {
        let socket = UdpSocket::bind((LOOPBACK, 0)).expect("loopback can be bound");
        let port = socket.local_addr().expect("bound").port();
        Peer {
            socket,
            sequence: 65_500,
            timestamp: 0xffff_f000,
            ssrc: u32::from(port),
            security: RefCell::new(Security::None),
        }
    }

    /// A browser that has not met its gateway yet.
    fn browser() -> Self {
        let browser = Peer::new();
        let webrtc = WebRtc::new(browser.address());
        *browser.security.borrow_mut() = Security::WebRtc(Box::new(webrtc));
        browser
    }

    /// The browser's ICE and DTLS.
    pub fn webrtc<T>(&self, with: impl FnOnce(&mut WebRtc) -> T) -> T {
        match &mut *self.security.borrow_mut() {
            Security::WebRtc(webrtc) => with(webrtc),
            Security::None | Security::Srtp(_) => panic!("not a browser"),
        }
    }

    /// Answers the gateway's checks and hellos until `done` or for `PATIENCE`.
    pub fn drive_until(&self, done: impl Fn(&WebRtc) -> bool) {
        let begin = Instant::now();
        while !self.webrtc(|webrtc| done(webrtc)) {
            assert!(begin.elapsed() < PATIENCE, "the browser gets no answer");
            self.receive(Duration::from_millis(5));
        }
    }

    /// Speaks SRTP from now on.
    #[allow(dead_code, reason = "not every test that shares this file needs it")]
    pub fn secure(&self, srtp_keys: &SrtpKeys) {
        let mut security = self.security.borrow_mut();
        match &mut *security {
            Security::Srtp(session) => session.rekey(srtp_keys).expect("keys"),
            Security::None | Security::WebRtc(_) => {
                let session = Session::new(srtp_keys).expect("keys");
                *security = Security::Srtp(Box::new(session));
            }
        }
    }

    /// The same end with another track.
    pub fn with_another_stream(self) -> Self {
        Peer {
            ssrc: self.ssrc ^ 0xffff_0000,
            ..self
        }
    }

    /// The same browser behind another port.
    pub fn moved(self) -> Self {
        Peer {
            socket: UdpSocket::bind((LOOPBACK, 0)).expect("loopback can be bound"),
            ..self
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    pub fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let mut secured = Vec::new();
        let datagram = match &mut *self.security.borrow_mut() {
            Security::Srtp(session) => {
                session
                    .protect(packet_of(datagram), datagram, &mut secured)
                    .expect("a packet");
                &secured
            }
            Security::WebRtc(webrtc) => {
                webrtc.protect(datagram, &mut secured);
                &secured
            }
            Security::None => datagram,
        };
        self.send_as_it_is(to, datagram);
    }

    /// Sends octets that nothing protects.
    pub fn send_as_it_is(&self, to: SocketAddr, datagram: &[u8]) {
        self.socket
            .send_to(datagram, to)
            .expect("loopback takes it");
    }

    /// Sends an RTP packet and moves on by `ticks`.
    pub fn send_rtp(&mut self, to: SocketAddr, payload_type: u8, payload: &[u8], ticks: u32) {
        self.send_rtp_at(to, payload_type, payload, self.timestamp);
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    pub fn send_rtp_at(&mut self, to: SocketAddr, kind: u8, payload: &[u8], timestamp: u32) {
        let mut packet = vec![0x80, kind];
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.send(to, &packet);
    }

    /// An event of 3 updates and 3 ends (RFC 4733 section 2.5), `ticks` long.
    pub fn send_key(&mut self, to: SocketAddr, payload_type: u8, event: u8, ticks: u16) {
        let start = self.timestamp;
        for (end, part) in [(0, 1), (0, 2), (0, 3), (0x80, 3), (0x80, 3), (0x80, 3)] {
            let duration = (ticks * part / 3).to_be_bytes();
            let payload = [event, end | 10, duration[0], duration[1]];
            self.send_rtp_at(to, payload_type, &payload, start);
            std::thread::sleep(Duration::from_millis(2));
        }
        self.timestamp = start.wrapping_add(u32::from(ticks) * 3);
    }

    /// The next packet, or `None` after `wait`. A browser answers what is for ICE and DTLS.
    pub fn receive(&self, wait: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        let begin = Instant::now();
        loop {
            let mut left = wait.saturating_sub(begin.elapsed());
            if let Security::WebRtc(webrtc) = &mut *self.security.borrow_mut() {
                let next = webrtc.drive(&self.socket);
                left = next.map_or(left, |next| left.min(next));
            }
            let received = self.receive_as_it_is(left.max(Duration::from_millis(1)));
            let packet = received.and_then(|(datagram, from)| {
                let packet = self.unprotect(datagram, from)?;
                Some((packet, from))
            });
            if packet.is_some() || begin.elapsed() >= wait {
                return packet;
            }
        }
    }

    fn unprotect(&self, datagram: Vec<u8>, from: SocketAddr) -> Option<Vec<u8>> {
        match &mut *self.security.borrow_mut() {
            Security::Srtp(session) => {
                let mut plain = Vec::new();
                let unprotected = session.unprotect(packet_of(&datagram), &datagram, &mut plain);
                unprotected.is_ok().then_some(plain)
            }
            Security::WebRtc(webrtc) => {
                let plain = webrtc.take(&datagram, from);
                webrtc.drive(&self.socket);
                plain
            }
            Security::None => Some(datagram),
        }
    }

    /// The next datagram as it came, or `None` after `wait`.
    pub fn receive_as_it_is(&self, wait: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buffer = [0; 2048];
        self.socket
            .set_read_timeout(Some(wait))
            .expect("a time that is not zero");
        match self.socket.recv_from(&mut buffer) {
            Ok((length, from)) => Some((buffer[..length].to_vec(), from)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("receive: {error}"),
        }
    }

    /// What has come until `quiet` passes without a datagram.
    pub fn drain(&self, quiet: Duration) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.receive(quiet).map(|(datagram, _)| datagram)).collect()
    }

    /// The payloads of one payload type among what has come.
    pub fn drain_payloads(&self, payload_type: u8) -> Vec<Vec<u8>> {
        self.drain(Duration::from_millis(300))
            .into_iter()
            .filter(|datagram| datagram.len() >= 12 && datagram[1] & 0x7f == payload_type)
            .map(|datagram| datagram[12..].to_vec())
            .collect()
    }
}

/// A call that is connected: its browser is known, its PBX has an address.
pub struct Call {
    pub key: CallKey,
    pub browser: Peer,
    pub pbx: Peer,
    /// The worker's WebRTC address.
    pub webrtc: SocketAddr,
    /// The call's RTP address.
    pub rtp: SocketAddr,
    pub events: mpsc::Receiver<MediaEvent>,
}

pub fn connect(worker: &Worker, key: u64) -> Call {
    let sockets = worker.ports.reserve().expect("a pair is free");
    connect_with(worker, key, sockets)
}

pub fn connect_with(worker: &Worker, key: u64, sockets: RtpSockets) -> Call {
    connect_after(worker, key, sockets, |_, _| {})
}

/// As `connect_with`; what the PBX sends `before` to the call's RTP address finds no browser yet.
pub fn connect_after(
    worker: &Worker,
    key: u64,
    sockets: RtpSockets,
    before: impl FnOnce(&mut Peer, SocketAddr),
) -> Call {
    let (sender, events) = mpsc::channel(64);
    let key = CallKey(key);
    let rtp = sockets.local;
    let (browser, mut pbx) = (Peer::browser(), Peer::new());
    let peer = worker.peer();
    let answer = peer.local_description();
    worker
        .handle
        .open(key, peer, sender)
        .expect("the worker runs");
    let offer = browser.webrtc(|webrtc| webrtc.local_description());
    for command in [
        Command::SetRemoteDescription(Box::new(offer)),
        Command::AttachRtp(StreamId::FIRST_AUDIO, sockets),
        AudioCommand::SetRemoteRtp {
            rtp: pbx.address(),
            rtcp: None,
            srtp_keys: None,
        }
        .to(StreamId::FIRST_AUDIO),
        AudioCommand::SetFormats {
            browser: opus(Direction::SendRecv),
            pbx: pcmu(Direction::SendRecv),
        }
        .to(StreamId::FIRST_AUDIO),
    ] {
        worker
            .handle
            .command(key, command)
            .expect("the worker runs");
    }
    let webrtc = worker.handle.local_addresses()[0];
    before(&mut pbx, rtp);
    let mut call = Call {
        key,
        browser,
        pbx,
        webrtc,
        rtp,
        events,
    };
    call.browser.webrtc(|webrtc| webrtc.set_remote(answer));
    call.browser.drive_until(WebRtc::is_connected);
    let connected = |event: &_| matches!(event, MediaEvent::Peer(peer::Event::Connected { .. }));
    let begin = Instant::now();
    while !call.events.try_recv().is_ok_and(|event| connected(&event)) {
        assert!(begin.elapsed() < PATIENCE, "the gateway does not connect");
        // The last flight of DTLS may have to be repeated.
        call.browser.receive(Duration::from_millis(2));
    }
    call
}

impl Call {
    /// Waits for an event of the kind wanted and skips others.
    pub fn expect_event(&mut self, wanted: impl Fn(&MediaEvent) -> bool) -> MediaEvent {
        let begin = Instant::now();
        let mut skipped = Vec::new();
        while begin.elapsed() < PATIENCE {
            match self.events.try_recv() {
                Ok(event) if wanted(&event) => return event,
                Ok(event) => skipped.push(event),
                Err(mpsc::error::TryRecvError::Empty) => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(mpsc::error::TryRecvError::Disconnected) => break,
            }
        }
        panic!("the event did not come; instead: {skipped:?}");
    }

    /// Every key press that is told until `quiet` passes without one.
    pub fn digits(&mut self, quiet: Duration) -> Vec<(trunkline::media::Side, char, Duration)> {
        let mut digits = Vec::new();
        let mut last = Instant::now();
        while last.elapsed() < quiet {
            match self.events.try_recv() {
                Ok(MediaEvent::Digit {
                    from,
                    digit,
                    duration,
                }) => {
                    digits.push((from, digit, duration));
                    last = Instant::now();
                }
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        digits
    }

    /// The browser sends a tone in Opus.
    pub fn browser_sends_tone(&mut self, frequency: f64, packets: u32) {
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip)
            .expect("libopus makes an encoder");
        for packet in 0..packets {
            let samples = tone(frequency, 48_000, packet * 960, 960);
            let payload = encoder.encode_vec(&samples, 400).expect("libopus encodes");
            self.browser.send_rtp(self.webrtc, OPUS, &payload, 960);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The PBX sends a tone in PCMU.
    pub fn pbx_sends_tone(&mut self, frequency: f64, packets: u32) {
        let rtp = self.rtp;
        send_tone(&mut self.pbx, rtp, frequency, packets);
    }

    /// What the browser heard, at 48 kHz.
    pub fn browser_hears(&self) -> Vec<i16> {
        let mut decoder =
            opus::Decoder::new(48_000, opus::Channels::Mono).expect("libopus makes a decoder");
        let mut heard = Vec::new();
        for payload in self.browser.drain_payloads(OPUS) {
            let mut frame = [0; 5760];
            let length = decoder
                .decode(&payload, &mut frame, false)
                .expect("valid Opus");
            heard.extend_from_slice(&frame[..length]);
        }
        heard
    }

    /// What the PBX heard, at 8 kHz.
    pub fn pbx_hears(&self) -> Vec<i16> {
        let payloads = self.pbx.drain_payloads(PCMU);
        payloads
            .into_iter()
            .flatten()
            .map(mu_law_to_linear)
            .collect()
    }
}

/// `peer` sends a tone in PCMU.
pub fn send_tone(peer: &mut Peer, to: SocketAddr, frequency: f64, packets: u32) {
    for packet in 0..packets {
        let samples = tone(frequency, 8_000, packet * 160, 160);
        let payload: Vec<u8> = samples.into_iter().map(linear_to_mu_law).collect();
        peer.send_rtp(to, PCMU, &payload, 160);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn tone(frequency: f64, rate: u32, from: u32, length: u32) -> Vec<i16> {
    (from..from + length)
        .map(|n| (8_000.0 * (TAU * frequency * f64::from(n) / f64::from(rate)).sin()) as i16)
        .collect()
}

/// The part of the energy of `samples` at `frequency`, 0 to 1.
pub fn share_of(frequency: f64, samples: &[i16], rate: u32) -> f64 {
    let (mut cosine, mut sine, mut energy) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (value, phase) = (
            f64::from(*sample),
            TAU * frequency * n as f64 / f64::from(rate),
        );
        cosine += value * phase.cos();
        sine += value * phase.sin();
        energy += value * value;
    }
    2.0 * (cosine * cosine + sine * sine) / (energy.max(1.0) * samples.len().max(1) as f64)
}

/// ITU-T G.711 table 2a, computed.
fn linear_to_mu_law(sample: i16) -> u8 {
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let exponent = 23 - (magnitude as u32).leading_zeros() as i32 + 1;
    let mantissa = magnitude >> (exponent + 3) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (exponent << 4) | mantissa) as u8
}

fn mu_law_to_linear(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((i32::from(code & 0x0f) << 3) + 132) << (code >> 4 & 7);
    let magnitude = (magnitude - 132) as i16;
    if code & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }
}

pub fn opus(direction: Direction) -> AudioFormat {
    format(Codec::Opus, OPUS, OPUS_EVENTS, direction)
}

pub fn pcmu(direction: Direction) -> AudioFormat {
    format(Codec::Pcmu, PCMU, PCMU_EVENTS, direction)
}

fn format(codec: Codec, payload_type: u8, events: u8, direction: Direction) -> AudioFormat {
    let events = EventFormat {
        payload_type: events,
        clock_rate: codec.clock_rate(),
    };
    AudioFormat {
        send: SendFormat {
            codec,
            payload_type,
            ptime: 20,
            opus: OpusParameters::default(),
        },
        receive: vec![ReceiveFormat {
            codec,
            payload_type,
        }],
        send_events: Some(events),
        receive_events: vec![events],
        direction,
    }
}
