//! What comes out of a contender, on a thread of its own: counted, its gaps found, some of it
//! opened, one call of it listened to. It also answers ICE checks, and makes some, as a browser
//! does during a call.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mio::net::UdpSocket as MioSocket;
use mio::{Events, Interest, Poll, Token};
use opus::Decoder;
use rtc_srtp::context::Context;
use socket2::SockRef;

use crate::arguments::Mode;
use crate::speech::{FRAME, Speech, expand};
use crate::stun::{self, Class, Credentials};

/// How often Chromium checks that the other end still consents.
const CONSENT: Duration = Duration::from_millis(2_500);
/// One SRTP packet of so many is opened; of the first call each one is, and listened to.
const OPENED: u16 = 64;

/// Packets that arrived on one side.
#[derive(Debug, Default)]
pub struct Side {
    /// Whether what arrives is counted: between its turns a gateway keeps the way to the PBX alive by
    /// silence (RFC 6263), which nobody sent.
    counts: AtomicBool,
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
        if !self.counts.load(Ordering::Relaxed) {
            return;
        }
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

impl Totals {
    /// From now on what arrives is counted, or no longer.
    pub fn count(&self, counts: bool) {
        for side in [&self.at_browser, &self.at_pbx] {
            side.counts.store(counts, Ordering::Relaxed);
        }
    }
}

/// A socket with room for what comes while the machine is busy elsewhere.
pub fn to_mio(socket: UdpSocket) -> MioSocket {
    SockRef::from(&socket)
        .set_recv_buffer_size(1 << 20)
        .expect("the kernel caps it without an error");
    socket
        .set_nonblocking(true)
        .expect("a socket that does not block");
    MioSocket::from_std(socket)
}

/// Both ends of one call, as far as they listen.
pub struct Listener {
    pub socket: MioSocket,
    pub gateway: SocketAddr,
    pub secure: Context,
    /// Where the PBX's side is SRTP.
    pub pbx_secure: Option<Context>,
    pub credentials: Option<Credentials>,
    pub last_at_browser: Option<u16>,
    pub last_at_pbx: Option<u16>,
}

/// All calls of one contender.
pub struct Receiver {
    pub mode: Mode,
    pub listeners: Vec<Listener>,
    pub audio: Vec<MioSocket>,
    pub by_contender: HashMap<SocketAddr, usize>,
    pub totals: Arc<Totals>,
    pub stop: Arc<AtomicBool>,
    pub decoder: Decoder,
}

impl Receiver {
    /// Listens until it is told to stop.
    pub fn run(mut self) {
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
            let listener = &mut self.listeners[*call];
            count(side, &mut listener.last_at_pbx, sequence);
            let plain;
            let packet = match &mut listener.pbx_secure {
                None => datagram,
                Some(_) if *call != 0 && sequence % OPENED != 0 => continue,
                Some(secure) => {
                    let Ok(opened) = secure.decrypt_rtp(datagram) else {
                        side.bad.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    plain = opened;
                    &plain[..]
                }
            };
            if packet.len() != 12 + FRAME || packet[1] & 0x7f != 0 {
                side.bad.fetch_add(1, Ordering::Relaxed);
            } else if *call == 0 {
                let mut samples = [0; FRAME];
                expand_all(&packet[12..], &mut samples);
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
    let counts = u64::from(side.counts.load(Ordering::Relaxed));
    side.received.fetch_add(counts, Ordering::Relaxed);
    if last.is_some_and(|last| last.wrapping_add(1) != sequence) {
        side.gaps.fetch_add(1, Ordering::Relaxed);
    }
    *last = Some(sequence);
}

/// Root mean square of the speech as it is sent.
pub fn level(speech: &Speech) -> f64 {
    let side = Side::default();
    side.counts.store(true, Ordering::Relaxed);
    let mut samples = [0; FRAME];
    for frame in &speech.pcmu {
        expand_all(frame, &mut samples);
        side.hear(&samples);
    }
    side.level()
}
