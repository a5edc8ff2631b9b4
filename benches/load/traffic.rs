//! The audio of all calls of one contender, both ways, and what came out of it.
//!
//! One thread receives, the caller's thread sends. Packets leave one by one, evenly spread over
//! the 20 ms, as those of independent callers do; nothing is encoded or computed meanwhile.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::net::UdpSocket as MioSocket;
use mio::{Events, Interest, Poll, Token};
use opus::{Channels, Decoder};
use rtc_crypto::RTCCryptoProvider;
use rtc_srtp::context::Context;
use socket2::SockRef;

use crate::arguments::Mode;
use crate::browser::{self, Browser};
use crate::pbx::AudioSockets;
use crate::speech::{FRAME, FRAMES, Speech, expand};
use crate::stun::{self, Class, Credentials};

const FRAME_TIME: Duration = Duration::from_millis(20);
/// How often Chromium checks that the other end still consents.
const CONSENT: Duration = Duration::from_millis(2_500);
/// One SRTP packet of so many is opened; of the first call each one is, and listened to.
const OPENED: u16 = 64;

/// Where the two sides of one call are.
pub struct Leg {
    pub browser: Browser,
    /// The contender's RTP address towards the PBX.
    pub contender: SocketAddr,
}

/// Packets that arrived on one side.
#[derive(Debug, Default)]
pub struct Side {
    pub received: AtomicU64,
    /// Sequence numbers that were passed over or came out of order.
    pub gaps: AtomicU64,
    /// Packets that SRTP or the codec refused.
    pub bad: AtomicU64,
    /// Sum of the squared samples of the first call, and how many.
    energy: AtomicU64,
    samples: AtomicU64,
}

impl Side {
    /// Root mean square of what the first call heard.
    pub fn level(&self) -> f64 {
        let samples = self.samples.load(Ordering::Relaxed).max(1) as f64;
        (self.energy.load(Ordering::Relaxed) as f64 / samples).sqrt()
    }

    fn hear(&self, samples: &[i16]) {
        let energy: u64 = samples
            .iter()
            .map(|sample| u64::from(sample.unsigned_abs()).pow(2))
            .sum();
        self.energy.fetch_add(energy, Ordering::Relaxed);
        self.samples
            .fetch_add(samples.len() as u64, Ordering::Relaxed);
    }
}

/// What both sides received.
#[derive(Debug, Default)]
pub struct Totals {
    pub at_browser: Side,
    pub at_pbx: Side,
}

struct Stream {
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
}

impl Stream {
    fn new() -> Self {
        Stream {
            sequence: rand::random(),
            timestamp: rand::random(),
            ssrc: rand::random(),
        }
    }

    fn write(&mut self, payload_type: u8, ticks: u32, payload: &[u8], packet: &mut Vec<u8>) {
        packet.clear();
        packet.extend([0x80, payload_type]);
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }
}

struct Caller {
    browser: UdpSocket,
    gateway: SocketAddr,
    secure: Context,
    from_browser: Stream,
    pbx: UdpSocket,
    contender: SocketAddr,
    from_pbx: Stream,
    /// Frames of the speech that both sides have said, each in turn.
    frames: [usize; 2],
}

/// The load on one contender.
pub struct Traffic {
    mode: Mode,
    callers: Vec<Caller>,
    pub totals: Arc<Totals>,
    /// Packets sent from each side.
    pub sent: u64,
    /// The latest that a packet ever left after its time.
    pub latest: Duration,
    stop: Arc<AtomicBool>,
    receiver: Option<std::thread::JoinHandle<()>>,
    packet: Vec<u8>,
}

