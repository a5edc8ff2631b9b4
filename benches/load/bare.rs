//! The bare loop: what a gateway cannot do without for each packet, and nothing else.
//!
//! The same sockets (one for all browsers, one for RTP and one for RTCP of each call), the same
//! `mio` loop, the same SRTP and the same codecs with the same settings as the gateway's media
//! worker; no ICE, no SIP, no calls, no reordering, no reports, no counters.

use std::collections::HashMap;
use std::io::{BufRead, ErrorKind, Write};
use std::net::SocketAddr;
use std::rc::Rc;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use opus::{Application, Bitrate, Channels, Decoder, Encoder};
use rtc_srtp::config::SessionKeys;
use rtc_srtp::context::Context;

use crate::arguments::Mode;
use crate::browser::PROFILE;
use crate::protection::{incoming, outgoing};
use crate::speech::{FRAME, compress, expand};

/// Longer than any packet here.
const LONGEST: usize = 2_048;
const BROWSERS: Token = Token(0);

/// What the load tool tells the bare loop about a call: one line.
pub struct Wiring {
    pub browser: SocketAddr,
    pub pbx: SocketAddr,
    pub keys: SessionKeys,
}

impl Wiring {
    /// As a line.
    pub fn to_line(&self) -> String {
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        format!(
            "{} {} {} {} {} {}\n",
            self.browser,
            self.pbx,
            hex(&self.keys.local_master_key),
            hex(&self.keys.local_master_salt),
            hex(&self.keys.remote_master_key),
            hex(&self.keys.remote_master_salt),
        )
    }

    fn from_line(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let octets = |index: usize| -> Vec<u8> {
            let text: &str = words[index];
            (0..text.len() / 2)
                .map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).expect("hex"))
                .collect()
        };
        Wiring {
            browser: words[0].parse().expect("an address"),
            pbx: words[1].parse().expect("an address"),
            keys: SessionKeys {
                local_master_key: octets(2),
                local_master_salt: octets(3),
                remote_master_key: octets(4),
                remote_master_salt: octets(5),
            },
        }
    }
}

struct Codecs {
    decoder: Decoder,
    encoder: Encoder,
}

struct Call {
    browser: SocketAddr,
    pbx: SocketAddr,
    rtp: UdpSocket,
    /// Registered and never readable, as in a call whose PBX sends no reports.
    _rtcp: UdpSocket,
    incoming: Context,
    outgoing: Context,
    codecs: Option<Codecs>,
    /// mu-law of every sample there is.
    compressed: Rc<[u8]>,
    to_pbx: Numbers,
    to_browser: Numbers,
}

#[derive(Default)]
struct Numbers {
    sequence: u16,
    timestamp: u32,
}

