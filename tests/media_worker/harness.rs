//! A leg without cryptography, a browser and a PBX on real loopback sockets, and a worker
//! between them.

use std::cell::RefCell;
use std::collections::VecDeque;
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
    CallKey, Command, MediaEvent, Ports, PortsConfig, Received, Route, RtpSockets, SecureLeg,
    WorkerConfig, WorkerHandle,
};
use trunkline::rtp::is_rtcp;
use trunkline::srtp::{Packet, Session};
use trunkline::srtp_keys::SrtpKeys;

pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(5);
pub const OPUS: u8 = 111;
pub const OPUS_EVENTS: u8 = 110;
pub const PCMU: u8 = 0;
pub const PCMU_EVENTS: u8 = 101;

/// The browser side without ICE, DTLS and SRTP: a check is a STUN header followed by the ufrag,
/// audio is plain, and where it comes from the leg asks with a check of its own, once.
#[derive(Debug)]
pub struct PlainLeg {
    ufrag: String,
    route: Option<Route>,
    asked: Option<Route>,
    answers: VecDeque<(Route, Vec<u8>)>,
    events: VecDeque<LegEvent>,
}

#[derive(Debug)]
pub enum LegCommand {
    /// Makes this many events.
    Chatter(usize),
    /// Changes the ufrag.
    Restart(String),
    /// Runs something on the worker's thread.
    #[allow(dead_code, reason = "not every test that shares this file needs it")]
    Run(fn()),
}

#[derive(Debug, PartialEq)]
pub enum LegEvent {
    Connected(SocketAddr),
    Chatter,
}

impl PlainLeg {
    pub fn new(ufrag: &str) -> Self {
        PlainLeg {
            ufrag: ufrag.to_owned(),
            route: None,
            asked: None,
            answers: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    fn copy(&self, packet: &[u8], out: &mut Vec<u8>) -> Option<Route> {
        out.clear();
        out.extend_from_slice(packet);
        self.route
    }
}

/// A connectivity check of [`PlainLeg`].
pub fn check(ufrag: &str) -> Vec<u8> {
    let mut datagram = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    datagram.extend_from_slice(&[7; 12]);
    datagram.extend_from_slice(ufrag.as_bytes());
    datagram
}

impl SecureLeg for PlainLeg {
    type Command = LegCommand;
    type Event = LegEvent;

    fn local_ufrag(&self) -> &str {
        &self.ufrag
    }

    fn local_ufrag_of(datagram: &[u8]) -> Option<&str> {
        let name = datagram.strip_prefix(&[0, 1])?.get(18..)?;
        std::str::from_utf8(name).ok()
    }

    fn handle_command(&mut self, command: LegCommand, _now: Instant) {
        match command {
            LegCommand::Chatter(count) => {
                self.events.extend((0..count).map(|_| LegEvent::Chatter));
            }
            LegCommand::Restart(ufrag) => self.ufrag = ufrag,
            LegCommand::Run(function) => function(),
        }
    }

    fn handle_datagram(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
        plain: &mut Vec<u8>,
        _now: Instant,
    ) -> Received {
        match datagram {
            [0, 1, ..] => {
                let route = Route { local, remote };
                self.route = Some(route);
                let mut answer = datagram[..20].to_vec();
                answer[0] = 1;
                self.answers.push_back((route, answer));
                self.events.push_back(LegEvent::Connected(remote));
                Received::Handled
            }
            [1, 1, ..] => {
                self.route = Some(Route { local, remote });
                Received::Handled
            }
            [0x80..=0xbf, second, ..] => {
                let from = Some(Route { local, remote });
                if from != self.route && from != self.asked {
                    self.asked = from;
                    self.answers
                        .extend(from.map(|route| (route, check("yours"))));
                }
                plain.clear();
                plain.extend_from_slice(datagram);
                if (192..=223).contains(second) {
                    Received::Rtcp
                } else {
                    Received::Rtp
                }
            }
            _ => Received::Dropped("unintelligible"),
        }
    }

    fn validated(&self, remote: SocketAddr) -> bool {
        self.route.is_some_and(|route| route.remote == remote)
    }

    fn protect_rtp(&mut self, packet: &[u8], secured: &mut Vec<u8>) -> Option<Route> {
        self.copy(packet, secured)
    }

    fn protect_rtcp(&mut self, packet: &[u8], secured: &mut Vec<u8>) -> Option<Route> {
        self.copy(packet, secured)
    }

    fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<Route> {
        let (route, answer) = self.answers.pop_front()?;
        out.clear();
        out.extend_from_slice(&answer);
        Some(route)
    }

    fn poll_event(&mut self) -> Option<LegEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn close(&mut self, _now: Instant) {}
}

pub struct Worker {
    pub handle: WorkerHandle<PlainLeg>,
    pub thread: JoinHandle<()>,
    pub ports: Ports,
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
    /// With SRTP: what goes out is protected, what comes in and is not authentic is not seen.
    srtp: RefCell<Option<Session>>,
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
            srtp: RefCell::new(None),
        }
    }

    /// Speaks SRTP from now on.
    #[allow(dead_code, reason = "not every test that shares this file needs it")]
    pub fn secure(&self, srtp_keys: &SrtpKeys) {
        let mut srtp = self.srtp.borrow_mut();
        match &mut *srtp {
            Some(session) => session.rekey(srtp_keys).expect("keys"),
            None => *srtp = Some(Session::new(srtp_keys).expect("keys")),
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
        let datagram = match &mut *self.srtp.borrow_mut() {
            Some(session) => {
                session
                    .protect(packet_of(datagram), datagram, &mut secured)
                    .expect("a packet");
                &secured
            }
            None => datagram,
        };
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

    /// The next datagram, or `None` after `wait`.
    pub fn receive(&self, wait: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buffer = [0; 2048];
        self.socket
            .set_read_timeout(Some(wait))
            .expect("a time that is not zero");
        match self.socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                let datagram = &buffer[..length];
                let mut plain = Vec::new();
                match &mut *self.srtp.borrow_mut() {
                    Some(session) => session
                        .unprotect(packet_of(datagram), datagram, &mut plain)
                        .map(|_| (plain, from))
                        .ok(),
                    None => Some((datagram.to_vec(), from)),
                }
            }
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
    pub events: mpsc::Receiver<MediaEvent<LegEvent>>,
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
    let ufrag = format!("ufrag{key}");
    let key = CallKey(key);
    let rtp = sockets.local;
    worker
        .handle
        .open(key, PlainLeg::new(&ufrag), sender)
        .expect("the worker runs");
    let (browser, mut pbx) = (Peer::new(), Peer::new());
    for command in [
        Command::AttachRtp(sockets),
        Command::SetRemoteRtp {
            rtp: pbx.address(),
            rtcp: None,
            srtp_keys: None,
        },
        Command::SetFormats {
            browser: opus(Direction::SendRecv),
            pbx: pcmu(Direction::SendRecv),
        },
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
    call.browser.send(webrtc, &check(&ufrag));
    let (answer, from) = call
        .browser
        .receive(PATIENCE)
        .expect("the check is answered");
    assert_eq!((answer[0], from), (1, webrtc));
    let browser = call.browser.address();
    call.expect_event(
        |event| matches!(event, MediaEvent::Leg(LegEvent::Connected(from)) if *from == browser),
    );
    call
}

impl Call {
    /// Waits for an event of the kind wanted and skips others.
    pub fn expect_event(
        &mut self,
        wanted: impl Fn(&MediaEvent<LegEvent>) -> bool,
    ) -> MediaEvent<LegEvent> {
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
