//! The PBX: answers every INVITE for `load-INDEX` at once, and notes where its audio goes.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rtc_srtp::config::SessionKeys;
use socket2::SockRef;

use crate::sdes;

/// Pairs of RTP and RTCP sockets that all calls share; the gateway's port tells them apart.
const SOCKETS: usize = 4;
/// As much as the kernel allows.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The sockets of the PBX's audio.
pub struct AudioSockets {
    pub rtp: Vec<UdpSocket>,
    /// Only there so that reports find somebody.
    _rtcp: Vec<UdpSocket>,
}

impl AudioSockets {
    pub fn bind() -> Self {
        let (rtp, rtcp) = (0..SOCKETS).map(|_| bind_pair()).unzip();
        AudioSockets { rtp, _rtcp: rtcp }
    }

    /// The socket that a call uses.
    pub fn of_call(&self, index: usize) -> &UdpSocket {
        &self.rtp[index % self.rtp.len()]
    }
}

fn bind_pair() -> (UdpSocket, UdpSocket) {
    loop {
        let rtp = UdpSocket::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = rtp.local_addr().expect("bound").port();
        if port.is_multiple_of(2)
            && let Ok(rtcp) = UdpSocket::bind(("127.0.0.1", port + 1))
        {
            SockRef::from(&rtp)
                .set_recv_buffer_size(RECEIVE_BUFFER)
                .expect("the kernel caps it without an error");
            return (rtp, rtcp);
        }
    }
}

/// The gateway's end of a call, as the PBX knows it.
#[derive(Clone)]
pub struct Remote {
    /// Where it receives audio.
    pub address: SocketAddr,
    /// Of the PBX's side, where the audio is SRTP.
    pub keys: Option<SessionKeys>,
}

/// The SIP side, on a thread of its own that lasts as long as the process.
pub struct Pbx {
    pub address: SocketAddr,
    remotes: Arc<Mutex<Vec<Option<Remote>>>>,
    byes: Arc<AtomicUsize>,
}

impl Pbx {
    /// Listens; `audio` are the addresses to put into the answers, by call. `srtp`: the audio is
    /// SRTP.
    pub fn start(audio: Vec<SocketAddr>, srtp: bool) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = socket.local_addr().expect("bound");
        let remotes = Arc::new(Mutex::new(vec![None; audio.len()]));
        let byes = Arc::new(AtomicUsize::new(0));
        let pbx = Pbx {
            address,
            remotes: Arc::clone(&remotes),
            byes: Arc::clone(&byes),
        };
        std::thread::spawn(move || {
            let mut buffer = [0; 8_192];
            while let Ok((length, source)) = socket.recv_from(&mut buffer) {
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let response = if request.starts_with("INVITE ") {
                    let (index, remote) = read_invite(&request);
                    // On loopback an INVITE comes once: its answer may have new keys.
                    let (crypto, keys) = match srtp {
                        true => Some(sdes::answer(&request)).unzip(),
                        false => (None, None),
                    };
                    let body = answer(&request, audio[index], crypto.as_deref());
                    remotes.lock().expect("nobody panics with it")[index] = Some(Remote {
                        address: remote,
                        keys,
                    });
                    respond(&request, address, &body)
                } else if request.starts_with("BYE ") {
                    byes.fetch_add(1, Ordering::Relaxed);
                    respond(&request, address, "")
                } else if request.starts_with("ACK ") || request.starts_with("SIP/2.0") {
                    continue;
                } else {
                    respond(&request, address, "")
                };
                let _ = socket.send_to(response.as_bytes(), source);
            }
        });
        pbx
    }

    /// The gateway's end of a call.
    pub fn remote(&self, index: usize) -> Remote {
        self.remotes.lock().expect("nobody panics with it")[index]
            .clone()
            .expect("a call that was answered has come here")
    }

    /// Calls that were hung up.
    pub fn byes(&self) -> usize {
        self.byes.load(Ordering::Relaxed)
    }
}

/// The call, by the number that was dialled, and the address of its audio.
fn read_invite(request: &str) -> (usize, SocketAddr) {
    let index = request
        .strip_prefix("INVITE sip:load-")
        .and_then(|rest| rest.split(['@', ';', ' ']).next())
        .and_then(|digits| digits.parse().ok())
        .expect("the number that was dialled");
    let value = |name: &str| {
        let line = request.lines().find_map(|line| line.strip_prefix(name));
        line.expect("SDP of the gateway")
    };
    let port = value("m=audio ")
        .split(' ')
        .next()
        .expect("split gives one");
    let host = value("c=IN IP4 ").trim();
    let remote = format!("{host}:{port}");
    (index, remote.parse().expect("an address"))
}

fn answer(request: &str, audio: SocketAddr, crypto: Option<&str>) -> String {
    let port = audio.port();
    let events = request
        .lines()
        .filter_map(|line| line.strip_prefix("a=rtpmap:"))
        .find_map(|line| line.trim().strip_suffix(" telephone-event/8000"))
        .expect("the gateway offers digits");
    let profile = match crypto {
        Some(_) => "RTP/SAVP",
        None => "RTP/AVP",
    };
    format!(
        "v=0\r\no=load 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {port} {profile} 0 {events}\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:{events} telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n{}",
        crypto.unwrap_or_default(),
    )
}

/// 200 OK to any request.
fn respond(request: &str, contact: SocketAddr, body: &str) -> String {
    let mut response = String::from("SIP/2.0 200 OK\r\n");
    for line in request.lines().skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().trim();
        let copied = ["via", "from", "to", "call-id", "cseq", "record-route"];
        if !copied.contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        response.push_str(line);
        if name.eq_ignore_ascii_case("to") && !line.contains("tag=") {
            response.push_str(";tag=load");
        }
        response.push_str("\r\n");
    }
    response.push_str(&format!("Contact: <sip:load@{contact}>\r\n"));
    if !body.is_empty() {
        response.push_str("Content-Type: application/sdp\r\n");
    }
    response.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    response
}
