//! The audio of all calls of one contender, both ways.
//!
//! One thread receives ([`crate::listening`]), the caller's thread sends. Packets leave one by
//! one, evenly spread over the 20 ms, as those of independent callers do; nothing is encoded
//! meanwhile.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opus::{Channels, Decoder};
use rtc_crypto::RTCCryptoProvider;
use rtc_srtp::config::SessionKeys;
use rtc_srtp::context::Context;

use crate::arguments::Mode;
use crate::browser::{self, Browser};
use crate::listening::{Listener, Receiver, Totals, to_mio};
use crate::pbx::AudioSockets;
use crate::protection;
use crate::sdes;
use crate::speech::{FRAME, FRAMES, Speech};

const FRAME_TIME: Duration = Duration::from_millis(20);

/// Where the two sides of one call are.
pub struct Leg {
    pub browser: Browser,
    /// The contender's RTP address towards the PBX.
    pub contender: SocketAddr,
    /// Where the PBX's side is SRTP.
    pub pbx_keys: Option<SessionKeys>,
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
    pbx_secure: Option<Context>,
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
            let pbx_keys = leg.pbx_keys.as_ref();
            let clone = |socket: &UdpSocket| socket.try_clone().expect("a file descriptor");
            socket.set_read_timeout(None).expect("no timeout");
            callers.push(Caller {
                browser: clone(&socket),
                gateway,
                secure: protection::outgoing(browser::PROFILE, &keys, provider),
                from_browser: Stream::new(),
                pbx: clone(audio.of_call(index)),
                contender: leg.contender,
                from_pbx: Stream::new(),
                pbx_secure: pbx_keys
                    .map(|keys| protection::outgoing(sdes::PROFILE, keys, provider)),
                frames: [index * 37 % FRAMES, index * 91 % FRAMES],
            });
            listeners.push(Listener {
                socket: to_mio(socket),
                gateway,
                secure: protection::incoming(browser::PROFILE, &keys, provider),
                pbx_secure: pbx_keys
                    .map(|keys| protection::incoming(sdes::PROFILE, keys, provider)),
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
        let secured = caller.pbx_secure.as_mut();
        let secured = secured.map(|secure| secure.encrypt_rtp(&self.packet).expect("a packet"));
        caller
            .pbx
            .send_to(secured.as_deref().unwrap_or(&self.packet), caller.contender)
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