impl Traffic {
    /// Begins to receive.
    pub fn new(
        mode: Mode,
        legs: Vec<Leg>,
        audio: &AudioSockets,
        provider: &dyn RTCCryptoProvider,
    ) -> Self {
        let totals = Arc::new(Totals::default());
        let stop = Arc::new(AtomicBool::new(false));
        let by_contender = legs
            .iter()
            .enumerate()
            .map(|(index, leg)| (leg.contender, index))
            .collect();
        let mut callers = Vec::new();
        let mut listeners = Vec::new();
        for (index, leg) in legs.into_iter().enumerate() {
            let Browser {
                socket,
                gateway,
                credentials,
                keys,
            } = leg.browser;
            let clone = |socket: &UdpSocket| socket.try_clone().expect("a file descriptor");
            socket.set_read_timeout(None).expect("no timeout");
            callers.push(Caller {
                browser: clone(&socket),
                gateway,
                secure: browser::outgoing(&keys, provider),
                from_browser: Stream::new(),
                pbx: clone(audio.of_call(index)),
                contender: leg.contender,
                from_pbx: Stream::new(),
                frames: [index * 37 % FRAMES, index * 91 % FRAMES],
            });
            listeners.push(Listener {
                socket: to_mio(socket),
                gateway,
                secure: browser::incoming(&keys, provider),
                credentials,
                last_at_browser: None,
                last_at_pbx: None,
            });
        }
        let receiver = Receiver {
            mode,
            listeners,
            audio: audio
                .rtp
                .iter()
                .map(|socket| to_mio(socket.try_clone().expect("a file descriptor")))
                .collect(),
            by_contender,
            totals: Arc::clone(&totals),
            stop: Arc::clone(&stop),
            decoder: Decoder::new(8_000, Channels::Mono).expect("libopus is built in"),
        };
        Traffic {
            mode,
            callers,
            totals,
            sent: 0,
            latest: Duration::ZERO,
            stop,
            receiver: Some(std::thread::spawn(move || receiver.run())),
            packet: Vec::with_capacity(2_048),
        }
    }

    /// Sends for `duration`, in real time.
    pub fn run(&mut self, speech: &Speech, duration: Duration) {
        let events = 2 * self.callers.len() as u32;
        let begin = Instant::now();
        let frames = (duration.as_micros() / FRAME_TIME.as_micros()) as u32;
        for frame in 0..frames {
            for event in 0..events {
                let due = begin + FRAME_TIME * frame + FRAME_TIME * event / events;
                let ahead = due.saturating_duration_since(Instant::now());
                if ahead.is_zero() {
                    self.latest = self.latest.max(due.elapsed());
                } else {
                    std::thread::sleep(ahead);
                }
                let index = (event / 2) as usize;
                if event % 2 == 0 {
                    self.send_from_browser(index, speech);
                } else {
                    self.send_from_pbx(index, speech);
                }
            }
            self.sent += self.callers.len() as u64;
        }
    }

    fn send_from_browser(&mut self, index: usize, speech: &Speech) {
        let caller = &mut self.callers[index];
        let frame = caller.frames[0] % FRAMES;
        caller.frames[0] += 1;
        let (payload_type, ticks, payload) = match self.mode {
            Mode::Transcoded => (111, 960, &speech.opus[frame]),
            Mode::PassedThrough => (0, FRAME as u32, &speech.pcmu[frame]),
        };
        let stream = &mut caller.from_browser;
        stream.write(payload_type, ticks, payload, &mut self.packet);
        let secured = caller.secure.encrypt_rtp(&self.packet).expect("a packet");
        caller
            .browser
            .send_to(&secured, caller.gateway)
            .expect("loopback takes a datagram");
    }

    fn send_from_pbx(&mut self, index: usize, speech: &Speech) {
        let caller = &mut self.callers[index];
        let frame = caller.frames[1] % FRAMES;
        caller.frames[1] += 1;
        let payload = &speech.pcmu[frame];
        let stream = &mut caller.from_pbx;
        stream.write(0, FRAME as u32, payload, &mut self.packet);
        caller
            .pbx
            .send_to(&self.packet, caller.contender)
            .expect("loopback takes a datagram");
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(receiver) = self.receiver.take() {
            let _ = receiver.join();
        }
    }
}

fn to_mio(socket: UdpSocket) -> MioSocket {
    SockRef::from(&socket)
        .set_recv_buffer_size(1 << 20)
        .expect("the kernel caps it without an error");
    socket
        .set_nonblocking(true)
        .expect("a socket that does not block");
    MioSocket::from_std(socket)
}

struct Listener {
    socket: MioSocket,
    gateway: SocketAddr,
    secure: Context,
    credentials: Option<Credentials>,
    last_at_browser: Option<u16>,
    last_at_pbx: Option<u16>,
}

struct Receiver {
    mode: Mode,
    listeners: Vec<Listener>,
    audio: Vec<MioSocket>,
    by_contender: HashMap<SocketAddr, usize>,
    totals: Arc<Totals>,
    stop: Arc<AtomicBool>,
    decoder: Decoder,
}

