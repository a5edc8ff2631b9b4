//! The PBX that calls: INVITEs by hand, one UDP socket.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Until an INVITE without any response is sent again (RFC 3261 section 17.1.1.2, T1).
const T1: Duration = Duration::from_millis(500);

/// How long the last ringing is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A PBX.
pub struct Trunk(UdpSocket);

/// What came of one burst.
pub struct Burst {
    /// From the first INVITE to the last 180.
    pub last_ringing: Duration,
    ringing: usize,
    refused: usize,
    repeated: usize,
}

impl Burst {
    /// Whether every call rings and none was asked for twice.
    pub fn is_good(&self, calls: usize) -> bool {
        self.ringing == calls && self.refused == 0 && self.repeated == 0
    }
}

impl fmt::Display for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ring after {:.1?}, {} refused, {} INVITEs repeated",
            self.ringing, self.last_ringing, self.refused, self.repeated
        )
    }
}

/// What is known of one call.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Heard {
    #[default]
    Nothing,
    Something,
    Ringing,
    Refused,
}

impl Trunk {
    /// One at a free port.
    pub async fn new() -> Self {
        Trunk(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"))
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }

    fn invite(&self, gateway: SocketAddr, call: usize) -> String {
        let own = self.address();
        let (ip, port) = (own.ip(), own.port());
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n",
            30_000 + 2 * call
        );
        format!(
            "INVITE sip:u{call}@{gateway} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {ip}:{port};branch=z9hG4bK-burst-{call}\r\nMax-Forwards: 70\r\n\
             From: <sip:burst@{ip}>;tag=f{call}\r\nTo: <sip:u{call}@{gateway}>\r\n\
             Call-ID: burst-{call}@{ip}\r\nCSeq: 1 INVITE\r\nContact: <sip:burst@{own}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    }

    /// Sends the INVITEs as fast as the socket takes them and waits until all ring.
    pub async fn burst(&self, gateway: SocketAddr, calls: usize) -> Burst {
        let invites: Vec<String> = (0..calls).map(|call| self.invite(gateway, call)).collect();
        let mut heard = vec![Heard::Nothing; calls];
        let begin = Instant::now();
        let mut burst = Burst {
            last_ringing: PATIENCE,
            ringing: 0,
            refused: 0,
            repeated: 0,
        };
        let send = async {
            for invite in &invites {
                self.0
                    .send_to(invite.as_bytes(), gateway)
                    .await
                    .expect("it is sent");
            }
        };
        let listen = self.listen(&mut heard, &mut burst, begin, &invites, gateway);
        let _ = timeout(PATIENCE, async { tokio::join!(send, listen) }).await;
        burst.ringing = heard.iter().filter(|it| **it == Heard::Ringing).count();
        burst.refused = heard.iter().filter(|it| **it == Heard::Refused).count();
        burst
    }

    async fn listen(
        &self,
        heard: &mut [Heard],
        burst: &mut Burst,
        begin: Instant,
        invites: &[String],
        gateway: SocketAddr,
    ) {
        let mut buffer = vec![0; 4_096];
        let mut next_repeat = T1;
        while heard
            .iter()
            .any(|it| !matches!(it, Heard::Ringing | Heard::Refused))
        {
            let wait = next_repeat.saturating_sub(begin.elapsed());
            match timeout(wait, self.0.recv_from(&mut buffer)).await {
                Ok(Ok((length, _))) => {
                    let text = String::from_utf8_lossy(&buffer[..length]);
                    let Some((call, status)) = read(&text) else {
                        continue;
                    };
                    let Some(known) = heard.get_mut(call) else {
                        continue;
                    };
                    match status {
                        180 => {
                            *known = Heard::Ringing;
                            burst.last_ringing = begin.elapsed();
                        }
                        300.. => *known = Heard::Refused,
                        _ if *known == Heard::Nothing => *known = Heard::Something,
                        _ => {}
                    }
                }
                Ok(Err(_)) => {}
                Err(_) => {
                    next_repeat += T1;
                    for (call, invite) in invites.iter().enumerate() {
                        if heard[call] == Heard::Nothing {
                            burst.repeated += 1;
                            let _ = self.0.send_to(invite.as_bytes(), gateway).await;
                        }
                    }
                }
            }
        }
    }
}

/// The call and the status of a response.
fn read(text: &str) -> Option<(usize, u16)> {
    let status = text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
    let (_, rest) = text.split_once("burst-")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    Some((rest[..digits].parse().ok()?, status))
}