impl Numbers {
    /// Begins a packet (RFC 3550 section 5.1).
    fn header(&mut self, payload_type: u8, ticks: u32, packet: &mut Vec<u8>) {
        packet.clear();
        packet.extend([0x80, payload_type]);
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(0x1234_5678_u32.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }
}

/// Runs until it is killed.
pub fn run(mode: Mode) {
    println!("ready");
    let wirings: Vec<Wiring> = std::io::stdin()
        .lock()
        .lines()
        .map(|line| Wiring::from_line(&line.expect("text")))
        .collect();
    let provider = rtc_crypto::default_provider().expect("cryptography is built in");
    let mut poll = Poll::new().expect("an event loop");
    let bind = || UdpSocket::bind("127.0.0.1:0".parse().expect("loopback")).expect("a port");
    let register = |socket: &mut UdpSocket, token| {
        poll.registry()
            .register(socket, Token(token), Interest::READABLE)
            .expect("a registration");
    };
    let mut browsers = bind();
    socket2::SockRef::from(&browsers)
        .set_recv_buffer_size(4 << 20)
        .expect("the kernel caps it without an error");
    register(&mut browsers, BROWSERS.0);
    let mut by_browser = HashMap::new();
    let compressed: Rc<[u8]> = (0..=u16::MAX).map(|s| compress(s as i16)).collect();
    let mut calls: Vec<Call> = Vec::new();
    for (index, wiring) in wirings.into_iter().enumerate() {
        let (mut rtp, mut rtcp) = (bind(), bind());
        register(&mut rtp, 1 + 2 * index);
        register(&mut rtcp, 2 + 2 * index);
        by_browser.insert(wiring.browser, index);
        // The keys are the browser's: what is local there is remote here.
        let keys = SessionKeys {
            local_master_key: wiring.keys.remote_master_key,
            local_master_salt: wiring.keys.remote_master_salt,
            remote_master_key: wiring.keys.local_master_key,
            remote_master_salt: wiring.keys.local_master_salt,
        };
        calls.push(Call {
            browser: wiring.browser,
            pbx: wiring.pbx,
            rtp,
            _rtcp: rtcp,
            incoming: incoming(PROFILE, &keys, provider.as_ref()),
            outgoing: outgoing(PROFILE, &keys, provider.as_ref()),
            codecs: (mode == Mode::Transcoded).then(codecs),
            compressed: Rc::clone(&compressed),
            to_pbx: Numbers::default(),
            to_browser: Numbers::default(),
        });
    }
    println!("{}", browsers.local_addr().expect("bound"));
    for call in &calls {
        println!("{}", call.rtp.local_addr().expect("bound"));
    }
    std::io::stdout().flush().expect("the load tool reads");

    let mut events = Events::with_capacity(1_024);
    let mut datagram = [0; LONGEST];
    let mut packet = Vec::with_capacity(LONGEST);
    loop {
        if let Err(error) = poll.poll(&mut events, None) {
            assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
        }
        for event in &events {
            if event.token() == BROWSERS {
                while let Ok((length, source)) = browsers.recv_from(&mut datagram) {
                    if let Some(index) = by_browser.get(&source) {
                        calls[*index].forward_to_pbx(&datagram[..length], &mut packet);
                    }
                }
            } else if event.token().0 % 2 == 1 {
                let call = &mut calls[event.token().0 / 2];
                while let Ok((length, source)) = call.rtp.recv_from(&mut datagram) {
                    if source != call.pbx {
                        continue;
                    }
                    let secured = call.forward_to_browser(&datagram[..length], &mut packet);
                    let _ = browsers.send_to(&secured, call.browser);
                }
            }
        }
    }
}

/// As the gateway sets them for a narrowband call.
fn codecs() -> Codecs {
    let mut encoder =
        Encoder::new(8_000, Channels::Mono, Application::Voip).expect("libopus is built in");
    encoder
        .set_bitrate(Bitrate::Bits(24_000))
        .expect("a bit rate");
    encoder.set_complexity(0).expect("a complexity");
    Codecs {
        decoder: Decoder::new(8_000, Channels::Mono).expect("libopus is built in"),
        encoder,
    }
}

impl Call {
    fn forward_to_pbx(&mut self, datagram: &[u8], packet: &mut Vec<u8>) {
        let plain = self.incoming.decrypt_rtp(datagram).expect("a good packet");
        self.to_pbx.header(0, FRAME as u32, packet);
        match &mut self.codecs {
            Some(codecs) => {
                let mut samples = [0; FRAME];
                codecs
                    .decoder
                    .decode(&plain[12..], &mut samples, false)
                    .expect("an Opus packet");
                let table = &self.compressed;
                packet.extend(samples.iter().map(|s| table[usize::from(*s as u16)]));
            }
            None => packet.extend_from_slice(&plain[12..]),
        }
        let _ = self.rtp.send_to(packet, self.pbx);
    }

    fn forward_to_browser(&mut self, datagram: &[u8], packet: &mut Vec<u8>) -> bytes::BytesMut {
        match &mut self.codecs {
            Some(codecs) => {
                self.to_browser.header(111, 960, packet);
                let mut samples = [0; FRAME];
                for (sample, octet) in samples.iter_mut().zip(&datagram[12..]) {
                    *sample = expand(*octet);
                }
                let mut payload = [0; 1_275];
                let length = codecs
                    .encoder
                    .encode(&samples, &mut payload)
                    .expect("20 ms");
                packet.extend_from_slice(&payload[..length]);
            }
            None => {
                self.to_browser.header(0, FRAME as u32, packet);
                packet.extend_from_slice(&datagram[12..]);
            }
        }
        self.outgoing.encrypt_rtp(packet).expect("a good packet")
    }
}