impl Receiver {
    fn run(mut self) {
        let mut poll = Poll::new().expect("an event loop");
        let browsers = self.listeners.len();
        let sockets = self
            .listeners
            .iter_mut()
            .map(|listener| &mut listener.socket);
        for (token, socket) in sockets.chain(&mut self.audio).enumerate() {
            poll.registry()
                .register(socket, Token(token), Interest::READABLE)
                .expect("a registration");
        }
        let mut events = Events::with_capacity(1_024);
        let mut next_consent = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let timeout = Some(Duration::from_millis(100));
            if let Err(error) = poll.poll(&mut events, timeout) {
                assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
                continue;
            }
            for event in &events {
                let Token(token) = event.token();
                if token < browsers {
                    self.read_browser(token);
                } else {
                    self.read_pbx(token - browsers);
                }
            }
            if Instant::now() >= next_consent {
                next_consent += CONSENT;
                for listener in &mut self.listeners {
                    if let Some(credentials) = &mut listener.credentials {
                        let request = credentials.request();
                        let _ = listener.socket.send_to(&request, listener.gateway);
                    }
                }
            }
        }
    }

    fn read_browser(&mut self, index: usize) {
        let Listener {
            socket,
            gateway,
            secure,
            credentials,
            last_at_browser,
            ..
        } = &mut self.listeners[index];
        let side = &self.totals.at_browser;
        let mut buffer = [0; 2_048];
        while let Ok((length, source)) = socket.recv_from(&mut buffer) {
            let datagram = &buffer[..length];
            if source != *gateway {
                continue;
            }
            if stun::class(datagram) == Class::Request {
                if let Some(credentials) = credentials {
                    let response = credentials.response(datagram, source);
                    let _ = socket.send_to(&response, source);
                }
                continue;
            }
            let Some(sequence) = rtp_sequence(datagram) else {
                continue;
            };
            count(side, last_at_browser, sequence);
            if index != 0 && sequence % OPENED != 0 {
                continue;
            }
            let Ok(plain) = secure.decrypt_rtp(datagram) else {
                side.bad.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            if index != 0 {
                continue;
            }
            let mut samples = [0; FRAME];
            match self.mode {
                Mode::PassedThrough => expand_all(&plain[12..], &mut samples),
                Mode::Transcoded => {
                    let decoded = self.decoder.decode(&plain[12..], &mut samples, false);
                    if decoded.ok() != Some(FRAME) {
                        side.bad.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            side.hear(&samples);
        }
    }

    fn read_pbx(&mut self, index: usize) {
        let side = &self.totals.at_pbx;
        let mut buffer = [0; 2_048];
        while let Ok((length, source)) = self.audio[index].recv_from(&mut buffer) {
            let datagram = &buffer[..length];
            let (Some(call), Some(sequence)) =
                (self.by_contender.get(&source), rtp_sequence(datagram))
            else {
                continue;
            };
            count(side, &mut self.listeners[*call].last_at_pbx, sequence);
            if length != 12 + FRAME || datagram[1] & 0x7f != 0 {
                side.bad.fetch_add(1, Ordering::Relaxed);
            } else if *call == 0 {
                let mut samples = [0; FRAME];
                expand_all(&datagram[12..], &mut samples);
                side.hear(&samples);
            }
        }
    }
}

fn expand_all(payload: &[u8], samples: &mut [i16; FRAME]) {
    for (sample, octet) in samples.iter_mut().zip(payload) {
        *sample = expand(*octet);
    }
}

/// The sequence number, unless it is RTCP or no RTP at all (RFC 5761 section 4).
fn rtp_sequence(datagram: &[u8]) -> Option<u16> {
    match datagram {
        [first, second, high, low, ..]
            if datagram.len() > 12 && first >> 6 == 2 && !(192..224).contains(second) =>
        {
            Some(u16::from_be_bytes([*high, *low]))
        }
        _ => None,
    }
}

fn count(side: &Side, last: &mut Option<u16>, sequence: u16) {
    side.received.fetch_add(1, Ordering::Relaxed);
    if last.is_some_and(|last| last.wrapping_add(1) != sequence) {
        side.gaps.fetch_add(1, Ordering::Relaxed);
    }
    *last = Some(sequence);
}

/// Root mean square of the speech as it is sent.
pub fn level(speech: &Speech) -> f64 {
    let side = Side::default();
    let mut samples = [0; FRAME];
    for frame in &speech.pcmu {
        expand_all(frame, &mut samples);
        side.hear(&samples);
    }
    side.level()
}
